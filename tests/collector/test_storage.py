"""What the embedded store promises besides: of its files, and of their damage."""

import errno
import hashlib
import os
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from collector.storage import handed_out
from collector.storage import segments as segment_module
from collector.storage.derived import SCHEMA
from collector.storage.embedded import create_store, open_embedded, read_info
from collector.storage.handed_out import SLOT_BYTES
from collector.storage.store import (
    ChainKey,
    CorruptStore,
    Indexed,
    StorageError,
    Store,
    StoreFull,
    StoreInfo,
    StoreInUse,
    WrongVersion,
)
from collector.storage.stores import open_store
from tests.collector.building import Agent, flip
from tests.collector.stores import INFO, SIGNER, hand_out, tick
from tests.weighbridge.rfc_9162 import recursive_root
from weighbridge.log.checkpoint import SIMULATED, sign_head
from weighbridge.log.entries import EntryKind
from weighbridge.log.merkle import stored_position


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    create_store(tmp_path / "store", INFO, SIGNER)
    return tmp_path / "store"


def test_only_its_owner_reads_the_evidence(directory: Path) -> None:
    store = open_embedded(directory, segment_bytes=64)
    for number in range(2):
        store.log.append([tick(number)])
    store.close()
    files = [file for file in (directory / "evidence").rglob("*") if file.is_file()]
    assert len(files) == 4
    assert {file.stat().st_mode & 0o077 for file in files} == {0}


def test_a_missing_or_short_tree_is_made_again_from_the_segments(directory: Path) -> None:
    store = open_embedded(directory, segment_bytes=4096)
    leaves = [tick(number) for number in range(50)]
    store.log.append(leaves)
    store.log.append(leaves)
    store.close()
    tree = directory / "evidence" / "tree"
    for damage in (tree.unlink, lambda: tree.write_bytes(tree.read_bytes()[:1000])):
        damage()
        with_tree = open_embedded(directory, segment_bytes=4096)
        assert with_tree.log.root() == recursive_root(leaves + leaves)
        with_tree.close()


def test_a_ledger_of_another_form_is_made_anew_from_the_log(directory: Path) -> None:
    store = open_embedded(directory)
    store.log.append([tick(5)])
    store.ledger.write((), (), 1, {"registry": b"of an earlier form"})
    store.close()
    with sqlite3.connect(directory / "index.sqlite") as ledger:
        ledger.execute(f"PRAGMA user_version = {SCHEMA - 1}")
    ledger.close()
    store = open_embedded(directory)
    assert (store.log.size, store.ledger.folded(), store.ledger.snapshots()) == (1, 0, {})
    store.close()


def test_an_index_that_is_missing_answers_as_before(directory: Path) -> None:
    store = open_embedded(directory)
    agent = Agent("n1", gpus=1)
    chain = ChainKey(agent.signer.key_id, agent.chain, "node")
    envelopes = [agent.next() for _ in range(3)]
    store.log.append([tick(5), envelopes[0], tick(9), *envelopes[1:]])
    store.close()
    (directory / "index.sqlite").unlink()
    store = open_embedded(directory)
    last, first = store.index.last(chain), store.index.find(chain, 0)
    assert last is not None
    assert first is not None
    assert (last.seq, last.payload_hash, last.index, last.received_us) == (2, agent.prev, 4, 9)
    assert (first.index, first.received_us) == (1, 5)
    assert store.index.find(chain, 3) is None
    assert store.index.find(ChainKey("k", "c", "s"), 0) is None
    store.close()


def test_an_index_that_knows_more_than_the_log_is_an_error(directory: Path) -> None:
    store = open_embedded(directory)
    store.log.append([tick(0), tick(1)])
    store.index.record([Indexed(0, EntryKind.TICK), Indexed(1, EntryKind.TICK)])
    store.close()
    for file in (directory / "evidence" / "segments").iterdir():
        file.unlink()
    (directory / "evidence" / "tree").unlink()
    with pytest.raises(
        CorruptStore, match=r"2 entries, the log holds 0: .* delete .*/index\.sqlite"
    ):
        open_embedded(directory)


