"""What enrolled enemies cost everybody: how long the event loop is held, memory, index, and starting and stopping.

    python -m benchmarks.attack [--rows 10000] [--rounds 1] [--json FILE]

A real `weighbridge serve` on loopback, with a contract of many outages, is sent the heaviest legal reports by keys
within their hourly budgets: floods of devices, events, gaps, processes and spans, long blocks, unknown reasons, many
chains. Slow bodies and readers that do not read stand beside them, and an honest agent reports throughout. Then it is
killed, started, and stopped, with what is behind.

Each callback of the loop is timed by the CPU of its thread, because others work on the machine too, and by the wall.
"""

import argparse
import gc
import json
import os
import platform
import sys
import threading
import time
from asyncio import events
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from http.client import HTTPException
from pathlib import Path
from socket import create_connection, socket
from tempfile import TemporaryDirectory
from typing import Any, TextIO
from urllib.parse import urlsplit

import zstandard

from tests.collector.building import (
    CONTRACT,
    HOUR_US,
    SECOND_US,
    Agent,
    Serving,
    body,
    make_store,
    serving,
)
from weighbridge.wire.report import MAX_DEVICES, MAX_EVENTS, MAX_GAPS, MAX_PROCESSES, MAX_SAMPLES

HOLD_MS, MEMORY_MIB, STOP_S, READY_S = 50, 500, 10, 10
"""The targets."""

SAID_MS = 20
LOOK_S = 0.005
ZSTD = "zstd"
NOTHING: dict[str, Any] = {"readings": {}, "unavailable": {}}
Report = Callable[[Agent], bytes]


# Inside the collector's process.


def watch(file: Path) -> None:
    """Write down each callback of the event loop that takes long, with where it was."""
    told = file.open("a", buffering=1)
    run, now = events.Handle._run, [0.0]
    seen: list[str] = []

    def timed(handle: events.Handle) -> None:
        seen.clear()
        wall, cpu = time.perf_counter(), time.thread_time()
        now[0] = wall
        run(handle)
        now[0] = 0.0
        spent = 1000 * (time.thread_time() - cpu)
        if spent >= SAID_MS or time.perf_counter() - wall >= SAID_MS / 1000:
            passed = 1000 * (time.perf_counter() - wall)
            told.write(json.dumps({"cpu": spent, "wall": passed, "at": sorted(set(seen))}) + "\n")

    threading.Thread(target=_look, args=(now, seen, threading.get_ident()), daemon=True).start()
    gc.callbacks.append(partial(_collected, told, [0.0]))
    setattr(events.Handle, "_run", timed)  # noqa: B010


def _collected(told: TextIO, begun: list[float], phase: str, info: dict[str, int]) -> None:
    """A collection of cycles holds every thread."""
    if phase == "start":
        begun[0] = time.thread_time()
        return
    spent = 1000 * (time.thread_time() - begun[0])
    if spent >= SAID_MS:
        at = [f"gc of generation {info['generation']}"]
        told.write(json.dumps({"cpu": spent, "wall": spent, "at": at}) + "\n")


def _look(now: Sequence[float], seen: list[str], loop: int) -> None:
    while True:
        time.sleep(LOOK_S)
        if now[0] and time.perf_counter() - now[0] > SAID_MS / 2000:
            seen.append(_place(sys._current_frames().get(loop)))


def _place(frame: Any) -> str:
    """The innermost functions of this project."""
    names: list[str] = []
    while frame is not None and len(names) < 4:
        code = frame.f_code
        if f"{os.sep}weighbridge{os.sep}" in code.co_filename or "collector" in code.co_filename:
            names.append(f"{Path(code.co_filename).stem}.{code.co_name}")
        frame = frame.f_back
    return " < ".join(names)


# The enemies.


def names(agent: Agent, count: int) -> list[str]:
    return [f"GPU-{agent.seq}-{number}" for number in range(count)]


def devices(agent: Agent) -> bytes:
    """As many devices as an inventory holds, other ones each time."""
    agent.devices = names(agent, MAX_DEVICES)
    return agent.next(1, inventory=agent.inventory(), blocks=[block(agent, 1, {})])


def inventory(agent: Agent) -> bytes:
    """The same with names alone: as many as a request holds."""
    uuids = names(agent, MAX_DEVICES)
    shown = [{"uuid": uuid, "parent": None, "state": "ok", "identity": NOTHING} for uuid in uuids]
    told = {"devices": shown, "driver": NOTHING, "host": NOTHING}
    return agent.next(1, inventory=told, blocks=[block(agent, 1, {})])


