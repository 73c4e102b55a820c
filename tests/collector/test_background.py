"""Work beside the requests: what it no longer does is said, and nothing else ends with it."""

import asyncio
import logging
from collections.abc import Callable

import pytest

from collector.background import UnderWay, beside


async def broken() -> None:
    raise ValueError("a number of a sort that nobody foresaw")


def heard_by(said: asyncio.Event) -> Callable[[logging.LogRecord], bool]:
    def hear(_: logging.LogRecord) -> bool:
        said.set()
        return True

    return hear


async def test_work_that_fails_is_told_of_and_the_rest_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    said = asyncio.Event()
    caplog.handler.addFilter(heard_by(said))
    with caplog.at_level(logging.ERROR):
        async with asyncio.timeout(10), beside(broken(), "nothing is weighed any more"):
            await said.wait()
    (record,) = caplog.records
    assert record.getMessage() == "nothing is weighed any more"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ValueError)


async def test_work_ends_with_the_block_and_that_is_no_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ended = asyncio.Event()

    async def steady() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with beside(steady(), "never said"):
        await asyncio.sleep(0)
        assert not ended.is_set()
    assert ended.is_set()
    assert not caplog.records


async def test_pieces_of_work_end_by_themselves_or_together_and_a_failure_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail() -> None:
        raise RuntimeError

    async def last() -> None:
        await asyncio.Event().wait()

    async def done() -> None: ...

    pieces = UnderWay("a piece is lost")
    for work in (fail(), done()):
        pieces.begin(work)
    assert len(pieces) == 2
    await pieces.ended()
    assert (len(pieces), caplog.messages) == (0, ["a piece is lost"])
    pieces.begin(last())
    async with asyncio.timeout(20):
        await pieces.aclose()
    assert (len(pieces), len(caplog.messages)) == (0, 1)
