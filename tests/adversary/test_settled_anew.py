"""What is shown live, what a restart goes on to and what whoever has the entries settles anew is one statement."""

import pytest

from collector.judging.held_rows import HeldRows
from collector.judging.resettling import Resettling, reach_of
from collector.storage.store import StoreInfo
from tests.adversary.field import Field
from tests.adversary.test_threat_model import STORIES
from tests.weighbridge.scripted import SECOND, START_US
from weighbridge.judge.fleet import REMEMBERED, FleetFold
from weighbridge.log.entries import EntryKind, entry
from weighbridge.settlement.statement import Statement

SETTLED_H = 24 * 45


def by_the_entries_alone(field: Field) -> Statement:
    """As `verify` settles a bundle: the entries are read once for what is asked, and once for the rows.

    The collector goes on ticking, so that whoever speaks no more has fallen silent.
    """
    ended_s = (field.fold.watch.now_us - START_US) // SECOND
    for second in range(ended_s + 4, ended_s + 400, 4):
        field.tick(second)
    field.tick(SETTLED_H * 3600 - 1)
    field.tick(SETTLED_H * 3600 + 1)
    as_of_s = START_US // SECOND + SETTLED_H * 3600
    reach = reach_of(folded(field, HeldRows("K1", 0, ())).ask("2026-10", as_of_s))
    rows = HeldRows("K1", reach.since_us, reach.instants)
    return folded(field, rows).statement("2026-10", as_of_s)


def folded(field: Field, rows: HeldRows) -> Resettling:
    again = Resettling(StoreInfo("weighbridge/again"), rows)
    for index, leaf in enumerate(field.leaves):
        again.fold(entry(index, leaf))
    return again


def restarted_in_the_middle(field: Field) -> list[object]:
    """What is judged by folds that go on from snapshots half-way through the log."""
    half = len(field.entries) // 2
    before = FleetFold()
    said: list[object] = [one for told in field.entries[:half] for one in before.fold(told)]
    remembered = REMEMBERED | {EntryKind.TICK}
    after = FleetFold()
    after.restore(
        before.snapshots(), [one for one in field.entries[:half] if one.kind in remembered]
    )
    said += [one for told in field.entries[half:] for one in after.fold(told)]
    return said


@pytest.mark.parametrize("story", STORIES)
def test_an_attack_is_judged_and_settled_the_same_by_everybody(story: str) -> None:
    field = STORIES[story]()
    assert restarted_in_the_middle(field) == field.changes
    again, live = by_the_entries_alone(field), field.statement()
    assert (again.lowest, again.highest, again.flags) == (live.lowest, live.highest, live.flags)
    assert weighed(again) == weighed(live)
    assert outages(again) == outages(live)


def weighed(statement: Statement) -> list[object]:
    """Which second counted as what."""
    lines = [line for part in statement.parts for line in part.units]
    return [(one.unit, one.verdict, one.availability_fraction, one.seconds) for one in lines]


def outages(statement: Statement) -> list[object]:
    """Each with its causes and the entries that it rests on."""
    lines = [line for part in statement.parts for line in part.units]
    return [outage for line in lines for outage in line.outages]
