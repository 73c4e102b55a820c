"""Connections that say nothing, or do not take what they asked for; the clock and the network are made up."""

import asyncio
import logging
from typing import Any

import pytest
from aiohttp.http_exceptions import BadStatusLine

from collector.api.doors import (
    CONNECTION_BYTES,
    HEAD_SECONDS,
    IDLE_SECONDS,
    LEAST_READ_BYTES,
    UNREAD_BYTES,
    UNREAD_SECONDS,
    Door,
    Doors,
    HttpLog,
)


class Line(asyncio.Transport):
    """A connection from an address; `waiting` bytes of an answer were not taken yet."""

    def __init__(self, address: str) -> None:
        super().__init__({"peername": (address, 1)})
        self.waiting = 0
        self.aborted = False

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True


class Inner(asyncio.Protocol):
    def __init__(self) -> None:
        self.heard = b""

    def data_received(self, data: bytes) -> None:
        self.heard += data


class House:
    """Some doors and a clock that is moved by hand."""

    def __init__(self, most: int = 100) -> None:
        self.now = 0.0
        self.doors = Doors(most, lambda: self.now)

    def come(self, address: str = "192.0.2.1") -> tuple[Door, Line]:
        door, line = Door(Inner(), self.doors), Line(address)
        door.connection_made(line)
        return door, line

    def after(self, seconds: float) -> None:
        self.now += seconds
        self.doors.sweep()


def test_a_head_that_does_not_come_in_time_is_waited_for_no_longer_however_it_trickles() -> None:
    house = House()
    door, line = house.come()
    for _ in range(10):
        house.after(HEAD_SECONDS / 10)
        door.data_received(b"G")
    assert not line.aborted
    house.after(0.001)
    assert line.aborted
    assert house.doors.counts == {"slow": 1}


def test_a_connection_may_rest_between_requests_for_longer_than_a_head_may_take() -> None:
    house = House()
    door, line = house.come()
    door.data_received(b"GET / HTTP/1.1\r\n\r\n")
    door.begin()
    house.after(10 * IDLE_SECONDS)
    door.answered()
    house.after(IDLE_SECONDS)
    assert not line.aborted
    door.data_received(b"G")
    house.after(HEAD_SECONDS)
    assert not line.aborted
    house.after(0.001)
    assert line.aborted


def test_a_connection_at_rest_is_closed() -> None:
    house = House()
    door, line = house.come()
    door.begin()
    door.answered()
    house.after(IDLE_SECONDS + 0.001)
    assert line.aborted


def unread(house: House, size: int, address: str = "192.0.2.1") -> tuple[Door, Line]:
    door, line = house.come(address)
    door.begin()
    line.waiting = size
    door.pause_writing()
    return door, line


def test_whoever_does_not_take_an_answer_is_waited_for_no_longer() -> None:
    house = House()
    door, line = unread(house, 1 << 20)
    house.after(UNREAD_SECONDS)
    line.waiting -= LEAST_READ_BYTES
    house.after(0)
    house.after(UNREAD_SECONDS)
    line.waiting -= LEAST_READ_BYTES - 1
    assert not line.aborted
    house.after(0.001)
    assert line.aborted
    assert house.doors.counts == {"unread": 1}
    assert door.transport is line


def test_an_answer_that_is_taken_to_its_end_is_forgotten() -> None:
    house = House()
    door, line = unread(house, UNREAD_BYTES)
    line.waiting = 0
    door.resume_writing()
    door.answered()
    _, other = unread(house, UNREAD_BYTES, "192.0.2.2")
    house.after(UNREAD_SECONDS)
    assert not line.aborted
    assert not other.aborted


def test_an_answer_that_lies_unread_is_the_keys_once_it_is_known_and_is_forgotten_at_the_end() -> (
    None
):
    house = House()
    door, line = unread(house, UNREAD_BYTES)
    door.know("key")
    line.waiting = 0
    door.resume_writing()
    _, other = unread(house, UNREAD_BYTES, "192.0.2.2")
    assert not other.aborted


def test_of_answers_that_nobody_takes_those_of_whoever_has_most_give_way() -> None:
    house = House()
    _, little = unread(house, UNREAD_BYTES // 8, "192.0.2.2")
    much = [unread(house, UNREAD_BYTES // 2)[1] for _ in range(3)]
    assert [line.aborted for line in (little, *much)] == [False, True, True, False]


def test_of_connections_those_of_whoever_has_most_give_way_the_oldest_first() -> None:
    house = House(most=4)
    _, lone = house.come("192.0.2.2")
    many = [house.come()[1] for _ in range(5)]
    assert [line.aborted for line in (lone, *many)] == [False, True, True, False, False, False]
    assert house.doors.counts == {"crowded": 2}


def test_strangers_give_way_to_connections_that_showed_a_key() -> None:
    house = House(most=4)
    agents = [house.come() for _ in range(3)]
    for door, _ in agents:
        door.begin()
        door.know("key")
    many = [house.come()[1] for _ in range(5)]
    assert [line.aborted for _, line in agents] == [False] * 3
    assert [line.aborted for line in many] == [True] * 4 + [False]


def test_a_large_head_counts_until_it_is_whole() -> None:
    house = House(most=4)
    door, line = house.come("192.0.2.2")
    door.data_received(bytes(3 * CONNECTION_BYTES))
    door.begin()
    other, another = house.come(), house.come()
    assert not line.aborted
    other[0].data_received(bytes(2 * CONNECTION_BYTES))
    assert [line.aborted, other[1].aborted, another[1].aborted] == [False, True, False]


def test_what_is_no_http_is_counted_and_said_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    house = House()
    log = HttpLog(house.doors)
    with caplog.at_level(logging.DEBUG, "weighbridge"):
        for _ in range(3):
            try:
                raise BadStatusLine("\x1b[31m")
            except BadStatusLine as error:
                told: Any = error
                log.exception("Error handling request from %s", "192.0.2.1", exc_info=told)
            house.now += 31
    assert [record.getMessage() for record in caplog.records] == [
        "no HTTP from 192.0.2.1; 1 such requests so far",
        "no HTTP from 192.0.2.1; 3 such requests so far",
    ]
    assert all(record.exc_info is None for record in caplog.records)
    assert house.doors.counts == {"malformed": 3}


@pytest.mark.parametrize(
    ("error", "lines"), [(ConnectionResetError("Cannot write"), 0), (KeyError("a fault"), 1)]
)
def test_of_an_answer_whose_taker_is_gone_nothing_is_said(
    error: Exception, lines: int, caplog: pytest.LogCaptureFixture
) -> None:
    log = HttpLog(House().doors)
    try:
        raise error
    except (ConnectionResetError, KeyError) as told:
        log.exception("Error handling request from %s", "192.0.2.1", exc_info=told)
    assert len(caplog.records) == lines
