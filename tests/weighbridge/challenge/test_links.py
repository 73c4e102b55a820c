"""Rows that take bytes of the round before: against an independent slow definition, and against provers that do without
the whole of it."""

from dataclasses import replace
from math import gcd
from typing import Any

import numpy as np
import pytest

from agent.probe.cpu import CpuEngine
from tests.weighbridge.challenge.test_cheats import passes, within_four_deviations
from weighbridge.challenge import arithmetic
from weighbridge.challenge.codec import encode
from weighbridge.challenge.commitment import LINKED_ROWS, opening_bytes
from weighbridge.challenge.derivation import digest_key
from weighbridge.challenge.hashing import fields_hash
from weighbridge.challenge.keystream import keystream
from weighbridge.challenge.links import Row, source_rows, window_maps
from weighbridge.challenge.messages import Openings
from weighbridge.challenge.policy import Policy, PolicyError
from weighbridge.challenge.profiles import PROFILES
from weighbridge.challenge.rowhash import row_hash
from weighbridge.challenge.siphash import siphash
from weighbridge.challenge.sizes import LARGEST_ANSWER_BYTES, largest_openings, require_deliverable
from weighbridge.challenge.transcript import recorded
from weighbridge.challenge.verdict import ChallengeVerdict, VerdictReason

SEEDS, N = 60, 128
KEYS = [bytes([place]) * 32 for place in range(3)]
KEY_OF_B = b"b" * 32
WORD = 1 << 64


@pytest.mark.parametrize(
    ("rounds", "expected"),
    [
        (
            (2, 4),
            "310e0edd47db6f72 6224939a79f5f593 db9bc2577fcc2a3f 94af49f6c650adb8"
            " ce7cf2722f512771 d0a704536ba93e0e 51a9cb9ecba312e6 bd838d3aafbf8db7",
        ),
        (
            (1, 3),
            "dcc40f055801acab 8e9a298d11959036 668b907d1add4fcc 8c9c3467b2ae64f4"
            " 0db6a7166c7b1581 3115e4993236d2c1 464c07dff843319f 756d3c24dbc0bcb4",
        ),
    ],
)
def test_siphash_is_that_of_the_published_vectors(rounds: tuple[int, int], expected: str) -> None:
    """Of the bytes 0, 1, 2 and so on in whole words: SipHash-2-4 as in `vectors.h` of github.com/veorq/SipHash, and
    SipHash-1-3 as in `library/coretests/tests/hash/sip.rs` of github.com/rust-lang/rust."""
    key = np.frombuffer(bytes(range(16)), dtype="<u8").reshape(1, 2)
    found = [
        siphash(key, np.frombuffer(bytes(range(8 * words)), dtype="<u8").reshape(1, -1), *rounds)
        for words in range(8)
    ]
    assert [one.astype("<u8").tobytes().hex() for one in found] == expected.split()


def slow_siphash_1_3(key: bytes, message: bytes) -> bytes:
    """From the paper, with Python's integers, one byte string at a time."""
    halves = [int.from_bytes(key[at : at + 8], "little") for at in (0, 8)]
    a, b, c, d = (
        halves[place % 2]
        ^ int.from_bytes(b"somepseudorandomlygeneratedbytes"[8 * place :][:8], "big")
        for place in range(4)
    )

    def turned(word: int, by: int) -> int:
        return (word << by | word >> (64 - by)) % WORD

    def mixed(a: int, b: int, c: int, d: int) -> tuple[int, int, int, int]:
        a, c = (a + b) % WORD, (c + d) % WORD
        b, d, a = turned(b, 13) ^ a, turned(d, 16) ^ c, turned(a, 32)
        c, a = (c + b) % WORD, (a + d) % WORD
        return a, turned(b, 17) ^ c, turned(c, 32), turned(d, 21) ^ a

    padded = message + bytes(7 - len(message) % 8) + bytes([len(message) % 256])
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at : at + 8], "little")
        a, b, c, d = mixed(a, b, c, d ^ word)
        a ^= word
    c ^= 255
    for _ in range(3):
        a, b, c, d = mixed(a, b, c, d)
    return (a ^ b ^ c ^ d).to_bytes(8, "little")


