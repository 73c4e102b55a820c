"""Metrics sent to real receivers: an outage of theirs, or an end of ours, loses nothing."""

import asyncio
import math
import shutil
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import cramjam
import pytest
from aiohttp import ClientConnectionError, ClientError, ClientSession, web
from aiohttp.test_utils import TestServer

from collector.api.exposition import Exposition, render_labels
from collector.sending.forwarder import Forwarder, Wire
from collector.sending.otlp import Otlp
from collector.sending.queue import Queue
from collector.sending.receivers import Receiver
from collector.sending.samples import Labels, samples
from collector.sending.starting import TOLD
from collector.sending.write_request import AT_ONCE, STALE, RemoteWrite, bodies, series
from tests.collector.view.conftest import ScriptedFleet
from tests.collector.view.test_prometheus import free_port, until
from weighbridge.process.system_clock import wall_us

SECOND_US: Final = 1_000_000
LABELS: Final = (("collector", "c1"),)
RECEIVERS: dict[str, Sequence[str]] = {
    "prometheus": (
        "--config.file={directory}/empty.yaml",
        "--storage.tsdb.path={directory}/tsdb",
        "--web.listen-address={address}",
        "--web.enable-remote-write-receiver",
    ),
    "victoria-metrics": (
        "-storageDataPath={directory}/vm",
        "-httpListenAddr={address}",
        "-search.latencyOffset=0s",
        "-retentionPeriod=10y",
    ),
}


class Way(NamedTuple):
    """To a receiver: by which wire, where it listens, and how it is asked for the power of the scripted GPU."""

    receiver: str
    wire: str
    path: str
    query: str


WAYS: Final = (
    Way(
        "prometheus",
        "remote_write",
        "/api/v1/write",
        POWER := 'weighbridge_gpu_power_draw_watts{uuid="GPU-1",collector="c1"}',
    ),
    Way("victoria-metrics", "remote_write", "/api/v1/write", POWER),
    Way(
        "victoria-metrics",
        "otlp",
        "/opentelemetry/v1/metrics",
        '{__name__="hw.power","hw.id"="GPU-1","host.name"="a1"}',
    ),
)


@asynccontextmanager
async def receiving(name: str, directory: Path, address: str) -> AsyncIterator[None]:
    """A receiver that answers; its data stay in the directory."""
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"{name} (Debian: {name}) is not installed")
    (directory / "empty.yaml").write_text("{}\n")
    words = [word.format(directory=directory, address=address) for word in RECEIVERS[name]]
    process = await asyncio.create_subprocess_exec(
        program, *words, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with ClientSession() as session:

            async def asked() -> int:
                async with session.get(f"http://{address}/api/v1/query?query=1") as answer:
                    return answer.status

            await until(asked, lambda status: status == 200)
        yield
    finally:
        process.terminate()
        await process.wait()


class UsedApart(Queue):
    """A queue whose files no event loop reads, writes or removes: a disk may be slow."""

    def put(self, body: bytes) -> None:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        super().put(body)

    def oldest(self) -> tuple[Path, bytes] | None:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return super().oldest()

    def done(self, path: Path, result: str) -> None:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        super().done(path, result)


def wire(key: str) -> Wire:
    return Otlp(LABELS, 0) if key == "otlp" else RemoteWrite(LABELS)


def writing(
    fleet: ScriptedFleet, directory: Path, url: str, key: str = "remote_write"
) -> Forwarder:
    """As after a start of the collector."""
    queue = UsedApart(directory / "queue", 1 << 20, *TOLD[key])
    return Forwarder(Receiver(url, 15), queue, Exposition(fleet, tuple), wire(key))


async def send_all(writer: Forwarder) -> None:
    async with ClientSession() as session:
        while await writer.send(session):
            pass


async def takes(url: str) -> bool:
    """Whether a receiver of this version listens there."""
    async with ClientSession() as session, session.post(url) as answer:
        return answer.status != 404 and "unsupported path" not in await answer.text()


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.receiver}-{way.wire}")
async def test_an_outage_of_the_receiver_and_a_restart_lose_nothing(
    fleet: ScriptedFleet, tmp_path: Path, way: Way
) -> None:
    address = f"127.0.0.1:{free_port()}"
    url = f"http://{address}{way.path}"
    fleet.now_us = wall_us() - 120 * SECOND_US
    begun_s = fleet.now_us / SECOND_US
    writer = writing(fleet, tmp_path, url, way.wire)

    async def make(count: int) -> None:
        for _ in range(count):
            fleet.now_us += 5 * SECOND_US
            await writer.make()

    async with receiving(way.receiver, tmp_path, address):
        if not await takes(url):
            pytest.skip(f"this {way.receiver} has no {way.path}")
        await make(3)
        await send_all(writer)
    await make(4)
    async with ClientSession() as session:
        with pytest.raises(ClientConnectionError):
            await writer.send(session)
    writer = writing(fleet, tmp_path, url, way.wire)
    await make(3)
    assert writer.queue.bytes > 0
    async with receiving(way.receiver, tmp_path, address), ClientSession() as session:
        await send_all(writer)
        assert (writer.queue.bytes, dict(writer.queue.counts)) == (0, {"sent": 7})
        asked = {
            "query": f"{way.query}[10m]",
            "time": str(begun_s + 60),
        }

        async def kept() -> list[Any]:
            query = f"http://{address}/api/v1/query"
            async with session.get(query, params=asked) as answer:
                found = (await answer.json())["data"]["result"]
            return found[0]["values"] if found else []

        values = await until(kept, lambda found: len(found) == 10)
    assert [round(float(at) - begun_s) for at, _ in values] == [5 * n for n in range(1, 11)]
    assert {value for _, value in values} == {"699.5"}


