"""Bytes of a report of 8 GPUs: kept while its segment grows, kept packed, and sent; and the CPU of packing it.

    python -m benchmarks.report_bytes [--nodes N] [--minutes N] [--json FILE]

The reports are those of the agent's own sampler over the library of the tests with all readings, the slow tier once a
minute. `idle` nodes have readings that hardly move; those `at work` have power, energy, clocks, utilization, throughput
and throttling of eight cards that train: every sample of them holds near 170 bytes that no compression can know, more
than half of which are the four counters of NVLinks and PCIe.
"""

import argparse
import asyncio
import json
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

from msgspec.structs import replace

from agent.compression import compress
from agent.daemon import write_report
from agent.host.machine import Machine
from agent.nvml.client import NvmlSource
from agent.report.parting import Parting
from agent.report.sampler import Draft, Sampler, Schedule
from agent.report.source import IdentityTier, RawProcess, Sweep
from agent.report.spool import SpoolSlot
from agent.report.transport import HttpAnswer
from agent.simulation.clock import LogicalClock
from benchmarks.ingest import machine
from collector.log.bases import Bases
from collector.storage.packed_segments import BlockCache, opened_packed, pack_in_place
from collector.storage.segments import HEADER, MAGIC, opened_rows, rows_of
from tests.agent.fake_nvml.fixture import FakeDriver, build
from weighbridge.catalogue.readings import Tier
from weighbridge.wire.parts import offer
from weighbridge.wire.report import Event, Facts, OwnerClass, Reason, SeenHead
from weighbridge.wire.signing import Signer, open_envelope

GPUS = 8
BEGUN_US = 1_790_812_800_000_000
INTERVAL_US = 10_000_000
TARGETS = {1: 600, 6: 700}
Seen = tuple[IdentityTier, dict[Tier, Sweep]]


class Card:
    """What moves from sample to sample."""

    def __init__(self, chance: Random, busy: bool) -> None:
        self._chance, self._busy = chance, busy
        self._power = 620_000 if busy else 69_800
        self._celsius = [60, 72] if busy else [31, 40]
        self._counters = {
            "energy_millijoules": chance.randrange(10**10),
            "clocks_event_sw_power_cap_microseconds": chance.randrange(10**9),
            "nvlink_transmitted_kibibytes": chance.randrange(10**11),
            "nvlink_received_kibibytes": chance.randrange(10**11),
            "pcie_transmitted_kibibytes": chance.randrange(10**10),
            "pcie_received_kibibytes": chance.randrange(10**10),
        }

    def step(self) -> dict[str, int]:
        chance, busy = self._chance, self._busy
        mean, spread = (620_000, 12_000) if busy else (69_800, 150)
        self._power = int(self._power * 0.6 + mean * 0.4 + chance.gauss(0, spread))
        self._celsius = [one + chance.choice((-1, 0, 0, 0, 1)) for one in self._celsius]
        self._count(busy)
        moved = {
            **self._counters,
            "power_draw_milliwatts": self._power,
            "power_draw_instant_milliwatts": self._power + int(chance.gauss(0, spread)),
            "temperature_gpu_celsius": self._celsius[0],
            "temperature_memory_celsius": self._celsius[1],
        }
        return moved | self._work() if busy else moved

    def _count(self, busy: bool) -> None:
        chance, counters = self._chance, self._counters
        counters["energy_millijoules"] += self._power * 10 + chance.randrange(1000)
        for name in ("pcie_transmitted_kibibytes", "pcie_received_kibibytes"):
            counters[name] += int(chance.gauss(10**6, 3 * 10**5)) if busy else chance.randrange(64)
        if busy:
            counters["clocks_event_sw_power_cap_microseconds"] += chance.randrange(
                3_000_000, 6_000_000
            )
            for name in ("nvlink_transmitted_kibibytes", "nvlink_received_kibibytes"):
                counters[name] += int(chance.gauss(5 * 10**8, 5 * 10**7))

    def _work(self) -> dict[str, int]:
        means = {
            "graphics": (9950, 30),
            "sm": (9100, 200),
            "tensor": (5200, 250),
            "dram": (4500, 250),
        }
        shares = {
            f"{name}_active_permyriad": int(self._chance.gauss(*spread))
            for name, spread in means.items()
        }
        return shares | {
            "memory_used_bytes": 75_161_927_680,
            "utilization_gpu_percent": self._chance.choice((97, 98, 99, 99, 100, 100, 100)),
            "utilization_memory_percent": int(self._chance.gauss(42, 4)),
            "sm_clock_megahertz": 1980 - 15 * self._chance.randrange(16),
            "clocks_event_reasons_flags": 4,
        }


