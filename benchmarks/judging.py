"""What judging a report costs, by this build and by another one: the same bytes into both, by turns.

    python -m benchmarks.judging [--against CHECKOUT] [--nodes N] [--reports N] [--json FILE]

Nodes of 8 GPUs whose cards work, with noise in whatever moves on a real card, are at idle, or half and half with work
that comes and goes; 1, 6 or 12 samples a report at 10 s, a slow one each minute. Figures are microseconds of CPU to
fold one report that is read already, in the median of slices of a few reports of each node; the first ones, until
everything is seen, are left out. `most`: the same of the slowest slice, in which an hour turns.
"""

import argparse
import json
import os
import random
import statistics
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.ingest import machine
from collector.log.commits import CommitBatch
from tests.collector.building import (
    CONTRACT,
    HOUR_US,
    INTERVAL_US,
    SECOND_US,
    Agent,
    log_signer,
    make_store,
    opened,
)
from weighbridge.catalogue.readings import OF_GPUS, READINGS, Kind, Tier
from weighbridge.log.entries import EntryKind

HERE = Path(__file__).resolve().parent
LOADS = ("busy", "idle", "mixed")
SAMPLES = (1, 6, 12)
SLOW_EVERY = 6
TURN_EVERY = 30
"""So many samples a card works, or rests, where it does both."""
SLICE = 4
WARM = 4
"""Slices that are left out."""
ALIKE = {
    "power_limit_enforced_milliwatts": 700_000,
    "power_limit_requested_milliwatts": 700_000,
    "pcie_link_width_lanes": 16,
    "nvlink_active_links": 18,
    "fabric_state_code": 3,
    "sm_clock_application_megahertz": 1980,
    "memory_clock_application_megahertz": 2619,
    "memory_limit_bytes": 81_559 << 20,
}
"""What no load moves, beside what is 0 on a sound card."""
NAMES = {
    tier: [
        row.name
        for row in READINGS
        if row.tier is tier and row.scope in OF_GPUS and row.kind is not Kind.TEXT
    ]
    for tier in (Tier.FAST, Tier.SLOW)
}


@dataclass
class Card:
    """One card, and what it has counted."""

    chance: random.Random
    counters: dict[str, int] = field(default_factory=dict)

    def fast(self, *, works: bool) -> dict[str, int]:
        """Another sample, ten seconds after the last."""
        noise = self.chance.randint
        power = noise(560_000, 690_000) if works else noise(68_000, 73_000)
        self._count("energy_millijoules", power * 10)
        for link in ("pcie", "nvlink"):
            for way in ("transmitted", "received"):
                self._count(f"{link}_{way}_kibibytes", noise(1 << 22, 1 << 23) if works else 0)
        if works:
            self._count("clocks_event_sw_power_cap_microseconds", noise(0, 400_000))
        return self.counters | {
            "memory_used_bytes": (61_000 << 20 if works else 500 << 20) + noise(0, 8) * (2 << 20),
            "utilization_gpu_percent": noise(88, 100) if works else 0,
            "utilization_memory_percent": noise(35, 70) if works else 0,
            "sm_clock_megahertz": noise(1600, 1980) if works else 345,
            "memory_clock_megahertz": 2619,
            "temperature_gpu_celsius": noise(58, 66) if works else noise(29, 30),
            "temperature_memory_celsius": noise(70, 78) if works else noise(38, 39),
            "power_draw_milliwatts": power,
            "power_draw_instant_milliwatts": power + noise(-3000, 3000),
            "clocks_event_reasons_flags": noise(0, 1) * 4 if works else 1,
            "pcie_link_generation": 5 if works else 1,
        }

    def slow(self, *, works: bool) -> dict[str, int]:
        noise = self.chance.randint
        use = {
            name: noise(2000, 9000) if works else 0
            for name in NAMES[Tier.SLOW]
            if "_permyriad" in name
        }
        return use | {"performance_state_code": 0 if works else 8}

    def _count(self, name: str, more: int) -> None:
        self.counters[name] = self.counters.get(name, 0) + more


