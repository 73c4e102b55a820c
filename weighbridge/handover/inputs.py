"""What a document is made of besides reports and proofs, as data, so that it can be made elsewhere."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from hashlib import sha256

from weighbridge.catalogue.tables import Sku, sku
from weighbridge.codes import Note
from weighbridge.contract import Contract, Resource
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.contract.zone_data import time_zone
from weighbridge.handover.documents import ENGINE, NoticeLine, PartyLine, Source, Start
from weighbridge.handover.reports import Reader, ReportingAgent
from weighbridge.judge.assignments import Assignments, Version
from weighbridge.judge.slot_history import EVER, Times
from weighbridge.log.entries import Assignment, ContractAdded, EventNotice, Notice
from weighbridge.settlement.periods import instant_text, moment_of, term_of_s
from weighbridge.settlement.record import ToldEvent
from weighbridge.settlement.service import STARTS, start_of_s, starts_s
from weighbridge.wire.report import encode

NOTICES = frozenset(
    {"delivered", "acceptance_signed", "acceptance_refused", "first_used", "batch_accepted"}
)
"""Events that both documents show."""


@dataclass(frozen=True, slots=True)
class SpokenNotice:
    """A notice of a party as the log has it, and how it is known who said it."""

    notice: Notice
    index: int
    authority: Note


@dataclass(frozen=True, slots=True)
class HandoverInputs:
    """A document to be made. `filled`: who fills which slot in the window, where the ledger knows it: [node][slot].
    `seen`: by node the times that are this contract's to see; of a node that is not named, all.

    `start`, `end`: the entries to read; the first is a tick. `from_us`, `until_us`: the window of a certificate.
    """

    contract: str
    added: tuple[ContractAdded, ...]
    assignments: tuple[Assignment, ...]
    speakers: Mapping[str, ReportingAgent]
    spoken: tuple[SpokenNotice, ...]
    start: int
    end: int
    as_of_us: int
    simulated: bool
    tables_digest: str
    from_us: int | None = None
    until_us: int | None = None
    filled: Mapping[str, tuple[tuple[str, ...], ...]] | None = None
    seen: Mapping[str, Times] = field(default_factory=dict)

    def times(self, node: str) -> Times:
        """Of a node that are this contract's to see."""
        return self.seen.get(node, EVER)


