"""A collector that speaks the protocol and keeps all in memory, a clock that moves by hand, and a node to enrol."""

import asyncio
import base64
import json
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import zstandard
from aiohttp import web

from agent import enrolment
from agent.report.source import IdentityTier, RawProcess, Sweep
from weighbridge.catalogue.readings import Tier
from weighbridge.log.checkpoint import sign_head
from weighbridge.log.merkle import Frontier, consistency_proof, leaf_hash
from weighbridge.wire.receipts import KEPT_HEADER
from weighbridge.wire.report import (
    Device,
    DeviceState,
    Event,
    Facts,
    OwnerClass,
    Reason,
    Report,
    canonical,
    decode,
    digest,
)
from weighbridge.wire.signing import (
    SignatureError,
    Signer,
    generate_private_key,
    open_envelope,
    verify,
)

ORIGIN = "collector.test/log"


@dataclass
class Chain:
    """What the collector knows of one chain: the payload hash and the receipt of every report by number."""

    hashes: dict[int, str] = field(default_factory=dict)
    receipts: dict[int, dict[str, Any]] = field(default_factory=dict)

    @property
    def last(self) -> int:
        return max(self.hashes, default=-1)


@dataclass
class FakeCollector:
    """Accepts, refuses and remembers as docs/protocol.md says. `sick` are answers to give instead, in turn."""

    signer: Signer = field(default_factory=lambda: Signer(generate_private_key()))
    secrets: dict[str, str] = field(default_factory=dict)
    keys: dict[str, bytes] = field(default_factory=dict)
    revoked: set[str] = field(default_factory=set)
    chains: dict[str, Chain] = field(default_factory=dict)
    reports: list[Report] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    sick: list[tuple[int, dict[str, str], dict[str, Any]]] = field(default_factory=list)
    want_inventory: bool = False
    largest_batch: int = 512
    url: str = ""
    frontier: Frontier = field(default_factory=Frontier)
    nodes: dict[tuple[int, int], bytes] = field(default_factory=dict)
    kept: list[str | None] = field(default_factory=list)
    """From which size each request asked for a proof."""

    def invite(self, node: str = "node-1", ca: str | None = None, url: str = "") -> str:
        secret = f"secret-of-{node}"
        self.secrets[secret] = ""
        fields = {
            "url": url or self.url,
            "ca": ca,
            "secret": secret,
            "node": node,
            "log_key": self.signer.public_key.hex(),
        }
        encoded = base64.urlsafe_b64encode(canonical(fields)).rstrip(b"=").decode()
        return f"weighbridge-invite:1:{encoded}"

    def app(self) -> web.Application:
        app = web.Application(client_max_size=64 << 20)
        app.router.add_post("/v1/enroll", self._enrol)
        app.router.add_post("/v1/reports", self._reports)
        return app

    async def _enrol(self, request: web.Request) -> web.Response:
        asked = json.loads(await request.read())
        key = bytes.fromhex(asked["public_key"])
        if digest(key) in self.revoked:
            return problem(403, "revoked_key")
        if self.secrets.get(asked["secret"]) is None:
            return problem(404, "invite_unknown")
        if self.secrets[asked["secret"]] not in ("", asked["public_key"]):
            return problem(409, "invite_used")
        self.secrets[asked["secret"]] = asked["public_key"]
        key_id = digest(key)
        self.keys[key_id] = key
        return web.json_response(
            {
                "node": asked["node"],
                "key_id": key_id,
                "origin": ORIGIN,
                "log_key": self.signer.public_key.hex(),
            }
        )

    async def _reports(self, request: web.Request) -> web.Response:
        body = await request.read()
        if self.sick:
            status, headers, document = self.sick.pop(0)
            return web.json_response(document, status=status, headers=headers)
        lines = zstandard.ZstdDecompressor().decompressobj().decompress(body).splitlines()
        self.batches.append(len(lines))
        if len(lines) > self.largest_batch:
            return problem(413, "too_large")
        receipts: list[dict[str, Any]] = []
        for number, line in enumerate(lines):
            refused = self._take(line, receipts)
            if refused is not None:
                code, expected = refused
                self.refusals.append(code)
                more = {"report": number, "receipts": receipts, "head": self._head()}
                if expected is not None:
                    more["expected"] = expected
                return problem(409 if expected else 401, code, **more)
        return web.json_response(
            {
                "receipts": receipts,
                "head": self._head(),
                "want_inventory": self.want_inventory,
                **self._consistency(request.headers.get(KEPT_HEADER)),
            }
        )

    def _consistency(self, kept: str | None) -> dict[str, dict[str, list[str]]]:
        self.kept.append(kept)
        if kept is None:
            return {}
        proofs = {
            size: consistency_proof(
                int(size), self.frontier.size, lambda level, index: self.nodes[level, index]
            )
            for size in kept.split(",")
            if int(size) <= self.frontier.size
        }
        return {
            "consistency": {size: [one.hex() for one in proof] for size, proof in proofs.items()}
        }

    def append(self, leaf: bytes) -> None:
        """To the log."""
        for level, index, subtree in self.frontier.append(leaf_hash(leaf)):
            self.nodes[level, index] = subtree

    def begin_anew(self, leaves: int) -> None:
        """The log is another one from now on, and nobody is told."""
        self.frontier, self.nodes = Frontier(), {}
        for number in range(leaves):
            self.append(b"another entry %d" % number)

    def _take(
        self, line: bytes, receipts: list[dict[str, Any]]
    ) -> tuple[str, dict[str, Any] | None] | None:
        envelope = open_envelope(line)
        key = self.keys.get(envelope.key_id)
        if key is None:
            return "unknown_key", None
        if envelope.key_id in self.revoked:
            return "revoked_key", None
        try:
            verify(envelope, key)
        except SignatureError:
            return "bad_signature", None
        report = decode(envelope.payload)
        chain = self.chains.setdefault(f"{envelope.key_id}/{report.chain}", Chain())
        expected = {
            "chain": report.chain,
            "seq": chain.last + 1,
            "prev": chain.hashes.get(chain.last),
        }
        if report.seq in chain.hashes:
            if chain.hashes[report.seq] != digest(envelope.payload):
                return "fork", expected
            receipts.append(chain.receipts[report.seq])
            return None
        if report.seq != chain.last + 1 and not self._declared(report, chain.last + 1):
            return "sequence", expected
        if report.seq == chain.last + 1 and chain.last >= 0 and report.prev != expected["prev"]:
            return "fork", expected
        receipt = {
            "index": self.frontier.size,
            "leaf_hash": leaf_hash(line).hex(),
            "received_us": 1,
        }
        self.append(line)
        chain.hashes[report.seq] = digest(envelope.payload)
        chain.receipts[report.seq] = receipt
        self.reports.append(report)
        receipts.append(receipt)
        return None

    def _declared(self, report: Report, following: int) -> bool:
        return any(
            (gap.first_seq, gap.last_seq, gap.last_hash) == (following, report.seq - 1, report.prev)
            for gap in report.gaps
        )

    def _head(self) -> str:
        return sign_head(ORIGIN, self.frontier.size, self.frontier.root(), self.signer).note


