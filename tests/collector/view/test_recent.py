"""Figures of a period are worked out at every tick in a small fleet, and now and then in a large one."""

import threading
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

from collector.api import status
from collector.api.exposition import Exposition
from collector.judging import current_figures
from collector.judging.current_figures import AT_ONCE_ROWS, MOST_ROWS, Figures
from collector.judging.recent import PATIENCE_US_PER_GPU, RecentFleet
from tests.collector.building import wait_for
from weighbridge.judge.ledger import Row, State

TICK_US = 1_000_000


class Counting:
    """The scripted fleet, counting how often it is asked for figures."""

    def __init__(self, fleet: Any) -> None:
        self._fleet = fleet
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fleet, name)

    def figures(self, contract: str) -> Figures:
        self.asked += 1
        figures: Figures = self._fleet.figures(contract)
        return figures


def large(version: Any) -> Any:
    (resource,) = version.resources
    return version.model_copy(update={"resources": (resource.model_copy(update={"nodes": 9_000}),)})


@pytest.fixture
def counting(fleet: Any) -> Counting:
    return Counting(fleet)


def test_a_small_fleet_is_worked_out_at_every_tick_and_once(counting: Counting, fleet: Any) -> None:
    recent = RecentFleet(counting)
    for tick in range(3):
        for _ in range(4):
            assert recent.figures("alpha") == fleet.figures("alpha")
        assert counting.asked == tick + 1
        fleet.now_us += TICK_US


def test_a_large_fleet_is_worked_out_now_and_then(counting: Counting, fleet: Any) -> None:
    fleet.contracts["alpha"] = large(fleet.contracts["alpha"])
    gpus = 9_000 * 3 + 8
    recent = RecentFleet(counting)
    recent.figures("alpha")
    fleet.bounds["alpha"] = (Fraction(0), Fraction(0))
    fleet.now_us += PATIENCE_US_PER_GPU * gpus - 1
    assert recent.figures("alpha")["nodes-up"].low == Fraction(1, 2)
    fleet.now_us += 1
    assert recent.figures("alpha")["nodes-up"].low == 0
    assert counting.asked == 2


def test_another_version_is_worked_out_at_once(counting: Counting, fleet: Any) -> None:
    fleet.contracts["alpha"] = large(fleet.contracts["alpha"])
    recent = RecentFleet(counting)
    recent.figures("alpha")
    fleet.contracts["alpha"] = large(fleet.contracts["alpha"])
    fleet.now_us += TICK_US
    recent.figures("alpha")
    assert counting.asked == 2


