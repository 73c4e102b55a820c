"""One attempt at one node: the verifier's state machine over waiting requests, every word of it entered in the log.

The commitment is durable before this begins. A release is read off the clock and handed out first, and entered while
the prover computes; an answer is entered before the next message leaves.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from collector.challenges.command_queue import CommandQueue
from collector.log.commits import overloaded
from weighbridge.challenge.challenger import Answer, AttemptPlan, Challenger
from weighbridge.challenge.messages import PAYLOAD_TYPE
from weighbridge.challenge.transcript import Transcript
from weighbridge.wire.signing import Signer

AT_ONCE_BYTES = 1 << 20
"""Answers up to so large are read on the event loop."""

PRESENCE_SECONDS = 30.0
"""How long an agent may be away when it is its turn to hear something."""


class GroupStart:
    """Members of a group: whoever is ready waits until each other one is ready too, or has dropped out."""

    def __init__(self, members: int) -> None:
        self._missing = members
        self._go = asyncio.Event()

    def drop(self) -> None:
        """The group starts without one of its members."""
        self._missing -= 1
        if self._missing <= 0:
            self._go.set()

    async def together(self) -> None:
        """Waits until all members of the group are ready, so that they start at once."""
        self.drop()
        await self._go.wait()


@dataclass
class Exchange:
    """`enter` makes an envelope durable in the log and says where; `clock_ns` is monotonic and alone weighs.

    `large` is one for all exchanges. `taking`: an answer is coming in; one at a time. `entered`: where in the log the
    newest answer stands. `crowded_out`: an answer was refused for what others send, and that is no failure.
    """

    plan: AttemptPlan
    key_id: str
    commands: CommandQueue
    signer: Signer
    enter: Callable[[bytes], Awaitable[int]]
    clock_ns: Callable[[], int]
    large: asyncio.Lock
    presence_seconds: float = PRESENCE_SECONDS
    taking: bool = False
    entered: int = -1
    crowded_out: bool = False
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    _answered: asyncio.Event = field(default_factory=asyncio.Event)
    _answer: bytes | None = None
    _said: bytes = b""

    def __post_init__(self) -> None:
        self._challenger = Challenger(self.plan)

    @property
    def largest_answer(self) -> int:
        """Bytes that the awaited answer may have; 0 while none is awaited."""
        return self._challenger.largest_answer

    @property
    def patience_seconds(self) -> float:
        """Seconds that are left for the awaited answer."""
        since_ns = self._challenger.waiting_since_ns or 0
        return max(0.0, self.plan.policy.deadline_ms / 1e3 - (self.clock_ns() - since_ns) / 1e9)

    async def receive(self, opened: Callable[[], bytes], now_ns: int) -> None:
        """An answer of the agent that was here at `now_ns`. Raises Malformed or SignatureError, and then it was none.

        Where it may be large it is read beside the event loop, and one of all exchanges at a time: to open and to hash
        it takes a while, and several times its own size in memory.
        """
        async with self._reading:
            if self.largest_answer <= AT_ONCE_BYTES:
                envelope, message = self._read(opened)
            else:
                async with self.large:
                    envelope, message = await asyncio.to_thread(self._read, opened)
            self._challenger.accept(message, envelope, now_ns)
            self._answer = envelope
            self._answered.set()

    def _read(self, opened: Callable[[], bytes]) -> tuple[bytes, Answer]:
        envelope = opened()
        return envelope, self._challenger.read(envelope)

    async def run(self, start: GroupStart) -> Transcript:
        """To its end. Members of a group are released together."""
        try:
            await self._turn(logged=False)
        except BaseException:
            start.drop()
            raise
        if self._challenger.finished:
            start.drop()
            return self._challenger.transcript()
        await start.together()
        while not self._challenger.finished:
            await self._turn(logged=True)
        return self._challenger.transcript()

    async def _turn(self, logged: bool) -> None:
        """Sends one message and waits for its answer."""
        self._answer = None
        self._answered.clear()
        here = await self.commands.present(self.key_id, self.presence_seconds)
        if not here or not self.commands.give(self.key_id, self._speak):
            self._challenger.give_up()
            return
        entering = asyncio.ensure_future(self._enter_if(logged, self._said))
        await self._listen()
        await entering
        if self._answer is not None:
            self.entered = await self.enter(self._answer)
        elif self.crowded_out:
            raise overloaded("its answer was refused while others' were being read")

    def _speak(self) -> bytes:
        message = self._challenger.next_message(self.clock_ns())
        self._said = self.signer.seal(PAYLOAD_TYPE, message)
        return self._said

    async def _enter_if(self, logged: bool, leaf: bytes) -> None:
        if logged:
            await self.enter(leaf)

    async def _listen(self) -> None:
        try:
            async with asyncio.timeout(self.plan.policy.deadline_ms / 1000):
                await self._answered.wait()
        except TimeoutError:
            async with self._reading:  # what was here in time is read to its end first
                if not self._answered.is_set():
                    self._challenger.give_up()
