"""What the page of a contract costs: 1,000 GPUs twenty days into their second month, from a real ledger.

    python -m benchmarks.pages [--nodes 125] [--runs 9] [--json FILE]

CPU of all threads, the median of the runs, once the statements are settled; that is told apart, because pages keep
them. Held: the most CPU that the loop's thread took in one go, which another program on the machine does not lengthen.
"""

import argparse
import asyncio
import json
import resource
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from benchmarks.exposition import machine
from collector.api.access import GATE, VIEWER, Gate
from collector.api.routes import Viewer
from collector.judging.live import LiveFleet
from collector.judging.recent import RecentFleet
from collector.judging.settled import Settled
from collector.judging.settler import SettlingProcess
from collector.judging.statements import Statements, load_book
from collector.judging.writer import LedgerWriter
from collector.storage.store import Store
from collector.web.contract_page import ContractPage
from collector.web.shell import Shell
from tests.collector.building import make_store, opened
from tests.weighbridge.scripted import START_US, Log, ScriptedNode, contract_text
from weighbridge.judge.ledger import Row, State

GPUS, DAY_S, SECOND_US = 8, 86_400, 1_000_000
HOUR_US = 3600 * SECOND_US
NOW_S = 51 * DAY_S
PATIENCE = 10_000
"""Turns in which the live figures are worked out, apart."""

TARGETS_MS = {"cpu_ms": 300.0, "held_ms": 50.0}
TERMS = """\
pricing: [{unit: gpu_hour, price: "2.50"}]
claim: {required: true, deadline_days: 30}
credits:
  - {id: c, objective: gpus, kind: tiers, tiers: [{at_or_above: "0", below: "0.99", pct: 10}]}
"""


def evidence(nodes: int) -> Log:
    """Every node reports in the last minute before now."""
    log = Log()
    log.contract(contract_text(nodes=nodes, per_node=GPUS) + TERMS)
    names = [f"node-{number:03d}" for number in range(nodes)]
    for name in names:
        log.assign(name)
    log.tick(NOW_S - 60)
    for name in names:
        log.introduce(name)
    log.tick(NOW_S)
    for name in names:
        log.report(ScriptedNode(name, gpus=GPUS).report(range(NOW_S - 60, NOW_S, 10)))
    log.tick(NOW_S + 1)
    return log


def rows(nodes: int) -> Iterator[Row]:
    """Fifty days of each slot: an hour down in every tenth of them each month, and the last day cut at each hour."""
    now_us = START_US + (NOW_S - 60) * SECOND_US
    for node in range(nodes):
        for slot in range(GPUS):
            edges = [START_US, *range(now_us - 24 * HOUR_US, now_us + 1, HOUR_US)]
            if (node * GPUS + slot) % 10 == 0:
                for day in (5, 40):
                    begin = START_US + day * DAY_S * SECOND_US
                    edges += [begin, begin + HOUR_US]
            edges.sort()
            for start, end in pairwise(edges):
                down = end - start == HOUR_US and end <= now_us - 24 * HOUR_US
                yield _row(node, slot, start, end, State.DOWN if down else State.UP)


def _row(node: int, slot: int, start_us: int, end_us: int, state: State) -> Row:
    name = f"node-{node:03d}"
    device, cause = f"GPU-{name}-{slot}", "xid_79" if state is State.DOWN else ""
    return Row("K1", name, slot, device, "old", start_us, end_us, state, cause, end_us)


async def held_s(work: Callable[[], Awaitable[object]]) -> float:
    """The most CPU that the loop's thread took between two turns."""
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
    await work()
    running = False
    await watching
    return longest


async def measured(store: Store, settler: SettlingProcess, runs: int) -> dict[str, Any]:
    writer = LedgerWriter(store)
    while writer.catch_up():
        pass
    live = LiveFleet(writer.judgement)
    fleet = RecentFleet(live)
    statements = Statements(live, load_book(store.log, store.index))
    settled = Settled(statements, settler, patience_s=600)
    page = ContractPage(Shell(store.info, lambda: live.now_us), fleet, store.ledger, settled)

    application = web.Application()
    application[GATE] = Gate({}, open_on_loopback=True)

    async def shown(query: str = "") -> web.Response:
        request = make_mocked_request(
            "GET", f"/contracts/K1{query}", match_info={"contract": "K1"}, app=application
        )
        request[VIEWER] = Viewer()
        return await page.contract(request)

    begun = time.process_time()
    for label in ("2026-11", "2026-10"):
        await settled.told("K1", label)
    taking_s = time.process_time() - begun
    for _ in range(PATIENCE):
        if fleet.figured_us("K1"):
            break
        await asyncio.sleep(0.01)
    found: dict[str, Any] = {"taking_s": taking_s, "pages": {}}
    for name, query in (("now", ""), ("a month that is over", "?period=2026-10")):
        body = (await shown(query)).body
        cpu, held = [], []
        for _ in range(runs):
            before = time.process_time()
            await shown(query)
            cpu.append(time.process_time() - before)
            held.append(await held_s(lambda query=query: shown(query)))  # type: ignore[misc]
        found["pages"][name] = {
            "cpu_ms": 1000 * median(cpu),
            "held_ms": 1000 * median(held),
            "bytes": len(body) if isinstance(body, bytes) else 0,
        }
    settled.close()
    return found


def run(nodes: int, runs: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place) / "store"
        with opened(make_store(directory)) as store:
            store.log.append(evidence(nodes).leaves)
        with opened(directory) as store:
            store.ledger.write(list(rows(nodes)), [], 0, {}, [])
            settler = SettlingProcess(f"embedded:{directory}")
            found = asyncio.run(measured(store, settler, runs))
            settler.close()
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found | {"gpus": nodes * GPUS, "settling_s": spent.ru_utime + spent.ru_stime}


def table(result: dict[str, Any]) -> str:
    """The figures beside the targets."""
    lines = [
        f"{result['gpus']} GPUs, on {result['machine']['cpu']}, {result['machine']['cores']} cores, "
        f"Python {result['machine']['python']}",
        f"two statements settled, which pages keep: {result['settling_s']:.1f} s of CPU in a process apart, its start"
        f" among them; {result['taking_s']:.2f} s to ask for them and to take them",
    ]
    for name, row in result["pages"].items():
        reached = all(row[key] <= most for key, most in TARGETS_MS.items())
        lines.append(
            f"{name:24}{row['cpu_ms']:>8.1f} ms of CPU, loop held {row['held_ms']:.1f} ms, {row['bytes']} bytes:"
            f" {'reached' if reached else 'MISSED'}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=125)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result = run(options.nodes, options.runs) | {"machine": machine()}
    print(table(result))
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
