"""What travels between verifier and prover. `encode_message` and `decode_message` are exact inverses.

Verifier to prover: Prepare, Release, Reveal. Prover to verifier: Ready or Decline, Roots, Openings.
Times are integers in nanoseconds of the sender's clock since it was started: the verifier's is CLOCK_BOOTTIME, which
counts suspended time, so that to be suspended raises no bound; the prover's is CLOCK_MONOTONIC.
"""

import json
from dataclasses import dataclass
from typing import Any

from weighbridge.challenge.codec import Malformed, encode, later, respelled
from weighbridge.challenge.policy import Policy

PAYLOAD_TYPE = "application/vnd.weighbridge.challenge+json"
"""The DSSE payload type of a signed message of the prover."""

BUSY = "busy"
NO_CONSENT = "no_consent"
NO_BUDGET = "no_budget"
NO_MEMORY = "no_memory"
UNSUPPORTED = "unsupported"
INTERRUPTED = "interrupted"
MOST_PARTS = 1 << 16
"""Items, lists and objects of one message. Byte strings are large, never many; small parts, read, are many times their
bytes.
"""

DECLINE_REASONS = (BUSY, NO_CONSENT, NO_BUDGET, NO_MEMORY, UNSUPPORTED, INTERRUPTED)


@dataclass(frozen=True, slots=True)
class Prepare:
    """Make ready, untimed. `gpus`: UUIDs in the order that all later lists follow.

    `precommitment` is what the log holds at the index `committed_at`; what is released and revealed must open it.
    """

    challenge: str
    contract: str
    agent_key: bytes
    gpus: tuple[str, ...]
    policy: Policy
    type: str = "prepare"
    precommitment: bytes = later(b"")
    committed_at: int = later(-1)

    def __post_init__(self) -> None:
        self.policy.require_fit(len(self.gpus))


@dataclass(frozen=True, slots=True)
class HostFact:
    """One statement of the host about itself (level E0): recorded, and without a say in the verdict."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Ready:
    """Allocated, compiled, warm. `program`: SHA-256 of the kernels' source."""

    challenge: str
    program: bytes
    monotonic_ns: int
    facts: tuple[HostFact, ...] = ()
    type: str = "ready"


@dataclass(frozen=True, slots=True)
class Decline:
    """No assessment, before or during the run. `reason` is one of DECLINE_REASONS."""

    challenge: str
    reason: str
    detail: str = ""
    type: str = "decline"

    def __post_init__(self) -> None:
        if self.reason not in DECLINE_REASONS:
            raise Malformed(f"reason {self.reason!r} is none of {', '.join(DECLINE_REASONS)}")


@dataclass(frozen=True, slots=True)
class Release:
    """Starts a phase. The nonce is fresh: nothing of the phase can be computed before it comes."""

    challenge: str
    phase: str
    nonce: bytes
    type: str = "release"


@dataclass(frozen=True, slots=True)
class Roots:
    """Commits to a phase: per GPU, its roots one after the other (32 bytes each).

    `in_use`: GPUs of the request on which somebody else worked when the agent looked again, before it signed.
    """

    challenge: str
    phase: str
    began_ns: int
    ended_ns: int
    roots: tuple[bytes, ...]
    type: str = "roots"
    in_use: tuple[str, ...] = later(())


@dataclass(frozen=True, slots=True)
class Reveal:
    """The sample secret, after the last phase has been committed."""

    challenge: str
    secret: bytes
    type: str = "reveal"


@dataclass(frozen=True, slots=True)
class Openings:
    """Per GPU, per phase: the sampled openings one after the other (layout: `openings.py`)."""

    challenge: str
    openings: tuple[tuple[bytes, ...], ...]
    type: str = "openings"


@dataclass(frozen=True, slots=True)
class Receipt:
    """The verifier's word for an answer, which the agent keeps: `answer` is the SHA-256 of its envelope.

    `said_ns` and `received_ns` are the verifier's instants, as the outcome will have them; `entered_at` is where the
    answer stands in the log, `at_us` the verifier's wall clock.
    """

    challenge: str
    step: str
    answer: bytes
    said_ns: int
    received_ns: int
    entered_at: int
    at_us: int
    type: str = "receipt"


Message = Prepare | Ready | Decline | Release | Roots | Reveal | Openings | Receipt
_KINDS: dict[str, type[Message]] = {
    "prepare": Prepare,
    "ready": Ready,
    "decline": Decline,
    "release": Release,
    "roots": Roots,
    "reveal": Reveal,
    "openings": Openings,
    "receipt": Receipt,
}


def encode_message(message: Message) -> bytes:
    """Canonical JSON."""
    return encode(message)


def decode_message(data: bytes) -> Message:
    """Raises Malformed for anything that `encode_message` could not have made."""
    if sum(data.count(mark) for mark in (b",", b"[", b"{")) > MOST_PARTS:
        raise Malformed("too many parts for a message of the challenge")
    try:
        plain: Any = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Malformed("not JSON") from error
    name = plain.get("type") if isinstance(plain, dict) else None
    if not isinstance(name, str) or name not in _KINDS:
        raise Malformed("no message of the challenge")
    return respelled(_KINDS[name], plain, data)
