"""Which cells are checked, what they must equal, and where the openings of one GPU's phase begin and end.

A cell of the chain is a (round, row); a cell of a pass is a (pass, block of 8 rows of a kept product).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from weighbridge.challenge.commitment import (
    BLOCKS,
    LINKED_ROWS,
    ROWS,
    BadOpening,
    Grouping,
    opened_leaf,
    opening_bytes,
)
from weighbridge.challenge.derivation import (
    chained_keys,
    chained_pass_keys,
    gpu_seed,
    sampled_cells,
    split_roots,
)
from weighbridge.challenge.links import WINDOW_BYTES, Row, source_rows, window_maps
from weighbridge.challenge.policy import BLOCK_ROWS, CHAIN, FILL, FREIVALDS, MEMORY, Policy


@dataclass(frozen=True, slots=True)
class PhaseShape:
    """One phase in numbers: `steps` roots over `leaves` leaves of `width` bytes in groups; `samples` are opened.

    With an opening in the first step come `row_bytes` of the row itself; in a later one also `low_bytes`, of `links`
    rows of the step before, and an opening of each of these rows.
    """

    steps: int
    leaves: int
    width: int
    samples: int
    row_bytes: int
    group: Grouping
    links: int = 0
    low_bytes: int = 0

    @property
    def cells(self) -> int:
        """How many cells samples are drawn from."""
        return self.steps * self.leaves

    @property
    def largest_opening(self) -> int:
        """Bytes that one sample takes at most."""
        one = opening_bytes(self.leaves, self.width, 0, self.group)
        return (1 + self.links) * one + self.row_bytes + self.low_bytes


def phase_shape(policy: Policy, phase: str) -> PhaseShape:
    """The numbers of a phase under a policy."""
    if phase == CHAIN:
        row = 4 * policy.size if policy.check == FREIVALDS else 0
        links, low = (policy.links, policy.size) if policy.links > 0 else (0, 0)
        kind = LINKED_ROWS if policy.links > 0 else ROWS
        one = (policy.size, policy.leaf_bytes, policy.samples, row, kind)
        return PhaseShape(policy.rounds, *one, links, low)
    if phase == FILL:
        return PhaseShape(policy.tiles, policy.size, policy.leaf_bytes, 0, 0, LINKED_ROWS)
    if phase == MEMORY:
        leaves = policy.tiles * policy.tile_blocks
        return PhaseShape(policy.memory_passes, leaves, 8, policy.memory_samples, 0, BLOCKS)
    leaves = policy.peer_tiles * policy.tile_blocks
    return PhaseShape(policy.peer_passes, leaves, 8, policy.peer_samples, 0, BLOCKS)


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

    def tile_keys(self, place: int) -> list[bytes]:
        """The keys of the rounds whose products one GPU keeps: of the chain's first, or of a phase of their own."""
        if FILL not in self.phases:
            return self.round_keys(place)
        phase = self.phases.index(FILL)
        return chained_keys(self.seed(phase, place), split_roots(self.roots[phase][place]))

    def cells(self, phase: int, place: int) -> tuple[int, ...]:
        """The sampled cells of one GPU's phase."""
        name, roots = self.phases[phase], self.roots[phase][place]
        shape = phase_shape(self.policy, name)
        chosen = (self.secret, self.agent_key, self.gpus[place], name, roots)
        return sampled_cells(*chosen, shape.samples, shape.cells)


@dataclass(frozen=True, slots=True)
class Taken:
    """What a row says it took of the round before: low bytes, and what that round (of this key) committed of each
    window of them.
    """

    key: bytes
    low: bytes
    digests: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """One cell to recompute. `leaf` is what was committed (None: an opening did not hold).

    `key`: of the round or pass. `row`: what was opened of the row itself. `taken`: None in an unlinked round.
    """

    place: int
    phase: str
    rows: tuple[Row, ...]
    key: bytes
    leaf: bytes | None
    row: bytes = b""
    taken: Taken | None = None


