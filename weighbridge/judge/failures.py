"""What the judge fails at and is of no observer: a contract, an assignment, a tick. It is skipped, the rest goes on.

Which entries fail is a function of the entries and of the judge's version, as in `weighbridge.judge.quarantine`. A
finding says so until another judge looks.
"""

from dataclasses import dataclass, field, replace

import msgspec

from weighbridge.catalogue.findings import answerable
from weighbridge.judge.checks import Severity
from weighbridge.judge.ledger import JUDGING_FAILED, Finding
from weighbridge.judge.snapshot import Key
from weighbridge.log.entries import Entry
from weighbridge.verdict import Verdict

TICK = "tick"


class _Named(msgspec.Struct):
    contract: str = ""


@dataclass(slots=True)
class Failures:
    """`open` findings by contract and what failed, all of them of `judge`; `due` are those that nobody was told of."""

    judge: str = ""
    open: dict[Key, Finding] = field(default_factory=dict)
    due: list[Finding] = field(default_factory=list)

    def note(self, of: Key, entry: int, error: Exception, now_us: int) -> None:
        """The judge failed at an entry; `of`: the contract that it is of, or "", and what it is."""
        if of in self.open:
            return
        contract, what = of
        observed = (
            f"{self.judge} fails at entry {entry}, {what} ({type(error).__name__}): it is skipped"
        )
        told = (contract, "", "", JUDGING_FAILED, Severity.ERROR, Verdict.UNKNOWN, "E1")
        expected = "entries that this judge can judge"
        whose = answerable(JUDGING_FAILED)
        self.open[of] = Finding(*told, expected, observed, whose, now_us, None)
        self.due.append(self.open[of])

    def take(self) -> list[Finding]:
        """What is due to be told."""
        due, self.due = self.due, []
        return due

    def judged_by(self, judge: str, now_us: int) -> None:
        """Another judge than the one that failed looks anew."""
        if self.judge != judge:
            self.due += [replace(one, until_us=now_us) for one in self.open.values()]
            self.judge, self.open = judge, {}


def subject(entry: Entry) -> Key:
    """The contract that an entry names, or "", and what it is."""
    try:
        named = msgspec.json.decode(entry.envelope.payload, type=_Named)
    except msgspec.DecodeError:
        named = _Named()
    return Key((named.contract, entry.kind.value))
