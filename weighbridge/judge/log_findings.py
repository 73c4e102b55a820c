"""The log's own credit: heads that agents were shown and that the log does not agree with are found for every contract.

Who holds such a head stays with the auditor: it may be another tenant's agent. A finding of this kind never closes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from weighbridge.judge.checks import Severity
from weighbridge.judge.ledger import Finding
from weighbridge.log.entries import Contradiction
from weighbridge.log.witnessing import LogFault
from weighbridge.verdict import Verdict


@dataclass(slots=True)
class LogDoubt:
    """How the log was caught first, in one way, at one strength."""

    fault: str
    proven: bool
    observed: str
    since_us: int
    told: list[str] = field(default_factory=list)
    """The contracts for which it was found."""


@dataclass(slots=True)
class LogCredit:
    """At most four doubts: forked or shrunk, proven or said."""

    doubts: list[LogDoubt] = field(default_factory=list)

    def see(self, said: Contradiction, now_us: int) -> None:
        """Take in an entry. One that is proven stands beside one that was only said."""
        fault = LogFault.SHRANK if said.ours is None else LogFault.FORKED
        known = {(doubt.fault, doubt.proven) for doubt in self.doubts}
        if (fault.value, said.proven) not in known:
            self.doubts.append(LogDoubt(fault.value, said.proven, _observed(said), now_us))

    def findings(self, contracts: Sequence[str]) -> Iterator[Finding]:
        """For those contracts that have not been told."""
        for doubt in self.doubts:
            for name in contracts:
                if name not in doubt.told:
                    doubt.told.append(name)
                    yield _finding(name, doubt)


def _observed(said: Contradiction) -> str:
    by = "this log's signature" if said.proven else "an agent's word"
    ours = "fewer entries" if said.ours is None else f"root {said.ours}"
    return f"{said.size} entries under root {said.root} by {by}; here {ours}"


def _finding(contract: str, doubt: LogDoubt) -> Finding:
    severity, level = (Severity.ERROR, "E1") if doubt.proven else (Severity.WARNING, "E0")
    code = doubt.fault if doubt.proven else f"{doubt.fault}_said"
    told = (contract, "", "", code, severity, Verdict.BREACHED, level)
    return Finding(*told, "one log for everybody", doubt.observed, "open", doubt.since_us, None)
