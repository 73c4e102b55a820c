"""What a notice would change: the statements of the periods that it touches, with it against without it.

Nothing is entered. Both statements are as of the same second, so that they differ by what was said alone.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, NamedTuple

from collector.judging.settler import Settler
from collector.judging.statements import (
    Judged,
    StatementError,
    StatementRequest,
    Statements,
)
from weighbridge.codes import Note
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.log.entries import (
    CauseNotice,
    ClaimNotice,
    EventNotice,
    MaintenanceNotice,
    Notice,
)
from weighbridge.notices.book import ContractRecord
from weighbridge.notices.fates import ruled
from weighbridge.notices.fields import Said
from weighbridge.notices.rules import LESSEES, WITHDRAWN, events_of, role_of
from weighbridge.settlement.answers import AGREED, CLOSED, CONFIRMED
from weighbridge.settlement.intervals import Interval, total
from weighbridge.settlement.payments import MONEY
from weighbridge.settlement.period_labels import cut, margin_s, promised
from weighbridge.settlement.periods import Period, periods_within, term_of_s
from weighbridge.settlement.record import Window
from weighbridge.settlement.repair import ANSWERED, ENDS, STARTS, SWAPPED
from weighbridge.settlement.statement import Part, Statement, differences

MOST_PERIODS = 6
"""So many statements are made twice at most: those nearest to now."""

Kind = Literal[
    "verdict",
    "seconds",
    "shares",
    "amounts",
    "standing",
    "ruling",
    "exit",
    "instant",
    "instants",
    "yes",
    "flag",
    "event",
]
"""How a value is said."""

Value = Any
"""A value of a statement, or the pair of its bounds."""


@dataclass(frozen=True, slots=True)
class Line:
    """Lines of a statement: by what each is known, and the values that are told. `of`: lines that each of them has."""

    known_by: tuple[str, ...]
    values: Mapping[str, Kind]
    of: Mapping[str, "Line"] | None = None


AMOUNTS: Mapping[str, Kind] = {"owed": "amounts"}
WHOLE = Line(
    (),
    {
        "owed": "amounts",
        "outstanding": "amounts",
        "final": "yes",
    },
    {
        "exits": Line(("objective", "party", "remedy", "unit"), {"standing": "exit"}),
        "longer": Line(("id", "unit"), {"total_seconds": "seconds", "until": "instants"}),
        "swaps": Line(("event", "unit", "at"), {"at": "instant"}),
        "answers": Line(("event", "party", "unit", "amount"), {"event": "event"}),
    },
)
IN_PART: Mapping[str, Line] = {
    "units": Line(
        ("objective", "unit"),
        {
            "verdict": "verdict",
            "service_seconds": "seconds",
            "counted_seconds": "seconds",
            "excluded_seconds": "seconds",
            "unknown_seconds": "seconds",
            "availability": "shares",
        },
        {"credits": Line(("credit",), AMOUNTS)},
    ),
    "probes": Line(("objective",), {"verdict": "verdict", "share": "shares"}),
    "others": Line(("credit",), AMOUNTS),
    "by_lessee": Line(("credit",), AMOUNTS),
    "dues": Line(
        ("unit", "credits"),
        {"standing": "standing", "deadline": "instant", "opens": "instant", "owed": "amounts"},
    ),
    "maintenance": Line(("id",), {"ruling": "ruling", "excluded_seconds": "seconds"}),
    "clocks": Line(
        ("objective", "unit", "start"),
        {"verdict": "verdict", "seconds": "seconds", "end": "instant"},
    ),
    "floors": Line(("unit",), {"verdict": "verdict"}),
    "fees": Line(("resource", "unit"), {"net": "amounts"}),
    "delivery": Line(("resource",), {"contracted_gpu_seconds": "seconds"}),
}
"""What of a part of a statement is told where it differs; that anything else does is told without its words."""

Group = tuple[str, ...]


class Place(NamedTuple):
    """Where a value stands: in which lines, in the line that is known by what, and its name."""

    lines: str
    about: Group
    what: str


Told = tuple[Place, Kind, Value]


@dataclass(frozen=True, slots=True)
class Change:
    """A value that is another one with the notice. None: there is no such line."""

    place: Place
    kind: Kind
    before: Value
    after: Value


@dataclass(frozen=True, slots=True)
class PeriodPreview:
    """One period. `paths`: every difference of the two statements, as a statement itself tells of them."""

    before: Statement
    after: Statement
    changes: tuple[Change, ...]
    paths: tuple[Note, ...]

    @property
    def closed(self) -> bool:
        """Nothing that comes changes it, because both sides agreed on it, or silence confirmed it."""
        return bool({CLOSED, CONFIRMED} & {*self.after.flags})

    @property
    def stays(self) -> bool:
        """Nothing is owed, counted or ruled otherwise: at most it is flagged that something came too late."""
        return all(told.arguments["path"][:1] == ("flags",) for told in self.paths)  # type: ignore[index]


@dataclass(frozen=True, slots=True)
class Preview:
    """`remarks`: what is to be known besides, as codes with values. `not_begun`: labels of periods of which nothing can
    be stated yet; `left_out`: of those that were too many."""

    periods: tuple[PeriodPreview, ...]
    remarks: tuple[tuple[str, ...], ...]
    not_begun: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def compared(before: Statement, after: Statement) -> PeriodPreview:
    """Two statements of a period, as of the same second."""
    old, new = ({told[0]: told for told in _told(one)} for one in (before, after))
    changes = []
    for place, (_, kind, _) in {**old, **new}.items():
        values = [told[place][2] if place in told else None for told in (old, new)]
        if values[0] != values[1]:
            changes.append(Change(place, kind, *values))
    paths = differences(replace(before, notes=()), replace(after, notes=()))
    return PeriodPreview(before, after, tuple(changes), paths)


def _told(statement: Statement) -> Iterator[Told]:
    yield from _of_line(statement, WHOLE, "", ())
    for flag in statement.flags:
        yield Place("flags", (), flag), "flag", flag
    if statement.payments is not None:
        yield Place("payments", (), "left"), "amounts", statement.payments.left
    if statement.deposit is not None:
        yield Place("deposit", (), "held"), "amounts", statement.deposit.held
        yield Place("deposit", (), "lacking"), "amounts", statement.deposit.missing
    for part in statement.parts:
        yield from _of_part(part, (str(part.version),) if len(statement.parts) > 1 else ())


def _of_part(part: Part, about: Group) -> Iterator[Told]:
    if part.service is not None:
        yield Place("service", about, "service"), "instants", part.service
    for name, line in IN_PART.items():
        yield from _of_lines(getattr(part, name), line, name, about)


def _of_lines(lines: Iterable[object], line: Line, name: str, about: Group) -> Iterator[Told]:
    """Of several that are known by the same the later ones are numbered."""
    seen = Counter[Group]()
    for one in lines:
        known = (_spelled(getattr(one, part)) for part in line.known_by)
        mine = (*about, *(text for text in known if text))
        seen[mine] += 1
        number = (str(seen[mine]),) if seen[mine] > 1 else ()
        yield from _of_line(one, line, name, (*mine, *number))


def _of_line(one: object, line: Line, lines: str, about: Group) -> Iterator[Told]:
    for name, kind in line.values.items():
        yield (
            Place(lines, about, name),
            kind,
            _bounds(one) if name == "owed" else getattr(one, name),
        )
    for name, more in (line.of or {}).items():
        yield from _of_lines(getattr(one, name), more, name, about)


def _bounds(one: Any) -> tuple[str | None, str | None]:
    return one.lowest, one.highest


def _spelled(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value or "")


class Previews:
    """Over the statements of one store."""

    def __init__(self, statements: Statements, settler: Settler) -> None:
        self._statements = statements
        self._settler = settler

    async def of(self, notice: Notice) -> Preview:
        """What the notice, which its contract takes, would change if it were received now. Raises StatementError."""
        as_of_s = self._statements.newest_s
        record = self._statements.book.record(notice.contract, as_of_s * MICROSECONDS)
        if record is None:
            raise StatementError(f"there is no contract {notice.contract} yet")
        supposed = self._statements.supposing(notice, as_of_s * MICROSECONDS)
        begun, coming = _by_now(touched(record, notice, as_of_s), as_of_s)
        periods = []
        for period in begun[-MOST_PERIODS:]:
            before, after = (
                one.ask(notice.contract, period.label, as_of_s)
                for one in (self._statements, supposed)
            )
            periods.append(await self._settler.made(partial(_compared, before, after)))
        return Preview(
            tuple(periods),
            tuple(remarks(record, notice, as_of_s, periods)),
            tuple(one.label for one in coming),
            tuple(one.label for one in begun[:-MOST_PERIODS]),
        )


def _compared(before: StatementRequest, after: StatementRequest, store: Judged) -> PeriodPreview:
    """Without what was issued before: it would be the same on either side."""
    return compared(*(replace(one, before=None).statement(store) for one in (before, after)))


def _by_now(periods: Iterable[Period], now_s: int) -> tuple[list[Period], list[Period]]:
    """Those that have begun, and those that have not."""
    begun: list[Period] = []
    coming: list[Period] = []
    for period in periods:
        (begun if period.start_s <= now_s else coming).append(period)
    return begun, coming


def touched(record: ContractRecord, notice: Notice, now_s: int) -> list[Period]:
    """The periods whose statements may say something else once this was heard, in order."""
    said, contract = notice.said, record.newest
    details = said.details if isinstance(said, EventNotice) else {}
    label = said.period if isinstance(said, ClaimNotice) else details.get("period")
    if label is not None:
        return [cut(record.versions, label)]
    terms = [term_of_s(version.contract) for version in record.versions]
    span = _span_s(record, said, now_s)
    term = min(one[0] for one in terms), max(one[1] for one in terms)
    start_s, end_s = max(span[0], term[0]), min(max(span[1], span[0] + 1), term[1])
    start_s = min(start_s, term[1] - 1)
    found = {
        period
        for kind in contract.statements_over
        for period in periods_within(kind, contract, start_s, max(end_s, start_s + 1))
        if promised(record.versions, period)
    }
    return sorted(found, key=lambda period: (period.end_s, period.start_s))


def _span_s(record: ContractRecord, said: Said, now_s: int) -> Interval:
    """What a notice is about; of an event all that follows it. Outages are judged whole."""
    margin = margin_s(record.newest)
    match said:
        case MaintenanceNotice() | CauseNotice():
            return said.from_us // MICROSECONDS - margin, said.until_us // MICROSECONDS + margin
        case EventNotice(event=event) if event == WITHDRAWN:
            spans = [
                _span_s(record, one, now_s)
                for one in _said(record)
                if isinstance(one, MaintenanceNotice) and one.id == said.details["id"]
            ]
            starts, ends = zip(*(spans or [(now_s, now_s + 1)]), strict=True)
            return min(starts), max(ends)
        case EventNotice(event=event) if event in MONEY:
            return now_s, now_s + 1
        case EventNotice():
            at_us = min(said.at_us if said.since_us is None else said.since_us, said.at_us)
            since_us = min([at_us, *_begun_us(record, said)])
            return since_us // MICROSECONDS - margin, max(now_s, said.at_us // MICROSECONDS) + 1
        case ClaimNotice():
            return now_s, now_s + 1


def _said(record: ContractRecord) -> Iterator[Said]:
    return (heard.notice.said for heard in record.heard)


def _begun_us(record: ContractRecord, said: EventNotice) -> Iterator[int]:
    """When clocks of its unit began that this may end."""
    if said.event in {*ANSWERED, SWAPPED, *ENDS["replaced"], *ENDS["restored"]}:
        for one in _said(record):
            if (
                isinstance(one, EventNotice)
                and one.unit == said.unit
                and one.event in STARTS.values()
            ):
                yield one.at_us


def remarks(
    record: ContractRecord, notice: Notice, now_s: int, periods: Iterable[PeriodPreview]
) -> Iterator[tuple[str, ...]]:
    """What the statements by themselves do not say of a notice, as codes with values."""
    said, lessee = notice.said, role_of(record.newest, notice.party) in LESSEES
    shown = list(periods)
    match said:
        case MaintenanceNotice():
            yield from _ruled(record, said, now_s)
        case CauseNotice():
            yield ("cause_counts",) if lessee else ("cause_waits",)
        case ClaimNotice():
            yield from _claimed(said, shown)
        case EventNotice(event=event):
            if events_of(record.versions)[event].open:
                yield ("waits",)
    if _agrees(said) and not any(one.closed for one in shown):
        yield ("agreement_waits",)
    if shown and all(one.stays for one in shown):
        yield ("changes_nothing",)


def _agrees(said: Said) -> bool:
    """Whether it is agreement on a statement, which takes both sides."""
    return isinstance(said, EventNotice) and said.event == AGREED


def _ruled(
    record: ContractRecord, said: MaintenanceNotice, now_s: int
) -> Iterator[tuple[str, ...]]:
    """How the contract rules on this window by itself."""
    times_s = said.from_us // MICROSECONDS, said.until_us // MICROSECONDS
    found = ruled(record, Window(said.id, *times_s, received_s=now_s))
    yield "maintenance", found.ruling, str(total(found.excluded))


def _claimed(said: ClaimNotice, shown: Iterable[PeriodPreview]) -> Iterator[tuple[str, ...]]:
    """What becomes of the credits that are claimed."""
    dues = [due for one in shown for part in one.after.parts for due in part.dues]
    mine = [due for due in dues if said.unit in (None, due.unit)]
    standings = {due.standing for due in mine}
    if not mine:
        yield ("claim_of_nothing",)
    for standing in ("lapsed", "early", "automatic"):
        if standing in standings:
            yield "claim", standing
