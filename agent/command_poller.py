"""Commands of the collector, which the agent fetches by a request that waits: challenges and requests for attestation.

The agent obeys only what its collector's log key has signed and what is meant for its own key, and it decides itself
whether a prober may run at all. It signs what the prober answers and passes it on; it never computes.
"""

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from agent.challenge_receipts import KeptReceipts
from agent.compression import compress
from agent.enrolment import NodeIdentity
from agent.nvml.attesting import Attest, nothing
from agent.probe.client import NoProber, Opening, Prober
from agent.probe.consent import DailyBudget
from agent.probe.grant import Grant, refusal
from agent.report.reporter import Backoff
from agent.report.transport import HttpAnswer
from weighbridge.challenge.codec import Malformed
from weighbridge.challenge.derivation import precommitment
from weighbridge.challenge.messages import (
    INTERRUPTED,
    NO_CONSENT,
    PAYLOAD_TYPE,
    UNSUPPORTED,
    Decline,
    Prepare,
    Receipt,
    Release,
    Reveal,
    Roots,
    decode_message,
    encode_message,
)
from weighbridge.log.entries import AttestationAnswered, AttestationAsked, EntryKind, payload_type
from weighbridge.wire.polling import (
    POLL_HEADER,
    POLL_PATH,
    POLL_TYPE,
    Poll,
    answer_path,
    evidence_path,
)
from weighbridge.wire.problems import read_problem
from weighbridge.wire.report import WireError, encode, read
from weighbridge.wire.signing import SignatureError, Signer, open_envelope, verify

log = logging.getLogger(__name__)

ATTESTATION_TYPE = payload_type(EntryKind.ATTESTATION)
POLL_TIMEOUT_S = 75.0
EVIDENCE_S = 20.0
"""For the delivery of evidence."""

LATE_S = 2.0
WAITING_S = 120.0
QUICK_S = 1.0
SLOW_S = 60.0
"""Where the collector knows neither the path nor the key: it will not soon."""

Consenting = Callable[[Prepare, int], Grant]
"""What a prober may do for a request, with so many milliseconds left today."""

Looking = Callable[[Sequence[str]], tuple[str, ...]]
"""The GPUs of these on which somebody else is too."""


def unseen(gpus: Sequence[str]) -> tuple[str, ...]:
    """Nobody looks."""
    del gpus
    return ()


@dataclass(frozen=True, slots=True)
class Probing:
    """What a prober is allowed, and how it is reached. `open_prober` None: the configuration allows none; every
    challenge is declined.
    """

    grant: Consenting
    budget: DailyBudget
    open_prober: Opening | None
    look: Looking = unseen


class Request(Protocol):
    """The signature of `Transport.request`."""

    def __call__(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout_s: float = ...,
    ) -> Awaitable[HttpAnswer]: ...


def seal_poll(signer: Signer, node: str, log_key: bytes, number: int) -> str:
    """The header's value."""
    poll = Poll(log_key=log_key.hex(), node=node, number=number)
    return signer.seal(POLL_TYPE, encode(poll)).decode("ascii")


@dataclass
class Session:
    """A challenge attempt under way: its request, its prober, and when it must have ended."""

    request: Prepare
    prober: Prober
    began_ns: int
    nonces: list[bytes] = field(default_factory=list)

    @property
    def deadline_s(self) -> float:
        """For one answer of the prober: what comes later is worth nothing, and its devices are somebody's."""
        return self.request.policy.deadline_ms / 1000 + LATE_S

    @property
    def idle_s(self) -> float:
        """For the next word of the collector, which may wait for the other nodes of a group."""
        return 2 * self.request.policy.deadline_ms / 1000 + WAITING_S


def _expected(answer: HttpAnswer) -> int:
    """The number that the collector's refusal asks for; 0 where it names none."""
    if answer.status != 409:
        return 0
    number = read_problem(answer.status, answer.body).members.get("expected")
    return number if isinstance(number, int) and 0 < number < 1 << 53 else 0


