"""`weighbridge scrub` reads everything, mends what follows from the segments, and says what it cannot mend."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from collector.cli.scrub import scrub_store
from collector.storage import scrub as scrubbing
from collector.storage.embedded import open_embedded
from collector.storage.packed import Packer, unpack
from collector.storage.store import CorruptStore
from tests.collector.building import (
    Agent,
    flip,
    hand_out,
    make_store,
    opened,
    rewritten,
    serving,
    weighbridge,
)
from tests.collector.test_ledger_anew import filled, folded
from weighbridge.log.entries import EntryKind, Tick, payload_type
from weighbridge.log.merkle import stored_position
from weighbridge.wire.report import encode
from weighbridge.wire.signing import Signer

SOUND, DAMAGED, UNKNOWN = 0, 3, 4
REPORTS = 30


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with several segments, which a collector has indexed, judged and handed out."""
    agent = Agent("n1", gpus=1)
    directory = make_store(tmp_path_factory.mktemp("written") / "store", [agent])
    with serving(directory) as server:
        assert server.report(*(agent.next() for _ in range(REPORTS))).status == 200
        assert server.stop() == 0
    store = open_embedded(directory, segment_bytes=4096)
    store.log.append([tick(store.log.size)])
    hand_out(directory, store)
    store.close()
    return directory


def tick(wall_us: int) -> bytes:
    return Signer(bytes(32)).seal(payload_type(EntryKind.TICK), encode(Tick(wall_us=wall_us)))


@pytest.fixture
def store(written: Path, tmp_path: Path) -> Path:
    shutil.copytree(written, tmp_path / "store")
    return tmp_path / "store"


def scrubbed(directory: Path, *words: str) -> Result:
    return CliRunner().invoke(scrub_store, [*words, "--config", str(directory / "config.toml")])


def segments(directory: Path) -> list[Path]:
    return sorted((directory / "evidence" / "segments").iterdir())


def test_of_a_sound_store_nothing_is_said_and_nothing_changes(store: Path) -> None:
    files = [*segments(store), store / "evidence" / "tree", store / "evidence" / "head"]
    before = [file.read_bytes() for file in files]
    done = scrubbed(store)
    assert (done.exit_code, done.stderr) == (SOUND, "")
    with opened(store) as kept:
        size = kept.log.size
    assert done.stdout == f"{size} entries, the head over {size}\n"
    assert [file.read_bytes() for file in files] == before


def test_beside_a_collector_it_reads_what_was_handed_out(store: Path) -> None:
    with serving(store):
        done = scrubbed(store)
        assert (done.exit_code, done.stderr) == (SOUND, "")
        assert done.stdout.startswith("a collector has the store open")
        assert scrubbed(store, "--sign").exit_code == 2


def spoil_tree(store: Path) -> None:
    flip(store / "evidence" / "tree", 32 * 9)


def cut_tree(store: Path) -> None:
    tree = store / "evidence" / "tree"
    tree.write_bytes(tree.read_bytes()[:640])


def edited(state: bytes, word: str, other: str) -> bytes:
    """A state of the folds in which one word is another."""
    told = unpack(state)
    assert word.encode() in told
    return Packer().pack(told.replace(word.encode(), other.encode()))


def execute(statement: str) -> Callable[[Path], None]:
    def change(store: Path) -> None:
        with sqlite3.connect(store / "index.sqlite") as index:
            index.create_function("edited", 3, edited)
            index.execute(statement)
        index.close()

    return change


def spoil_index(store: Path) -> None:
    file = store / "index.sqlite"
    data = file.read_bytes()
    file.write_bytes(data[:4096] + bytes(len(data) - 4096))


MENDABLE = {
    "a hash": spoil_tree,
    "a short tree": cut_tree,
    "an index that is no database": lambda store: (store / "index.sqlite").write_bytes(b"x" * 9000),
    "pages of zeros": spoil_index,
    "no index": lambda store: (store / "index.sqlite").unlink(),
    "another received_us": execute(
        "UPDATE reports SET received_us = received_us + 1 WHERE seq = 3"
    ),
    "a report too few": execute("DELETE FROM reports WHERE seq = 3"),
    "a report too many": execute("INSERT INTO reports VALUES (99, 0, x'00', 5, 5)"),
    "another kind": execute("UPDATE records SET kind = 'key' WHERE kind = 'claim'"),
    "a ledger ahead": execute("UPDATE progress SET value = 10000 WHERE name = 'folded'"),
}


@pytest.mark.parametrize("damage", MENDABLE.values(), ids=MENDABLE)
def test_what_follows_from_the_segments_is_named_and_made_again(
    store: Path, damage: Callable[[Path], None]
) -> None:
    damage(store)
    found = scrubbed(store, "--read-only")
    assert found.exit_code == DAMAGED
    assert "evidence/tree: " in found.stderr or "index.sqlite" in found.stderr
    mended = scrubbed(store)
    assert mended.exit_code == SOUND
    assert mended.stderr == found.stderr
    assert "made again from the segments" in mended.stdout
    assert scrubbed(store).stderr == ""


