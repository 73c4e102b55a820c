"""Statements from the ledger: rows and notices as they were known at an instant, settled by the pure engine.

A statement as of T uses what was received by T and written down by then: so it is the same whenever it is asked for,
and from whichever ledger was folded from the same log. Of a period under way it uses what was known of the segments
that grew, too, where that can be told: as of the newest instant, and as of one at which a statement was issued.
"""

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter
from typing import Protocol

from collector.judging.live import LiveFleet
from collector.log.commits import CommittedEntry
from collector.storage.received import received_us
from collector.storage.store import EntryIndex, EvidenceLog, StoreInfo
from weighbridge.codes import Flag
from weighbridge.contract.scalars import MICROSECONDS, read_instant_us
from weighbridge.judge.ledger import OVERLAY, Row, Use
from weighbridge.judge.track import GROWING_US, full_second, grown
from weighbridge.log.entries import Issued, JudgedBy, Notice, Reached
from weighbridge.notices.book import KINDS, ContractRecord, NoticeBook
from weighbridge.notices.confirming import Confirmed
from weighbridge.settlement.answers import CLOSED, CONFIRMED, answered
from weighbridge.settlement.case import cutoff_us, reach_us
from weighbridge.settlement.draft import statement_of
from weighbridge.settlement.limits import periods_before
from weighbridge.settlement.longer_service import periods_since
from weighbridge.settlement.payments import with_payments
from weighbridge.settlement.period_labels import label_before, promised
from weighbridge.settlement.periods import Period, instant_text, term_of_s
from weighbridge.settlement.record import ToldEvent
from weighbridge.settlement.restatement import since_issued
from weighbridge.settlement.statement import AnswerLine, Statement

PLACE = attrgetter("node", "slot", "device", "chain", "start_us")
RECORDED = attrgetter("node", "slot", "device", "chain", "start_us", "recorded_us")


class StatementError(ValueError):
    """This cannot be settled. The message says why."""


class KnownRows(Protocol):
    """Rows and sums of use as they are known, as a ledger tells them."""

    def rows(
        self, contract: str, start_us: int, end_us: int, as_of_us: int | None = None
    ) -> Iterable[Row]: ...

    def uses(self, contract: str, start_us: int, end_us: int, as_of_us: int) -> Iterator[Use]: ...


class Judged(Protocol):
    """What is settled, and of what kind of store it is: a `Store`, or what a bundle holds."""

    @property
    def info(self) -> StoreInfo: ...

    @property
    def ledger(self) -> KnownRows: ...


@dataclass(frozen=True, slots=True)
class StatementRequest:
    """A statement that was asked for, with all that it needs but the ledger: data, which another process may settle.

    `due`, `due_uses`: what the ledger did not have yet; `before`: the one that was issued last; `earlier`: those of the
    periods before that it looks back to; `reached`: of a period under way, how far the chains had come. `answers`: to
    claims; `closed_by`: why nothing that came later than this instant changes it: both sides agreed, or silence
    confirmed it (`confirmed`). `paid`: what was told of payments, by `paid_by_s`.
    """

    contract_record: ContractRecord
    period: Period
    as_of_us: int
    due: Sequence[Row]
    judged: JudgedBy
    due_uses: Sequence[Use]
    before: "tuple[Issued, StatementRequest] | None" = None
    earlier: "tuple[StatementRequest, ...]" = ()
    reached: tuple[Reached, ...] = ()
    answers: tuple[AnswerLine, ...] = ()
    closed_by: Flag | None = None
    confirmed: Confirmed | None = None
    paid: tuple[ToldEvent, ...] = ()
    paid_by_s: int = 0

    def statement(self, store: Judged) -> Statement:
        """Reads the ledger and settles: the long part. Raises BrokenInvariantError."""
        drafted = self._drafted(store, earlier=[one.bare(store) for one in self.earlier])
        told = answered(drafted, self.answers, self.closed_by)
        found = with_payments(told, self.paid, self.paid_by_s)
        notes = [*found.notes, *self.contract_record.notes()]
        if self.before is not None:
            issued, before = self.before
            notes += since_issued(issued, before.statement(store), found)
        notes += [] if self.confirmed is None else [self.confirmed.told()]
        return replace(found, notes=tuple(notes))

    def bare(self, store: Judged) -> Statement:
        """Of this period alone: without rights and limits that need several, and without what was said before."""
        return self._drafted(store)

    def _drafted(self, store: Judged, earlier: Sequence[Statement] | None = None) -> Statement:
        rows, uses = self._rows(store.ledger), partial(self._uses, store.ledger)
        case = self.contract_record.case(rows, self.period, self.as_of_us, uses())
        return statement_of(case, store.info.simulation, earlier, self.judged, uses())

    def _uses(self, ledger: KnownRows) -> Iterator[Use]:
        start_us, end_us = (edge_s * MICROSECONDS for edge_s in self.period.interval_s)
        contract = self.contract_record.newest.contract_id
        as_of_us = min(self.as_of_us, self._cutoff_us)
        due = [
            use
            for use in self.due_uses
            if use.recorded_us <= as_of_us and start_us <= use.hour_us < end_us
        ]
        return newest_uses(ledger.uses(contract, start_us, end_us, as_of_us), due)

    @property
    def _cutoff_us(self) -> int:
        return cutoff_us(self.contract_record.newest, self.period)

    def _rows(self, ledger: KnownRows) -> Iterator[Row]:
        start_us, end_us = reach_us(self.contract_record.versions, self.period)
        contract = self.contract_record.newest.contract_id
        written = ledger.rows(contract, start_us, end_us, self.as_of_us)
        waiting = [row for row in self.due if row.start_us < end_us and row.end_us > start_us]
        return newest_rows(written, [*waiting, *self._grown(ledger, waiting)], self.as_of_us)

    def _grown(self, ledger: KnownRows, waiting: Sequence[Row]) -> Iterator[Row]:
        """What was known of segments that grew at the instant."""
        if not self.reached:
            return
        contract, since_us = self.contract_record.newest.contract_id, self.as_of_us - GROWING_US
        later = ledger.rows(contract, since_us, self.as_of_us)
        yield from grown([*later, *waiting], self.reached, self.as_of_us)


