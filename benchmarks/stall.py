"""How long the event loop stands still while `/metrics` is scraped of one contract of many outages.

    python -m benchmarks.stall [--rows 50000] [--scrapes 20] [--json FILE]

The worst lag of a task that wakes every millisecond, once with the figures worked out at once and once as the collector
does it, and what the process holds at its most.
"""

import argparse
import asyncio
import json
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.exposition import FleetAtRest, fleet
from benchmarks.figures import MONTH, NOW_US, FleetWithFigures, Leased, row
from collector.api.exposition import Exposition
from collector.judging.current_figures import Figures
from collector.judging.recent import RecentFleet
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.judge.ledger import Row, State

STEP_US = 20 * MICROSECONDS
GPUS = 8


@dataclass
class Flapping(Leased):
    """A node whose GPUs go down and come back every twenty seconds."""

    rows: int = 0

    def _slot(self, contract: str, node: str, slot: int) -> Iterator[Row]:
        start_us = MONTH.start_s * MICROSECONDS
        for number in range(self.rows // GPUS):
            at_us = start_us + number * STEP_US
            state = State.DOWN if number % 2 else State.UP
            yield row(contract, node, slot, at_us, at_us + STEP_US, state)


@dataclass
class Attacked(FleetWithFigures):
    """A fleet whose only contract is made of so many rows."""

    rows: int = 0

    def weight(self, contract: str) -> int:
        return self.rows if contract in self.contracts else 0

    def prepared(self, contract: str) -> Callable[[], Figures]:
        now_us = self.now_us
        return lambda: self.leased.figures(contract, now_us)


def attacked(rows: int) -> Attacked:
    resting: FleetAtRest = fleet(GPUS)
    (node,) = resting.nodes
    leased = Flapping({"lease": [node]}, 0, rows=rows)
    leased.figures("lease", NOW_US)
    return Attacked(NOW_US, leased.contracts, resting.nodes, {"lease": {node: None}}, leased, rows)


async def worst_lag_s(fleet: Attacked, pages: Exposition, scrapes: int) -> float:
    worst = 0.0

    async def look() -> None:
        nonlocal worst
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            worst = max(worst, time.perf_counter() - before - 0.001)

    looking = asyncio.create_task(look())
    for _ in range(scrapes):
        fleet.now_us += MICROSECONDS
        await pages.contracts()
        await asyncio.sleep(0.2)
    looking.cancel()
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--scrapes", type=int, default=20)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    one, lags_s = attacked(options.rows), {}
    for name, shown in (("at once", one), ("apart", RecentFleet(one))):
        lags_s[name] = asyncio.run(worst_lag_s(one, Exposition(shown, lambda: ()), options.scrapes))
        print(
            f"{options.rows} rows, figures worked out {name}: worst lag {1000 * lags_s[name]:.0f} ms"
        )
    most_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"at its most {most_kib / 1024:.0f} MiB")
    if options.json is not None:
        result = {"rows": options.rows, "lags_s": lags_s, "most_kib": most_kib}
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