class CommandPoller:
    """Runs until it is cancelled."""

    def __init__(
        self,
        identity: NodeIdentity,
        request: Request,
        probing: Probing,
        wall_us: Callable[[], int],
        receipts: KeptReceipts,
        backoff: Backoff | None = None,
        attest: Attest = nothing,
    ) -> None:
        self._identity, self._request, self._probing = identity, request, probing
        self._attest, self._wall_us, self._receipts = attest, wall_us, receipts
        self._backoff = Backoff() if backoff is None else backoff
        self._number = wall_us()
        self._session: Session | None = None

    async def run(self) -> None:
        """Ask for commands and obey them, for ever."""
        try:
            while True:
                wait_s = await self._ask_once_s()
                await self._expire()
                await asyncio.sleep(wait_s)
        finally:
            await self._end()

    async def _ask_once_s(self) -> float:
        """One request, and what follows from it. Returns how long to wait before the next."""
        began_ns = time.monotonic_ns()
        try:
            answer = await self._request(
                "GET", POLL_PATH, None, self._named(), timeout_s=POLL_TIMEOUT_S
            )
        except OSError:
            return self._backoff.wait_s()
        if answer.status == 200:
            self._backoff.succeeded()
            await self._obey(answer.body)
            return 0.0
        if answer.status == 204 and time.monotonic_ns() - began_ns > QUICK_S * 1e9:
            self._backoff.succeeded()
            return 0.0
        return self._refused_wait_s(answer)

    def _named(self) -> dict[str, str]:
        """The header that says who asks or answers, once."""
        self._number += 1
        identity = self._identity
        poll = seal_poll(identity.signer, identity.node, identity.log.keys.newest, self._number)
        return {POLL_HEADER: poll}

    def _refused_wait_s(self, answer: HttpAnswer) -> float:
        self._number = max(self._number, _expected(answer))
        if answer.status in (401, 403, 404):
            return self._backoff.wait_s(SLOW_S)
        return self._backoff.wait_s(float(answer.retry_after_s or 0))

    async def _obey(self, command: bytes) -> None:
        """A command, and whichever follow in the replies to its answers."""
        following: bytes | None = command
        while following is not None:
            following = await self._obeyed(following)

    async def _obeyed(self, command: bytes) -> bytes | None:
        try:
            envelope = open_envelope(command)
            verify(envelope, self._identity.log.keys.newest)
            if envelope.payload_type == ATTESTATION_TYPE:
                await self._show(read(AttestationAsked, envelope.payload))
                return None
            if envelope.payload_type != PAYLOAD_TYPE:
                raise Malformed(f"no command is a {envelope.payload_type}")
            message = decode_message(envelope.payload)
        except (SignatureError, Malformed, WireError) as error:
            log.error("a command is not obeyed: %s", error)
            return None
        self._receipts.keep(command)
        following: bytes | None = None
        match message:
            case Prepare() if message.agent_key == self._identity.signer.public_key:
                following = await self._prepare(message)
            case Release() if self._is_current(message.challenge):
                self._drawn(message.nonce)
                following = await self._pass_on(message, "roots")
            case Reveal() if self._is_current(message.challenge):
                self._require_committed(message)
                following = await self._pass_on(message, "openings")
                await self._end()
            case _:
                log.warning("a command has no place here: %s", type(message).__name__)
        return following

    def _drawn(self, nonce: bytes) -> None:
        if self._session is not None:
            self._session.nonces.append(nonce)

    def _require_committed(self, reveal: Reveal) -> None:
        """What was released and is revealed must open what the log held before; else both are kept, and it is said."""
        session = self._session
        if session is None or not session.request.precommitment:
            return
        request = session.request
        drawn = precommitment(session.nonces, reveal.secret, request.contract, request.policy)
        if drawn != request.precommitment:
            log.error("%s: not what the collector had committed to", reveal.challenge)

    async def _show(self, asked: AttestationAsked) -> None:
        """The driver's evidence for the nonce, signed. It costs a tenant nothing, so nobody's consent is asked."""
        if asked.key_id != self._identity.signer.key_id:
            log.warning("a question to another key has no place here")
            return
        evidence = await self._attest(asked.device, asked.nonce)
        answer = AttestationAnswered(
            id=asked.id,
            contract=asked.contract,
            node=asked.node,
            device=asked.device,
            architecture=evidence.architecture,
            report=evidence.report,
            chain=evidence.chain,
            reason=evidence.reason,
        )
        sealed = self._identity.signer.seal(ATTESTATION_TYPE, encode(answer))
        await self._deliver(evidence_path(asked.id), sealed, EVIDENCE_S)

    def _is_current(self, challenge: str) -> bool:
        return self._session is not None and self._session.request.challenge == challenge

    async def _prepare(self, request: Prepare) -> bytes | None:
        await self._end()
        answer = await self._started(request)
        return await self._answer(request, "ready", answer)

    async def _started(self, request: Prepare) -> bytes:
        """The prober's own answer, or why there is none."""
        if self._probing.open_prober is None:
            return encode_message(Decline(request.challenge, NO_CONSENT, "probe is off"))
        grant = self._probing.grant(request, self._probing.budget.left_ms(self._wall_us()))
        declined = refusal(grant, request)
        if declined is not None:
            return encode_message(declined)
        try:
            prober = await self._probing.open_prober(grant)
        except NoProber as error:
            return encode_message(Decline(request.challenge, UNSUPPORTED, str(error)))
        self._session = Session(request, prober, time.monotonic_ns())
        return await self._asked(request)

    async def _asked(self, message: Prepare | Release | Reveal) -> bytes:
        session = self._session
        if session is None:
            raise RuntimeError("no prober is open")
        try:
            answer = await session.prober.ask(encode_message(message), session.deadline_s)
            declined = isinstance(decode_message(answer), Decline)
        except (NoProber, Malformed) as error:
            await self._end()
            return encode_message(Decline(message.challenge, INTERRUPTED, str(error)))
        if declined:
            await self._end()
        return answer

    async def _pass_on(self, message: Release | Reveal, step: str) -> bytes | None:
        session = self._session
        if session is None:
            return None
        answer = self._seen_again(session.request, await self._asked(message))
        return await self._answer(session.request, step, answer)

    def _seen_again(self, request: Prepare, answer: bytes) -> bytes:
        """Roots, with the GPUs on which somebody else is now. It is on record, and excuses nothing by itself."""
        message = decode_message(answer)
        others = self._probing.look(request.gpus) if isinstance(message, Roots) else ()
        if not isinstance(message, Roots) or not others:
            return answer
        return encode_message(replace(message, in_use=others))

    async def _answer(self, request: Prepare, step: str, payload: bytes) -> bytes | None:
        """Returns the command that follows, if the reply has one."""
        sealed = self._identity.signer.seal(PAYLOAD_TYPE, payload)
        path = answer_path(request.challenge, step)
        taken = await self._deliver(path, sealed, request.policy.deadline_ms / 1000)
        return None if taken is None else self._acknowledged(taken.body, sealed)

    async def _deliver(self, path: str, sealed: bytes, seconds: float) -> HttpAnswer | None:
        """Again until it is taken or its time is up: then it is lost, and the collector's clock decides."""
        body = compress(sealed)
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0:
            taken = await self._delivered(path, body, left_s)
            if not isinstance(taken, float):
                return taken
            await asyncio.sleep(taken)
        return None

    def _acknowledged(self, reply: bytes, envelope: bytes) -> bytes | None:
        """Keeps the receipt, if it is one for this answer; the command that follows is looked at like any other."""
        try:
            told = json.loads(reply)
            receipt, following = str(told["receipt"]).encode(), told["command"]
            command = following.encode("ascii") if isinstance(following, str) else None
            opened = open_envelope(receipt)
            verify(opened, self._identity.log.keys.newest)
            message = decode_message(opened.payload)
        except (SignatureError, ValueError, KeyError, TypeError, RecursionError) as error:
            log.error("an answer has no receipt: %s", error)
            return None
        if not isinstance(message, Receipt) or message.answer != hashlib.sha256(envelope).digest():
            log.error("%s: the receipt is for another answer", message.challenge)
        self._receipts.keep(receipt)
        return command

    async def _delivered(self, path: str, body: bytes, left_s: float) -> HttpAnswer | float | None:
        """The reply where it was taken; None where it never will be; else how long to wait before the next try."""
        headers = self._named() | {"Content-Encoding": "zstd"}
        try:
            answer = await self._request("POST", path, body, headers, timeout_s=left_s)
        except OSError as error:
            log.warning("%s is not delivered: %s", path, error)
            return self._backoff.wait_s()
        if answer.status == 200:
            return answer
        log.warning("%s is refused: %d %s", path, answer.status, answer.body[:200])
        self._number = max(self._number, _expected(answer))
        if answer.status in (409, 503):
            return self._backoff.wait_s(float(answer.retry_after_s or 0))
        return None

    async def _expire(self) -> None:
        """Ends a prober that was asked nothing for longer than its session allows."""
        session = self._session
        if session is not None and self._age_ms(session) > session.idle_s * 1000:
            await self._end()

    async def _end(self) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        await session.prober.end()
        try:
            self._probing.budget.spend(self._wall_us(), self._age_ms(session))
        except OSError as error:
            log.error("the prober's time cannot be kept: %s", error.strerror)

    def _age_ms(self, session: Session) -> int:
        return (time.monotonic_ns() - session.began_ns) // 1_000_000