async def test_what_the_receiver_refuses_for_good_holds_up_nothing(
    fleet: ScriptedFleet, tmp_path: Path
) -> None:
    answers = iter([429, 503, 400, 204])

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=next(answers), text="too old")

    application = web.Application()
    application.router.add_post("/api/v1/write", answer)
    async with TestServer(application) as server, ClientSession() as session:
        writer = writing(fleet, tmp_path, str(server.make_url("/api/v1/write")))
        for _ in range(2):
            await writer.make()
            fleet.now_us += SECOND_US
        for _ in range(2):
            with pytest.raises(Exception, match=r"429|503"):
                await writer.send(session)
        for _ in range(2):
            assert await writer.send(session)
        assert not await writer.send(session)
    assert dict(writer.queue.counts) == {"refused": 1, "sent": 1}


async def test_without_a_tick_nothing_is_made(fleet: ScriptedFleet, tmp_path: Path) -> None:
    writer = writing(fleet, tmp_path, "http://127.0.0.1:1/")
    await writer.make()
    size = writer.queue.bytes
    await writer.make()
    assert writer.queue.bytes == size > 0


def test_a_queue_keeps_its_order_over_a_restart_and_drops_the_oldest_for_want_of_room(
    tmp_path: Path,
) -> None:
    queue = Queue(tmp_path / "q", 10, *TOLD["otlp"])
    queue.put(b"aaaaa")
    queue.put(b"bbbbb")
    assert queue.bytes == 10
    queue.put(b"c")
    assert (queue.bytes, dict(queue.counts)) == (6, {"dropped": 1})
    (tmp_path / "q" / "00000000000000000003.new").write_bytes(b"half")
    again = Queue(tmp_path / "q", 10, *TOLD["otlp"])
    again.put(b"d")
    found = []
    while waiting := again.oldest():
        found.append(waiting[1])
        again.done(waiting[0], "sent")
    assert found == [b"bbbbb", b"c", b"d"]
    assert list((tmp_path / "q").iterdir()) == []


def test_a_request_that_was_dropped_while_it_was_sent_is_not_counted_for_another(
    tmp_path: Path,
) -> None:
    queue = Queue(tmp_path / "q", 3, *TOLD["otlp"])
    queue.put(b"aaa")
    waiting = queue.oldest()
    assert waiting is not None
    queue.put(b"bbb")
    queue.done(waiting[0], "sent")
    left = queue.oldest()
    assert left is not None
    assert (left[1], dict(queue.counts)) == (b"bbb", {"dropped": 1})


def test_series_that_could_not_be_kept_are_ended_later() -> None:
    """The disk had no room for the request that ends them: the next one does."""
    maker = RemoteWrite(())
    list(maker.bodies(["gone 1\n"], 1))
    next(iter(maker.bodies(["here 1\n"], 2)))
    (body,) = maker.bodies(["here 1\n"], 3)
    assert b"gone" in bytes(cramjam.snappy.decompress_raw(body))