def samples_of(committed: Committed, openings: Sequence[Sequence[bytes]]) -> list[Sample]:
    """Every sample of every GPU, in order."""
    places = range(len(committed.gpus))
    tile_keys = [committed.tile_keys(place) for place in places]
    found: list[Sample] = []
    for place in places:
        for phase, name in enumerate(committed.phases):
            opening = _Opening(openings[place][phase])
            if name == CHAIN:
                found += _row_samples(committed, place, opening)
            elif name != FILL:
                found += _block_samples(committed, tile_keys, phase, place, opening)
    return found


@dataclass(slots=True)
class _Opening:
    """The openings of one GPU's phase, read from first to last."""

    data: bytes
    place: int = 0

    def next(self, length: int) -> bytes:
        start, self.place = self.place, self.place + length
        return self.data[start : self.place]

    def leaf(self, root: bytes, shape: PhaseShape, index: int) -> bytes | None:
        """The leaf that comes next; None where it does not hold."""
        length = opening_bytes(shape.leaves, shape.width, index, shape.group)
        opening = self.next(length)
        try:
            return opened_leaf(root, shape.leaves, shape.width, index, opening, shape.group)
        except BadOpening:
            return None


def _row_samples(committed: Committed, place: int, opening: _Opening) -> Iterator[Sample]:
    policy, shape = committed.policy, phase_shape(committed.policy, CHAIN)
    roots, keys = split_roots(committed.roots[0][place]), committed.round_keys(place)
    for cell in committed.cells(0, place):
        step, index = divmod(cell, shape.leaves)
        leaf = opening.leaf(roots[step], shape, index)
        opened = opening.next(shape.row_bytes)
        if policy.links == 0 or step == 0:
            row = Row(keys[step], index)
            yield Sample(place, CHAIN, (row,), keys[step], leaf, opened)
            continue
        low = opening.next(shape.low_bytes)
        maps = window_maps(keys[step], policy.size, policy.links)
        sources = source_rows(maps, policy.size, index)
        before = [opening.leaf(roots[step - 1], shape, source) for source in sources]
        held = [one for one in before if one is not None]
        taken = Taken(keys[step - 1], low, _windows(policy, held))
        row = Row(keys[step], index, low)
        holds = len(held) == policy.links and len(low) == policy.size
        yield Sample(place, CHAIN, (row,), keys[step], leaf if holds else None, opened, taken)


def _windows(policy: Policy, leaves: Sequence[bytes]) -> tuple[bytes, ...]:
    """Of each window's leaf the digest of that window."""
    first = policy.leaf_bytes - WINDOW_BYTES * policy.links
    starts = range(first, policy.leaf_bytes, WINDOW_BYTES)
    return tuple(
        leaf[start : start + WINDOW_BYTES] for leaf, start in zip(leaves, starts, strict=False)
    )


def _block_samples(
    committed: Committed, tile_keys: list[list[bytes]], phase: int, place: int, opening: _Opening
) -> Iterator[Sample]:
    name = committed.phases[phase]
    shape, roots = phase_shape(committed.policy, name), split_roots(committed.roots[phase][place])
    pass_keys = chained_pass_keys(committed.seed(phase, place), roots)
    for cell in committed.cells(phase, place):
        step, index = divmod(cell, shape.leaves)
        leaf = opening.leaf(roots[step], shape, index)
        rows = _block_rows(committed, tile_keys, name, place, step, index)
        yield Sample(place, name, rows, pass_keys[step], leaf)


def _block_rows(
    committed: Committed,
    tile_keys: list[list[bytes]],
    phase: str,
    place: int,
    step: int,
    index: int,
) -> tuple[Row, ...]:
    """The product rows under a block of a pass, in the GPU's own memory or a peer's."""
    policy, gpus = committed.policy, len(committed.gpus)
    own = phase == MEMORY
    owner = place if own else peer_of(place, step, gpus)
    first = 0 if own else first_peer_tile(policy, step, gpus)
    tile, block = divmod(index, policy.tile_blocks)
    key = tile_keys[owner][first + tile]
    return tuple(Row(key, BLOCK_ROWS * block + row) for row in range(BLOCK_ROWS))
