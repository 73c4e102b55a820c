"""What is settled in a process apart: one job after the other, and a process that ends takes nothing with it."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from pickle import PicklingError

import pytest

from collector.judging.settler import SettlingError, SettlingProcess
from collector.storage.store import JudgedStore
from tests.collector.living import Lease, lease
from weighbridge.settlement.invariants import BrokenInvariantError

OCTOBER = "2026-10"


@pytest.fixture
async def settler(tmp_path: Path) -> AsyncIterator[tuple[Lease, SettlingProcess]]:
    with lease(tmp_path / "store") as leased:
        made = SettlingProcess(f"embedded:{tmp_path / 'store'}")
        yield leased, made
        made.close()


Settling = tuple[Lease, SettlingProcess]


def process_of(_: JudgedStore) -> int:
    return os.getpid()


def killed(number: signal.Signals, _: JudgedStore) -> None:
    os.kill(os.getpid(), number)
    time.sleep(60)


def told(begun: Path, _: JudgedStore) -> None:
    begun.write_text(str(os.getpid()))
    time.sleep(60)


def contradicts(_: JudgedStore) -> None:
    raise BrokenInvariantError("K1", "2026-10", "low <= high", ("gpus", "n1.0"), {"low": 2})


def large(size: int, _: JudgedStore) -> int:
    held = b"1" * size
    return len(held)


def both(one: object, other: object, _: JudgedStore) -> tuple[object, object]:
    return one, other


def gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


class OddError(Exception):
    """Pickle makes another of it with one argument, which it does not take."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}: {why}")


def odd(_: JudgedStore) -> None:
    raise OddError("what", "why")


async def test_a_statement_that_is_settled_apart_is_the_one_that_is_settled_here(
    settler: Settling,
) -> None:
    leased, apart = settler
    asked = leased.statements.ask("K1", OCTOBER)
    assert await apart.made(asked.statement) == asked.statement(leased.store)


async def test_however_many_are_asked_for_at_once_one_process_settles_them(
    settler: Settling,
) -> None:
    """Also for a collector that holds much itself: that is no memory of the process that it starts."""
    _, apart = settler
    held = b"1" * (250 << 20)
    found = await asyncio.gather(*(apart.made(process_of) for _ in range(8)))
    assert len(held) == 250 << 20
    assert len(set(found)) == 1
    assert found[0] != os.getpid()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_of_a_process_that_was_ended_it_is_said_and_the_next_job_has_a_new_one(
    settler: Settling, number: signal.Signals
) -> None:
    _, apart = settler
    first = await apart.made(process_of)
    waiting = asyncio.ensure_future(apart.made(partial(killed, number)))
    with pytest.raises(SettlingError, match=rf"not settled: the process ended by {number.name}"):
        await waiting
    assert await apart.made(process_of) != first


async def test_a_job_that_takes_longer_than_it_may_is_ended(tmp_path: Path) -> None:
    with lease(tmp_path / "store"):
        apart = SettlingProcess(f"embedded:{tmp_path / 'store'}", seconds=0.2)
        with pytest.raises(SettlingError, match="ended by SIGKILL"):
            await apart.made(partial(killed, signal.SIGCONT))
        apart.close()


async def test_what_a_job_raises_is_raised_where_it_was_asked_for_and_the_process_goes_on(
    settler: Settling, caplog: pytest.LogCaptureFixture
) -> None:
    _, apart = settler
    first = await apart.made(process_of)
    for _ in range(2):
        with pytest.raises(
            BrokenInvariantError, match=r"K1 2026-10 gpus n1\.0: low <= high"
        ) as raised:
            await apart.made(contradicts)
        assert "in contradicts" in "".join(raised.value.__notes__), "where it was raised"
    assert apart.broken == {"K1": 2}
    assert caplog.text.count("CRITICAL") == 2
    with pytest.raises(SettlingError, match="OddError: what: why"):
        await apart.made(odd)
    assert await apart.made(process_of) == first


async def test_a_job_that_cannot_be_carried_is_refused_and_spoils_no_other(
    settler: Settling,
) -> None:
    _, apart = settler
    with pytest.raises((AttributeError, PicklingError), match="lambda"):
        await apart.made(partial(both, "1" * (1 << 20), lambda: None))
    word = "2"
    assert await apart.made(partial(both, word, word)) == (word, word)


async def test_the_memory_of_a_large_job_goes_back_to_the_machine(settler: Settling) -> None:
    _, apart = settler
    first = await apart.made(process_of)
    assert await apart.made(partial(large, 400 << 20)) == 400 << 20
    assert gone(first)
    assert await apart.made(process_of) != first


async def test_closing_ends_what_is_settled_at_the_moment_and_what_waits(
    settler: Settling, tmp_path: Path
) -> None:
    _, apart = settler
    begun = tmp_path / "begun"
    os.mkfifo(begun)
    jobs = [asyncio.ensure_future(apart.made(partial(told, begun))) for _ in range(2)]
    process = int(await asyncio.to_thread(begun.read_text))
    apart.close()
    found = await asyncio.gather(*jobs, return_exceptions=True)
    assert [type(one) for one in found] == [SettlingError, asyncio.CancelledError]
    assert gone(process)
    with pytest.raises(SettlingError, match="the collector stops"):
        await apart.made(process_of)
