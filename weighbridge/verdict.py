"""What was found of a promise, and how several findings make one."""

from collections.abc import Iterable
from enum import StrEnum


class Verdict(StrEnum):
    """Findings store and metrics show the value; statements and the documents of a handover spell the name."""

    MET = "met"
    UNKNOWN = "unknown"
    BREACHED = "breached"


EXIT_CODES = {Verdict.MET: 0, Verdict.BREACHED: 3, Verdict.UNKNOWN: 4}
"""What commands that judge end with."""

WORST_FIRST = (Verdict.BREACHED, Verdict.UNKNOWN, Verdict.MET)


def worst(verdicts: Iterable[Verdict], *, empty: Verdict) -> Verdict:
    """BREACHED outranks UNKNOWN outranks MET; `empty` where there are none."""
    return min(verdicts, key=WORST_FIRST.index, default=empty)