def test_a_request_whose_file_is_gone_holds_up_nothing_behind_it(tmp_path: Path) -> None:
    queue = Queue(tmp_path / "q", 9, *TOLD["otlp"])
    for body in (b"aaa", b"bbb"):
        queue.put(body)
    (tmp_path / "q" / f"{0:020}").unlink()
    (tmp_path / "q" / "²").write_bytes(b"of somebody else")
    waiting = queue.oldest()
    assert waiting is not None
    assert (waiting[1], dict(queue.counts), queue.bytes) == (b"bbb", {"lost": 1}, 3)
    assert Queue(tmp_path / "q", 9, *TOLD["otlp"]).bytes == 3


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_receiver_that_sends_us_elsewhere_takes_nothing_and_is_not_followed(
    fleet: ScriptedFleet, tmp_path: Path, status: int
) -> None:
    """It would be asked there without the body, or with our token."""
    elsewhere: list[str] = []

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": "/other"})

    async def other(request: web.Request) -> web.Response:
        elsewhere.append(request.method)
        return web.Response()

    application = web.Application()
    application.router.add_post("/api/v1/write", answer)
    application.router.add_route("*", "/other", other)
    async with TestServer(application) as server, ClientSession() as session:
        writer = writing(fleet, tmp_path, str(server.make_url("/api/v1/write")))
        await writer.make()
        with pytest.raises(ClientError, match=str(status)):
            await writer.send(session)
    assert (elsewhere, dict(writer.queue.counts)) == ([], {})


async def test_a_token_that_is_none_for_a_while_ends_no_sending(
    fleet: ScriptedFleet, tmp_path: Path
) -> None:
    sent = asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        sent.set()
        return web.Response(status=204)

    application = web.Application()
    application.router.add_post("/api/v1/write", answer)
    async with TestServer(application) as server:
        writer = writing(fleet, tmp_path, str(server.make_url("/api/v1/write")))
        token = tmp_path / "token"
        token.write_text("two\nlines")
        writer.receiver = replace(writer.receiver, token=token)
        await writer.make()
        async with ClientSession() as session:
            with pytest.raises(ValueError, match="header"):
                await writer.send(session)
        running = asyncio.create_task(writer.run())
        token.write_text("t")
        async with asyncio.timeout(20):
            await sent.wait()
        assert not running.done()
        running.cancel()


async def test_a_minute_that_cannot_be_made_ends_no_sending(
    fleet: ScriptedFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = writing(fleet, tmp_path, "http://127.0.0.1:1/")
    writer.receiver = replace(writer.receiver, seconds=0)
    tried = asyncio.Semaphore(0)

    async def fails(_: object) -> None:
        tried.release()
        raise ValueError("no page")

    monkeypatch.setattr(type(writer), "make", fails)
    running = asyncio.create_task(writer.run())
    for _ in range(2):
        await tried.acquire()
    assert not running.done()
    running.cancel()


def test_labels_of_any_text_come_back_as_they_were() -> None:
    text = 'a "quoted" \\ and\na line, with {braces} and="more" \u2028\x85\x1e'
    page = f"# HELP m Of this.\nm{render_labels(('one', 'two'), (text, ''))} 1.5\nbare 2\n"
    assert list(samples(page)) == [("m", (("one", text), ("two", "")), 1.5), ("bare", (), 2.0)]


def test_a_series_is_known_by_all_its_labels_and_ended_by_the_marker() -> None:
    assert struct.pack("<d", STALE) == (0x7FF0000000000002).to_bytes(8, "little")
    assert math.isnan(STALE)
    values = series([("m", (("b", "1"), ("a", "2")), 1.0)], {"z": "c1"})
    assert list(values) == [(("__name__", "m"), ("a", "2"), ("b", "1"), ("z", "c1"))]
    many: dict[Labels, float] = {
        (("__name__", f"m{number}"),): 1.0 for number in range(AT_ONCE + 1)
    }
    assert len(list(bodies(many, 1))) == 2
    assert len(list(bodies(dict(list(many.items())[:AT_ONCE]), 1))) == 1
