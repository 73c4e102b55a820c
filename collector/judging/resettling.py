"""Entries of a log folded once more, in memory, up to a statement: the same folds and the same engine as live."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from collector.judging.current_figures import Current
from collector.judging.held_rows import HeldRows
from collector.judging.live import Judgement, LiveFleet
from collector.judging.statements import StatementRequest, Statements
from collector.storage.store import StoreInfo
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.judge.attestation_findings import UNFOUNDED_CODE
from weighbridge.judge.fleet import NEVER_US, STALL_US, FleetFold
from weighbridge.judge.ledger import LOG_HOLE, OVERLAY, Finding, Row, Use
from weighbridge.judge.node import Change
from weighbridge.judge.track import full_second
from weighbridge.log.entries import Entry
from weighbridge.notices.book import KINDS as BOOKED
from weighbridge.notices.book import NoticeBook
from weighbridge.settlement.case import cutoff_us, reach_us
from weighbridge.settlement.judge_versions import Judges, current
from weighbridge.settlement.statement import Statement
from weighbridge.wire.report import Report


@dataclass(frozen=True, slots=True)
class Reach:
    """From when on rows matter to a statement, and the instants as of which they are asked for, rising."""

    since_us: int
    instants: Sequence[int]


def reach_of(asked: StatementRequest) -> Reach:
    """Of a statement with all that it looks back to."""
    every = list(_asked(asked))
    starts_us = [reach_us(one.contract_record.versions, one.period)[0] for one in every]
    starts_us += [one.period.start_s * MICROSECONDS for one in every]
    cutoffs_us = {cutoff_us(one.contract_record.newest, one.period) for one in every}
    return Reach(min(starts_us), sorted(cutoffs_us | {one.as_of_us for one in every}))


def _asked(asked: StatementRequest) -> Iterator[StatementRequest]:
    yield asked
    for one in asked.earlier:
        yield from _asked(one)
    if asked.before is not None:
        yield from _asked(asked.before[1])


@dataclass(slots=True)
class Resettling:
    """Of one contract. `holes`: reports that chains must have had and that were not among the entries.
    `unfounded`: attestations that the entries do not bear out.

    `contested`: time that was laid over devices of its nodes, as the collector told it: where another tenant's node
    held the device too, the entries of the contract do not show it.
    """

    info: StoreInfo
    ledger: HeldRows
    contested: Sequence[Row] = ()
    book: NoticeBook = field(default_factory=NoticeBook)
    holes: list[Finding] = field(default_factory=list)
    unfounded: list[Finding] = field(default_factory=list)
    _folds: FleetFold = field(default_factory=FleetFold)
    _laid: set[tuple[str, str, int, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.ledger.take(self.contested, ())
        self._folds.stall_us = NEVER_US if self.info.simulation else STALL_US

    @property
    def now_us(self) -> int:
        """The newest tick."""
        return self._folds.watch.now_us

    @property
    def newest_s(self) -> int:
        """The last full second of which nothing more can come."""
        return full_second(self.now_us) // MICROSECONDS

    def fold(self, entry: Entry, report: Report | None = None) -> Sequence[Change]:
        """The next entry, and what it changes."""
        changes = self._folds.fold(entry, report)
        if entry.kind in BOOKED:
            self.book.fold(entry, self.now_us)
        rows = [change for change in changes if isinstance(change, Row)]
        self._laid |= {_overlaid(row) for row in rows if row.chain == OVERLAY}
        self.ledger.take(
            rows,
            (change for change in changes if isinstance(change, Use)),
        )
        found = [change for change in changes if isinstance(change, Finding)]
        self.holes += (one for one in found if one.code == LOG_HOLE)
        self.unfounded += (one for one in found if one.code == UNFOUNDED_CODE)
        return changes

    @property
    def told(self) -> Sequence[Row]:
        """Contested time that is known from the collector's word alone."""
        return [row for row in self.contested if _overlaid(row) not in self._laid]

    def ask(self, period: str, as_of_s: int) -> StatementRequest:
        """Raises StatementError."""
        judges = Judges()
        judges.take_over(current(0))
        figures = Current(self.book, lambda *_: (), lambda *_: ())
        fleet = LiveFleet(Judgement(self._folds, figures, judges))
        return Statements(fleet, self.book).ask(self.ledger.contract, period, as_of_s)

    def statement(self, period: str, as_of_s: int) -> Statement:
        """By all that was folded. Raises StatementError, UnnamedInstantError."""
        return self.ask(period, as_of_s).statement(self)


def _overlaid(row: Row) -> tuple[str, str, int, int]:
    return row.node, row.device, row.start_us, row.end_us
