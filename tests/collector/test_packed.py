"""Segments that grow no more rest packed: what they held comes back to the byte, wherever it is read."""

import errno
import gc
import os
import random
import shutil
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.storage import packed_segments as packed
from collector.storage.embedded import create_store, open_embedded
from collector.storage.frozen import FrozenLog
from collector.storage.packed_segments import BlockCache, is_packed, opened_packed, pack_in_place
from collector.storage.scrub import Part, scrub
from collector.storage.segments import HEADER, MAGIC, leaves_in, opened_rows, rows_of
from collector.storage.store import CorruptStore, Store, StoreFull, StoreInfo
from tests.collector.building import Agent, flip, wait_for
from tests.collector.killing import killed_at
from weighbridge.log.entries import Entry, EntryKind, Tick, payload_type
from weighbridge.wire.report import digest, encode
from weighbridge.wire.signing import Envelope, Signer, open_envelope

SIGNERS = [Signer(bytes([number]) * 32) for number in range(3)]
INFO = StoreInfo("weighbridge/test")
FIRST = 17


class Given:
    """Rows in memory."""

    first = FIRST

    def __init__(self, leaves: list[bytes]) -> None:
        self._leaves = leaves
        self.count = len(leaves)

    def leaves(self, start: int, stop: int) -> Iterator[bytes]:
        return iter(self._leaves[start:stop])


def chained(chance: random.Random, before: bytes) -> bytes:
    """A payload that names the hash of the one before, somewhere, or several times."""
    named = digest(before) * chance.randrange(3)
    return f'{{"a":{chance.randrange(10 ** chance.randrange(9))},"prev":"{named}"}}'.encode()


@st.composite
def logs(draw: st.DrawFn) -> list[bytes]:
    """Entries of every kind and of several keys in any order, and what is like an envelope and is none."""
    chance = draw(st.randoms(use_true_random=False))
    before = dict.fromkeys(SIGNERS, b"")
    leaves = []
    for _ in range(draw(st.integers(1, 40))):
        signer = chance.choice(SIGNERS)
        before[signer] = payload = chained(chance, before[signer])
        leaf = signer.seal(payload_type(chance.choice(list(EntryKind))), payload)
        odd = (leaf[:-1], leaf + b" ", leaf.replace(b'"sig"', b'"sih"'), b"", payload, leaf * 2)
        leaves.append(chance.choice((leaf, leaf, leaf, chance.choice(odd))))
    return [*leaves, draw(st.binary(max_size=400))]


@settings(max_examples=60)
@given(logs())
def test_every_leaf_comes_back_as_it_was_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, leaves: list[bytes]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.seg"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(packed, "BLOCK_BYTES", 2000)
        path.touch()
        pack_in_place(Given(leaves), path)
    file = opened_packed(path, FIRST, BlockCache())
    assert list(file.leaves(0, file.count)) == leaves
    for row in random.Random(1).sample(range(file.count), file.count):
        assert list(file.leaves(row, row + 1)) == [leaves[row]]
    assert list(leaves_in(path.read_bytes(), FIRST, "a place")) == leaves


