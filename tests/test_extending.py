"""What `docs/extending.md` says that adding takes is all that it takes.

Each way is gone in a copy of the tree, by the page's own blocks and commands; then the tests that hold what was added
must pass there, and the programs of the copy show the new thing.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.agent.fake_nvml.fixture import build
from tests.e2e.stage import Collector, Stage, command, lease, wait_for

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "extending.md"
SECTION: Final = re.compile(r"^## (.+)\n((?:(?!## ).*\n?)*)", re.MULTILINE)
BLOCK: Final = re.compile(r"^```(python|sh|toml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PLACE: Final = re.compile(r"# (\S+\.(?:py|toml))(?:, after (.+))?")
SECTIONS: Final = dict(SECTION.findall(PAGE.read_text(encoding="utf-8")))

pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True)
class Tree:
    """A copy of the tracked files, and of those that are not tracked yet and not ignored."""

    root: Path

    @classmethod
    def copied_to(cls, root: Path) -> "Tree":
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for name in filter(None, names.split("\0")):
            if (ROOT / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, root / name)
        tree = cls(root)
        tree._install()
        return tree

    def _install(self) -> None:
        """An environment with the programs of the copy, and all that is installed beside those of this tree."""
        venv.create(self.root / ".venv", with_pip=False, symlinks=True)
        (site,) = (self.root / ".venv").glob("lib/python3*/site-packages")
        (site / "copy.pth").write_text(f"{self.root}\n{sysconfig.get_path('purelib')}\n")
        for name, package in (("weighbridge", "collector"), ("weighbridge-agent", "agent")):
            start = f"#!{self.python}\nfrom {package}.__main__ import main\nmain()\n"
            self.program(name).write_text(start)
            self.program(name).chmod(0o755)

    @property
    def python(self) -> str:
        return str(self.program("python"))

    def program(self, name: str) -> Path:
        return self.root / ".venv" / "bin" / name

    def follow(self, section: str) -> set[str]:
        """Does what a section of the page says, in its order. The files that it names."""
        touched = set()
        for kind, text in BLOCK.findall(SECTIONS[section]):
            if kind == "sh":
                self.run("bash", "-euc", text)
            else:
                touched.add(self._write(*text.split("\n", 1)))
        return touched

    def _write(self, head: str, text: str) -> str:
        place = PLACE.fullmatch(head)
        assert place is not None, head
        name, line = place.groups()
        path = self.root / name
        if line is None:
            assert not path.exists(), f"{name} is there already"
            path.write_text(text.lstrip("\n"), encoding="utf-8")
        else:
            path.write_text(behind(path.read_text(encoding="utf-8"), line, text), encoding="utf-8")
        return str(name)

    def run(self, *arguments: str) -> str:
        """A command in the copy; what it printed. It must succeed."""
        done = subprocess.run(
            arguments, cwd=self.root, capture_output=True, text=True, env=self.environment()
        )
        assert done.returncode == 0, f"{shlex.join(arguments)}\n{done.stdout}{done.stderr}"
        return done.stdout

    def environment(self) -> dict[str, str]:
        """Without what tells the tests' own Python, or the programs, where they are."""
        strange = ("PYTEST", "PYTHON", "WEIGHBRIDGE_")
        return {key: value for key, value in os.environ.items() if not key.startswith(strange)}

    def holds(self, touched: set[str], *tests: str) -> None:
        """The files are in form, and these tests of the copy pass."""
        names = sorted(name for name in touched if name.endswith(".py"))
        self.run(self.python, "-m", "ruff", "check", *names)
        self.run(self.python, "-m", "ruff", "format", "--check", *names)
        wanted = [f"tests/{name}" for name in tests]
        self.run(self.python, "-m", "pytest", "-q", "-n0", "-x", *wanted)


def behind(text: str, line: str, more: str) -> str:
    """The text with `more` after its one line that is `line`, or begins so where `…` ends it."""
    lines = text.splitlines(keepends=True)
    start = line.removesuffix("…").strip()
    found = [
        place
        for place, one in enumerate(lines)
        if (one.strip().startswith(start) if line.endswith("…") else one.strip() == start)
    ]
    assert len(found) == 1, f"{line!r} is on {len(found)} lines"
    lines.insert(found[0] + 1, more)
    return "".join(lines)


