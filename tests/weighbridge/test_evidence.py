"""The Merkle tree agrees with an independent recursive reading of RFC 9162, and a changed bit is noticed."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.weighbridge.rfc_9162 import recursive_path, recursive_root, recursive_subproof
from weighbridge.log.checkpoint import open_head, sign_head
from weighbridge.log.merkle import (
    DamagedTree,
    Frontier,
    ProvenTree,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_at,
    stored_position,
    verify_consistency,
    verify_inclusion,
)
from weighbridge.wire.signing import SignatureError, Signer

SIGNER = Signer(bytes(range(32)))


class Tree:
    """A log in memory that stores hashes as the collector's file does: in the order of completion."""

    def __init__(self, count: int) -> None:
        self.leaves = [b"leaf %d" % number for number in range(count)]
        self.frontier = Frontier()
        self.stored: list[bytes] = []
        for leaf in self.leaves:
            completed = self.frontier.append(leaf_hash(leaf))
            for level, index, subtree in completed:
                assert stored_position(level, index) == len(self.stored)
                self.stored.append(subtree)

    def node(self, level: int, index: int) -> bytes:
        return self.stored[stored_position(level, index)]


@pytest.mark.parametrize("size", range(70))
def test_root_equals_the_recursive_definition(size: int) -> None:
    tree = Tree(size)
    assert tree.frontier.root() == recursive_root(tree.leaves)
    assert Frontier(size, tree.node).root() == tree.frontier.root()


def test_a_frontier_that_was_reopened_goes_on_as_if_never_closed() -> None:
    for size in range(1, 40):
        tree = Tree(size)
        reopened = Frontier(size, tree.node)
        assert reopened.append(b"x" * 32) == tree.frontier.append(b"x" * 32)
        assert reopened.root() == tree.frontier.root()


@given(st.data())
def test_inclusion_proofs_are_those_of_the_rfc_and_verify(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 80))
    index = data.draw(st.integers(0, size - 1))
    tree = Tree(size)
    proof = inclusion_proof(index, size, tree.node)
    root = tree.frontier.root()
    leaf = leaf_hash(tree.leaves[index])
    assert proof == recursive_path(index, tree.leaves)
    assert verify_inclusion(index, size, leaf, proof, root)
    assert not verify_inclusion(index, size, b"\x00" * 32, proof, root)
    assert not verify_inclusion(index, size, leaf, [*proof, b"\x00" * 32], root)
    assert not any(
        verify_inclusion(other, size, leaf, proof, root)
        for other in range(-1, size + 1)
        if other != index
    )
    if proof:
        assert not verify_inclusion(index, size, leaf, proof[:-1], root)


@given(st.data())
def test_consistency_proofs_are_those_of_the_rfc_and_verify(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 80))
    old = data.draw(st.integers(1, size))
    tree = Tree(size)
    proof = consistency_proof(old, size, tree.node)
    old_root, root = recursive_root(tree.leaves[:old]), tree.frontier.root()
    assert proof == recursive_subproof(old, tree.leaves, whole=True)
    assert verify_consistency(old, size, old_root, root, proof)
    assert not verify_consistency(old, size, b"\x00" * 32, root, proof)
    assert not verify_consistency(old, size, old_root, b"\x00" * 32, proof)
    assert not verify_consistency(old, size, old_root, root, [*proof, b"\x00" * 32])


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_no_proof_is_made_for_a_leaf_outside_the_log(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="not in a log"):
        inclusion_proof(index, size, Tree(3).node)


@pytest.mark.parametrize(("old", "size"), [(0, 3), (4, 3)])
def test_no_consistency_is_claimed_with_nothing_or_with_the_future(old: int, size: int) -> None:
    with pytest.raises(ValueError, match="no proof leads"):
        consistency_proof(old, size, Tree(3).node)


def test_a_head_opens_with_its_key_and_with_no_other() -> None:
    head = sign_head("weighbridge.example/log", 7, b"r" * 32, SIGNER)
    assert open_head(head.note, SIGNER.public_key) == head
    with pytest.raises(SignatureError, match="another key"):
        open_head(head.note, Signer(b"k" * 32).public_key)
    with pytest.raises(SignatureError, match="does not verify"):
        open_head(head.note.replace("\n7\n", "\n8\n"), SIGNER.public_key)
    with pytest.raises(SignatureError, match="not a checkpoint"):
        open_head("", SIGNER.public_key)


@given(st.integers(0, 80))
def test_the_root_of_any_beginning_of_a_log_is_known_from_its_subtrees(size: int) -> None:
    tree = Tree(80)
    assert root_at(size, tree.node) == recursive_root(tree.leaves[:size])


@given(st.integers(1, 70), st.data())
def test_a_hash_that_is_damaged_is_never_taken_for_one_under_the_root(
    size: int, data: st.DataObject
) -> None:
    frontier = Frontier()
    held = {
        (level, index): subtree
        for number in range(size)
        for level, index, subtree in frontier.append(leaf_hash(b"%d" % number))
    }
    sound = dict(held)
    for place in data.draw(st.sets(st.sampled_from(sorted(held)), max_size=3)):
        held[place] = bytes(32)
    try:
        tree = ProvenTree(size, frontier.root(), lambda level, index: held[level, index])
    except DamagedTree:
        return
    for place, subtree in sound.items():
        with suppress(DamagedTree):
            assert tree.node(*place) == subtree
    if held == sound:
        assert {place: tree.node(*place) for place in sound} == sound
    with pytest.raises(ValueError, match="no complete subtree"):
        tree.node(0, size)