def problem(status: int, code: str, **members: Any) -> web.Response:
    document = {
        "type": f"urn:weighbridge:problem:{code}",
        "title": code,
        "status": status,
        "detail": f"because of {code}",
        "code": code,
        **members,
    }
    return web.json_response(document, status=status, content_type="application/problem+json")


@pytest.fixture
async def collector() -> AsyncIterator[FakeCollector]:
    """On loopback, in the test's own event loop."""
    fake = FakeCollector()
    runner = web.AppRunner(fake.app(), auto_decompress=False)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield fake
    await runner.cleanup()


class ThreadedCollector:
    """The same in a thread, for tests whose agent is a process; it can go away and come back on its port."""

    def __init__(self) -> None:
        self.fake = FakeCollector()
        self._port = 0
        self.start()

    def start(self) -> None:
        started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, args=(started,), daemon=True)
        self._thread.start()
        assert started.wait(20)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(20)

    def _serve(self, started: threading.Event) -> None:
        self._loop.run_until_complete(self._until_stopped(started))
        self._loop.close()

    async def _until_stopped(self, started: threading.Event) -> None:
        self._stopped = asyncio.Event()
        runner = web.AppRunner(self.fake.app(), shutdown_timeout=0.1, auto_decompress=False)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self._port, reuse_address=True).start()
        self._port = runner.addresses[0][1]
        self.fake.url = f"http://127.0.0.1:{self._port}"
        started.set()
        await self._stopped.wait()
        await runner.cleanup()


