"""What one report costs the collector: CPU of a real `weighbridge serve` process, beside the parts measured alone.

    python -m benchmarks.ingest [--agents N] [--reports N] [--json FILE]

Each agent holds one connection and sends its reports one by one, zstd-compressed, each acknowledged before the
next: 8 GPUs, 25 fast readings, one or six samples. The process's CPU time comes from /proc, so that everything
counts: HTTP, decompression, signature, decode, the group commit with its thread and its writing, and judging. TLS
is ended elsewhere.
"""

import argparse
import asyncio
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import zstandard

from collector.log.commits import CommitBatch
from collector.log.ingest import Limits, Unpacker
from collector.storage.store import ChainKey, Store
from tests.collector.building import (
    CONTRACT,
    Agent,
    Serving,
    body,
    log_signer,
    make_store,
    opened,
    serving,
)
from weighbridge.judge.fleet import FleetFold
from weighbridge.log.entries import EntryKind
from weighbridge.wire import signing
from weighbridge.wire.report import decode, digest

TARGETS_MS = {1: 0.40, 6: 0.70}
GROUP = 32
ROUNDS = 300
NOTHING = b"GET /healthz HTTP/1.1\r\nHost: collector\r\n\r\n"


def requests(agent: Agent, count: int, samples: int) -> list[bytes]:
    """An agent's reports; the first one tells its inventory."""
    compress = zstandard.ZstdCompressor(level=3).compress
    first = body(agent.next(samples, inventory=agent.inventory()))
    return [_request("/v1/reports", compress(first))] + [
        _request("/v1/reports", compress(body(agent.next(samples)))) for _ in range(count - 1)
    ]


def _request(path: str, content: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: collector\r\nContent-Type: application/vnd.weighbridge.reports\r\n"
        f"Content-Encoding: zstd\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


async def send(host: str, port: int, wanted: Sequence[bytes]) -> None:
    """All of them over one connection, each answered before the next."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        for request in wanted:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            _, _, length = head.lower().partition(b"content-length: ")
            answer = await reader.readexactly(int(length.split(b"\r\n")[0] or b"0"))
            if not head.startswith(b"HTTP/1.1 2"):
                raise RuntimeError(f"answered {head!r} {answer!r}")
    finally:
        writer.close()


def cpu_seconds(process: int) -> float:
    """User and system time of a process and its threads."""
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def drive(server: Serving, streams: Sequence[Sequence[bytes]]) -> float:
    """CPU milliseconds of the server per request."""
    host, _, port = server.url.removeprefix("http://").partition(":")

    async def everyone() -> None:
        await asyncio.gather(*(send(host, int(port), one) for one in streams))

    before = cpu_seconds(server.process.pid)
    asyncio.run(everyone())
    spent = cpu_seconds(server.process.pid) - before
    return spent * 1000 / sum(len(one) for one in streams)


def alone(call: Callable[[], object], times: int = ROUNDS) -> float:
    """CPU milliseconds of one call in this process."""
    call()
    before = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - before) * 1000 / times


def parts(store: Store, directory: Path, samples: int) -> dict[str, float]:
    """Milliseconds of CPU of each step, alone: in a loop, and so with warmer caches than in the server."""
    agent = Agent("parts")
    leaf = agent.next(samples)
    envelope = signing.open_envelope(leaf)
    compressed = zstandard.ZstdCompressor(level=3).compress(body(leaf))
    report = decode(envelope.payload)
    chain = ChainKey(agent.signer.key_id, agent.chain, "node")
    signer = log_signer(directory)
    unpacker = Unpacker(Limits())

    def commit() -> None:
        batch = CommitBatch(store, signer, 1_700_000_000_000_000)
        for _ in range(GROUP):
            batch.add_report(chain, leaf, envelope, report, digest(envelope.payload))
        store.log.append(batch.leaves)
        store.index.record(batch.indexed)
        store.index.flush()

    return {
        "decompression": alone(lambda: unpacker.unpack(compressed, "zstd")),
        "envelope": alone(lambda: signing.open_envelope(leaf)),
        "signature": alone(lambda: signing.verify(envelope, agent.signer.public_key)),
        "decode": alone(lambda: decode(envelope.payload)),
        f"commit (1/{GROUP} of a group)": alone(commit, 30) / GROUP,
    }


def judged(store: Store) -> float:
    """Milliseconds of CPU to fold one report, over the whole log of a run."""
    fold, reports = FleetFold(), 0
    entries = list(store.log.read(0, store.log.size))
    read = [
        decode(entry.envelope.payload) if entry.kind is EntryKind.REPORT else None
        for entry in entries
    ]
    before = time.process_time()
    for entry, report in zip(entries, read, strict=True):
        fold.fold(entry, report)
        reports += report is not None
    return (time.process_time() - before) * 1000 / reports


def measure(samples: int, agents: int, reports: int) -> dict[str, Any]:
    """One line of the table."""
    fleet = [Agent(f"node-{number}") for number in range(agents)]
    with tempfile.TemporaryDirectory() as scratch:
        terms = CONTRACT.replace("nodes: 1", f"nodes: {agents}")
        directory = make_store(Path(scratch) / "store", fleet, terms)
        streams = [requests(agent, reports, samples) for agent in fleet]
        with serving(directory) as server:
            drive(server, [stream[: reports // 5] for stream in streams])
            whole = drive(server, [stream[reports // 5 :] for stream in streams])
            http = drive(server, [[NOTHING] * reports] * agents)
            server.stop()
        with opened(directory) as store:
            judge = {"judge": judged(store)}
            steps = {"HTTP (GET /healthz)": http} | parts(store, directory, samples) | judge
    steps["the rest (answer, loop, colder caches)"] = whole - sum(steps.values())
    return {
        "samples": samples,
        "milliseconds": whole,
        "target_milliseconds": TARGETS_MS[samples],
        "parts_milliseconds": steps,
    }


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "processor": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "kernel": platform.release(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--agents", type=int, default=48)
    parser.add_argument("--reports", type=int, default=60, help="of each agent")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    here = machine()
    cases = [measure(samples, options.agents, options.reports) for samples in TARGETS_MS]
    print(" · ".join(f"{name}: {value}" for name, value in here.items()))
    for case in cases:
        print(f"\n{case['samples']} sample(s) of 8 GPUs, CPU per report:")
        print(f"  {case['milliseconds']:.3f} ms   target {case['target_milliseconds']:.2f} ms")
        for step, spent in case["parts_milliseconds"].items():
            print(f"    {spent:8.3f} ms  {step}")
    if options.json is not None:
        options.json.write_text(
            json.dumps({"machine": here, "cases": cases}, indent=2) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
