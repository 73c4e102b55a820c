"""The agent keeps a head of the log, has the next one proven from it, and says at once when the log is caught."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.report.log_watch import EVERY_S, LogWatch
from weighbridge.log.checkpoint import Head, sign_head
from weighbridge.log.merkle import Frontier, consistency_proof, leaf_hash
from weighbridge.log.succession import LogKeys
from weighbridge.log.witnessing import read_evidence
from weighbridge.process.log_trust import LogTrust
from weighbridge.wire.report import EventKind
from weighbridge.wire.signing import Signer

LOG = Signer(bytes(range(32)))
KEYS = LogKeys(LOG.public_key)
LEAVES = [b"entry %d" % number for number in range(20)]
OTHERS = [*LEAVES[:3], b"!", *LEAVES[4:]]


def trust(directory: Path, signer: Signer = LOG) -> LogTrust:
    return LogTrust(signer.public_key, directory)


def logged(leaves: Sequence[bytes], signer: Signer = LOG) -> tuple[Head, dict[Any, bytes]]:
    frontier = Frontier()
    nodes = {
        (level, index): subtree
        for leaf in leaves
        for level, index, subtree in frontier.append(leaf_hash(leaf))
    }
    return sign_head("log", len(leaves), frontier.root(), signer), nodes


def head(size: int, leaves: Sequence[bytes] = LEAVES) -> str:
    return logged(leaves[:size])[0].note


def proof(old: int, size: int, leaves: Sequence[bytes] = LEAVES) -> list[bytes]:
    _, nodes = logged(leaves[:size])
    return consistency_proof(old, size, lambda level, index: nodes[level, index])


def test_proofs_are_asked_for_at_the_start_and_then_once_a_minute(tmp_path: Path) -> None:
    watch = LogWatch(tmp_path, trust(tmp_path))
    assert watch.asks(0.0) == []
    watch.see(head(5), {}, 100.0)
    assert watch.asks(100.0 + EVERY_S - 0.1) == []
    assert watch.asks(100.0 + EVERY_S) == [5]
    watch.see(head(9), {}, 110.0)
    assert watch.asks(100.0 + EVERY_S) == [5, 9], "what is not proven is not stood by"
    watch.see(head(11), {5: proof(5, 11), 9: proof(9, 11)}, 161.0)
    assert watch.asks(161.0 + EVERY_S) == [11]
    watch.see(head(12), {}, 170.0)
    assert LogWatch(tmp_path, trust(tmp_path)).asks(0.0) == [11], "kept over a restart"
    assert LogWatch(tmp_path, trust(tmp_path), head(12)).asks(0.0) == [11, 12]
    assert LogWatch(tmp_path, trust(tmp_path), "another log's").asks(0.0) == [11]
    assert watch.take() == []


@pytest.mark.parametrize(
    ("note", "proofs", "kind", "against"),
    [
        (head(4), {}, EventKind.LOG_SHRANK, 10),
        (head(9), {}, EventKind.LOG_SHRANK, 10),
        (head(10, OTHERS), {}, EventKind.LOG_FORKED, 10),
        (head(12, OTHERS), {8: proof(8, 12, OTHERS)}, EventKind.LOG_FORKED, 8),
        (head(12, OTHERS), {10: proof(10, 12, OTHERS)}, EventKind.LOG_FORKED, 10),
        (head(12), {8: proof(7, 12)}, EventKind.LOG_FORKED, 8),
    ],
)
def test_a_log_that_is_caught_is_told_of_with_both_heads_under_its_own_signature(
    tmp_path: Path, note: str, proofs: dict[int, list[bytes]], kind: EventKind, against: int
) -> None:
    watch = LogWatch(tmp_path, trust(tmp_path))
    watch.see(head(8), {}, 0.0)
    watch.see(head(10), {}, 1.0)
    watch.see(note, proofs, EVERY_S)
    ((told, detail),) = watch.take()
    assert told is kind
    assert len(detail) <= 512
    assert [one.note for one in read_evidence(detail, "log", KEYS)] == [head(against), note]
    assert watch.caught
    assert watch.status.startswith(kind.value)
    watch.see(note, proofs, 2 * EVERY_S)
    assert watch.take() == []
    again = LogWatch(tmp_path, trust(tmp_path))
    assert again.take() == [(kind, detail)], "said again after a restart"
    assert again.asks(10 * EVERY_S) == []


def test_what_the_log_did_not_sign_is_no_evidence() -> None:
    good, forged = logged(LEAVES[:8])[0], logged(LEAVES[:9], Signer(b"k" * 32))[0]
    size, root, signature = (good.note.split("\n")[1], good.note.split("\n")[2], "AAAA")
    assert read_evidence(f"{size} {root} {signature}; nonsense; ", "log", KEYS) == []
    strange = LogKeys(Signer(b"k" * 32).public_key)
    assert read_evidence(f"9 {root} {signature}", "log", strange) == []
    assert forged.origin == good.origin


def test_a_log_that_goes_on_under_another_name_has_forked(tmp_path: Path) -> None:
    """As one that was a simulation and is to be a real log: the name says which."""
    watch = LogWatch(tmp_path, trust(tmp_path))
    watch.see(head(8), {}, 0.0)
    longer = logged(LEAVES[:9])[0]
    watch.see(sign_head("another", longer.size, longer.root, LOG).note, {8: proof(8, 9)}, 1.0)
    assert watch.status.startswith("log_forked")


def test_another_log_has_a_folder_of_its_own(tmp_path: Path) -> None:
    watch = LogWatch(tmp_path, trust(tmp_path))
    watch.see(head(8), {}, 0.0)
    other = LogWatch(tmp_path, trust(tmp_path, Signer(b"k" * 32)))
    other.see(logged(OTHERS[:2], Signer(b"k" * 32))[0].note, {}, 0.0)
    assert not other.caught
    assert LogWatch(tmp_path, trust(tmp_path)).asks(0.0) == [8]


def test_a_collector_that_proves_nothing_is_named_and_accused_of_nothing(tmp_path: Path) -> None:
    watch = LogWatch(tmp_path, trust(tmp_path))
    watch.see(head(5), {}, 0.0)
    watch.see(head(9), {}, EVERY_S)
    assert "does not prove" in watch.status
    assert watch.take() == []
    assert watch.asks(EVERY_S + 1) == []
    watch.see(head(10), {5: proof(5, 10), 9: proof(9, 10)}, 2 * EVERY_S)
    assert watch.status == "stands by what it signed, up to 10 entries"