def reports(nodes: int, each: int) -> list[bytes]:
    """In the order in which a fleet sends them."""
    agents = [Agent(f"n{number}") for number in range(nodes)]
    return [agent.next() for _ in range(each) for agent in agents]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two segments, of which the first is worth packing, that no one has packed."""
    directory = tmp_path_factory.mktemp("plain") / "store"
    create_store(directory, INFO, SIGNERS[0])
    store = open_embedded(directory)
    store.log.append(reports(12, 30))
    store.close()
    return directory


@pytest.fixture
def directory(plain: Path, tmp_path: Path) -> Path:
    return shutil.copytree(plain, tmp_path / "store")


def first_segment(directory: Path) -> Path:
    return min((directory / "evidence" / "segments").glob("*.seg"))


def begin_another(directory: Path) -> Store:
    """The store, opened, with a segment that grows behind the one that does no more."""
    store = open_embedded(directory, segment_bytes=4096)
    store.log.append([SIGNERS[0].seal(payload_type(EntryKind.TICK), encode(Tick(wall_us=1)))])
    return store


def pack_first(directory: Path) -> Path:
    store = begin_another(directory)
    wait_for(partial(is_packed, first_segment(directory)), "packed segment")
    store.close()
    return first_segment(directory)


def test_a_segment_is_packed_once_another_one_grows_and_reads_as_before(directory: Path) -> None:
    with_before = FrozenLog(directory / "evidence" / "segments")
    leaves, size = list(with_before.leaves(0, 1000)), first_segment(directory).stat().st_size
    store = begin_another(directory)
    root = store.log.root()
    wait_for(partial(is_packed, first_segment(directory)), "packed segment")
    assert list(store.log.leaves(0, len(leaves))) == leaves
    assert [entry.index for entry in store.log.read(100, 2)] == [100, 101]
    store.close()
    assert first_segment(directory).stat().st_size < size / 8
    assert list(with_before.leaves(0, 1000)) == leaves
    frozen = FrozenLog(directory / "evidence" / "segments")
    assert list(frozen.leaves(0, len(leaves))) == leaves
    assert frozen.root() == root
    (directory / "evidence" / "tree").unlink()
    again = open_embedded(directory)
    assert again.log.root() == root
    again.close()


def test_what_is_killed_while_it_packs_leaves_the_plain_segment_or_the_packed_one(
    directory: Path,
) -> None:
    path = first_segment(directory)
    leaves = list(opened_rows(path, 0, BlockCache()).leaves(0, 360))

    def packs() -> None:
        pack_in_place(opened_rows(path, 0, BlockCache()), path)

    step = 1
    while killed_at(step, packs):
        assert list(opened_rows(path, 0, BlockCache()).leaves(0, 360)) == leaves
        step += 1
    assert step > 6
    assert is_packed(path)
    assert list(opened_rows(path, 0, BlockCache()).leaves(0, 360)) == leaves


def test_who_opens_a_segment_while_it_is_packed_reads_what_it_holds(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = first_segment(directory)
    rows, opens = opened_rows(path, 0, BlockCache()), os.open
    leaves = list(rows.leaves(0, 360))

    def packed_just_before(*asked: Any, **more: Any) -> int:
        monkeypatch.setattr(os, "open", opens)
        pack_in_place(rows, path)
        return opens(*asked, **more)

    monkeypatch.setattr(os, "open", packed_just_before)
    assert list(opened_rows(path, 0, BlockCache()).leaves(0, 360)) == leaves
    assert is_packed(path)


def test_a_damaged_block_is_named_and_the_others_are_read(directory: Path) -> None:
    path = pack_first(directory)
    whole = opened_packed(path, 0, BlockCache())
    leaves = list(whole.leaves(0, whole.count))
    flip(path, path.stat().st_size // 2)
    damaged = opened_packed(path, 0, BlockCache())
    read = dict(enumerate(leaf for _, leaf in damaged.whatever_leaves()))
    lost = [row for row, leaf in read.items() if leaf is None]
    assert 0 < len(lost) < len(leaves) / 2
    assert all(leaf is None or leaf == leaves[row] for row, leaf in read.items())
    log = FrozenLog(directory / "evidence" / "segments")
    with pytest.raises(CorruptStore, match=rf"{path.name}: offset [0-9]+: block [0-9]+: .* CRC"):
        list(log.leaves(lost[0], 1))
    found = scrub(directory, [SIGNERS[0].public_key], whole=True)
    assert found.counts[Part.SEGMENTS] == len(lost)
    assert f"entry {lost[0]} is damaged" in found.faults[Part.SEGMENTS][0]


def test_a_scrub_of_a_packed_segment_finds_nothing(directory: Path) -> None:
    pack_first(directory)
    found = scrub(directory, [SIGNERS[0].public_key], whole=True)
    assert (found.counts, found.entries) == ({}, 361)


def test_reports_leave_a_packed_segment_which_is_packed_again(directory: Path) -> None:
    path = pack_first(directory)
    store = open_embedded(directory)
    before, size = list(store.log.leaves(0, 361)), path.stat().st_size
    stands = SIGNERS[0].seal(payload_type(EntryKind.REMOVED), b"{}")
    mode = path.stat().st_mode

    def substitute(one: Entry, _: str) -> bytes | None:
        return stands if one.index % 2 else None

    assert store.log.let_go(substitute) == 180
    after = list(store.log.leaves(0, 361))
    store.close()
    assert (is_packed(path), path.stat().st_size < size, path.stat().st_mode) == (True, True, mode)
    assert list(FrozenLog(path.parent).leaves(0, 361)) == after
    assert after == [stands if row % 2 else leaf for row, leaf in enumerate(before)]


@pytest.fixture
def counted() -> Iterator[None]:
    """What nobody refers to is gone at once, but for cycles, which stay."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("counted")