class Moving:
    """A source that saw a node once: with other names, and values that move."""

    def __init__(self, seen: Seen, chance: Random, clock: LogicalClock, busy: bool) -> None:
        self._seen, self._chance, self._clock, self._busy = seen, chance, clock, busy
        self._cards = [Card(chance, busy) for _ in range(GPUS)]
        self._names = {
            device.uuid: f"GPU-{uuid.UUID(int=chance.getrandbits(128), version=4)}"
            for device in seen[0].devices
        }
        self._now: list[dict[str, int]] = []

    async def identify(self) -> IdentityTier:
        identity = self._seen[0]
        devices = [replace(one, uuid=self._names[one.uuid]) for one in identity.devices]
        return IdentityTier(devices, identity.driver)

    async def sweep(self, tier: Tier) -> Sweep:
        if tier is Tier.FAST:
            self._now = [card.step() for card in self._cards]
        seen = self._seen[1][tier]
        readings = {
            name: [
                now.get(name, value) if isinstance(value, int) else value
                for now, value in zip(self._now, row, strict=True)
            ]
            for name, row in seen.readings.items()
        }
        at_us = self._clock.boottime_us() + self._chance.randrange(1500, 1900)
        return Sweep(at_us, [self._names[one] for one in seen.devices], readings)

    async def processes(self) -> Sequence[RawProcess] | Reason:
        return [RawProcess(one, 1, 75_161_927_680) for one in self._names.values()] * self._busy

    def events(self) -> Sequence[Event]:
        return ()

    async def pause(self) -> None: ...

    async def resume(self) -> None: ...

    async def close(self) -> None: ...


class Host:
    """This machine's facts; processes are of one container."""

    def __init__(self, owner: str) -> None:
        self._machine, self._owner = Machine(Path("/"), b"salt"), owner

    def inventory(self) -> Facts:
        return self._machine.inventory()

    def facts(self) -> Facts:
        return self._machine.facts()

    def owner(self, _: int) -> tuple[str, OwnerClass]:
        return self._owner, OwnerClass.CONTAINER


async def seen_once(place: Path) -> Seen:
    """What the driver of the tests says of a node of H100s with all readings."""
    driver = FakeDriver(build(place), place / "scenario")
    driver.play_node(GPUS)
    source = NvmlSource(LogicalClock(BEGUN_US).boottime_us, driver.environment())
    identity = await source.identify()
    for tier in (Tier.FAST, Tier.SLOW):
        await source.sweep(tier)  # means since the last sweep need one before
    sweeps = {tier: await source.sweep(tier) for tier in (Tier.FAST, Tier.SLOW)}
    await source.close()
    return identity, sweeps


async def reports_of(seen: Seen, number: int, samples: int, count: int, busy: bool) -> list[bytes]:
    """Envelopes of one node, each with so many samples."""
    chance, clock = Random(number), LogicalClock(BEGUN_US + number)
    signer, chain = Signer(chance.randbytes(32)), chance.randbytes(16).hex()
    boot = str(uuid.UUID(int=chance.getrandbits(128), version=4))
    made: list[bytes] = []
    before: list[str | None] = [None]

    async def keep(draft: Draft) -> None:
        head = SeenHead(root=chance.randbytes(32).hex(), size=len(made) * 1000 + number)
        slot = SpoolSlot(chain, len(made), before[0])
        envelope, before[0] = write_report(draft, slot, f"node-{number}", boot, head, signer)
        made.append(envelope)

    host, schedule = Host(chance.randbytes(16).hex()), Schedule(samples=samples)
    sampler = Sampler(Moving(seen, chance, clock, busy), host, clock, schedule, keep)
    while len(made) < count:
        await sampler.sample(clock.boottime_us())
        await clock.move(clock.wall_us() + INTERVAL_US)
    return made


