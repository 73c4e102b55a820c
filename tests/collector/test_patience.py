"""Whoever asks much at a time waits for answers of their own; everybody else is answered meanwhile."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from collector.api.access import GATE, Gate, granted, token_hash
from collector.api.patience import AT_ONCE, MOST_WAITING
from collector.api.routes import Access, Handler, Route
from collector.serving import problems

TOKENS = {
    "one": granted(["lessee:L/lease"]),
    "other": granted(["lessee:L/next"]),
    "scrapes": granted(["ops"]),
}
Client = TestClient[web.Request, web.Application]


class Slow:
    """Answers once it is let."""

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.asked: asyncio.Queue[None] = asyncio.Queue()
        self.begun: asyncio.Queue[None] = asyncio.Queue()

    async def answer(self, _: web.Request) -> web.Response:
        await self.begun.put(None)
        await self.may.wait()
        return web.Response()


async def quick(_: web.Request) -> web.Response:
    return web.Response()


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
async def client(slow: Slow) -> AsyncIterator[Client]:
    gate = Gate({token_hash(token): bearer for token, bearer in TOKENS.items()}, False)

    @web.middleware
    async def counted(request: web.Request, handler: Handler) -> web.StreamResponse:
        await slow.asked.put(None)
        return await handler(request)

    application = web.Application(middlewares=[counted, problems])
    application[GATE] = gate
    for path, handler, access in (
        ("/slow", slow.answer, Access.READ),
        ("/said", slow.answer, Access.SPEAK),
        ("/quick", quick, Access.READ),
        ("/scraped", slow.answer, Access.METRICS),
    ):
        guarded = gate.guard(Route("GET", path, handler, access, ""))
        application.router.add_get(path, guarded)
    async with TestClient(TestServer(application)) as made:
        yield made


async def ask(client: Client, path: str, token: str) -> int:
    async with client.get(path, headers={"Authorization": f"Bearer {token}"}) as answer:
        return answer.status


def asked(client: Client, path: str, token: str, times: int) -> list["asyncio.Task[int]"]:
    return [asyncio.create_task(ask(client, path, token)) for _ in range(times)]


async def come(places: "asyncio.Queue[None]", number: int) -> None:
    for _ in range(number):
        await places.get()


@pytest.mark.parametrize("path", ["/slow", "/said"])
async def test_one_caller_is_answered_so_much_at_a_time_and_others_meanwhile(
    client: Client, slow: Slow, path: str
) -> None:
    many = asked(client, path, "one", AT_ONCE + MOST_WAITING)
    await come(slow.asked, AT_ONCE + MOST_WAITING)
    await come(slow.begun, AT_ONCE)
    assert await ask(client, "/quick", "other") == 200
    assert await ask(client, "/quick", "one") == 503
    assert slow.begun.empty()
    slow.may.set()
    assert set(await asyncio.gather(*many)) == {200}
    assert await ask(client, "/quick", "one") == 200


async def test_whoever_scrapes_waits_for_nobody(client: Client, slow: Slow) -> None:
    many = asked(client, "/scraped", "scrapes", AT_ONCE + 1)
    await come(slow.begun, AT_ONCE + 1)
    slow.may.set()
    assert set(await asyncio.gather(*many)) == {200}
