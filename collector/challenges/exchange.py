"""One attempt at one node: the verifier's state machine over waiting requests, every word of it entered in the log.

The commitment is durable before this begins. A release is read off the clock and handed out first, and entered while
the prover computes; an answer is entered before the next message leaves.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from collector.challenges.command_queue import CommandQueue
from collector.log.commits import overloaded
from weighbridge.challenge.challenger import Answer, AttemptPlan, Challenger
from weighbridge.challenge.messages import PAYLOAD_TYPE, Receipt, encode_message
from weighbridge.challenge.transcript import Transcript
from weighbridge.wire.signing import Signer

AT_ONCE_BYTES = 1 << 20
"""Answers up to so large are read on the event loop."""

PRESENCE_SECONDS = 30.0
"""How long an agent may be away when it is its turn to hear something. Once released, that is its own time."""

BEAT_SECONDS = 0.05
"""How often the verifier looks whether it stood still."""


@dataclass(frozen=True, slots=True)
class VerifierClocks:
    """`clock_ns` alone weighs: it counts suspended time. `wall_us` is for people, and for contracts."""

    clock_ns: Callable[[], int]
    wall_us: Callable[[], int]


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
    """`enter` makes an envelope durable in the log and says where.

    `large` is one for all exchanges. `taking`: an answer is coming in; one at a time. `entered`: where in the log the
    newest answer stands. `crowded_out`: an answer was refused for what others send, and that is no failure.
    """

    plan: AttemptPlan
    key_id: str
    commands: CommandQueue
    signer: Signer
    enter: Callable[[bytes], Awaitable[int]]
    clocks: VerifierClocks
    large: asyncio.Lock
    committed_at: int = -1
    presence_seconds: float = PRESENCE_SECONDS
    taking: bool = False
    entered: int = -1
    crowded_out: bool = False
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    _answered: asyncio.Event = field(default_factory=asyncio.Event)
    _answer: bytes | None = None
    _said: bytes = b""
    _said_ns: int = 0
    _received_ns: int = 0
    _step: str = ""
    _ready_told_ns: int = 0

    def __post_init__(self) -> None:
        self._challenger = Challenger(self.plan, committed_at=self.committed_at)
        self._receipt: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    @property
    def largest_answer(self) -> int:
        """Bytes that the awaited answer may have; 0 while none is awaited."""
        return self._challenger.largest_answer

    @property
    def patience_seconds(self) -> float:
        """Seconds that are left for the awaited answer."""
        since_ns = self._challenger.waiting_since_ns or 0
        return max(
            0.0, self.plan.policy.deadline_ms / 1e3 - (self.clocks.clock_ns() - since_ns) / 1e9
        )

    async def receive(self, opened: Callable[[], bytes], now_ns: int) -> "asyncio.Future[bytes]":
        """An answer of the agent that was here at `now_ns`. Raises Malformed or SignatureError, and then it was none.

        Its receipt comes once it is durable; where it cannot be, a Problem does.

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
            self._answer, self._received_ns, self._step = envelope, now_ns, message.type
            self._answered.set()
            return self._receipt

    @property
    def goes_on(self) -> bool:
        """Whether the next message follows an answer at once: the prover chooses no pause between two phases."""
        return self._challenger.released and not self._challenger.finished

    def told(self, now_ns: int) -> None:
        """The receipt of Ready leaves: the agent's next request measures the way there and back."""
        if not self._challenger.released:
            self._ready_told_ns = now_ns

    def asked_again(self, now_ns: int) -> None:
        """The agent asks for a command."""
        if self._ready_told_ns and not self._challenger.round_trip_ns:
            self._challenger.round_trip_ns = now_ns - self._ready_told_ns

    def _read(self, opened: Callable[[], bytes]) -> tuple[bytes, Answer]:
        envelope = opened()
        return envelope, self._challenger.read(envelope)

    async def run(self, start: GroupStart) -> Transcript:
        """To its end. Members of a group are released together."""
        heart = asyncio.create_task(self._beat())
        try:
            await self._begin(start)
            while not self._challenger.finished:
                await self._turn()
            return self._challenger.transcript()
        finally:
            heart.cancel()

    async def _begin(self, start: GroupStart) -> None:
        try:
            await self._turn()
        except BaseException:
            start.drop()
            raise
        if self._challenger.finished:
            start.drop()
        else:
            await start.together()

    async def _beat(self) -> None:
        """How long the verifier itself stood still, whoever held it up: the longest time since the first release."""
        last_ns = self.clocks.clock_ns()
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            now_ns = self.clocks.clock_ns()
            still_ns = now_ns - last_ns - int(BEAT_SECONDS * 1e9)
            if self._challenger.released and still_ns > self._challenger.stood_still_ns:
                self._challenger.stood_still_ns = still_ns
            last_ns = now_ns

    async def _turn(self) -> None:
        """Sends one message and waits for its answer, which is durable before the next one leaves."""
        self._answer = None
        self._answered.clear()
        if self._receipt.done():
            self._receipt = asyncio.get_running_loop().create_future()
        logged = self._challenger.asked
        due_ns = self.clocks.clock_ns() if self._challenger.released else None
        here = await self.commands.present(self.key_id, self.presence_seconds)
        if not here or not self.commands.give(self.key_id, lambda: self._speak(due_ns)):
            self._challenger.give_up()
            return
        entering = asyncio.ensure_future(self._enter_if(logged, self._said))
        again = asyncio.create_task(self._say_again())
        try:
            await self._listen()
        finally:
            again.cancel()
        await entering
        if self._answer is not None:
            await self._acknowledge(self._answer)
        elif self.crowded_out:
            raise overloaded("its answer was refused while others' were being read")

    def _speak(self, due_ns: int | None) -> bytes:
        """The next message. Once released, the time counts from when it was due, wherever the agent is."""
        self._said_ns = self.clocks.clock_ns() if due_ns is None else due_ns
        message = self._challenger.next_message(self._said_ns)
        self._said = self.signer.seal(PAYLOAD_TYPE, message)
        return self._said

    async def _say_again(self) -> None:
        """Whoever asks before it has answered did not hear: its connection broke. Its time runs on."""
        while not self._answered.is_set():
            here = await self.commands.present(self.key_id, self.plan.policy.deadline_ms / 1000)
            if here and not self._answered.is_set():
                self.commands.give(self.key_id, lambda: self._said)

    async def _acknowledge(self, answer: bytes) -> None:
        try:
            self.entered = await self.enter(answer)
        except BaseException:
            self._receipt.set_exception(overloaded("the answer cannot be kept now"))
            self._receipt.exception()  # nobody may be there to hear it
            raise
        receipt = Receipt(
            self.plan.challenge,
            self._step,
            hashlib.sha256(answer).digest(),
            self._said_ns,
            self._received_ns,
            self.entered,
            self.clocks.wall_us(),
        )
        self._receipt.set_result(self.signer.seal(PAYLOAD_TYPE, encode_message(receipt)))

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
