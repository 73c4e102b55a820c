"""Frames over a pipe or socket: a length (4 bytes, big-endian), then as many bytes."""

import os
import select
from collections.abc import Iterator

LARGEST_FRAME_BYTES = 256 << 20
_LENGTH_BYTES = 4


class Closed(Exception):
    """The other end is gone, in the middle of a frame or before one."""


class Overdue(Exception):
    """Nothing came in time."""


def frame(data: bytes) -> bytes:
    """As it travels."""
    return len(data).to_bytes(_LENGTH_BYTES, "big") + data


def length_of(header: bytes) -> int:
    """Of the frame that begins so. Raises Closed beyond the limit: what follows is no frame."""
    length = int.from_bytes(header, "big")
    if length > LARGEST_FRAME_BYTES:
        raise Closed
    return length


class Splitter:
    """Frames out of a stream that comes in pieces."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Every frame that is now complete. Raises Closed, as `length_of` does."""
        self._rest = self._rest + data if self._rest else data
        start = 0
        while len(self._rest) - start >= _LENGTH_BYTES:
            begin = start + _LENGTH_BYTES
            end = begin + length_of(self._rest[start:begin])
            if end > len(self._rest):
                break
            yield self._rest[begin:end]
            start = end
        self._rest = self._rest[start:]


def write_frame(descriptor: int, data: bytes) -> None:
    """Writes all of it. Raises Closed."""
    rest = memoryview(frame(data))
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except (BrokenPipeError, ConnectionResetError) as error:
        raise Closed from error


def read_frame(descriptor: int) -> bytes:
    """The next frame's bytes. Raises Closed, also for a length beyond the limit."""
    return _read_exactly(descriptor, length_of(_read_exactly(descriptor, _LENGTH_BYTES)))


def wait_readable(descriptor: int, seconds: float, watched: int | None = None) -> None:
    """Until the descriptor can be read. Raises Overdue, or Closed once the watched one has been hung up."""
    poller = select.poll()
    poller.register(descriptor, select.POLLIN | select.POLLHUP)
    if watched is not None:
        poller.register(watched, 0)
    ready = dict(poller.poll(max(0.0, seconds) * 1000))
    if descriptor in ready:
        return
    if ready:
        raise Closed
    raise Overdue


def is_hung_up(descriptor: int) -> bool:
    """Whether the other end of a pipe or socket has gone."""
    poller = select.poll()
    poller.register(descriptor, 0)
    return poller.poll(0) != []


def _read_exactly(descriptor: int, length: int) -> bytes:
    parts = []
    while length > 0:
        try:
            part = os.read(descriptor, min(length, 1 << 20))
        except ConnectionResetError as error:
            raise Closed from error
        if part == b"":
            raise Closed
        parts.append(part)
        length -= len(part)
    return b"".join(parts)
