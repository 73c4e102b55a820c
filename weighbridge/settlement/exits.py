"""Rights to leave, from this period and the statements of those before it."""

from collections.abc import Iterator, Mapping, Sequence

from weighbridge.codes import Flag
from weighbridge.contract import Contract
from weighbridge.contract.remedies import ExitRight
from weighbridge.settlement.periods import instant_text, term_of_s
from weighbridge.settlement.statement import (
    SO_FAR,
    ExitLine,
    Part,
    ProbeLine,
    Statement,
    UnitLine,
)
from weighbridge.verdict import Verdict

MISSED, HELD = Verdict.BREACHED, Verdict.UNKNOWN
FLAGS: Mapping[str, Flag] = {"met": "exit_right", "open": "exit_right_open"}


def exits(
    contract: Contract, label: str, start: str, parts: Sequence[Part], earlier: Sequence[Statement]
) -> Iterator[ExitLine]:
    """One for each right about what this statement judges. Of the `earlier` statements those of the same kind of period
    count that end where the next one begins.
    """
    row = [(label, tuple(parts))]
    since = start
    for one in sorted(earlier, key=lambda one: one.start, reverse=True):
        if one.end == since and len(one.period) == len(label):
            row.append((one.period, one.parts))
            since = one.start
    begun = since <= instant_text(term_of_s(contract)[0])
    so_far = {
        line.objective for part in parts for line in _judged_lines(part) if line.verdict == SO_FAR
    }
    for right in contract.exit_rights:
        if right.objective in so_far:
            continue
        yield _judged(right, row[: right.of_periods], begun)


def _judged(right: ExitRight, row: Sequence[tuple[str, tuple[Part, ...]]], begun: bool) -> ExitLine:
    verdicts = [(label, _verdicts(right.objective, parts)) for label, parts in row]
    missed = tuple(label for label, found in verdicts if MISSED in found)
    held = tuple(label for label, found in verdicts if MISSED not in found and HELD in found)
    unsettled = 0 if begun else right.of_periods - len(row)
    possible = len(missed) + len(held) + unsettled >= right.missed
    standing = "met" if len(missed) >= right.missed else ("open" if possible else "not_met")
    return ExitLine(
        objective=right.objective,
        party=right.party,
        needed=right.missed,
        of_periods=right.of_periods,
        remedy=right.remedy,
        standing=standing,
        missed=missed,
        open=held,
        not_settled=unsettled,
    )


def _verdicts(objective: str, parts: Sequence[Part]) -> set[Verdict]:
    lines = [line for part in parts for line in _judged_lines(part)]
    found = {line.verdict for line in lines if line.objective == objective}
    return {Verdict[name] for name in found - {SO_FAR}}


def _judged_lines(part: Part) -> Iterator[UnitLine | ProbeLine]:
    yield from part.units
    yield from part.probes