def sent(reports: Sequence[bytes]) -> Iterator[tuple[int, int]]:
    """Bytes of a node's reports as envelopes and in parts, one by one, but for the first two."""
    parting, bases = Parting(), Bases()
    for number, report in enumerate(reports):
        packed = parting.packed([report])
        if number > 1:
            yield len(compress(report + b"\n")), len(packed.body)
        opened = open_envelope(report)
        said = offer(bases.keep(opened.key_id, opened.payload))
        parting.believed(packed, HttpAnswer(200, b"", None, said))


def packed(nodes: Sequence[Sequence[bytes]], place: Path) -> dict[str, float]:
    """Of a segment of all reports but each node's first, in the order in which they come."""
    leaves = [leaf for together in zip(*nodes, strict=True) for leaf in together][len(nodes) :]
    path = place / f"{0:016d}.seg"
    path.write_bytes(HEADER.pack(MAGIC, 0) + rows_of(leaves))
    before = time.process_time()
    pack_in_place(opened_rows(path, 0, BlockCache()), path)
    spent = time.process_time() - before
    again = opened_packed(path, 0, BlockCache())
    before = time.process_time()
    if list(again.leaves(0, again.count)) != leaves:
        raise RuntimeError("what was packed does not come back")
    return {
        "kept_plain": sum(map(len, leaves)) / len(leaves),
        "kept_packed": path.stat().st_size / len(leaves),
        "packing_ms": 1000 * spent / len(leaves),
        "reading_ms": 1000 * (time.process_time() - before) / len(leaves),
    }


def measure(seen: Seen, samples: int, busy: bool, nodes: int, minutes: int) -> dict[str, Any]:
    """One line of the table."""
    count = 1 + minutes * 6 // samples

    async def fleet() -> list[list[bytes]]:
        return [await reports_of(seen, one, samples, count, busy) for one in range(nodes)]

    made = asyncio.run(fleet())
    travelled = [sizes for reports in made for sizes in sent(reports)]
    with tempfile.TemporaryDirectory() as place:
        kept = packed(made, Path(place))
    return {
        "samples": samples,
        "at_work": busy,
        "target": TARGETS[samples],
        **kept,
        "sent_envelopes": sum(one for one, _ in travelled) / len(travelled),
        "sent_parts": sum(one for _, one in travelled) / len(travelled),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--nodes", type=int, default=40)
    parser.add_argument(
        "--minutes", type=int, default=5, help="of reports of one node in a segment"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        seen = asyncio.run(seen_once(Path(place)))
    rows = [
        measure(seen, samples, busy, options.nodes, options.minutes)
        for samples in TARGETS
        for busy in (False, True)
    ]
    print(f"{options.nodes} nodes, {options.minutes} minutes of each in a segment; bytes a report")
    for row in rows:
        print(
            f"{row['samples']} sample(s), {'at work' if row['at_work'] else 'idle   '}: kept {row['kept_plain']:.0f}"
            f" plain, {row['kept_packed']:.0f} packed; sent {row['sent_envelopes']:.0f} as envelopes,"
            f" {row['sent_parts']:.0f} in parts (target {row['target']});"
            f" {row['packing_ms']:.3f} ms to pack, {row['reading_ms']:.3f} ms to read"
        )
    if options.json is not None:
        document = json.dumps({"machine": machine(), "rows": rows}, indent=2)
        options.json.write_text(document + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
