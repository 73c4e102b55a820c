"""What live figures cost at each tick: a contract of 320 GPUs twenty days into its month, and `/metrics` with many.

    python -m benchmarks.figures [--gpus 20000] [--ticks 9] [--json FILE]

CPU time, the median of the ticks but the first, which reads the ledger. One row of each slot is open and grows.
Once 0.1 and once 1 outage for each slot, of half a minute to two hours.
"""

import argparse
import asyncio
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.exposition import FleetAtRest, fleet, machine, measure
from benchmarks.living_fleet import GPUS_PER_NODE
from collector.api.exposition import Exposition
from collector.judging.current_figures import Current, Figures
from weighbridge.contract import Contract, load
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.judge.ledger import Row, State
from weighbridge.log.entries import Assignment, ContractAdded, Entry, EntryKind, payload_type
from weighbridge.notices.book import NoticeBook
from weighbridge.settlement.periods import calendar_month
from weighbridge.wire.report import Model, encode
from weighbridge.wire.signing import Signer, open_envelope

GPUS, DAYS = 320, 20
TARGETS_S = {0.1: 0.049, 1.0: 0.059}
"""By outages for each slot: what the figures of one contract may cost."""
TARGET_METRICS_S = 0.0284
"""What `/metrics` costs at 20,000 GPUs where no figure is worked out."""
HOUR_US = 3600 * MICROSECONDS
MONTH = calendar_month("2026-10", "UTC")
NOW_US = (MONTH.start_s + DAYS * 86400 + 1800) * MICROSECONDS
SIGNER = Signer(bytes(32))
CONTRACT = """\
contract_id: {name}
effective: 2026-09-01T00:00:00Z
time_zone: UTC
currency: USD
parties: [{{id: P, role: provider}}, {{id: L, role: lessee}}]
term: {{from: 2026-09-01T00:00:00Z, to: 2027-09-01T00:00:00Z}}
resources: [{{id: cards, accelerator: {{sku: H100-SXM-80GB}}, per_node: 8, nodes: {nodes}}}]
availability:
  - {{id: gpu, unit: gpu, target: "0.999", counting: {{min_outage: {{seconds: 300, op: ">="}}, merge_gap_s: 600}}}}
unknown: {{policy: hold}}
"""


@dataclass
class Leased:
    """Contracts with what the ledger holds of them, and the figures that are worked out from it."""

    nodes: Mapping[str, Sequence[str]]
    outages: float
    contracts: dict[str, Contract] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._book, self._chance = NoticeBook(), random.Random(1)
        for name, nodes in self.nodes.items():
            text = CONTRACT.format(name=name, nodes=len(nodes))
            self.contracts[name] = load(text)
            added = ContractAdded(contract=name, version=1, text=text, from_us=0)
            self._book.fold(_entry(EntryKind.CONTRACT, added), 1)
            for node in nodes:
                assignment = Assignment(contract=name, node=node, devices=None)
                self._book.fold(_entry(EntryKind.ASSIGNMENT, assignment), 2)
        self._current = Current(self._book, self._written, lambda *_: ())

    def _written(self, contract: str, start_us: int, end_us: int) -> Iterator[Row]:
        del start_us, end_us
        for node in self.nodes[contract]:
            for slot in range(GPUS_PER_NODE):
                yield from self._slot(contract, node, slot)

    def _slot(self, contract: str, node: str, slot: int) -> Iterator[Row]:
        """Up since ten days before the month but for its outages, to the last full hour."""
        month_us, end_us = MONTH.start_s * MICROSECONDS, NOW_US // HOUR_US * HOUR_US
        start_us = month_us - 10 * 24 * HOUR_US
        if self._chance.random() < self.outages:
            down_us = month_us + self._chance.randrange((DAYS - 1) * 24) * HOUR_US + 7_000_000
            until_us = down_us + self._chance.randrange(30, 7200) * MICROSECONDS
            state = self._chance.choice((State.DOWN, State.UNKNOWN, State.DEGRADED))
            yield row(contract, node, slot, start_us, down_us, State.UP)
            yield row(contract, node, slot, down_us, until_us, state)
            start_us = until_us
        yield row(contract, node, slot, start_us, end_us, State.UP)

    def figures(self, contract: str, now_us: int) -> Figures:
        """As the driver has them worked out: the hour under way grows to the instant."""
        hour_us = NOW_US // HOUR_US * HOUR_US
        growing = [
            row(contract, node, slot, hour_us, now_us, State.UP)
            for node in self.nodes[contract]
            for slot in range(GPUS_PER_NODE)
        ]
        return self._current.figures(self.contracts[contract], growing, now_us)


