"""What was received while the collector's own clock was in doubt: a finding of each contract whose nodes were heard."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from weighbridge.catalogue.findings import answerable
from weighbridge.judge.checks import Severity
from weighbridge.judge.ledger import Finding
from weighbridge.log.entries import ClockChecked
from weighbridge.verdict import Verdict

COLLECTOR_CLOCK_STEPPED = "collector_clock_stepped"
WRONG_US = 2_000_000
"""Receipts that were off by more were received at another time than the log says."""


@dataclass(slots=True)
class ClockStep:
    """Since the tick `since_us` the system's clock is not followed, being `ahead_us` off. `marked`: by contract."""

    since_us: int
    ahead_us: int
    marked: dict[str, Finding] = field(default_factory=dict)


def step_of(checked: ClockChecked, now_us: int) -> ClockStep:
    """A step that the log was told of."""
    return ClockStep(now_us, checked.wall_us - checked.tick_us)


def mark(step: ClockStep, contracts: Iterable[str]) -> Iterator[Finding]:
    """A node of these contracts was heard meanwhile."""
    for contract in contracts:
        if contract not in step.marked:
            step.marked[contract] = Finding(
                contract,
                "",
                "",
                COLLECTOR_CLOCK_STEPPED,
                Severity.WARNING,
                Verdict.UNKNOWN,
                "E1",
                "receipts by a clock that nobody sets",
                f"the collector's system clock was stepped by {step.ahead_us} us: receipts since are by monotonic time",
                answerable(COLLECTOR_CLOCK_STEPPED),
                step.since_us,
                None,
            )
            yield step.marked[contract]


def end(step: ClockStep, checked: ClockChecked, now_us: int) -> Iterator[Finding]:
    """The system's clock is followed again: what was received meanwhile stays marked, with what it is worth."""
    wrong = abs(checked.wrong_us) > WRONG_US
    for finding in step.marked.values():
        off = f"{checked.wrong_us} us ahead, as are those before it since the clock was last right"
        worth = off if wrong else "right"
        observed = f"{finding.observed}, until it was {checked.reason}; they are {worth}"
        severity = Severity.ERROR if wrong else Severity.WARNING
        yield replace(
            finding, observed=observed, severity=severity, until_us=max(now_us, step.since_us)
        )
