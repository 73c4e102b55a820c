"""The reference back end: numpy on the CPU. Exact like every other, slower than all of them.

What a GPU rounds to fp16 is rounded here too and must come back unchanged, so that a profile that is not exact in fp16
cannot pass unnoticed.
"""

import hashlib
import inspect
import mmap
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from weighbridge.challenge import arithmetic, siphash
from weighbridge.challenge.derivation import digest_key
from weighbridge.challenge.keystream import keystream
from weighbridge.challenge.messages import HostFact
from weighbridge.challenge.policy import FREIVALDS, Policy
from weighbridge.challenge.profiles import F16
from weighbridge.challenge.rowhash import row_hash


class CpuEngine:
    """An Engine. Kept tiles lie in an unlinked file, which vanishes with the process and which peers may open."""

    def __init__(self) -> None:
        self._policy: Policy | None = None
        self._b: arithmetic.Float32 | None = None
        self._low: arithmetic.UInt8 | None = None
        self._tiles: mmap.mmap | None = None
        self._peers: list[mmap.mmap] = []

    def program(self) -> bytes:
        """SHA-256 of the arithmetic's source."""
        source = inspect.getsource(arithmetic) + inspect.getsource(siphash)
        return hashlib.sha256(source.encode()).digest()

    def facts(self) -> tuple[HostFact, ...]:
        """The library that multiplies."""
        return (HostFact("backend", "cpu"), HostFact("numpy", np.__version__))

    def prepare(self, policy: Policy) -> None:
        """Allocates memory for the tiles that are kept, in the place of what was allocated for another policy."""
        self.close()
        self._policy = policy
        if policy.tiles > 0:
            with tempfile.TemporaryFile() as file:
                file.truncate(policy.tiles * policy.tile_bytes)
                self._tiles = mmap.mmap(file.fileno(), 0)
                self._file = os.dup(file.fileno())

    def load_b(self, key: bytes) -> None:
        """Expands B."""
        policy = self._prepared()
        self._b = arithmetic.rows_of_b(policy.operands, policy.size, key, 0, policy.size)

    def unlink(self) -> None:
        """Forgets the low bytes of the product before."""
        self._low = None

    def round(self, key: bytes, keep: int | None) -> bytes:
        """One product, its leaves, its low bytes for the next, and its low halves if they are to be kept."""
        product = self._product(key)
        if keep is not None and self._tiles is not None:
            start = keep * self._prepared().tile_bytes
            data = arithmetic.low_halves(list(product))
            self._tiles[start : start + len(data)] = data
        if self._prepared().links > 0:
            self._low = arithmetic.low_bytes(product)
        return self._leaves(product, key)

    def taken(self, key: bytes, index: int) -> bytes:
        """A row's bytes of the product before; none where that was forgotten."""
        return self._taken(key, index, 1)

    def row(self, key: bytes, index: int) -> bytes:
        """Computes one row of a product again."""
        left = self._rows_of_a(key, index, 1)
        return np.asarray(left @ self._loaded_b()).astype("<i4").tobytes()

    def scan(self, key: bytes, first: int, tiles: int, peer: int | None) -> bytes:
        """Digests of the blocks of some tiles, tile by tile."""
        policy = self._prepared()
        source = self._tiles if peer is None else self._peers[peer]
        if source is None:
            return b""
        keys = arithmetic.block_keys(key, policy.size)
        digests = [
            arithmetic.block_digests(source[start : start + policy.tile_bytes], keys)
            .astype("<u8")
            .tobytes()
            for start in range(
                first * policy.tile_bytes, (first + tiles) * policy.tile_bytes, policy.tile_bytes
            )
        ]
        return b"".join(digests)

    def address(self) -> bytes:
        """The path under which processes of the same user reach the tiles' file."""
        return b"" if self._tiles is None else f"/proc/{os.getpid()}/fd/{self._file}".encode()

    def attach(self, addresses: Sequence[bytes]) -> None:
        """Maps the tiles of every engine of the node."""
        for address in addresses:
            if address != b"":
                with Path(address.decode()).open("rb") as file:
                    self._peers.append(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))

    def close(self) -> None:
        """Frees all memory."""
        for mapping in (*self._peers, *([] if self._tiles is None else [self._tiles])):
            mapping.close()
        if self._tiles is not None:
            os.close(self._file)
        self._tiles, self._peers, self._b, self._low = None, [], None, None

    def _prepared(self) -> Policy:
        if self._policy is None:
            raise RuntimeError("prepare comes first")
        return self._policy

    def _loaded_b(self) -> arithmetic.Float32:
        if self._b is None:
            raise RuntimeError("load_b comes first")
        return self._b

    def _rows_of_a(self, key: bytes, first: int, count: int) -> arithmetic.Float32:
        policy = self._prepared()
        row_bytes = policy.operands.a_row_bytes(policy.size)
        data = keystream(key, first * row_bytes, count * row_bytes)
        data = arithmetic.with_low(policy.operands, data, self._taken(key, first, count))
        exact = arithmetic.widen_a(policy.operands, data).reshape(count, policy.size)
        if policy.operands is not F16:
            return exact
        rounded = exact.astype(np.float16).astype(np.float32)
        if not np.array_equal(rounded, exact):
            raise ArithmeticError("an operand is not exact in fp16")
        return rounded

    def _taken(self, key: bytes, first: int, count: int) -> bytes:
        if self._low is None:
            return b""
        rows = range(first, first + count)
        return arithmetic.taken(self._low, key, self._prepared().links, rows).tobytes()

    def _product(self, key: bytes) -> arithmetic.Int32:
        left = self._rows_of_a(key, 0, self._prepared().size)
        return np.asarray(left @ self._loaded_b()).astype(np.int32)

    def _leaves(self, product: arithmetic.Int32, key: bytes) -> bytes:
        policy = self._prepared()
        keys = arithmetic.column_keys(digest_key(key), policy.size)
        heads = (
            row_hash(row.astype("<i4").tobytes())
            if policy.check == FREIVALDS
            else arithmetic.row_digest(row, keys).to_bytes(8, "little")
            for row in product
        )
        if policy.links == 0:
            return b"".join(heads)
        low = list(arithmetic.low_bytes(product))
        windows = siphash.window_digests([key] * len(low), low, policy.links)
        return b"".join(head + ends for head, ends in zip(heads, windows, strict=True))
