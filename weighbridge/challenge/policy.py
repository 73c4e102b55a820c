"""The challenge policy: the numbers of the exchange, fixed by the contract before anything is drawn.

Integers throughout. A requirement of 0 asks for nothing; the measured bound is then still reported.
"""

import re
from dataclasses import dataclass, fields
from fractions import Fraction

from weighbridge.challenge.codec import LARGEST_INTEGER, encode, later
from weighbridge.challenge.hashing import fields_hash
from weighbridge.challenge.links import WINDOW_BYTES
from weighbridge.challenge.profiles import PROFILES, Profile, size_is_exact

BLOCK_ROWS = 8
"""Rows of a product that one digest of a memory pass covers."""

LINKS = (0, 2, 4, 8)

RECOMPUTE = "recompute"
FREIVALDS = "freivalds"

CHAIN = "chain"
FILL = "fill"
MEMORY = "memory"
PEER = "peer"


class PolicyError(ValueError):
    """A policy that cannot be carried out. The text says which number and why."""


@dataclass(frozen=True, slots=True)
class Policy:
    """`check` is "recompute" or "freivalds". The first `tiles` products are kept for the memory phase.

    `doubt_parts_per_billion`: 1 - confidence of every bound. `deadline_ms`: per phase, on the verifier's clock.
    `stall_allowance_ms`: by how much the verifier's time may exceed the prover's before a failure of time is void. Of a
    series of `attempts_allowed`, so many void attempts as `voids_allowed` are repeated at once.
    `ceiling_flops_per_second`: the rate of exact products that a card of the class cannot exceed, on its fastest exact
    path; a bound above it is no card's. With `helper_cards` beside the card, and with `device_memory_bytes` (what one
    device cannot exceed), it limits what a prover can have remade or cached instead of reading it: higher values only
    lower the bounds of memory.
    `links`: windows of each row of A that take bytes of the product before; 0: none, as in records of old. With links
    the products that are kept are made in a phase of their own, unlinked, so that eight rows of one can be made alone.
    Peer passes read windows of `peer_tiles` tiles, each window of each peer once.
    `program`: SHA-256, in hexadecimal, of what the requirements were measured with; empty: whichever.
    """

    profile: str
    size: int
    rounds: int
    samples: int
    check: str = RECOMPUTE
    doubt_parts_per_billion: int = 1_000_000
    tiles: int = 0
    memory_passes: int = 0
    memory_samples: int = 0
    peer_tiles: int = 0
    peer_passes: int = 0
    peer_samples: int = 0
    deadline_ms: int = 60_000
    stall_allowance_ms: int = 1_000
    voids_allowed: int = 1
    attempts_allowed: int = 3
    ceiling_flops_per_second: int = 0
    device_memory_bytes: int = 0
    required_flops_per_second: int = 0
    required_memory_bytes: int = 0
    required_memory_bytes_per_second: int = 0
    required_peer_bytes_per_second: int = 0
    program: str = later("")
    helper_cards: int = later(0)
    links: int = later(0)

    def __post_init__(self) -> None:
        for problem in (*_operand_problems(self), *_phase_problems(self), *_judging_problems(self)):
            raise PolicyError(problem)

    @property
    def operands(self) -> Profile:
        """The profile's row of the table."""
        return PROFILES[self.profile]

    @property
    def demands(self) -> bool:
        """Whether anything is required, so that a card can fail by time."""
        return any(getattr(self, one.name) > 0 for one in fields(self) if _is_demand(one.name))

    @property
    def doubt(self) -> Fraction:
        """The probability 1 - confidence that a cheat passes all samples."""
        return Fraction(self.doubt_parts_per_billion, 1_000_000_000)

    @property
    def remaking_flops_per_second(self) -> int:
        """What a prover and its helpers can at most multiply anew while they should read."""
        return self.ceiling_flops_per_second * (1 + self.helper_cards)

    @property
    def tile_bytes(self) -> int:
        """One kept product: the low 16 bits of each entry."""
        return 2 * self.size * self.size

    @property
    def tile_blocks(self) -> int:
        """Digests that a pass takes of one kept product."""
        return self.size // BLOCK_ROWS

    @property
    def block_bytes(self) -> int:
        """Bytes under one digest of a pass."""
        return 2 * self.size * BLOCK_ROWS

    @property
    def cells(self) -> int:
        """(round, row) cells of one GPU's chain."""
        return self.rounds * self.size

    @property
    def leaf_bytes(self) -> int:
        """What commits to one row: a 64-bit digest, or SHA-256 where the row itself will be opened; and its windows."""
        return (32 if self.check == FREIVALDS else 8) + WINDOW_BYTES * self.links

    @property
    def digest(self) -> bytes:
        """The policy's hash, as the pre-commitment holds it."""
        return fields_hash("policy", encode(self))

    def phases(self, gpus: int) -> tuple[str, ...]:
        """In order. Each is released by a nonce of its own and timed alone."""
        fill = (FILL,) if self.tiles > 0 and self.links > 0 else ()
        memory = (MEMORY,) if self.memory_passes > 0 else ()
        peer = (PEER,) if self.peer_passes > 0 and gpus > 1 else ()
        return (CHAIN, *fill, *memory, *peer)

    def require_fit(self, gpus: int) -> None:
        """Raises PolicyError where a peer pass would read again what another has read: it could have been cached.

        Also where something is required between GPUs, and there is but one.
        """
        if PEER not in self.phases(gpus):
            if self.required_peer_bytes_per_second > 0:
                raise PolicyError(f"required_peer_bytes_per_second: {gpus} GPU has no peer")
        elif self.peer_tiles * -(-self.peer_passes // (gpus - 1)) > self.tiles:
            raise PolicyError(
                f"peer_passes {self.peer_passes}: {gpus} GPUs have fewer unread tiles"
            )

    def working_bytes(self) -> int:
        """Device memory of a prober beside its context: A, B, C, the hashes of C's chunks, its low bytes where they are
        linked, and the kept tiles.
        """
        low = 1 if self.links > 0 else 0
        return (2 + 2 + 4 + 1 + low) * self.size * self.size + self.tiles * self.tile_bytes

    def longest_ms(self, gpus: int) -> int:
        """What the prober's steps may take in all. A linked chain is computed once more when it is opened."""
        return self.deadline_ms * (len(self.phases(gpus)) + (1 if self.links > 0 else 0))


def _is_demand(name: str) -> bool:
    return name.startswith("required_")


_NEVER_NEGATIVE = (
    "ceiling_flops_per_second",
    "device_memory_bytes",
    "helper_cards",
    "stall_allowance_ms",
    "voids_allowed",
    "required_flops_per_second",
    "required_memory_bytes",
    "required_memory_bytes_per_second",
    "required_peer_bytes_per_second",
)


def _operand_problems(policy: Policy) -> list[str]:
    problems = []
    if policy.profile not in PROFILES:
        return [f"profile {policy.profile!r} is none of {', '.join(PROFILES)}"]
    if not size_is_exact(PROFILES[policy.profile], policy.size):
        problems.append(
            f"size {policy.size}: sums are exact for multiples of 128 from 128 to 32768"
        )
    if policy.check not in (RECOMPUTE, FREIVALDS):
        problems.append(f"check {policy.check!r} is neither {RECOMPUTE} nor {FREIVALDS}")
    if policy.links not in LINKS:
        problems.append(f"links {policy.links}: one of {', '.join(map(str, LINKS))}")
    if not 1 <= policy.rounds <= 1 << 16:
        problems.append(f"rounds {policy.rounds}: from 1 to 65536")
    return problems


def _phase_problems(policy: Policy) -> list[str]:
    problems = []
    if not 0 <= policy.tiles <= policy.rounds:
        problems.append(f"tiles {policy.tiles}: kept products come from the {policy.rounds} rounds")
    if (policy.memory_passes > 0) != (policy.tiles > 0):
        problems.append("memory_passes and tiles: both or neither")
    if not 0 <= policy.peer_tiles <= policy.tiles:
        problems.append(f"peer_tiles {policy.peer_tiles}: a peer holds {policy.tiles} tiles")
    if (policy.peer_passes > 0) != (policy.peer_tiles > 0):
        problems.append("peer_passes and peer_tiles: both or neither")
    if policy.peer_passes > 0 and policy.device_memory_bytes <= 0:
        problems.append("device_memory_bytes: without it no peer can be shown to have been read")
    if policy.tiles > 0 and policy.ceiling_flops_per_second <= 0:
        problems.append("ceiling_flops_per_second: without it no memory can be shown to be held")
    return problems


def _judging_problems(policy: Policy) -> list[str]:
    problems = []
    counts = {
        "samples": (policy.samples, True),
        "memory_samples": (policy.memory_samples, policy.memory_passes > 0),
        "peer_samples": (policy.peer_samples, policy.peer_passes > 0),
    }
    for name, (count, wanted) in counts.items():
        if not 0 <= count <= 1 << 16 or (count > 0) != wanted:
            problems.append(f"{name} {count}: from 1 to 65536 where its phase runs, else 0")
    if not 1 <= policy.doubt_parts_per_billion < 1_000_000_000:
        problems.append("doubt_parts_per_billion: from 1 to 999999999")
    if policy.deadline_ms < 1 or policy.attempts_allowed < 1:
        problems.append("deadline_ms and attempts_allowed: at least 1")
    if not re.fullmatch("(?:[0-9a-f]{64})?", policy.program):
        problems.append(f"program {policy.program!r}: a SHA-256 in hexadecimal, or nothing")
    unmeasured = {
        "required_memory_bytes": policy.memory_passes,
        "required_memory_bytes_per_second": policy.memory_passes,
        "required_peer_bytes_per_second": policy.peer_passes,
    }
    problems += [
        f"{name}: no pass would measure it"
        for name, passes in unmeasured.items()
        if getattr(policy, name) > 0 and passes == 0
    ]
    if policy.required_memory_bytes > 0 and policy.required_memory_bytes_per_second == 0:
        problems.append(
            "required_memory_bytes_per_second: what is read back at no given rate may have been made anew"
        )
    return [*problems, *_range_problems(policy)]


def _range_problems(policy: Policy) -> list[str]:
    numbers = {
        one.name: value
        for one in fields(policy)
        if isinstance(value := getattr(policy, one.name), int)
    }
    negative = [f"{name}: not below 0" for name in _NEVER_NEGATIVE if numbers[name] < 0]
    large = [f"{name}: below 2^53" for name, value in numbers.items() if value > LARGEST_INTEGER]
    return negative + large
