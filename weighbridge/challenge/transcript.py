"""The record of one attempt: everything said and timed. `judgement.py` says what it means."""

from dataclasses import dataclass
from typing import TypeVar

from weighbridge.challenge.codec import Malformed, decode, encode, later
from weighbridge.challenge.hashing import HASH_BYTES
from weighbridge.challenge.messages import (
    PAYLOAD_TYPE,
    Decline,
    Openings,
    Ready,
    Roots,
    decode_message,
)
from weighbridge.challenge.policy import Policy
from weighbridge.challenge.samples import phase_shape
from weighbridge.challenge.verdict import Attempt
from weighbridge.wire.signing import open_envelope, verify

Answer = TypeVar("Answer", Ready, Decline, Roots, Openings)


@dataclass(frozen=True, slots=True)
class PhaseRecord:
    """One phase: the verifier's instants (CLOCK_BOOTTIME), and the signed Roots. None: did not happen."""

    released_ns: int | None
    received_ns: int | None
    roots: str | None

    def __post_init__(self) -> None:
        if self.roots is not None and self.elapsed_ns <= 0:
            raise ValueError("roots without a time, or before their release")

    @property
    def elapsed_ns(self) -> int:
        """T: from just before the release was sent until the roots had arrived; 0 where either is missing."""
        if self.released_ns is None or self.received_ns is None:
            return 0
        return self.received_ns - self.released_ns


@dataclass(frozen=True, slots=True)
class Transcript:
    """Everything said and timed in one attempt.

    `ready`, `decline`, `openings` and each phase's `roots`: the prover's signed envelopes, as text.
    `round_trip_ns`: the shortest time in which a word went to the prover and back before the first release; 0: none was
    measured. `stood_still_ns`: the longest time for which the verifier itself did nothing from then on.
    """

    challenge: str
    contract: str
    agent_key: bytes
    gpus: tuple[str, ...]
    policy: Policy
    precommitment: bytes
    nonces: tuple[bytes, ...]
    secret: bytes
    ready: str | None
    decline: str | None
    phases: tuple[PhaseRecord, ...]
    openings: str | None
    earlier: tuple[Attempt, ...] = ()
    version: int = 1
    round_trip_ns: int = later(0)
    stood_still_ns: int = later(0)

    def __post_init__(self) -> None:
        self.policy.require_fit(len(self.gpus))
        names = self.policy.phases(len(self.gpus))
        if self.version != 1 or not self.gpus or len(set(self.gpus)) != len(self.gpus):
            raise ValueError("version 1 and distinct GPUs are needed")
        if len(self.nonces) != len(names) or len(self.phases) != len(names):
            raise ValueError("one nonce and one record for each phase are needed")

    def encode(self) -> bytes:
        """Canonical JSON."""
        return encode(self)


def decode_transcript(data: bytes) -> Transcript:
    """Raises Malformed."""
    return decode(Transcript, data)


def prover_message(
    envelope: bytes, agent_key: bytes, challenge: str
) -> Ready | Decline | Roots | Openings:
    """The message in an envelope of this agent for this challenge. Raises Malformed or SignatureError."""
    opened = open_envelope(envelope)
    if opened.payload_type != PAYLOAD_TYPE:
        raise Malformed("not a message of a challenge")
    verify(opened, agent_key)
    message = decode_message(opened.payload)
    if not isinstance(message, (Ready, Decline, Roots, Openings)) or message.challenge != challenge:
        raise Malformed("not an answer in this challenge")
    return message


def recorded(transcript: Transcript, envelope: str | None, kind: type[Answer]) -> Answer | None:
    """The message of this kind in a recorded envelope. Raises Malformed or SignatureError."""
    if envelope is None:
        return None
    message = prover_message(envelope.encode(), transcript.agent_key, transcript.challenge)
    if not isinstance(message, kind):
        raise Malformed(f"not {kind.__name__}")
    return message


def require_roots(message: Roots, phase: str, policy: Policy, gpus: int) -> None:
    """Raises Malformed unless these are the roots of this phase, as many as it has steps and GPUs."""
    expected = HASH_BYTES * phase_shape(policy, phase).steps
    if message.phase != phase or message.ended_ns < message.began_ns:
        raise Malformed("not the roots of this phase")
    if [len(roots) for roots in message.roots] != [expected] * gpus:
        raise Malformed("not one root for each step of each GPU")


def require_openings(message: Openings, policy: Policy, gpus: int) -> None:
    """Raises Malformed unless there is an opening for each phase of each GPU."""
    if [len(phases) for phases in message.openings] != [len(policy.phases(gpus))] * gpus:
        raise Malformed("not one list of openings for each phase of each GPU")
