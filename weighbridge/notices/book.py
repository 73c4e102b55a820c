"""The third fold: contracts, assignments of nodes, and what the parties said, each with when the collector received it.

`NoticeBook.record` is what settling a contract needs besides rows, as it was known at an instant.
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from weighbridge.challenge.record import ChallengeOutcome, read_outcome
from weighbridge.challenge.telemetry import BothSides, Telemetry, read_telemetry
from weighbridge.codes import Note, note
from weighbridge.contract import Contract
from weighbridge.contract.condition import JOINED
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.judge.assignments import Assignments, Version
from weighbridge.judge.ledger import Row, State, Use
from weighbridge.judge.slot_history import Holder, SlotHistory, Times, names, seen_by, stays
from weighbridge.log.checkpoint import read_head
from weighbridge.log.entries import (
    Assignment,
    CauseNotice,
    ClaimNotice,
    ContractAdded,
    CosignedHead,
    Entry,
    EntryKind,
    EventNotice,
    Issued,
    MaintenanceNotice,
    Notice,
    PartyKey,
    Reached,
)
from weighbridge.log.policy import read_policy
from weighbridge.notices.causes import Causes
from weighbridge.notices.confirming import Confirmed, Objection, confirmed
from weighbridge.notices.rules import LESSEES, WITHDRAWN, EventRule, NoticeRules, events_of, sides
from weighbridge.notices.swaps import REPLACED, STRANGER, Swaps, is_stranger
from weighbridge.settlement.answers import AGREED, ANSWERS, OBJECTED
from weighbridge.settlement.case import Case, Notices, case_of, cutoff_us
from weighbridge.settlement.coverage import thin_hours, thinned
from weighbridge.settlement.damages import KINDS as KINDS_OF_DAMAGES
from weighbridge.settlement.intervals import Interval
from weighbridge.settlement.payments import MONEY
from weighbridge.settlement.period_labels import cut, ruling
from weighbridge.settlement.periods import Period, instant_text
from weighbridge.settlement.probes import Samples
from weighbridge.settlement.proofs import (
    KnownSeries,
    ProvenRates,
    excused,
    proven,
    proves_node,
    rebooted,
    samples,
    series_lines,
)
from weighbridge.settlement.record import BOTH, Claim, Side, ToldEvent, Window
from weighbridge.settlement.service import BATCH_ACCEPTED, REFUSED, STARTS
from weighbridge.settlement.statement import AnswerLine, SeriesLine
from weighbridge.wire.report import digest, encode, read
from weighbridge.wire.signing import SignatureError, encode_envelope, key_id

KINDS = frozenset(
    {
        EntryKind.CONTRACT,
        EntryKind.ASSIGNMENT,
        EntryKind.PARTY,
        EntryKind.NOTICE,
        EntryKind.STATEMENT,
        EntryKind.PROOF,
        EntryKind.TELEMETRY,
        EntryKind.COSIGNED,
        EntryKind.SUCCESSION,
    }
)
"""The entries that a book is made of."""

CANCELLED = KINDS_OF_DAMAGES["cancellation"]
FOREVER_US = 2**62
NOT_ENTERED = -1
"""The entry of a notice that is only supposed."""

EXCHANGED = "node_replaced"
"""The cause of service by a device that is not the slot's own."""


@dataclass(frozen=True, slots=True)
class LoggedNotice:
    """A notice in the log."""

    notice: Notice
    index: int
    received_us: int
    key_id: str

    @property
    def authority(self) -> Note:
        """How it is known who said it."""
        if self.notice.attested_for is None:
            return note("signed", key=self.key_id[:16])
        return note("attested", by=self.notice.attested_for)


@dataclass(frozen=True, slots=True)
class Cosigned:
    """The log up to `entries` had, at an instant, the signatures that the contract asks for."""

    entries: int
    received_us: int


