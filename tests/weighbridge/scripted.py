"""Log entries for tests: contracts, assignments, ticks, and the reports of nodes whose samples follow a script."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from weighbridge.judge import reach_lines
from weighbridge.judge.fleet import FleetFold
from weighbridge.judge.ledger import Finding, Row, StateSpan, timeline
from weighbridge.judge.node import Change
from weighbridge.judge.slot_history import Holder
from weighbridge.judge.track import open_rows
from weighbridge.judge.two_sides import by_slot
from weighbridge.log.entries import (
    Assignment,
    ContractAdded,
    Entry,
    EntryKind,
    Tick,
    entry,
    payload_type,
)
from weighbridge.wire.report import Model, Report, WirePart, canonical, decode, digest, encode
from weighbridge.wire.signing import Signer

SIGNER = Signer(bytes(range(32)))
SECOND = 1_000_000
START_US = 1_790_812_800 * SECOND
"""2026-10-01T00:00:00Z, a full hour."""

CONTRACT = """\
contract_id: {name}
version: "{version}"
{supersedes}effective: {effective}
time_zone: UTC
currency: USD
parties: [{{id: P, role: provider}}, {{id: L, role: lessee}}]
term: {{from: 2026-10-01T00:00:00Z, to: 2027-10-01T00:00:00Z}}
resources:
  - id: h100
    accelerator: {{sku: H100-SXM-80GB}}
    per_node: "{per_node}"
    nodes: "{nodes}"
    floors: {floors}
    bounds: {bounds}
{more}availability:
  - {{id: gpus, unit: gpu, target: "0.99"}}
  - {{id: nodes, unit: node, target: "0.99"}}