def happening(agent: Agent, kind: str, detail: str = "") -> bytes:
    """As many events as a report holds."""
    boottime_us = HOUR_US + agent.sampled * 10 * SECOND_US
    told = [
        {"boottime_us": boottime_us, "code": 79, "detail": detail, "device": f"GPU-{number % 1024}"}
        | {"kind": kind, "source": "kernel"}
        for number in range(MAX_EVENTS)
    ]
    return agent.next(1, events=told, blocks=[])


def gaps(agent: Agent) -> bytes:
    """As many gaps as a report holds."""
    told = [
        {"first_seq": number, "last_seq": number, "last_hash": "0" * 64, "reason": "\u202e" * 8}
        for number in range(agent.seq, agent.seq + MAX_GAPS)
    ]
    agent.seq, agent.prev = agent.seq + MAX_GAPS, "0" * 64
    return agent.next(1, gaps=told, blocks=[])


def processes(agent: Agent) -> bytes:
    told = [
        {"boottime_us": number, "class": "user", "device": agent.devices[0], "memory_bytes": 1}
        | {"owner": f"o{agent.seq}-{number}"}
        for number in range(MAX_PROCESSES)
    ]
    return agent.next(1, processes=told, inventory=agent.inventory())


def block(agent: Agent, samples: int, readings: dict[str, Any], **more: Any) -> dict[str, Any]:
    start_us = HOUR_US + agent.sampled * 10 * SECOND_US
    times = [start_us - samples + number + 1 for number in range(samples)]
    told = {"tier": "fast", "boottime_us": times, "devices": agent.devices, "unavailable": []}
    return told | {"readings": readings} | more


def samples(agent: Agent) -> bytes:
    """As many samples as a report holds, each another word for a check."""
    told = {
        name: [[number % 2 * 2**52 + name_at] * len(agent.devices) for number in range(MAX_SAMPLES)]
        for name_at, name in enumerate(("temperature_gpu_celsius", "power_instant_milliwatts"))
    }
    return agent.next(1, inventory=agent.inventory(), blocks=[block(agent, MAX_SAMPLES, told)])


def wide(agent: Agent) -> bytes:
    """Readings that no catalogue has, of many devices."""
    agent.devices = names(agent, 1000)
    told = {f"r{number}": [[2**50] * 1000 for _ in range(4)] for number in range(40)}
    return agent.next(1, blocks=[block(agent, 4, told)])


def spans(agent: Agent) -> bytes:
    """Each second sample of a reading has no value, and says why."""
    told = {"temperature_gpu_celsius": [[None if n % 2 else 1] * 8 for n in range(6000)]}
    why = [
        {"device": device, "from": number, "to": number + 1, "reading": "temperature_gpu_celsius"}
        | {"reason": "timeout"}
        for device in agent.devices
        for number in range(1, 6000, 2)
    ]
    return agent.next(1, blocks=[block(agent, 6000, told, unavailable=why)])


def chains(agent: Agent) -> bytes:
    agent.start_chain()
    return agent.next(1, inventory=agent.inventory())


TWINS = "twins"
"""The enemy that shows the devices of another one."""

FLOODS: dict[str, tuple[Report, int]] = {
    "devices": (devices, 60),
    TWINS: (devices, 60),
    "inventories": (inventory, 250),
    "log_forked": (lambda agent: happening(agent, "log_forked", "\u202e" * 12), 10),
    "xids": (lambda agent: happening(agent, "xid"), 12),
    "gaps": (gaps, 20),
    "processes": (processes, 20),
    "samples": (samples, 12),
    "wide": (wide, 8),
    "spans": (spans, 8),
    "chains": (chains, 60),
}
"""Each with how many reports one request brings."""


@dataclass(frozen=True, slots=True)
class Request:
    agent: Agent
    content: bytes


def request(agent: Agent, flood: str) -> Request:
    make, count = FLOODS[flood]
    return Request(agent, packed([make(agent) for _ in range(count)]))


def packed(envelopes: Sequence[bytes]) -> bytes:
    return zstandard.ZstdCompressor(level=3).compress(body(*envelopes))


def outages(agent: Agent, rows: int) -> Iterator[bytes]:
    """Reports of a node that is seen for a second, and not for the next minute, all through the last days."""
    pairs, step_us = rows // (2 * len(agent.devices)), 60 * SECOND_US
    begun_us = time.time_ns() // 1000 - pairs * step_us
    yield agent.next(1, inventory=agent.inventory(), blocks=[], clock=clock(begun_us, HOUR_US))
    for first in range(0, pairs, 500):
        times = [
            HOUR_US + number * step_us + later
            for number in range(first, min(first + 500, pairs))
            for later in (0, SECOND_US)
        ]
        told = block(agent, 0, {}, boottime_us=times)
        yield agent.next(1, blocks=[told], clock=clock(begun_us + times[-1] - HOUR_US, times[-1]))


