"""GPUs are asked to attest themselves: a nonce for each, an answer in time, and what the verifier makes of it.

A question is durable before it leaves, an answer before it is verified, and the conclusion before it is shown. GPUs of
a node are asked one after the other, and a node is asked nothing else meanwhile.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from collector.attestation.verification import Conclusion, Verify
from collector.background import UnderWay
from collector.challenges.attempts import Challenges, Subject
from collector.judging.live import LiveFleet
from collector.log.commits import Committer, Leaf
from weighbridge.judge.attestation_findings import ANOTHER_NONCE, FOUND, NO_ANSWER, worth
from weighbridge.log.entries import (
    AttestationAnswered,
    AttestationAsked,
    Attested,
    EntryKind,
    payload_type,
)
from weighbridge.wire.problems import Problem
from weighbridge.wire.report import WireError, encode, read
from weighbridge.wire.signing import SignatureError, Signer, open_envelope, verify

logger = logging.getLogger("weighbridge.attestation")

PRESENCE_SECONDS = 30.0
ANSWER_SECONDS = 60.0
MARGIN_US = 30_000_000
"""Beyond the time that the collector waits: its ticks, by which the log judges, come once a second."""

NONCE_BYTES = 32
KEPT = 1000
ATTESTATION = payload_type(EntryKind.ATTESTATION)
ATTESTED = payload_type(EntryKind.ATTESTED)


@dataclass(frozen=True, slots=True)
class AskedFor:
    """Why GPUs are asked, and for how long it counts."""

    valid_s: int
    required: bool


@dataclass(slots=True)
class Round:
    """The GPUs of one node, asked in turn, as it is shown. `state`: asking or ended."""

    id: str
    subject: Subject
    asked_for: AskedFor
    state: str = "asking"
    results: list[tuple[str, Conclusion]] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """As the API shows it."""
        return {
            "id": self.id,
            "node": self.subject.node,
            "contract": self.subject.contract,
            "state": self.state,
            "gpus": [{"gpu": gpu, **asdict(one)} for gpu, one in self.results],
        }


@dataclass(slots=True)
class _Waiting:
    """A question whose answer is awaited."""

    asked: AttestationAsked
    public_key: bytes
    answer: "asyncio.Future[bytes]"


class Questions:
    """Every question of a collector. `draw` gives random bytes."""

    def __init__(
        self,
        committer: Committer,
        fleet: LiveFleet,
        signer: Signer,
        challenges: Challenges,
        verify: Verify,
        draw: Callable[[int], bytes] = os.urandom,
        presence_seconds: float = PRESENCE_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._committer, self._fleet, self._signer = committer, fleet, signer
        self._challenges, self._verify, self._draw = challenges, verify, draw
        self._presence_seconds, self._answer_seconds = presence_seconds, answer_seconds
        self._rounds: dict[str, Round] = {}
        self._waiting: dict[str, _Waiting] = {}
        self._tasks = UnderWay("an attestation ended without a conclusion")
        self._verifying = asyncio.Semaphore(1)

    def begin(self, subject: Subject, gpus: Sequence[str], asked_for: AskedFor) -> Round:
        """Ask these GPUs of a node. Raises Problem while the node is asked something else."""
        round_ = Round(os.urandom(8).hex(), subject, asked_for)
        self._challenges.occupy(subject)
        self._rounds[round_.id] = round_
        while len(self._rounds) > KEPT:
            del self._rounds[next(iter(self._rounds))]
        self._tasks.begin(self._run(round_, gpus))
        return round_

    @property
    def under_way(self) -> int:
        """How many nodes are being asked."""
        return len(self._tasks)

    def find(self, name: str) -> Round:
        """Raises Problem: not_found."""
        if name not in self._rounds:
            raise Problem("not_found", f"no attestation {name} since this collector started")
        return self._rounds[name]

    def take(self, name: str, key_id: str, leaf: bytes) -> None:
        """An answer of the agent with this key. Raises Problem where it answers no question that is open."""
        waiting = self.waiting(name, key_id)
        try:
            envelope = open_envelope(leaf)
            verify(envelope, waiting.public_key)
            if envelope.payload_type != ATTESTATION:
                raise Problem("malformed", f"no answer is a {envelope.payload_type}")
            told = read(AttestationAnswered, envelope.payload)
        except SignatureError as error:
            raise Problem("bad_signature", str(error)) from error
        except WireError as error:
            raise Problem("malformed", str(error)) from error
        about = ("id", "contract", "node", "device")
        if any(getattr(told, one) != getattr(waiting.asked, one) for one in about):
            raise Problem("malformed", "this answers another question")
        waiting.answer.set_result(leaf)

    def waiting(self, name: str, key_id: str) -> "_Waiting":
        """The question that this key is to answer. Raises Problem: not_found."""
        waiting = self._waiting.get(name)
        if waiting is None or waiting.asked.key_id != key_id or waiting.answer.done():
            raise Problem("not_found", f"no question {name} to this key is open")
        return waiting

    async def aclose(self) -> None:
        """End whatever is under way: what was not concluded is not assessed."""
        await self._tasks.aclose()

    async def _run(self, round_: Round, gpus: Sequence[str]) -> None:
        try:
            for number, gpu in enumerate(gpus):
                concluded = await self._one(round_, f"{round_.id}.{number}", gpu)
                round_.results.append((gpu, concluded))
        except Problem as problem:
            logger.warning("%s is not asked: %s", round_.subject.node, problem.detail)
        finally:
            self._challenges.release(round_.subject)
            round_.state = "ended"

    async def _one(self, round_: Round, name: str, gpu: str) -> Conclusion:
        subject, until_s = round_.subject, self._answer_seconds + self._presence_seconds
        asked = AttestationAsked(
            id=name,
            contract=subject.contract,
            node=subject.node,
            key_id=subject.key.key_id,
            device=gpu,
            nonce=self._draw(NONCE_BYTES).hex(),
            until_us=self._fleet.now_us + int(until_s * 1_000_000) + MARGIN_US,
            valid_s=round_.asked_for.valid_s,
            required=round_.asked_for.required,
        )
        question = self._signer.seal(ATTESTATION, encode(asked))
        await self._committer.submit(Leaf(EntryKind.ATTESTATION, question))
        leaf = await self._answer(asked, subject, question)
        if leaf is not None:
            await self._committer.submit(Leaf(EntryKind.ATTESTATION, leaf))
        concluded = await self._concluded(asked, leaf)
        told = Attested(
            id=name,
            contract=subject.contract,
            node=subject.node,
            key_id=subject.key.key_id,
            device=gpu,
            **asdict(concluded),
        )
        sealed = self._signer.seal(ATTESTED, encode(told))
        await self._committer.submit(Leaf(EntryKind.ATTESTED, sealed))
        return concluded

    async def _answer(
        self, asked: AttestationAsked, subject: Subject, question: bytes
    ) -> bytes | None:
        """None where nobody came for the question, or answered it in time."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[asked.id] = _Waiting(asked, subject.key.public_key, answer)
        commands, key = self._challenges.commands, subject.key.key_id
        try:
            here = await commands.present(key, self._presence_seconds)
            if not here or not commands.give(key, lambda: question):
                return None
            async with asyncio.timeout(self._answer_seconds):
                return await answer
        except TimeoutError:
            return None
        finally:
            del self._waiting[asked.id]

    async def _concluded(self, asked: AttestationAsked, leaf: bytes | None) -> Conclusion:
        """The nonce is looked at here, with the judge's own rule: no verifier is needed to see another one."""
        if leaf is None:
            return Conclusion("not_assessed", NO_ANSWER)
        told = read(AttestationAnswered, open_envelope(leaf).payload)
        found = worth(told, asked.nonce)
        if found == ANOTHER_NONCE:
            return Conclusion("refused", found)
        if found != FOUND:
            return Conclusion("not_assessed", found)
        async with self._verifying:
            return await self._verify(asked, told)
