"""What asking for statements costs those who report: reports a second alone, and beside one who asks without a pause.

    python -m benchmarks.beside [--nodes N] [--seconds S] [--rounds N] [--json FILE]

A real `weighbridge serve` holds fifty days of `--nodes` nodes of 8 GPUs; two dozen agents send reports of one sample,
each answered before its next, first alone and then beside a client that asks for the month's statement again and
again, by turns. The ratio is that of the medians; on a machine that does other work both are lower.
"""

import argparse
import asyncio
import itertools
import json
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.ingest import machine, requests, send
from benchmarks.pages import TERMS, rows
from tests.collector.building import CONTRACT, Agent, make_store, opened, serving

TARGET = 0.9
REPORTING, AT_ONCE = 24, 10
STATEMENT = "/v1/contracts/lease/statement?period=2026-10"


async def load(port: int, streams: Sequence[Iterator[bytes]], seconds: float) -> float:
    """Reports a second."""
    until_s, sent = time.monotonic() + seconds, 0

    async def one(stream: Iterator[bytes]) -> None:
        nonlocal sent
        while time.monotonic() < until_s:
            some = list(itertools.islice(stream, AT_ONCE))
            await send("127.0.0.1", port, some)
            sent += len(some)

    begun_s = time.monotonic()
    await asyncio.gather(*map(one, streams))
    return sent / (time.monotonic() - begun_s)


async def beside(
    port: int, streams: Sequence[Iterator[bytes]], seconds: float
) -> tuple[float, int]:
    """The same while statements are asked for, and how many were answered."""
    answered, url = 0, f"http://127.0.0.1:{port}{STATEMENT}"

    async def ask() -> None:
        nonlocal answered
        while True:
            await asyncio.to_thread(lambda: urllib.request.urlopen(url).read())
            answered += 1

    asking = asyncio.create_task(ask())
    try:
        return await load(port, streams, seconds), answered
    finally:
        asking.cancel()


def reports(agent: Agent) -> Iterator[bytes]:
    """Without an end."""
    while True:
        yield from requests(agent, 50, 1)


def measure(nodes: int, seconds: float, rounds: int) -> dict[str, Any]:
    fleet = [Agent(f"node-{number:03}") for number in range(nodes)]
    terms = CONTRACT.replace("nodes: 1", f"nodes: {nodes}").replace("unit: node", "unit: gpu")
    with tempfile.TemporaryDirectory() as scratch:
        directory = make_store(
            Path(scratch) / "store", fleet, terms + TERMS.replace("gpus", "node")
        )
        with opened(directory) as store:
            known = [replace(row, contract="lease") for row in rows(nodes)]
            store.ledger.write(known, [], 0, {}, [])
        with serving(directory) as server:
            port = int(server.url.rpartition(":")[2])
            streams = [reports(agent) for agent in fleet[:REPORTING]]
            asyncio.run(load(port, streams, seconds))
            alone, with_statements, statements = [], [], 0
            for _ in range(rounds):
                alone.append(asyncio.run(load(port, streams, seconds)))
                found, answered = asyncio.run(beside(port, streams, seconds))
                with_statements.append(found)
                statements += answered
            server.stop()
    medians = statistics.median(alone), statistics.median(with_statements)
    return {
        "gpus": nodes * 8,
        "reports_a_second_alone": medians[0],
        "reports_a_second_beside": medians[1],
        "statements": statements,
        "ratio": medians[1] / medians[0],
        "target_ratio": TARGET,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--nodes", type=int, default=125)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    here, found = machine(), measure(options.nodes, options.seconds, options.rounds)
    print(" · ".join(f"{name}: {value}" for name, value in here.items()))
    for name, value in found.items():
        print(f"{name:26}{value:>12.2f}" if isinstance(value, float) else f"{name:26}{value:>12}")
    if options.json is not None:
        options.json.write_text(json.dumps({"machine": here} | found, indent=1) + "\n")


if __name__ == "__main__":
    main()