def row(contract: str, node: str, slot: int, start_us: int, end_us: int, state: State) -> Row:
    device = f"GPU-{node}-{slot}"
    return Row(contract, node, slot, device, "chain", start_us, end_us, state, "", end_us)


def _entry(kind: EntryKind, record: Model) -> Entry:
    return Entry(0, kind, open_envelope(SIGNER.seal(payload_type(kind), encode(record))))


@dataclass
class FleetWithFigures(FleetAtRest):
    """A fleet at rest whose figures are worked out again at each tick."""

    leased: Leased = field(default_factory=lambda: Leased({}, 0))

    def figures(self, contract: str) -> Figures:
        return self.leased.figures(contract, self.now_us)


def of_ticks(work: Callable[[int], Any], ticks: int) -> float:
    """The median of the CPU seconds of an instant a second after the last; the first one reads the ledger."""
    found = []
    work(NOW_US)
    for tick in range(1, ticks + 1):
        before = time.process_time()
        work(NOW_US + tick * MICROSECONDS)
        found.append(time.process_time() - before)
    return median(found)


def one_contract(outages: float, ticks: int) -> float:
    """CPU seconds of the figures of one contract."""
    names = [f"node-{number:05d}" for number in range(GPUS // GPUS_PER_NODE)]
    leased = Leased({"lease": names}, outages)
    return of_ticks(lambda now_us: leased.figures("lease", now_us), ticks)


async def whole_page(gpus: int, outages: float, ticks: int) -> dict[str, float]:
    """`/metrics` of contracts of 320 GPUs each, every figure worked out."""
    resting = fleet(gpus)
    nodes = list(resting.nodes)
    each = GPUS // GPUS_PER_NODE
    leased = Leased(
        {f"lease-{at:05d}": nodes[at : at + each] for at in range(0, len(nodes), each)}, outages
    )
    assigned = {name: dict.fromkeys(held) for name, held in leased.nodes.items()}
    shown = FleetWithFigures(NOW_US, leased.contracts, resting.nodes, assigned, leased)
    pages, found = Exposition(shown, lambda: ()), []
    for tick in range(ticks + 1):
        shown.now_us = NOW_US + tick * MICROSECONDS
        found.append(await measure(pages.contracts))
    return {name: median(row[name] for row in found[1:]) for name in found[0]}


def run(gpus: int, ticks: int) -> dict[str, Any]:
    return {
        "contract_gpus": GPUS,
        "days": DAYS,
        "figures_cpu_s": {str(outages): one_contract(outages, ticks) for outages in TARGETS_S},
        "targets_s": {str(outages): target_s for outages, target_s in TARGETS_S.items()},
        "gpus": gpus,
        "metrics": {str(many): asyncio.run(whole_page(gpus, many, 3)) for many in TARGETS_S},
        "target_metrics_s": TARGET_METRICS_S,
        "machine": machine(),
    }


def table(result: Mapping[str, Any]) -> str:
    """The figures beside their targets."""
    lines = [
        f"contracts of {GPUS} GPUs, {DAYS} days into the month, on {result['machine']['cpu']}, "
        f"{result['machine']['cores']} cores, Python {result['machine']['python']}",
        f"{'':34}{'outages a slot':>16}{'CPU ms':>10}{'target ms':>11}",
    ]
    for outages, cpu_s in result["figures_cpu_s"].items():
        target_s = result["targets_s"][outages]
        lines.append(_line("figures of one contract", outages, cpu_s, target_s))
    for outages, page in result["metrics"].items():
        name = f"/metrics at {result['gpus']} GPUs"
        lines.append(_line(name, outages, page["cpu_s"], result["target_metrics_s"]))
    return "\n".join(lines)


def _line(name: str, outages: str, cpu_s: float, target_s: float) -> str:
    word = "" if cpu_s <= target_s else "  MISSED"
    return f"{name:34}{outages:>16}{1000 * cpu_s:>10.1f}{1000 * target_s:>11.1f}{word}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gpus", type=int, default=20_000)
    parser.add_argument("--ticks", type=int, default=9)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result = run(options.gpus, options.ticks)
    print(table(result))
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
