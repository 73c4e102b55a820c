"""What the collector's tests and benchmarks are made of: agents that only sign, stores, and real `serve` processes."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from click.testing import CliRunner

from collector.__main__ import main
from collector.log.commits import CommitBatch
from collector.storage.embedded import read_info
from collector.storage.handed_out import replace_head
from collector.storage.store import ChainKey, Store
from collector.storage.stores import open_store
from weighbridge.catalogue.readings import READINGS, Kind, Tier
from weighbridge.contract import load
from weighbridge.log.checkpoint import sign_head
from weighbridge.log.entries import (
    Assignment,
    ContractAdded,
    EntryKind,
    KeyChanged,
    KeySide,
    entry,
    payload_type,
)
from weighbridge.log.merkle import EMPTY_ROOT
from weighbridge.wire.report import canonical, decode, digest
from weighbridge.wire.signing import Signer, generate_private_key

COMMAND = (sys.executable, "-m", "collector")
REPORTS = "application/vnd.weighbridge.reports"
READ = [row.name for row in READINGS if row.tier is Tier.FAST and row.kind is not Kind.TEXT][:25]
STILL = frozenset(
    name for name in READ if name.endswith(("_code", "_flags", "_lanes", "_generation", "_links"))
) | {"power_limit_enforced_milliwatts", "power_limit_requested_milliwatts", "memory_used_bytes"}
"""Readings that do not move from sample to sample on a node that works."""

MOST = {row.name: row.bounds.most for row in READINGS if row.bounds is not None}
"""What each reading may be at most: no sample is out of range."""

SECOND_US = 1_000_000
INTERVAL_US = 10 * SECOND_US
HOUR_US = 3600 * SECOND_US
DAY_US = 24 * HOUR_US
IDENTITY: dict[str, int | str] = {
    "name": "NVIDIA H100 80GB HBM3",
    "pci_device_id": "10de:2330",
    "pci_subsystem_id": "10de:16c1",
    "gpu_cores": 16896,
    "memory_total_bytes": 81559 << 20,
    "ecc_mode_code": 1,
    "mig_mode_code": 0,
    "virtualization_mode_code": 0,
}


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 20.0) -> Any:
    """What the condition says once it is not false. Fails after the deadline."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"after {seconds} s still no {what}")


def flip(file: Path, offset: int) -> None:
    """A bit of the byte there is another."""
    data = bytearray(file.read_bytes())
    data[offset] ^= 1
    file.write_bytes(data)


class Agent:
    """Signs real reports of `gpus` GPUs, chained, and keeps nothing."""

    def __init__(self, node: str, gpus: int = 8) -> None:
        self.node = node
        self.signer = Signer(generate_private_key())
        self.devices = [f"GPU-{node}-{number}" for number in range(gpus)]
        self.start_us = time.time_ns() // 1000 - DAY_US
        self.sampled = 0
        self.start_chain()

    def start_chain(self) -> None:
        self.chain = os.urandom(8).hex()
        self.seq = 0
        self.prev: str | None = None

    def payload(self, samples: int = 1, **changes: Any) -> bytes:
        """The next report's payload, with changes to its JSON. Does not move on."""
        passed_us = [(self.sampled + sample) * INTERVAL_US for sample in range(samples)]
        wall_us = self.start_us + passed_us[-1]
        times = [HOUR_US + passed for passed in passed_us]
        value = 100_000 + self.seq
        report = {
            "version": 1,
            "node": self.node,
            "chain": self.chain,
            "stream": "node",
            "seq": self.seq,
            "prev": self.prev,
            "boot": "boot-1",
            "seen": None,
            "clock": {"wall_us": wall_us, "boottime_us": times[-1], "synchronized": True},
            "interval_ms": 10_000,
            "agent": "0.1.0",
            "inventory_digest": "0" * 64,
            "inventory": None,
            "blocks": [
                {
                    "tier": "fast",
                    "boottime_us": times,
                    "devices": self.devices,
                    "readings": {
                        name: [
                            [
                                (value * (name not in STILL) + number * 7) % (MOST[name] + 1)
                                for number in range(len(self.devices))
                            ]
                            for _ in range(samples)
                        ]
                        for name in READ
                    },
                    "unavailable": [],
                }
            ],
            "processes": None,
            "host": None,
            "events": [],
            "gaps": [],
        }
        return canonical(report | changes)

    def seal(self, payload: bytes) -> bytes:
        return self.signer.seal(payload_type(EntryKind.REPORT), payload)

    def moved_past(self, payload: bytes) -> None:
        """The next report follows this payload."""
        self.seq += 1
        self.prev = digest(payload)

    def next(self, samples: int = 1, **changes: Any) -> bytes:
        """The next report's envelope; moves on."""
        payload = self.payload(samples, **changes)
        self.sampled += samples
        self.moved_past(payload)
        return self.seal(payload)

    def inventory(self) -> dict[str, Any]:
        """Sound H100s, as the first report tells them."""
        nothing: dict[str, Any] = {"readings": {}, "unavailable": {}}
        identity = {"readings": IDENTITY, "unavailable": {}}
        devices = [
            {"uuid": uuid, "parent": None, "state": "ok", "identity": identity}
            for uuid in self.devices
        ]
        return {"devices": devices, "driver": nothing, "host": nothing}

    def lose(self, count: int) -> dict[str, Any]:
        """Make reports that nobody will get; return the gap that the next report declares."""
        first = self.seq
        for _ in range(count):
            self.next()
        return {
            "first_seq": first,
            "last_seq": self.seq - 1,
            "last_hash": self.prev,
            "reason": "spool full",
        }


