"""The prover's side as a state machine: a message in, the payload of its answer out. It owns no clock and no device.

`Prover` answers for a node. Behind it stands one `GpuProver` for each GPU; `InProcessGpuProver` carries out the phases
on an `Engine`, in this process or in a worker of its own. What an engine is made of (cuBLAS, numpy) is the program's
affair.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from weighbridge.challenge.codec import Malformed
from weighbridge.challenge.commitment import commit, open_leaf
from weighbridge.challenge.derivation import (
    NO_ROOT,
    b_key,
    gpu_seed,
    pass_key,
    round_key,
    sampled_cells,
)
from weighbridge.challenge.links import source_rows, window_maps
from weighbridge.challenge.messages import (
    Decline,
    HostFact,
    Openings,
    Prepare,
    Ready,
    Release,
    Reveal,
    Roots,
    decode_message,
    encode_message,
)
from weighbridge.challenge.policy import CHAIN, FILL, FREIVALDS, MEMORY, Policy
from weighbridge.challenge.samples import PhaseShape, first_peer_tile, peer_of, phase_shape


class Interrupted(Exception):
    """The run must stop: a tenant wants the device, or time is up. The text goes to the verifier."""


class Engine(Protocol):
    """What multiplies and digests on one device. All results are exact and equal on every back end."""

    def program(self) -> bytes:
        """SHA-256 of the kernels' source (32 bytes)."""
        ...

    def facts(self) -> tuple[HostFact, ...]:
        """What the host says of the device and the libraries in use."""
        ...

    def prepare(self, policy: Policy) -> None:
        """Allocate and warm up, untimed. Raises Interrupted where memory is short."""
        ...

    def load_b(self, key: bytes) -> None:
        """Expand B."""
        ...

    def unlink(self) -> None:
        """Forget the product before: the next round takes nothing of it."""
        ...

    def round(self, key: bytes, keep: int | None) -> bytes:
        """Leaves of the product under a round's key, `policy.leaf_bytes` each; kept as tile `keep` if not None.

        Under a policy with links it takes bytes of the product before, unless that was forgotten.
        """
        ...

    def taken(self, key: bytes, index: int) -> bytes:
        """The low bytes of the product before that a row of the round under this key takes."""
        ...

    def row(self, key: bytes, index: int) -> bytes:
        """A row of the product under this key, int32, little-endian; the product before stays what it was."""
        ...

    def scan(self, key: bytes, first: int, tiles: int, peer: int | None) -> bytes:
        """8-byte digests of the blocks of some tiles, from the first on, here or on peer number `peer`."""
        ...

    def address(self) -> bytes:
        """What other engines need to read the tiles of this one."""
        ...

    def attach(self, addresses: Sequence[bytes]) -> None:
        """Opens the tiles of all engines of the node, in order; the own one is among them."""
        ...

    def close(self) -> None:
        """Frees all memory and handles."""
        ...


class GpuProver(Protocol):
    """One GPU on the prover's side; may live in another process. `begin` returns at once where it can."""

    def prepare(self, request: Prepare, place: int) -> Ready | Decline:
        """Make ready as number `place` of the request's GPUs."""
        ...

    def address(self) -> bytes:
        """How the other GPUs' provers reach this one's memory; empty where they cannot."""
        ...

    def attach(self, addresses: Sequence[bytes]) -> None:
        """Takes the memory addresses of all GPUs of the request, in its order."""
        ...

    def begin(self, release: Release) -> None:
        """Start a phase."""
        ...

    def roots(self) -> bytes:
        """The phase's roots, once it has ended."""
        ...

    def open(self, reveal: Reveal) -> tuple[bytes, ...]:
        """The sampled openings of each phase."""
        ...


