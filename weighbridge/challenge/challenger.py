"""The verifier's side as a state machine: bytes and instants in, bytes out, with no clock, network or randomness."""

from collections.abc import Callable
from dataclasses import dataclass, field

from weighbridge.challenge.codec import Malformed
from weighbridge.challenge.derivation import precommitment
from weighbridge.challenge.judgement import judge
from weighbridge.challenge.messages import (
    Decline,
    Openings,
    Prepare,
    Ready,
    Release,
    Reveal,
    Roots,
    encode_message,
)
from weighbridge.challenge.policy import Policy
from weighbridge.challenge.sizes import STATEMENT_BYTES, largest_openings, largest_roots
from weighbridge.challenge.transcript import (
    PhaseRecord,
    Transcript,
    prover_message,
    require_openings,
    require_roots,
)
from weighbridge.challenge.verdict import Attempt, AttemptResult

SECRET_BYTES = 32

Answer = Ready | Decline | Roots | Openings


@dataclass(frozen=True, slots=True)
class AttemptPlan:
    """One attempt at one node. Hosts of a group share `nonces`; `secret` belongs to one attempt alone.

    A secret shared by two hosts would tell the slower one its samples before it has committed.
    """

    challenge: str
    contract: str
    agent_key: bytes
    gpus: tuple[str, ...]
    policy: Policy
    nonces: tuple[bytes, ...]
    secret: bytes
    earlier: tuple[Attempt, ...] = ()

    def __post_init__(self) -> None:
        self.policy.require_fit(len(self.gpus))
        drawn = (*self.nonces, self.secret)
        if len(self.nonces) != len(self.phases) or {len(value) for value in drawn} != {
            SECRET_BYTES
        }:
            raise ValueError("32 bytes for each phase's nonce and for the secret are needed")

    @property
    def phases(self) -> tuple[str, ...]:
        """The phases of the plan, in order."""
        return self.policy.phases(len(self.gpus))

    @property
    def precommitment(self) -> bytes:
        """What the log must hold before the first release is sent."""
        return precommitment(self.nonces, self.secret, self.contract, self.policy)


def draw_nonces(
    policy: Policy, gpus: int, random_bytes: Callable[[int], bytes]
) -> tuple[bytes, ...]:
    """A nonce for each phase."""
    return tuple(random_bytes(SECRET_BYTES) for _ in policy.phases(gpus))


