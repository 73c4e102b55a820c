"""The delivery note: per slot what was first seen in it, where that is not what was contracted, and what never came."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

from weighbridge.codes import HandoverFlag
from weighbridge.contract import Resource
from weighbridge.contract.resources import Batch, FilledSlot
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.handover.arrival import Arrival, Arrivals, differing, number, text
from weighbridge.handover.documents import (
    BatchLine,
    DeliveryNote,
    Difference,
    ItemLine,
    MissingLine,
    SlotLine,
)
from weighbridge.handover.inputs import AssignedTerms, HandoverInputs
from weighbridge.handover.reports import AcceptedReport, Reader
from weighbridge.log.entries import Entry
from weighbridge.settlement.periods import day_start, instant_text, term_of_s
from weighbridge.verdict import Verdict

IDENTITY = ("sku_mismatch", "memory_short")
"""Differences that say that the card is another one."""


def delivery_note(inputs: HandoverInputs, entries: Iterable[Entry]) -> DeliveryNote:
    """From the entries of the assignment's range. It reads no further than it must."""
    terms = AssignedTerms.of(inputs, inputs.as_of_us)
    reader = Reader(inputs.speakers)
    nodes = list(terms.assignments.nodes(inputs.contract))
    arrivals = Arrivals(terms.assignments, inputs.contract, nodes, inputs.times)
    for heard in reader.heard(entries):
        if isinstance(heard, AcceptedReport):
            arrivals.see(heard)
            if not arrivals.open(heard.speaker.node):
                _listen_no_more(reader, heard.speaker.node)
        if arrivals.whole:
            break
    return _Note(terms, arrivals.close()).note(reader)


def _listen_no_more(reader: Reader, node: str) -> None:
    """Stops reading reports of a node whose slots were all judged."""
    others = {key: one for key, one in reader.speakers.items() if one.node != node}
    reader.speakers = others


