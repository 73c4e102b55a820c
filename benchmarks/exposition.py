"""What `/metrics` costs at 100,000 GPUs: each page's CPU, wall time and lines, and how long it holds the event loop.

    python -m benchmarks.exposition [--gpus 100000] [--shards 200] [--each 125] [--json FILE]

The states of the nodes are what the judge makes of reports, and counts are counted; each GPU answers all that a card
can be asked for every few seconds. Beside it stands what prometheus-client takes to write the same lines, in the same
run.
"""

import argparse
import asyncio
import json
import os
import platform
import time
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric as ClientMetric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from benchmarks.living_fleet import (
    CONTRACT,
    GPUS_PER_NODE,
    fleet_fold,
    living_fleet,
    named,
    owner,
)
from collector.api.exposition import REFRESH_US, Exposition
from collector.judging.current_figures import Figures
from collector.judging.recent import RecentFleet
from weighbridge.catalogue.readings import READINGS, Kind, Scope, Tier
from weighbridge.contract import Contract, load
from weighbridge.judge.counts import Counts
from weighbridge.judge.latest_readings import LatestDevice, LatestReadings, LatestSample
from weighbridge.judge.ledger import Finding, Row, State
from weighbridge.judge.node_state import ChainState, NodeState, OpenInterval, Track
from weighbridge.settlement.figures import Figure
from weighbridge.verdict import Verdict
from weighbridge.wire.report import DeviceState, Facts

TARGET_SECONDS = 0.100
NOW_US = 1_790_000_000_000_000


@dataclass
class FleetAtRest:
    """A fleet at rest: `collector.judging.live.Fleet` with a fixed answer for everything but its nodes."""

    now_us: int = NOW_US
    contracts: dict[str, Contract] = field(default_factory=dict)
    nodes: dict[str, NodeState] = field(default_factory=dict)
    assigned: dict[str, dict[str, frozenset[str] | None]] = field(default_factory=dict)

    def observers(self, node: str) -> Sequence[NodeState]:
        return [self.nodes[node]]

    def noted(self) -> Mapping[tuple[str, str, str], int]:
        return {}

    def assignments(self, contract: str) -> Mapping[str, frozenset[str] | None]:
        return self.assigned[contract]

    def findings(self, contract: str | None = None, node: str | None = None) -> Sequence[Finding]:
        del contract, node
        return ()

    def unwritten(self, contract: str) -> Sequence[Finding]:
        del contract
        return ()

    def counts(self, contract: str) -> Counts:
        whole = len(self.assigned[contract]) * GPUS_PER_NODE
        return Counts(whole, whole, whole, whole)

    def counting(self, contract: str) -> Generator[None, None, Counts]:
        yield
        return self.counts(contract)

    def figured_us(self, _contract: str) -> int:
        return self.now_us

    def reading(self, _contract: str) -> Callable[[], None] | None:
        return None

    def take_over(self, _contract: str) -> None:
        """Nothing is ever read."""

    def weight(self, _contract: str) -> int:
        return 0

    def prepared(self, contract: str) -> Callable[[], Figures]:
        return lambda: self.figures(contract)

    def figures(self, contract: str) -> Figures:
        del contract
        seconds = {"met": 3600, "breached": 0, "unknown": 0, "excluded": 0}
        return {
            "node": Figure(
                "node", Verdict.MET, Fraction(99, 100), Fraction(999, 1000), Fraction(1), seconds
            )
        }

    def open_rows(self, contract: str, node: str | None = None) -> Sequence[Row]:
        del contract, node
        return ()


def fleet(gpus: int) -> FleetAtRest:
    made = FleetAtRest()
    for number in range(gpus // GPUS_PER_NODE):
        name, contract = named(number), owner(number)
        made.nodes[name] = _node(name, contract)
        made.assigned.setdefault(contract, {})[name] = None
    for contract, nodes in made.assigned.items():
        made.contracts[contract] = load(CONTRACT.format(name=contract, nodes=len(nodes)))
    return made


NUMBERS = tuple(
    row for row in READINGS if row.kind is not Kind.TEXT and row.scope is not Scope.NODE
)
IDENTITY = Facts(
    readings={row.name: 7 for row in NUMBERS if row.tier is Tier.IDENTITY}
    | {"name": "NVIDIA H100 80GB HBM3", "serial": "1650000000000", "vbios_version": "96.00.74"},
    unavailable={},
)


def _node(name: str, owner: str) -> NodeState:
    uuids = [f"GPU-{name}-4a1b-9c3d-{place:012d}" for place in range(GPUS_PER_NODE)]
    devices = {uuid: LatestDevice(uuid, None, DeviceState.OK, IDENTITY) for uuid in uuids}
    tiers = {tier.value: _columns(uuids, tier) for tier in (Tier.FAST, Tier.SLOW)}
    segments = [OpenInterval(NOW_US - 1, State.UP, "") for _ in uuids]
    chain = ChainState("chain/node", boot="6f2b1a04-boot", view=LatestReadings(devices, tiers))
    chain.tracks[owner] = Track(1, list(uuids), segments)
    state = NodeState(name, agent_version="0.1.0", chains={chain.name: chain})
    state.last_received_us = state.last_sample_us = NOW_US - 2_345_678
    state.lags_us = [-1234]
    return state


def _columns(uuids: list[str], tier: Tier) -> LatestSample:
    rows: dict[str, list[int | None]] = {
        row.name: [123_456 + place for place in range(len(uuids))]
        for row in NUMBERS
        if row.tier is tier
    }
    return LatestSample(NOW_US, uuids, rows, {})


async def measure(render: Callable[[], Awaitable[str | None]]) -> dict[str, float]:
    """One page: its wall and CPU seconds, its lines, and the most CPU time for which it held the event loop."""
    longest, running = 0.0, True

    async def watch() -> None:
        nonlocal longest
        last = time.thread_time()
        while running:
            await asyncio.sleep(0)
            now = time.thread_time()
            longest, last = max(longest, now - last), now

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    wall, cpu = time.perf_counter(), time.process_time()
    text = await render()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    running = False
    await watching
    lines = 0 if text is None else text.count("\n")
    return {"wall_s": wall, "cpu_s": cpu, "lines": lines, "held_s": longest}


def client_library(text: str) -> float:
    """CPU seconds that prometheus-client takes to write the same page from families that are ready."""

    class Ready(Collector):
        def collect(self) -> list[ClientMetric]:
            return families

    families = list(text_string_to_metric_families(text))
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Ready())
    cpu = time.process_time()
    generate_latest(registry)
    return time.process_time() - cpu


