"""What it costs to open a store, by the length of its log: with its index, and without.

    python -m benchmarks.restart [--reports 20000 200000] [--nodes 1250] [--json FILE]

Of each node there is a key and an assignment, entered amid reports in one commit, and then reports as an index reads
them: signed by nobody, a few hundred bytes each. Figures are CPU of this process, after the files were read once.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.exposition import machine
from collector.judging.statements import load_book
from collector.log.keys import load_keys
from collector.storage.embedded import open_embedded
from collector.storage.received import received
from tests.collector.building import CONTRACT, Agent, enrolled, hand_out, log_signer, make_store
from weighbridge.judge.fleet import REMEMBERED
from weighbridge.log.entries import Assignment, ContractAdded, EntryKind, Tick, payload_type
from weighbridge.wire.report import encode

SEGMENT_BYTES = 4 << 20
"""So small that the log has many; the last one is read through whenever a store is opened."""

TOGETHER = 400
"""Entries of one commit."""


class Leaves:
    """Those of a collector's log."""

    def __init__(self, directory: Path, nodes: int) -> None:
        self._signer = log_signer(directory)
        self._agents = [Agent(f"node-{number:05d}", gpus=1) for number in range(nodes)]
        self._second = 0

    def tick(self) -> bytes:
        self._second += 1
        said = encode(Tick(wall_us=(1_790_000_000 + self._second) * 1_000_000))
        return self._signer.seal(payload_type(EntryKind.TICK), said)

    def record(self, kind: EntryKind, said: Any) -> bytes:
        return self._signer.seal(payload_type(kind), encode(said))

    def report(self, number: int) -> bytes:
        return self._agents[number % len(self._agents)].next(blocks=[])

    def contracted(self) -> Iterator[bytes]:
        """A tick, and then everybody's key and assignment, behind each other's reports."""
        added = ContractAdded(contract="lease", version=1, text=CONTRACT, from_us=0)
        yield self.tick()
        yield self.record(EntryKind.CONTRACT, added)
        for number, agent in enumerate(self._agents):
            if number % TOGETHER == 0:
                yield self.tick()
            yield self.record(EntryKind.KEY, enrolled(agent))
            yield self.record(
                EntryKind.ASSIGNMENT, Assignment(contract="lease", node=agent.node, devices=None)
            )
            yield self.report(number)


def filled(directory: Path, nodes: int, reports: int) -> None:
    """A store whose index is written."""
    make_store(directory)
    leaves, store = Leaves(directory, nodes), open_embedded(directory, SEGMENT_BYTES)
    store.log.append(list(leaves.contracted()))
    for first in range(0, reports, TOGETHER):
        numbers = range(first, min(reports, first + TOGETHER))
        store.log.append([leaves.tick(), *map(leaves.report, numbers)])
    hand_out(directory, store)
    store.close()
    open_embedded(directory, SEGMENT_BYTES).close()


def timed(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


def opened_s(directory: Path) -> float:
    """As `serve` does, up to what the judge remembers beside its own state."""

    def work() -> None:
        store = open_embedded(directory, SEGMENT_BYTES)
        load_keys(store.log, store.index)
        load_book(store.log, store.index)
        places = store.index.of_kinds(REMEMBERED)
        list(received(store.log, store.index, places))
        store.close()

    return timed(work)


def case(nodes: int, reports: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch) / "store"
        filled(directory, nodes, reports)
        opened_s(directory)
        with_index_s = opened_s(directory)
        (directory / "index.sqlite").unlink()
        anew_s = timed(lambda: open_embedded(directory, SEGMENT_BYTES).close())
    return {
        "reports": reports,
        "with_index_s": with_index_s,
        "without_index_s": anew_s,
        "without_index_ms_a_report": 1000 * anew_s / reports,
    }


def main() -> None:
    """Prints a table; writes JSON where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--reports", nargs="*", type=int, default=[20_000, 200_000])
    parser.add_argument("--nodes", type=int, default=1250)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    rows: list[dict[str, float]] = []
    for reports in chosen.reports:
        rows.append(case(chosen.nodes, reports))
        print("   ".join(f"{name} {value:,.3f}" for name, value in rows[-1].items()), flush=True)
    if chosen.json is not None:
        chosen.json.write_text(json.dumps({"machine": machine(), "cases": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
