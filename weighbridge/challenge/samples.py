"""Which cells are checked, what they must equal, and where the openings of one GPU's phase begin and end.

A cell of the chain is a (round, row); a cell of a pass is a (pass, block of 8 rows of a kept product).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from weighbridge.challenge.commitment import (
    BLOCK_GROUP,
    ROW_GROUP,
    BadOpening,
    opened_leaf,
    opening_bytes,
)
from weighbridge.challenge.derivation import (
    chained_keys,
    chained_pass_keys,
    digest_key,
    gpu_seed,
    sampled_cells,
    split_roots,
)
from weighbridge.challenge.policy import BLOCK_ROWS, CHAIN, FREIVALDS, MEMORY, Policy


@dataclass(frozen=True, slots=True)
class PhaseShape:
    """One phase in numbers: `steps` roots over `leaves` leaves of `width` bytes in groups; `samples` are opened."""

    steps: int
    leaves: int
    width: int
    samples: int
    row_bytes: int
    group: int

    @property
    def cells(self) -> int:
        """How many cells samples are drawn from."""
        return self.steps * self.leaves


def phase_shape(policy: Policy, phase: str) -> PhaseShape:
    """The numbers of a phase under a policy."""
    if phase == CHAIN:
        row = 4 * policy.size if policy.check == FREIVALDS else 0
        return PhaseShape(
            policy.rounds, policy.size, policy.leaf_bytes, policy.samples, row, ROW_GROUP
        )
    if phase == MEMORY:
        leaves = policy.tiles * policy.tile_blocks
        return PhaseShape(policy.memory_passes, leaves, 8, policy.memory_samples, 0, BLOCK_GROUP)
    leaves = policy.peer_tiles * policy.tile_blocks
    return PhaseShape(policy.peer_passes, leaves, 8, policy.peer_samples, 0, BLOCK_GROUP)


def peer_of(place: int, step: int, gpus: int) -> int:
    """Whose memory GPU `place` reads in a peer pass: the next one, then the one after, round and round."""
    return (place + 1 + step % (gpus - 1)) % gpus


def first_peer_tile(policy: Policy, step: int, gpus: int) -> int:
    """Where a peer pass begins: a window further each time that every peer has been read."""
    return policy.peer_tiles * (step // (gpus - 1))


@dataclass(frozen=True, slots=True)
class Committed:
    """All that fixes the samples of a node: known to both sides once the secret is revealed."""

    contract: str
    agent_key: bytes
    gpus: tuple[str, ...]
    policy: Policy
    nonces: tuple[bytes, ...]
    secret: bytes
    roots: tuple[tuple[bytes, ...], ...]
    """Per phase, per GPU: the roots one after the other."""

    @property
    def phases(self) -> tuple[str, ...]:
        """The phases' names in order."""
        return self.policy.phases(len(self.gpus))

    def seed(self, phase: int, place: int) -> bytes:
        """One GPU's seed in one phase."""
        nonce = self.nonces[phase]
        return gpu_seed(nonce, self.contract, self.agent_key, self.gpus, place, self.policy)

    def round_keys(self, place: int) -> list[bytes]:
        """The keys of one GPU's rounds."""
        return chained_keys(self.seed(0, place), split_roots(self.roots[0][place]))

    def cells(self, phase: int, place: int) -> tuple[int, ...]:
        """The sampled cells of one GPU's phase."""
        name, roots = self.phases[phase], self.roots[phase][place]
        shape = phase_shape(self.policy, name)
        chosen = (self.secret, self.agent_key, self.gpus[place], name, roots)
        return sampled_cells(*chosen, shape.samples, shape.cells)


@dataclass(frozen=True, slots=True)
class Sample:
    """One cell to recompute. `leaf` is what was committed (None: the opening did not hold)."""

    place: int
    phase: str
    rows: tuple[tuple[bytes, int], ...]
    key: bytes
    leaf: bytes | None
    row: bytes


def samples_of(committed: Committed, openings: Sequence[Sequence[bytes]]) -> list[Sample]:
    """Every sample of every GPU, in order."""
    found: list[Sample] = []
    round_keys = [committed.round_keys(place) for place in range(len(committed.gpus))]
    for place in range(len(committed.gpus)):
        for phase in range(len(committed.phases)):
            opening = openings[place][phase]
            found += _phase_samples(committed, round_keys, phase, place, opening)
    return found


def _phase_samples(
    committed: Committed, round_keys: list[list[bytes]], phase: int, place: int, opening: bytes
) -> list[Sample]:
    name = committed.phases[phase]
    shape = phase_shape(committed.policy, name)
    roots = split_roots(committed.roots[phase][place])
    pass_keys = chained_pass_keys(committed.seed(phase, place), roots)
    found, start = [], 0
    for cell in committed.cells(phase, place):
        step, index = divmod(cell, shape.leaves)
        middle = start + opening_bytes(shape.leaves, shape.width, index, shape.group)
        end = middle + shape.row_bytes
        leaf = _leaf(roots[step], shape, index, opening[start:middle])
        if name == CHAIN:
            key = round_keys[place][step]
            rows: tuple[tuple[bytes, int], ...] = ((key, index),)
            digested_by = digest_key(key)
        else:
            rows = _block_rows(committed, round_keys, name, place, step, index)
            digested_by = pass_keys[step]
        found.append(Sample(place, name, rows, digested_by, leaf, opening[middle:end]))
        start = end
    return found


def _leaf(root: bytes, shape: PhaseShape, index: int, opening: bytes) -> bytes | None:
    try:
        return opened_leaf(root, shape.leaves, shape.width, index, opening, shape.group)
    except BadOpening:
        return None


def _block_rows(
    committed: Committed,
    round_keys: list[list[bytes]],
    phase: str,
    place: int,
    step: int,
    index: int,
) -> tuple[tuple[bytes, int], ...]:
    """The product rows under a block of a pass, in the GPU's own memory or a peer's."""
    policy, gpus = committed.policy, len(committed.gpus)
    own = phase == MEMORY
    owner = place if own else peer_of(place, step, gpus)
    first = 0 if own else first_peer_tile(policy, step, gpus)
    tile, block = divmod(index, policy.tile_blocks)
    key = round_keys[owner][first + tile]
    return tuple((key, BLOCK_ROWS * block + row) for row in range(BLOCK_ROWS))
