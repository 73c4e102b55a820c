"""The payloads against which agents may send their next ones: one of each key, as many as there is room for."""

import time
from collections import OrderedDict
from collections.abc import Callable

from weighbridge.wire.parts import name_of

ROOM_BYTES = 64 << 20
MOST_BYTES = 64 << 10
"""A larger payload is no base."""
IDLE_SECONDS = 600
"""Whoever has sent nothing for so long gives way. While nobody has, newcomers get no room: else all would lose theirs
before they could use it."""
LIKE = 2
"""A report that is more than so many times as large as the base has parts that the next one lacks: the base stays."""


class Bases:
    """One thread keeps; any thread finds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: OrderedDict[str, tuple[bytes, bytes, float]] = OrderedDict()
        self._bytes = 0

    def find(self, key_id: str, name: bytes) -> bytes | None:
        """The payload that is kept of a key, if it has this name."""
        known, payload, _ = self._held.get(key_id, (b"", b"", 0.0))
        return payload if payload and known == name else None

    def keep(self, key_id: str, payload: bytes) -> bytes:
        """A payload that this key sent; the name of the one that is kept of it from now on, empty where none is."""
        before = self._drop(key_id)
        if before and len(payload) > LIKE * len(before):
            payload = before
        self._make_room(len(payload))
        if len(payload) > MOST_BYTES or self._bytes + len(payload) > ROOM_BYTES:
            return b""
        name = name_of(payload)
        self._held[key_id] = (name, payload, self._clock())
        self._bytes += len(payload)
        return name

    def _drop(self, key_id: str) -> bytes:
        _, payload, _ = self._held.pop(key_id, (b"", b"", 0.0))
        self._bytes -= len(payload)
        return payload

    def _make_room(self, wanted: int) -> None:
        while self._held and self._bytes + wanted > ROOM_BYTES:
            oldest = next(iter(self._held))
            if self._clock() - self._held[oldest][2] < IDLE_SECONDS:
                return
            self._drop(oldest)
