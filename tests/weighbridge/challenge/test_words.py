"""Messages, policies, commitments and bounds."""

import json
import tracemalloc
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weighbridge.challenge.bound import (
    RECOMPUTED_MISS,
    byte_rate,
    multiply_add_rate,
    read_bytes,
    remade_blocks,
    resident_blocks,
    undetected,
    wrong_cells_bound,
)
from weighbridge.challenge.codec import Malformed, decode, encode
from weighbridge.challenge.commitment import (
    BLOCKS,
    LINKED_ROWS,
    ROWS,
    BadOpening,
    Grouping,
    commit,
    open_leaf,
    opened_leaf,
    opening_bytes,
)
from weighbridge.challenge.derivation import precommitment, sampled_cells
from weighbridge.challenge.hashing import fields_hash
from weighbridge.challenge.messages import (
    DECLINE_REASONS,
    PAYLOAD_TYPE,
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
from weighbridge.challenge.policy import Policy, PolicyError
from weighbridge.challenge.sizes import (
    STATEMENT_BYTES,
    largest_openings,
    largest_roots,
    require_deliverable,
)

CALM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is no failure."""

POLICY = Policy(profile="f16", size=256, rounds=8, samples=16)
names = st.text(max_size=20)
blobs = st.binary(max_size=80)
instants = st.integers(0, 2**53 - 1)
messages = st.one_of(
    st.builds(Prepare, names, names, blobs, st.lists(names).map(tuple), st.just(POLICY)),
    st.builds(
        Ready, names, blobs, instants, st.lists(st.builds(HostFact, names, names)).map(tuple)
    ),
    st.builds(Decline, names, st.sampled_from(DECLINE_REASONS), names),
    st.builds(Release, names, names, blobs),
    st.builds(Roots, names, names, instants, instants, st.lists(blobs).map(tuple)),
    st.builds(Reveal, names, blobs),
    st.builds(Openings, names, st.lists(st.lists(blobs).map(tuple)).map(tuple)),
)


def noting(seen: list[Any]) -> Any:
    def note(message: Any) -> Any:
        seen.append(message)
        return message

    return note


@settings(CALM)
@given(messages)
def test_a_message_survives_its_bytes(message: Any) -> None:
    assert decode_message(encode_message(message)) == message


@settings(CALM)
@given(st.binary(max_size=200))
def test_random_bytes_are_malformed_and_nothing_worse(data: Any) -> None:
    with pytest.raises(Malformed):
        decode_message(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(CALM)
@given(messages, st.data())
def test_a_message_with_one_field_changed_in_kind_is_malformed_or_another_message(
    message: Any, data: Any
) -> None:
    plain = json.loads(encode_message(message))
    name = data.draw(st.sampled_from(sorted(plain)))
    plain[name] = data.draw(json_values)
    raw = json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()
    try:
        decoded = decode_message(raw)
    except Malformed:
        return
    assert encode_message(decoded) == raw


@pytest.mark.parametrize(
    "change",
    [
        (b'"type":"reveal"', b'"type": "reveal"'),
        (b'"challenge":"c"', b'"challenge":"c","challenge":"c"'),
        (b'"challenge":"c"', b'"challenge":1'),
        (b'"challenge":"c"', b'"challenge":"c","more":1'),
        (b'"secret":"AAAA"', b'"secret":"AAA"'),
        (b'"secret":"AAAA"', b'"secret":"AA A="'),
    ],
)
def test_one_message_has_one_spelling(change: Any) -> None:
    data = encode_message(Reveal("c", bytes(3)))
    assert change[0] in data
    with pytest.raises(Malformed):
        decode_message(data.replace(*change))


def test_numbers_beyond_2_to_the_53_are_malformed() -> None:
    data = encode_message(Roots("c", "chain", 0, 7, ()))
    with pytest.raises(Malformed):
        decode_message(data.replace(b'"ended_ns":7', b'"ended_ns":9007199254740992'))


def test_deep_nesting_is_malformed() -> None:
    with pytest.raises(Malformed):
        decode_message(b"[" * 100_000)


@pytest.mark.parametrize(
    "changes",
    [
        {"profile": "f8"},
        {"check": "trust"},
        {"rounds": 0},
        {"samples": 0},
        {"tiles": 9},
        {"tiles": 1},
        {"tiles": 1, "memory_passes": 1, "memory_samples": 1},
        {"peer_tiles": 1},
        {
            **{"tiles": 2, "memory_passes": 1, "memory_samples": 1, "ceiling_flops_per_second": 1},
            **{"peer_tiles": 1, "peer_passes": 1, "peer_samples": 1},
        },
        {"memory_samples": 1},
        {"doubt_parts_per_billion": 0},
        {"doubt_parts_per_billion": 1_000_000_000},
        {"deadline_ms": 0},
        {"attempts_allowed": 0},
        {"required_flops_per_second": -1},
        {"stall_allowance_ms": -1},
        {"voids_allowed": -1},
    ],
)
def test_a_policy_that_cannot_be_carried_out_is_refused(changes: Any) -> None:
    with pytest.raises(PolicyError):
        replace(POLICY, **changes)


def test_a_refused_policy_in_a_message_is_malformed() -> None:
    data = encode_message(Prepare("c", "k", b"", ("g",), POLICY))
    with pytest.raises(Malformed, match="profile"):
        decode_message(data.replace(b'"profile":"f16"', b'"profile":"f99"'))


@settings(CALM)
@given(st.lists(blobs, max_size=4), st.lists(blobs, max_size=4))
def test_different_fields_have_different_hashes(first: Any, second: Any) -> None:
    assert (fields_hash("a", *first) == fields_hash("a", *second)) == (first == second)
    assert fields_hash("a", *first) != fields_hash("b", *first)


@settings(CALM, max_examples=30)
@given(
    st.integers(1, 70_000),
    st.sampled_from([Grouping(4, 256), ROWS, LINKED_ROWS, BLOCKS]),
    st.data(),
)
def test_an_opening_gives_the_committed_leaf(
    count: int, group: Grouping, data: st.DataObject
) -> None:
    leaves = b"".join(index.to_bytes(8, "little") for index in range(count))
    index = data.draw(st.integers(0, count - 1))
    opening = open_leaf(leaves, 8, index, group)
    assert len(opening) == opening_bytes(count, 8, index, group)
    root = commit(leaves, 8, group)
    assert opened_leaf(root, count, 8, index, opening, group) == index.to_bytes(8, "little")
    at = data.draw(st.integers(0, len(opening) - 1))
    forged = opening[:at] + bytes([opening[at] ^ 1]) + opening[at + 1 :]
    for wrong in (forged, opening[:-1], opening + b"\0"):
        with pytest.raises(BadOpening):
            opened_leaf(root, count, 8, index, wrong, group)


@pytest.mark.parametrize("count", [32_768, 40_000])
def test_an_opening_is_good_for_its_place_alone(count: Any) -> None:
    leaves = b"".join(index.to_bytes(8, "big") for index in range(count))
    opening = open_leaf(leaves, 8, 0)
    assert opened_leaf(commit(leaves, 8), count, 8, 1, opening) == (1).to_bytes(8, "big")
    with pytest.raises(BadOpening):
        opened_leaf(commit(leaves, 8), count, 8, 128, opening)


def test_sixteen_thousand_rows_open_in_five_kilobytes() -> None:
    assert opening_bytes(16384, 8, 0) == 128 * 8 + 128 * 32


@pytest.mark.parametrize("check", ["recompute", "freivalds"])
@pytest.mark.parametrize("samples", [8, 512])
def test_what_a_verifier_takes_is_what_an_honest_prover_sends_and_little_more(
    bench: Any, check: str, samples: int
) -> None:
    gpus = ("GPU-a", "GPU-b")
    policy = bench.passes_policy(check=check, samples=samples)
    seen: list[Any] = []
    bench.run(bench.plan(policy, gpus), after=noting(seen))
    sealed = [len(bench.signer.seal(PAYLOAD_TYPE, encode_message(one))) for one in seen]
    names = policy.phases(2)
    for phase, size in zip(names, sealed[1:-1], strict=True):
        assert size <= largest_roots(policy, phase, 2)
        assert largest_roots(policy, phase, 2) >= STATEMENT_BYTES, "a Decline may come instead"
    assert sealed[-1] <= largest_openings(policy, 2) < sealed[-1] + 4096


@pytest.mark.parametrize(
    ("changes", "gpus"),
    [
        ({"samples": 256}, 8),
        ({"samples": 64, "check": "freivalds"}, 8),
        ({"samples": 256, "check": "freivalds"}, 1),
        ({"samples": 256, "check": "freivalds", "size": 32768, "rounds": 56}, 1),
    ],
)
def test_what_is_worth_asking_of_a_large_node_can_be_answered(
    bench: Any, changes: dict[str, Any], gpus: int
) -> None:
    require_deliverable(bench.policy(**{"size": 16384, "rounds": 400} | changes), gpus)


@pytest.mark.parametrize(
    ("changes", "gpus", "less"),
    [
        ({"samples": 128, "check": "freivalds", "size": 16384}, 8, "samples"),
        ({"samples": 8192, "size": 16384}, 8, "samples"),
        ({"samples": 8, "rounds": 65536}, 64, "rounds"),
    ],
)
def test_an_answer_that_would_not_be_taken_is_not_asked_for(
    bench: Any, changes: dict[str, Any], gpus: int, less: str
) -> None:
    with pytest.raises(PolicyError, match=rf"{gpus} GPUs would be .* fewer {less}"):
        require_deliverable(bench.policy(**changes), gpus)


@settings(CALM, max_examples=60)
@given(st.integers(1, 10**7), st.integers(1, 64), st.integers(1, 10**9 - 1))
def test_the_bound_is_the_last_number_of_wrong_cells_that_may_go_unseen(
    cells: Any, samples: Any, doubt_parts: Any
) -> None:
    doubt = Fraction(doubt_parts, 10**9)
    bound = wrong_cells_bound(cells, samples, doubt, RECOMPUTED_MISS)
    assert 0 <= bound <= cells
    if bound < cells:
        assert undetected(cells, bound + 1, samples, RECOMPUTED_MISS) <= doubt
    assert undetected(cells, bound, samples, RECOMPUTED_MISS) > doubt


@pytest.mark.parametrize(
    ("samples", "doubt", "share"),
    [(64, "0.001", 0.102), (64, "0.000001", 0.194), (128, "0.001", 0.053), (256, "0.001", 0.027)],
)
def test_the_bound_is_one_minus_the_root_of_the_doubt(samples: Any, doubt: Any, share: Any) -> None:
    cells = 400 * 16384
    bound = wrong_cells_bound(cells, samples, Fraction(doubt), RECOMPUTED_MISS)
    assert round(bound / cells, 3) == pytest.approx(share, abs=0.001)


def test_memory_that_could_have_been_remade_in_time_is_not_proven() -> None:
    assert remade_blocks(10**6, 10**6, 10**9) == 2
    assert remade_blocks(10**6, 10**9, 10**9) == 1001
    assert resident_blocks(1000, 10, 2) == 99
    assert resident_blocks(1000, 10, 1001) == 0


def test_bytes_that_could_have_been_remade_or_cached_are_not_counted_as_read() -> None:
    assert read_bytes(8, 1000, 100, 0) == 7200
    assert read_bytes(8, 1000, 100, 200) == 7000
    assert read_bytes(8, 1000, 1001, 0) == 0


@pytest.mark.parametrize(
    "name", ["required_flops_per_second", "device_memory_bytes", "helper_cards"]
)
def test_a_policy_beyond_2_to_the_53_is_refused_before_anything_is_written(
    bench: Any, name: str
) -> None:
    with pytest.raises(PolicyError, match=rf"{name}: below 2\^53"):
        bench.policy(**{name: 1 << 53})


def test_a_bound_beyond_2_to_the_53_is_written_as_the_largest_that_records_hold() -> None:
    assert multiply_add_rate(16384, 1 << 30, 1) == byte_rate(1 << 62, 1) == (1 << 53) - 1
    assert byte_rate((1 << 53) - 2, 10**9) == (1 << 53) - 2


def test_neither_side_steers_the_samples() -> None:
    """Each change, of what V fixed first or of what P committed after, moves them all."""
    base: dict[str, Any] = {
        "secret": b"s",
        "agent_key": b"k",
        "gpu": "GPU-a",
        "phase": "chain",
        "roots": b"r",
    }
    changes = {"secret": b"t", "agent_key": b"l", "gpu": "GPU-b", "phase": "memory", "roots": b"q"}
    drawn = [sampled_cells(**base, count=64, cells=1 << 40)]
    for name, value in changes.items():
        drawn.append(sampled_cells(**(base | {name: value}), count=64, cells=1 << 40))
    assert len({cell for cells in drawn for cell in cells}) == 64 * len(drawn)


def test_a_precommitment_binds_every_nonce_the_secret_the_contract_and_the_policy() -> None:
    nonces, secret = (b"n" * 32, b"m" * 32), b"s" * 32
    made = {
        precommitment(nonces, secret, "k", POLICY),
        precommitment((nonces[0], secret), nonces[1], "k", POLICY),
        precommitment(nonces[:1], secret, "k", POLICY),
        precommitment(nonces, secret, "l", POLICY),
        precommitment(nonces, secret, "k", replace(POLICY, samples=17)),
    }
    assert len(made) == 5


def test_a_field_that_came_later_is_left_out_while_it_says_nothing() -> None:
    """So that records, and the seeds that hold a policy's hash, stay what they were."""
    assert b"program" not in encode(POLICY)
    assert decode(Policy, encode(POLICY)) == POLICY
    named = replace(POLICY, program="ab" * 32)
    assert decode(Policy, encode(named)) == named
    assert named.digest != POLICY.digest
    idle = json.dumps(json.loads(encode(POLICY)) | {"program": ""}, sort_keys=True)
    with pytest.raises(Malformed, match="canonical"):
        decode(Policy, idle.replace(" ", "").encode())


@pytest.mark.parametrize("part", [b"[],", b"{},", b'"ab",', b"1000,", b'{"":'])
def test_many_small_parts_take_no_more_memory_than_their_bytes(part: bytes) -> None:
    """Made into lists, 54 MB of a prover were 2.9 GB of the collector."""
    data = b'{"challenge":"c","openings":[' + part * 1_000_000 + b'[]],"type":"openings"}'
    tracemalloc.start()
    try:
        with pytest.raises(Malformed):
            decode_message(data)
        assert tracemalloc.get_traced_memory()[1] < len(data)
    finally:
        tracemalloc.stop()