@dataclass(slots=True)
class Challenger:
    """The verifier's side of one attempt.

    Send what `next_message` returns, hand every answer to `receive`, and call `give_up` when one is overdue, until
    `finished`. The pre-commitment must be durable before the message after Ready is asked for. A prover that names
    another program than the requirements are of is not released.

    `committed_at` is where the log holds the commitment. `round_trip_ns` and `stood_still_ns` are those of the
    transcript, set by whoever sends.
    """

    plan: AttemptPlan
    _ready: bytes | None = None
    _decline: bytes | None = None
    _released: list[int] = field(default_factory=list)
    _roots: list[tuple[int, bytes]] = field(default_factory=list)
    _revealed_ns: int | None = None
    _openings: bytes | None = None
    _prepared_ns: int | None = None
    _gave_up: bool = False
    _other_program: bool = False
    committed_at: int = -1
    round_trip_ns: int = 0
    stood_still_ns: int = 0

    @property
    def asked(self) -> bool:
        """Whether Prepare has been answered: what is said from then on is entered in the log."""
        return self._ready is not None

    @property
    def released(self) -> bool:
        """Whether the first phase has been released: from then on all time is the prover's, or the way's."""
        return bool(self._released)

    @property
    def finished(self) -> bool:
        """Whether the exchange has ended."""
        return (
            self._gave_up
            or self._decline is not None
            or self._openings is not None
            or self._other_program
        )

    @property
    def waiting_since_ns(self) -> int | None:
        """When the message was sent that awaits its answer; None while it is this side's turn, or at the end."""
        if self.finished:
            return None
        if self._revealed_ns is not None:
            return self._revealed_ns
        if self._ready is None:
            return self._prepared_ns
        return self._released[-1] if len(self._released) > len(self._roots) else None

    @property
    def largest_answer(self) -> int:
        """Bytes that the awaited answer may have, sealed; 0 while none is awaited."""
        if self.waiting_since_ns is None:
            return 0
        if self._ready is None:
            return STATEMENT_BYTES
        if self._revealed_ns is not None:
            return largest_openings(self.plan.policy, len(self.plan.gpus))
        phase = self.plan.phases[len(self._roots)]
        return largest_roots(self.plan.policy, phase, len(self.plan.gpus))

    def next_message(self, now_ns: int) -> bytes:
        """The message to send at once. `now_ns` is read before sending: a later arrival only lowers the bounds."""
        if self.finished or self.waiting_since_ns is not None:
            raise RuntimeError("it is the prover's turn, or nobody's")
        plan = self.plan
        if self._ready is None:
            self._prepared_ns = now_ns
            asked = (plan.challenge, plan.contract, plan.agent_key, plan.gpus, plan.policy)
            where = self.committed_at
            committed = plan.precommitment if where >= 0 else b""
            return encode_message(Prepare(*asked, precommitment=committed, committed_at=where))
        if len(self._roots) < len(plan.phases):
            index = len(self._roots)
            self._released.append(now_ns)
            release = Release(plan.challenge, plan.phases[index], plan.nonces[index])
            return encode_message(release)
        self._revealed_ns = now_ns
        return encode_message(Reveal(plan.challenge, plan.secret))

    def receive(self, envelope: bytes, now_ns: int) -> None:
        """An answer of the prover. Raises Malformed or SignatureError, and then nothing has changed."""
        self.accept(self.read(envelope), envelope, now_ns)

    def read(self, envelope: bytes) -> Answer:
        """What an answer says. Changes nothing, so it may run beside everything else. Raises as `receive` does."""
        return prover_message(envelope, self.plan.agent_key, self.plan.challenge)

    def accept(self, message: Answer, envelope: bytes, now_ns: int) -> None:
        """An answer that was read. Raises Malformed, and then nothing has changed."""
        if self.waiting_since_ns is None:
            raise Malformed("no answer is expected")
        match message:
            case Ready() if self._ready is None:
                self._ready = envelope
                self._other_program = self.plan.policy.program not in ("", message.program.hex())
            case Decline():
                self._accept_decline(envelope)
            case Roots() if self._ready is not None and self._revealed_ns is None:
                self._accept_roots(message, envelope, now_ns)
            case Openings() if self._revealed_ns is not None:
                require_openings(message, self.plan.policy, len(self.plan.gpus))
                self._openings = envelope
            case _:
                raise Malformed("not the answer that is expected")

    def _accept_decline(self, envelope: bytes) -> None:
        if self._revealed_ns is not None:
            raise Malformed("too late to decline: the samples are known")
        self._decline = envelope

    def _accept_roots(self, message: Roots, envelope: bytes, now_ns: int) -> None:
        phase = self.plan.phases[len(self._roots)]
        require_roots(message, phase, self.plan.policy, len(self.plan.gpus))
        self._roots.append((now_ns, envelope))

    def give_up(self) -> None:
        """Ends the exchange: the awaited answer will not come."""
        self._gave_up = True

    def transcript(self) -> Transcript:
        """The record so far. It holds the secret: only a finished attempt's record may leave the verifier."""
        plan = self.plan
        return Transcript(
            challenge=plan.challenge,
            contract=plan.contract,
            agent_key=plan.agent_key,
            gpus=plan.gpus,
            policy=plan.policy,
            precommitment=plan.precommitment,
            nonces=plan.nonces,
            secret=plan.secret,
            ready=_text(self._ready),
            decline=_text(self._decline),
            phases=tuple(self._phase_record(index) for index in range(len(plan.phases))),
            openings=_text(self._openings),
            earlier=plan.earlier,
            round_trip_ns=self.round_trip_ns,
            stood_still_ns=self.stood_still_ns,
        )

    def _phase_record(self, index: int) -> PhaseRecord:
        released = self._released[index] if index < len(self._released) else None
        if index < len(self._roots):
            received, envelope = self._roots[index]
            return PhaseRecord(released, received, _text(envelope))
        return PhaseRecord(released, None, None)

    def result(self) -> AttemptResult:
        """The judgement, exactly as anybody computes it from the transcript."""
        return judge(self.transcript())


def _text(envelope: bytes | None) -> str | None:
    return None if envelope is None else envelope.decode("utf-8")