@dataclass(frozen=True)
class AssignedTerms:
    """The contract of a document, and which node is assigned to which line item."""

    inputs: HandoverInputs
    assignments: Assignments
    version: Version

    @classmethod
    def of(cls, inputs: HandoverInputs, at_us: int) -> "AssignedTerms":
        """By the version that is in force at an instant; the first one before."""
        assignments = Assignments()
        for added in inputs.added:
            assignments.add(added)
        for assignment in inputs.assignments:
            assignments.assign(assignment, at_us)
        versions = assignments.versions(inputs.contract)
        begun = [version for version in versions if version.from_us <= at_us]
        return cls(inputs, assignments, begun[-1] if begun else versions[0])

    @property
    def contract(self) -> Contract:
        return self.version.contract

    @cached_property
    def held(self) -> Mapping[str, Assignment]:
        """The assignment of each node, in the order of the assignments."""
        return self.assignments.nodes(self.contract.contract_id)

    def resource(self, node: str) -> Resource:
        """The line item that a node serves."""
        wanted = self.held[node].resource
        found = [item for item in self.contract.resources if wanted in (None, item.id)]
        return found[0]

    def card(self, node: str) -> Sku | None:
        """The contracted card of a node; None where the table does not have it."""
        return sku(self.resource(node).accelerator.sku)

    def nodes(self, resource: Resource) -> list[str]:
        """Those assigned to a line item, in the order of their assignments."""
        return [node for node in self.held if self.resource(node).id == resource.id]

    def source(self, reader: Reader) -> Source:
        """What the document is made from; call it last."""
        given, contract = self.inputs, self.contract
        for data in self._inputs():
            reader.note(data)
        entries = None
        if reader.first is not None and reader.last is not None:
            entries = (reader.first, reader.last)
        return Source(
            contract=contract.contract_id,
            version=contract.version,
            text_digest=sha256(self.version.text.encode()).hexdigest(),
            time_zone=contract.time_zone,
            currency=contract.currency,
            as_of=instant_text(given.as_of_us // MICROSECONDS),
            simulated=given.simulated,
            engine=ENGINE,
            tables_digest=given.tables_digest,
            entries=entries,
            reports=reader.reports,
            inputs_digest=reader.inputs_digest,
            parties=tuple(
                PartyLine(one.id, one.name, one.registration, one.role) for one in contract.parties
            ),
        )

    def _inputs(self) -> Iterator[bytes]:
        given = self.inputs
        yield f"{given.contract} {given.as_of_us} {given.from_us} {given.until_us}".encode()
        yield from (encode(added) for added in given.added)
        yield from (encode(assignment) for assignment in given.assignments)
        yield from (encode(one.notice) for one in given.spoken)
        yield repr(sorted((given.filled or {}).items())).encode()
        yield repr(sorted(given.seen.items())).encode()

    def events(self) -> list[tuple[SpokenNotice, EventNotice]]:
        """What happened, as the parties told it."""
        found = [(one, one.notice.said) for one in self.inputs.spoken]
        return [(one, said) for one, said in found if isinstance(said, EventNotice)]

    def said(self) -> tuple[NoticeLine, ...]:
        """The notices that matter to a handover."""
        return tuple(
            NoticeLine(
                event=said.event,
                unit=said.unit,
                at=instant_text(said.at_us // MICROSECONDS),
                party=one.notice.party,
                authority=one.authority,
                entry=one.index,
            )
            for one, said in self.events()
            if said.event in NOTICES
        )

    def start(self) -> Start:
        """When service starts, by the contract's rule: by an event, or by silence where that accepts."""
        rule = self.contract.acceptance.billing_starts
        at_s = self.start_s()
        return Start(
            rule=rule,
            event=STARTS[rule],
            at=None if at_s is None else instant_text(at_s),
            local=None if at_s is None else self.local(at_s),
        )

    def start_s(self) -> int | None:
        """When service starts, in seconds; None: not yet."""
        started = start_of_s(self.contract, self._told(), self.inputs.as_of_us // MICROSECONDS)
        return None if started is None else max(started, term_of_s(self.contract)[0])

    def start_of_node_s(self, node: str, batch: str | None) -> int | None:
        """The same of a node that lies in a batch, where parts are accepted alone."""
        told = starts_s(self.contract, self._told(), self.inputs.as_of_us // MICROSECONDS)
        if not self.contract.acceptance.partial_acceptance:
            return self.start_s()
        mine = [at_s for part, at_s in told if part in ("", node, batch)]
        return max(min(mine), term_of_s(self.contract)[0]) if mine else None

    def _told(self) -> list[ToldEvent]:
        return [
            ToldEvent(said.event, said.at_us // MICROSECONDS, said.unit)
            for _, said in self.events()
        ]

    def local(self, seconds: int) -> str:
        """An instant on the clocks of the contract."""
        zone = time_zone(self.contract.time_zone)
        moment: datetime = moment_of(seconds).astimezone(zone)
        return moment.isoformat()


def filled_slots(
    given: Mapping[str, tuple[tuple[str, ...], ...]] | None,
    node: str,
    per_node: int,
    seen: list[str],
) -> list[list[str]]:
    """The devices of each slot: those that the ledger knows, and in what is vacant those that were only seen."""
    known = [list(devices) for devices in (given or {}).get(node, ())]
    slots = [*known, *([] for _ in range(per_node - len(known)))][:per_node]
    placed = {device for devices in slots for device in devices}
    waiting = [device for device in seen if device not in placed]
    for devices in slots:
        if not devices and waiting:
            devices.append(waiting.pop(0))
    return slots