@dataclass(frozen=True, slots=True)
class ContractRecord:
    """One contract as known at an instant. `holders`: of its places, in the order in which they were first taken."""

    versions: Sequence[Version]
    holders: Sequence[Holder]
    heard: Sequence[LoggedNotice]
    proven: Sequence[ProvenRates] = ()
    cosigned: Cosigned | None = None

    @property
    def newest(self) -> Contract:
        return self.versions[-1].contract

    @property
    def nodes(self) -> dict[str, str | None]:
        """The line item of each node that holds a place, or held it before."""
        before = {node: one.resource for one in self.holders for node, *_ in one.before}
        return before | {one.node: one.resource for one in self.holders}

    def case(
        self, rows: Iterable[Row], period: Period, as_of_us: int, uses: Iterable[Use] = ()
    ) -> Case:
        """What a period is settled from: these rows under the causes that were agreed, and what was said.

        `uses` say which hours of the period rest on too few samples.
        """
        swaps, cutoff = Swaps(), cutoff_us(self.newest, period)
        start_us, end_us = (edge_s * MICROSECONDS for edge_s in period.interval_s)
        mine = (use for use in uses if start_us <= use.hour_us < end_us)
        thin = thin_hours(self.newest, mine)
        read = swaps.watching(rows)
        explained = self.explained(thinned(read, thin) if thin else read, cutoff)
        proven: dict[str, list[int]] = {}
        for one in self.proven:
            if proves_node(self.known_series, self.newest, one):
                proven.setdefault(one.node, []).append(one.received_us)
        # The rows are read here, and no more than once: what notices need of them was seen then.
        nothing_said = Notices()
        found = case_of(
            self.versions, self.holders, explained, nothing_said, period, as_of_us, proven
        )
        return replace(found, notices=self.notices(swaps.found(), cutoff))

    def notices(self, swaps: Iterable[ToldEvent], cutoff_us: int) -> Notices:
        """What was said, and the GPUs and nodes that were replaced, in the words of settlement.

        A unit is named by the node that holds its place last; what was said of a node before it was said of that unit.
        """
        said = [(heard, heard.notice.said) for heard in self.heard]
        rules = events_of(self.versions)
        events = [
            self._event(heard, one, rules) for heard, one in said if isinstance(one, EventNotice)
        ]
        in_time = [event for event in events if event.told_by(cutoff_us // MICROSECONDS)]
        told = {(event.unit, event.details.get("new")) for event in in_time}
        seen = [swap for swap in swaps if (swap.unit, swap.details["new"]) not in told]
        seen = [replace(swap, unit=self._unit(swap.unit)) for swap in seen]
        return Notices(
            windows=self.windows,
            claims=tuple(
                self._claim(heard, one) for heard, one in said if isinstance(one, ClaimNotice)
            ),
            events=(*events, *seen, *self._exchanged()),
            probes=self.probes,
            series=self.series,
            late=tuple(self._late_s(cutoff_us)),
        )

    @property
    def known_series(self) -> KnownSeries:
        return KnownSeries(self.versions, self.nodes, self.proven)

    def probes(
        self, contract: Contract, part: Period, whole: Period, service: Interval
    ) -> dict[str, tuple[Samples, ...]]:
        """What challenges found in a part of a period, by performance objective of a version."""
        return samples(self.known_series, contract, part, whole, service)

    def series(
        self, contract: Contract, part: Period, whole: Period, service: Interval
    ) -> tuple[SeriesLine, ...]:
        """The series of challenges of a part of a period, as the statement shows them."""
        return series_lines(self.known_series, contract, part, whole, service)

    def explained(self, rows: Iterable[Row], cutoff_us: int) -> Iterator[Row]:
        """Rows with the causes that were agreed: a cause counts once the lessee has said it, or said it too.

        The service of a device that nobody announced is unknown. What is said after the cut-off does not count.
        """
        announced = list(self._announced(cutoff_us))
        agreed = Causes(one for heard, one in self._agreed() if heard.received_us <= cutoff_us)
        for row in rows:
            yield from agreed.explained(_owned(row, announced))

    def _announced(self, cutoff_us: int) -> Iterator[tuple[str, str]]:
        """Units, and the devices that were announced for them."""
        for heard in self.heard:
            said, in_time = heard.notice.said, heard.received_us <= cutoff_us
            if in_time and isinstance(said, EventNotice) and said.event == REPLACED:
                yield said.unit, said.details.get("new", "")

    def _agreed(self) -> Iterator[tuple[LoggedNotice, CauseNotice]]:
        for heard in self.heard:
            said = heard.notice.said
            if isinstance(said, CauseNotice) and self.role(heard.notice) in LESSEES:
                yield heard, said

    def _late_s(self, cutoff_us: int) -> Iterator[Interval]:
        for heard, cause in self._agreed():
            if heard.received_us > cutoff_us:
                yield cause.from_us // MICROSECONDS, cause.until_us // MICROSECONDS

    def answers(self, period: str) -> tuple[AnswerLine, ...]:
        """What was said of the claims of a period, and paid, in the order in which it was heard."""
        return tuple(
            AnswerLine(
                event=said.event,
                at=instant_text(heard.received_us // MICROSECONDS),
                party=heard.notice.party,
                unit=self._unit(said.unit),
                amount=said.details.get("amount", ""),
                reason=said.details.get("reason", ""),
                entry=heard.index,
            )
            for heard in self.heard
            if isinstance(said := heard.notice.said, EventNotice)
            and said.event in ANSWERS
            and said.details.get("period") == period
        )

    def money(self) -> tuple[ToldEvent, ...]:
        """What was told of payments and of the deposit, and by what the term begins or ends."""
        said = ((heard, heard.notice.said) for heard in self.heard)
        kinds = (*MONEY, *STARTS.values(), BATCH_ACCEPTED, REFUSED, CANCELLED)
        rules = events_of(self.versions)
        return tuple(
            self._event(heard, one, rules)
            for heard, one in said
            if isinstance(one, EventNotice) and one.event in kinds
        )

    def agreed(self, period: str) -> frozenset[str]:
        """The digests of statements of a period that both sides said they agree on."""
        sides_of: dict[str, set[Side]] = {}
        for heard in self.heard:
            said = heard.notice.said
            if not isinstance(said, EventNotice) or said.event != AGREED:
                continue
            if said.details.get("period") == period:
                mine = sides(EventRule(open=True), self.role(heard.notice))
                sides_of.setdefault(said.details.get("digest", ""), set()).update(mine)
        return frozenset(digest for digest, mine in sides_of.items() if mine == BOTH)

    def objections(self, period: str) -> list[Objection]:
        """What was said against statements of a period."""
        return [
            Objection(heard.received_us, heard.notice.party, said.details.get("digest", ""))
            for heard in self.heard
            if isinstance(said := heard.notice.said, EventNotice)
            and said.event == OBJECTED
            and said.details.get("period") == period
        ]

    def notes(self) -> tuple[Note, ...]:
        """How far the log is cosigned, if that was agreed; and for each notice what, by whom, and how that is known."""
        return (*self._cosigning(), *self._said())

    def _cosigning(self) -> Iterator[Note]:
        if self.newest.evidence.cosigned_by is None:
            return
        if self.cosigned is None:
            yield note("not_cosigned")
            return
        received = instant_text(self.cosigned.received_us // MICROSECONDS)
        yield note("cosigned", entries=self.cosigned.entries, received=received)

    def _said(self) -> tuple[Note, ...]:
        return tuple(
            note(
                "notice",
                said=_title(heard.notice),
                party=heard.notice.party,
                authority=heard.authority,
                entry=heard.index,
            )
            for heard in self.heard
        )

    def role(self, notice: Notice) -> str:
        """By the newest version that names the party, since an amendment may name it no more."""
        for version in reversed(self.versions):
            for one in version.contract.parties:
                if one.id == notice.party:
                    return one.role
        return ""

    @property
    def windows(self) -> tuple[Window, ...]:
        """Maintenance that was announced, in the order in which it was heard."""
        withdrawn_s, nodes = self._withdrawn_s(), self.nodes
        said = ((heard, heard.notice.said) for heard in self.heard)
        return tuple(
            Window(
                one.id,
                one.from_us // MICROSECONDS,
                one.until_us // MICROSECONDS,
                heard.received_us // MICROSECONDS,
                frozenset(self._units(one.units, nodes)) if one.units else None,
                withdrawn_s.get(one.id),
            )
            for heard, one in said
            if isinstance(one, MaintenanceNotice)
        )

    def _withdrawn_s(self) -> dict[str, int]:
        """By the name of maintenance when word first arrived that it was called off."""
        found: dict[str, int] = {}
        for heard in self.heard:
            said = heard.notice.said
            if isinstance(said, EventNotice) and said.event == WITHDRAWN:
                name, at_s = said.details.get("id", ""), -(-heard.received_us // MICROSECONDS)
                found[name] = min(found.get(name, at_s), at_s)
        return found

    def _units(self, named: Iterable[str], nodes: Container[str]) -> Iterator[str]:
        """A node stands for itself and for all of its slots."""
        most = max(resource.per_node for resource in self.newest.resources)
        for name in map(self._unit, named):
            yield name
            if name in nodes:
                yield from (f"{name}.{slot}" for slot in range(most))

    def _unit(self, name: str) -> str:
        """A node that handed its place on, or a slot of it, under the name of who holds the place."""
        for holder in self.holders:
            for node, *_ in holder.before:
                if name == node or name.startswith(f"{node}."):
                    return holder.node + name.removeprefix(node)
        return name

    def _exchanged(self) -> Iterator[ToldEvent]:
        for holder in self.holders:
            nodes = [*holder.before, (holder.node, holder.since_us, 0)]
            for (old, *_), (new, since_us, _) in pairwise(nodes):
                details = {"new": new, "old": old}
                yield ToldEvent(EXCHANGED, since_us // MICROSECONDS, holder.node, details)

    def _event(
        self, heard: LoggedNotice, said: EventNotice, rules: Mapping[str, EventRule]
    ) -> ToldEvent:
        return ToldEvent(
            kind=said.event,
            at_s=said.at_us // MICROSECONDS,
            unit=self._unit(said.unit),
            details=said.details,
            since_s=None if said.since_us is None else said.since_us // MICROSECONDS,
            received_s=-(-heard.received_us // MICROSECONDS),
            sides=sides(rules.get(said.event), self.role(heard.notice)),
        )

    def _claim(self, heard: LoggedNotice, said: ClaimNotice) -> Claim:
        unit = None if said.unit is None else self._unit(said.unit)
        return Claim(said.period, heard.received_us // MICROSECONDS, unit, said.objective)


@dataclass(slots=True)
class NoticeBook:
    """Fold entries of KINDS in the order of the log."""

    _entries: list[tuple[int, Entry]] = field(default_factory=list)
    _names: set[str] = field(default_factory=set)
    _heard: dict[str, list[LoggedNotice]] = field(default_factory=dict)
    _first: dict[str, LoggedNotice] = field(default_factory=dict)
    _proven: dict[str, list[ProvenRates]] = field(default_factory=dict)
    _attempted: dict[str, ProvenRates] = field(default_factory=dict)
    _borne_out: dict[str, tuple[int, BothSides]] = field(default_factory=dict)
    _rebooted: dict[str, int] = field(default_factory=dict)
    _issued: list[tuple[int, Issued]] = field(default_factory=list)
    _assignments: dict[str, list[tuple[int, Assignment]]] = field(default_factory=dict)
    _keys: dict[tuple[str, str], PartyKey] = field(default_factory=dict)
    _cosigned: dict[str, list[Cosigned]] = field(default_factory=dict)
    _successions: list[bytes] = field(default_factory=list)
    _versions: tuple[int, Assignments] = field(default_factory=lambda: (0, Assignments()))

    def fold(self, entry: Entry, received_us: int) -> None:
        """Take in one entry; those of other kinds change nothing."""
        payload = entry.envelope.payload
        match entry.kind:
            case EntryKind.CONTRACT:
                self._entries.append((received_us, entry))
                added = read(ContractAdded, payload)
                (self._names.discard if added.withdrawn else self._names.add)(added.contract)
            case EntryKind.ASSIGNMENT:
                assignment = read(Assignment, payload)
                self._assignments.setdefault(assignment.contract, []).append(
                    (received_us, assignment)
                )
            case EntryKind.PARTY:
                change = read(PartyKey, payload)
                name = key_id(bytes.fromhex(change.public_key))
                self._keys[change.contract, name] = change
            case EntryKind.NOTICE:
                notice = read(Notice, payload)
                heard = LoggedNotice(notice, entry.index, received_us, entry.envelope.key_id)
                self._heard.setdefault(notice.contract, []).append(heard)
                self._first.setdefault(digest(encode(notice)), heard)
            case EntryKind.STATEMENT:
                self._issued.append((received_us, read(Issued, payload)))
            case EntryKind.PROOF:
                self._prove(read_outcome(payload), received_us)
            case EntryKind.TELEMETRY:
                self._bear_out(read_telemetry(payload), received_us)
            case EntryKind.COSIGNED:
                self._cosign(read(CosignedHead, payload).note, received_us)
            case EntryKind.SUCCESSION:
                self._successions.append(encode_envelope(entry.envelope))
            case _:
                pass

    def _prove(self, ended: ChallengeOutcome, received_us: int) -> None:
        """A series counts once, where it ends."""
        found = proven(self._attempted.pop(ended.series, None), ended, received_us)
        if found.final:
            self._proven.setdefault(ended.contract, []).append(found)
        else:
            self._attempted[ended.series] = found

    def _bear_out(self, linked: Telemetry, received_us: int) -> None:
        if linked.rebooted:
            self._rebooted[linked.challenge] = received_us
        if linked.both is not None and linked.both.busy:
            self._borne_out[linked.both.series] = (received_us, linked.both)

    def _excused(self, one: ProvenRates, as_of_us: int) -> ProvenRates:
        """As far as telemetry is known by then."""
        if self._rebooted.get(one.challenge, FOREVER_US) <= as_of_us:
            one = rebooted(one)
        received_us, both = self._borne_out.get(one.series, (FOREVER_US, None))
        return one if both is None or received_us > as_of_us else excused(one, both)

    def _cosign(self, head: str, received_us: int) -> None:
        """A head counts for the contracts whose policy, as it was then, accepts it."""
        size, accepted = read_head(head).size, {}
        for name in sorted(self._names):
            asked = self.versions(name, received_us)[-1].contract.evidence.cosigned_by
            if asked is not None and asked not in accepted:
                accepted[asked] = _accepts(asked, head, self._successions)
            if asked is not None and accepted[asked]:
                self._cosigned.setdefault(name, []).append(Cosigned(size, received_us))

    @property
    def contracts(self) -> frozenset[str]:
        """The names of all that are known."""
        return frozenset(self._names)

    def party_key(self, contract: str, name: str) -> PartyKey | None:
        """The key of a party, if it speaks; `name` is its id."""
        found = self._keys.get((contract, name))
        return found if found is not None and found.action == "enrolled" else None

    def party_keys(self, contract: str) -> list[PartyKey]:
        """Every key that ever spoke for a party of the contract, as it stands."""
        return [change for (of, _), change in self._keys.items() if of == contract]

    def rules(self, contract: str) -> NoticeRules | None:
        """What its parties may say now; None for a contract that is not known."""
        contract_record = self.record(contract, FOREVER_US)
        if contract_record is None:
            return None
        nodes = frozenset(assignment.node for _, assignment in self._assignments.get(contract, ()))
        said = (one.notice.said for one in contract_record.heard)
        windows = frozenset(one.id for one in said if isinstance(one, MaintenanceNotice))
        return NoticeRules(contract_record.versions, nodes, windows)

    def heard(self, notice: Notice) -> LoggedNotice | None:
        """The entry in which the same was said by the same party before."""
        return self._first.get(digest(encode(notice)))

    def supposing(self, notice: Notice, received_us: int) -> "NoticeBook":
        """The book as it would be if this had been heard, too; it follows no log."""
        heard = LoggedNotice(notice, NOT_ENTERED, received_us, "")
        told = [*self._heard.get(notice.contract, ()), heard]
        return replace(self, _heard={**self._heard, notice.contract: told})

    def said(self, contract: str, as_of_us: int) -> tuple[int, ...]:
        """How much was said by then that statements of a contract rest on: more entries give another answer."""
        told = (
            (one.received_us for one in self._heard.get(contract, ())),
            (at_us for at_us, one in self._issued if one.contract == contract),
            (at_us for at_us, _ in self._entries),
            (at_us for at_us, _ in self._assignments.get(contract, ())),
        )
        return tuple(sum(at_us <= as_of_us for at_us in times) for times in told)

    def issued(self, contract: str, period: str, as_of_us: int) -> Issued | None:
        """The newest statement of the period that was handed out before that instant."""
        known = [
            one
            for received_us, one in self._issued
            if (one.contract, one.period) == (contract, period)
            and max(received_us, one.as_of_us) < as_of_us
        ]
        return known[-1] if known else None

    def reached(self, contract: str, period: str, as_of_us: int) -> tuple[Reached, ...] | None:
        """How far the chains had come for the statement that was handed out as of an instant; None: there was none."""
        named = (contract, period, as_of_us)
        for _, one in reversed(self._issued):
            if (one.contract, one.period, one.as_of_us) == named:
                return one.reached
        return None

    def agreed_us(self, contract: str, period: str, as_of_us: int) -> int | None:
        """The instant of the newest issued statement on which both sides had agreed by then; None: there is none."""
        contract_record = self.record(contract, as_of_us)
        digests = frozenset[str]() if contract_record is None else contract_record.agreed(period)
        known = [
            one.as_of_us
            for received_us, one in self._issued
            if (one.contract, one.period) == (contract, period)
            and one.digest in digests
            and received_us <= as_of_us
        ]
        return known[-1] if known else None

    def confirmed(self, contract: str, period: Period, as_of_us: int) -> Confirmed | None:
        """How far silence has confirmed a statement of a period by then; None: it confirms none."""
        contract_record = self.record(contract, as_of_us)
        if contract_record is None:
            return None
        issued = [
            (received_us, one)
            for received_us, one in self._issued
            if (one.contract, one.period) == (contract, period.label)
            and period.end_s * MICROSECONDS <= one.as_of_us
            and received_us <= as_of_us
        ]
        said = contract_record.objections(period.label)
        return confirmed(contract_record.newest, issued, said, as_of_us)

    def versions(self, contract: str, as_of_us: int) -> Sequence[Version]:
        """The oldest first; none of a contract that was not known then."""
        return self._known(as_of_us).versions(contract)

    def record(self, contract: str, as_of_us: int) -> ContractRecord | None:
        """None for a contract that was not known then."""
        versions = self.versions(contract, as_of_us)
        if not versions:
            return None
        heard = [one for one in self._heard.get(contract, ()) if one.received_us <= as_of_us]
        found = [
            self._excused(one, as_of_us)
            for one in self._proven.get(contract, ())
            if one.received_us <= as_of_us
        ]
        holders = tuple(self._history(contract, as_of_us).over(as_of_us, as_of_us + 1))
        signed = [one for one in self._cosigned.get(contract, ()) if one.received_us <= as_of_us]
        cosigned = signed[-1] if signed else None
        return ContractRecord(tuple(versions), holders, tuple(heard), tuple(found), cosigned)

    def of_period(
        self, contract: str, label: str, as_of_us: int
    ) -> tuple[ContractRecord, Period] | None:
        """What a period is settled from, as known at an instant; None for a contract that was not known then.

        Raises ValueError where no version of the contract knows the label.
        """
        contract_record = self.record(contract, as_of_us)
        if contract_record is None:
            return None
        period = cut(contract_record.versions, label)
        start_us, end_us = (edge_s * MICROSECONDS for edge_s in period.interval_s)
        holders = self.holders(contract, min(start_us, as_of_us), end_us, as_of_us)
        versions = ruling(contract_record.versions, period)
        return replace(contract_record, versions=versions, holders=holders), period

    def holders(
        self, contract: str, start_us: int, end_us: int, as_of_us: int
    ) -> tuple[Holder, ...]:
        """Who held its places over [start_us, end_us), as known at an instant."""
        return tuple(self._history(contract, as_of_us).over(start_us, end_us))

    def _history(self, contract: str, as_of_us: int) -> SlotHistory:
        history = SlotHistory()
        for received_us, assignment in self._assignments.get(contract, ()):
            if received_us <= as_of_us:
                history.assign(assignment, received_us)
        return history

    def assignments(self, contract: str, since_us: int, as_of_us: int) -> dict[str, Assignment]:
        """Its assignments of the nodes that it held at some time in [since, as of], in their order."""
        held: dict[str, Assignment] = {}
        for received_us, assignment in self._assignments.get(contract, ()):
            if received_us > as_of_us:
                break
            if not assignment.releases:
                held[assignment.node] = assignment
            elif received_us <= since_us:
                held.pop(assignment.node, None)
        return held

    def seen_by(self, contract: str, as_of_us: int) -> dict[str, Times]:
        """By node the times that are the contract's to see, by what was received until then. From any thread."""
        found = {
            name: stays(one for one in assignments if one[0] <= as_of_us)
            for name, assignments in list(self._assignments.items())
        }
        mine = found.pop(contract, [])
        return seen_by(mine, [stay for others in found.values() for stay in others])

    def assigned_from_us(self, contract: str) -> int | None:
        """When a node was first assigned to it; None: never."""
        assignments = self._assignments.get(contract)
        return assignments[0][0] if assignments else None

    def _known(self, as_of_us: int) -> Assignments:
        """Of the entries received until then; the newest answer is kept, because loading a contract takes time."""
        entries = [entry for received_us, entry in self._entries if received_us <= as_of_us]
        kept = self._versions
        if kept[0] != len(entries):
            # Another thread may ask as of another instant meanwhile: its answer is not this one.
            kept = self._versions = (len(entries), _folded(entries))
        return kept[1]


def _accepts(policy: str, head: str, successions: Sequence[bytes]) -> bool:
    """A head with a signature that does not verify is good for nobody."""
    try:
        return read_policy(policy).following(successions).accepts(head)
    except SignatureError:
        return False


def _folded(entries: Iterable[Entry]) -> Assignments:
    assignments = Assignments()
    for entry in entries:
        assignments.add(read(ContractAdded, entry.envelope.payload))
    return assignments


def _owned(row: Row, announced: Iterable[tuple[str, str]]) -> Row:
    """A row of a stranger as what it is: service, if its device was announced, or else unknown time."""
    if not is_stranger(row):
        return row
    if any(new == row.device and names(unit, row.node) for unit, new in announced):
        rest = (cause for cause in row.cause.split(JOINED) if cause != STRANGER)
        return replace(row, cause=JOINED.join(rest))
    return replace(row, state=State.UNKNOWN, cause=STRANGER)


def _title(notice: Notice) -> Note:
    match notice.said:
        case MaintenanceNotice(id=name):
            return note("maintenance", id=name)
        case CauseNotice(code=cause, unit=""):
            return note("cause_of_all", cause=cause)
        case CauseNotice(code=cause, unit=unit):
            return note("cause", cause=cause, unit=unit)
        case EventNotice(event=event, unit=""):
            return note("event_of_all", event=event)
        case EventNotice(event=event, unit=unit):
            return note("event", event=event, unit=unit)
        case ClaimNotice(period=period):
            return note("claim", period=period)
