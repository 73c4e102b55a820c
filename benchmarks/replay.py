"""What replaying a period costs for each report, beside the parts measured alone, on a log that is scaled down.

    python -m benchmarks.replay [--nodes N] [--reports N] [--json FILE]

The log holds reports of six samples of 8 GPUs at 10 s, two to a commit, of `--nodes` nodes; a month of 1,000 GPUs has
125 nodes and 43,200 reports of each, 5.4 million. `weighbridge replay` is one process, so its CPU time is its time on
an idle machine. The whole and the parts run over the same entries in the same process, garbage collected as seldom as
by the command.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from benchmarks.ingest import machine
from collector.commands.operate import collect_seldom
from collector.commits import Batch
from collector.replay import Replay
from collector.storage import StoreInfo
from tests.collector.building import (
    CONTRACT,
    INTERVAL_US,
    SECOND_US,
    Agent,
    log_signer,
    make_store,
    opened,
)
from weighbridge import signing, wire
from weighbridge.evidence import Entry, EntryKind, entry
from weighbridge.fleet import FleetFold

SAMPLES = 6
GROUP = 2
MONTH_REPORTS = 125 * 43_200
TARGET_SECONDS = 15 * 60 * 2
"""Fifteen minutes on two cores, as CPU."""
TARGET_RATIO = 1.5


def write_log(directory: Path, fleet: list[Agent], reports: int) -> int:
    """Reports in the order in which they would come, and a tick after them all; the time of that tick in seconds."""
    tick_us = fleet[0].start_us
    with opened(directory) as store:
        signer = log_signer(directory)
        for number in range(reports):
            tick_us = fleet[0].start_us + (number + 1) * SAMPLES * INTERVAL_US
            for first in range(0, len(fleet), GROUP):
                batch = Batch(store, signer, tick_us + first)
                for agent in fleet[first : first + GROUP]:
                    inventory = {"inventory": agent.inventory()} if number == 0 else {}
                    batch.add_leaf(EntryKind.REPORT, agent.next(SAMPLES, **inventory))
                store.log.append(batch.leaves)
        batch = Batch(store, signer, tick_us + 10 * SECOND_US)
        store.log.append(batch.leaves)
    return tick_us // SECOND_US + 5


def spent(call: Callable[[], object]) -> float:
    """Seconds of CPU."""
    before = time.process_time()
    call()
    return time.process_time() - before


def parts(entries: list[Entry], keys: dict[str, bytes]) -> dict[str, float]:
    """Seconds of CPU for each step over all entries."""
    reports: list[wire.Report | None] = []
    fold = FleetFold()

    def decode() -> None:
        for one in entries:
            is_report = one.kind is EntryKind.REPORT
            reports.append(wire.decode(one.envelope.payload) if is_report else None)

    def verify() -> None:
        for one in entries:
            signing.verify(one.envelope, keys[one.envelope.key_id])

    def judge() -> None:
        for one, report in zip(entries, reports, strict=True):
            fold.fold(one, report)

    return {"decode": spent(decode), "verify": spent(verify), "judge": spent(judge)}


def measure(nodes: int, reports: int) -> dict[str, Any]:
    """One log, replayed."""
    collect_seldom()
    fleet = [Agent(f"node-{number}") for number in range(nodes)]
    come = [0]
    with tempfile.TemporaryDirectory() as scratch:
        terms = CONTRACT.replace("nodes: 1", f"nodes: {nodes}")
        directory = make_store(Path(scratch) / "store", fleet, terms)
        as_of_s = write_log(directory, fleet, reports)
        log_key = log_signer(directory).public_key
        keys = {agent.signer.key_id: agent.signer.public_key for agent in fleet}
        keys[signing.key_id(log_key)] = log_key
        with opened(directory) as store:
            leaves = list(store.log.leaves(0, store.log.size))
        entries = [entry(index, leaf) for index, leaf in enumerate(leaves)]
        opening = spent(lambda: [entry(index, leaf) for index, leaf in enumerate(leaves)])
        steps = parts(entries, keys)
        steps["decode"] += opening
        info = StoreInfo("benchmark", simulation=False)
        again = Replay(directory, info, log_key, Path(scratch) / "state", as_of_s)
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("entries", total=again.size)

            def show(folded: int) -> None:
                come[0] = folded
                progress.update(task, completed=folded)

            whole = spent(lambda: again.run(show))
        if come[0] != len(entries):
            raise RuntimeError(f"{come[0]} of {len(entries)} entries were replayed")
        again.close()
    count = nodes * reports
    return {
        "reports": count,
        "of_a_month": count / MONTH_REPORTS,
        "milliseconds_per_report": whole * 1000 / count,
        "parts_milliseconds": {name: cost * 1000 / count for name, cost in steps.items()},
        "ratio": whole / sum(steps.values()),
        "target_ratio": TARGET_RATIO,
        "month_cpu_minutes": whole / count * MONTH_REPORTS / 60,
        "target_month_cpu_minutes": TARGET_SECONDS / 60,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument("--reports", type=int, default=200, help="of each node")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    here, case = machine(), measure(options.nodes, options.reports)
    print(" · ".join(f"{name}: {value}" for name, value in here.items()))
    print(
        f"\n{case['reports']} reports, {case['of_a_month']:.5f} of a month of 1,000 GPUs, CPU per report:"
    )
    print(f"  {case['milliseconds_per_report']:.3f} ms")
    for step, cost in case["parts_milliseconds"].items():
        print(f"    {cost:8.3f} ms  {step}")
    print(f"  {case['ratio']:.2f} x the sum of the parts   target {TARGET_RATIO}")
    print(
        f"  a month, worked out from that: {case['month_cpu_minutes']:.0f} minutes of CPU"
        f"   target {case['target_month_cpu_minutes']:.0f} (two cores for 15)"
    )
    if options.json is not None:
        options.json.write_text(
            json.dumps({"machine": here, "cases": [case]}, indent=2) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
