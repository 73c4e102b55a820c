"""A log told by hand, and the documents that are made of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from tests.weighbridge.scripted import SECOND, SIGNER, START_US, ScriptedNode, contract_text
from weighbridge.challenge.record import ChallengeOutcome, seal_record
from weighbridge.codes import note
from weighbridge.handover.acceptance import certificate
from weighbridge.handover.delivery import delivery_note
from weighbridge.handover.documents import Certificate, DeliveryNote
from weighbridge.handover.inputs import HandoverInputs, SpokenNotice
from weighbridge.handover.reports import ReportingAgent
from weighbridge.log.entries import (
    Assignment,
    ContractAdded,
    Entry,
    EntryKind,
    EventNotice,
    Notice,
    Tick,
    entry,
    payload_type,
)
from weighbridge.wire.report import encode
from weighbridge.wire.signing import Signer

IDLE: Mapping[str, int | str] = {"power_draw_milliwatts": 90_000, "utilization_gpu_percent": 0}
"""A card of 70 to 120 W idle that does nothing."""

Changes = Mapping[int, Mapping[str, Mapping[str, int | str]]]


def at(second: int) -> str:
    """So many seconds after the story begins, as documents write it."""
    days, rest = divmod(second, 86400)
    return f"2026-10-{days + 1:02}T{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}Z"


def always(device: str, seconds: Iterable[int], values: Mapping[str, int | str]) -> Changes:
    """A device shows these values at all of these seconds."""
    return {second: {device: values} for second in seconds}


@dataclass
class Story:
    """Entries of one contract's log in their order; seconds count from START_US."""

    text: str = field(default_factory=contract_text)
    entries: list[Entry] = field(default_factory=list)
    assignments: dict[str, Assignment] = field(default_factory=dict)
    speakers: dict[str, ReportingAgent] = field(default_factory=dict)
    spoken: list[SpokenNotice] = field(default_factory=list)

    def tick(self, second: int) -> None:
        self._append(SIGNER, EntryKind.TICK, encode(Tick(wall_us=START_US + second * SECOND)))

    def assign(self, *nodes: str, devices: list[str] | None = None) -> None:
        for node in nodes:
            self.assignments[node] = Assignment(contract="K1", node=node, devices=devices)

    def tell(
        self,
        node: ScriptedNode,
        seconds: Sequence[int],
        changes: Changes | None = None,
        side: str = "provider",
        received: int | None = None,
        **fields: Any,
    ) -> None:
        """A report, received at its last second unless it says otherwise."""
        signer = Signer(sha256(f"{node.name}@{side}".encode()).digest())
        self.speakers[signer.key_id] = ReportingAgent(node.name, side)
        self.tick(seconds[-1] if received is None else received)
        payload = encode(node.report(seconds, changes, **fields))
        self._append(signer, EntryKind.REPORT, payload)

    def prove(self, ended: ChallengeOutcome, received: int) -> None:
        """The end of a challenge."""
        self.tick(received)
        kind, leaf = seal_record(SIGNER, ended)
        self.entries.append(entry(len(self.entries), leaf))
        assert kind is EntryKind.PROOF

    def say(
        self, event: str, second: int, unit: str = "", party: str = "P", **details: str
    ) -> None:
        said = EventNotice(
            kind="event",
            event=event,
            at_us=START_US + second * SECOND,
            since_us=None,
            unit=unit,
            details=details,
        )
        notice = Notice(contract="K1", party=party, said=said, attested_for=None)
        self.spoken.append(
            SpokenNotice(notice, 1000 + len(self.spoken), note("signed", key="0123"))
        )

    def _append(self, signer: Signer, kind: EntryKind, payload: bytes) -> None:
        leaf = signer.seal(payload_type(kind), payload)
        self.entries.append(entry(len(self.entries), leaf))

    def inputs(self, as_of: int, **more: Any) -> HandoverInputs:
        return HandoverInputs(
            contract="K1",
            added=(ContractAdded(contract="K1", version=1, text=self.text, from_us=START_US),),
            assignments=tuple(self.assignments.values()),
            speakers=self.speakers,
            spoken=tuple(self.spoken),
            start=0,
            end=len(self.entries),
            as_of_us=START_US + as_of * SECOND,
            simulated=False,
            tables_digest="0" * 64,
            **more,
        )

    def note(self, as_of: int = 86400, **more: Any) -> DeliveryNote:
        return delivery_note(self.inputs(as_of, **more), self.entries)

    def certificate(self, start: int, end: int, as_of: int = 86400, **more: Any) -> Certificate:
        window = {"from_us": START_US + start * SECOND, "until_us": START_US + end * SECOND}
        return certificate(self.inputs(as_of, **window, **more), self.entries)
