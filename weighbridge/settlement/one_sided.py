"""Time that the agent of one side alone saw, by what the contract makes of it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from weighbridge.contract import Contract
from weighbridge.judge.ledger import State
from weighbridge.judge.ledger import StateSpan as Stretch
from weighbridge.judge.two_sides import BOTH, SIDES
from weighbridge.settlement.units import Timelines

ONE_SIDED = "one_sided"
"""The cause of time that is unknown since one side alone saw it."""


def without_one_sided(contract: Contract, told: Timelines, *, held: bool = False) -> Timelines:
    """With what the contract does not count of it as unknown, and, if `held`, what it holds too."""
    terms = contract.evidence
    left_out: dict[str, tuple[str, ...]] = {
        "prevailing": tuple(side for side in SIDES if side != terms.records_prevail),
        "unknown": SIDES,
        "held": SIDES if held else (),
    }
    sides = left_out.get(terms.one_sided, ())
    if not sides:
        return told
    cadence_us = contract.sampling.cadence_us
    return replace(
        told,
        slots={slot: list(_line(line, sides, cadence_us)) for slot, line in told.slots.items()},
    )


def _line(line: Sequence[Stretch], sides: Sequence[str], cadence_us: int) -> Iterator[Stretch]:
    """A stretch between two that both saw is a change that each saw at a sample of its own, where it is no longer."""
    for place, one in enumerate(line):
        around = [*line[max(0, place - 1) : place], *line[place + 1 : place + 2]]
        between = len(around) == len(SIDES) and all(other.heard == BOTH for other in around)
        if one.heard not in sides or (between and one.end_us - one.start_us <= cadence_us):
            yield one
        else:
            yield replace(one, state=State.UNKNOWN, cause=ONE_SIDED, heard="")
