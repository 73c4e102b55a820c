"""The kernels' arithmetic, compiled for the CPU by the host's C++ compiler and compared with the reference."""

import ctypes
import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.probe.kernels import KERNELS, TOGETHER
from weighbridge.challenge import arithmetic
from weighbridge.challenge.keystream import keystream
from weighbridge.challenge.links import Row, window_key, window_maps
from weighbridge.challenge.profiles import LARGEST_SIZE, PROFILES
from weighbridge.challenge.rowhash import CHUNK_TAG, row_hash
from weighbridge.challenge.siphash import window_digests

COMPILER = shutil.which("c++") or shutil.which("g++")
pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")

SHIM = r"""
#include <cstring>
#define __device__
#define __global__
#define __forceinline__ inline
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
struct Place { u32 x, y; };
static Place threadIdx, blockIdx, blockDim;
static inline u16 half_bits(short value) { _Float16 h = value; u16 bits; memcpy(&bits, &h, 2); return bits; }
static inline float float_of(u32 bits) { float f; memcpy(&f, &bits, 4); return f; }
static inline void add_to(u64 *sum, u64 part) { *sum += part; }
"""
LAUNCH = r"""
#define EACH(call) \
    blockDim = {threads, 1}; \
    for (blockIdx.y = 0; blockIdx.y < rows; blockIdx.y++) \
        for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++) \
            for (threadIdx.x = 0; threadIdx.x < threads; threadIdx.x++) { call; }
#define GRID u32 blocks, u32 rows, u32 threads
extern "C" {
void run_expand_a(GRID, const u64 *k, Quad *o, u32 b, u32 h) { EACH(expand_a(k[0], k[1], k[2], k[3], o, b, h)) }
void run_expand_b(GRID, const u64 *k, void *o, u32 n, u32 h) { EACH(expand_b(k[0], k[1], k[2], k[3], o, n, h)) }
void run_expand_linked(GRID, const u64 *k, const u64 *m, Quad *o, const u8 *l, u32 b, u32 h, u32 n, u32 w) {
    EACH(expand_linked(k[0], k[1], k[2], k[3], m[0], m[1], m[2], m[3], o, l, b, h, n, w)) }
void run_digest_rows(GRID, const Quad *c, const u64 *k, u64 *d, u32 *l, u32 n, u32 f, u32 s) {
    EACH(digest_rows(c, k, d, l, n, f, s)) }
void run_digest_windows(GRID, const u64 *l, const u64 *k, u64 *o, u32 c, u32 w, u32 b, u32 h, u32 s) {
    EACH(digest_windows(l, k[0], k[1], o, c, w, b, h, s)) }
void run_keep_bytes(GRID, const Quad *c, u32 *l, u64 p, u32 f) { EACH(keep_bytes(c, l, p, f)) }
void run_digest_blocks(GRID, const u64 *t, const u64 *k, u64 *d, u32 w) { EACH(digest_blocks(t, k, d, w)) }
void run_keep_low(GRID, const Quad *c, Quad *t, u64 p, u32 f) { EACH(keep_low(c, t, p, f)) }
void run_as_integers(GRID, int *c, u64 n) { EACH(as_integers(c, n)) }
void run_hash_messages(GRID, const u32 *d, u32 *o, u32 m, u32 w, u32 t, u32 s) { EACH(hash_messages(d, o, m, w, t, s)) }
}
"""
KEY = bytes(range(32))
SIZE = 256


