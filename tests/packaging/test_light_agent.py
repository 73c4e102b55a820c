"""A GPU node gets the agent and what it needs: nothing of the collector's, and little of the disk."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

MEBIBYTES = 70
PROBERS = {"numpy", "cuda"}
"""The extra `probe` brings them."""
IMPORT_ALL = """
import importlib, pkgutil, agent
for module in pkgutil.walk_packages(agent.__path__, "agent."):
    if module.name.endswith("__main__"):
        continue
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        print(module.name, error.name)
"""
CONTRACT = """\
contract_id: lease
effective: 2026-01-01T00:00:00Z
time_zone: Europe/Berlin
working_calendar: DE
currency: EUR
parties: [{id: P, role: provider}, {id: L, role: lessee}]
term: {from: 2026-01-01T00:00:00Z, to: 2036-01-01T00:00:00Z}
resources:
  - {id: h100, accelerator: {sku: H100-SXM-80GB}, per_node: 2, nodes: 1}
availability:
  - {id: node, unit: node, target: "0.99"}
unknown: {policy: hold}
"""


@pytest.fixture(scope="module")
def node(make_environment: Callable[..., Path]) -> Path:
    return make_environment("agent")


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_every_module_of_the_agent_is_imported_with_the_agents_extra_alone(node: Path) -> None:
    done = run(node / "python", "-I", "-c", IMPORT_ALL)
    assert done.returncode == 0, done.stderr
    missing = [line.split() for line in done.stdout.splitlines()]
    assert {name.partition(".")[0] for _, name in missing} <= PROBERS
    assert all(module.startswith("agent.probe.") for module, _ in missing)


def test_a_node_is_checked_against_a_contract_whose_calendar_it_does_not_carry(
    node: Path, tmp_path: Path
) -> None:
    contract = tmp_path / "lease.yaml"
    contract.write_text(CONTRACT)
    state = ("--state-directory", tmp_path)
    done = run(node / "weighbridge-agent", "check", "--contract", contract, *state)
    assert done.returncode in (3, 4), done.stderr
    assert "gpu_missing" in done.stdout


def test_a_node_gives_up_little_of_its_disk(node: Path) -> None:
    """All that pip would lay down: `du` of the environment, without what the interpreter compiles later."""
    count = ("du", "--summarize", "--dereference", "--block-size=1M", "--exclude=__pycache__")
    done = run(*count, node.parent / "lib")
    assert int(done.stdout.split()[0]) < MEBIBYTES
