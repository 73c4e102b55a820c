"""The CUDA source of the prober's kernels: one string, compiled by NVRTC on the device's host, no headers needed.

All arithmetic is on integers; sums are modulo 2^64, so their order is free. `DEVICE` holds the few lines that only a
GPU compiler understands; `KERNELS` is plain C++ besides, and a test compiles it for the CPU.
"""

import hashlib

DEVICE = r"""
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

// The bits of an integer as fp16; exact up to 2048.
__device__ __forceinline__ u16 half_bits(short value) {
    u16 bits;
    asm("cvt.rn.f16.s16 %0, %1;" : "=h"(bits) : "h"(value));
    return bits;
}

__device__ __forceinline__ float float_of(u32 bits) { return __uint_as_float(bits); }

// Adds every thread's part to *sum; one atomic for each warp.
__device__ __forceinline__ void add_to(u64 *sum, u64 part) {
    for (int step = 16; step > 0; step >>= 1) part += __shfl_down_sync(0xffffffffu, part, step);
    if ((threadIdx.x & 31) == 0) atomicAdd(sum, part);
}
"""

KERNELS = r"""
struct Key { u32 word[8]; };

// 16 bytes, the most that a thread moves at once.
struct alignas(16) Quad { u32 word[4]; };
struct alignas(16) Pair { u64 word[2]; };

// Rows of C, or blocks of memory, that one block of threads digests together: each key is read once for all of them.
const u32 TOGETHER = 8;

__device__ __forceinline__ Key key_of(u64 a, u64 b, u64 c, u64 d) {
    return {{(u32)a, (u32)(a >> 32), (u32)b, (u32)(b >> 32), (u32)c, (u32)(c >> 32), (u32)d, (u32)(d >> 32)}};
}

__device__ __forceinline__ u32 rotate_left(u32 x, int by) { return (x << by) | (x >> (32 - by)); }

__device__ __forceinline__ void quarter(u32 &a, u32 &b, u32 &c, u32 &d) {
    a += b; d = rotate_left(d ^ a, 16);
    c += d; b = rotate_left(b ^ c, 12);
    a += b; d = rotate_left(d ^ a, 8);
    c += d; b = rotate_left(b ^ c, 7);
}

// RFC 8439, section 2.3, with nonce 0.
__device__ __forceinline__ void chacha20(const Key &key, u32 counter, u32 *out) {
    const u32 initial[16] = {
        0x61707865u, 0x3320646eu, 0x79622d32u, 0x6b206574u, key.word[0], key.word[1], key.word[2], key.word[3],
        key.word[4], key.word[5], key.word[6], key.word[7], counter, 0u, 0u, 0u};
    for (int i = 0; i < 16; i++) out[i] = initial[i];
    for (int i = 0; i < 10; i++) {
        quarter(out[0], out[4], out[8], out[12]);
        quarter(out[1], out[5], out[9], out[13]);
        quarter(out[2], out[6], out[10], out[14]);
        quarter(out[3], out[7], out[11], out[15]);
        quarter(out[0], out[5], out[10], out[15]);
        quarter(out[1], out[6], out[11], out[12]);
        quarter(out[2], out[7], out[8], out[13]);
        quarter(out[3], out[4], out[9], out[14]);
    }
    for (int i = 0; i < 16; i++) out[i] += initial[i];
}

// A word of two 16-bit entries (sign, 11-bit magnitude) as two fp16 numbers.
__device__ __forceinline__ u32 two_halves(u32 word) {
    u32 low = half_bits((short)(word & 0x7ffu)) | (word & 0x8000u);
    u32 high = half_bits((short)((word >> 16) & 0x7ffu)) | ((word >> 16) & 0x8000u);
    return low | (high << 16);
}

// One 64-byte block of keystream for each thread: raw, or as fp16 entries of A.
extern "C" __global__ void expand_a(
    u64 key0, u64 key1, u64 key2, u64 key3, Quad *out, u32 blocks, u32 as_half) {
    u32 block = blockIdx.x * blockDim.x + threadIdx.x;
    if (block >= blocks) return;
    u32 stream[16];
    chacha20(key_of(key0, key1, key2, key3), block, stream);
    for (int q = 0; q < 4; q++) {
        Quad quad;
        for (int i = 0; i < 4; i++) quad.word[i] = as_half ? two_halves(stream[4 * q + i]) : stream[4 * q + i];
        out[(u64)block * 4 + q] = quad;
    }
}

// Where a row takes a window from: two maps (a, c) in each word, 16 bits for each number.
__device__ __forceinline__ u32 source_of(const u64 *maps, u32 window, u32 row, u32 size) {
    u32 map = (u32)(maps[window >> 1] >> (32 * (window & 1)));
    return ((map & 0xffffu) * row + (map >> 16)) % size;
}

// The four words of a keystream block that are xor with the low bytes of 16 bytes' entries: 8 of f16, 16 of i8.
__device__ __forceinline__ void take_low(u32 *words, const u8 *low, u32 as_half) {
    const u32 *bytes = (const u32 *)low;
    if (!as_half) {
        for (int i = 0; i < 4; i++) words[i] ^= bytes[i];
        return;
    }
    for (int i = 0; i < 4; i++) {
        u32 pair = bytes[i >> 1] >> (16 * (i & 1));
        words[i] ^= (pair & 0xffu) | ((pair & 0xff00u) << 8);
    }
}

// As expand_a, with the low bits of each entry xor the low bytes of the product before. A window is a whole number of
// quads; `width` is its columns.
extern "C" __global__ void expand_linked(
    u64 key0, u64 key1, u64 key2, u64 key3, u64 maps0, u64 maps1, u64 maps2, u64 maps3, Quad *out, const u8 *low,
    u32 blocks, u32 as_half, u32 size, u32 width) {
    u32 block = blockIdx.x * blockDim.x + threadIdx.x;
    if (block >= blocks) return;
    const u64 maps[4] = {maps0, maps1, maps2, maps3};
    u32 stream[16], entries = as_half ? 8u : 16u, per_row = size / (4 * entries);
    u32 row = block / per_row, column = block % per_row * 4 * entries;
    chacha20(key_of(key0, key1, key2, key3), block, stream);
    for (u32 q = 0; q < 4; q++) {
        u32 first = column + q * entries, source = source_of(maps, first / width, row, size);
        take_low(stream + 4 * q, low + (u64)source * size + first, as_half);
        Quad quad;
        for (int i = 0; i < 4; i++) quad.word[i] = as_half ? two_halves(stream[4 * q + i]) : stream[4 * q + i];
        out[(u64)block * 4 + q] = quad;
    }
}

// B transposed, as the GEMM wants it. A thread takes one block of one row; neighbours take neighbouring rows, so that
// what they write lies side by side.
extern "C" __global__ void expand_b(
    u64 key0, u64 key1, u64 key2, u64 key3, void *out, u32 size, u32 as_half) {
    u32 row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= size) return;
    u32 columns = as_half ? 128u : 64u, per_row = size / columns, part = blockIdx.y;
    u32 stream[16];
    chacha20(key_of(key0, key1, key2, key3), row * per_row + part, stream);
    for (u32 j = 0; j < columns; j++) {
        u64 at = (u64)(part * columns + j) * size + row;
        if (as_half) {
            u32 nibble = (stream[j >> 3] >> (4 * (j & 7))) & 15u;
            ((u16 *)out)[at] = half_bits((short)((int)(nibble ^ 8u) - 8));
        } else {
            ((u8 *)out)[at] = (u8)(stream[j >> 2] >> (8 * (j & 3)));
        }
    }
}

// An entry of C as a 32-bit integer; it is held as float or as int.
__device__ __forceinline__ u32 integer_of(u32 bits, u32 is_float) {
    return is_float ? (u32)(int)float_of(bits) : bits;
}

__device__ __forceinline__ u64 mix64(u64 x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

// The low bytes of four entries.
__device__ __forceinline__ u32 four_bytes(const Quad &entries, u32 is_float) {
    u32 bytes = 0;
    for (int i = 0; i < 4; i++) bytes |= (integer_of(entries.word[i], is_float) & 0xffu) << (8 * i);
    return bytes;
}

// TOGETHER rows for each block of threads. Digests start at zero and lie `stride` words apart; the low bytes of C go to
// `bytes` on the way, if it is not null.
extern "C" __global__ void digest_rows(
    const Quad *c, const u64 *keys, u64 *digests, u32 *bytes, u32 size, u32 is_float, u32 stride) {
    u32 first = blockIdx.x * TOGETHER;
    u64 sums[TOGETHER] = {0};
    for (u32 j = 4 * threadIdx.x; j < size; j += 4 * blockDim.x) {
        Pair low = *(const Pair *)(keys + j), high = *(const Pair *)(keys + j + 2);
        for (u32 r = 0; r < TOGETHER; r++) {
            Quad entries = c[((u64)(first + r) * size + j) / 4];
            sums[r] += mix64(integer_of(entries.word[0], is_float) ^ low.word[0]);
            sums[r] += mix64(integer_of(entries.word[1], is_float) ^ low.word[1]);
            sums[r] += mix64(integer_of(entries.word[2], is_float) ^ high.word[0]);
            sums[r] += mix64(integer_of(entries.word[3], is_float) ^ high.word[1]);
            if (bytes) bytes[((u64)(first + r) * size + j) / 4] = four_bytes(entries, is_float);
        }
    }
    for (u32 r = 0; r < TOGETHER; r++) add_to(&digests[(u64)(first + r) * stride], sums[r]);
}

__device__ __forceinline__ u64 mix_block(u64 word, u64 key) {
    u64 x = (word ^ key) * 0x9e3779b97f4a7c15ull;
    return x ^ (x >> 32);
}

// TOGETHER blocks of kept memory for each block of threads. `digests` starts at zero.
extern "C" __global__ void digest_blocks(const u64 *tiles, const u64 *keys, u64 *digests, u32 words) {
    u32 first = blockIdx.x * TOGETHER;
    const u64 *mine = tiles + (u64)first * words;
    u64 sums[TOGETHER] = {0};
    for (u32 i = 2 * threadIdx.x; i < words; i += 2 * blockDim.x) {
        Pair key = *(const Pair *)(keys + i), read[TOGETHER];
        for (u32 b = 0; b < TOGETHER; b++) read[b] = *(const Pair *)(mine + (u64)b * words + i);
        for (u32 b = 0; b < TOGETHER; b++)
            sums[b] += mix_block(read[b].word[0], key.word[0]) + mix_block(read[b].word[1], key.word[1]);
    }
    for (u32 b = 0; b < TOGETHER; b++) add_to(&digests[first + b], sums[b]);
}

__device__ __forceinline__ u32 low_halves(u32 first, u32 second, u32 is_float) {
    return (integer_of(first, is_float) & 0xffffu) | (integer_of(second, is_float) << 16);
}

// The low 16 bits of eight entries for each thread.
extern "C" __global__ void keep_low(const Quad *c, Quad *tile, u64 eights, u32 is_float) {
    u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= eights) return;
    Quad a = c[2 * i], b = c[2 * i + 1], kept;
    kept.word[0] = low_halves(a.word[0], a.word[1], is_float);
    kept.word[1] = low_halves(a.word[2], a.word[3], is_float);
    kept.word[2] = low_halves(b.word[0], b.word[1], is_float);
    kept.word[3] = low_halves(b.word[2], b.word[3], is_float);
    tile[i] = kept;
}

// The low bytes of four entries for each thread.
extern "C" __global__ void keep_bytes(const Quad *c, u32 *low, u64 fours, u32 is_float) {
    u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < fours) low[i] = four_bytes(c[i], is_float);
}

__device__ __forceinline__ u64 turned(u64 x, int by) { return (x << by) | (x >> (64 - by)); }

// One round of SipHash.
__device__ __forceinline__ void sip_round(u64 &a, u64 &b, u64 &c, u64 &d) {
    a += b; c += d;
    b = turned(b, 13) ^ a; d = turned(d, 16) ^ c;
    a = turned(a, 32);
    c += b; a += d;
    b = turned(b, 17) ^ c; d = turned(d, 21) ^ a;
    c = turned(c, 32);
}

// SipHash-1-3 of each window of `words` words: a thread for each, `links` to a row. They go `head` words into the row's
// leaf; leaves are `stride` words apart.
extern "C" __global__ void digest_windows(
    const u64 *low, u64 key0, u64 key1, u64 *leaves, u32 windows, u32 words, u32 links, u32 head, u32 stride) {
    u32 index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= windows) return;
    u64 a = key0 ^ 0x736f6d6570736575ull, b = key1 ^ 0x646f72616e646f6dull;
    u64 c = key0 ^ 0x6c7967656e657261ull, d = key1 ^ 0x7465646279746573ull;
    const Pair *mine = (const Pair *)(low + (u64)index * words);
    for (u32 i = 0; i < words / 2; i++) {
        Pair pair = mine[i];
        for (int j = 0; j < 2; j++) {
            d ^= pair.word[j];
            sip_round(a, b, c, d);
            a ^= pair.word[j];
        }
    }
    u64 ended = (u64)(8 * words & 255u) << 56;
    d ^= ended;
    sip_round(a, b, c, d);
    a ^= ended;
    c ^= 0xff;
    for (int i = 0; i < 3; i++) sip_round(a, b, c, d);
    leaves[(u64)(index / links) * stride + head + index % links] = a ^ b ^ c ^ d;
}

// C as int32, in place.
extern "C" __global__ void as_integers(int *c, u64 count) {
    u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) c[i] = (int)((const float *)c)[i];
}

__device__ __forceinline__ u32 rotate_right(u32 x, int by) { return (x >> by) | (x << (32 - by)); }

__device__ __forceinline__ u32 swapped(u32 x) {
    return (x << 24) | ((x & 0xff00u) << 8) | ((x >> 8) & 0xff00u) | (x >> 24);
}

// FIPS 180-4, section 6.2.2.
__device__ void sha256_block(u32 *state, const u32 *message) {
    const u32 k[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
        0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
        0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
        0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
        0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
        0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
    u32 w[16], s[8];
    for (int i = 0; i < 16; i++) w[i] = message[i];
    for (int i = 0; i < 8; i++) s[i] = state[i];
    for (int i = 0; i < 64; i++) {
        if (i >= 16) {
            u32 a = w[(i + 1) & 15], b = w[(i + 14) & 15];
            w[i & 15] += (rotate_right(a, 7) ^ rotate_right(a, 18) ^ (a >> 3)) + w[(i + 9) & 15] +
                         (rotate_right(b, 17) ^ rotate_right(b, 19) ^ (b >> 10));
        }
        u32 first = s[7] + (rotate_right(s[4], 6) ^ rotate_right(s[4], 11) ^ rotate_right(s[4], 25)) +
                    ((s[4] & s[5]) ^ (~s[4] & s[6])) + k[i] + w[i & 15];
        u32 second = (rotate_right(s[0], 2) ^ rotate_right(s[0], 13) ^ rotate_right(s[0], 22)) +
                     ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        for (int j = 7; j > 0; j--) s[j] = s[j - 1];
        s[4] += first;
        s[0] = first + second;
    }
    for (int i = 0; i < 8; i++) state[i] += s[i];
}

// SHA-256 of a tag word and then `words` little-endian words, one message for each thread. Hashes lie `stride` words
// apart.
extern "C" __global__ void hash_messages(
    const u32 *data, u32 *out, u32 messages, u32 words, u32 tag, u32 stride) {
    u32 index = blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= messages) return;
    const u32 *mine = data + (u64)index * words;
    u32 state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    u32 total = (words + 1 + 3 + 15) / 16 * 16, block[16];
    for (u32 i = 0; i < total; i++) {
        u32 word = 0;
        if (i == 0) word = tag;
        else if (i <= words) word = swapped(mine[i - 1]);
        else if (i == words + 1) word = 0x80000000u;
        else if (i == total - 1) word = 32 * (words + 1);
        block[i & 15] = word;
        if ((i & 15) == 15) sha256_block(state, block);
    }
    for (int i = 0; i < 8; i++) out[(u64)index * stride + i] = swapped(state[i]);
}
"""

SOURCE = DEVICE + KERNELS
TOGETHER = 8
"""Rows, or blocks of memory, for each block of threads of `digest_rows` and `digest_blocks`."""
NAMES = (
    "expand_a",
    "expand_linked",
    "expand_b",
    "digest_rows",
    "digest_blocks",
    "digest_windows",
    "keep_low",
    "keep_bytes",
    "as_integers",
    "hash_messages",
)


def source_hash() -> bytes:
    """SHA-256 of what is compiled: the policy of a contract may name it."""
    return hashlib.sha256(SOURCE.encode()).digest()