def segment_files(directory: Path) -> list[Path]:
    return sorted((directory / "evidence" / "segments").glob("*.seg"))


@pytest.mark.parametrize("torn", [b"\x07", b"\xff\x00\x00\x00\x00\x00\x00\x00abc", bytes(300)])
def test_a_torn_tail_is_cut_and_reported(
    directory: Path, torn: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_embedded(directory)
    leaves = [tick(number) for number in range(3)]
    store.log.append(leaves)
    store.close()
    with segment_files(directory)[-1].open("ab") as file:
        file.write(torn)
    store = open_embedded(directory)
    assert f"cut a torn tail of {len(torn)} bytes" in caplog.text
    assert list(store.log.leaves(0, 9)) == leaves
    store.log.append([tick(3)])
    store.close()
    store = open_embedded(directory)
    assert list(store.log.leaves(3, 9)) == [tick(3)]
    store.close()


def test_a_tree_of_zeros_after_a_power_cut_is_no_word_that_a_row_was_acknowledged(
    directory: Path,
) -> None:
    store = open_embedded(directory)
    store.log.append([tick(0)])
    store.close()
    with segment_files(directory)[-1].open("ab") as file:
        file.write(bytes(100))
    with (directory / "evidence" / "tree").open("ab") as file:
        file.write(bytes(4096))
    store = open_embedded(directory)
    assert list(store.log.leaves(0, 9)) == [tick(0)]
    assert store.log.root() == recursive_root([tick(0)])
    store.close()


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, unlimited[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)


def fill(store: Store, written: list[bytes]) -> None:
    """Append until it raises; what was appended is in `written`."""
    for number in range(20):
        store.log.append([tick(number)])
        written.append(tick(number))


def written_bytes(directory: Path) -> int:
    """Of rows, without the headers of segments."""
    return sum(file.stat().st_size - 16 for file in segment_files(directory))


@pytest.mark.parametrize(
    ("segment_bytes", "limit"), [(1 << 20, 1000), (64, 400)], ids=["of a segment", "of the tree"]
)
def test_an_append_that_finds_no_room_keeps_nothing(
    directory: Path, segment_bytes: int, limit: int
) -> None:
    store = open_embedded(directory, segment_bytes)
    written: list[bytes] = []
    with files_of_at_most(limit), pytest.raises(StoreFull, match="File too large"):
        fill(store, written)
    size = written_bytes(directory)
    assert size == sum(8 + len(leaf) for leaf in written)
    assert 0 < store.log.size == len(written)
    assert store.log.root() == recursive_root(written)
    more = [tick(number) for number in range(100, 103)]
    store.log.append(more)
    store.close()
    store = open_embedded(directory, segment_bytes)
    assert list(store.log.leaves(0, 99)) == written + more
    assert store.log.root() == recursive_root(written + more)
    store.close()


def refuse(*_: object, **__: object) -> None:
    raise OSError(errno.EIO, "Input/output error")


def test_where_a_torn_row_cannot_be_cut_the_next_append_cuts_it(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_embedded(directory)
    first, torn, after = tick(0), [tick(1)] * 40, tick(2)
    store.log.append([first])
    with monkeypatch.context() as patched, files_of_at_most(1000):
        patched.setattr(os, "ftruncate", refuse)
        with pytest.raises(StoreFull, match="File too large"):
            store.log.append(torn)
    assert written_bytes(directory) > 8 + len(first)
    store.log.append([after])
    assert written_bytes(directory) == 16 + len(first) + len(after)
    assert store.log.root() == recursive_root([first, after])
    store.close()


def test_a_tree_that_cannot_be_cut_leaves_the_log_as_it_was(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_embedded(directory, segment_bytes=64)
    written: list[bytes] = []
    with monkeypatch.context() as patched, files_of_at_most(400):
        patched.setattr(os, "ftruncate", refuse)
        with pytest.raises(StoreFull, match="tree"):
            fill(store, written)
    store.log.append([tick(100)])
    assert list(store.log.leaves(0, 99)) == [*written, tick(100)]
    assert store.log.root() == recursive_root([*written, tick(100)])
    store.close()


def test_a_segment_that_cannot_be_opened_is_an_error_of_the_store(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_embedded(directory)
    with monkeypatch.context() as patched:
        patched.setattr(segment_module, "SegmentFile", refuse)
        with pytest.raises(StorageError, match=r"begin .*seg: Input/output error"):
            store.log.append([tick(0)])
    store.log.append([tick(1)])
    assert list(store.log.leaves(0, 9)) == [tick(1)]
    store.close()


def test_a_stray_file_among_the_segments_is_named(directory: Path) -> None:
    (directory / "evidence" / "segments" / "x.seg").touch()
    with pytest.raises(CorruptStore, match=r"x\.seg: not the name of a segment"):
        open_embedded(directory)


def test_a_segment_that_was_never_begun_is_removed(directory: Path) -> None:
    store = open_embedded(directory, segment_bytes=64)
    store.log.append([tick(0)])
    store.close()
    (directory / "evidence" / "segments" / f"{1:016d}.seg").write_bytes(b"WB")
    store = open_embedded(directory, segment_bytes=64)
    store.log.append([tick(1)])
    assert list(store.log.leaves(0, 9)) == [tick(0), tick(1)]
    store.close()


def cut_last_row(directory: Path) -> None:
    """The last segment without its last row, cut where that begins."""
    file = segment_files(directory)[-1]
    data = file.read_bytes()
    offset = 16
    while (following := offset + 8 + int.from_bytes(data[offset : offset + 4], "little")) < len(
        data
    ):
        offset = following
    file.write_bytes(data[:offset])


def test_a_log_that_is_shorter_than_what_was_handed_out_is_refused(directory: Path) -> None:
    store = open_embedded(directory)
    store.log.append([tick(number) for number in range(5)])
    hand_out(store)
    store.close()
    segments = {file: file.read_bytes() for file in segment_files(directory)}
    cut_last_row(directory)
    (directory / "evidence" / "tree").unlink()
    (directory / "index.sqlite").unlink()
    with pytest.raises(CorruptStore, match="row 4 was acknowledged and is damaged"):
        open_embedded(directory)
    for file in segments:
        file.unlink()
    with pytest.raises(CorruptStore, match="hold 0 entries, and a head over 5 was handed out"):
        open_embedded(directory)
    for file, data in segments.items():
        file.write_bytes(data)
    store = open_embedded(directory)
    assert store.log.size == 5
    store.close()


def test_a_log_of_other_entries_than_those_handed_out_is_refused(directory: Path) -> None:
    """Written anew without one of its rows, tree and all, and longer than before."""
    store = open_embedded(directory)
    leaves = [tick(number) for number in range(9)]
    store.log.append(leaves)
    hand_out(store)
    store.close()
    for file in (*segment_files(directory), directory / "evidence" / "tree"):
        file.unlink()
    head = (directory / "evidence" / "head").read_bytes()
    nothing = sign_head(INFO.origin, 0, hashlib.sha256(b"").digest(), SIGNER)
    handed_out.replace_head(directory / "evidence" / "head", nothing)
    store = open_embedded(directory)
    store.log.append([*leaves[:4], *leaves[5:], tick(9), tick(10)])
    store.close()
    (directory / "evidence" / "head").write_bytes(head)
    with pytest.raises(CorruptStore, match="are others than those of which the head over 9"):
        open_embedded(directory)


def test_a_damaged_right_edge_of_the_tree_is_made_again_from_the_entries(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is no other log: the entries are those of which the head was handed out."""
    store = open_embedded(directory, segment_bytes=64)
    for number in range(9):
        store.log.append([tick(number)])
    hand_out(store)
    root = store.log.root()
    store.close()
    flip(directory / "evidence" / "tree", 32 * stored_position(3, 0))
    store = open_embedded(directory, segment_bytes=64)
    assert store.log.root() == root
    store.close()
    assert "tree: was damaged, and is made again" in caplog.text
    caplog.clear()
    open_embedded(directory, segment_bytes=64).close()
    assert caplog.text == ""


@pytest.mark.parametrize("writes", range(1, 40, 3))
def test_of_a_head_that_was_torn_while_it_was_written_the_one_synced_before_is_left(
    directory: Path, writes: int
) -> None:
    store = open_embedded(directory)
    for number in range(writes):
        store.log.append([tick(number)])
        hand_out(store)
    store.close()
    file = directory / "evidence" / "head"
    slots = [file.read_bytes()[:SLOT_BYTES], file.read_bytes()[SLOT_BYTES:]]
    newest = max(range(2), key=lambda slot: size_in(slots[slot]))
    flip(file, newest * SLOT_BYTES + 20)
    store = open_embedded(directory)
    kept = store.log.handed_out
    assert kept is not None
    assert kept.size == size_in(slots[1 - newest])
    assert writes - handed_out.SYNC_EVERY <= kept.size < writes
    hand_out(store)
    assert store.log.handed_out is not None
    assert store.log.handed_out.size == writes
    store.close()


def size_in(slot: bytes) -> int:
    """The size in a slot's note."""
    return int(slot[8:].split(b"\n")[1])


def test_without_its_head_file_a_store_is_not_opened(directory: Path) -> None:
    store = open_embedded(directory)
    store.log.append([tick(0)])
    hand_out(store)
    store.close()
    (directory / "evidence" / "head").unlink()
    with pytest.raises(CorruptStore, match=r"head: No such file .*scrub --sign"):
        open_embedded(directory)


def test_an_append_whose_head_cannot_be_kept_is_forgotten(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_embedded(directory)
    store.log.append([tick(0)])
    hand_out(store)
    with monkeypatch.context() as patched:
        patched.setattr(handed_out, "write_all", refuse)
        store.log.append([tick(1), tick(2)])
        with pytest.raises(StorageError, match=r"head: Input/output error"):
            hand_out(store)
    assert store.log.size == 1
    assert store.log.root() == recursive_root([tick(0)])
    store.log.append([tick(3)])
    hand_out(store)
    store.close()
    store = open_embedded(directory)
    assert list(store.log.leaves(0, 9)) == [tick(0), tick(3)]
    store.close()


@pytest.mark.parametrize("damaged", ["length", "crc", "leaf"])
@pytest.mark.parametrize("told", [True, False])
def test_a_damaged_row_with_good_rows_behind_it_is_no_torn_tail(
    directory: Path, damaged: str, told: bool
) -> None:
    """Nothing is cut, whether or not anybody is known to have been told of it."""
    store = open_embedded(directory)
    leaves = [tick(number) for number in range(124)]
    store.log.append(leaves)
    if told:
        hand_out(store)
    store.close()
    (directory / "evidence" / "tree").unlink()
    (directory / "index.sqlite").unlink()
    file = segment_files(directory)[-1]
    flip(file, {"length": 16, "crc": 20, "leaf": 40}[damaged])
    before = file.read_bytes()
    said = "row 0 was acknowledged and is damaged" if told else "row 0 is damaged"
    behind = rf"{file.name}: offset 16: {said}; 123 good rows lie behind it. Nothing was cut"
    for _ in range(2):
        with pytest.raises(CorruptStore, match=behind):
            open_embedded(directory)
        assert file.read_bytes() == before


def test_damage_to_what_was_acknowledged_is_an_error_that_names_file_and_offset(
    directory: Path,
) -> None:
    store = open_embedded(directory)
    store.log.append([tick(number) for number in range(3)])
    store.close()
    file = segment_files(directory)[-1]
    flip(file, 40)
    with pytest.raises(CorruptStore, match=rf"{file.name}: offset 16: row 0 was acknowledged"):
        open_embedded(directory)


def test_damage_in_a_sealed_segment_is_an_error_when_it_is_read(directory: Path) -> None:
    store = open_embedded(directory, segment_bytes=64)
    for number in range(3):
        store.log.append([tick(number)])
    store.index.record([Indexed(number, EntryKind.TICK) for number in range(3)])
    store.close()
    file = segment_files(directory)[0]
    flip(file, 40)
    store = open_embedded(directory, segment_bytes=64)
    with pytest.raises(CorruptStore, match=rf"{file.name}: offset 16: row does not match"):
        list(store.log.leaves(0, 3))
    assert list(store.log.leaves(1, 2)) == [tick(1), tick(2)]
    store.close()


def test_a_store_is_open_once(directory: Path) -> None:
    store = open_embedded(directory)
    with pytest.raises(StoreInUse, match=r"is open in another process: .* try again"):
        open_embedded(directory)
    store.close()
    open_embedded(directory).close()


@pytest.mark.parametrize("version", [0, 2, 4, -1])
def test_a_store_of_another_version_is_refused(directory: Path, version: int) -> None:
    (directory / "store.json").write_text(f'{{"origin":"weighbridge/test","version":{version}}}')
    with pytest.raises(WrongVersion, match=f"version {version}; this program knows 3"):
        open_embedded(directory)


@pytest.mark.parametrize("held", [0, 3])
def test_a_store_whose_head_was_overwritten_is_not_opened(directory: Path, held: int) -> None:
    """Whether or not it holds entries: nothing opens as a fresh store but one that was just made."""
    store = open_embedded(directory)
    store.log.append([tick(number) for number in range(held)])
    store.close()
    head = directory / "evidence" / "head"
    head.write_bytes(bytes(head.stat().st_size))
    with pytest.raises(CorruptStore, match="holds no head, and each store is made with one"):
        open_embedded(directory)


@pytest.mark.parametrize("left", ["store.json", "evidence", "keys"])
def test_no_store_is_made_where_something_is_left_of_one(tmp_path: Path, left: str) -> None:
    (tmp_path / left).mkdir()
    with pytest.raises(StorageError, match=f"the {left} of one: restore it from a backup"):
        create_store(tmp_path, INFO, SIGNER)


@pytest.mark.parametrize(("real", "said"), [(True, SIMULATED), (False, "weighbridge/")])
def test_a_simulated_store_is_made_real_by_no_file_nor_a_real_one_simulated(
    tmp_path: Path, real: bool, said: str
) -> None:
    """The log's name says which, and the head bears it under the log's signature."""
    made = StoreInfo("weighbridge/test" if real else f"{SIMULATED}test")
    assert made.simulation is not real
    create_store(tmp_path / "s", made, SIGNER)
    file = tmp_path / "s" / "store.json"
    file.write_text(file.read_text().replace(made.origin, f"{said}test"))
    with pytest.raises(CorruptStore, match=f"names the log {said}test"):
        open_embedded(tmp_path / "s")


@pytest.mark.parametrize(
    "text",
    [
        '{"version":3}',
        '{"origin":"x"}',
        '{"origin":5,"version":3}',
    ],
)
def test_a_description_that_says_too_little_is_an_error_that_names_it(
    directory: Path, text: str
) -> None:
    (directory / "store.json").write_text(text)
    with pytest.raises(StorageError, match=r"store\.json"):
        open_embedded(directory)
    with pytest.raises(StorageError, match=r"store\.json"):
        read_info(directory)


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"holds no store.*`weighbridge init` makes one"):
        open_store(f"embedded:{tmp_path}")
    with pytest.raises(StorageError, match=r"expected embedded:DIRECTORY or postgresql://"):
        open_store("mysql://somewhere")
