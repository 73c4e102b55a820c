"""The two installed programs as processes on one machine: a collector, nodes over a fake driver, and how to wait."""

import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import zlib
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fcntl import ioctl
from operator import itemgetter
from pathlib import Path
from termios import FIONREAD
from typing import Any, Final, TypeVar

from prometheus_client.parser import text_string_to_metric_families

from tests.agent.fake_nvml.fixture import FakeDriver
from weighbridge.log.entries import EntryKind, entry
from weighbridge.log.merkle import leaf_hash
from weighbridge.wire.report import Report, canonical, decode, digest

BIN: Final = Path(sys.executable).parent
COLLECTOR: Final = str(BIN / "weighbridge")
AGENT: Final = str(BIN / "weighbridge-agent")
DEADLINE_S: Final = 40.0
ADMIN: Final = "the administrator's token of a test"
SECOND_US: Final = 1_000_000
Json = Any
Value = TypeVar("Value")

LEASE: Final = """\
contract_id: {name}
effective: {start}
time_zone: UTC
currency: EUR
parties:
  - {{id: provider, name: The provider, role: provider}}
  - {{id: lessee, name: The lessee, role: lessee}}
term: {{from: {start}, to: {end}}}
resources:
  - id: nodes
    accelerator: {{sku: H100-SXM-80GB}}
    nodes: "{nodes}"
    per_node: "{gpus}"
    floors: {{power_limit_milliwatts: "700000", pcie_width: "16", ecc: on, mig: off}}
    exclusivity: {{mode: {mode}}}
availability:
  - {{id: gpus, unit: gpu, target: "0.01"}}
unknown: {{policy: hold}}
sampling: {{interval_s: "1", max_gap_s: "{max_gap_s}", first_report_within_s: "600"}}
"""


def lease(
    name: str = "lease",
    *,
    gpus: int = 2,
    nodes: int = 1,
    max_gap_s: int = 4,
    mode: str = "exclusive",
    start_s: int | None = None,
) -> str:
    """A contract over H100 nodes, by default in force since a minute ago."""
    begin = int(time.time()) - 60 if start_s is None else start_s
    ends = {"start": _instant(begin), "end": _instant(begin + 365 * 86400)}
    return LEASE.format(name=name, gpus=gpus, nodes=nodes, max_gap_s=max_gap_s, mode=mode, **ends)


