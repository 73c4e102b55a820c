"""The portfolio as a log and its ledger had it at an instant: what an audit reads, put together.

What the loop holds (book, fleet) is asked for contract by contract, so that it is not held up; what is long, the ledger
and the statements of the months, is read and settled apart. A month whose statement can change no more is kept.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial

from collector.judging.live import LiveFleet
from collector.judging.settler import Settler
from collector.judging.statements import (
    StatementError,
    StatementRequest,
    Statements,
    newest_uses,
)
from collector.storage.received import received_us
from collector.storage.store import EntryIndex, EvidenceLog, JudgedStore, Ledger, Store
from weighbridge.audit.auditing import Audit, audit
from weighbridge.audit.portfolio import (
    DAY_US,
    EVER_US,
    AgentKey,
    Lease,
    Month,
    Portfolio,
    Stay,
    Told,
    Trial,
    with_rows,
)
from weighbridge.contract import loaded
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.judge.ledger import Finding, Row, Use
from weighbridge.log.entries import (
    Assignment,
    ContractAdded,
    EntryKind,
    EventNotice,
    KeyChanged,
    MaintenanceNotice,
    PartyKey,
)
from weighbridge.notices.book import ContractRecord
from weighbridge.settlement.case import cutoff_us
from weighbridge.settlement.period_labels import promised
from weighbridge.settlement.periods import Period, periods_within
from weighbridge.settlement.proofs import proves_node
from weighbridge.settlement.service import start_of_s
from weighbridge.settlement.statement import Part, Statement
from weighbridge.wire.report import read

RECENT_US = 14 * DAY_US
"""Hours of use are read that far back."""

LATE_US = DAY_US
PAGE = 1000
KINDS = (EntryKind.CONTRACT, EntryKind.ASSIGNMENT, EntryKind.PARTY, EntryKind.KEY)
ACCEPTANCES = frozenset({"acceptance_signed", "batch_accepted"})


@dataclass(slots=True)
class Holdings:
    """Who holds and speaks for what, by entries of KINDS up to an instant."""

    entries: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    stays: defaultdict[str, list[Stay]] = field(default_factory=lambda: defaultdict(list))
    parties: defaultdict[str, defaultdict[str, list[str]]] = field(
        default_factory=lambda: defaultdict(partial(defaultdict, list))
    )
    keys: list[AgentKey] = field(default_factory=list)

    def take(self, kind: EntryKind, payload: bytes, index: int, received_us: int) -> None:
        """Fold one entry."""
        match kind:
            case EntryKind.CONTRACT:
                added = read(ContractAdded, payload)
                if added.withdrawn is None:
                    self.entries[added.contract].append(index)
                else:
                    self.entries.pop(added.contract, None)
            case EntryKind.ASSIGNMENT:
                self._assign(read(Assignment, payload), index, received_us)
            case EntryKind.PARTY:
                change = read(PartyKey, payload)
                if change.action == "enrolled":
                    self.parties[change.contract][change.public_key].append(change.party)
            case _:
                key = read(KeyChanged, payload)
                if key.action == "enrolled":
                    self.keys.append(
                        AgentKey(key.public_key, key.node, key.side, received_us, index)
                    )

    def _assign(self, said: Assignment, index: int, at_us: int) -> None:
        held = self.stays[said.contract]
        for place, stay in enumerate(held):
            if stay.node == said.node and stay.until_us == EVER_US:
                held[place] = Stay(
                    stay.node, stay.devices, stay.since_us, at_us, stay.resource, stay.entry
                )
        if not said.releases:
            devices = None if said.devices is None else frozenset(said.devices)
            held.append(Stay(said.node, devices, at_us, EVER_US, said.resource, index))


def holdings(log: EvidenceLog, index: EntryIndex, as_of_us: int) -> Holdings:
    """As the log has them at an instant."""
    found = Holdings()
    for place in index.of_kinds(KINDS):
        at_us = received_us(log, index, place)
        if at_us > as_of_us:
            break
        entry = next(iter(log.read(place, 1)))
        found.take(entry.kind, entry.envelope.payload, place, at_us)
    return found


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """What is known of a contract before its ledger is read, and the months whose statements are to be made. `due`,
    `due_uses`: what the ledger did not have yet."""

    contract_record: ContractRecord
    months: Sequence[Month | tuple[Period, StatementRequest]]
    due: Sequence[Row]
    due_uses: Sequence[Use]

    @property
    def name(self) -> str:
        return self.contract_record.newest.contract_id


class Audits:
    """Over one store, one at a time. The last is kept, and so are the months that can change no more."""

    def __init__(
        self, store: Store, statements: Statements, settler: Settler, fleet: LiveFleet
    ) -> None:
        self._fleet = fleet
        self._store = store
        self._statements = statements
        self._settler = settler
        self._kept: dict[tuple[str, str], Month] = {}
        self._last: dict[tuple[frozenset[str], int], Audit] = {}
        self._one_at_a_time = asyncio.Lock()

    async def audit(self, names: Collection[str], as_of_s: int | None = None) -> Audit:
        """Of these contracts, as known at the end of a second: by default the newest. Raises StatementError."""
        newest_s = self._statements.newest_s
        if as_of_s is not None and as_of_s > newest_s:
            raise StatementError("that instant is not over yet")
        as_of_us = (newest_s if as_of_s is None else as_of_s) * MICROSECONDS
        key = frozenset(names), as_of_us
        async with self._one_at_a_time:
            if key in self._last:
                return self._last[key]
            asked: list[LeaseRequest] = []
            for name in sorted(names):
                asked += self._asked(name, as_of_us)
                await asyncio.sleep(0)
            held = await asyncio.to_thread(holdings, self._store.log, self._store.index, as_of_us)
            leases = await self._settler.made(partial(_leases, asked, held, as_of_us))
            for lease in asked:
                self._keep(lease, leases[lease.name], as_of_us)
            nodes = {stay.node for lease in leases.values() for stay in lease.stays}
            keys = [one for one in held.keys if one.node in nodes]
            portfolio = Portfolio(as_of_us, leases, keys)
            made = await asyncio.to_thread(audit, portfolio, self._store.info.simulation)
            self._last = {key: made}
            return made

    def _keep(self, asked: LeaseRequest, lease: Lease, as_of_us: int) -> None:
        """The months whose cut-off is over."""
        contract = asked.contract_record.newest
        for one, month in zip(asked.months, lease.months, strict=True):
            if not isinstance(one, Month) and cutoff_us(contract, one[0]) <= as_of_us:
                self._kept[asked.name, month.label] = month

    def _asked(self, name: str, as_of_us: int) -> Iterator[LeaseRequest]:
        record = self._statements.book.record(name, as_of_us)
        if record is not None:
            months = list(self._months(record, as_of_us))
            due = (self._fleet.open_rows(name), self._fleet.unwritten_uses(name))
            yield LeaseRequest(record, months, *due)

    def _months(
        self, record: ContractRecord, as_of_us: int
    ) -> Iterator[Month | tuple[Period, StatementRequest]]:
        first, newest, as_of_s = record.versions[0], record.newest, as_of_us // MICROSECONDS
        since_s = first.from_us // MICROSECONDS
        for period in periods_within("calendar_month", newest, since_s, as_of_s):
            if period.end_s > as_of_s or not promised(record.versions, period):
                continue
            kept = self._kept.get((newest.contract_id, period.label))
            if kept is not None and cutoff_us(newest, period) <= as_of_us:
                yield kept
            else:
                yield period, self._statements.ask(newest.contract_id, period.label, as_of_s)


def _leases(
    asked: Sequence[LeaseRequest], held: Holdings, as_of_us: int, store: JudgedStore
) -> dict[str, Lease]:
    return {one.name: _lease(one, held, as_of_us, store) for one in asked}


def _lease(asked: LeaseRequest, held: Holdings, as_of_us: int, store: JudgedStore) -> Lease:
    record, name, ledger = asked.contract_record, asked.name, store.ledger
    events = record.notices((), as_of_us).events
    start_s = start_of_s(record.newest, events, as_of_us // MICROSECONDS)
    return Lease(
        versions=record.versions,
        entries=tuple(held.entries[name]),
        stays=held.stays[name],
        sightings=with_rows(ledger.sightings(name, as_of_us), asked.due, as_of_us),
        told=list(_told(record)),
        trials=list(_trials(record, ledger, as_of_us)),
        arrivals=ledger.arrivals(name, LATE_US, as_of_us),
        months=[
            one if isinstance(one, Month) else month_of(one[1].bare(store), one[0])
            for one in asked.months
        ],
        recent=_recent(asked, as_of_us, ledger),
        findings=list(_findings(ledger, name, as_of_us)),
        proven_us=[
            one.received_us
            for one in record.proven
            if proves_node(record.known_series, record.newest, one)
        ],
        party_keys=held.parties[name],
        windows=list(_windows(record)),
        service_us=None if start_s is None else start_s * MICROSECONDS,
    )


def _recent(asked: LeaseRequest, as_of_us: int, ledger: Ledger) -> list[Use]:
    since_us = as_of_us - RECENT_US
    due = [
        use
        for use in asked.due_uses
        if use.recorded_us <= as_of_us and since_us <= use.hour_us < as_of_us
    ]
    return list(newest_uses(ledger.uses(asked.name, since_us, as_of_us, as_of_us), due))


def month_of(statement: Statement, period: Period) -> Month:
    """The four counts and the money of a statement, all parts and line items together."""
    given = [line for part in statement.parts for line in part.delivery]
    used = [line.in_use_gpu_seconds for line in given if line.in_use_gpu_seconds is not None]
    joules = [line.energy_joules for line in given if line.energy_joules is not None]
    return Month(
        label=period.label,
        start_us=period.start_s * MICROSECONDS,
        end_us=period.end_s * MICROSECONDS,
        contracted_s=sum(line.contracted_gpu_seconds for line in given),
        reporting_s=sum(line.reporting_gpu_seconds for line in given),
        healthy_s=sum(line.healthy_gpu_seconds for line in given),
        in_use_s=sum(used) if used else None,
        energy_joules=sum(joules) if joules else None,
        recognised=sum((fee for part in statement.parts for fee in _fees(part)), Decimal(0)),
        lowest=None if statement.lowest is None else Decimal(statement.lowest),
        highest=None if statement.highest is None else Decimal(statement.highest),
    )


def _fees(part: Part) -> Iterator[Decimal]:
    """What is billed by each line, without tax."""
    included = loaded(part.terms).tax.included
    for line in part.fees:
        inside = included if line.tax_included is None else line.tax_included
        yield Decimal(line.net) - (Decimal(line.tax) if inside else 0)


def _told(record: ContractRecord) -> Iterator[Told]:
    for heard in record.heard:
        said = heard.notice.said
        if isinstance(said, EventNotice):
            times = (said.at_us, heard.received_us)
            yield Told(said.event, said.unit, *times, heard.index, said.since_us)


def _trials(record: ContractRecord, ledger: Ledger, as_of_us: int) -> Iterator[Trial]:
    """Each acceptance with the window of its tests: as it was told, or the longest of the tests before it, or a day."""
    tests = [test.duration_s for test in record.newest.acceptance.tests if test.duration_s]
    length_us = max(tests) * MICROSECONDS if tests else DAY_US
    for told in _told(record):
        if told.event in ACCEPTANCES:
            start_us = told.at_us - length_us
            if told.since_us is not None and told.since_us < told.at_us:
                start_us = told.since_us
            window = (start_us, told.at_us)
            uses = ledger.uses(record.newest.contract_id, *window, as_of_us)
            yield Trial(told, *window, list(uses))


def _windows(record: ContractRecord) -> Iterator[tuple[int, int]]:
    """Of maintenance of everything that was announced before it began."""
    for heard in record.heard:
        said = heard.notice.said
        if (
            isinstance(said, MaintenanceNotice)
            and not said.units
            and heard.received_us <= said.from_us
        ):
            yield said.from_us, said.until_us


def _findings(ledger: Ledger, name: str, as_of_us: int) -> Iterator[Finding]:
    """Those that began by then; one that ended later was open then."""
    after: int | None = None
    while True:
        page = ledger.findings(name, after=after, limit=PAGE)
        yield from (one for one in page.findings if one.since_us <= as_of_us)
        after = page.after
        if after is None:
            return
