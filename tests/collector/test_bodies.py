"""Bodies within a size, a time and a budget."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request

from collector.api.access import GATE, Gate
from collector.api.bodies import Bodies
from collector.api.room import site
from weighbridge.wire.problems import Problem


def coming(*chunks: bytes, whole: bool = True, **headers: str) -> web.Request:
    """A request whose body comes in these chunks, and then ends or does not."""
    loop = asyncio.get_running_loop()
    protocol = BaseProtocol(loop)
    protocol.connection_made(asyncio.Transport())
    stream = StreamReader(protocol, 2**16, loop=loop)
    for chunk in chunks:
        stream.feed_data(chunk)
    if whole:
        stream.feed_eof()
    application = web.Application()
    application[GATE] = Gate({}, open_on_loopback=False)
    return make_mocked_request("POST", "/", headers, payload=stream, app=application)


async def refusal(reading: Any) -> str:
    with pytest.raises(Problem) as caught:
        await reading
    return caught.value.code


async def test_a_body_is_read_whole_up_to_the_bound_of_its_route() -> None:
    bodies = Bodies(10, 100, 5, 5)
    assert await bodies.read(coming(b"12345", b"67890")) == b"1234567890"
    assert await refusal(bodies.read(coming(b"12345", b"678901"))) == "too_large"
    assert await refusal(bodies.read(coming(b"1234"), 3)) == "too_large"
    assert await bodies.read(coming(b"12345", b"678901"), 11) == b"12345678901"


async def test_a_body_that_says_that_it_is_too_large_is_not_waited_for() -> None:
    request = coming(whole=False, **{"Content-Length": "11"})
    assert await refusal(Bodies(10, 100, 5, 5).read(request)) == "too_large"


async def test_a_body_that_does_not_end_is_given_up_and_frees_its_room() -> None:
    bodies = Bodies(100, 100, 5, 5)
    assert await refusal(bodies.read(coming(b"x" * 90, whole=False), seconds=0.01)) == "overloaded"
    assert len(await bodies.read(coming(b"x" * 90))) == 90


async def test_what_waits_to_be_dealt_with_counts_until_it_has_been() -> None:
    bodies = Bodies(100, 100, 5, 5)
    body = await bodies.read(coming(b"x" * 80))
    with bodies.held(body):
        assert await refusal(bodies.read(coming(b"x" * 21))) == "overloaded"
        assert len(await bodies.read(coming(b"x" * 20))) == 20
    assert len(await bodies.read(coming(b"x" * 21))) == 21


def shown(data: bytes) -> str | None:
    """Whoever begins a body like this is known."""
    return "key" if data.startswith(b"known") else None


async def begun(reading: Coroutine[Any, Any, bytes]) -> "asyncio.Task[bytes]":
    task = asyncio.create_task(reading)
    await asyncio.sleep(0)
    return task


async def test_the_oldest_body_that_does_not_end_gives_way_to_one_that_does() -> None:
    bodies = Bodies(100, 100, 5, 5)
    older, newer = [await begun(bodies.read(coming(b"x" * 45, whole=False))) for _ in range(2)]
    assert len(await bodies.read(coming(b"x" * 20))) == 20
    assert await refusal(older) == "overloaded"
    assert not newer.done()
    newer.cancel()


async def test_of_one_who_holds_most_and_one_who_holds_little_the_first_gives_way() -> None:
    bodies = Bodies(100, 100, 5, 5)
    little = await begun(bodies.read(coming(b"x" * 10, whole=False), key="little"))
    much = [await begun(bodies.read(coming(b"x" * 30, whole=False), key="much")) for _ in range(2)]
    assert len(await bodies.read(coming(b"x" * 40), key="third")) == 40
    assert await refusal(much[0]) == "overloaded"
    assert not little.done()
    assert not much[1].done()
    for task in (little, much[1]):
        task.cancel()


async def test_whoever_shows_a_known_key_stays_before_any_number_of_strangers() -> None:
    bodies = Bodies(100, 100, 5, 5)
    known = await begun(bodies.read(coming(b"known" * 10, whole=False), prove=shown))
    strangers = [
        await begun(bodies.read(coming(b"x" * 20, whole=False), prove=shown)) for _ in range(9)
    ]
    assert not known.done()
    assert [await refusal(one) for one in strangers[:7]] == ["overloaded"] * 7
    for task in (known, *strangers[7:]):
        assert not task.done()
        task.cancel()


async def test_those_who_are_known_leave_a_quarter_to_strangers() -> None:
    bodies = Bodies(100, 100, 5, 5)
    stranger = await begun(bodies.read(coming(b"x" * 25, whole=False)))
    known = [await begun(bodies.read(coming(b"x" * 25, whole=False), key="key")) for _ in range(4)]
    assert not stranger.done()
    assert await refusal(known[0]) == "overloaded"
    for task in (stranger, *known[1:]):
        task.cancel()


async def test_whoever_shows_no_known_key_has_less_time() -> None:
    bodies = Bodies(100, 100, 5, 0.01)
    known = await begun(bodies.read(coming(b"known", whole=False), prove=shown))
    assert await refusal(bodies.read(coming(b"x", whole=False), prove=shown)) == "overloaded"
    assert not known.done()
    known.cancel()


def test_an_address_stands_for_its_site() -> None:
    assert site("192.0.2.1") != site("192.0.2.2")
    assert site("2001:db8::1") == site("2001:db8::2") != site("2001:db8:0:1::1")
    assert site("unix") == "unix"
