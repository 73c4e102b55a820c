"""A log's keys lead from the one that is known to the newest, each signed by the one before it, and never back."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weighbridge.log.checkpoint import log_key, sign_head
from weighbridge.log.merkle import EMPTY_ROOT, Frontier, inclusion_proof, leaf_hash
from weighbridge.log.policy import read_policy
from weighbridge.log.succession import LogKeys, open_succession, seal_succession
from weighbridge.log.witnessing import read_evidence, spell_evidence
from weighbridge.wire.report import canonical
from weighbridge.wire.signing import SignatureError, Signer, open_envelope

SIGNERS = [Signer(bytes([number]) * 32) for number in range(1, 8)]
FIRST, SECOND, THIRD, STRANGER = SIGNERS[0], SIGNERS[1], SIGNERS[2], SIGNERS[6]
KNOWN = LogKeys(FIRST.public_key)


def announced(*indexes: int) -> list[bytes]:
    """Of the second key, the third and so on, at these entries."""
    pairs = zip(indexes, SIGNERS, SIGNERS[1:], strict=False)
    return [seal_succession(index, 0, old, new) for index, old, new in pairs]


def signed(size: int, *signers: Signer) -> str:
    return sign_head("log", size, EMPTY_ROOT, *signers).note


def told(leaves: Sequence[bytes], signer: Signer, *, others: Sequence[bytes] = ()) -> bytes:
    """The log's answer, where the log holds these leaves, and says `others` of them."""
    nodes: dict[Any, bytes] = {}
    frontier = Frontier()
    for leaf in leaves:
        nodes.update(((level, at), known) for level, at, known in frontier.append(leaf_hash(leaf)))
    said = [
        {
            "envelope": leaf.decode(),
            "proof": [
                one.hex() for one in inclusion_proof(at, len(leaves), lambda *place: nodes[place])
            ],
        }
        for at, leaf in enumerate(others or leaves)
    ]
    head = sign_head("log", len(leaves), frontier.root(), signer).note
    answer = {"first": FIRST.public_key.hex(), "successions": said, "head": head}
    return json.dumps(answer).encode()


@settings(max_examples=60, deadline=None)
@given(
    indexes=st.lists(st.integers(0, 50), min_size=1, max_size=5, unique=True).map(sorted),
    size=st.integers(0, 60),
    known=st.integers(0, 5),
    signer=st.integers(0, 5),
)
def test_a_head_counts_under_the_key_of_then_or_a_later_one_wherever_one_began(
    indexes: list[int], size: int, known: int, signer: int
) -> None:
    known, signer = min(known, len(indexes)), min(signer, len(indexes))
    keys = LogKeys(SIGNERS[known].public_key).followed(announced(*indexes))
    assert keys.newest == SIGNERS[len(indexes)].public_key
    assert keys.followed(announced(*indexes)) == keys
    then = sum(index < size for index in indexes)
    beside = [SIGNERS[signer], STRANGER]
    if signer >= max(then, known):
        assert keys.open_head(signed(size, *beside)).size == size
    else:
        with pytest.raises(SignatureError, match=r"another key|a former key"):
            keys.open_head(signed(size, *beside))
    if then >= known and size:
        assert keys.at(size) == SIGNERS[then].public_key


def test_nobody_announces_a_key_but_the_one_before_with_the_one_that_follows() -> None:
    (good,) = announced(3)
    payload = json.loads(open_envelope(good).payload)

    def bent(signer: Signer, **changes: Any) -> bytes:
        return signer.seal(open_envelope(good).payload_type, canonical(payload | changes))

    forged = {
        "by a stranger": bent(STRANGER),
        "by the new key": bent(SECOND),
        "of a key that its holder did not sign for": bent(FIRST, public_key=THIRD.public_key.hex()),
        "at another place": bent(FIRST, index=4),
        "for longer": bent(FIRST, until_us=1),
        "by a stranger for himself": bent(STRANGER, previous=STRANGER.public_key.hex()),
        "another thing": FIRST.seal("application/vnd.weighbridge.tick+json", b"{}"),
        "no proof": bent(FIRST, proof=""),
    }
    for what, leaf in forged.items():
        with pytest.raises(SignatureError):
            assert KNOWN.followed([leaf]) != KNOWN, what
    back = seal_succession(9, 0, SECOND, FIRST)
    with pytest.raises(SignatureError, match="comes but once"):
        KNOWN.followed([good, back])
    fork = seal_succession(3, 0, FIRST, THIRD)
    assert KNOWN.followed([good, fork]).newest == SECOND.public_key, "whoever followed goes on"
    assert open_succession(good).public_key == SECOND.public_key.hex()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_whoever_was_away_follows_all_of_it_with_each_step_proven(count: int) -> None:
    leaves = announced(*range(count))
    keys = KNOWN.follow(told(leaves, SIGNERS[count]))
    assert keys.newest == SIGNERS[count].public_key
    assert keys.follow(told(leaves, SIGNERS[count])) == keys
    shorter = told(leaves[:-1], SIGNERS[count - 1])
    assert keys.follow(shorter) == keys, "nobody is led back"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda: told(announced(0), FIRST), "a former key"),
        (lambda: told(announced(0), STRANGER), "another key"),
        (lambda: told([b"other"], SECOND, others=announced(0)), "not proven"),
        (lambda: told(announced(0, 1), THIRD, others=announced(0, 3)), "not proven"),
        (lambda: b"{}", "not what a log says"),
        (lambda: b"[", "not what a log says"),
    ],
)
def test_a_step_that_the_log_does_not_hold_leads_nowhere(
    answer: Callable[[], bytes], said: str
) -> None:
    with pytest.raises(SignatureError, match=said):
        KNOWN.follow(answer())


def test_a_line_of_a_former_key_counts_for_nothing_and_an_unknown_one_is_noticed() -> None:
    keys = KNOWN.followed(announced(3))
    both = signed(9, FIRST, SECOND)
    assert keys.open_head(both).note == both
    assert keys.open_head(signed(3, FIRST)).size == 3
    with pytest.raises(SignatureError, match="a former key"):
        keys.open_head(signed(4, FIRST))
    assert KNOWN.open_head(both).size == 9, "who did not follow yet takes it in the overlap"
    assert KNOWN.lacks(both)
    assert not keys.lacks(both)
    spoilt = signed(9, SECOND).replace("\n9\n", "\n8\n")
    with pytest.raises(SignatureError, match="does not verify"):
        keys.open_head(spoilt)


def test_heads_of_an_overlap_are_evidence_by_the_key_that_counts() -> None:
    keys = KNOWN.followed(announced(3))
    heads = [keys.open_head(signed(3, FIRST)), keys.open_head(signed(9, FIRST, SECOND))]
    said = spell_evidence(heads, keys)
    assert [head.size for head in read_evidence(said, "log", keys)] == [3, 9]
    theirs = spell_evidence([KNOWN.open_head(signed(9, FIRST))], KNOWN)
    assert read_evidence(theirs, "log", keys) == []


def test_a_policy_that_names_a_key_means_those_that_it_led_to() -> None:
    policy = read_policy(f"log {log_key('log', FIRST.public_key)}\nquorum none\n")
    following = policy.following(announced(3))
    assert following.accepts(signed(9, SECOND))
    assert following.accepts(signed(3, FIRST))
    assert not following.accepts(signed(4, FIRST))
    assert not following.accepts(signed(9, STRANGER))
    assert not policy.accepts(signed(9, SECOND))
    assert policy.accepts(signed(9, FIRST, SECOND))