LEDGER = {
    "a row that says otherwise": ("UPDATE rows SET state = 'down' WHERE state = 'up'", "up"),
    "no rows": ("DELETE FROM rows", "rows: missing: lease, a, "),
    "a row that was taken back": (
        "UPDATE rows SET superseded_us = recorded_us",
        "rows: superseded by nothing: lease, a, ",
    ),
    "no findings": ("DELETE FROM findings", "findings: missing: lease, "),
    "another use": ("UPDATE uses SET seen = seen + 1", "uses: not by the log: lease, "),
    "no snapshot of a node": (
        "DELETE FROM snapshots WHERE name = 'node/a'",
        "snapshots: missing: node/a",
    ),
    "a snapshot that says otherwise": (
        "UPDATE snapshots SET state = edited(state, 'a', 'b') WHERE name = 'node/a'",
        "snapshots: other than by the log: node/a",
    ),
    "a fold that came less far": (
        "UPDATE snapshots SET state = edited(state, '[2', '[1') WHERE name = 'seal'",
        "snapshots: other than by the log: seal",
    ),
}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of a contract, whose ledger was gone on with after each entry."""
    directory = filled(tmp_path_factory.mktemp("judged") / "store")
    with opened(directory) as store:
        hand_out(directory, store)
        for _ in range(store.log.size):
            folded(store, limit=1)
    return directory


@pytest.mark.parametrize(("edit", "said"), LEDGER.values(), ids=LEDGER)
def test_a_ledger_that_says_otherwise_than_the_log_is_named_and_made_anew(
    judged: Path, tmp_path: Path, edit: str, said: str
) -> None:
    store = shutil.copytree(judged, tmp_path / "store")
    assert scrubbed(store).stderr == ""
    execute(edit)(store)
    assert scrubbed(store, "--no-ledger").stderr == ""
    found = scrubbed(store, "--read-only")
    assert (found.exit_code, found.stderr.startswith("ledger: ")) == (DAMAGED, True)
    assert said in found.stderr
    mended = scrubbed(store)
    assert (mended.exit_code, mended.stderr) == (SOUND, found.stderr)
    with opened(store) as kept:
        folded(kept)
    assert scrubbed(store).stderr == ""


@pytest.mark.parametrize("at", [40, 16, 20], ids=["leaf", "length", "crc"])
@pytest.mark.parametrize("number", [0, -1], ids=["sealed", "last"])
def test_a_damaged_row_is_named_and_hides_nothing_else(store: Path, at: int, number: int) -> None:
    """The tree still has its hash, and so what the rest comes to is known: it is what was handed out."""
    file = segments(store)[number]
    flip(file, at)
    tree = (store / "evidence" / "tree").read_bytes()
    done = scrubbed(store)
    assert done.exit_code == DAMAGED
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"segments: {file}: offset 16: entry {int(file.stem)} is damaged")
    assert "made again" not in done.stdout
    assert (store / "evidence" / "tree").read_bytes() == tree


def test_entries_that_were_cut_off_are_counted_and_nothing_is_signed_over_the_rest(
    store: Path,
) -> None:
    last = segments(store)[-1]
    last.unlink()
    done = scrubbed(store, "--sign")
    assert done.exit_code == DAMAGED
    size = int(last.stem)
    assert f"the log holds {size} entries, and a head over {size + 1} was handed out" in done.stderr
    assert "signed" not in done.stdout


def test_a_segment_that_is_gone_from_the_middle_is_named(store: Path) -> None:
    first, last = segments(store)
    first.unlink()
    done = scrubbed(store)
    assert done.exit_code == DAMAGED
    assert f"{last}: offset 0: begins with entry {int(last.stem)} instead of 0" in done.stderr


def test_a_log_written_anew_beside_an_old_head_is_found(store: Path) -> None:
    with opened(store) as kept:
        leaves = list(kept.log.leaves(0, 10**6))
    head = (store / "evidence" / "head").read_bytes()
    rewritten(store, [*leaves[:7], tick(5), *leaves[8:]])
    (store / "evidence" / "head").write_bytes(head)
    done = scrubbed(store)
    assert done.exit_code == DAMAGED
    assert "the entries are others than those of which the head over" in done.stderr


def test_a_head_that_is_lost_is_signed_anew_only_when_asked(store: Path) -> None:
    (store / "evidence" / "head").unlink()
    done = scrubbed(store)
    assert done.exit_code == DAMAGED
    assert "head: No such file" in done.stderr
    done = scrubbed(store, "--sign")
    assert done.exit_code == SOUND
    assert "signed a head over" in done.stdout
    assert scrubbed(store).stderr == ""
    with serving(store) as server:
        assert server.get("/readyz").status == 200


def test_a_store_that_was_just_made_is_sound(tmp_path: Path) -> None:
    weighbridge("init", tmp_path / "store")
    with opened(tmp_path / "store") as empty:
        assert empty.log.size == 0
    done = scrubbed(tmp_path / "store")
    assert (done.exit_code, done.stderr) == (SOUND, "")
    assert done.stdout == "0 entries, the head over 0\n"


def test_a_head_that_was_overwritten_with_zeros_is_missed(store: Path) -> None:
    """Else a log that was cut at its end would go on under a new head, and nobody here would know."""
    head = store / "evidence" / "head"
    head.write_bytes(bytes(head.stat().st_size))
    for file in (segments(store)[-1], store / "evidence" / "tree", store / "index.sqlite"):
        file.unlink()
    started = weighbridge("serve", "--config", store / "config.toml", check=False)
    assert (started.returncode, "scrub --sign" in started.stderr) == (2, True), started.stderr
    assert head.read_bytes() == bytes(head.stat().st_size)
    done = scrubbed(store, "--read-only")
    assert (done.exit_code, "holds no head" in done.stderr) == (DAMAGED, True), done.stderr
    assert scrubbed(store, "--sign").exit_code == SOUND
    with serving(store) as server:
        assert server.get("/readyz").status == 200


@pytest.mark.parametrize("described", [True, False])
def test_a_store_that_was_cut_to_nothing_is_no_fresh_one(store: Path, described: bool) -> None:
    """Its key and configuration are there still. It is not served, not signed anew, and not made anew in its place."""
    if described:
        as_older = json.loads((store / "store.json").read_text()) | {"version": 1}
        (store / "store.json").write_text(json.dumps(as_older))
    for file in (*segments(store), store / "evidence" / "tree", *store.glob("index.sqlite*")):
        file.unlink()
    head = store / "evidence" / "head"
    head.write_bytes(bytes(head.stat().st_size))
    started = weighbridge("serve", "--config", store / "config.toml", check=False)
    said = "version 1; this program knows 3" if described else "restore it from a backup"
    assert (started.returncode, said in started.stderr) == (2, True), started.stderr
    if not described:
        assert scrubbed(store, "--sign").exit_code == DAMAGED
        assert head.read_bytes() == bytes(head.stat().st_size)
    (store / "store.json").unlink()
    again = weighbridge("init", store, check=False)
    assert (again.returncode, "the evidence of one" in again.stderr) == (2, True), again.stderr


def test_a_damaged_hash_is_in_no_proof_and_is_named_where_one_would_need_it(store: Path) -> None:
    """Inside the tree, where opening does not look. Evidence is taken all the same."""
    position = stored_position(0, 5)
    flip(store / "evidence" / "tree", 32 * position)
    with serving(store) as server:
        assert server.get("/readyz").body == b"ok\n"
        sound = server.get("/v1/log/proof?index=20")
        assert sound.status == 200
        for path in ("proof?index=4", "proof?from=5", "proof?index=0&size=5"):
            refused = server.get(f"/v1/log/{path}")
            assert (refused.status, refused.json["code"]) == (500, "internal"), path
            assert (
                "evidence/tree: the hash at level 0, index 4 or 5 is not" in refused.json["detail"]
            )
        assert server.get("/tile/0/000.p/20").status == 500
        assert server.get("/v1/log/proof?index=20").json == sound.json
        ready = server.get("/readyz")
        assert (ready.status, b"evidence/tree: the hash at level 0" in ready.body) == (200, True)
        assert server.stop() == 0
    assert "scrub` on the stopped store makes it again" in (store / "serve.stderr").read_text()
    assert scrubbed(store).exit_code == SOUND
    with serving(store) as server:
        assert server.get("/v1/log/proof?index=4").status == 200


@pytest.mark.parametrize("begun", [True, False])
def test_a_torn_tail_is_no_damage(store: Path, begun: bool) -> None:
    if begun:
        with segments(store)[-1].open("ab") as file:
            file.write(b"\x40\x00\x00\x00torn")
    else:
        with opened(store) as kept:
            size = kept.log.size
        (store / "evidence" / "segments" / f"{size:016d}.seg").write_bytes(b"WB")
    done = scrubbed(store)
    assert (done.exit_code, done.stderr) == (SOUND, "")
    assert "a torn row of which nobody was told" in done.stdout


def test_of_many_faults_the_first_are_told_and_the_rest_counted(store: Path) -> None:
    tree = store / "evidence" / "tree"
    tree.write_bytes(bytes(tree.stat().st_size))
    done = scrubbed(store, "--read-only")
    told = done.stderr.splitlines()
    assert len(told) == scrubbing.SHOWN + 1
    assert told[-1].startswith("tree: and ")


def test_a_store_that_was_given_another_logs_name_is_not_opened(store: Path) -> None:
    """Heads that it signs under that name prove nothing to whoever holds the earlier ones."""
    file = store / "store.json"
    file.write_text(file.read_text().replace("weighbridge/", "somebody-else/"))
    with pytest.raises(CorruptStore, match="names the log somebody-else/"):
        open_embedded(store)
    done = scrubbed(store)
    assert (done.exit_code, "names the log somebody-else/" in done.output) == (DAMAGED, True)
