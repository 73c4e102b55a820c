"""What the preview of a notice costs: maintenance on a contract of 1,000 GPUs twenty days into its second month.

    python -m benchmarks.previews [--nodes 125] [--runs 3] [--json FILE]

The store is that of `benchmarks.pages`. CPU of the process that settles and of the one that asks, the median of the
runs; asked: the part in which the loop puts together what the statements are made of; held: the most CPU that the
loop's thread took in one go.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.attack import children_of
from benchmarks.exposition import machine
from benchmarks.ingest import cpu_seconds
from benchmarks.pages import DAY_S, SECOND_US, evidence, held_s, rows
from collector.judging.live import LiveFleet
from collector.judging.preview import Previews
from collector.judging.settler import SettlingProcess
from collector.judging.statements import Statements, load_book
from collector.judging.writer import LedgerWriter
from collector.storage.store import Store
from tests.collector.building import make_store, opened
from tests.weighbridge.scripted import START_US
from weighbridge.log.entries import MaintenanceNotice, Notice

DAYS = {"a month that is over": 10, "the month under way": 45}


def maintenance(day: int) -> Notice:
    """Four hours of one node."""
    from_us = START_US + day * DAY_S * SECOND_US
    times = {"from_us": from_us, "until_us": from_us + 4 * 3600 * SECOND_US}
    said = MaintenanceNotice(kind="maintenance", id="M1", units=["node-007"], **times)
    return Notice(contract="K1", party="P", said=said, attested_for="provider")


def settling_s() -> float:
    """CPU of the process that settles."""
    return sum(map(cpu_seconds, children_of(os.getpid())))


async def measured(store: Store, settler: SettlingProcess, runs: int) -> dict[str, Any]:
    writer = LedgerWriter(store)
    while writer.catch_up():
        pass
    statements = Statements(LiveFleet(writer.judgement), load_book(store.log, store.index))
    previews, found = Previews(statements, settler), dict[str, Any]()
    for name, day in DAYS.items():
        notice = maintenance(day)
        labels = [one.before.period for one in (await previews.of(notice)).periods]
        cpu, settled, asked, held = [], [], [], []
        for _ in range(runs):
            begun, before = time.process_time(), settling_s()
            await previews.of(notice)
            cpu.append(time.process_time() - begun)
            settled.append(settling_s() - before)
            begun = time.process_time()
            for label in labels:
                statements.ask("K1", label)
            asked.append(time.process_time() - begun)
            held.append(await held_s(lambda notice=notice: previews.of(notice)))  # type: ignore[misc]
        figures = {"settled_ms": settled, "cpu_ms": cpu, "asked_ms": asked, "held_ms": held}
        found[name] = {key: 1000 * median(values) for key, values in figures.items()}
        found[name]["statements"] = 2 * len(labels)
    return found


def run(nodes: int, runs: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place) / "store"
        with opened(make_store(directory)) as store:
            store.log.append(evidence(nodes).leaves)
        with opened(directory) as store:
            store.ledger.write(list(rows(nodes)), [], 0, {}, [])
            settler = SettlingProcess(f"embedded:{directory}")
            try:
                return asyncio.run(measured(store, settler, runs))
            finally:
                settler.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=125)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result = {"machine": machine(), "previews": run(options.nodes, options.runs)}
    for name, row in result["previews"].items():
        print(
            f"{name:24}{row['statements']} statements, settled in {row['settled_ms']:.0f} ms of CPU,"
            f" {row['cpu_ms']:.0f} ms where they were asked for,"
            f" asked in {row['asked_ms']:.1f} ms, loop held {row['held_ms']:.1f} ms"
        )
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
