"""How large the signed answers of a prover can be under a policy: a verifier takes exactly so much, and no more.

A policy whose answers could not be taken is refused before anything is asked of anybody.
"""

from weighbridge.challenge.hashing import HASH_BYTES
from weighbridge.challenge.policy import Policy, PolicyError
from weighbridge.challenge.samples import phase_shape

LARGEST_ANSWER_BYTES = 72 << 20
"""What one answer may weigh. Openings of 64 whole rows at n = 16384 on each of 8 GPUs are 64 MiB."""

STATEMENT_BYTES = 256 << 10
"""Bytes that the facts of a host may take in Ready and Decline."""

AROUND_BYTES = 1024
"""Bytes of an envelope beside its payload: names, type and signature."""


UUID_BYTES = 64
"""Bytes of a GPU's name in a message."""


def largest_roots(policy: Policy, phase: str, gpus: int) -> int:
    """Bytes of the envelope with the roots of a phase, at most. A Decline may come in its place."""
    roots = HASH_BYTES * phase_shape(policy, phase).steps
    return max(STATEMENT_BYTES, _sealed(gpus * (_text(roots) + UUID_BYTES)))


def largest_openings(policy: Policy, gpus: int) -> int:
    """Bytes of the envelope with all openings, at most."""
    phases = policy.phases(gpus)
    return _sealed(gpus * (2 + sum(_text(_opened(policy, phase)) for phase in phases)))


def require_deliverable(policy: Policy, gpus: int) -> None:
    """Raises PolicyError where an honest answer of a node with so many GPUs would be refused for its size."""
    sizes = {f"the roots of {phase}": phase for phase in policy.phases(gpus)}
    largest = {what: largest_roots(policy, phase, gpus) for what, phase in sizes.items()}
    largest["the openings"] = largest_openings(policy, gpus)
    for what, size in largest.items():
        if size > LARGEST_ANSWER_BYTES:
            raise PolicyError(
                f"{what} of {gpus} GPUs would be {size} bytes, and {LARGEST_ANSWER_BYTES} are taken:"
                f" ask for fewer {'samples' if what == 'the openings' else 'rounds or passes'}"
            )


def _opened(policy: Policy, phase: str) -> int:
    shape = phase_shape(policy, phase)
    return shape.samples * shape.largest_opening


def _text(size: int) -> int:
    """Bytes as an item of a list: base64, quotes and a comma."""
    return 4 * -(-size // 3) + 3


def _sealed(items: int) -> int:
    """An envelope around a payload, which is base64 once more."""
    return AROUND_BYTES + 4 * -(-(items + AROUND_BYTES) // 3)