def clock(wall_us: int, boottime_us: int) -> dict[str, Any]:
    return {"wall_us": wall_us, "boottime_us": boottime_us, "synchronized": True}


# Beside them.

PATHS = (
    "/metrics",
    "/",
    "/contracts/lease",
    "/nodes/devices",
    "/v1/contracts",
    "/v1/contracts/lease/status",
    "/v1/contracts/lease/findings?limit=1000",
    "/v1/contracts/lease/history?limit=1000",
    "/v1/contracts/lease/timeline?limit=10000",
    "/v1/contracts/lease/claims",
    "/v1/contracts/lease/statement?period={month}&format=html",
    "/v1/nodes/devices",
    "/v1/nodes",
    "/metrics/gpus/0",
)


def opened_socket(server: Serving) -> socket:
    parts = urlsplit(server.url)
    return create_connection((parts.hostname or "", parts.port or 0), timeout=30)


def slow_body(server: Serving) -> socket:
    """One that never ends."""
    one = opened_socket(server)
    one.sendall(
        b"POST /v1/reports HTTP/1.1\r\nHost: x\r\nContent-Length: 6000000\r\n\r\n" + b"x" * 230_000
    )
    return one


def unread(server: Serving) -> socket:
    """Asks for much, and never reads."""
    one = opened_socket(server)
    one.sendall(b"GET /v1/log/entries?limit=1000 HTTP/1.1\r\nHost: x\r\n\r\n" * 4)
    return one


@dataclass
class Memory:
    """What a process holds, looked at all the time; `most_with_mib`: with the processes that it started."""

    pid: int
    most_mib: float = 0.0
    most_with_mib: float = 0.0
    _ended: threading.Event = field(default_factory=threading.Event)

    def look(self) -> None:
        while not self._ended.wait(0.2):
            held, children = held_mib(self.pid), sum(map(held_mib, children_of(self.pid)))
            self.most_mib = max(self.most_mib, held)
            self.most_with_mib = max(self.most_with_mib, held + children)

    @contextmanager
    def looked_at(self) -> Iterator["Memory"]:
        thread = threading.Thread(target=self.look)
        thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            thread.join()


def children_of(pid: int) -> Iterator[int]:
    """The processes that one has started and that have not ended."""
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            yield from map(int, listed.read_text().split())


def held_mib(pid: int) -> float:
    """The process's proportional share."""
    try:
        told = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    return int(told.split("Pss:")[1].split()[0]) / 1024


@dataclass(frozen=True, slots=True)
class Hold:
    """A callback of the loop: milliseconds of its thread's CPU, and by the wall, and where it was."""

    cpu: float = 0.0
    wall: float = 0.0
    at: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Phase:
    """What one part of the attack did to the loop."""

    name: str
    request_kib: float
    answered: dict[int, int]
    cpu_ms: float
    wall_ms: float
    at: str
    honest_ms: float
    behind_s: float


class Attack:
    """A server, those who attack it, and those who only want to be served."""

    def __init__(self, server: Serving, told: Path, honest: Agent) -> None:
        self.server, self._told, self._honest = server, told, honest
        self._read = 0
        self.phases: list[Phase] = []

    def during(self, name: str, requests: Sequence[Request], patience_s: float) -> None:
        """Send these at once, with people looking on, until all is judged or patience ends."""
        self._holds()
        begun, waits = time.monotonic(), [0.0]
        with beside(self._look_on), beside(lambda: self._report(waits)):
            with ThreadPoolExecutor(max(1, len(requests))) as senders:
                answers = Counter(senders.map(self._send, requests))
            while self.behind() and time.monotonic() - begun < patience_s:
                time.sleep(0.2)
        passed, holds = time.monotonic() - begun, self._holds()
        longest = max(holds, key=lambda one: one.cpu, default=Hold())
        wall_ms = max((one.wall for one in holds), default=0.0)
        size = sum(len(one.content) for one in requests) / 1024
        told = (longest.cpu, wall_ms, "; ".join(longest.at), waits[0], passed)
        self.phases.append(Phase(name, size, dict(answers), *told))
        print(row(self.phases[-1]), flush=True)

    def behind(self) -> bool:
        return b"behind" in self.server.get("/readyz").body

    def _send(self, one: Request) -> int:
        """0: the connection was closed."""
        try:
            answer = self.server.request("POST", "/v1/reports", one.content, Content_Encoding=ZSTD)
        except OSError:
            return 0
        return answer.status

    def _look_on(self) -> None:
        month = time.strftime("%Y-%m", time.gmtime())
        for path in PATHS:
            self.server.get(path.format(month=month))

    def _report(self, waits: list[float]) -> None:
        before = time.perf_counter()
        self.server.report(self._honest.next(1))
        waits[0] = max(waits[0], 1000 * (time.perf_counter() - before))
        time.sleep(0.1)

    def _holds(self) -> list[Hold]:
        lines = self._told.read_text().splitlines()
        new, self._read = lines[self._read :], len(lines)
        return [Hold(**json.loads(line)) for line in new]