async def test_of_a_contract_whose_figures_fail_nothing_is_known_and_all_others_are_shown(
    fleet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    worked_out = type(fleet).figures

    def figures(self: Any, contract: str) -> Figures:
        if contract == "alpha":
            raise ZeroDivisionError
        found: Figures = worked_out(self, contract)
        return found

    monkeypatch.setattr(type(fleet), "figures", figures)
    recent = RecentFleet(fleet)
    lines = (await Exposition(recent, lambda: []).contracts()).splitlines()
    named = (
        'weighbridge_contract_availability_ratio{{contract="{}",objective="nodes-up",bound="{}"}} '
    )
    assert [named.format("alpha", "low") + "0.0", named.format("alpha", "high") + "1.0"] == [
        line for line in lines if line.startswith(named.format("alpha", "")[:60])
    ]
    assert any(line.startswith(named.format("beta", "low")) for line in lines)
    assert status.contract(recent, "alpha")["objectives"][0]["verdict"] == "unknown"


class Heavy(Counting):
    """Of one contract there are many rows, and its figures take until somebody says."""

    def __init__(self, fleet: Any, rows: int) -> None:
        super().__init__(fleet)
        self.rows = rows
        self.done = threading.Event()

    def weight(self, contract: str) -> int:
        return self.rows if contract == "alpha" else AT_ONCE_ROWS

    def prepared(self, contract: str) -> Callable[[], Figures]:
        self.asked += 1
        figures: Figures = self._fleet.figures(contract)

        def work() -> Figures:
            self.done.wait()
            return figures

        return work


def test_nobody_waits_for_a_contract_of_many_outages(fleet: Any) -> None:
    heavy = Heavy(fleet, AT_ONCE_ROWS + 1)
    clock_s = [0.0]
    recent = RecentFleet(heavy, lambda: clock_s[0])
    first_us = fleet.now_us
    assert recent.figures("alpha")["nodes-up"].verdict == "unknown"
    assert status.contract(recent, "alpha")["objectives_as_of_us"] is None
    assert recent.figures("beta") == fleet.figures("beta")
    assert recent.figured_us("beta") == first_us
    fleet.now_us += TICK_US
    recent.figures("alpha")
    assert heavy.asked == 2
    heavy.done.set()
    wait_for(lambda: recent.figured_us("alpha"), "figures")
    assert recent.figures("alpha") == fleet.figures("alpha")
    assert status.contract(recent, "alpha")["objectives_as_of_us"] == first_us


class Unread(Counting):
    """Of one contract the rows are not at hand, and are read until somebody says."""

    def __init__(self, fleet: Any) -> None:
        super().__init__(fleet)
        self.done = threading.Event()
        self.taken_over = False

    def reading(self, contract: str) -> Callable[[], None] | None:
        return self._wait if contract == "alpha" and not self.taken_over else None

    def _wait(self) -> None:
        self.done.wait()

    def take_over(self, contract: str) -> None:
        assert self.done.is_set()
        self.taken_over = contract == "alpha"


def test_nobody_waits_until_the_rows_of_a_contract_are_read(fleet: Any) -> None:
    unread = Unread(fleet)
    recent = RecentFleet(unread)
    assert recent.figures("alpha")["nodes-up"].verdict == "unknown"
    assert recent.figures("beta") == fleet.figures("beta")
    unread.done.set()
    wait_for(lambda: recent.figured_us("alpha"), "figures")
    assert recent.figures("alpha") == fleet.figures("alpha")


def test_of_more_rows_than_are_held_nothing_is_worked_out(fleet: Any) -> None:
    heavy = Heavy(fleet, MOST_ROWS + 1)
    recent = RecentFleet(heavy)
    assert recent.figures("alpha")["nodes-up"].verdict == "unknown"
    assert (heavy.asked, recent.figured_us("alpha")) == (0, 0)


def test_rows_beyond_those_that_are_held_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current_figures, "MOST_ROWS", 3)
    kept = current_figures.Joined(0)
    for at in range(3):
        kept.add(Row("K", "n", 0, "GPU", "c", 2 * at, 2 * at + 1, State.DOWN, "", 9))
    assert len(list(kept.every())) == 3
    for at in range(3, 9):
        kept.add(Row("K", "n", 0, "GPU", "c", 2 * at, 2 * at + 1, State.DOWN, "", 9))
    assert (list(kept.every()), kept.count) == ([], 4)


def test_everything_else_is_of_now(fleet: Any) -> None:
    recent = RecentFleet(fleet)
    assert recent.now_us == fleet.now_us
    assert recent.contracts is fleet.contracts
    assert recent.nodes is fleet.nodes
    assert recent.assignments("alpha") == fleet.assignments("alpha")
    assert recent.findings() == fleet.findings()
    assert recent.findings("beta") == fleet.findings("beta")
    assert recent.unwritten("alpha") == fleet.unwritten("alpha")
    assert recent.counts("alpha") == fleet.counts("alpha")
    assert recent.open_rows("alpha", "a1") == fleet.open_rows("alpha", "a1")


def test_at_one_tick_the_figures_of_so_many_rows_are_worked_out_and_no_more(fleet: Any) -> None:
    """Each contract has its turn at a tick of its own where one alone is as much as a tick allows."""
    heavy = Heavy(fleet, AT_ONCE_ROWS)
    heavy.done.set()
    recent = RecentFleet(heavy, lambda: 0.0)
    recent.figures("alpha"), recent.figures("beta")
    assert (recent.figured_us("alpha"), recent.figured_us("beta")) == (fleet.now_us, 0)
    fleet.now_us += 1
    recent.figures("beta")
    assert recent.figured_us("beta") == fleet.now_us