unknown: {{policy: hold}}
sampling: {{interval_s: "10", max_gap_s: "30", first_report_within_s: "600"}}
"""
FLOORS = '{power_limit_milliwatts: "700000", pcie_width: "16", ecc: "on", mig: "off"}'


def contract_text(name: str = "K1", **changes: Any) -> str:
    """A contract for H100 nodes; `changes` fill the template."""
    values = {
        "name": name,
        "version": 1,
        "supersedes": "",
        "effective": "2026-10-01T00:00:00Z",
        "per_node": 2,
        "nodes": 1,
        "floors": FLOORS,
        "bounds": "[]",
        "more": "",
    }
    return CONTRACT.format(**values | changes)


IDENTITY: Mapping[str, int | str] = {
    "name": "NVIDIA H100 80GB HBM3",
    "pci_device_id": "10de:2330",
    "pci_subsystem_id": "10de:16c1",
    "gpu_cores": 16896,
    "memory_total_bytes": 81559 << 20,
    "ecc_mode_code": 1,
    "mig_mode_code": 0,
    "virtualization_mode_code": 0,
}
FAST: Mapping[str, int] = {
    "power_draw_milliwatts": 300_000,
    "memory_used_bytes": 1 << 30,
    "temperature_gpu_celsius": 50,
    "power_limit_enforced_milliwatts": 700_000,
    "pcie_link_width_lanes": 16,
    "utilization_gpu_percent": 90,
    "sm_clock_megahertz": 1980,
}


@dataclass
class ScriptedNode:
    """Makes the reports of one node, whose CLOCK_BOOTTIME was 1000 s when the script starts."""

    name: str = "n1"
    gpus: int = 2
    chain: str = "chain-1"
    boot: str = "boot-1"
    synchronized: bool | None = True
    wall_offset_us: int = 0
    identity: dict[str, dict[str, int | str]] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    driver: dict[str, Any] = field(default_factory=lambda: {"readings": {}, "unavailable": {}})
    host: dict[str, Any] = field(default_factory=lambda: {"readings": {}, "unavailable": {}})
    seq: int = 0
    prev: str | None = None

    @property
    def devices(self) -> list[str]:
        return [f"GPU-{self.name}-{number}" for number in range(self.gpus)]

    def inventory(self) -> dict[str, Any]:
        return {
            "devices": [
                {
                    "uuid": uuid,
                    "parent": None,
                    "state": self.states.get(uuid, "ok"),
                    "identity": {
                        "readings": {**IDENTITY, **self.identity.get(uuid, {})},
                        "unavailable": {},
                    },
                }
                for uuid in self.devices
            ],
            "driver": self.driver,
            "host": self.host,
        }

    def report(
        self,
        seconds: Sequence[int],
        changes: Mapping[int, Mapping[str, Mapping[str, int | str]]] | None = None,
        slow: Mapping[str, dict[str, int | str]] | None = None,
        **fields: Any,
    ) -> Report:
        """Samples at these seconds since START_US; `changes[second][device][reading]` is a value or a reason. `slow` is
        the sample of the slow tier at the last of them, by device.

        A reading beyond FAST that is told of one device is not supported where it is not told.
        """
        boottimes = [(1000 + second) * SECOND for second in seconds]
        given = changes or {}
        usual: dict[str, int | str] = dict.fromkeys(
            (name for said in given.values() for values in said.values() for name in values),
            "not_supported",
        )
        told = {
            second: {
                uuid: {**usual, **FAST, **given.get(second, {}).get(uuid, {})}
                for uuid in self.devices
            }
            for second in seconds
        }
        last = boottimes[-1] if boottimes else 1000 * SECOND
        document: dict[str, Any] = {
            "version": 1,
            "node": self.name,
            "chain": self.chain,
            "stream": "node",
            "seq": self.seq,
            "prev": self.prev or ("0" * 64 if self.seq else None),
            "boot": self.boot,
            "seen": None,
            "clock": {
                "wall_us": START_US + last - 1000 * SECOND + self.wall_offset_us,
                "boottime_us": last,
                "synchronized": self.synchronized,
            },
            "interval_ms": 10_000,
            "agent": "0.1.0",
            "inventory_digest": "0" * 64,
            "inventory": self.inventory() if self.seq == 0 else None,
            "blocks": [self._block(boottimes, list(told.values()))] if seconds else [],
            "processes": [],
            "host": None,
            "events": [],
            "gaps": [],
        }
        if slow is not None:
            sample = self._block(boottimes[-1:], [dict(slow)])
            document["blocks"] = [*document["blocks"], {**sample, "tier": "slow"}]
        payload = canonical(document | fields)
        self.seq, self.prev = self.seq + 1, digest(payload)
        return decode(payload)

    def _block(
        self, boottimes: list[int], told: list[dict[str, dict[str, int | str]]]
    ) -> dict[str, Any]:
        def column(sample: dict[str, dict[str, int | str]], name: str) -> list[int | None]:
            values = [sample[uuid][name] for uuid in self.devices]
            return [value if isinstance(value, int) else None for value in values]

        return {
            "tier": "fast",
            "boottime_us": boottimes,
            "devices": self.devices,
            "readings": {
                name: [column(sample, name) for sample in told]
                for name in next((told[0][uuid] for uuid in self.devices if told), FAST)
            },
            "unavailable": [
                {"device": uuid, "reading": name, "from": place, "to": place + 1, "reason": value}
                for place, sample in enumerate(told)
                for uuid in self.devices
                for name, value in sample[uuid].items()
                if isinstance(value, str)
            ],
        }


class Log:
    """A fold with the entries that it was fed, and what it said."""

    def __init__(self) -> None:
        self.fold = FleetFold()
        self.entries: list[Entry] = []
        self.leaves: list[bytes] = []
        self.changes: list[Change] = []
        self.introduced: dict[tuple[str, str, str], str] = {}

    def add(self, kind: EntryKind, payload: Model | WirePart) -> list[Change]:
        leaf = SIGNER.seal(payload_type(kind), encode(payload))
        added = entry(len(self.entries), leaf)
        self.entries.append(added)
        self.leaves.append(leaf)
        said = self.fold.fold(added)
        self.changes += said
        return said

    def contract(self, text: str, name: str = "K1", version: int = 1, from_us: int = 0) -> None:
        added = ContractAdded(contract=name, version=version, text=text, from_us=from_us)
        self.add(EntryKind.CONTRACT, added)

    def assign(self, node: str, contract: str = "K1", devices: list[str] | None = None) -> None:
        self.add(EntryKind.ASSIGNMENT, Assignment(contract=contract, node=node, devices=devices))

    def tick(self, second: int) -> list[Change]:
        """Seconds since START_US."""
        return self.add(EntryKind.TICK, Tick(wall_us=START_US + second * SECOND))

    def tick_through(self, first: int, last: int) -> list[Change]:
        return [change for second in range(first, last + 1) for change in self.tick(second)]

    def report(self, report: Report) -> list[Change]:
        return self.add(EntryKind.REPORT, self.continued(report))

    def introduce(self, node: str = "n1", chain: str = "chain-1") -> None:
        """The first report of a chain, with nothing in it: what is told later of the time from now on counts."""
        self.add(EntryKind.REPORT, self.introduction(node, chain))

    def introduction(self, node: str, chain: str, side: str = "provider") -> Report:
        """That first report; the scripted ones of the chain are numbered from 1 on then."""
        first = ScriptedNode(node, chain=chain, synchronized=False).report([], inventory=None)
        self.introduced[side, node, chain] = digest(encode(first))
        return first

    def continued(self, report: Report, side: str = "provider") -> Report:
        """The report, behind the introduction of its chain if there was one."""
        place = (side, report.node, report.chain)
        if place not in self.introduced:
            return report
        behind = replace(report, seq=report.seq + 1, prev=self.introduced[place])
        self.introduced[place] = digest(encode(behind))
        return behind

    def findings(self, *codes: str) -> list[Finding]:
        """Everything that was found, in order; of these codes alone if any are given."""
        found = [change for change in self.changes if isinstance(change, Finding)]
        return [finding for finding in found if not codes or finding.code in codes]

    def open(self) -> dict[tuple[str, str], Finding]:
        """Open findings by code and device."""
        held: dict[tuple[str, str], Finding] = {}
        for finding in self.findings():
            place = (finding.code, finding.device)
            if finding.until_us is None:
                held[place] = finding
            else:
                held.pop(place, None)
        return held

    def rows(self, contract: str = "K1") -> Iterator[Row]:
        for change in self.changes:
            if isinstance(change, Row) and change.contract == contract:
                yield change
        for state in self.fold.states.values():
            yield from (row for row in open_rows(state, 0) if row.contract == contract)
        for line in self.fold.reach.lines(self.fold.assignments.nodes(contract)):
            yield from (row for row in reach_lines.open_rows(line, 0) if row.contract == contract)

    def timelines(self, end: int, contract: str = "K1") -> dict[tuple[str, int], list[StateSpan]]:
        """Every slot's spans over [START_US, START_US + end seconds)."""
        return {
            place: timeline(rows, START_US, START_US + end * SECOND)
            for place, rows in by_slot(self.rows(contract)).items()
        }


def holders(nodes: Iterable[str]) -> tuple[Holder, ...]:
    """A place for each of these nodes, held from the beginning."""
    return tuple(Holder(node, None, 0) for node in nodes)


def spans(lines: Sequence[StateSpan]) -> list[tuple[int, int, str, str]]:
    """Spans in seconds since START_US."""
    return [
        (
            (span.start_us - START_US) // SECOND,
            (span.end_us - START_US) // SECOND,
            span.state.value,
            span.cause,
        )
        for span in lines
    ]
