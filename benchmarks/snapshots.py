"""What it costs to write down the judge's state: how many bytes a minute, and how long anything waits for it.

    python -m benchmarks.snapshots [--nodes 12500] [--json FILE]

Every node has reported since the state was written last, as each does within a minute.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from benchmarks.exposition import machine
from benchmarks.living_fleet import GPUS_PER_NODE, fleet_fold, named
from collector.judging.follower import WRITE_SECONDS
from collector.judging.writer import LedgerWriter
from tests.collector.building import make_store, opened
from weighbridge.judge.fleet import NODE


def stepped(steps: Generator[None, None, Any]) -> tuple[Any, float]:
    """What they come to, and the longest of them, in seconds of CPU."""
    longest = 0.0
    while True:
        before = time.thread_time()
        try:
            next(steps)
        except StopIteration as ended:
            return ended.value, max(longest, time.thread_time() - before)
        longest = max(longest, time.thread_time() - before)


def measure(nodes: int) -> dict[str, Any]:
    fold = fleet_fold(nodes)
    fold.touch(NODE + named(number) for number in range(nodes))
    with tempfile.TemporaryDirectory() as scratch, opened(make_store(Path(scratch) / "s")) as store:
        writer = LedgerWriter(store)
        writer.judgement.folds = fold
        before = time.thread_time()
        _, first_s = stepped(writer.taking())
        begun_s = time.thread_time() - before
        batch, longest_s = stepped(writer.telling())
    size = sum(map(len, batch.snapshots.values()))
    return {
        "nodes": nodes,
        "bytes": size,
        "bytes_a_minute": size * 60 / WRITE_SECONDS,
        "bytes_a_gpu": size / nodes / GPUS_PER_NODE,
        "judging_waits_cpu_s": begun_s,
        "cpu_s": time.thread_time() - before,
        "longest_step_s": max(first_s, longest_s),
    }


def main() -> None:
    """Prints figures; writes JSON where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--nodes", type=int, default=12_500)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    result = measure(chosen.nodes) | {"machine": machine()}
    for name, value in result.items():
        print(f"{name:22} {value:,.4g}" if isinstance(value, float) else f"{name:22} {value}")
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