@dataclass(slots=True)
class Prover:
    """The prover's side of one attempt: a message in, the payload of the answer out. The agent's key signs it."""

    gpu_provers: Sequence[GpuProver]
    clock_ns: Callable[[], int]
    _request: Prepare | None = None
    _committed: list[Roots] = field(default_factory=list)

    def answer(self, data: bytes) -> bytes:
        """Raises Malformed for a message that has no place here."""
        message = decode_message(data)
        try:
            return encode_message(self._answer(message))
        except Interrupted as stop:
            return encode_message(Decline(self._challenge, "interrupted", str(stop)))

    @property
    def _challenge(self) -> str:
        return "" if self._request is None else self._request.challenge

    def _answer(self, message: object) -> Ready | Decline | Roots | Openings:
        match message:
            case Prepare() if self._request is None:
                return self._prepare(message)
            case Release(challenge=self._challenge) if self._is_next(message):
                return self._run(message)
            case Reveal(challenge=self._challenge) if self._all_committed():
                openings = tuple(gpu_prover.open(message) for gpu_prover in self.gpu_provers)
                return Openings(message.challenge, openings)
        raise Malformed("not the message that comes next")

    def _phases(self) -> tuple[str, ...]:
        return () if self._request is None else self._request.policy.phases(len(self.gpu_provers))

    def _is_next(self, release: Release) -> bool:
        return (*self._phases(), "")[len(self._committed)] == release.phase

    def _all_committed(self) -> bool:
        return self._request is not None and len(self._committed) == len(self._phases())

    def _prepare(self, request: Prepare) -> Ready | Decline:
        if len(request.gpus) != len(self.gpu_provers):
            return Decline(request.challenge, "unsupported", "not the GPUs of this prober")
        self._request = request
        answers = [
            gpu_prover.prepare(request, place) for place, gpu_prover in enumerate(self.gpu_provers)
        ]
        for answer in answers:
            if isinstance(answer, Decline):
                return answer
        addresses = [gpu_prover.address() for gpu_prover in self.gpu_provers]
        for gpu_prover in self.gpu_provers:
            gpu_prover.attach(addresses)
        facts = tuple(fact for ready in answers if isinstance(ready, Ready) for fact in ready.facts)
        program = next(ready.program for ready in answers if isinstance(ready, Ready))
        return Ready(request.challenge, program, self.clock_ns(), facts)

    def _run(self, release: Release) -> Roots:
        began = self.clock_ns()
        for gpu_prover in self.gpu_provers:
            gpu_prover.begin(release)
        roots = tuple(gpu_prover.roots() for gpu_prover in self.gpu_provers)
        message = Roots(release.challenge, release.phase, began, self.clock_ns(), roots)
        self._committed.append(message)
        return message


