"""Whose records decide where the agents of two sides did not see the same time."""

from typing import Any

import pytest

from tests.weighbridge.settlement.test_owed import DAY, LONG_AFTER_S, OCTOBER, SECOND, TERMS
from tests.weighbridge.written import loaded, written
from weighbridge.contract import ContractError, load
from weighbridge.judge.assignments import Version
from weighbridge.judge.ledger import Row, State
from weighbridge.judge.slot_history import Holder
from weighbridge.judge.two_sides import OF_LESSEE
from weighbridge.settlement.case import Notices
from weighbridge.settlement.draft import draft
from weighbridge.settlement.statement import UnitLine

PROVIDER, LESSEE = "chain", f"chain{OF_LESSEE}"


def row(chain: str, start_s: int, end_s: int, state: State = State.UP) -> Row:
    start_us, end_us = ((OCTOBER.start_s + at_s) * SECOND for at_s in (start_s, end_s))
    return Row("K", "n1", 0, "", chain, start_us, end_us, state, "", end_us)


def told(*silent: tuple[str, int, int], down: tuple[str, int, int] | None = None) -> list[Row]:
    """Both see all of October up, but for where one is silent, and what one saw down."""
    rows = []
    for chain in (PROVIDER, LESSEE):
        edges = [0, *(at for who, *gap in silent if who == chain for at in gap), OCTOBER.seconds]
        rows += [row(chain, *pair) for pair in zip(edges[::2], edges[1::2], strict=True)]
    return rows if down is None else [*rows, row(*down, State.DOWN)]


ALONE = told(
    (LESSEE, 4 * DAY, 5 * DAY), (PROVIDER, 10 * DAY, 11 * DAY), down=(LESSEE, 10 * DAY, 11 * DAY)
)
"""One day that the provider alone saw up, and one that the lessee alone saw down."""


def judged(rows: list[Row], evidence: dict[str, Any], unknown: dict[str, Any]) -> UnitLine:
    file = written(TERMS | {"evidence": evidence, "unknown": unknown})
    version = Version(loaded(file), file, 0, LONG_AFTER_S * SECOND)
    as_of_us = (OCTOBER.end_s + 40 * DAY) * SECOND
    holders = (Holder("n1", None, 0),)
    return draft([version], holders, rows, Notices(), OCTOBER, as_of_us).parts[0].units[0]


@pytest.mark.parametrize(
    ("evidence", "unknown", "days"),
    [
        ({}, {"policy": "hold"}, (1, 1)),
        ({"one_sided": "unknown"}, {"policy": "hold"}, (0, 2)),
        ({"one_sided": "unknown"}, {"policy": "up"}, (0, 0)),
        (
            {"one_sided": "unknown"},
            {"policy": "up", "by_cause": {"one_sided": "down"}},
            (2, 2),
        ),
        (
            {"one_sided": "prevailing", "records_prevail": "provider"},
            {"policy": "hold"},
            (0, 1),
        ),
        (
            {"one_sided": "prevailing", "records_prevail": "lessee"},
            {"policy": "hold"},
            (1, 2),
        ),
        ({"one_sided": "held"}, {"policy": "up"}, (0, 1)),
        ({"one_sided": "held"}, {"policy": "down"}, (1, 2)),
    ],
)
def test_what_one_side_alone_saw_counts_as_the_contract_says(
    evidence: dict[str, Any], unknown: dict[str, Any], days: tuple[int, int]
) -> None:
    found = judged(ALONE, evidence, unknown)
    assert tuple(sorted(found.counted_seconds)) == tuple(one * DAY for one in days)


@pytest.mark.parametrize(("silent_s", "unknown_s"), [(11, 0), (12, 12)])
def test_a_sample_of_one_side_between_two_of_both_is_not_alone(
    silent_s: int, unknown_s: int
) -> None:
    """Samples are ten seconds apart, and may be late by one."""
    rows = told((LESSEE, 4 * DAY, 4 * DAY + silent_s))
    found = judged(rows, {"one_sided": "unknown"}, {"policy": "down"})
    assert found.unknown_seconds == unknown_s
    assert found.counted_seconds == (unknown_s, unknown_s)


@pytest.mark.parametrize(
    ("evidence", "why"),
    [
        ({"one_sided": "held", "agents": "provider"}, "evidence.one_sided: belongs to agents of"),
        ({"one_sided": "prevailing"}, "evidence.one_sided: no side's records prevail"),
    ],
)
def test_a_clause_that_names_nobody_is_refused(evidence: dict[str, str], why: str) -> None:
    with pytest.raises(ContractError, match=why):
        load(written(TERMS | {"evidence": evidence}))
