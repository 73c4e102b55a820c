"""What became of each thing that was said: called off, too late, answered, said by the other side too, or waiting."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from weighbridge.log.entries import CauseNotice, ClaimNotice, EventNotice, MaintenanceNotice
from weighbridge.notices.book import FOREVER_US, ContractRecord, LoggedNotice
from weighbridge.notices.rules import LESSEES, EventRule, events_of, sides
from weighbridge.settlement.answers import AGREED
from weighbridge.settlement.maintenance import Admission, rulings
from weighbridge.settlement.periods import Period, term_of_s
from weighbridge.settlement.record import Window

ONE_SIDED = EventRule(open=True)
ALIKE = ("period", "amount", "digest", "reference")
"""Details by which two sides tell of one thing."""


@dataclass(frozen=True, slots=True)
class Fate:
    """`entry`: the notice by which it came about, where it was one."""

    code: str
    entry: int | None = None


STANDS = Fate("stands")
OPEN = frozenset({"cause_waits", "waits"})
"""What the other side may say too."""


def fates(record: ContractRecord) -> dict[int, Fate]:
    """By entry."""
    windows = iter(record.notices((), FOREVER_US).windows)
    found: dict[int, Fate] = {}
    for heard in record.heard:
        match heard.notice.said:
            case MaintenanceNotice():
                found[heard.index] = Fate(f"ruling.{ruled(record, next(windows)).ruling}")
            case CauseNotice() as said:
                found[heard.index] = _of_cause(record, heard, said)
            case ClaimNotice() as said:
                found[heard.index] = _of_claim(record, said)
            case EventNotice() as said:
                found[heard.index] = _of_event(record, heard, said)
    return found


def ruled(record: ContractRecord, window: Window) -> Admission:
    """How the contract rules on a window by itself, without what others use up."""
    contract, whole = record.newest, Period("", window.start_s, window.end_s)
    term = term_of_s(contract)
    [found] = rulings(contract.maintenance, [window], whole, contract.time_zone, term)
    return found


def _of_cause(record: ContractRecord, heard: LoggedNotice, said: CauseNotice) -> Fate:
    """It counts once the lessee said it, or said it too."""
    if record.role(heard.notice) in LESSEES:
        return Fate("cause_counts")
    for other in record.heard:
        if record.role(other.notice) in LESSEES and isinstance(other.notice.said, CauseNotice):
            told = other.notice.said
            shared = told.from_us < said.until_us and said.from_us < told.until_us
            if shared and (told.code, told.unit) == (said.code, said.unit):
                return Fate("said_too", other.index)
    return Fate("cause_waits")


def _of_claim(record: ContractRecord, said: ClaimNotice) -> Fate:
    """The newest answer to it."""
    answers = [
        line
        for line in record.answers(said.period)
        if said.unit is None or line.unit in ("", said.unit)
    ]
    return Fate(f"answer.{answers[-1].event}", answers[-1].entry) if answers else Fate("unanswered")


def _of_event(record: ContractRecord, heard: LoggedNotice, said: EventNotice) -> Fate:
    rule = events_of(record.versions).get(said.event)
    if said.event == AGREED:
        closed = said.details.get("digest") in record.agreed(said.details.get("period", ""))
        return Fate("closed" if closed else "waits")
    if rule is not None and not rule.open:
        return STANDS
    mine = sides(ONE_SIDED, record.role(heard.notice))
    others = [
        one.index
        for one, told in _events(record.heard)
        if sides(ONE_SIDED, record.role(one.notice)) not in (mine, frozenset())
        and (told.event, told.unit) == (said.event, said.unit)
        and _alike(told.details, said.details)
    ]
    return Fate("said_too", others[0]) if others else Fate("waits")


def _events(heard: Sequence[LoggedNotice]) -> Iterator[tuple[LoggedNotice, EventNotice]]:
    for one in heard:
        if isinstance(one.notice.said, EventNotice):
            yield one, one.notice.said


def _alike(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    return all(one.get(name) == other.get(name) for name in ALIKE)
