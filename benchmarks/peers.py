"""What the same readings cost elsewhere: CPU of a push of one node to VictoriaMetrics, Prometheus and Pushgateway.

    python -m benchmarks.peers [--nodes N] [--pushes N] [--rounds N] [--json FILE]

Every process is a real one (Debian: victoria-metrics, prometheus, prometheus-pushgateway; one that is not installed is
left out), on loopback, and its CPU comes from /proc: after the pushes, and after what it keeps in memory was written.
A node has 8 GPUs with 25 fast readings: 200 series, told as text or as remote write, or signed and chained in a
report. The first push of a node makes its series; the others are steady. Peers and rounds go by turns, and the median
of the rounds is shown. `weighbridge` receives, checks, keeps and judges; the others receive and keep. Six samples are
one report here, and six pushes there.
"""

import argparse
import asyncio
import json
import shutil
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.ingest import cpu_seconds, machine, requests, send
from collector.sending.samples import Sample
from collector.sending.write_request import HEADERS, bodies, series
from tests.collector.building import CONTRACT, READ, Agent, make_store, serving
from tests.collector.view.test_prometheus import free_port

GPUS, START_MS, STEP_MS = 8, 1_790_000_000_000, 10_000
START_S = 20.0


@dataclass(frozen=True, slots=True)
class Peer:
    """A receiver of metrics. `body`: of a node and its push; `settled`: what makes it write what it holds."""

    program: str
    words: Sequence[str]
    path: str
    body: Callable[[int, int], bytes]
    headers: Mapping[str, str]
    settled: str | None = None


def readings(node: int, push: int) -> Iterator[Sample]:
    """A value of each series, which goes up and down."""
    for place, name in enumerate(READ):
        for gpu in range(GPUS):
            labels = (("gpu", f"GPU-{node}-{gpu}"), ("node", f"node-{node}"))
            yield f"weighbridge_gpu_{name}", labels, float((push * 7 + place * 13 + gpu) % 1000)


def text(node: int, push: int) -> bytes:
    """The exposition format, with the instant of the push."""
    at_ms = START_MS + push * STEP_MS
    return "".join(
        f"{name}{{{','.join(f'{key}={json.dumps(value)}' for key, value in labels)}}} {value} {at_ms}\n"
        for name, labels, value in readings(node, push)
    ).encode()


def untimed(node: int, push: int) -> bytes:
    """The same without an instant, which Pushgateway refuses."""
    return b"".join(line.rpartition(b" ")[0] + b"\n" for line in text(node, push).splitlines())


def written(node: int, push: int) -> bytes:
    """A request of remote write."""
    (made,) = bodies(series(readings(node, push), {}), START_MS + push * STEP_MS)
    return made


PEERS = {
    "VictoriaMetrics, text": Peer(
        "victoria-metrics",
        ("-storageDataPath={place}/vm", "-httpListenAddr={address}", "-retentionPeriod=100y"),
        "/api/v1/import/prometheus",
        text,
        {},
        "/internal/force_flush",
    ),
    "VictoriaMetrics, remote write": Peer(
        "victoria-metrics",
        ("-storageDataPath={place}/vm", "-httpListenAddr={address}", "-retentionPeriod=100y"),
        "/api/v1/write",
        written,
        HEADERS,
        "/internal/force_flush",
    ),
    "Prometheus, remote write": Peer(
        "prometheus",
        (
            "--config.file={place}/empty.yaml",
            "--storage.tsdb.path={place}/tsdb",
            "--storage.tsdb.retention.time=100y",
            "--web.listen-address={address}",
            "--web.enable-remote-write-receiver",
        ),
        "/api/v1/write",
        written,
        HEADERS,
    ),
    "Pushgateway, text": Peer(
        "prometheus-pushgateway",
        ("--web.listen-address={address}",),
        "/metrics/job/gpus/node/node-{node}",
        untimed,
        {},
    ),
}


def request(peer: Peer, node: int, push: int) -> bytes:
    content = peer.body(node, push)
    head = [
        f"POST {peer.path.format(node=node)} HTTP/1.1",
        "Host: peer",
        f"Content-Length: {len(content)}",
        *(f"{name}: {value}" for name, value in peer.headers.items()),
    ]
    return "\r\n".join([*head, "", ""]).encode() + content


