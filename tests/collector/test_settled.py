"""Statements for pages: kept for a while, and never older than what was said, or than a deadline that they name."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from collector.api import status
from collector.judging.settled import FINAL_S, UNDER_WAY_S, Settled, Told
from collector.judging.statements import StatementError
from tests.collector.living import DAY, SECOND, Lease, event, lease
from weighbridge.settlement.periods import periods_begun

OCTOBER, NOVEMBER = "2026-10", "2026-11"


class Watch:
    """A clock that stands still until it is told."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def leased(tmp_path: Path) -> Iterator[Lease]:
    with lease(tmp_path / "store") as made:
        yield made


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def settled(leased: Lease, watch: Watch) -> Iterator[Settled]:
    made = Settled(leased.statements, leased.settler, watch, patience_s=600)
    yield made
    made.close()


async def told(settled: Settled, label: str) -> Told:
    found = await settled.told("K1", label)
    assert found is not None
    return found


async def test_it_is_the_statement_that_a_reader_gets(leased: Lease, settled: Settled) -> None:
    found = await told(settled, OCTOBER)
    assert found.statement == leased.statements.ask("K1", OCTOBER).statement(leased.store)
    assert found.brief.label == OCTOBER
    assert found.brief.worth.owed == (found.statement.lowest, found.statement.highest)


async def test_how_objectives_stand_is_what_live_figures_say(
    leased: Lease, settled: Settled
) -> None:
    found = (await told(settled, NOVEMBER)).brief.standings
    live = [status.objective(*item) for item in leased.fleet.figures("K1").items()]
    assert [
        (one.objective, one.verdict.value, str(Fraction(one.target)), one.low, one.high)
        for one in found
    ] == [
        (one["objective"], one["verdict"], str(Fraction(one["target"])), one["low"], one["high"])
        for one in live
    ]
    assert [sum(one.units.values()) for one in found] == [2, 1]
    assert found[0].seconds["unknown"] == 2 * (2 * DAY - 1)


async def test_what_it_is_worth_is_a_range_while_time_is_unknown(settled: Settled) -> None:
    """Of the node one of its seconds is known to have been up, and the rest is held."""
    worth = (await told(settled, OCTOBER)).brief.worth
    low, high = worth.earned
    assert worth.at_stake == high - low > 0
    assert worth.owed == ("0.00", "0.00"), "nothing was claimed"
    assert worth.by_standing == {"open": high}
    assert (worth.paid, worth.outstanding) == (None, None)


def test_periods_that_have_begun_are_those_of_the_term(leased: Lease) -> None:
    contract = leased.fleet.contracts["K1"]
    october_s = contract.term.start_us // SECOND
    assert periods_begun(contract, october_s - 1) == []
    assert [one.label for one in periods_begun(contract, october_s)] == [OCTOBER]
    november_s = october_s + 31 * DAY
    assert [one.label for one in periods_begun(contract, november_s - 1)] == [OCTOBER]
    assert [one.label for one in periods_begun(contract, november_s)] == [NOVEMBER, OCTOBER]
    long_after_s = october_s + 5000 * DAY
    assert len(periods_begun(contract, long_after_s)) == 12


async def test_who_looks_again_settles_nothing_again_until_it_is_old(
    settled: Settled, watch: Watch
) -> None:
    first = await told(settled, NOVEMBER)
    watch.now_s = UNDER_WAY_S - 0.001
    assert await told(settled, NOVEMBER) is first
    assert (await settled.briefs("K1", [NOVEMBER]))[NOVEMBER] is first.brief
    watch.now_s = UNDER_WAY_S
    assert (await settled.briefs("K1", [NOVEMBER]))[NOVEMBER] is not first.brief
    assert await told(settled, NOVEMBER) is not first


async def test_an_old_one_is_shown_while_it_is_made_anew(settled: Settled, watch: Watch) -> None:
    first = await told(settled, NOVEMBER)
    watch.now_s = UNDER_WAY_S
    assert await told(settled, NOVEMBER) is first
    await settled.briefs("K1", [NOVEMBER])
    assert await told(settled, NOVEMBER) is not first


