"""The agent in one file, for a node without a network: it brings its interpreter, and takes nothing of the node's."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BARE = {"PATH": "/usr/bin:/bin"}
LOOKS = """
import subprocess, sys
maps = "for line in open('/proc/self/maps'): print(line.split()[-1])"
print(subprocess.run([sys.executable, "-c", maps], capture_output=True, text=True, check=True).stdout)
"""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def unpacked(
    make_environment: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    scratch = tmp_path_factory.mktemp("alone")
    (site,) = (make_environment("agent").parent / "lib").glob("python3*/site-packages")
    (scratch / "agent").symlink_to(site)
    settings = {**os.environ, "SITES": str(scratch), "LEVEL": "1"}
    command = [str(ROOT / "scripts/package-alone"), str(scratch / "built")]
    built = subprocess.run(command, env=settings, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    target = scratch / "here"
    done = subprocess.run(["sh", built.stdout.strip(), target], env=BARE, capture_output=True)
    assert done.returncode == 0, done.stderr
    return target


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=BARE, capture_output=True, text=True, timeout=120)


def test_it_runs_and_asks_the_driver(unpacked: Path) -> None:
    """The driver is asked by a process that it starts."""
    agent = unpacked / "bin/weighbridge-agent"
    assert run(agent, "--version").stdout.startswith("weighbridge-agent, version ")
    done = run(agent, "snapshot", "--json")
    assert (done.returncode, done.stderr) == (0, "")


def test_it_and_what_it_starts_load_nothing_of_the_nodes(unpacked: Path) -> None:
    """No interpreter, no module and no libc but its own."""
    done = run(unpacked / "bin/python", "-c", LOOKS)
    loaded = {line for line in done.stdout.split() if ".so" in line or "python" in line}
    assert any(line.startswith(f"{unpacked}/lib/libc.so") for line in loaded), done.stderr
    assert {line for line in loaded if not line.startswith(str(unpacked))} == set()


def test_it_replaces_nothing(unpacked: Path) -> None:
    (file,) = (unpacked.parent / "built").glob("*.run")
    assert "is there already" in run("sh", file, unpacked).stderr