@contextmanager
def running(peer: Peer) -> Iterator[tuple[int, int]]:
    """Its process and port, once it answers."""
    port = free_port()
    with tempfile.TemporaryDirectory() as place:
        Path(place, "empty.yaml").write_text("{}\n")
        words = [word.format(place=place, address=f"127.0.0.1:{port}") for word in peer.words]
        process = subprocess.Popen(
            [peer.program, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            until_s = time.monotonic() + START_S
            while not _answers(port):
                if time.monotonic() > until_s or process.poll() is not None:
                    raise RuntimeError(f"{peer.program} does not answer")
            yield process.pid, port
        finally:
            process.terminate()
            process.wait()


def _answers(port: int) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        return bool(answer.status == 200)
    return False


def spent_ms(process: int, port: int, streams: Sequence[Sequence[bytes]]) -> float:
    """CPU milliseconds of a process for all requests, one connection a node, each answered before the next."""

    async def everyone() -> None:
        await asyncio.gather(*(send("127.0.0.1", port, one) for one in streams))

    before = cpu_seconds(process)
    asyncio.run(everyone())
    return (cpu_seconds(process) - before) * 1000


def of_peer(peer: Peer, nodes: int, pushes: int) -> dict[str, float]:
    """Milliseconds of CPU of a push."""
    with running(peer) as (process, port):
        first = spent_ms(process, port, [[request(peer, node, 0)] for node in range(nodes)])
        streams = [
            [request(peer, node, push) for push in range(1, pushes + 1)] for node in range(nodes)
        ]
        before = cpu_seconds(process)
        spent_ms(process, port, streams)
        if peer.settled is not None:
            urllib.request.urlopen(f"http://127.0.0.1:{port}{peer.settled}").close()
        steady = (cpu_seconds(process) - before) * 1000
    return {"first": first / nodes, "steady": steady / (nodes * pushes)}


def of_weighbridge(nodes: int, pushes: int, samples: int) -> dict[str, float]:
    """The same of reports of so many samples."""
    fleet = [Agent(f"node-{node}") for node in range(nodes)]
    with tempfile.TemporaryDirectory() as scratch:
        terms = CONTRACT.replace("nodes: 1", f"nodes: {nodes}")
        directory = make_store(Path(scratch) / "store", fleet, terms)
        streams = [requests(agent, pushes + 1, samples) for agent in fleet]
        with serving(directory) as server:
            process, port = server.process.pid, int(server.url.rpartition(":")[2])
            first = spent_ms(process, port, [stream[:1] for stream in streams])
            steady = spent_ms(process, port, [stream[1:] for stream in streams])
            server.stop()
    return {"first": first / nodes, "steady": steady / (nodes * pushes)}


def measure(nodes: int, pushes: int, rounds: int) -> dict[str, dict[str, float]]:
    """By who receives, the median of the rounds."""
    makers: dict[str, Callable[[], dict[str, float]]] = {
        name: lambda peer=peer: of_peer(peer, nodes, pushes)  # type: ignore[misc]
        for name, peer in PEERS.items()
        if shutil.which(peer.program) is not None
    }
    makers["weighbridge, 1 sample"] = lambda: of_weighbridge(nodes, pushes, 1)
    makers["weighbridge, 6 samples"] = lambda: of_weighbridge(nodes, pushes, 6)
    found = [{name: make() for name, make in makers.items()} for _ in range(rounds)]
    return {
        name: {
            kind: statistics.median(one[name][kind] for one in found)
            for kind in ("first", "steady")
        }
        for name in makers
    }


def table(found: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """Each beside VictoriaMetrics' steady push of text, where that was there."""
    against = found.get("VictoriaMetrics, text")
    yield f"{'CPU milliseconds of a push':34}{'first':>9}{'steady':>9}"
    for name, row in found.items():
        line = f"{name:34}{row['first']:>9.3f}{row['steady']:>9.3f}"
        if against is not None:
            pushes = 6 if name.endswith("6 samples") else 1
            line += f"{row['steady'] / against['steady'] / pushes:>9.2f} times VictoriaMetrics"
        yield line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--nodes", type=int, default=48)
    parser.add_argument("--pushes", type=int, default=60, help="of each node, after its first")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    here, found = machine(), measure(options.nodes, options.pushes, options.rounds)
    print(" · ".join(f"{name}: {value}" for name, value in here.items()))
    print("\n".join(table(found)))
    if options.json is not None:
        told: dict[str, Any] = {"machine": here, "milliseconds": found}
        options.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