def test_of_reports_that_left_nothing_is_held_in_memory_or_by_an_open_file(directory: Path) -> None:
    path = pack_first(directory)
    store = open_embedded(directory)
    report = open_envelope(next(store.log.leaves(0, 1))).payload
    assert report in held_payloads()
    stands = SIGNERS[0].seal(payload_type(EntryKind.REMOVED), b"{}")
    store.log.let_go(lambda *_: stands)
    assert report not in held_payloads()
    assert [held for held in open_files() if str(path) in held] == []
    store.close()


def held_payloads() -> set[bytes]:
    """Of envelopes in this process."""
    return {one.payload for one in gc.get_objects() if isinstance(one, Envelope)}


def open_files() -> list[str]:
    """Of this process; one that was removed is called so."""
    names = []
    for one in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            names.append(str(one.readlink()))
    return names


@pytest.mark.parametrize("at", ["write", "pack"])
def test_reports_for_which_there_is_no_room_to_leave_stay(
    directory: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """What was written of the new segment is gone, and the error is the storage's."""
    path = pack_first(directory)
    before, store = path.read_bytes(), open_embedded(directory)
    stands = SIGNERS[0].seal(payload_type(EntryKind.REMOVED), b"{}")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    refused = {"write": (os, "fsync"), "pack": (packed, "write_all")}
    monkeypatch.setattr(*refused[at], full)
    with pytest.raises(StoreFull, match=rf"write .*{path.name}.new: No space left"):
        store.log.let_go(lambda *_: stands)
    monkeypatch.undo()
    store.close()
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.glob("*.new*")] == []


@pytest.mark.parametrize("at", [3, 9, 20, -1, -20, -30])
def test_a_packed_segment_whose_frame_is_damaged_is_not_opened(directory: Path, at: int) -> None:
    path = pack_first(directory)
    flip(path, at % path.stat().st_size)
    with pytest.raises(CorruptStore, match=r"not the header|not a packed segment"):
        list(FrozenLog(directory / "evidence" / "segments").leaves(0, 1))


@pytest.mark.parametrize("size", [0, 8, 16, 60, -1, -40])
def test_a_packed_segment_that_is_cut_off_is_not_opened(directory: Path, size: int) -> None:
    path = pack_first(directory)
    data = path.read_bytes()
    path.write_bytes(data[:size])
    with pytest.raises(CorruptStore):
        list(FrozenLog(directory / "evidence" / "segments").leaves(0, 1))


@pytest.mark.parametrize(
    ("size", "worth"), [(packed.WORTH_BYTES - 1, False), (packed.WORTH_BYTES, True)]
)
def test_a_segment_is_packed_from_a_mebibyte_on(tmp_path: Path, size: int, worth: bool) -> None:
    path = tmp_path / "any.seg"
    path.write_bytes(MAGIC.ljust(size, b"\0"))
    assert packed.worth_packing(path) is worth
    path.write_bytes(packed.MAGIC.ljust(size, b"\0"))
    assert packed.worth_packing(path) is False


def test_what_cannot_be_packed_stays_as_it_is(directory: Path) -> None:
    path = first_segment(directory)
    flip(path, path.stat().st_size // 2)
    before = path.read_bytes()
    with pytest.raises(CorruptStore, match="row does not match its CRC"):
        pack_in_place(opened_rows(path, 0, BlockCache()), path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.glob("*.new")] == []


def test_a_plain_segment_reads_as_it_always_did() -> None:
    leaves = reports(1, 2)
    data = HEADER.pack(MAGIC, FIRST) + rows_of(leaves)
    assert list(leaves_in(data, FIRST, "a place")) == leaves