@contextmanager
def beside(work: Callable[[], None]) -> Iterator[None]:
    """Again and again meanwhile."""
    ended = threading.Event()

    def again() -> None:
        while not ended.is_set():
            try:
                work()
            except (OSError, HTTPException):
                ended.wait(0.1)

    thread = threading.Thread(target=again)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def row(phase: Phase) -> str:
    return (
        f"{phase.name:<14}{phase.request_kib:>8.0f}{phase.cpu_ms:>9.0f}{phase.wall_ms:>9.0f}"
        f"{phase.honest_ms:>10.0f}{phase.behind_s:>9.1f}  {phase.answered}  {phase.at[:120]}"
    )


HEAD = f"{'phase':<14}{'KiB':>8}{'CPU ms':>9}{'wall ms':>9}{'honest ms':>10}{'level s':>9}"


def attacked(directory: Path, rows: int, rounds: int, patience_s: float) -> dict[str, Any]:
    honest, victim = Agent("honest", 8), Agent("victim", 8)
    enemies = {name: Agent(name, 8) for name in FLOODS}
    contract = CONTRACT.replace("nodes: 1}", "nodes: 16}")
    make_store(directory, [honest, victim, *enemies.values()], contract, heard=True)
    told = directory / "holds"
    told.touch()
    before = (sys.executable, "-m", "benchmarks.attack", "--watch", str(told))
    figures: dict[str, Any] = {}
    with (
        serving(directory, before=before) as server,
        Memory(server.process.pid).looked_at() as memory,
    ):
        attack = Attack(server, told, honest)
        print(HEAD)
        filled = [Request(victim, packed(list(outages(victim, rows))))]
        attack.during("outages", filled, patience_s)
        attack.during("people alone", [], 0)
        with ExitStack() as standing:
            for _ in range(20):
                standing.enter_context(slow_body(server))
                standing.enter_context(unread(server))
            for _ in range(rounds):
                for name, enemy in enemies.items():
                    attack.during(name, [request(enemy, name)], patience_s)
            attack.during("all at once", [request(enemies[name], name) for name in FLOODS], 0)
        figures["memory_mib"], figures["with_mib"] = memory.most_mib, memory.most_with_mib
        server.kill()
    figures["index_mib"] = (
        sum(one.stat().st_size for one in directory.glob("index.sqlite*")) / 2**20
    )
    figures["log_mib"] = (
        sum(one.stat().st_size for one in (directory / "evidence").rglob("*") if one.is_file())
        / 2**20
    )
    begun = time.monotonic()
    with (
        serving(directory, before=before) as server,
        Memory(server.process.pid).looked_at() as memory,
    ):
        figures["ready_s"] = time.monotonic() - begun
        restarted = Attack(server, told, honest)
        figures["behind"] = server.get("/readyz").body.decode().strip()
        restarted.during("after kill -9", [], patience_s)
        begun = time.monotonic()
        server.stop()
        figures["stop_s"] = time.monotonic() - begun
        figures["memory_again_mib"] = memory.most_mib
        figures["with_again_mib"] = memory.most_with_mib
    return figures | {"phases": attack.phases + restarted.phases}


def main() -> None:
    if sys.argv[1:2] == ["--watch"]:
        from collector.__main__ import main as collector

        watch(Path(sys.argv[2]))
        collector(sys.argv[sys.argv.index("serve") :])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--patience", type=float, default=60.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with TemporaryDirectory() as place:
        figures = attacked(Path(place) / "store", options.rows, options.rounds, options.patience)
    for name, value in figures.items():
        if name != "phases":
            print(f"{name}: {value}")
    if options.json is not None:
        told = figures | {"phases": [asdict(one) for one in figures["phases"]]}
        options.json.write_text(json.dumps(told | {"python": platform.python_version()}, indent=2))


if __name__ == "__main__":
    main()