def body(*envelopes: bytes) -> bytes:
    """Envelopes as a request carries them."""
    return b"".join(envelope + b"\n" for envelope in envelopes)


def enrolled(agent: Agent, side: KeySide = "provider") -> KeyChanged:
    """The log entry that lets an agent's key speak."""
    return KeyChanged(
        action="enrolled",
        key_id=agent.signer.key_id,
        public_key=agent.signer.public_key.hex(),
        node=agent.node,
        side=side,
        secret_hash=None,
        reason="test",
    )


def weighbridge(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """The command, run to its end in this process: to start one takes it longer than to do its work."""
    words = [str(argument) for argument in arguments]
    done = CliRunner().invoke(main, words)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    ended = subprocess.CompletedProcess(words, done.exit_code, done.stdout, done.stderr)
    if check:
        ended.check_returncode()
    return ended


def refused_serve(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """`weighbridge serve` on a store that it must refuse, as a process: it would run on if it did not."""
    command = [*COMMAND, "serve", *options, "--config", str(directory / "config.toml")]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def make_store(
    directory: Path, agents: Sequence[Agent] = (), contract: str = "", *, heard: bool = False
) -> Path:
    """A store by `init`, which knows these agents' keys, and the contract `lease` where its text is given.

    `heard`: it has a first report of each of them, so that what they tell of past time counts.
    """
    weighbridge("init", directory, "--listen", "127.0.0.1:0", "--open-on-loopback")
    admit(directory, agents, contract, heard=heard)
    return directory


def admit(
    directory: Path, agents: Sequence[Agent], contract: str = "", *, heard: bool = False
) -> None:
    """The same into a store that nobody has open."""
    with opened(directory) as store:
        signer = log_signer(directory)
        batch = CommitBatch(store, signer, 1_700_000_000 * SECOND_US)
        if contract:
            from_us = load(contract).effective_us
            added = ContractAdded(contract="lease", version=1, text=contract, from_us=from_us)
            batch.add_record(EntryKind.CONTRACT, added)
        for agent in agents:
            batch.add_record(EntryKind.KEY, enrolled(agent))
            assignment = Assignment(contract="lease", node=agent.node, devices=None)
            batch.add_record(EntryKind.ASSIGNMENT, assignment)
            if heard:
                introduce(batch, agent)
        store.log.append(batch.leaves)
        store.index.record(batch.indexed)
        hand_out(directory, store)


def hand_out(directory: Path, store: Store, signer: Signer | None = None) -> None:
    """As a commit does before it answers."""
    log, signer = store.log, signer or log_signer(directory)
    log.hand_out(sign_head(store.info.origin, log.size, log.root(), signer))


def introduce(batch: CommitBatch, agent: Agent) -> None:
    """Enter the first report of its chain, without a sample and by a clock that is not set."""
    clock = {"wall_us": agent.start_us, "boottime_us": HOUR_US, "synchronized": False}
    payload = agent.payload(blocks=[], clock=clock)
    report, leaf = decode(payload), agent.seal(payload)
    chain = ChainKey(agent.signer.key_id, report.chain, report.stream)
    batch.add_report(chain, leaf, entry(0, leaf).envelope, report, digest(payload))
    agent.moved_past(payload)


def log_signer(directory: Path) -> Signer:
    return Signer(bytes.fromhex((directory / "keys" / "log.key").read_text()))


@contextmanager
def opened(directory: Path) -> Iterator[Store]:
    store = open_store(f"embedded:{directory}")
    try:
        yield store
    finally:
        store.close()


def rewritten(directory: Path, leaves: Sequence[bytes]) -> None:
    """The same log's files, as a keeper would write them who wants other leaves in them."""
    evidence = [file for file in (directory / "evidence").rglob("*") if file.is_file()]
    for file in [*evidence, *directory.glob("index.sqlite*")]:
        file.unlink()
    signer = log_signer(directory)
    nothing = sign_head(read_info(directory).origin, 0, EMPTY_ROOT, signer)
    replace_head(directory / "evidence" / "head", nothing)
    with opened(directory) as store:
        store.log.append(leaves)
        hand_out(directory, store)


def leaves_of(directory: Path) -> list[bytes]:
    with opened(directory) as store:
        return list(store.log.leaves(0, store.log.size))


class Answered:
    """An HTTP answer, read whole."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Serving:
    """A real `weighbridge serve` process and a client of it."""

    def __init__(self, directory: Path, process: subprocess.Popen[str], url: str) -> None:
        self.directory = directory
        self.process = process
        self.url = url

    def connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)

    def request(
        self, method: str, path: str, content: bytes | None = None, /, **headers: str
    ) -> Answered:
        connection = self.connect()
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, content, named)
            return Answered(connection.getresponse())
        finally:
            connection.close()

    def shards(self) -> str:
        """The series of nodes and GPUs, of all shards."""
        listed = self.get("/v1/sd/prometheus").json
        paths = {one["labels"]["__metrics_path__"] for one in listed} - {"/metrics"}
        return "".join(self.get(path).body.decode() for path in sorted(paths))

    def get(self, path: str, **headers: str) -> Answered:
        return self.request("GET", path, None, **headers)

    def report(self, *envelopes: bytes, **headers: str) -> Answered:
        return self.request(
            "POST", "/v1/reports", body(*envelopes), Content_Type=REPORTS, **headers
        )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=20)

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)


@contextmanager
def serving(
    directory: Path,
    *,
    before: Sequence[str] = (),
    arguments: Sequence[str] = (),
    environment: dict[str, str] | None = None,
) -> Iterator[Serving]:
    """`weighbridge serve` on a store, ready; killed at the end if it still runs. `before`: a command around it.

    `arguments`: more of its own.
    """
    errors = (directory / "serve.stderr").open("a+")
    process = subprocess.Popen(
        [*before, *COMMAND, "serve", *arguments, "--config", str(directory / "config.toml")],
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        env=os.environ | (environment or {}),
    )
    stdout = process.stdout
    assert stdout is not None
    try:
        line = stdout.readline()
        if not line.startswith("listening on "):
            process.wait(timeout=20)
            errors.seek(0)
            raise AssertionError(f"serve did not start: {line}{errors.read()}")
        yield Serving(directory, process, line.removeprefix("listening on ").strip())
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait(timeout=20)
        stdout.close()
        errors.close()


CONTRACT = """\
contract_id: lease
effective: 2026-01-01T00:00:00Z
time_zone: UTC
currency: EUR
parties: [{id: P, role: provider}, {id: L, role: lessee}]
term: {from: 2026-01-01T00:00:00Z, to: 2036-01-01T00:00:00Z}
resources:
  - {id: h100, accelerator: {sku: H100-SXM-80GB}, per_node: 8, nodes: 1}
availability:
  - {id: node, unit: node, target: "0.99"}
unknown: {policy: hold}
"""


def add_contract(directory: Path, scratch: Path) -> None:
    """The contract `lease`, by the command."""
    file = scratch / "lease.yaml"
    file.write_text(CONTRACT)
    weighbridge("contract", "add", file, "--config", directory / "config.toml")


def set_config(directory: Path, **lines: str) -> None:
    """Put keys, already as TOML, before the rest of a store's configuration."""
    file = directory / "config.toml"
    kept = [
        line
        for line in file.read_text().splitlines()
        if line.partition(" =")[0] not in lines and line.startswith(("listen", "url", "open"))
    ]
    tables = [f"{key} = {value}" for key, value in lines.items()]
    file.write_text("\n".join([*tables, *kept]) + "\n")


def opened_invite(line: str) -> dict[str, Any]:
    """What an invite says."""
    content = line.strip().removeprefix("weighbridge-invite:1:")
    padded = content + "=" * (-len(content) % 4)
    return dict(json.loads(urlsafe_b64decode(padded)))