class Kernels:
    def __init__(self, path: Path) -> None:
        self.library = ctypes.CDLL(str(path))

    def run(self, name: str, grid: tuple[int, int, int], *arguments: Any) -> None:
        values = [
            value.ctypes.data_as(ctypes.c_void_p)
            if isinstance(value, np.ndarray)
            else ctypes.c_void_p(None)
            if value is None
            else ctypes.c_uint64(value)
            if name in ("keep_low", "keep_bytes", "as_integers") and value > 255
            else ctypes.c_char_p(value)
            if isinstance(value, bytes)
            else ctypes.c_uint32(value)
            for value in arguments
        ]
        getattr(self.library, f"run_{name}")(*(ctypes.c_uint32(part) for part in grid), *values)


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Kernels:
    folder = tmp_path_factory.mktemp("kernels")
    source, library = folder / "kernels.cpp", folder / "kernels.so"
    source.write_text(SHIM + KERNELS + LAUNCH)
    command = [
        str(COMPILER),
        "-O1",
        "-std=c++17",
        "-shared",
        "-fPIC",
        "-o",
        str(library),
        str(source),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return Kernels(library)


@pytest.mark.parametrize("blocks", [1, 33, 700])
def test_the_raw_keystream_is_the_references(kernels: Kernels, blocks: int) -> None:
    out = np.zeros(64 * blocks, dtype=np.uint8)
    kernels.run("expand_a", (blocks // 256 + 1, 1, 256), KEY, out, blocks, 0)
    assert out.tobytes() == keystream(KEY, 0, 64 * blocks)


@pytest.mark.parametrize("name", ["f16", "i8"])
def test_both_operands_are_the_references(kernels: Kernels, name: str) -> None:
    profile, half = PROFILES[name], int(name == "f16")
    kind: Any = np.float16 if half else np.int8
    a, b = np.zeros((2, SIZE, SIZE), dtype=kind)
    blocks = profile.a_row_bytes(SIZE) * SIZE // 64
    kernels.run("expand_a", (-(-blocks // 256), 1, 256), KEY, a, blocks, half)
    columns = 128 if half else 64
    kernels.run("expand_b", (-(-SIZE // 128), SIZE // columns, 128), KEY, b, SIZE, half)
    rows = [Row(KEY, row) for row in range(SIZE)]
    assert np.array_equal(a.astype(np.float32), arithmetic.rows_of_a(profile, SIZE, rows, 0, SIZE))
    assert np.array_equal(b.astype(np.float32).T, arithmetic.rows_of_b(profile, SIZE, KEY, 0, SIZE))


@pytest.fixture
def product() -> Any:
    return np.random.default_rng(0).integers(-(1 << 23), 1 << 23, (SIZE, SIZE)).astype(np.int32)


@pytest.mark.parametrize("kind", [np.float32, np.int32])
@pytest.mark.parametrize("links", [0, 4])
def test_row_digests_and_low_bytes_are_the_references(
    kernels: Kernels, product: Any, kind: Any, links: int
) -> None:
    keys = arithmetic.column_keys(KEY, SIZE).copy()
    leaves = np.zeros((SIZE, 1 + links), dtype=np.uint64)
    low = np.zeros((SIZE, SIZE), dtype=np.uint8) if links > 0 else None
    numbers = (SIZE, int(kind is np.float32), 1 + links)
    grid = (SIZE // TOGETHER, 1, 96)
    kernels.run("digest_rows", grid, product.astype(kind), keys, leaves, low, *numbers)
    expected = [arithmetic.row_digest(row, keys) for row in product]
    assert [int(digest) for digest in leaves[:, 0]] == expected
    assert not leaves[:, 1:].any()
    assert low is None or np.array_equal(low, arithmetic.low_bytes(product))


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_bytes_kept_alone_are_the_low_bytes(kernels: Kernels, product: Any, kind: Any) -> None:
    low, fours = np.zeros((SIZE, SIZE), dtype=np.uint8), SIZE * SIZE // 4
    numbers = (fours, int(kind is np.float32))
    kernels.run("keep_bytes", (fours // 256, 1, 256), product.astype(kind), low, *numbers)
    assert np.array_equal(low, arithmetic.low_bytes(product))


@pytest.mark.parametrize("links", [2, 4, 8])
@pytest.mark.parametrize("head", [1, 4])
def test_window_digests_are_the_references_and_leave_the_heads_alone(
    kernels: Kernels, product: Any, links: int, head: int
) -> None:
    low, leaves = arithmetic.low_bytes(product), np.full((SIZE, head + links), 7, dtype=np.uint64)
    numbers = (SIZE * links, SIZE // links // 8, links, head, head + links)
    grid = (-(-SIZE * links // 64), 1, 64)
    kernels.run("digest_windows", grid, low, window_key(KEY), leaves, *numbers)
    expected = window_digests([KEY] * SIZE, list(low), links)
    assert [row[head:].tobytes() for row in leaves] == expected
    assert (leaves[:, :head] == 7).all()


@pytest.mark.parametrize("name", ["f16", "i8"])
@pytest.mark.parametrize(("size", "links"), [(128, 8), (256, 2), (384, 4), (640, 8)])
def test_linked_operands_are_the_references(
    kernels: Kernels, name: str, size: int, links: int
) -> None:
    profile, half = PROFILES[name], int(name == "f16")
    low = np.random.default_rng(1).integers(0, 256, (size, size), dtype=np.uint8)
    a = np.zeros((size, size), dtype=np.float16 if half else np.int8)
    maps = b"".join(
        number.to_bytes(2, "little") for one in window_maps(KEY, size, links) for number in one
    ).ljust(32, b"\0")
    blocks = profile.a_row_bytes(size) * size // 64
    numbers = (blocks, half, size, size // links)
    kernels.run("expand_linked", (-(-blocks // 256), 1, 256), KEY, maps, a, low, *numbers)
    taken = arithmetic.taken(low, KEY, links, range(size))
    rows = [Row(KEY, row, taken[row].tobytes()) for row in range(size)]
    expected = arithmetic.rows_of_a(profile, size, rows, 0, size)
    assert np.array_equal(a.astype(np.float32), expected)


def test_maps_of_the_largest_size_fit_into_two_bytes_and_their_places_into_a_word() -> None:
    maps = [one for key in range(40) for one in window_maps(bytes([key]) * 32, LARGEST_SIZE, 8)]
    assert 30_000 < max(max(one) for one in maps) < 1 << 16
    assert (LARGEST_SIZE - 1) * (LARGEST_SIZE - 1) + LARGEST_SIZE < 1 << 32


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_kept_halves_and_their_block_digests_are_the_references(
    kernels: Kernels, product: Any, kind: Any
) -> None:
    tile, eights = np.zeros(SIZE * SIZE // 2, dtype=np.uint32), SIZE * SIZE // 8
    kernels.run(
        "keep_low",
        (eights // 256, 1, 256),
        product.astype(kind),
        tile,
        eights,
        int(kind is np.float32),
    )
    assert tile.tobytes() == arithmetic.low_halves(list(product))
    keys, digests = arithmetic.block_keys(KEY, SIZE).copy(), np.zeros(SIZE // 8, dtype=np.uint64)
    kernels.run("digest_blocks", (SIZE // 8 // TOGETHER, 1, 128), tile, keys, digests, 2 * SIZE)
    assert np.array_equal(digests, arithmetic.block_digests(tile.tobytes(), keys))


def test_row_hashes_are_the_references(kernels: Kernels, product: Any) -> None:
    whole = product.astype(np.float32)
    kernels.run("as_integers", (SIZE, 1, SIZE), whole, SIZE * SIZE)
    assert np.array_equal(whole.view(np.int32), product)
    chunks, rows = np.zeros((SIZE * 2, 32), dtype=np.uint8), np.zeros((SIZE, 32), dtype=np.uint8)
    tags = [int.from_bytes(tag, "big") for tag in (CHUNK_TAG, b"WBr\x01")]
    kernels.run("hash_messages", (4, 1, 128), product, chunks, 2 * SIZE, 128, tags[0], 8)
    first = hashlib.sha256(CHUNK_TAG + product[0, :128].tobytes()).digest()
    assert chunks[0].tobytes() == first
    kernels.run("hash_messages", (2, 1, 128), chunks, rows, SIZE, SIZE // 128 * 8, tags[1], 8)
    assert [row.tobytes() for row in rows] == [row_hash(row.tobytes()) for row in product]
    leaves = np.zeros((SIZE, 64), dtype=np.uint8)
    kernels.run("hash_messages", (2, 1, 128), chunks, leaves, SIZE, SIZE // 128 * 8, tags[1], 16)
    assert np.array_equal(leaves[:, :32], rows)
    assert not leaves[:, 32:].any()


@pytest.mark.parametrize("words", [1, 12, 13, 14, 15, 16, 128])
def test_messages_of_every_padding_are_hashed_by_the_standard(kernels: Kernels, words: int) -> None:
    data, out = np.arange(words, dtype=np.uint32), np.zeros(32, dtype=np.uint8)
    kernels.run("hash_messages", (1, 1, 1), data, out, 1, words, 0x01020304, 8)
    assert out.tobytes() == hashlib.sha256(b"\1\2\3\4" + data.tobytes()).digest()