async def run(gpus: int, each: int, shards: int) -> dict[str, Any]:
    fold = fleet_fold(gpus // GPUS_PER_NODE, each)
    pages = Exposition(RecentFleet(living_fleet(fold)), lambda: ())
    first = await measure(lambda: _discover(pages))
    paths = await pages.paths()
    every = max((len(paths) - 1) // shards, 1)
    measured = [
        await measure(lambda number=number: pages.shard(number))  # type: ignore[misc]
        for number in range(0, len(paths) - 1, every)
    ]
    await pages.contracts()
    contracts = [await measure(pages.contracts) for _ in range(5)]
    fold.watch.now_us += REFRESH_US
    discovery = await measure(lambda: _discover(pages))
    sample = await pages.shard(0)
    return {
        "gpus": gpus,
        "shards": len(paths) - 1,
        "first_discovery": first,
        "discovery": discovery,
        "contracts": _middle(contracts),
        "shard": _middle(measured) | {"wall_p95_s": _p95([row["wall_s"] for row in measured])},
        "client_library_cpu_s": client_library(sample or ""),
        "target_s": TARGET_SECONDS,
    }


async def _discover(pages: Exposition) -> str:
    return "\n".join(await pages.paths())


def _middle(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: median(row[name] for row in rows) for name in rows[0]}


def _p95(values: Sequence[float]) -> float:
    return quantiles(values, n=20)[-1] if len(values) > 1 else values[0]


def machine() -> dict[str, Any]:
    """What this ran on."""
    cpus = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.partition(":")[2].strip() for line in cpus if "model name" in line), "")
    return {
        "cpu": model or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def table(result: Mapping[str, Any]) -> str:
    """The figures beside the target."""
    shard, contracts, found = result["shard"], result["contracts"], result["discovery"]
    rows = [
        ("shard, median", shard),
        ("/metrics", contracts),
        ("discovery after a change", found),
        ("discovery, the first", result["first_discovery"]),
    ]
    lines = [
        f"{result['gpus']} GPUs in {result['shards']} shards, on {result['machine']['cpu']}, "
        f"{result['machine']['cores']} cores, Python {result['machine']['python']}",
        f"{'page':26}{'lines':>8}{'wall ms':>10}{'CPU ms':>10}{'loop held ms':>14}",
    ]
    for name, row in rows:
        times = (row["wall_s"], row["cpu_s"], row["held_s"])
        wall, cpu, held = (1000 * seconds for seconds in times)
        lines.append(f"{name:26}{row['lines']:>8.0f}{wall:>10.1f}{cpu:>10.1f}{held:>14.1f}")
    word = "reached" if shard["wall_s"] < TARGET_SECONDS else "MISSED"
    each = 1e6 * shard["cpu_s"] / max(shard["lines"], 1)
    whole = shard["cpu_s"] * result["shards"]
    ratio = result["client_library_cpu_s"] / shard["cpu_s"]
    lines += [
        f"target: a shard below {1000 * TARGET_SECONDS:.0f} ms: {word} "
        f"(95th percentile {1000 * shard['wall_p95_s']:.1f} ms)",
        f"{each:.2f} us of CPU for a line; all shards once: {whole:.1f} s of CPU",
        f"prometheus-client writes the same lines in {ratio:.1f} times the CPU",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gpus", type=int, default=100_000)
    parser.add_argument("--each", type=int, default=125, help="nodes to a contract")
    parser.add_argument("--shards", type=int, default=200, help="how many of them to measure")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result = asyncio.run(run(options.gpus, options.each, options.shards)) | {"machine": machine()}
    print(table(result))
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
