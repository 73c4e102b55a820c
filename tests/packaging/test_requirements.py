"""The pinned requirements are whole, hashed, agree with each other, and name no index."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
RUNTIME = ("agent", "collector", "challenge", "dashboards", "pdf")
LOCKS = {
    "runtime.txt": RUNTIME,
    "agent.txt": ("agent",),
    "development.txt": (*RUNTIME, "postgres", "s3", "remote-write", "otlp"),
    "probe.txt": ("agent", "probe"),
    "postgres.txt": ("postgres",),
    "s3.txt": ("s3",),
    "telemetry.txt": ("remote-write", "otlp"),
}
"""Each lock, and the extras that it pins."""
TOOLS = "kubernetes.txt"
"""What the tests run beside the project, pinned in the same way."""


def _pins(lock: str) -> dict[str, str]:
    """Requirement line -> its hashes, as text."""
    text = (ROOT / "requirements" / lock).read_text()
    found = re.findall(r"^([a-z0-9][^\\\n]*?) \\\n((?:    --hash=.*\n)+)", text, re.MULTILINE)
    assert len(found) == len(re.findall(r"^[a-z0-9]", text, re.MULTILINE))
    return dict(found)


def _versions(lock: str) -> dict[str, list[Requirement]]:
    versions: dict[str, list[Requirement]] = {}
    for line in _pins(lock):
        requirement = Requirement(line)
        versions.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return versions


def _asked(lock: str) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = list(project["project"]["dependencies"])
    for extra in LOCKS[lock]:
        asked += project["project"]["optional-dependencies"][extra]
    if lock == "development.txt":
        asked += project["dependency-groups"]["dev"]
    return [Requirement(line) for line in asked]


@pytest.mark.parametrize("lock", LOCKS)
def test_all_that_the_project_asks_for_is_pinned_to_a_version_that_it_accepts(lock: str) -> None:
    versions = _versions(lock)
    for asked in _asked(lock):
        for pinned in versions[canonicalize_name(asked.name)]:
            (exact,) = pinned.specifier
            assert exact.operator == "=="
            assert asked.specifier.contains(exact.version), asked


def _on_account_of_the_project(lock: str) -> set[str]:
    """The packages of which the lock says that this project itself asks for them."""
    text = (ROOT / "requirements" / lock).read_text()
    blocks = re.findall(r"^([a-z0-9-]+)==((?:.*\n(?![a-z0-9]))*.*)", text, re.MULTILINE)
    return {name for name, block in blocks if re.search(r"# +(via )?weighbridge[ :]", block)}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_was_written_from_what_the_project_asks_for_now(lock: str) -> None:
    assert _on_account_of_the_project(lock) == {
        canonicalize_name(asked.name) for asked in _asked(lock)
    }


def test_every_lock_is_looked_at() -> None:
    assert {path.name for path in (ROOT / "requirements").glob("*.txt")} == {*LOCKS, TOOLS}


def _files(lock: str) -> set[tuple[str, str, str]]:
    """Name, version and hashes, wherever it is installed: a package of the tests may need one on more platforms."""
    pins = ((Requirement(line), hashes) for line, hashes in _pins(lock).items())
    return {(one.name, str(one.specifier), hashes) for one, hashes in pins}


def test_what_runs_is_what_was_tested() -> None:
    for lock in LOCKS.keys() - {"probe.txt"}:
        assert _files(lock) <= _files("development.txt")


def test_a_node_with_a_prober_runs_what_the_others_run_and_cuda_and_nobody_else_carries_that() -> (
    None
):
    runtime, probe = _pins("runtime.txt"), _pins("probe.txt")
    more = {Requirement(line).name for line in probe.keys() - runtime.keys()}
    assert more == {"cuda-bindings", "cuda-core", "cuda-pathfinder"}
    shared = runtime.keys() & probe.keys()
    assert all(probe[line] == runtime[line] for line in shared)


@pytest.mark.parametrize("lock", [*LOCKS, TOOLS])
def test_a_lock_names_no_index(lock: str) -> None:
    text = (ROOT / "requirements" / lock).read_text()
    assert "://" not in text
    assert not re.search(r"^-", text, re.MULTILINE)
