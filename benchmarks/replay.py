"""What replaying a period costs for each report, beside the parts measured alone, on a log that is scaled down.

    python -m benchmarks.replay [--nodes N] [--reports N] [--workers N] [--json FILE]

The log holds reports of six samples of 8 GPUs at 10 s, two to a commit, of `--nodes` nodes; a month of 1,000 GPUs has
125 nodes and 43,200 reports of each, 5.4 million. It is replayed by one process and with `--workers` others. Costs are
the CPU time of all processes from the first slice on, so that what it takes to start them does not count; wall time is
worked out for a month from what this machine had to spare just then. The parts run over the same entries, some at a
time, garbage collected as seldom as by the command.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import active_children
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from benchmarks.ingest import cpu_seconds, machine
from collector.cli.operate import collect_seldom
from collector.cli.replay import LARGE, by_cores
from collector.judging.replay import Replay
from collector.log.commits import CommitBatch
from collector.storage.store import StoreInfo
from tests.collector.building import (
    CONTRACT,
    INTERVAL_US,
    SECOND_US,
    Agent,
    log_signer,
    make_store,
    opened,
)
from weighbridge.judge.fleet import FleetFold
from weighbridge.log.entries import EntryKind, entry
from weighbridge.wire import signing
from weighbridge.wire.report import decode

SAMPLES = 6
GROUP = 2
SLICE = 64
TOGETHER = 4
"""Entries of which each part is measured at a time: so few that they are in the caches, as where it is done in turn."""
SLICES_PER_WRITE = 512
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
                batch = CommitBatch(store, signer, tick_us + first)
                for agent in fleet[first : first + GROUP]:
                    inventory = {"inventory": agent.inventory()} if number == 0 else {}
                    batch.add_leaf(EntryKind.REPORT, agent.next(SAMPLES, **inventory))
                store.log.append(batch.leaves)
        batch = CommitBatch(store, signer, tick_us + 10 * SECOND_US)
        store.log.append(batch.leaves)
    return tick_us // SECOND_US + 5


class Parts:
    """Seconds of CPU for each step, over slices of the log."""

    def __init__(self, keys: dict[str, bytes]) -> None:
        self.seconds = dict.fromkeys(("decode", "verify", "judge"), 0.0)
        self._keys = keys
        self._fold = FleetFold()

    def take(self, first: int, leaves: list[bytes]) -> None:
        with self._spent("decode"):
            entries = [entry(index, leaf) for index, leaf in enumerate(leaves, first)]
            reports = [
                decode(one.envelope.payload) if one.kind is EntryKind.REPORT else None
                for one in entries
            ]
        with self._spent("verify"):
            for one in entries:
                signing.verify(one.envelope, self._keys[one.envelope.key_id])
        with self._spent("judge"):
            for one, report in zip(entries, reports, strict=True):
                self._fold.fold(one, report)

    @contextmanager
    def _spent(self, step: str) -> Iterator[None]:
        before = time.process_time()
        yield
        self.seconds[step] += time.process_time() - before


@dataclass
class Course:
    """What a replay had spent whenever it told how far it had come."""

    come: int = 0
    spent: list[tuple[int, float, float]] = field(default_factory=list)

    def tell(self, folded: int) -> None:
        self.come = folded
        workers = sum(cpu_seconds(one.pid or 0) for one in active_children())
        self.spent.append((folded, time.perf_counter(), time.process_time() + workers))

    def rates(self) -> tuple[float, float]:
        """Seconds of wall time and of CPU for each entry, from the first slice to the last."""
        (first, begun, before), (last, ended, after) = self.spent[0], self.spent[-1]
        return (ended - begun) / (last - first), (after - before) / (last - first)


def replayed(
    directory: Path, log_key: bytes, as_of_s: int, workers: int, show: Callable[[int], None]
) -> Course:
    """One replay into a ledger of its own, small slice by small slice: the workers are little ahead."""
    course = Course()
    state = directory / f"state-{workers}"
    again = Replay(f"embedded:{directory}", StoreInfo("benchmark"), log_key, state, as_of_s)

    def tell(folded: int) -> None:
        course.tell(folded)
        show(folded)

    again.run(tell, workers, SLICE, SLICES_PER_WRITE)
    if course.come != again.size:
        raise RuntimeError(f"{course.come} of {again.size} entries were replayed")
    again.close()
    return course


def measure(nodes: int, reports: int, workers: int) -> dict[str, Any]:
    """One log, taken apart, replayed by one process and by several."""
    collect_seldom()
    fleet = [Agent(f"node-{number}") for number in range(nodes)]
    with tempfile.TemporaryDirectory() as scratch:
        terms = CONTRACT.replace("nodes: 1", f"nodes: {nodes}")
        directory = make_store(Path(scratch) / "store", fleet, terms)
        as_of_s = write_log(directory, fleet, reports)
        log_key = log_signer(directory).public_key
        keys = {agent.signer.key_id: agent.signer.public_key for agent in fleet}
        parts = Parts(keys | {signing.key_id(log_key): log_key})
        with opened(directory) as store:
            size = store.log.size
            for first in range(0, size, TOGETHER):
                parts.take(first, list(store.log.leaves(first, TOGETHER)))
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("entries", total=size)

            def show(folded: int) -> None:
                progress.update(task, completed=folded)

            one = replayed(directory, log_key, as_of_s, 0, show)
            several = replayed(directory, log_key, as_of_s, workers, show)
    return judged(nodes * reports, size, workers, parts, one, several)


def judged(
    count: int, size: int, workers: int, parts: Parts, one: Course, several: Course
) -> dict[str, Any]:
    """The figures, for each report."""
    each = size / count
    whole = sum(parts.seconds.values()) / count
    (_, alone), (wall, together) = one.rates(), several.rates()
    return {
        "reports": count,
        "of_a_month": count / MONTH_REPORTS,
        "parts_milliseconds": {name: cost * 1000 / count for name, cost in parts.seconds.items()},
        "one_process_milliseconds": alone * each * 1000,
        "one_process_ratio": alone * each / whole,
        "workers": workers,
        "milliseconds": together * each * 1000,
        "ratio": together * each / whole,
        "target_ratio": TARGET_RATIO,
        "month_cpu_minutes": together * each * MONTH_REPORTS / 60,
        "target_month_cpu_minutes": TARGET_SECONDS / 60,
        "wall_milliseconds": wall * each * 1000,
        "month_wall_minutes": wall * each * MONTH_REPORTS / 60,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument("--reports", type=int, default=300, help="of each node")
    parser.add_argument("--workers", type=int, default=by_cores(LARGE))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    here, case = machine(), measure(options.nodes, options.reports, options.workers)
    print(" · ".join(f"{name}: {value}" for name, value in here.items()))
    print(
        f"\n{case['reports']} reports, {case['of_a_month']:.5f} of a month of 1,000 GPUs, CPU per report:"
    )
    for step, cost in case["parts_milliseconds"].items():
        print(f"  {cost:8.3f} ms  {step}")
    print(
        f"  {case['one_process_milliseconds']:8.3f} ms  one process"
        f" ({case['one_process_ratio']:.2f} x the sum of the parts)"
    )
    print(
        f"  {case['milliseconds']:8.3f} ms  with {case['workers']} workers, all together"
        f" ({case['ratio']:.2f} x; target {TARGET_RATIO})"
    )
    print(
        f"  a month with workers, worked out from that: {case['month_cpu_minutes']:.0f} minutes of CPU"
        f" (target {case['target_month_cpu_minutes']:.0f}: two cores for 15); at the pace just seen"
        f" {case['month_wall_minutes']:.0f} minutes"
    )
    if options.json is not None:
        options.json.write_text(
            json.dumps({"machine": here, "cases": [case]}, indent=2) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
