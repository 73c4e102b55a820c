"""Reports of the log, opened and placed: whose they are, and when their samples were taken."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from weighbridge.judge.node import anchor, chain_name
from weighbridge.judge.node_state import ChainState
from weighbridge.log.entries import Entry, EntryKind, Tick
from weighbridge.wire.bounds import within_bounds
from weighbridge.wire.report import Block, Report, decode, read

NOTHING_NEW = b'"inventory":null'


@dataclass(frozen=True, slots=True)
class ReportingAgent:
    """The node that a key speaks for, and whose agent it is."""

    node: str
    side: str


@dataclass(frozen=True, slots=True)
class AcceptedReport:
    """A report that was accepted. `offset_us` leads from its CLOCK_BOOTTIME to UTC."""

    index: int
    speaker: ReportingAgent
    chain: str
    offset_us: int
    report: Report

    def samples(self) -> Iterator[tuple[int, Block, int]]:
        """(instant, block, sample) in the order of the node's clock; what lies after its own report was never seen."""
        made_us = self.report.clock.boottime_us
        found = [
            (at, block.tier == "fast", block, sample)
            for block in self.report.blocks
            for sample, at in enumerate(block.boottime_us)
            if at <= made_us
        ]
        for at, _, block, sample in sorted(found, key=lambda one: one[:2]):
            yield self.offset_us + at, block, sample


@dataclass(slots=True)
class Reader:
    """Reads entries in their order, and keeps account of all that was used. The first entry must be a tick.

    A boot is anchored as judgement anchors it (`weighbridge.judge.node.anchor`), by the first report of it that is
    read.
    """

    speakers: Mapping[str, ReportingAgent]
    received_us: int = 0
    first: int | None = None
    last: int | None = None
    reports: int = 0
    _chains: dict[tuple[str, str], ChainState] = field(default_factory=dict)
    _digest: Any = field(default_factory=sha256)

    def heard(
        self, entries: Iterable[Entry], whole_from_us: int = 0
    ) -> Iterator[AcceptedReport | Entry]:
        """Reports of the speakers, and proofs, and what telemetry says of them, as they are. What was received before
        `whole_from_us` is opened only where it shows an inventory.
        """
        for entry in entries:
            self.first = entry.index if self.first is None else self.first
            self.last = entry.index
            payload = entry.envelope.payload
            if entry.kind is EntryKind.TICK:
                self.received_us = read(Tick, payload).wall_us
            elif entry.kind in (EntryKind.PROOF, EntryKind.TELEMETRY):
                yield entry
            elif entry.kind is EntryKind.REPORT and entry.envelope.key_id in self.speakers:
                early = self.received_us < whole_from_us
                if not (early and NOTHING_NEW in payload):
                    yield self._opened(entry)

    def _opened(self, entry: Entry) -> AcceptedReport:
        report, key = within_bounds(decode(entry.envelope.payload)), entry.envelope.key_id
        name = chain_name(report)
        chain = self._chains.setdefault((key, name), ChainState(name))
        anchor(chain, report.boot, report.clock, self.received_us)
        self.reports += 1
        self.use(entry)
        return AcceptedReport(
            entry.index, self.speakers[key], f"{key}/{name}", chain.offset_us, report
        )

    def use(self, entry: Entry) -> None:
        """Counts an entry among the inputs whose digest the document holds."""
        self.note(entry.index.to_bytes(8, "big") + entry.envelope.payload)

    def note(self, data: bytes) -> None:
        """Counts these bytes among the inputs whose digest the document holds."""
        self._digest.update(len(data).to_bytes(8, "big") + data)

    @property
    def inputs_digest(self) -> str:
        """The SHA-256 of everything that was used, in its order."""
        return str(self._digest.hexdigest())
