"""A real Prometheus over a scripted fleet answers every question of every dashboard, also about a contract on paper."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from collector.api.exposition import Sample
from dashboards.shown import NOT_DELIVERED
from tests.collector.view.conftest import NOW_US, ScriptedFleet, columns, finding, served
from tests.collector.view.test_prometheus import configure, prometheus, until
from tests.dashboards.asking import asked, choices, dashboards, filled, panels
from weighbridge.catalogue import metrics
from weighbridge.judge.node_state import Attestation, Proof
from weighbridge.judge.snapshot import Key
from weighbridge.verdict import Verdict
from weighbridge.wire.report import Facts

ALPHA = {"contract": "alpha", "objective": "nodes-up", "node": "a1", "uuid": "GPU-1"}
BETA = ALPHA | {"contract": "beta"}
DAY_S = 86_400

Query = Callable[[str], Awaitable[Any]]


def own() -> Sequence[Sample]:
    """What accounts, rounds and the collector itself would say."""
    now_s = NOW_US / 1e6
    return [
        (metrics.REPORTS, ("accepted",), 12),
        (metrics.CONNECTIONS_CLOSED, ("slow",), 1),
        (metrics.STATEMENTS_BROKEN, ("alpha",), 1),
        (metrics.CLOCK_OFFSET, (), 0),
        (metrics.LOG_ENTRIES, (), 40),
        (metrics.LOG_COSIGNED, ("witness.example",), 39),
        (metrics.JUDGE_LAG, (), 0.25),
        (metrics.JUDGE_QUARANTINED, (), 0),
        (metrics.STORE_FREE, (), 50),
        (metrics.STORE_SIZE, (), 100),
        (metrics.BACKUP, (), now_s - DAY_S),
        (metrics.CONTRACT_CONTRACTED, ("alpha",), 100),
        (metrics.CONTRACT_DELIVERED, ("alpha",), 40),
        (metrics.CONTRACT_CREDIT, ("alpha", "EUR", "low"), 0),
        (metrics.CONTRACT_CREDIT, ("alpha", "EUR", "high"), 7),
        (metrics.CONTRACT_NEXT_TIER, ("alpha",), 600),
        (metrics.CONTRACT_CLAIM_DEADLINE, ("alpha",), now_s + DAY_S),
        (metrics.CONTRACT_REPAIR, ("alpha", "mend", "a1"), 0.5),
        (metrics.CONTRACT_MAINTENANCE, ("alpha", "w1"), 1),
    ]


@pytest.fixture
def told(fleet: ScriptedFleet) -> ScriptedFleet:
    """The fleet with everything that a GPU, a node or a challenge can tell of."""
    node = fleet.nodes["a1"]
    assert node.newest is not None
    readings = {name: [1, None] for name in READINGS}
    node.newest.view.tiers["more"] = columns(["GPU-1", "GPU-2"], **readings)
    node.newest.view.driver = Facts({"driver_version": "570.1", "gpus_enumerated_count": 2}, {})
    node.newest.view.enumerated = True
    node.proofs["GPU-1"] = Proof("alpha", "met", "", NOW_US, 10**12, 1, 1, 1, NOW_US)
    node.attested["GPU-1"] = Attestation("alpha", "met", "", NOW_US, valid_until_us=NOW_US)
    node.attempts[Key(("alpha", "met", ""))] = 3
    fleet.once = {("alpha", "a1", "chain_gap"): NOW_US}
    fleet.verdicts = {"alpha": "BREACHED"}
    fleet.found += [
        finding("alpha", "a1", "", "unreachable", verdict=str(Verdict.UNKNOWN.value)),
        finding("alpha", "a1", "GPU-1", "readings_copied", verdict=str(Verdict.UNKNOWN.value)),
        finding("alpha", "a1", "GPU-1", "duplicate_device", verdict=str(Verdict.UNKNOWN.value)),
    ]
    return fleet


READINGS = (
    "temperature_gpu_celsius",
    "power_limit_enforced_milliwatts",
    "utilization_gpu_percent",
    "pcie_link_width_lanes",
    "pcie_replay_count",
    "recovery_action_code",
    "ecc_total_uncorrected_volatile_count",
)


@asynccontextmanager
async def asking(fleet: ScriptedFleet, ledger: Any, directory: Path) -> AsyncIterator[Query]:
    """Once Prometheus has scraped every page twice."""
    async with served(fleet, ledger, [], own=own) as client:
        configuration = configure(directory / "generated", f"{client.host}:{client.port}")
        async with (
            prometheus(configuration, directory / "store") as api,
            ClientSession(raise_for_status=True) as session,
        ):

            async def query(expression: str) -> list[Any]:
                async with session.get(f"{api}/query", params={"query": expression}) as response:
                    return list((await response.json())["data"]["result"])

            await until(lambda: query("min(count_over_time(weighbridge_gpu_state[1m])) > 1"), bool)
            await until(
                lambda: query("min(count_over_time(weighbridge_contract_gpus[1m])) > 1"), bool
            )
            yield query


@pytest.mark.slow
async def test_every_question_is_answered(told: ScriptedFleet, ledger: Any, tmp_path: Path) -> None:
    async with asking(told, ledger, tmp_path) as query:
        questions = [*asked(ALPHA), *choices(ALPHA)]
        answers = [(*question, await query(question[2])) for question in questions]
    assert len(answers) > 100
    assert [question for *question, found in answers if not found] == []


@pytest.mark.slow
async def test_a_contract_on_paper_shows_that_it_is_not_delivered(
    told: ScriptedFleet, ledger: Any, tmp_path: Path
) -> None:
    shown = panels(dashboards()["contract"])
    async with asking(told, ledger, tmp_path) as query:
        found = {
            panel["title"]: [
                row for one in panel["targets"] for row in await query(filled(one["expr"], BETA))
            ]
            for panel in shown
        }
    empty = {
        panel["title"]: panel["fieldConfig"]["defaults"]["noValue"]
        for panel in shown
        if not found[panel["title"]]
    }
    assert "State of each GPU" in empty
    units = {"State of each GPU", "Power", "Temperature", "Age of the last report", "Clock skew"}
    assert {empty[title] for title in units} == {NOT_DELIVERED}
    assert not any("no data" in said for said in empty.values())
    ((_, value),) = (row["value"] for row in found["Delivered"])
    (delivered,) = (panel for panel in shown if panel["title"] == "Delivered")
    (words,) = delivered["fieldConfig"]["defaults"]["mappings"]
    assert words["options"][value]["text"] == NOT_DELIVERED
