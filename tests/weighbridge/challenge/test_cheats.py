"""Dishonest provers against the whole exchange, each caught as often as the arithmetic says."""

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agent.probe.cpu import CpuEngine
from collector.challenges.schedule import some_of
from tests.weighbridge.challenge.conducting import conduct
from weighbridge.challenge import arithmetic
from weighbridge.challenge.challenger import Challenger
from weighbridge.challenge.derivation import digest_key
from weighbridge.challenge.messages import Openings, Prepare, Release, Roots
from weighbridge.challenge.rowhash import row_hash
from weighbridge.challenge.verdict import ChallengeVerdict, VerdictReason, series_of

SEEDS = 150


class Cheat(CpuEngine):
    """An engine that may answer other leaves than the product's."""

    def leaves_of(self, product: Any, key: Any) -> Any:
        return CpuEngine._leaves(self, product, key)

    def _leaves(self, product: Any, key: Any) -> Any:
        return self.leaves_of(product, key)


class SkipsRows(Cheat):
    """Computes a share of the rows of each round, and guesses the others' digests."""

    share = 0.0

    def leaves_of(self, product: Any, key: Any) -> Any:
        random = np.random.default_rng(int.from_bytes(key[:8], "little"))
        width = self._prepared().leaf_bytes
        leaves = (
            np.frombuffer(super().leaves_of(product, key), dtype=np.uint8).reshape(-1, width).copy()
        )
        skipped = random.permutation(len(leaves))[: round(self.share * len(leaves))]
        leaves[skipped] = random.integers(0, 256, (len(skipped), width), dtype=np.uint8)
        return leaves.tobytes()


def noting(seen: list[Any]) -> Any:
    def note(message: Any) -> Any:
        seen.append(message)
        return message

    return note


def skipping(share: Any) -> Any:
    return type("Skipping", (SkipsRows,), {"share": share})


def within_four_deviations(count: Any, trials: Any, probability: Any) -> Any:
    deviation = (trials * probability * (1 - probability)) ** 0.5
    return abs(count - trials * probability) <= 4 * deviation + 1


def passes(bench: Any, policy: Any, seeds: Any = SEEDS, **how: Any) -> Any:
    results = [bench.run(bench.plan(policy, seed=seed), **how)[0] for seed in range(seeds)]
    assert {result.verdict for result in results} <= {ChallengeVerdict.MET, ChallengeVerdict.FAILED}
    return sum(result.verdict is ChallengeVerdict.MET for result in results)


@pytest.mark.parametrize("check", ["recompute", "freivalds"])
@pytest.mark.parametrize(("share", "samples"), [(0.0625, 8), (0.125, 8), (0.25, 4), (0.25, 16)])
def test_skipped_rows_pass_as_often_as_the_samples_miss_them(
    bench: Any, check: Any, share: Any, samples: Any
) -> None:
    policy = bench.policy(check=check, samples=samples)
    passed = passes(bench, policy, engine=skipping(share))
    assert within_four_deviations(passed, SEEDS, bench.undetected(share, policy))


@pytest.mark.parametrize("profile", ["f16", "i8"])
def test_the_share_that_a_pass_rules_out_is_really_caught(bench: Any, profile: Any) -> None:
    policy = bench.policy(profile=profile, samples=64, doubt_parts_per_billion=10_000_000)
    result, _ = bench.run(bench.plan(policy))
    share = (result.gpus[0].measure.wrong_cells_bound + 8) / policy.cells
    assert passes(bench, policy, engine=skipping(share), seeds=60) <= 4


def test_wrong_samples_are_as_many_as_the_skipped_share(bench: Any) -> None:
    policy = bench.policy(samples=512)
    result, _ = bench.run(bench.plan(policy), engine=skipping(0.25))
    assert within_four_deviations(result.gpus[0].wrong_samples, 512, 0.25)


