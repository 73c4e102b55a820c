"""What became of each thing that was said: called off, too late, answered, said by the other side too, or waiting."""

from collections.abc import Collection
from dataclasses import dataclass

from weighbridge.log.entries import CauseNotice, ClaimNotice, EventNotice, MaintenanceNotice
from weighbridge.notices.book import ContractRecord, LoggedNotice
from weighbridge.notices.rules import LESSEES, EventRule, events_of, sides
from weighbridge.settlement.answers import AGREED
from weighbridge.settlement.maintenance import Admission, rulings
from weighbridge.settlement.periods import Period, term_of_s
from weighbridge.settlement.record import Side, Window

ONE_SIDED, NOBODY = EventRule(open=True), frozenset[Side]()
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


def fates(record: ContractRecord, wanted: Collection[int] | None = None) -> dict[int, Fate]:
    """By entry; of the `wanted` alone, where these are named. A party may have said thousands of things."""
    told = _Told(record)
    return {
        heard.index: _fate(told, heard)
        for heard in record.heard
        if wanted is None or heard.index in wanted
    }


def _fate(told: "_Told", heard: LoggedNotice) -> Fate:
    match heard.notice.said:
        case MaintenanceNotice():
            return Fate(f"ruling.{ruled(told.record, told.windows[heard.index]).ruling}")
        case CauseNotice() as said:
            return _of_cause(told.record, heard, said)
        case ClaimNotice() as said:
            return _of_claim(told.record, said)
        case EventNotice() as said:
            return _of_event(told, heard, said)


class _Told:
    """Windows by entry, and of each event the first entry of each side, gathered once."""

    def __init__(self, record: ContractRecord) -> None:
        self.record = record
        self.events = events_of(record.versions)
        announced = (
            one.index for one in record.heard if isinstance(one.notice.said, MaintenanceNotice)
        )
        self.windows = dict(zip(announced, record.windows, strict=True))
        self._first: dict[tuple[str | None, ...], dict[frozenset[Side], int]] = {}
        for heard in record.heard:
            said = heard.notice.said
            if isinstance(said, EventNotice):
                self._first.setdefault(_thing(said), {}).setdefault(self.side(heard), heard.index)

    def side(self, heard: LoggedNotice) -> frozenset[Side]:
        return sides(ONE_SIDED, self.record.role(heard.notice))

    def by_others(self, heard: LoggedNotice, said: EventNotice) -> int | None:
        """The first entry by which another side told the same."""
        mine, every = self.side(heard), self._first[_thing(said)]
        return min((at for side, at in every.items() if side not in (mine, NOBODY)), default=None)


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


def _of_event(told: _Told, heard: LoggedNotice, said: EventNotice) -> Fate:
    rule = told.events.get(said.event)
    if said.event == AGREED:
        agreed = told.record.agreed(said.details.get("period", ""))
        return Fate("closed" if said.details.get("digest") in agreed else "waits")
    if rule is not None and not rule.open:
        return STANDS
    other = told.by_others(heard, said)
    return Fate("waits") if other is None else Fate("said_too", other)


def _thing(said: EventNotice) -> tuple[str | None, ...]:
    """By what two sides tell of one thing."""
    return (said.event, said.unit, *map(said.details.get, ALIKE))
