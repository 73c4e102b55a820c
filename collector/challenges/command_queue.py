"""Commands for agents, which only push: a command goes out as the answer to a request that waits for it."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from collector.log.keys import KeyRing, NodeKey
from weighbridge.wire.polling import POLL_TYPE, Poll
from weighbridge.wire.problems import Problem
from weighbridge.wire.report import WireError, read
from weighbridge.wire.signing import SignatureError, open_envelope, verify


@dataclass(slots=True)
class _Waiting:
    """A request that waits. `alive` says whether its connection still stands."""

    command: "asyncio.Future[bytes | None]"
    alive: Callable[[], bool]


class CommandQueue:
    """At most one waiting request for each key: a newer one sends the older one home."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Waiting] = {}
        self._expected: dict[str, asyncio.Event] = {}
        self._closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    async def wait(self, key_id: str, seconds: float, alive: Callable[[], bool]) -> bytes | None:
        """The next command for this key; None if none comes in time. Raises Problem while the collector stops."""
        if self._closed:
            raise Problem("overloaded", "the collector is stopping", retry_after_seconds=5)
        self._send_home(key_id)
        command: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        mine = self._waiting[key_id] = _Waiting(command, alive)
        if key_id in self._expected:
            self._expected[key_id].set()
        timer = asyncio.get_running_loop().call_later(seconds, _resolve, command, None)
        try:
            return await command
        finally:
            timer.cancel()
            if self._waiting.get(key_id) is mine:
                del self._waiting[key_id]

    async def present(self, key_id: str, seconds: float) -> bool:
        """Whether a request of this key waits, or comes to wait in time."""
        event = self._expected[key_id] = asyncio.Event()
        try:
            async with asyncio.timeout(seconds):
                while not self._is_here(key_id):
                    event.clear()
                    await event.wait()
        except TimeoutError:
            return False
        finally:
            if self._expected.get(key_id) is event:
                del self._expected[key_id]
        return True

    def give(self, key_id: str, speak: Callable[[], bytes]) -> bool:
        """Hand the request that waits what `speak` says, which is called only if there is one."""
        if not self._is_here(key_id):
            return False
        _resolve(self._waiting.pop(key_id).command, speak())
        return True

    def close(self) -> None:
        """Answers every waiting request with no command, and lets none wait from now on."""
        self._closed = True
        for key_id in list(self._waiting):
            self._send_home(key_id)

    def _is_here(self, key_id: str) -> bool:
        waiting = self._waiting.get(key_id)
        return waiting is not None and waiting.alive() and not waiting.command.done()

    def _send_home(self, key_id: str) -> None:
        waiting = self._waiting.pop(key_id, None)
        if waiting is not None:
            _resolve(waiting.command, None)


def _resolve(command: "asyncio.Future[bytes | None]", said: bytes | None) -> None:
    if not command.done():
        command.set_result(said)


class PollAuthenticator:
    """Finds out which key asks for commands, or answers one. A request that was seen before is refused, whoever brings
    it again, to whichever door: a collector has one of these."""

    def __init__(self, ring: KeyRing, log_keys: Iterable[bytes]) -> None:
        self._ring = ring
        self._log_keys = frozenset(key.hex() for key in log_keys)
        self._newest: dict[str, int] = {}

    def admit(self, header: str | None) -> NodeKey:
        """The key of a signed poll. Raises Problem; where only the number is too low, it says what follows."""
        try:
            envelope = open_envelope((header or "").encode("utf-8", "surrogateescape"))
            key = self._ring.key(envelope.key_id)
            if key is None:
                raise Problem("unknown_key", f"key {envelope.key_id} is not enrolled")
            verify(envelope, key.public_key)
            poll = read(Poll, envelope.payload)
        except SignatureError as error:
            raise Problem("bad_signature", str(error)) from error
        except WireError as error:
            raise Problem("malformed", str(error)) from error
        if envelope.payload_type != POLL_TYPE or poll.log_key not in self._log_keys:
            raise Problem("malformed", "not a request for commands of this collector")
        if key.revoked_index is not None:
            raise Problem("revoked_key", f"key {key.key_id} was revoked")
        if poll.node != key.node:
            raise Problem("wrong_node", f"the key speaks for {key.node}")
        newest = self._newest.get(key.key_id, -1)
        if poll.number <= newest:
            raise Problem("sequence", f"number {poll.number} was used", {"expected": newest + 1})
        self._newest[key.key_id] = poll.number
        return key
