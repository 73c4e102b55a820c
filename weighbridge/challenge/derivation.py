"""Keys: who knows what when.

Every key follows from a nonce that the verifier pre-committed and from roots that the prover committed, so neither side
chooses one. Seeds hold the contract, the agent's key, the GPU's UUID and place, and the policy: an answer made for one
of them is noise for any other.
"""

from collections.abc import Sequence

from weighbridge.challenge.hashing import HASH_BYTES, fields_hash, number, text
from weighbridge.challenge.keystream import draw_indices
from weighbridge.challenge.policy import Policy

NO_ROOT = bytes(HASH_BYTES)
"""Stands for the root before the first round."""


def precommitment(nonces: Sequence[bytes], secret: bytes, contract: str, policy: Policy) -> bytes:
    """H(N|S|contract|policy): logged before the first nonce leaves the verifier."""
    return fields_hash("precommitment", *nonces, secret, text(contract), policy.digest)


def b_key(nonce: bytes, contract: str, policy: Policy) -> bytes:
    """The key of B, one for all GPUs of a contract that share the nonce."""
    shape = (text(policy.profile), number(policy.size))
    return fields_hash("B", nonce, text(contract), *shape)


def gpu_seed(
    nonce: bytes, contract: str, agent_key: bytes, gpus: Sequence[str], place: int, policy: Policy
) -> bytes:
    """What one GPU's phase starts from."""
    identity = (text(contract), agent_key, text(gpus[place]), number(place))
    return fields_hash("A", nonce, *identity, policy.digest)


def round_key(seed: bytes, index: int, previous_root: bytes) -> bytes:
    """The key of A in round `index` (from 0): unknown until the round before has its root."""
    return fields_hash("round", seed, number(index), previous_root)


def digest_key(key: bytes) -> bytes:
    """The key of the column keys that a round's row digests use."""
    return fields_hash("D", key)


def pass_key(seed: bytes, index: int, previous_root: bytes) -> bytes:
    """The key of a memory or peer pass, chained like the rounds."""
    return fields_hash("pass", seed, number(index), previous_root)


def chained_keys(seed: bytes, roots: Sequence[bytes]) -> list[bytes]:
    """The round keys that belong to these roots."""
    return [round_key(seed, t, before) for t, before in enumerate((NO_ROOT, *roots[:-1]))]


def chained_pass_keys(seed: bytes, roots: Sequence[bytes]) -> list[bytes]:
    """The pass keys that belong to these roots."""
    return [pass_key(seed, p, before) for p, before in enumerate((NO_ROOT, *roots[:-1]))]


def sampled_cells(
    secret: bytes, agent_key: bytes, gpu: str, phase: str, roots: bytes, count: int, cells: int
) -> tuple[int, ...]:
    """Which cells are opened. The verifier fixed S before the roots, the prover the roots before it saw S."""
    key = fields_hash("samples", secret, agent_key, text(gpu), text(phase), roots)
    return draw_indices(key, count, cells)


def vector_key(secret: bytes, roots_of_all: Sequence[bytes]) -> bytes:
    """The key of the Freivalds vector, one for all GPUs of the node; it follows from every root."""
    return fields_hash("vector", secret, *roots_of_all)


def split_roots(roots: bytes) -> list[bytes]:
    """Roots that travel as one string of bytes."""
    return [roots[start : start + HASH_BYTES] for start in range(0, len(roots), HASH_BYTES)]
