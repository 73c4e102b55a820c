"""The log's own credit: heads that agents were shown and that the log does not agree with are found for every contract.

Who holds such a head stays with the auditor: it may be another tenant's agent. A finding of this kind never closes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from weighbridge.catalogue.findings import answerable
from weighbridge.judge.checks import Severity
from weighbridge.judge.ledger import Finding
from weighbridge.log.checkpoint import read_head
from weighbridge.log.entries import Contradiction, EntryKind, Restored
from weighbridge.log.witnessing import LogFault
from weighbridge.verdict import Verdict

LOG_RESTORED = "log_restored"
"""The finding of a log that goes on from a backup."""

AGAINST_THE_LOG: Mapping[EntryKind, type[Contradiction | Restored]] = {
    EntryKind.CONTRADICTION: Contradiction,
    EntryKind.RESTORED: Restored,
}
"""The entries that speak against the log itself."""


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
    """At most six doubts: forked or shrunk, proven or said; restored, with a loss that is proven or without."""

    doubts: list[LogDoubt] = field(default_factory=list)

    def see(self, said: Contradiction | Restored, now_us: int) -> None:
        """Take in an entry. One that is proven stands beside one that was only said."""
        doubt = _restored(said, now_us) if isinstance(said, Restored) else _caught(said, now_us)
        if (doubt.fault, doubt.proven) not in {(one.fault, one.proven) for one in self.doubts}:
            self.doubts.append(doubt)

    def findings(self, contracts: Sequence[str]) -> Iterator[Finding]:
        """For those contracts that have not been told."""
        for doubt in self.doubts:
            for name in contracts:
                if name not in doubt.told:
                    doubt.told.append(name)
                    yield _finding(name, doubt)


def _caught(said: Contradiction, now_us: int) -> LogDoubt:
    fault = LogFault.SHRANK if said.ours is None else LogFault.FORKED
    return LogDoubt(fault.value, said.proven, _observed(said), now_us)


def _restored(said: Restored, now_us: int) -> LogDoubt:
    return LogDoubt(LOG_RESTORED, said.lost is not None, _from_backup(said), now_us)


def _observed(said: Contradiction) -> str:
    by = "this log's signature" if said.proven else "an agent's word"
    ours = "fewer entries" if said.ours is None else f"root {said.ours}"
    return f"{said.size} entries under root {said.root} by {by}; here {ours}"


def _from_backup(said: Restored) -> str:
    """Without roots: the entry has them."""
    held = f"restored from a backup of {said.size} entries"
    if said.lost is None:
        return f"{held}; what may have come behind them nobody said"
    return f"{held}; {read_head(said.lost).size} were handed out"


def _finding(contract: str, doubt: LogDoubt) -> Finding:
    severity, level = (Severity.ERROR, "E1") if doubt.proven else (Severity.WARNING, "E0")
    said = not doubt.proven and doubt.fault != LOG_RESTORED
    code = f"{doubt.fault}_said" if said else doubt.fault
    told = (contract, "", "", code, severity, Verdict.BREACHED, level)
    expected, whose = "one log for everybody", answerable(code)
    return Finding(*told, expected, doubt.observed, whose, doubt.since_us, None)