class Node(Agent):
    """An agent whose cards are under one of LOADS."""

    def __init__(self, name: str, load: str) -> None:
        super().__init__(name)
        self._load, self._chance = load, random.Random(name)
        self._cards = [Card(random.Random(device)) for device in self.devices]

    def report(self, samples: int) -> bytes:
        """The next one; the first tells the inventory."""
        first = self.sampled
        numbers = range(first, first + samples)
        slow = [number for number in numbers if number % SLOW_EVERY == 0]
        blocks = [self._block(Tier.FAST, list(numbers))]
        blocks += [self._block(Tier.SLOW, slow)] if slow else []
        told = {"inventory": self.inventory()} if self.seq == 0 else {}
        return self.next(samples, blocks=blocks, processes=self._processes(first), **told)

    def _works(self, place: int, number: int) -> bool:
        if self._load == "mixed":
            return (number // TURN_EVERY + place) % 2 == 0
        return self._load == "busy"

    def _block(self, tier: Tier, numbers: Sequence[int]) -> dict[str, Any]:
        told = [
            [self._told(tier, place, number) for place in range(len(self._cards))]
            for number in numbers
        ]
        return {
            "tier": tier.value,
            "boottime_us": [HOUR_US + number * INTERVAL_US for number in numbers],
            "devices": self.devices,
            "readings": {
                name: [[card.get(name, ALIKE.get(name, 0)) for card in row] for row in told]
                for name in NAMES[tier]
            },
            "unavailable": [],
        }

    def _told(self, tier: Tier, place: int, number: int) -> dict[str, int]:
        card, works = self._cards[place], self._works(place, number)
        return card.fast(works=works) if tier is Tier.FAST else card.slow(works=works)

    def _processes(self, number: int) -> list[dict[str, Any]]:
        return [
            {
                "boottime_us": HOUR_US,
                "class": "container",
                "device": device,
                "memory_bytes": 60_000 << 20,
                "owner": "a" * 64,
            }
            for place, device in enumerate(self.devices)
            if self._works(place, number)
        ]


def write_log(file: Path, load: str, samples: int, nodes: int, reports: int) -> tuple[int, int]:
    """A log as `benchmarks._fold_worker` reads it. Returns how many of its entries come before the reports, and how
    many in each round of them.
    """
    fleet = [Node(f"node-{number}", load) for number in range(nodes)]
    terms = CONTRACT.replace("nodes: 1", f"nodes: {nodes}")
    with tempfile.TemporaryDirectory() as scratch:
        directory = make_store(Path(scratch) / "store", fleet, terms)
        with opened(directory) as store:
            signer, sizes = log_signer(directory), [store.log.size]
            for number in range(1, reports + 1):
                heard_us = (
                    fleet[0].start_us + (number * samples - 1) * INTERVAL_US + SECOND_US // 10
                )
                batch = CommitBatch(store, signer, heard_us)
                for agent in fleet:
                    batch.add_leaf(EntryKind.REPORT, agent.report(samples))
                store.log.append(batch.leaves)
                sizes.append(store.log.size)
            with file.open("wb") as written:
                for leaf in store.log.leaves(0, store.log.size):
                    written.write(struct.pack("<I", len(leaf)) + leaf)
    return sizes[0], sizes[-1] - sizes[-2]


class Build:
    """A checkout that folds, in a process of its own."""

    def __init__(self, checkout: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", HERE / "_fold_worker.py"],
            env=os.environ | {"PYTHONPATH": str(checkout)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if Path(self._answer()) != checkout:
            raise RuntimeError(f"{checkout} is not what was imported")

    def fold(self, file: Path, entries: int) -> int:
        """Nanoseconds of CPU for so many more entries of a log."""
        if self._process.stdin is None:
            raise RuntimeError("no way to ask")
        self._process.stdin.write(f"{file}\t{entries}\n")
        self._process.stdin.flush()
        return int(self._answer())

    def end(self) -> None:
        self._process.communicate()

    def _answer(self) -> str:
        if self._process.stdout is None:
            raise RuntimeError("no way to answer")
        return self._process.stdout.readline().strip()


@contextmanager
def build(checkout: Path) -> Iterator[Build]:
    one = Build(checkout)
    try:
        yield one
    finally:
        one.end()


def measure(
    checkouts: Sequence[Path], file: Path, head: int, each: int, rounds: int
) -> list[list[float]]:
    """Of each checkout, nanoseconds a slice. Who goes first changes from slice to slice."""
    spent: list[list[float]] = [[] for _ in checkouts]
    with ExitStack() as stack:
        builds = [stack.enter_context(build(checkout)) for checkout in checkouts]
        for one in builds:
            one.fold(file, head + WARM * SLICE * each)
        for number in range(rounds // SLICE - WARM):
            for place in sorted(range(len(builds)), reverse=number % 2 == 1):
                spent[place].append(builds[place].fold(file, SLICE * each))
    return spent


def case(
    checkouts: Sequence[Path], load: str, samples: int, nodes: int, reports: int
) -> dict[str, Any]:
    """One line of the table."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "leaves"
        head, each = write_log(file, load, samples, nodes, reports)
        spent = measure(checkouts, file, head, each, reports)
    per_report = [[one / 1000 / SLICE / nodes for one in slices] for slices in spent]
    shares = [now / other for now, other in zip(per_report[0], per_report[-1], strict=True)]
    return {
        "load": load,
        "samples": samples,
        "microseconds": [round(statistics.median(one), 1) for one in per_report],
        "most_microseconds": [round(max(one), 1) for one in per_report],
        "ratio": round(statistics.median(shares), 3),
    }


def main() -> None:
    """Prints a table; writes JSON where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--against", type=Path, help="a checkout of another build")
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--reports", type=int, default=120, help="of each node")
    parser.add_argument("--loads", nargs="*", default=LOADS, choices=LOADS)
    parser.add_argument("--samples", nargs="*", type=int, default=SAMPLES)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    checkouts = [HERE.parent] + ([chosen.against.resolve()] if chosen.against else [])
    print(" · ".join(f"{name}: {value}" for name, value in machine().items()))
    print("load   samples   us a report: here, there; most: here, there; ratio")
    rows = []
    for load in chosen.loads:
        for samples in chosen.samples:
            row = case(checkouts, load, samples, chosen.nodes, chosen.reports)
            rows.append(row)
            print(*row.values(), flush=True)
    if chosen.json is not None:
        chosen.json.write_text(json.dumps({"machine": machine(), "cases": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