@dataclass(frozen=True)
class _Note:
    terms: AssignedTerms
    arrived: Sequence[Arrival]

    def note(self, reader: Reader) -> DeliveryNote:
        items = [self._item(item) for item in self.terms.contract.resources]
        differences = tuple(self._differences())
        standing = "nothing"
        if any(item.gpus_seen for item in items):
            whole = all(item.gpus_seen >= item.gpus for item in items)
            right = not any(map(_breached, differences))
            standing = "complete" if whole and right else "incomplete"
        return DeliveryNote(
            source=self.terms.source(reader),
            standing=standing,
            start=self.terms.start(),
            items=tuple(items),
            batches=tuple(self._batches()),
            slots=tuple(self._slot(one) for one in self.arrived),
            differences=differences,
            missing=tuple(self._missing()),
            said=self.terms.said(),
            flags=tuple(sorted(self._flags(differences))),
        )

    def _of(self, item: Resource) -> list[Arrival]:
        return [one for one in self.arrived if self.terms.resource(one.node).id == item.id]

    def _whole_us(self, item: Resource) -> dict[str, int]:
        """The nodes whose slots were all seen, in that order, and when the last of them was."""
        found: dict[str, list[int]] = {}
        for one in self._of(item):
            found.setdefault(one.node, []).append(one.first_us)
        whole = {node: max(at) for node, at in found.items() if len(at) == item.per_node}
        return dict(sorted(whole.items(), key=lambda pair: (pair[1], pair[0])))

    def _item(self, item: Resource) -> ItemLine:
        return ItemLine(
            resource=item.id,
            sku=item.accelerator.sku,
            nodes=item.nodes,
            per_node=item.per_node,
            gpus=item.nodes * item.per_node,
            gpus_seen=len(self._of(item)),
            nodes_seen_whole=len(self._whole_us(item)),
        )

    def _batches(self) -> Iterator[BatchLine]:
        for item in self.terms.contract.resources:
            whole, taken = list(self._whole_us(item).values()), 0
            for batch in ordered(item):
                mine = whole[taken : taken + batch.nodes]
                taken += batch.nodes
                yield self._batch(item, batch, mine)

    def _batch(self, item: Resource, batch: Batch, whole: Sequence[int]) -> BatchLine:
        """The due day is in time to its end, in the zone of the contract."""
        due_s = day_start(batch.due + timedelta(days=1), self.terms.contract.time_zone)
        done_us = max(whole) if len(whole) == batch.nodes else None
        if done_us is not None:
            standing = "in_time" if done_us < due_s * MICROSECONDS else "late"
        else:
            late = self.terms.inputs.as_of_us >= due_s * MICROSECONDS
            standing = "overdue" if late else "open"
        complete = None if done_us is None else instant_text(done_us // MICROSECONDS)
        return BatchLine(
            item.id, batch.id, batch.nodes, len(whole), instant_text(due_s), complete, standing
        )

    @cached_property
    def _batch_of(self) -> dict[str, str]:
        """The batch of each node that was seen whole."""
        found: dict[str, str] = {}
        for item in self.terms.contract.resources:
            places = [batch.id for batch in ordered(item) for _ in range(batch.nodes)]
            found |= zip(self._whole_us(item), places, strict=False)
        return found

    def _slot(self, one: Arrival) -> SlotLine:
        item = self.terms.resource(one.node)
        promised = promised_slot(item, unit_of(one))
        return SlotLine(
            unit=unit_of(one),
            resource=item.id,
            batch=self._batch_of.get(one.node),
            uuid=one.device,
            model=text(one.identity, "name"),
            serial=text(one.identity, "serial"),
            host_serial=None if promised is None else promised.host_serial,
            board_part=text(one.identity, "board_part_number"),
            pci_bus_id=text(one.identity, "pci_bus_id"),
            vbios=text(one.identity, "vbios_version"),
            driver=text(one.driver, "driver_version"),
            memory_bytes=number(one.identity, "memory_total_bytes"),
            first_seen=instant_text(one.first_us // MICROSECONDS),
            side=one.side,
            entry=one.index,
        )

    def _differences(self) -> Iterator[Difference]:
        for one in self.arrived:
            unit = unit_of(one)
            if one.answers is None:
                yield _difference(one, "not_judged", Verdict.UNKNOWN, "", "")
            for code, answer in differing(one.answers):
                found = (answer.verdict, answer.expected, str(answer.observed))
                yield _difference(one, code, *found)
            yield from _other_device(one, promised_slot(self.terms.resource(one.node), unit))

    def _missing(self) -> Iterator[MissingLine]:
        """By line item: slots of the nodes that are assigned, then nodes that never were."""
        seen = {unit_of(one) for one in self.arrived}
        for item in self.terms.contract.resources:
            nodes = self.terms.nodes(item)
            for node in nodes:
                slots = [f"{node}.{slot}" for slot in range(item.per_node)]
                absent = tuple(slot for slot in slots if slot not in seen)
                if absent:
                    yield MissingLine(item.id, node, 1, len(absent), absent)
            unassigned = item.nodes - len(nodes)
            if unassigned > 0:
                yield MissingLine(item.id, None, unassigned, unassigned * item.per_node, ())

    def _is_late(self, node: str, first_us: int) -> bool:
        start_s = self.terms.start_of_node_s(node, self._batch_of.get(node))
        return start_s is not None and first_us > start_s * MICROSECONDS

    def _flags(self, differences: Iterable[Difference]) -> set[HandoverFlag]:
        found: set[HandoverFlag] = set()
        as_of_us = self.terms.inputs.as_of_us
        if any(self._is_late(one.node, one.first_us) for one in self.arrived):
            found.add("late_birth")
        if not self.arrived and as_of_us >= self._first_due_s() * MICROSECONDS:
            found.add("zero_delivery")
        if any(one.code in IDENTITY and _breached(one) for one in differences):
            found.add("impossible_identity")
        return found

    def _first_due_s(self) -> int:
        """When the first batch is late; where there are none, the start of the term."""
        zone = self.terms.contract.time_zone
        days = [batch.due for item in self.terms.contract.resources for batch in item.delivery]
        if not days:
            return term_of_s(self.terms.contract)[0]
        return day_start(min(days) + timedelta(days=1), zone)


def ordered(item: Resource) -> list[Batch]:
    """The batches of a line item by their due day, and as they are listed."""
    return sorted(item.delivery, key=lambda batch: batch.due)


def unit_of(one: Arrival) -> str:
    """The slot as statements name it."""
    return f"{one.node}.{one.slot}"


def promised_slot(item: Resource, unit: str) -> FilledSlot | None:
    """What the contract says of a slot by its name."""
    return next((slot for slot in item.slots if slot.id == unit), None)


def _difference(
    one: Arrival, code: str, verdict: Verdict, expected: str, observed: str
) -> Difference:
    return Difference(unit_of(one), one.device, code, verdict.name, expected, observed)


def _breached(one: Difference) -> bool:
    return Verdict[one.verdict] is Verdict.BREACHED


def _other_device(one: Arrival, promised: FilledSlot | None) -> Iterator[Difference]:
    """Another GPU than the one that the contract names for the slot."""
    if promised is None:
        return
    serial = text(one.identity, "serial")
    if promised.uuid not in (None, one.device):
        yield _difference(one, "other_uuid", Verdict.BREACHED, str(promised.uuid), one.device)
    if promised.serial not in (None, serial):
        verdict = Verdict.UNKNOWN if serial is None else Verdict.BREACHED
        yield _difference(one, "other_serial", verdict, str(promised.serial), serial or "")
