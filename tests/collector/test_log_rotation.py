"""`weighbridge log rotate`: another key signs the log, and everybody follows. Killed, it breaks nothing."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from collector.judging.replay import Replay
from collector.judging.signers import ReplayError
from collector.log.own_keys import public_keys
from collector.storage.embedded import open_embedded, read_info
from collector.storage.handed_out import replace_head
from tests.collector.building import (
    CONTRACT,
    Agent,
    Serving,
    enrolled,
    flip,
    hand_out,
    leaves_of,
    make_store,
    opened,
    refused_serve,
    rewritten,
    serving,
    set_config,
    wait_for,
    weighbridge,
)
from tests.collector.killing import killed_at
from tests.collector.test_witnesses import (
    brought,
    cosigners,
    listening,
    log_of,
    look,
    new_key,
    witnessed_by,
)
from weighbridge.log.checkpoint import log_key, read_head, sign_head
from weighbridge.log.entries import EntryKind, Tick, entry, payload_type
from weighbridge.log.merkle import stored_position
from weighbridge.log.note import read_note
from weighbridge.log.succession import LogKeys, announces, seal_succession
from weighbridge.log.witnessing import Submission, write_submission
from weighbridge.wire.report import encode
from weighbridge.wire.signing import Signer

StoreOf = Callable[..., Path]
ENDED = "0"
"""An overlap of so many days."""


def signer_of(directory: Path, number: int = 1) -> Signer:
    name = "log.key" if number == 1 else f"log-{number}.key"
    return Signer(bytes.fromhex((directory / "keys" / name).read_text()))


def rotated(directory: Path, overlap_days: str = "30") -> str:
    words = ("--overlap-days", overlap_days, "--config", directory / "config.toml")
    return weighbridge("log", "rotate", *words).stdout


def run(directory: Path, *words: str | Path) -> tuple[int, str]:
    done = weighbridge(*words, "--config", directory / "config.toml", check=False)
    return done.returncode, done.stdout + done.stderr


def signed_by(note: str, *signers: Signer) -> list[bool]:
    origin, said = read_head(note).origin, read_note(note)
    return [bool(said.of(log_key(origin, one.public_key))) for one in signers]


def head_of(server: Serving) -> str:
    return str(server.get("/v1/log/head").json["head"])


def led(server: Serving, known: Signer) -> bytes:
    """The key to which whoever knows this one is led."""
    return LogKeys(known.public_key).follow(server.get("/v1/log/keys").body).newest


def announcements(directory: Path) -> int:
    kinds = [entry(index, leaf).kind for index, leaf in enumerate(leaves_of(directory))]
    return kinds.count(EntryKind.SUCCESSION)


def replayed(directory: Path, state: Path) -> None:
    first, *later = public_keys(directory / "keys")
    again = Replay(f"embedded:{directory}", read_info(directory), first, state, 2**40, later)
    try:
        again.run(lambda _: None)
    finally:
        again.close()


def test_both_keys_sign_heads_in_the_overlap_and_the_new_one_alone_afterwards(
    store_of: StoreOf,
) -> None:
    agent = Agent("n1")
    directory = store_of(agent)
    assert "the former key signs heads too" in rotated(directory)
    rotated(directory, ENDED)
    first, second, third = (signer_of(directory, number) for number in (1, 2, 3))
    with serving(directory) as server:
        assert server.report(agent.next()).status == 200
        assert signed_by(head_of(server), first, second, third) == [True, False, True]
        assert server.get("/v1/log/head").json["log_key"] == third.public_key.hex()
        assert led(server, first) == led(server, second) == third.public_key
        code, said = run(directory, "log", "rotate")
        assert (code, "is open in another process" in said) == (2, True)
    for name in ("log.key", "log-2.key"):
        (directory / "keys" / name).unlink()
    with serving(directory) as server:
        assert server.report(agent.next()).status == 200
        assert signed_by(head_of(server), first, second, third) == [False, False, True]
    assert run(directory, "scrub")[0] == 0
    (directory / "keys" / "log-3.key").unlink()
    assert "the key that signs the log now" in refused_serve(directory).stderr


def test_an_announcement_is_proven_by_no_damaged_hash(store_of: StoreOf) -> None:
    agent = Agent("n1")
    directory = store_of(agent)
    rotated(directory)
    (at,) = [index for index, leaf in enumerate(leaves_of(directory)) if announces(leaf)]
    with serving(directory) as server:
        assert server.report(*(agent.next() for _ in range(8))).status == 200
        assert server.stop() == 0
    store, second = open_embedded(directory, segment_bytes=1), signer_of(directory, 2)
    store.log.append([second.seal(payload_type(EntryKind.TICK), encode(Tick(wall_us=0)))])
    hand_out(directory, store, second)
    store.close()
    flip(directory / "evidence" / "tree", 32 * stored_position(0, at ^ 1))
    with serving(directory) as server:
        refused = server.get("/v1/log/keys")
        assert (refused.status, refused.json["code"]) == (500, "internal")
        assert f"the hash at level 0, index {at & ~1} or" in refused.json["detail"]


def test_a_replay_holds_entries_to_the_key_of_their_place(tmp_path: Path) -> None:
    agent = Agent("n1")
    directory = make_store(tmp_path / "store", [agent], CONTRACT)
    for _ in range(2):
        rotated(directory)
    with serving(directory) as server:
        assert server.report(agent.next()).status == 200
    names = [signer_of(directory, number).key_id for number in (1, 2, 3)]
    leaves = leaves_of(directory)
    own = [entry(index, leaf) for index, leaf in enumerate(leaves)]
    signers = [names.index(one.envelope.key_id) for one in own if one.kind is not EntryKind.REPORT]
    assert signers == sorted(signers)
    assert set(signers) == {0, 1, 2}
    replayed(directory, tmp_path / "whole")
    payload = encode(enrolled(Agent("n2")))
    for number, forger in enumerate((signer_of(directory), signer_of(directory, 2))):
        forged = forger.seal(payload_type(EntryKind.KEY), payload)
        rewritten(directory, [*leaves, forged])
        with pytest.raises(ReplayError, match=f"entry {len(leaves)}: a key by a key that may not"):
            replayed(directory, tmp_path / f"forged-{number}")
    fourth, end = Signer(b"4" * 32), len(leaves)
    stolen = {
        "another place": seal_succession(end + 1, 0, signer_of(directory, 3), fourth),
        "may not sign it": seal_succession(end, 0, signer_of(directory), fourth),
    }
    for said, leaf in stolen.items():
        rewritten(directory, [*leaves, leaf])
        with pytest.raises(ReplayError, match=f"entry {end}: .*{said}"):
            replayed(directory, tmp_path / said)
    assert "announces" in refused_serve(directory).stderr


def only_head(directory: Path, signer: Signer) -> None:
    """A head over the whole log by this key, in place of those that were handed out."""
    with opened(directory) as store:
        head = sign_head(store.info.origin, store.log.size, store.log.root(), signer)
    replace_head(directory / "evidence" / "head", head)


def test_a_head_by_a_former_key_alone_is_not_the_newest_of_a_store(store_of: StoreOf) -> None:
    directory = store_of(Agent("n1"))
    rotated(directory, ENDED)
    only_head(directory, signer_of(directory))
    assert "signed by a former key" in refused_serve(directory).stderr
    code, said = run(directory, "scrub")
    assert (code, "signed by a former key" in said) == (3, True)
    target = directory.with_name("backup")
    only_head(directory, signer_of(directory, 2))
    assert run(directory, "backup", target)[0] == 0


def test_a_rotation_that_is_killed_leaves_the_former_key_or_the_new_one(
    store_of: StoreOf, tmp_path: Path
) -> None:
    original, seen, step = store_of(Agent("n1")), set(), 1

    def rotate(directory: Path) -> None:
        shutil.copytree(original, directory)
        rotated(directory)

    while killed_at(step, lambda: rotate(tmp_path / f"killed-{step}")):  # noqa: B023
        killed = tmp_path / f"killed-{step}"
        assert run(killed, "scrub")[0] == 0
        announced = announcements(killed)
        seen.add(announced)
        made = signer_of(killed, 2).public_key if (killed / "keys/log-2.key").exists() else b""
        rotated(killed)
        assert announcements(killed) == announced + 1
        assert made in (b"", signer_of(killed, 2).public_key), "a key that was made is used"
        step += 1
    assert seen == {0, 1}


def test_a_backup_holds_what_the_next_key_needs(store_of: StoreOf, tmp_path: Path) -> None:
    agent = Agent("n1")
    directory, target, new = store_of(agent), tmp_path / "backup", tmp_path / "new"
    assert run(directory, "backup", target)[0] == 0
    rotated(directory)
    assert run(directory, "backup", target)[0] == 0
    weighbridge("restore", target, new)
    with serving(new) as server:
        assert server.report(agent.next()).status == 200
        assert led(server, signer_of(new)) == signer_of(new, 2).public_key
    assert run(new, "scrub")[0] == 0
    replayed(new, tmp_path / "state")


def test_a_backup_from_before_a_rotation_announces_the_same_key_again(
    store_of: StoreOf, tmp_path: Path
) -> None:
    agent = Agent("n1")
    directory, target, new = store_of(agent), tmp_path / "backup", tmp_path / "new"
    assert run(directory, "backup", target)[0] == 0
    rotated(directory)
    with serving(directory) as server:
        followed = LogKeys(signer_of(directory).public_key)
        followed = followed.follow(server.get("/v1/log/keys").body)
    weighbridge("restore", target, new)
    shutil.copy(directory / "keys" / "log-2.key", new / "keys" / "log-2.key")
    rotated(new, ENDED)
    assert signer_of(new, 2).public_key == followed.newest
    rotated(new, ENDED)
    with serving(new) as server:
        assert server.report(agent.next()).status == 200
        again = followed.follow(server.get("/v1/log/keys").body)
        assert again.newest == signer_of(new, 3).public_key
        assert again.open_head(head_of(server)).size


def test_a_head_is_signed_anew_by_the_key_of_then(store_of: StoreOf) -> None:
    directory = store_of(Agent("n1"))
    rotated(directory, ENDED)
    head = directory / "evidence" / "head"
    head.write_bytes(bytes(len(head.read_bytes())))
    assert run(directory, "scrub")[0] == 3
    assert run(directory, "scrub", "--sign")[0] == 0
    with serving(directory) as server:
        assert signed_by(head_of(server), signer_of(directory, 2)) == [True]


def test_a_witness_that_was_away_over_two_rotations_follows_the_announcements(
    store_of: StoreOf, tmp_path: Path
) -> None:
    directory = store_of(Agent("n1"))
    log, lessee = log_of(directory), new_key(tmp_path, "lessee")
    set_config(directory, **witnessed_by((lessee, None), seconds=1))
    with serving(directory) as server:
        assert look(tmp_path, "lessee", log, server.url).returncode == 0
    for _ in range(2):
        rotated(directory, ENDED)
    with serving(directory) as server:
        done = wait_for(
            lambda: (one := look(tmp_path, "lessee", log, server.url)).returncode == 0 and one,
            "a head by the third key",
        )
        assert done.returncode == 0
        wait_for(lambda: cosigners(server, [lessee]), "the cosignature")
    kept = (tmp_path / "lessee-state" / "newest-head").read_text()
    signers = [signer_of(directory, number) for number in (1, 2, 3)]
    assert signed_by(kept, *signers) == [False, False, True]
    newest = read_head(kept)
    with listening(tmp_path, "lessee", log) as url:
        for signer, status in ((signers[0], 403), (signers[1], 403), (signers[2], 200)):
            same = sign_head(newest.origin, newest.size, newest.root, signer)
            assert brought(
                url, write_submission(Submission(newest.size, (), same.note))
            ).status == (status)