@dataclass(slots=True)
class InProcessGpuProver:
    """The prover of one GPU with its engine in this process. `checkpoint` runs before every step and may raise
    Interrupted."""

    gpu: str
    engine: Engine
    checkpoint: Callable[[], None]
    _request: Prepare | None = None
    _place: int = 0
    _leaves: list[list[bytes]] = field(default_factory=list)
    _keys: list[bytes] = field(default_factory=list)
    _roots: list[bytes] = field(default_factory=list)

    def prepare(self, request: Prepare, place: int) -> Ready | Decline:
        """Prepares the engine, if the GPU is the one that is asked for."""
        if request.gpus[place] != self.gpu:
            return Decline(request.challenge, "unsupported", "another GPU is in this place")
        self._request, self._place = request, place
        self.engine.prepare(request.policy)
        return Ready(request.challenge, self.engine.program(), 0, self.engine.facts())

    def address(self) -> bytes:
        """The address of the engine's memory."""
        return self.engine.address()

    def attach(self, addresses: Sequence[bytes]) -> None:
        """Passes the peers' addresses to the engine."""
        self.engine.attach(addresses)

    def begin(self, release: Release) -> None:
        """Computes the whole phase before it returns."""
        request = self._prepared()
        seed = gpu_seed(
            release.nonce,
            request.contract,
            request.agent_key,
            request.gpus,
            self._place,
            request.policy,
        )
        if release.phase == CHAIN:
            self.engine.load_b(b_key(release.nonce, request.contract, request.policy))
        self._run_phase(release.phase, seed)

    def roots(self) -> bytes:
        """The roots of the phase that ran last."""
        return self._roots[-1]

    def open(self, reveal: Reveal) -> tuple[bytes, ...]:
        """The samples that follow from the secret and the own roots."""
        phases = self._prepared().policy.phases(len(self._prepared().gpus))
        return tuple(
            self._open_phase(index, phase, reveal.secret) for index, phase in enumerate(phases)
        )

    def _prepared(self) -> Prepare:
        if self._request is None:
            raise Malformed("not prepared")
        return self._request

    def _run_phase(self, phase: str, seed: bytes) -> None:
        shape = phase_shape(self._prepared().policy, phase)
        root, roots, kept = NO_ROOT, [], []
        self.engine.unlink()
        for step in range(shape.steps):
            self.checkpoint()
            leaves = self._step(phase, seed, step, root)
            root = commit(leaves, shape.width, shape.group)
            roots.append(root)
            if self._keeps_leaves(phase):
                kept.append(leaves)
        self._leaves.append(kept)
        self._roots.append(b"".join(roots))

    def _keeps_leaves(self, phase: str) -> bool:
        """Those of linked rounds are made again when they are opened, and those of a filling never are."""
        return self._prepared().policy.links == 0 or phase not in (CHAIN, FILL)

    def _step(self, phase: str, seed: bytes, step: int, root: bytes) -> bytes:
        policy = self._prepared().policy
        if phase == CHAIN:
            key = round_key(seed, step, root)
            self._keys.append(key)
            keeps = policy.links == 0 and step < policy.tiles
            return self.engine.round(key, step if keeps else None)
        if phase == FILL:
            self.engine.unlink()
            return self.engine.round(round_key(seed, step, root), step)
        key = pass_key(seed, step, root)
        if phase == MEMORY:
            return self.engine.scan(key, 0, policy.tiles, None)
        gpus = len(self._prepared().gpus)
        first, peer = first_peer_tile(policy, step, gpus), peer_of(self._place, step, gpus)
        return self.engine.scan(key, first, policy.peer_tiles, peer)

    def _open_phase(self, index: int, phase: str, secret: bytes) -> bytes:
        request = self._prepared()
        shape = phase_shape(request.policy, phase)
        chosen = (secret, request.agent_key, self.gpu, phase, self._roots[index])
        cells = sampled_cells(*chosen, shape.samples, shape.cells)
        if phase == CHAIN and request.policy.links > 0:
            return self._open_linked(shape, [divmod(cell, shape.leaves) for cell in cells])
        parts = []
        for cell in cells:
            step, leaf = divmod(cell, shape.leaves)
            parts.append(open_leaf(self._leaves[index][step], shape.width, leaf, shape.group))
            if phase == CHAIN and request.policy.check == FREIVALDS:
                parts.append(self.engine.row(self._keys[step], leaf))
        return b"".join(parts)

    def _open_linked(self, shape: PhaseShape, cells: Sequence[tuple[int, int]]) -> bytes:
        """Computes the chain once more, as far as it is sampled: nobody could hold all that its rows took."""
        opened: dict[tuple[int, int], bytes] = {}
        before = b""
        self.engine.unlink()
        for step, key in enumerate(self._keys[: max(step for step, _ in cells) + 1]):
            self.checkpoint()
            rows = {row for sampled, row in cells if sampled == step}
            parts = {row: self._taken_by(shape, step, row, before) for row in rows}
            before = self.engine.round(key, None)
            for row, part in parts.items():
                opened[step, row] = open_leaf(before, shape.width, row, shape.group) + part
        return b"".join(opened[cell] for cell in cells)

    def _taken_by(self, shape: PhaseShape, step: int, row: int, before: bytes) -> bytes:
        """What is opened behind a row's leaf: the row in Freivalds mode, what it took, and the leaves of where."""
        key = self._keys[step]
        itself = self.engine.row(key, row) if shape.row_bytes > 0 else b""
        if step == 0:
            return itself
        maps = window_maps(key, shape.leaves, shape.links)
        sources = source_rows(maps, shape.leaves, row)
        leaves = [open_leaf(before, shape.width, source, shape.group) for source in sources]
        return b"".join((itself, self.engine.taken(key, row), *leaves))
