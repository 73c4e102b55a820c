"""A real collector whose judge fails at one node: it stays ready, says so, and judges all others."""

from pathlib import Path

import pytest

from tests.collector.building import CONTRACT, Agent, Serving, make_store, serving, wait_for

FAILING = """\
from weighbridge.judge import fleet
real = fleet.judge_report
def judge_report(state, promises, report, receipt):
    if state.node == "node-0" and report.seq == 2:
        raise ZeroDivisionError
    return real(state, promises, report, receipt)
fleet.judge_report = judge_report
"""
NEWER = """\
from weighbridge.judge import fleet, node, quarantine
from weighbridge.settlement import judge_versions
for module in (fleet, node, quarantine, judge_versions):
    module.JUDGE = "judge/next"
"""


@pytest.fixture
def planted(tmp_path: Path) -> dict[str, str]:
    """The environment of a collector with a judge that fails; of a newer one once `heal` has been called."""
    (tmp_path / "sitecustomize.py").write_text(FAILING)
    return {"PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"}


def failed(server: Serving) -> float:
    name = "weighbridge_judge_quarantined "
    lines = server.get("/metrics").body.decode().splitlines()
    return next(float(line.removeprefix(name)) for line in lines if line.startswith(name))


def found(server: Serving) -> dict[str, set[str]]:
    """The codes of open findings by node."""
    answer = server.get("/v1/contracts/lease/findings").json
    codes: dict[str, set[str]] = {}
    for one in answer["items"]:
        codes.setdefault(one["node"], set()).add(one["code"])
    return codes


def judged(server: Serving) -> dict[str, bool]:
    return {one["node"]: one["judged"] for one in server.get("/v1/nodes").json["items"]}


def test_it_says_so_stays_ready_and_takes_it_up_again_with_the_next_version(
    tmp_path: Path, planted: dict[str, str]
) -> None:
    agents = [Agent(f"node-{number}", gpus=2) for number in range(2)]
    store = make_store(tmp_path / "store", agents, CONTRACT, heard=True)
    with serving(store, environment=planted) as server:
        for number in range(3):
            for agent in agents:
                first = agent.inventory() if number == 0 else None
                assert server.report(agent.next(inventory=first)).status == 200
        wait_for(lambda: failed(server) == 1, "a node that is not judged")
        assert server.get("/readyz").status == 200
        assert judged(server) == {"node-0": False, "node-1": True}
        assert "judging_failed" in found(server).get("node-0", ())
        assert "judging_failed" not in found(server).get("node-1", ())
        server.kill()
    with serving(store, environment=planted) as server:
        wait_for(lambda: failed(server) == 1, "a node that is not judged after a restart")
        assert judged(server) == {"node-0": False, "node-1": True}
        assert server.stop() == 0
    (tmp_path / "sitecustomize.py").write_text(NEWER)
    with serving(store, environment=planted) as server:
        assert failed(server) == 0
        assert judged(server) == {"node-0": True, "node-1": True}
        assert "judging_failed" not in found(server).get("node-0", ())
