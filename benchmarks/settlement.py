"""What settling one month costs: the statement of 125 nodes of 8 GPUs, from ten thousand intervals of the ledger.

    python -m benchmarks.settlement [--nodes N] [--intervals N] [--runs N] [--json FILE]

CPU seconds of one core, the least of the runs, with the parts beside the whole. The same intervals are settled again
as the ledger holds them, cut at each full hour.
"""

import argparse
import json
import os
import platform
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from collector.documents import as_text
from weighbridge.contract import load
from weighbridge.judge.assignments import Version
from weighbridge.judge.ledger import Row, State
from weighbridge.judge.slot_history import Holder
from weighbridge.settlement.case import Notices
from weighbridge.settlement.draft import draft
from weighbridge.settlement.periods import calendar_month
from weighbridge.settlement.record import Window
from weighbridge.settlement.statement import Statement

TARGET_S = 1.0
PER_NODE = 8
SECOND_US = 1_000_000
HOUR_US = 3600 * SECOND_US
MONTH = calendar_month("2026-10", "Asia/Shanghai")
TIERS = [
    {"at_or_above": "0.99", "below": "0.999", "pct": "10"},
    {"at_or_above": "0.95", "below": "0.99", "pct": "25"},
    {"at_or_above": "0", "below": "0.95", "pct": "50"},
]


def version_of(nodes: int) -> Version:
    file = yaml.safe_dump(
        {
            "contract_id": "benchmark",
            "effective": "2026-01-01T00:00:00Z",
            "time_zone": "Asia/Shanghai",
            "currency": "CNY",
            "parties": [{"id": "P", "role": "provider"}, {"id": "L", "role": "lessee"}],
            "term": {"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"},
            "resources": [
                {
                    "id": "r",
                    "accelerator": {"sku": "any"},
                    "nodes": str(nodes),
                    "per_node": str(PER_NODE),
                }
            ],
            "pricing": [{"unit": "gpu_hour", "price": "12.50"}],
            "availability": [
                {
                    "id": "gpu",
                    "unit": "gpu",
                    "target": "0.999",
                    "counting": {
                        "min_outage": {"seconds": "300", "op": ">="},
                        "merge_gap_s": "600",
                    },
                }
            ],
            "unknown": {"policy": "hold"},
            "maintenance": {"min_notice_s": "86400", "max_s_per_period": "28800"},
            "credits": [{"id": "c", "objective": "gpu", "kind": "tiers", "tiers": TIERS}],
        }
    )
    return Version(load(file), file, 0, 4_000_000_000 * SECOND_US)


def rows_of(nodes: int, intervals: int) -> list[Row]:
    """Slots that are up but for faults, spread over the month, so that each slot's rows tile it."""
    chance = random.Random(1)
    slots = [(f"node-{node:04}", slot) for node in range(nodes) for slot in range(PER_NODE)]
    faults = max((intervals - len(slots)) // 2, 0)
    cuts: dict[tuple[str, int], list[int]] = {slot: [] for slot in slots}
    for _ in range(faults):
        cuts[chance.choice(slots)].append(chance.randrange(MONTH.seconds - 7200))
    return [row for slot, starts in cuts.items() for row in _tiles(slot, sorted(starts), chance)]


def _tiles(slot: tuple[str, int], starts: list[int], chance: random.Random) -> list[Row]:
    made: list[Row] = []
    at = 0
    for start in starts:
        if start < at:
            continue
        end = start + chance.randrange(30, 7200)
        made.append(_row(slot, at, start, State.UP))
        made.append(
            _row(slot, start, end, chance.choice((State.DOWN, State.UNKNOWN, State.DEGRADED)))
        )
        at = end
    made.append(_row(slot, at, MONTH.seconds, State.UP))
    return made


def _row(slot: tuple[str, int], start: int, end: int, state: State) -> Row:
    start_us, end_us = ((MONTH.start_s + edge) * SECOND_US for edge in (start, end))
    return Row("benchmark", *slot, "GPU", "chain", start_us, end_us, state, "", end_us)


def hourly(rows: Iterable[Row]) -> Iterator[Row]:
    """The same rows cut at each full hour, but those that are unknown."""
    for row in rows:
        start = row.start_us
        while start < row.end_us:
            hour = (start // HOUR_US + 1) * HOUR_US
            end = row.end_us if row.state is State.UNKNOWN else min(row.end_us, hour)
            yield replace(row, start_us=start, end_us=end, recorded_us=end)
            start = end


def cpu_s(work: Callable[[], Any], runs: int) -> float:
    """The least CPU time of several runs: what disturbs a run only adds."""
    found = []
    for _ in range(runs):
        before = time.process_time()
        work()
        found.append(time.process_time() - before)
    return min(found)


def measure(nodes: int, intervals: int, runs: int) -> dict[str, Any]:
    version, rows = version_of(nodes), rows_of(nodes, intervals)
    windows = tuple(
        Window(f"m{day}", MONTH.start_s + day * 86400, MONTH.start_s + day * 86400 + 7200, 0)
        for day in range(0, 28, 7)
    )
    names = [Holder(f"node-{node:04}", None, 0) for node in range(nodes)]
    as_of_us = (MONTH.end_s + 6 * 86400) * SECOND_US

    def settled(given: Sequence[Row]) -> Statement:
        return draft([version], names, given, Notices(windows), MONTH, as_of_us)

    made, many = settled(rows), list(hourly(rows))
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "nodes": nodes,
        "gpus": nodes * PER_NODE,
        "intervals": len(rows),
        "statement_cpu_s": cpu_s(lambda: settled(rows), runs),
        "target_cpu_s": TARGET_S,
        "hourly_rows": len(many),
        "hourly_statement_cpu_s": cpu_s(lambda: settled(many), runs),
        "load_contract_cpu_s": cpu_s(lambda: load(version.text), runs),
        "json_cpu_s": cpu_s(made.json, runs),
        "text_cpu_s": cpu_s(lambda: as_text.render(made, "en"), runs),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=125)
    parser.add_argument("--intervals", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures = measure(options.nodes, options.intervals, options.runs)
    for name, value in figures.items():
        print(f"{name:22} {value:.3f}" if isinstance(value, float) else f"{name:22} {value}")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
