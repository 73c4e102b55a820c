"""Bodies within a size, a time and a budget."""

import asyncio
from typing import Any

import pytest
from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request

from collector.api.bodies import Bodies
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
    return make_mocked_request("POST", "/", headers, payload=stream)


async def refusal(reading: Any) -> str:
    with pytest.raises(Problem) as caught:
        await reading
    return caught.value.code


async def test_a_body_is_read_whole_up_to_the_bound_of_its_route() -> None:
    bodies = Bodies(10, 100, 5)
    assert await bodies.read(coming(b"12345", b"67890")) == b"1234567890"
    assert await refusal(bodies.read(coming(b"12345", b"678901"))) == "too_large"
    assert await refusal(bodies.read(coming(b"1234"), 3)) == "too_large"
    assert await bodies.read(coming(b"12345", b"678901"), 11) == b"12345678901"


async def test_a_body_that_says_that_it_is_too_large_is_not_waited_for() -> None:
    request = coming(whole=False, **{"Content-Length": "11"})
    assert await refusal(Bodies(10, 100, 5).read(request)) == "too_large"


async def test_a_body_that_does_not_end_is_given_up_and_frees_its_room() -> None:
    bodies = Bodies(100, 100, 5)
    assert await refusal(bodies.read(coming(b"x" * 90, whole=False), seconds=0.01)) == "overloaded"
    assert len(await bodies.read(coming(b"x" * 90))) == 90


async def test_what_waits_to_be_dealt_with_counts_until_it_has_been() -> None:
    bodies = Bodies(100, 100, 5)
    body = await bodies.read(coming(b"x" * 80))
    with bodies.held(body):
        assert await refusal(bodies.read(coming(b"x" * 21))) == "overloaded"
        assert len(await bodies.read(coming(b"x" * 20))) == 20
    assert len(await bodies.read(coming(b"x" * 21))) == 21