def _instant(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def wait_for(condition: Callable[[], Value], what: str, seconds: float = DEADLINE_S) -> Value:
    """What the condition says once it is not false. Fails after the deadline."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"waited {seconds:.0f} s in vain for {what}"
        time.sleep(0.05)


def command(
    arguments: Sequence[str], environment: dict[str, str], stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """A program run to its end."""
    return subprocess.run(
        arguments, input=stdin, capture_output=True, text=True, timeout=DEADLINE_S, env=environment
    )


def environment(**more: str) -> dict[str, str]:
    """The test's own less what would configure the programs, wide enough that no line is folded."""
    mine = {
        name: value
        for name, value in os.environ.items()
        if "PROXY" not in name.upper() and not name.startswith("WEIGHBRIDGE_")
    }
    return mine | {"COLUMNS": "300"} | more


class Program:
    """A process that is started and ended by its id; what it says goes to a file."""

    def __init__(self, log: Path) -> None:
        self.log_file = log
        self.process: subprocess.Popen[str] | None = None

    def launch(self, arguments: Sequence[str], environment: dict[str, str]) -> None:
        with self.log_file.open("a") as messages:
            self.process = subprocess.Popen(
                arguments, stdout=messages, stderr=messages, text=True, env=environment
            )

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def end(self, number: signal.Signals) -> int:
        """Send a signal, and wait for its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)

    def kill(self) -> None:
        self.end(signal.SIGKILL)

    def stop(self) -> None:
        """As a service manager does it; it goes in peace."""
        assert self.end(signal.SIGTERM) == 0, self.log()

    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read whole."""

    status: int
    body: bytes

    @property
    def json(self) -> Json:
        return json.loads(self.body)


class Collector(Program):
    """`weighbridge serve` on a store by `weighbridge init`, on a port that stays its own over restarts.

    `settings` are lines for its configuration, `flags` are for both commands.
    """

    def __init__(
        self,
        directory: Path,
        *,
        settings: Sequence[str] = (),
        scheme: str = "http",
        flags: Sequence[str] = (),
    ) -> None:
        super().__init__(directory.with_name(f"{directory.name}.log"))
        self.directory, self.scheme, self._flags = directory, scheme, flags
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind(("127.0.0.1", 0))
        self.port = self._reserved.getsockname()[1]
        self._init(settings)

    def _init(self, settings: Sequence[str]) -> None:
        listen = f"127.0.0.1:{self.port}"
        words = ("--listen", listen, "--open-on-loopback", *self._flags)
        made = self.cli("init", str(self.directory), *words)
        assert made.returncode == 0, made.stderr
        tokens = f'\n[[tokens]]\nsha256 = "{digest(ADMIN.encode())}"\nrole = "admin"\n'
        with self.config.open("a") as file:
            file.write("\n".join(settings) + tokens)

    @property
    def config(self) -> Path:
        return self.directory / "config.toml"

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`weighbridge` with this collector's configuration."""
        return command([COLLECTOR, *arguments], environment(WEIGHBRIDGE_CONFIG=str(self.config)))

    def start(self, *prefix: str, **more: str) -> None:
        """Until it is ready. `prefix`: a command around it."""
        arguments = [*prefix, COLLECTOR, "serve", *self._flags, "--config", str(self.config)]
        self.launch(arguments, environment(**more))
        wait_for(self._is_ready, f"the collector to be ready\n{self.log()}")

    def _is_ready(self) -> bool:
        assert self.alive, self.log()
        with contextlib.suppress(OSError):
            return self.request("GET", "/readyz").status == 200
        return False

    def request(
        self, method: str, path: str, body: bytes | None = None, token: str | None = None
    ) -> Answer:
        """As anyone on this machine, or as the bearer of a token."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        connection = self._connect()
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Answer(response.status, response.read())
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        if self.scheme == "http":
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        trust = ssl.create_default_context(cafile=str(self.directory / "keys" / "ca.pem"))
        return http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=DEADLINE_S, context=trust
        )

    def get(self, path: str) -> Json:
        answer = self.request("GET", path)
        assert answer.status == 200, answer.body
        return answer.json

    def post(self, path: str, body: bytes) -> Json:
        """As the administrator."""
        answer = self.request("POST", path, body, ADMIN)
        assert answer.status == 200, answer.body
        return answer.json

    def add(self, contract: str) -> None:
        """Enter a contract by its text."""
        self.post("/v1/contracts", contract.encode())

    def invite(
        self,
        node: str,
        contract: str = "lease",
        devices: Sequence[str] | None = None,
        side: str = "provider",
    ) -> str:
        wanted = {
            "contract": contract,
            "side": side,
            "node": node,
            "devices": None if devices is None else list(devices),
            "life_seconds": 3600,
        }
        line: str = self.post("/v1/invites", canonical(wanted))["invite"]
        return line

    def pages(self, path: str) -> list[Json]:
        """Every item of a list."""
        items: list[Json] = []
        after = None
        while True:
            cut = "?limit=1000" if after is None else f"?limit=1000&after={after}"
            page = self.get(path + cut)
            items += page["items"]
            after = page["after"]
            if after is None:
                return items

    def timeline(self, contract: str = "lease") -> dict[tuple[str, int, str], list[Json]]:
        """Intervals in order, by node, slot and chain."""
        lines: dict[tuple[str, int, str], list[Json]] = {}
        for row in self.pages(f"/v1/contracts/{contract}/timeline"):
            lines.setdefault((row["node"], row["slot"], row["chain"]), []).append(row)
        return {place: sorted(rows, key=itemgetter("start_us")) for place, rows in lines.items()}

    def history(self, contract: str = "lease") -> list[Json]:
        """Findings ever, each as it was last written."""
        newest = {}
        for row in self.pages(f"/v1/contracts/{contract}/history"):
            newest[row["node"], row["code"], row["gpu"], row["since_us"]] = row
        return list(newest.values())

    def codes(self, contract: str = "lease") -> list[str]:
        """Codes of the findings ever."""
        return [row["code"] for row in self.history(contract)]

    def metrics(self, path: str = "/metrics") -> list[tuple[str, dict[str, str], float]]:
        """Name (without the prefix), labels and value of every sample of one scrape."""
        text = self.request("GET", path).body.decode()
        return [
            (sample.name.removeprefix("weighbridge_"), sample.labels, sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        ]

    def gpu_metrics(self) -> list[tuple[str, dict[str, str], float]]:
        """The same over all shards, as service discovery lists them."""
        shards = self.get("/v1/sd/prometheus")
        paths = {shard["labels"]["__metrics_path__"] for shard in shards} - {"/metrics"}
        return [sample for path in sorted(paths) for sample in self.metrics(path)]

    def breaches(self, contract: str = "lease") -> set[tuple[str, str]]:
        """(code, UUID or empty) of everything that is now found breached, by `/metrics`."""
        return {
            (labels["check"], labels["uuid"])
            for name, labels, value in self.metrics()
            if (name, value) == ("finding_active", 1)
            if (labels["contract"], labels["verdict"]) == (contract, "breached")
        }

    def counts(self, contract: str = "lease") -> dict[str, int]:
        """contracted, reporting, healthy, in_use."""
        counted: dict[str, int] = self.get(f"/v1/contracts/{contract}/status")["gpus"]
        return counted

    def healthy(self, count: int, contract: str = "lease", seconds: float = DEADLINE_S) -> None:
        """Wait until so many GPUs are."""
        what = f"{count} healthy GPUs"
        wait_for(lambda: self.counts(contract)["healthy"] == count, what, seconds)

    def leaves(self) -> Iterator[tuple[int, bytes]]:
        """Every entry of the log by its index."""
        size = self.get("/v1/log/head")["size"]
        at = 0
        while at < size:
            for row in self.get(f"/v1/log/entries?start={at}&limit=1000"):
                yield row["index"], row["envelope"].encode()
                at = row["index"] + 1

    def entries(self) -> Iterator[tuple[int, EntryKind, bytes]]:
        """Index, kind and payload of every entry of the log."""
        for index, leaf in self.leaves():
            read = entry(index, leaf)
            yield index, read.kind, read.envelope.payload

    def reports(self, node: str | None = None) -> list[Report]:
        """Every accepted report, in the order of the log."""
        found = [decode(payload) for _, kind, payload in self.entries() if kind is EntryKind.REPORT]
        return [report for report in found if node in (None, report.node)]

    def close(self) -> None:
        """End it, however it stands."""
        if self.alive:
            self.kill()
        self._reserved.close()


class Node(Program):
    """`weighbridge-agent run` over a fake driver, with a kernel log that the test writes."""

    def __init__(
        self,
        directory: Path,
        name: str,
        collector: Collector,
        library: Path,
        gpus: int,
        **settings: int,
    ) -> None:
        directory.mkdir()
        super().__init__(directory / "log")
        self.name, self.collector, self.directory = name, collector, directory
        self.driver, self._gpus = FakeDriver(library, directory / "scenario"), gpus
        self.play()
        self.state, self.kmsg = directory / "state", directory / "kmsg"
        os.mkfifo(self.kmsg)
        self._kernel = os.open(self.kmsg, os.O_RDWR)
        self._configure(settings)

    def _configure(self, settings: dict[str, int]) -> None:
        paths = {
            "state_directory": self.state,
            "runtime_directory": self.directory / "run",
            "kernel_log_path": self.kmsg,
        }
        numbers = {
            "interval_ms": 250,
            "slow_interval_ms": 1000,
            "identity_interval_ms": 1000,
            "spool_bytes": 4 << 20,
            "receipts_bytes": 1 << 20,
        }
        lines = [f'{key} = "{path}"' for key, path in paths.items()]
        lines += [f"{key} = {value}" for key, value in (numbers | settings).items()]
        self.config.write_text("\n".join(lines) + "\n")

    def gpu(self, index: int) -> str:
        """The UUID of a GPU; no two nodes have one alike."""
        return f"GPU-{zlib.crc32(str(self.directory).encode()):08x}-0000-4000-8000-{index:012x}"

    def play(self, *more: str) -> None:
        """Replace the driver's scenario: the node's H100s, then `more`, which wins."""
        names = [f"set {index} nvmlDeviceGetUUID {self.gpu(index)}" for index in range(self._gpus)]
        self.driver.play_node(self._gpus, *names, *more)

    @property
    def config(self) -> Path:
        return self.directory / "agent.toml"

    def environment(self, **more: str) -> dict[str, str]:
        fake = self.driver.environment()
        names = ("LD_LIBRARY_PATH", "FAKE_NVML_SCENARIO")
        return environment(**{name: fake[name] for name in names}, **more)

    def cli(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """`weighbridge-agent` with this node's configuration; the last argument may follow `--config`."""
        verb, *rest = arguments
        return command(
            [AGENT, verb, "--config", str(self.config), *rest], self.environment(), stdin
        )

    def enroll(self, invite: str | None = None) -> None:
        line = self.collector.invite(self.name) if invite is None else invite
        done = self.cli("enroll", "-", stdin=line + "\n")
        assert done.returncode == 0, done.stderr

    def start(self, *prefix: str, **more: str) -> None:
        """`prefix`: a command around it."""
        self.launch([*prefix, AGENT, "run", "--config", str(self.config)], self.environment(**more))

    def write_kernel_log(self, text: str, boottime_us: int | None = None) -> None:
        """One record of the kernel log, stamped now or then."""
        stamp = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        if boottime_us is not None:
            stamp += boottime_us - time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000
        os.write(self._kernel, f"3,1,{stamp},-;{text}\n".encode())
        wait_for(self._kernel_log_is_read, "the record to be read: each read is one record")

    def _kernel_log_is_read(self) -> bool:
        waiting = array("i", [0])
        ioctl(self._kernel, FIONREAD, waiting)
        return waiting[0] == 0

    def facts(self) -> dict[str, Json]:
        """What the running agent says of itself; nothing where it does not answer."""
        done = self.cli("status")
        told: dict[str, Json] = {} if done.returncode else json.loads(done.stdout)
        return told

    def pending(self) -> int:
        """Reports in the spool that are not acknowledged; -1 where nobody answers."""
        return int(self.facts().get("spool_pending_count", -1))

    def receipts(self) -> dict[int, str]:
        """Leaf hash by index in the log, of all reports that were acknowledged."""
        lines = (self.state / "receipts").read_text().splitlines()
        rows = [row for line in lines for row in json.loads(line)["receipts"]]
        return {index: leaf for _, index, leaf, _ in rows}

    def close(self) -> None:
        """End it, however it stands."""
        if self.alive:
            self.kill()
        os.close(self._kernel)


class Stage:
    """A directory, and everything that runs in it until `close`."""

    def __init__(self, directory: Path, library: Path) -> None:
        self.directory, self._library = directory, library
        self._programs: list[Collector | Node] = []

    def collector(self, name: str = "store", **options: Any) -> Collector:
        """A store and its collector, not yet started."""
        made = Collector(self.directory / name, **options)
        self._programs.append(made)
        return made

    def node(self, name: str, collector: Collector, gpus: int = 2, **settings: int) -> Node:
        """A node of H100s, neither enrolled nor started."""
        made = Node(self.directory / name, name, collector, self._library, gpus, **settings)
        self._programs.append(made)
        return made

    def serving(self, *contracts: str, **options: Any) -> Collector:
        """A collector that runs and knows these contracts; by default `lease`."""
        collector = self.collector(**options)
        collector.start()
        for text in contracts or (lease(),):
            collector.add(text)
        return collector

    def reporting(
        self,
        collector: Collector,
        name: str = "n1",
        gpus: int = 2,
        contract: str = "lease",
        **settings: int,
    ) -> Node:
        """A node that is enrolled, runs, and whose GPUs are all healthy."""
        node = self.node(name, collector, gpus, **settings)
        node.enroll(collector.invite(name, contract))
        node.start()
        collector.healthy(gpus, contract)
        return node

    def told(self) -> str:
        """What every program said."""
        return "\n".join(f"--- {program.log_file}\n{program.log()}" for program in self._programs)

    def close(self) -> None:
        """End every process, the nodes first."""
        while self._programs:
            self._programs.pop().close()


def assert_unbroken(reports: Sequence[Report]) -> None:
    """Of each chain every number once, in order, and nothing is said to be gone."""
    chains: dict[str, list[Report]] = {}
    for report in reports:
        chains.setdefault(report.chain, []).append(report)
    for chain in chains.values():
        assert [report.seq for report in chain] == list(range(len(chain)))
        assert not any(report.gaps for report in chain)


def assert_seamless(lines: Mapping[Any, Sequence[Json]], *states: str) -> None:
    """Both GPUs' intervals: each ends where the next one begins, to the microsecond; these states and no other."""
    assert len(lines) == 2
    for rows in lines.values():
        assert [row["end_us"] for row in rows[:-1]] == [row["start_us"] for row in rows[1:]]
        assert {row["state"] for row in rows} <= set(states)


def assert_kept(node: Node, collector: Collector) -> None:
    """Every report that the node has a receipt for lies where the receipt says."""
    receipts = node.receipts()
    log = {index: leaf_hash(leaf).hex() for index, leaf in collector.leaves()}
    assert receipts
    assert {index: log.get(index) for index in receipts} == receipts