class Statements:
    """Follows the log for what the parties said, and drafts statements on demand."""

    def __init__(self, fleet: LiveFleet, book: NoticeBook) -> None:
        """`book`: as the log has it by now."""
        self.book = book
        self._fleet = fleet

    def supposing(self, notice: Notice, received_us: int) -> "Statements":
        """As they would be if this had been heard at that instant, too; they follow nothing."""
        return Statements(self._fleet, self.book.supposing(notice, received_us))

    def follow(self, committed: Sequence[CommittedEntry]) -> None:
        """Folds the notices of a commit."""
        for one in committed:
            self.book.fold(one.entry, one.received_us)

    def contested(
        self, contract: str, start_us: int, as_of_us: int
    ) -> Callable[[Judged], list[Row]]:
        """Time of its devices that was laid over its nodes' own since then, because another place held them too."""
        return partial(_contested, contract, start_us, as_of_us, self._fleet.open_rows(contract))

    @property
    def newest_s(self) -> int:
        """The last full second of which nothing more can come."""
        return full_second(self._fleet.now_us) // MICROSECONDS

    def ask(self, contract: str, label: str, as_of_s: int | None = None) -> StatementRequest:
        """For a period, as known at the end of a second: by default the newest. Raises StatementError."""
        if as_of_s is None:
            as_of_s = self.newest_s
        if as_of_s > self.newest_s:
            raise StatementError("that instant is not over yet")
        as_of_us = as_of_s * MICROSECONDS
        asked = self._asked(contract, label, as_of_us)
        issued = self.book.issued(contract, label, as_of_us)
        before = None
        if issued is not None:
            before = issued, self.ask(contract, label, issued.as_of_us // MICROSECONDS)
        earlier = {one.period.label: one for one in (*self._earlier(asked), *self._limited(asked))}
        return replace(asked, before=before, earlier=tuple(earlier.values()))

    def _asked(self, contract: str, label: str, as_of_us: int) -> StatementRequest:
        """The request for one period, without what earlier periods gave; of one that is closed, as it was then."""
        asked = self._open(contract, label, as_of_us)
        answers, paid = asked.contract_record.answers(label), asked.contract_record.money()
        agreed_us = self.book.agreed_us(contract, label, as_of_us)
        silent = self.book.confirmed(contract, asked.period, as_of_us)
        if agreed_us is not None and asked.period.end_s * MICROSECONDS <= agreed_us <= as_of_us:
            asked, silent = replace(self._open(contract, label, agreed_us), closed_by=CLOSED), None
        elif silent is not None and silent.standing == "confirmed":
            then = self._open(contract, label, silent.issued.as_of_us)
            asked = replace(then, closed_by=CONFIRMED)
        by_s = as_of_us // MICROSECONDS
        return replace(asked, answers=answers, confirmed=silent, paid=paid, paid_by_s=by_s)

    def _open(self, contract: str, label: str, as_of_us: int) -> StatementRequest:
        try:
            found = self.book.of_period(contract, label, as_of_us)
        except ValueError as error:
            raise StatementError(str(error)) from error
        if found is None:
            raise StatementError(not_known(contract, as_of_us))
        contract_record, period = found
        due = self._fleet.open_rows(contract)
        judged = self._fleet.judged(reach_us(contract_record.versions, period)[0], as_of_us)
        uses = self._fleet.unwritten_uses(contract)
        asked = StatementRequest(contract_record, period, as_of_us, due, judged, uses)
        return replace(asked, reached=self._reached(contract_record, period, as_of_us))

    def _reached(
        self, contract_record: ContractRecord, period: Period, as_of_us: int
    ) -> tuple[Reached, ...]:
        """Of a statement that was issued as it was told then; nothing once all rows of the period are written."""
        if period.end_s * MICROSECONDS + GROWING_US <= as_of_us:
            return ()
        told = self.book.reached(contract_record.newest.contract_id, period.label, as_of_us)
        return self._fleet.reached(contract_record.nodes, as_of_us) if told is None else told

    def _earlier(self, asked: StatementRequest) -> Iterator[StatementRequest]:
        """The periods before that a right to leave looks back to, no further than the term, the latest first."""
        contract = asked.contract_record.newest
        first_s, _ = term_of_s(asked.contract_record.versions[0].contract)
        label = asked.period.label
        for _ in range(
            max((right.of_periods or 1 for right in contract.exit_rights), default=1) - 1
        ):
            before = label_before(contract, label)
            if before is None:
                return
            one = self._asked(contract.contract_id, before, asked.as_of_us)
            if one.period.end_s <= first_s:
                return
            yield one
            label = before

    def _limited(self, asked: StatementRequest) -> Iterator[StatementRequest]:
        """The periods before that use of the same limits of a year or of the term, or made the term longer."""
        contract, period = asked.contract_record.newest, asked.period
        for before in (*periods_before(contract, period), *periods_since(contract, period)):
            yield self._asked(contract.contract_id, before.label, asked.as_of_us)


def _contested(
    contract: str, start_us: int, as_of_us: int, waiting: Sequence[Row], store: Judged
) -> list[Row]:
    known = store.ledger.rows(contract, start_us, as_of_us, as_of_us)
    return [row for row in newest_rows(known, waiting, as_of_us) if row.chain == OVERLAY]


def not_known(contract: str, as_of_us: int) -> str:
    """The message that a contract came into the log after an instant, and what to do."""
    then = instant_text(as_of_us // MICROSECONDS)
    return f"as of {then} there was no contract {contract} yet: ask as of a later instant"


def refuse_nothing(asked: StatementRequest) -> None:
    """Of a period outside the term, or one that has not begun, there is nothing to state. Raises StatementError."""
    period, name = asked.period, asked.contract_record.newest.contract_id
    if not promised(asked.contract_record.versions, period):
        start, end = map(instant_text, term_of_s(asked.contract_record.newest))
        raise StatementError(f"{period.label} lies outside the term of {name}, {start} to {end}")
    if period.start_s * MICROSECONDS > asked.as_of_us:
        raise StatementError(f"{period.label} had not begun yet: ask for an earlier period")


def load_book(log: EvidenceLog, index: EntryIndex, until: int | None = None) -> NoticeBook:
    """The book as the log has it; `until`: of the entries before this one alone."""
    book = NoticeBook()
    for place in index.of_kinds(KINDS):
        if until is not None and place >= until:
            break
        entry = next(iter(log.read(place, 1)))
        book.fold(entry, received_us(log, index, place))
    return book


def newest_rows(written: Iterable[Row], due: Iterable[Row], as_of_us: int) -> Iterator[Row]:
    """The newest row of each slot, device, chain and start that was known then, in the ledger's order. `written` comes
    in this order; `due` came after it, in any.
    """
    every = heapq.merge(written, sorted(due, key=RECORDED), key=RECORDED)
    known = (row for row in every if row.recorded_us <= as_of_us)
    return (deque(alike, maxlen=1)[0] for _, alike in itertools.groupby(known, key=PLACE))


def newest_uses(written: Iterable[Use], due: Iterable[Use]) -> Iterator[Use]:
    """The newest sums of each hour and node. `due` came after `written`, and all come in this order."""
    newest = {use.key: use for use in due}
    kept = (use for use in written if use.key not in newest)
    last = [newest[key] for key in sorted(newest)]
    return heapq.merge(kept, last, key=attrgetter("key"))


def instant(text: str) -> int:
    """`2026-11-08T00:00:00Z` in seconds. Raises StatementError."""
    no_instant = f"{text!r} is not an instant such as 2026-11-08T00:00:00Z"
    try:
        seconds, rest = divmod(read_instant_us(text), MICROSECONDS)
    except ValueError as error:
        raise StatementError(no_instant) from error
    if rest:
        raise StatementError(no_instant)
    return seconds