def slow_maps(key: bytes, links: int) -> list[tuple[int, int]]:
    """Drawn word by word: N divides 2^64, so nothing is rejected but factors that share one with it."""
    stream = keystream(fields_hash("links", key), 0, 4096)
    numbers = (int.from_bytes(stream[at : at + 8], "little") % N for at in range(0, 4096, 8))
    found = []
    for _ in range(links):
        factor = next(number for number in numbers if gcd(number, N) == 1)
        found.append((factor, next(numbers)))
    return found


def slow_operand(profile: str, key: bytes, links: int, before: Any) -> Any:
    """A, entry after entry."""
    maps, wide = slow_maps(key, links), PROFILES[profile].a_bits // 8
    stream = keystream(key, 0, N * N * wide)
    rows = np.zeros((N, N), dtype=np.int64)
    for i in range(N):
        for j in range(N):
            at = (i * N + j) * wide
            entry = int.from_bytes(stream[at : at + wide], "little")
            if before is not None:
                factor, shift = maps[j * links // N]
                entry ^= int(before[(factor * i + shift) % N, j]) & 255
            if profile == "f16":
                rows[i, j] = (entry & 0x7FF) * (-1 if entry & 0x8000 else 1)
            else:
                rows[i, j] = entry - 256 * (entry >= 128)
    return rows


def slow_leaves(check: str, key: bytes, links: int, product: Any) -> bytes:
    columns = arithmetic.column_keys(digest_key(key), N)
    wide, leaves = N // links, b""
    for row in product.astype(np.int32):
        head = arithmetic.row_digest(row, columns).to_bytes(8, "little")
        leaves += row_hash(row.astype("<i4").tobytes()) if check == "freivalds" else head
        low = bytes(int(entry) & 255 for entry in row)
        sip_key = fields_hash("W", key)[:16]
        leaves += b"".join(
            slow_siphash_1_3(sip_key, low[at : at + wide]) for at in range(0, N, wide)
        )
    return leaves


@pytest.mark.parametrize(
    ("profile", "check", "links"),
    [
        ("f16", "recompute", 2),
        ("f16", "freivalds", 4),
        ("i8", "recompute", 8),
        ("i8", "freivalds", 4),
    ],
)
def test_every_row_of_a_linked_chain_is_that_of_a_slow_definition(
    profile: str, check: str, links: int
) -> None:
    policy = Policy(profile, N, 3, 1, check, links=links)
    engine = CpuEngine()
    engine.prepare(policy)
    engine.load_b(KEY_OF_B)
    engine.unlink()
    b = arithmetic.rows_of_b(policy.operands, N, KEY_OF_B, 0, N).astype(np.int64)
    before: Any = None
    for key in KEYS:
        product = slow_operand(profile, key, links, before) @ b
        assert engine.row(key, 77) == product[77].astype("<i4").tobytes()
        assert engine.round(key, None) == slow_leaves(check, key, links, product)
        before = product
    assert engine.taken(KEYS[0], 5) == bytes(
        int(before[(factor * 5 + shift) % N, j]) & 255
        for j in range(N)
        for factor, shift in [slow_maps(KEYS[0], links)[j * links // N]]
    )


@pytest.mark.parametrize("size", [128, 384, 640, 13440])
def test_each_window_has_a_permutation_of_all_rows(size: int) -> None:
    maps = window_maps(KEYS[1], size, 8)
    assert len(set(maps)) == 8
    sources = zip(*(source_rows(maps, size, row) for row in range(size)), strict=True)
    assert all(sorted(window) == list(range(size)) for window in sources)


def test_where_rows_take_their_windows_follows_from_the_key_of_the_round() -> None:
    maps = [window_maps(bytes([place]) * 32, 1024, 4) for place in range(250)]
    assert len(set(maps)) == 250
    shifts = [shift for one in maps for _, shift in one]
    assert abs(sum(shifts) / len(shifts) - 511.5) < 50


@pytest.mark.parametrize("profile", PROFILES.values())
def test_bytes_that_are_taken_leave_the_distribution_of_the_operand_as_it_is(profile: Any) -> None:
    """Whatever byte it is, its xor permutes the words of a keystream, and their values as integers: what holds of A
    without links holds with them, the exactness of sums among it, since the keystream is independent of the round
    before."""
    every = np.arange(1 << profile.a_bits, dtype="<u2" if profile.a_bits == 16 else np.uint8)
    plain = np.sort(arithmetic.widen_a(profile, every.tobytes()))
    for byte in range(256):
        data = arithmetic.with_low(profile, every.tobytes(), bytes([byte]) * len(every))
        assert np.array_equal(np.sort(arithmetic.widen_a(profile, data)), plain)


@pytest.mark.parametrize("profile", PROFILES.values())
def test_linked_operands_have_the_range_and_the_mean_square_that_the_bound_assumes(
    profile: Any,
) -> None:
    size = 512
    b = arithmetic.rows_of_b(profile, size, KEY_OF_B, 0, size)
    low = arithmetic.low_bytes(
        (arithmetic.rows_of_a(profile, size, whole(size), 0, size) @ b).astype(np.int32)
    )
    rows = [
        Row(KEYS[1], row, arithmetic.taken(low, KEYS[1], 4, [row]).tobytes()) for row in range(size)
    ]
    left = arithmetic.rows_of_a(profile, size, rows, 0, size)
    assert abs(left).max() == profile.largest_a
    assert abs(float((left**2).mean()) / float(profile.mean_square_a) - 1) < 0.01
    assert abs(float(np.corrcoef(left.ravel(), low.ravel())[0, 1])) < 0.01


def whole(size: int) -> list[Row]:
    return [Row(KEYS[0], row) for row in range(size)]


def linked(bench: Any, **changes: Any) -> Any:
    return bench.policy(**({"links": 4, "samples": 2} | changes))


@pytest.mark.parametrize("profile", ["f16", "i8"])
@pytest.mark.parametrize("check", ["recompute", "freivalds"])
@pytest.mark.parametrize("links", [2, 4, 8])
def test_an_honest_prover_of_a_linked_chain_is_met(
    bench: Any, profile: str, check: str, links: int
) -> None:
    policy = linked(bench, profile=profile, check=check, links=links, samples=16, rounds=3)
    result, _ = bench.run(bench.plan(policy))
    assert (result.verdict, result.reason) == (ChallengeVerdict.MET, None)


def test_bytes_are_taken_from_a_slab_of_any_place(bench: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(arithmetic, "STREAM_ROWS", 128)
    result, _ = bench.run(bench.plan(linked(bench, size=384, samples=8)))
    assert result.verdict is ChallengeVerdict.MET


class IgnoresLinks(CpuEngine):
    """Multiplies the keystream as it is: rounds that cards could share out, row by row."""

    def _taken(self, key: Any, first: Any, count: Any) -> Any:
        return super()._taken(key, first, count) if self.opening else b""

    opening = False

    def taken(self, key: Any, index: Any) -> Any:
        self.opening = True
        try:
            return super().taken(key, index)
        finally:
            self.opening = False


class AnotherWindow(IgnoresLinks):
    """Takes the bytes of the row that the next window would take."""

    def _taken(self, key: Any, first: Any, count: Any) -> Any:
        right = CpuEngine._taken(self, key, first, count)
        if self.opening or self._low is None:
            return right
        maps, rows = window_maps(key, N, 4), np.arange(first, first + count)
        wide = N // 4
        parts = []
        for window in range(4):
            factor, shift = maps[(window + 1) % 4]
            parts.append(
                self._low[(factor * rows + shift) % N, wide * window : wide * (window + 1)]
            )
        return np.concatenate(parts, axis=1).tobytes()


@pytest.mark.parametrize("engine", [IgnoresLinks, AnotherWindow])
@pytest.mark.parametrize("check", ["recompute", "freivalds"])
def test_a_prover_without_the_right_bytes_passes_in_the_first_round_alone(
    bench: Any, engine: Any, check: str
) -> None:
    policy = linked(bench, check=check)
    assert within_four_deviations(passes(bench, policy, SEEDS, engine=engine), SEEDS, 0.5**2)
    many, _ = bench.run(
        bench.plan(linked(bench, samples=400, rounds=4, check=check)), engine=engine
    )
    assert many.reason is VerdictReason.WRONG_ANSWER
    assert within_four_deviations(many.gpus[0].wrong_samples, 400, 0.75)


class Lineages(IgnoresLinks):
    """Two cards with half of the rows each: what lies on the other one is taken from a row of the own half."""

    def _taken(self, key: Any, first: Any, count: Any) -> Any:
        if self.opening or self._low is None:
            return CpuEngine._taken(self, key, first, count)
        half, maps, wide = N // 2, window_maps(key, N, 4), N // 4
        taken = np.zeros((count, N), dtype=np.uint8)
        for row in range(first, first + count):
            for window, (factor, shift) in enumerate(maps):
                source = (factor * row + shift) % half + half * (row >= half)
                columns = slice(wide * window, wide * (window + 1))
                taken[row - first, columns] = self._low[source, columns]
        return taken.tobytes()


def test_rows_that_keep_to_their_card_are_right_only_where_every_window_lies_there(
    bench: Any,
) -> None:
    """One row in 2^4, of those that take anything."""
    share = (1 + 0.5**4) / 2
    passed = passes(bench, linked(bench), SEEDS, engine=Lineages)
    assert within_four_deviations(passed, SEEDS, share**2)
    many, _ = bench.run(bench.plan(linked(bench, samples=400)), engine=Lineages)
    assert within_four_deviations(many.gpus[0].wrong_samples, 400, 1 - share)


class FakesWindows(CpuEngine):
    """Guesses the window digests of a quarter of the rows, of which it has the products."""

    def _leaves(self, product: Any, key: Any) -> Any:
        random = np.random.default_rng(int.from_bytes(key[:8], "little"))
        leaves = np.frombuffer(super()._leaves(product, key), dtype=np.uint8).reshape(N, -1).copy()
        faked = random.permutation(N)[: N // 4]
        leaves[faked, -32:] = random.integers(0, 256, (len(faked), 32), dtype=np.uint8)
        return leaves.tobytes()


def test_false_window_digests_fail_their_row_and_each_row_that_takes_of_it(bench: Any) -> None:
    share = (0.75 + 0.75**5) / 2
    passed = passes(bench, linked(bench), SEEDS, engine=FakesWindows)
    assert within_four_deviations(passed, SEEDS, share**2)
    many, _ = bench.run(bench.plan(linked(bench, samples=400)), engine=FakesWindows)
    assert within_four_deviations(many.gpus[0].wrong_samples, 400, 1 - share)


class PartOfTheRound(CpuEngine):
    """Computes three quarters of each round's rows, and takes zeros for the others, to which it also commits."""

    def _product(self, key: Any) -> Any:
        product = super()._product(key).copy()
        random = np.random.default_rng(int.from_bytes(key[:8], "little"))
        product[random.permutation(N)[: N // 4]] = 0
        return product


@pytest.mark.parametrize("samples", [2, 8])
def test_part_of_a_round_passes_as_often_as_the_samples_miss_the_rest(
    bench: Any, samples: int
) -> None:
    policy = linked(bench, samples=samples)
    passed = passes(bench, policy, SEEDS, engine=PartOfTheRound)
    assert within_four_deviations(passed, SEEDS, bench.undetected(0.25, policy))


def altered(place: int) -> Any:
    """One bit of the first sample's opening, that many bytes from the front."""

    def alter(message: Any) -> Any:
        if not isinstance(message, Openings):
            return message
        data = bytearray(message.openings[0][0])
        data[place] ^= 1
        return replace(message, openings=((bytes(data),),))

    return alter


def in_a_later_round(bench: Any, policy: Any) -> Any:
    """A plan whose first sample lies in a round that takes."""
    for seed in range(99):
        _, challenger = bench.run(bench.plan(policy, seed=seed))
        transcript = challenger.transcript()
        opened = recorded(transcript, transcript.openings, Openings)
        leaf = opening_bytes(N, policy.leaf_bytes, 0, LINKED_ROWS)
        if opened is not None and len(opened.openings[0][0]) == 5 * leaf + N:
            return bench.plan(policy, seed=seed), leaf
    raise AssertionError("no seed of 99")


def test_other_bytes_or_another_leaf_than_were_committed_are_caught(bench: Any) -> None:
    policy = linked(bench, samples=1)
    plan, leaf = in_a_later_round(bench, policy)
    reasons = {
        place: bench.run(plan, after=altered(place))[0].reason
        for place in (0, leaf, leaf + N - 1, leaf + N, leaf + N + 4 * leaf - 1)
    }
    wrong, unopened = VerdictReason.WRONG_ANSWER, VerdictReason.BAD_OPENING
    assert list(reasons.values()) == [unopened, wrong, wrong, unopened, unopened]


@pytest.mark.parametrize("cut", [0, 100, 5000])
def test_openings_that_are_cut_are_a_bad_opening_and_end_no_verification(
    bench: Any, cut: int
) -> None:
    def stump(message: Any) -> Any:
        if not isinstance(message, Openings):
            return message
        return replace(message, openings=((message.openings[0][0][:cut],),))

    for check in ("recompute", "freivalds"):
        result, _ = bench.run(bench.plan(linked(bench, samples=4, check=check)), after=stump)
        assert result.reason is VerdictReason.BAD_OPENING


@pytest.mark.parametrize("check", ["recompute", "freivalds"])
def test_openings_are_as_large_as_is_taken_and_no_larger(bench: Any, check: str) -> None:
    policy = linked(bench, samples=40, check=check)
    _, challenger = bench.run(bench.plan(policy))
    openings = challenger.transcript().openings
    assert openings is not None
    unlinked = 40 * 0.5 * (4 * opening_bytes(N, policy.leaf_bytes, 0, LINKED_ROWS) + N) * 16 / 9
    assert 0 <= largest_openings(policy, 1) - len(openings) < 2 * unlinked


def test_openings_of_the_usual_challenge_of_eight_gpus_are_taken() -> None:
    """34 kB a row: 16 KiB of bytes that were taken, and five openings of 3.5 KiB."""
    policy = Policy("f16", 16384, 400, 128, links=4)
    assert opening_bytes(16384, policy.leaf_bytes, 0, LINKED_ROWS) == 64 * 40 + 2 * 16 * 32
    assert 0.8 * LARGEST_ANSWER_BYTES < largest_openings(policy, 8) <= LARGEST_ANSWER_BYTES
    with pytest.raises(PolicyError, match="fewer samples"):
        require_deliverable(replace(policy, samples=160), 8)


@pytest.mark.parametrize("links", [1, 3, 16, -2])
def test_other_numbers_of_links_are_refused(links: int) -> None:
    with pytest.raises(PolicyError, match="links"):
        Policy("f16", N, 2, 8, links=links)


def test_a_policy_without_links_is_written_as_before_there_were_any() -> None:
    assert b"links" not in encode(Policy("f16", N, 2, 8))


def filled(bench: Any, **changes: Any) -> Any:
    return bench.passes_policy(**({"links": 4, "memory_samples": 32} | changes))


def test_kept_products_of_a_linked_chain_are_made_in_a_phase_of_their_own(bench: Any) -> None:
    policy = filled(bench)
    assert policy.phases(2) == ("chain", "fill", "memory", "peer")
    for gpus in (("GPU-a",), ("GPU-a", "GPU-b", "GPU-c")):
        result, challenger = bench.run(bench.plan(policy, gpus))
        assert result.verdict is ChallengeVerdict.MET
        assert len(set(challenger.plan.nonces)) == len(policy.phases(len(gpus)))


def test_the_rate_is_of_the_chain_alone(bench: Any) -> None:
    """However long the filling takes."""
    rates = []
    for fill_ns in (1_000_000, 900_000_000):
        device = bench.Device()
        device.scan_ns = fill_ns
        result, _ = bench.run(bench.plan(filled(bench)), devices=[device])
        rates.append(result.gpus[0].measure.flops_per_second)
    assert rates[0] == rates[1] > 0


@pytest.mark.parametrize(("step_ns", "held"), [(14_000_000, True), (30_000_000, False)])
def test_who_waits_before_it_fills_shows_no_memory(bench: Any, step_ns: int, held: bool) -> None:
    """Else a card that was sold twice fills and reads for one node while the other one waits: nothing else is timed."""
    device = bench.Device(scan_ns=step_ns)
    asked = {"required_memory_bytes": 1, "required_memory_bytes_per_second": 1}
    policy = filled(bench, ceiling_flops_per_second=200_000_000, stall_allowance_ms=5, **asked)
    result, _ = bench.run(bench.plan(policy), devices=[device])
    reason = None if held else VerdictReason.TOO_LITTLE_MEMORY
    assert (result.reason, result.gpus[0].measure.memory_bytes > 0) == (reason, held)


class KeepsTheChain(CpuEngine):
    """Fills its memory with products of another key, which it had before the release."""

    def round(self, key: Any, keep: Any) -> Any:
        return super().round(KEYS[0] if keep is not None else key, keep)


def test_memory_is_sampled_from_what_the_filling_made(bench: Any) -> None:
    result, _ = bench.run(bench.plan(filled(bench)), engine=KeepsTheChain)
    assert result.reason is VerdictReason.WRONG_ANSWER
    assert result.gpus[0].wrong_samples == 32