class SkipsBlocks(Cheat):
    """Does not read a share of the kept blocks in each pass."""

    def scan(self, key: Any, first: Any, tiles: Any, peer: Any) -> Any:
        random = np.random.default_rng(int.from_bytes(key[:8], "little"))
        digests = np.frombuffer(super().scan(key, first, tiles, peer), dtype=np.uint64).copy()
        skipped = random.permutation(len(digests))[: len(digests) // 4]
        digests[skipped] = random.integers(0, 1 << 63, len(skipped))
        return digests.tobytes()


@pytest.mark.parametrize("gpus", [("GPU-a",), ("GPU-a", "GPU-b")])
def test_unread_memory_passes_as_often_as_the_samples_miss_it(bench: Any, gpus: Any) -> None:
    policy = bench.passes_policy(memory_samples=3, peer_samples=3)
    plans = [bench.plan(policy, gpus, seed=seed) for seed in range(80)]
    passed = sum(
        bench.run(plan, engine=SkipsBlocks)[0].verdict is ChallengeVerdict.MET for plan in plans
    )
    samples = sum(3 * len(gpus) for _ in plans[0].phases[1:])
    assert within_four_deviations(passed, 80, 0.75**samples)


class ForgetsTiles(Cheat):
    """Claims to keep every product, and keeps the first alone."""

    def round(self, key: Any, keep: Any) -> Any:
        return super().round(key, 0 if keep == 0 else None)


def test_memory_that_was_never_filled_is_caught(bench: Any) -> None:
    policy = bench.passes_policy(memory_samples=32)
    result, _ = bench.run(bench.plan(policy), engine=ForgetsTiles)
    assert (result.verdict, result.reason) == (ChallengeVerdict.FAILED, VerdictReason.WRONG_ANSWER)


def regenerating(bench: Any, device: Any) -> Any:
    """Keeps nothing, and multiplies again whenever a pass asks: right answers, each at the price of its products."""

    class Slow(bench.TimedSeat):  # type: ignore[misc]
        def begin(self, release: Any) -> Any:
            if release.phase != "chain":
                self.device.scan_ns = device.round_ns * self._request.policy.tiles
            super().begin(release)

    return Slow


def test_memory_remade_instead_of_stored_proves_no_memory(bench: Any) -> None:
    policy = bench.passes_policy(
        memory_samples=256,
        required_memory_bytes=64 * 1024,
        required_memory_bytes_per_second=1,
        ceiling_flops_per_second=2 * 128**3 * 1000 // 10,
    )
    honest, _ = bench.run(bench.plan(policy))
    assert honest.verdict is ChallengeVerdict.MET
    device = bench.Device()
    plan, clock = bench.plan(policy), bench.Clock()
    wire = bench.wire(plan, clock, devices=[device])
    gpu_prover = regenerating(bench, device)("GPU-a", CpuEngine(), lambda: None).on(device, clock)
    wire.prover.gpu_provers = [gpu_prover]
    result = conduct(Challenger(plan), wire, clock)
    measure = result.gpus[0].measure
    assert measure is not None
    assert measure.memory_bytes == 0
    assert result.reason is VerdictReason.TOO_LITTLE_MEMORY


def test_what_a_device_can_cache_is_not_counted_as_read_from_a_peer(bench: Any) -> None:
    gpus, rates = ("GPU-a", "GPU-b"), []
    window = 2 * 128 * 128
    for memory in (1, 1 + window, 10 * window):
        policy = bench.passes_policy(peer_samples=512, device_memory_bytes=memory)
        result, _ = bench.run(bench.plan(policy, gpus))
        rates.append(result.gpus[0].measure.peer_bytes_per_second)
    assert rates[0] > rates[1] > rates[2] == 0
    assert abs(rates[0] - rates[1] - window * 10**9 // 3_000_003) <= 2


def test_no_peers_tile_is_ever_read_twice(bench: Any) -> None:
    seen = []

    class Watching(CpuEngine):
        def scan(self, key: Any, first: Any, tiles: Any, peer: Any) -> Any:
            seen.append((id(self), peer, first))
            return super().scan(key, first, tiles, peer)

    policy = bench.passes_policy(peer_passes=6)
    result, _ = bench.run(bench.plan(policy, ("GPU-a", "GPU-b", "GPU-c")), engine=Watching)
    peers = [entry for entry in seen if entry[1] is not None]
    assert result.verdict is ChallengeVerdict.MET
    assert len(peers) == len(set(peers)) == 18


@pytest.mark.parametrize(("gpus", "fits"), [(2, 3), (3, 6)])
def test_more_peer_passes_than_unread_tiles_are_refused(bench: Any, gpus: int, fits: int) -> None:
    names = tuple(f"GPU-{index}" for index in range(gpus))
    bench.plan(bench.passes_policy(peer_passes=fits), names)
    with pytest.raises(ValueError, match="unread"):
        bench.plan(bench.passes_policy(peer_passes=fits + 1), names)


def altering(kind: Any, **changes: Any) -> Any:
    return lambda message: replace(message, **changes) if isinstance(message, kind) else message


@pytest.mark.parametrize("profile", ["f16", "i8"])
def test_a_wrong_seed_fails_every_sample(bench: Any, profile: Any) -> None:
    policy = bench.policy(profile=profile, samples=64)
    result, _ = bench.run(bench.plan(policy), before=altering(Release, nonce=bytes(32)))
    assert result.verdict is ChallengeVerdict.FAILED
    assert result.gpus[0].wrong_samples == 64


def test_another_gpus_answer_fails_every_sample(bench: Any) -> None:
    plan, clock = bench.plan(bench.policy(samples=64)), bench.Clock()
    wire = bench.wire(
        replace(plan, gpus=("GPU-z",)), clock, before=altering(Prepare, gpus=("GPU-z",))
    )
    result = conduct(Challenger(plan), wire, clock)
    assert result.gpus[0].wrong_samples == 64


def test_a_gpu_that_is_not_the_one_asked_for_is_not_assessed(bench: Any) -> None:
    plan, clock = bench.plan(bench.policy()), bench.Clock()
    wire = bench.wire(replace(plan, gpus=("GPU-z",)), clock)
    result = conduct(Challenger(plan), wire, clock)
    assert (result.verdict, result.reason) == (
        ChallengeVerdict.NOT_ASSESSED,
        VerdictReason.UNSUPPORTED,
    )


@pytest.mark.parametrize("change", [{"contract": "lease-8"}, {"agent_key": bytes(32)}])
def test_an_answer_made_for_another_contract_or_agent_fails_every_sample(
    bench: Any, change: Any
) -> None:
    policy = bench.policy(samples=64)
    result, _ = bench.run(bench.plan(policy), before=altering(Prepare, **change))
    assert result.gpus[0].wrong_samples == 64


def test_a_replayed_answer_fails(bench: Any) -> None:
    policy = bench.policy(samples=64)
    recorded: list[Any] = []
    bench.run(bench.plan(policy, seed=1), after=noting(recorded))
    old = {type(message): message for message in recorded}

    def replay(message: Any) -> Any:
        if isinstance(message, (Roots, Openings)):
            return replace(old[type(message)], challenge=message.challenge)
        return message

    result, _ = bench.run(bench.plan(policy, seed=2), after=replay)
    assert result.verdict is ChallengeVerdict.FAILED
    assert result.gpus[0].wrong_samples == 64


def test_a_replayed_envelope_of_another_challenge_is_not_taken(bench: Any) -> None:
    policy = bench.policy()
    clock = bench.Clock()
    wire = bench.wire(bench.plan(policy, seed=1), clock)
    conduct(Challenger(bench.plan(policy, seed=1)), wire, clock)

    class Replaying(bench.Wire):  # type: ignore[misc]
        def exchange(self, message: Any, patience_ms: Any) -> Any:  # noqa: ARG002
            return wire.answers.pop(0)

    second = Challenger(bench.plan(policy, seed=2))
    result = conduct(second, Replaying(wire.prover, wire.signer, clock), clock)
    assert result.verdict is ChallengeVerdict.NOT_ASSESSED


def test_answers_computed_before_the_release_are_worth_nothing(bench: Any) -> None:
    """The prover knows contract, GPUs and policy beforehand, guesses the nonce, and has the roots ready at once."""
    policy = bench.policy(samples=64, required_flops_per_second=10**9)
    guessed, _ = bench.run(
        bench.plan(policy), before=altering(Release, nonce=b"g" * 32), devices=[bench.Device(1)]
    )
    assert (guessed.verdict, guessed.gpus[0].wrong_samples) == (ChallengeVerdict.FAILED, 64)


def test_a_round_started_before_the_last_root_is_known_fails(bench: Any) -> None:
    """Rounds run side by side under made-up roots: only the first round's key is right."""

    class Parallel(bench.TimedSeat):  # type: ignore[misc]
        def _step(self, phase: Any, seed: Any, step: Any, root: Any) -> Any:  # noqa: ARG002
            return super()._step(phase, seed, step, bytes(32))

    policy = bench.policy(samples=256, rounds=4)
    plan, clock = bench.plan(policy), bench.Clock()
    wire = bench.wire(plan, clock)
    wire.prover.gpu_provers = [
        Parallel("GPU-a", CpuEngine(), lambda: None).on(bench.Device(), clock)
    ]
    result = conduct(Challenger(plan), wire, clock)
    assert within_four_deviations(result.gpus[0].wrong_samples, 256, 0.75)


class LowRank(Cheat):
    """Answers for the sum of a rank-2 approximation: row means and column means of the product."""

    def leaves_of(self, product: Any, key: Any) -> Any:
        mean = product.mean()
        flat = product.mean(axis=1, keepdims=True) + product.mean(axis=0, keepdims=True) - mean
        return super().leaves_of(np.rint(flat).astype(np.int32), key)


class LinearDigest(Cheat):
    """Gets its digests from A(Bw) in O(n^2), as if the digest were the sum of entries times column keys."""

    def round(self, key: Any, keep: Any) -> Any:  # noqa: ARG002
        size = self._prepared().size
        weights = arithmetic.column_keys(digest_key(key), size).astype(np.int64)
        right = self._loaded_b().astype(np.int64) @ weights
        sums = self._rows_of_a(key, 0, size).astype(np.int64) @ right
        return sums.astype("<i8").tobytes()


class Tolerant(Cheat):
    """Multiplies in eight-bit floats' precision: near, and never equal."""

    def leaves_of(self, product: Any, key: Any) -> Any:
        return super().leaves_of((product >> 8) << 8, key)


class OffByOne(Cheat):
    """One entry of each row is wrong by one."""

    def leaves_of(self, product: Any, key: Any) -> Any:
        wrong = product.copy()
        wrong[np.arange(len(wrong)), np.arange(len(wrong))] += 1
        return super().leaves_of(wrong, key)


class Hankel(Cheat):
    """Takes the operands for Hankel matrices and continues each entry from its upper left neighbour."""

    def leaves_of(self, product: Any, key: Any) -> Any:
        wrong = product.copy()
        wrong[1:, 1:] = product[:-1, :-1]
        return super().leaves_of(wrong, key)


@pytest.mark.parametrize("engine", [LowRank, LinearDigest, Tolerant, OffByOne])
@pytest.mark.parametrize("profile", ["f16", "i8"])
def test_a_stand_in_for_the_product_fails_every_sample(
    bench: Any, engine: Any, profile: Any
) -> None:
    policy = bench.policy(profile=profile, samples=32)
    result, _ = bench.run(bench.plan(policy), engine=engine)
    assert (result.reason, result.gpus[0].wrong_samples) == (VerdictReason.WRONG_ANSWER, 32)


@pytest.mark.parametrize("engine", [LowRank, Tolerant, OffByOne, Hankel])
def test_a_stand_in_fails_against_the_vector_too(bench: Any, engine: Any) -> None:
    policy = bench.policy(check="freivalds", samples=32, rounds=1)
    result, _ = bench.run(bench.plan(policy), engine=engine)
    assert result.gpus[0].wrong_samples >= 31


def replaying(bench: Any, policy: Any) -> Any:
    """Answers for every challenge what it answered for another one."""
    recorded: list[Any] = []
    bench.run(bench.plan(policy, seed=10**6), after=noting(recorded))
    old = {type(message): message for message in recorded}

    def replay(message: Any) -> Any:
        if isinstance(message, (Roots, Openings)):
            return replace(old[type(message)], challenge=message.challenge)
        return message

    return replay


WHOLLY_WRONG: dict[str, Any] = {
    "wrong seed": lambda *_: {"before": altering(Release, nonce=bytes(32))},
    "another contract": lambda *_: {"before": altering(Prepare, contract="lease-8")},
    "another agent": lambda *_: {"before": altering(Prepare, agent_key=bytes(32))},
    "replay": lambda bench, policy: {"after": replaying(bench, policy)},
    "precomputed for a guessed nonce": lambda *_: {
        "before": altering(Release, nonce=b"g" * 32),
        "engine": CpuEngine,
    },
    "of low rank": lambda *_: {"engine": LowRank},
    "linear": lambda *_: {"engine": LinearDigest},
    "within a tolerance": lambda *_: {"engine": Tolerant},
    "off by one": lambda *_: {"engine": OffByOne},
}


@pytest.mark.parametrize("cheat", WHOLLY_WRONG)
def test_what_is_wholly_wrong_is_caught_by_a_single_sample_whatever_the_seed(
    bench: Any, cheat: str
) -> None:
    """A guess of 64 bits passes with 2^-64."""
    policy = bench.policy(samples=1)
    assert passes(bench, policy, seeds=40, **WHOLLY_WRONG[cheat](bench, policy)) == 0


def test_another_gpu_is_caught_by_a_single_sample_whatever_the_seed(bench: Any) -> None:
    for seed in range(40):
        plan, clock = bench.plan(bench.policy(samples=1), seed=seed), bench.Clock()
        other = altering(Prepare, gpus=("GPU-z",))
        wire = bench.wire(replace(plan, gpus=("GPU-z",)), clock, before=other)
        assert conduct(Challenger(plan), wire, clock).verdict is ChallengeVerdict.FAILED


@pytest.mark.parametrize("samples", [1, 2])
def test_rows_continued_from_a_right_first_one_pass_as_often_as_it_alone_is_sampled(
    bench: Any, samples: int
) -> None:
    policy = bench.policy(samples=samples)
    passed = passes(bench, policy, engine=Hankel)
    assert within_four_deviations(passed, SEEDS, (1 / policy.size) ** samples)


@pytest.mark.parametrize("samples", [1, 2, 3])
def test_memory_that_was_never_filled_passes_as_often_as_the_one_kept_tile_alone_is_sampled(
    bench: Any, samples: int
) -> None:
    policy = bench.passes_policy(memory_samples=samples)
    passed = passes(bench, policy, engine=ForgetsTiles)
    assert within_four_deviations(passed, SEEDS, (1 / policy.tiles) ** samples)


@pytest.mark.parametrize("samples", [1, 2, 4])
def test_rounds_run_side_by_side_pass_as_often_as_the_first_alone_is_sampled(
    bench: Any, samples: int
) -> None:
    class Parallel(bench.TimedSeat):  # type: ignore[misc]
        def _step(self, phase: Any, seed: Any, step: Any, root: Any) -> Any:  # noqa: ARG002
            return super()._step(phase, seed, step, bytes(32))

    policy = bench.policy(samples=samples, rounds=2)
    passed = 0
    for seed in range(SEEDS):
        plan, clock = bench.plan(policy, seed=seed), bench.Clock()
        wire = bench.wire(plan, clock)
        wire.prover.gpu_provers = [
            Parallel("GPU-a", CpuEngine(), lambda: None).on(bench.Device(), clock)
        ]
        passed += conduct(Challenger(plan), wire, clock).verdict is ChallengeVerdict.MET
    assert within_four_deviations(passed, SEEDS, 0.5**samples)


class OpensWhatItCommitted(CpuEngine):
    """Commits to rows of a wrong product, and opens those very rows."""

    def _product(self, key: Any) -> Any:
        wrong = super()._product(key).copy()
        wrong[:, 0] += 1
        return wrong

    def row(self, key: Any, index: Any) -> Any:
        return self._product(key)[index].astype("<i4").tobytes()


class AddsThePrime(OpensWhatItCommitted):
    """Wrong by a multiple of the modulus, which the product with the vector cannot see."""

    def _product(self, key: Any) -> Any:
        wrong = CpuEngine._product(self, key).copy()
        wrong[wrong[:, 0] < 0, 0] += arithmetic.PRIME
        wrong[wrong[:, 0] >= 0, 1] -= np.where(wrong[wrong[:, 0] >= 0, 1] > 0, arithmetic.PRIME, 0)
        return wrong


def test_rows_that_were_committed_wrongly_fail_against_the_vector(bench: Any) -> None:
    policy = bench.policy(check="freivalds", samples=64)
    result, _ = bench.run(bench.plan(policy), engine=OpensWhatItCommitted)
    assert (result.reason, result.gpus[0].wrong_samples) == (VerdictReason.WRONG_ANSWER, 64)


def test_entries_beyond_what_a_product_can_hold_fail_against_the_vector(bench: Any) -> None:
    policy = bench.policy(check="freivalds", samples=64)
    result, _ = bench.run(bench.plan(policy), engine=AddsThePrime)
    assert result.gpus[0].wrong_samples >= 32


GPUS = tuple(f"GPU-{letter}" for letter in "abcdefgh")
ONE_GPU = 2 * 128**3 * 1000 // 10
"""FLOP/s of the simulated device: a product of size 128 in 10 ms."""


def required(bench: Any, share_percent: Any, **changes: Any) -> Any:
    return bench.policy(
        samples=64, required_flops_per_second=ONE_GPU * share_percent // 100, **changes
    )


def test_eight_gpus_that_are_there_all_reach_the_rate_of_one(bench: Any) -> None:
    result, _ = bench.run(bench.plan(required(bench, 85), GPUS))
    assert result.verdict is ChallengeVerdict.MET


@pytest.mark.parametrize("present", [1, 4, 7])
def test_fewer_gpus_than_claimed_take_the_time_of_the_busiest(bench: Any, present: Any) -> None:
    devices = [bench.Device() for _ in range(present)]
    shared = [devices[index % present] for index in range(8)]
    result, _ = bench.run(bench.plan(required(bench, 85), GPUS), devices=shared)
    assert (result.verdict, result.reason) == (ChallengeVerdict.FAILED, VerdictReason.TOO_SLOW)
    busiest = -(-8 // present)
    assert all(gpu.measure.flops_per_second <= ONE_GPU // busiest for gpu in result.gpus)


@pytest.mark.parametrize("asked", range(1, 9))
def test_six_cards_that_answer_for_eight_fall_short_once_more_than_six_are_asked(
    bench: Any, asked: int
) -> None:
    """Six serve any six names at their own rate: so few are proven to be there, and no more."""
    devices = [bench.Device() for _ in range(6)]
    shared = [devices[index % 6] for index in range(asked)]
    result, _ = bench.run(bench.plan(required(bench, 85), GPUS[:asked]), devices=shared)
    expected = ChallengeVerdict.MET if asked <= 6 else ChallengeVerdict.FAILED
    assert result.verdict is expected


def test_the_schedule_asks_for_more_than_six_of_eight_as_often_as_the_arithmetic_says(
    bench: Any,
) -> None:
    """One GPU, some, or all, each a third of the time; seven or eight are a quarter of some: 5 in 12."""
    chance, draws = random.Random(7), 1200
    caught = sum(len(some_of(GPUS, bench.policy(), chance)) > 6 for _ in range(draws))
    assert within_four_deviations(caught, draws, 5 / 12)


@pytest.mark.parametrize("way", ["answers", "silent when unlucky", "slow at first"])
def test_a_series_passes_a_cheat_no_more_often_than_one_attempt_does(bench: Any, way: str) -> None:
    """Whoever is unlucky has failed for good or has no proof; whoever is slow on purpose must be lucky twice."""
    policy = bench.policy(samples=32, attempts_allowed=3)
    share, seeds = 0.03125, 60
    slow = replace(policy, required_flops_per_second=1 << 50)

    def attempt(seed: int, first: bool) -> Any:
        asked = slow if way == "slow at first" and first else policy
        plan = bench.plan(asked, seed=seed)
        result, _ = bench.run(plan, engine=skipping(share))
        if way == "silent when unlucky" and result.verdict is ChallengeVerdict.FAILED:
            return bench.run(plan, engine=skipping(share), after=silent)[0]
        return result

    def silent(message: Any) -> Any:
        return None if isinstance(message, Openings) else message

    met = 0
    for seed in range(seeds):
        results = [attempt(3 * seed, True)]
        while series_of(results, policy).repeat:
            results.append(attempt(3 * seed + len(results), False))
        met += series_of(results, policy).verdict is ChallengeVerdict.MET
    lucky = bench.undetected(share, policy)
    assert within_four_deviations(met, seeds, lucky**2 if way == "slow at first" else lucky)


def test_a_relay_that_serialises_two_hosts_halves_both(bench: Any) -> None:
    """Two hosts, challenged in the same moment with the same nonces, pass their work to one device."""
    policy, device = required(bench, 60), bench.Device()
    rates = []
    for seed in (1, 2):
        plan = replace(bench.plan(policy, seed=seed), nonces=bench.plan(policy).nonces)
        result, _ = bench.run(plan, devices=[device], clock=bench.Clock())
        rates.append((result.verdict, result.flops_per_second))
    assert rates[0][0] is ChallengeVerdict.MET
    assert rates[1][0] is ChallengeVerdict.FAILED
    assert rates[1][1] * 1000 <= rates[0][1] * 501


def test_a_slow_link_whose_round_trip_nobody_measured_costs_its_time(bench: Any) -> None:
    policy = bench.policy(samples=64)
    near, _ = bench.run(bench.plan(policy))
    far, challenger = bench.run(bench.plan(policy), delay_ns=5_000_000)
    assert challenger.transcript().phases[0].elapsed_ns >= 25_000_000
    assert far.flops_per_second * 2500 <= near.flops_per_second * 2001


@pytest.mark.parametrize("length", [0, 3, 4])
def test_a_row_of_another_length_is_a_wrong_answer_and_ends_no_verification(
    bench: Any, length: int
) -> None:
    """Whoever could break the arithmetic would escape from a failure once it knows the samples."""
    stump = bytes(length)

    class Stumps(Cheat):
        def leaves_of(self, product: Any, key: Any) -> Any:
            del key
            return row_hash(stump) * len(product)

    def cut(message: Any) -> Any:
        if not isinstance(message, Openings):
            return message
        whole = message.openings[0][0]
        return replace(message, openings=((whole[: -4 * 128] + stump,),))

    policy = bench.policy(check="freivalds")
    result, _ = bench.run(bench.plan(policy), engine=Stumps, after=cut)
    assert (result.verdict, result.reason) == (ChallengeVerdict.FAILED, VerdictReason.WRONG_ANSWER)