def test_every_way_that_the_page_shows_is_gone_here() -> None:
    shown = {title for title, text in SECTIONS.items() if "```python" in text}
    assert shown == {
        "A reading",
        "A term of the contract",
        "A check",
        "A format of documents",
        "A metric",
    }


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree.copied_to(tmp_path / "tree")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the fake driver's library."""
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def stage(
    tree: Tree, tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stage]:
    """Programs of the copy."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setattr("tests.e2e.stage.COLLECTOR", str(tree.program("weighbridge")))
    monkeypatch.setattr("tests.e2e.stage.AGENT", str(tree.program("weighbridge-agent")))
    made = Stage(tmp_path, library)
    yield made
    sys.stderr.write(made.told())
    made.close()


def test_a_reading(tree: Tree, stage: Stage) -> None:
    touched = tree.follow("A reading")
    tree.holds(
        touched,
        "weighbridge/test_readings.py",
        "weighbridge/test_metrics.py",
        "agent/test_captures.py",
        "agent/test_nvml_readings.py::test_every_row_has_a_reader_and_every_reader_a_row",
        "collector/view/test_exposition.py",
    )
    collector = stage.serving()
    node = stage.node("n1", collector)
    node.play("field * 160 0 ull 7")
    shown = command(
        [str(tree.program("weighbridge-agent")), "snapshot", "--json"], node.environment()
    )
    rows = json.loads(shown.stdout)
    assert [row["value"] for row in rows if row["reading"] == "nvlink_ecc_errors_count"] == [7, 7]
    node.enroll()
    node.start()
    name = "gpu_nvlink_ecc_errors_total"
    # Which GPUs there are is looked for once a minute: it is asked once they are there.
    wait_for(lambda: heard(collector), "a report")
    told = wait_for(lambda: sampled(collector.gpu_metrics(), name), "the reading on a shard")
    assert set(told) == {7.0}
    assert f"| `weighbridge_{name}` |" in (tree.root / "docs/metrics.md").read_text()


def heard(collector: Collector) -> bool:
    return any(one["last_received_us"] is not None for one in collector.get("/v1/nodes")["items"])


def sampled(samples: list[tuple[str, dict[str, str], float]], name: str) -> list[float]:
    return [value for one, _, value in samples if one == name]


def promising_persistence() -> str:
    return lease().replace("mig: off}", "mig: off, persistence: on}")


def test_a_term(tree: Tree, stage: Stage) -> None:
    touched = tree.follow("A term of the contract")
    tree.holds(
        touched,
        "weighbridge/test_contract.py",
        "weighbridge/test_golden.py",
        "collector/statements/test_words.py",
        "test_docs.py",
    )
    collector = stage.serving(promising_persistence())
    assert "    persistence: 'on'\n" in collector.cli("contract", "show", "lease").stdout
    file = tree.root / "lease.yaml"
    file.write_text(lease().replace("mig: off}", "mig: off, persistence: never}"))
    told = collector.cli("contract", "check", str(file)).stderr
    assert re.search(r"line 14: resources\[0\]\.floors\.persistence: must be one of 'on'", told)
    assert "| `persistence` |" in (tree.root / "docs/contract.md").read_text()


def test_a_check_of_it(tree: Tree, stage: Stage) -> None:
    touched = tree.follow("A term of the contract") | tree.follow("A check")
    tree.holds(
        touched,
        "weighbridge/test_judge.py",
        "weighbridge/test_findings.py",
        "weighbridge/handover/test_delivery.py",
        "dashboards/test_build.py",
    )
    collector = stage.serving(promising_persistence())
    node = stage.node("n1", collector)
    node.play("set * nvmlDeviceGetPersistenceMode 0")
    node.enroll()
    node.start()
    wait_for(lambda: breached(collector) == {node.gpu(0), node.gpu(1)}, "the check's findings")
    found = wait_for(lambda: noted(collector), "the second after the first report")
    assert [(one["verdict"], one["expected"], one["observed"]) for one in found] == [
        ("BREACHED", "persistence on", "persistence_mode_code 0")
    ] * 2


def noted(collector: Collector) -> list[dict[str, str]]:
    """What the delivery note says of the check."""
    note = json.loads(collector.cli("delivery", "lease", "--format", "json").stdout)
    return [one for one in note["differences"] if one["code"] == "persistence_off"]


def breached(collector: Collector) -> set[str]:
    return {uuid for code, uuid in collector.breaches() if code == "persistence_off"}


def test_a_format(tree: Tree, stage: Stage) -> None:
    touched = tree.follow("A format of documents")
    tree.holds(
        touched,
        "collector/statements/test_formats.py",
        "collector/statements/test_handover_formats.py",
    )
    collector = stage.serving()
    shown = wait_for(
        lambda: collector.cli("delivery", "lease", "--format", "markdown").stdout, "a full second"
    )
    assert shown.startswith("# Delivery note · lease")
    assert re.search(r"^\|.* H100-SXM-80GB \|", shown, re.MULTILINE)
    answer = collector.request("GET", "/v1/contracts/lease/delivery?format=markdown")
    assert (answer.status, answer.body.decode()[:1]) == (200, "#")


def test_a_metric(tree: Tree, stage: Stage) -> None:
    touched = tree.follow("A metric")
    tree.holds(
        touched, "weighbridge/test_metrics.py", "collector/view/test_exposition.py", "dashboards"
    )
    collector = stage.serving(lease().replace('nodes: "1"', 'nodes: "1"\n    spare_nodes: "3"'))
    assert sampled(collector.metrics(), "contract_spare_nodes") == [3.0]
    assert "| `weighbridge_contract_spare_nodes` |" in (tree.root / "docs/metrics.md").read_text()
