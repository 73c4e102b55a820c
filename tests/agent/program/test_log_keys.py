"""An agent follows its log's key along proven announcements: kept whole over a restart, and never led back."""

import asyncio
import json
from pathlib import Path

import pytest

from agent.log_keys import LogKeyFollower
from agent.report.log_watch import LogWatch
from agent.report.transport import HttpAnswer
from weighbridge.log.checkpoint import sign_head
from weighbridge.log.merkle import Frontier, inclusion_proof, leaf_hash
from weighbridge.log.succession import KEYS_PATH, seal_succession
from weighbridge.process.log_trust import FILE, LogTrust
from weighbridge.wire.signing import SignatureError, Signer

SIGNERS = [Signer(bytes([number]) * 32) for number in range(1, 5)]
FIRST, SECOND, THIRD, STRANGER = SIGNERS


def told(*steps: tuple[Signer, Signer]) -> bytes:
    """What a log says that holds nothing but these announcements."""
    leaves = [seal_succession(index, 0, *step) for index, step in enumerate(steps)]
    frontier, nodes = Frontier(), {}
    for leaf in leaves:
        for level, at, known in frontier.append(leaf_hash(leaf)):
            nodes[level, at] = known
    size = len(leaves)
    proofs = [inclusion_proof(at, size, lambda *place: nodes[place]) for at in range(size)]
    said = [
        {"envelope": leaf.decode(), "proof": [one.hex() for one in proof]}
        for leaf, proof in zip(leaves, proofs, strict=True)
    ]
    head = sign_head("log", size, frontier.root(), steps[-1][1]).note
    answer = {"first": FIRST.public_key.hex(), "successions": said, "head": head}
    return json.dumps(answer).encode()


ONE, BOTH = told((FIRST, SECOND)), told((FIRST, SECOND), (SECOND, THIRD))
STOLEN = told((FIRST, STRANGER))


def newest(directory: Path) -> bytes:
    return LogTrust(FIRST.public_key, directory).keys.newest


def test_what_was_followed_is_kept_and_nobody_is_led_back(tmp_path: Path) -> None:
    trust = LogTrust(FIRST.public_key, tmp_path)
    assert trust.follow(ONE)
    assert newest(tmp_path) == SECOND.public_key
    for later in (ONE, STOLEN):
        assert not LogTrust(FIRST.public_key, tmp_path).follow(later)
        assert newest(tmp_path) == SECOND.public_key
    again = LogTrust(FIRST.public_key, tmp_path)
    assert again.follow(BOTH)
    assert newest(tmp_path) == THIRD.public_key
    with pytest.raises(SignatureError):
        again.keys.open_head(sign_head("log", 2, bytes(32), FIRST).note)


ELSEWHERE = seal_succession(0, 0, STRANGER, THIRD)


@pytest.mark.parametrize("text", [b"", b"nonsense\n", b"\xff\x00", ELSEWHERE])
def test_a_file_that_was_damaged_leads_nowhere_and_is_fetched_anew(
    tmp_path: Path, text: bytes
) -> None:
    trust = LogTrust(FIRST.public_key, tmp_path)
    assert trust.follow(BOTH)
    (tmp_path / FILE).write_bytes(text)
    assert newest(tmp_path) == FIRST.public_key
    assert LogTrust(FIRST.public_key, tmp_path).follow(BOTH)
    assert newest(tmp_path) == THIRD.public_key


def test_a_disk_that_takes_nothing_moves_no_pin(tmp_path: Path) -> None:
    trust = LogTrust(FIRST.public_key, tmp_path / "gone")
    with pytest.raises(OSError, match="No such file"):
        trust.follow(ONE)
    assert trust.keys.newest == FIRST.public_key


def test_heads_of_before_are_read_with_the_key_of_then(tmp_path: Path) -> None:
    old = sign_head("log", 0, bytes(32), FIRST)
    before = LogWatch(tmp_path, LogTrust(FIRST.public_key, tmp_path), None)
    before.see(old.note, {}, 0.0)
    LogTrust(FIRST.public_key, tmp_path).follow(ONE)
    after = LogWatch(tmp_path, LogTrust(FIRST.public_key, tmp_path), old.note)
    assert after.status.startswith("stands by what it signed, up to 0 entries")
    assert not after.caught


async def test_it_asks_at_once_and_whenever_a_head_bears_another_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.log_keys.RETRY_S", 0.0)
    trust, doubt = LogTrust(FIRST.public_key, tmp_path), asyncio.Event()
    answers: list[bytes | None] = [STOLEN[:-9], None, ONE, BOTH, None]
    asked: list[str] = []
    turn = asyncio.Semaphore(0)

    async def request(method: str, path: str) -> HttpAnswer:
        asked.append(f"{method} {path}")
        body = answers[len(asked) - 1]
        turn.release()
        if body is None:
            raise OSError("nobody answers")
        return HttpAnswer(200, body, None)

    task = asyncio.create_task(LogKeyFollower(trust, doubt, request).run())
    for _ in answers:
        async with asyncio.timeout(20):
            await turn.acquire()
            doubt.set()
    task.cancel()
    assert asked == [f"GET {KEYS_PATH}"] * len(answers)
    assert newest(tmp_path) == THIRD.public_key


def test_an_announcement_below_what_was_seen_is_a_fork_and_no_way_to_be_forgotten(
    tmp_path: Path,
) -> None:
    """The keeper begins anew at an entry before the newest that the agent saw, with another key from there on."""
    announced, first = seal_succession(0, 0, FIRST, SECOND), Frontier()
    for number in range(5):
        first.append(leaf_hash(b"entry %d" % number))
    seen, other = sign_head("log", 5, first.root(), FIRST), Frontier()
    for leaf in (announced, *(b"another" for _ in range(5))):
        other.append(leaf_hash(leaf))
    shown = sign_head("log", 6, other.root(), SECOND)
    before = LogWatch(tmp_path, LogTrust(FIRST.public_key, tmp_path), None)
    before.see(seen.note, {}, 0.0)
    assert LogTrust(FIRST.public_key, tmp_path).follow(ONE)
    trust = LogTrust(FIRST.public_key, tmp_path)
    again = [LogWatch(tmp_path, trust, latest) for latest in (None, seen.note)]
    for after in again:
        assert after.status.startswith("stands by what it signed, up to 5 entries")
        assert after.asks(0.0) == [5]
    after = again[-1]
    after.see(shown.note, {5: []}, 0.0)
    [(kind, evidence)] = after.take()
    assert (kind, after.caught) == ("log_forked", True)
    assert [part.split(" ")[0] for part in evidence.split("; ")] == ["5", "6"], "both heads"