@pytest.fixture
def collector_thread() -> Iterator[ThreadedCollector]:
    threaded = ThreadedCollector()
    yield threaded
    threaded.stop()


@pytest.fixture
async def enrolled(collector: FakeCollector, tmp_path: Path) -> enrolment.NodeIdentity:
    return await enrolment.enrol(collector.invite(), tmp_path / "state")


class FakeClock:
    """Moves when a sleeper waits, or by hand; the wall clock may be stepped, and who has read it be halted."""

    def __init__(self) -> None:
        self.now_us = 1_000_000_000
        self.wall_ahead_us = 1_700_000_000_000_000
        self.late_us = 0
        self.halts_us: list[int] = []

    def boottime_us(self) -> int:
        return self.now_us

    def wall_us(self) -> int:
        wall_us = self.now_us + self.wall_ahead_us
        self.now_us += self.halts_us.pop(0) if self.halts_us else 0
        return wall_us

    def synchronized(self) -> bool | None:
        return True

    async def sleep_until(self, boottime_us: int) -> None:
        self.now_us = max(self.now_us, boottime_us) + self.late_us
        await asyncio.sleep(0)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


GPUS = ("GPU-1", "GPU-2")


class FakeSource:
    """Two GPUs whose every answer can be changed between calls."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.readings: dict[Tier, dict[str, list[int | Reason]]] = {
            Tier.FAST: {"power_draw_milliwatts": [70_000, 71_000]},
            Tier.SLOW: {"fan_speed_percent": [Reason.NOT_SUPPORTED, 0]},
        }
        self.identity = {uuid: {"serial": f"S{uuid}"} for uuid in GPUS}
        self.driver: dict[str, int | str] = {"driver_version": "590.48.01"}
        self.happened: list[Event] = []
        self.holding: list[RawProcess] | Reason = []
        self.calls: list[str] = []
        self.cost_us = 0
        self.identity_cost_us = 0

    async def identify(self) -> IdentityTier:
        self.calls.append("identify")
        self._clock.now_us += self.identity_cost_us
        return IdentityTier([self._device(uuid) for uuid in self.identity], facts(self.driver))

    def _device(self, uuid: str) -> Device:
        return Device(
            uuid=uuid,
            parent=None,
            state=DeviceState.OK,
            identity=facts(
                {"pci_bus_id": f"00000000:{GPUS.index(uuid) + 0x3B:02X}:00.0"} | self.identity[uuid]
            ),
        )

    async def sweep(self, tier: Tier) -> Sweep:
        self.calls.append(tier)
        at_us = self._clock.boottime_us()
        self._clock.now_us += self.cost_us
        return Sweep(at_us, list(self.identity), self.readings[tier])

    async def processes(self) -> Sequence[RawProcess] | Reason:
        return self.holding

    def events(self) -> Sequence[Event]:
        happened, self.happened = self.happened, []
        return happened

    async def pause(self) -> None:
        self.calls.append("pause")

    async def resume(self) -> None:
        self.calls.append("resume")

    async def close(self) -> None:
        self.calls.append("close")


class FakeHost:
    """A machine without facts, on which every process has its own owner."""

    def inventory(self) -> Facts:
        return facts({"cpu_count": 96})

    def facts(self) -> Facts:
        return facts({"nvidia_device_nodes_count": 2})

    def owner(self, pid: int) -> tuple[str, OwnerClass]:
        return f"owner-of-{pid}", OwnerClass.USER


def facts(readings: dict[str, Any]) -> Facts:
    return Facts(readings=readings, unavailable={})


@pytest.fixture
def source(clock: FakeClock) -> FakeSource:
    return FakeSource(clock)


@pytest.fixture
def host() -> FakeHost:
    return FakeHost()