async def test_a_final_one_is_shown_for_longer(
    leased: Lease, settled: Settled, watch: Watch
) -> None:
    leased.log.tick(90 * DAY)
    leased.go_on()
    first = await told(settled, OCTOBER)
    assert first.brief.final
    watch.now_s = FINAL_S - 0.001
    assert await told(settled, OCTOBER) is first
    watch.now_s = FINAL_S
    await settled.briefs("K1", [OCTOBER])
    assert await told(settled, OCTOBER) is not first


async def test_a_claim_is_seen_at_once(leased: Lease, settled: Settled) -> None:
    first = await told(settled, OCTOBER)
    assert set(first.brief.worth.by_standing) == {"open"}
    leased.says("L", kind="claim", period=OCTOBER, objective=None, unit=None)
    leased.log.tick(33 * DAY + 1)
    leased.go_on()
    again = await told(settled, OCTOBER)
    assert set(again.brief.worth.by_standing) == {"filed"}
    assert again.brief.worth.deadline is None
    leased.says("P", **event("claim_accepted", 33 * DAY, period=OCTOBER))
    leased.log.tick(33 * DAY + 2)
    leased.go_on()
    assert [one.event for one in (await told(settled, OCTOBER)).statement.answers] == [
        "claim_accepted"
    ]


async def test_what_lapsed_is_not_shown_as_open(leased: Lease, settled: Settled) -> None:
    """Twenty days after October: the first instant that is too late is the start of the 21st of November."""
    first = await told(settled, OCTOBER)
    assert first.brief.worth.deadline == "2026-11-21T00:00:00Z"
    late_s = 51 * DAY
    leased.log.tick(late_s - 1)
    leased.go_on()
    assert await told(settled, OCTOBER) is first
    leased.log.tick(late_s)
    leased.log.tick(late_s + 1)
    leased.go_on()
    lapsed = await told(settled, OCTOBER)
    assert set(lapsed.brief.worth.by_standing) == {"lapsed"}
    assert (await settled.briefs("K1", [OCTOBER]))[OCTOBER] is lapsed.brief


async def test_every_period_that_is_asked_for_is_settled(settled: Settled) -> None:
    found = await settled.briefs("K1", [NOVEMBER, OCTOBER])
    assert list(found) == [NOVEMBER, OCTOBER]
    assert [one.standings[1].objective for one in found.values()] == ["nodes", "nodes"]


async def test_a_period_that_is_none_is_refused_and_holds_up_no_other(settled: Settled) -> None:
    for label in ("2026-12", "2025-01", "nonsense"):
        with pytest.raises(StatementError):
            await settled.told("K1", label)
    assert list(await settled.briefs("K1", ["2025-01", OCTOBER])) == [OCTOBER]


async def test_what_takes_longer_than_a_page_waits_is_there_the_next_time(leased: Lease) -> None:
    made = Settled(leased.statements, leased.settler, patience_s=0)
    assert await made.told("K1", OCTOBER) is None
    while await made.told("K1", OCTOBER) is None:
        pass
    made.close()


async def test_whole_statements_are_kept_as_far_as_there_is_room_and_the_newest_always(
    leased: Lease, settled: Settled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three units and their outages each; of what is not kept whole the brief is."""
    first, second = await told(settled, OCTOBER), await told(settled, NOVEMBER)
    assert await told(settled, OCTOBER) is first
    lines = [
        len(part.units) + sum(len(unit.outages) for unit in part.units)
        for one in (first, second)
        for part in one.statement.parts
    ]
    for most, kept in ((sum(lines), True), (sum(lines) - 1, False), (0, False)):
        monkeypatch.setattr("collector.judging.settled.MOST_LINES", most)
        fresh = Settled(leased.statements, leased.settler, patience_s=600)
        october = await told(fresh, OCTOBER)
        november = await told(fresh, NOVEMBER)
        assert await told(fresh, NOVEMBER) is november
        assert (await fresh.briefs("K1", [OCTOBER]))[OCTOBER] is october.brief
        assert (await told(fresh, OCTOBER) is october) is kept
        fresh.close()


async def test_what_cannot_be_settled_is_not_there_and_the_next_one_is(
    settled: Settled, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr("collector.judging.settled.worth", broken)
        assert await settled.told("K1", OCTOBER) is None
    assert await settled.told("K1", OCTOBER) is not None
