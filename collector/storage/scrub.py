"""Reads everything that a store holds, and compares each part with what it follows from. It changes nothing.

One pass over the segments, row by row: each leaf against its CRC, the tree's nodes against the leaves, the root against
the newest head, the index against the entries. Where a row is damaged its hash is taken from the tree, so that one bad
row does not hide whether the rest is what was handed out.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from collector.storage.derived import IndexFile
from collector.storage.embedded import misnamed
from collector.storage.handed_out import newest_head
from collector.storage.index import UNLISTED, indexed
from collector.storage.segments import HEADER, first_of, whatever_rows
from collector.storage.store import CorruptStore, Indexed, StorageError
from collector.storage.tree import HASH_BYTES, stored_hashes
from weighbridge.log.checkpoint import Head
from weighbridge.log.entries import Entry, EntryKind, Tick, entry, stored_hash
from weighbridge.log.merkle import Frontier, leaf_hash
from weighbridge.log.succession import LogKeys, announces, open_by_any
from weighbridge.wire.report import WireError, read
from weighbridge.wire.signing import SignatureError, key_id, open_envelope, verify

SHOWN = 20
"""Faults of one part that are told one by one; the others are counted."""


class Part(StrEnum):
    """What of a store a fault is in. All but SEGMENTS and HEAD follow from the segments."""

    SEGMENTS = "segments"
    HEAD = "head"
    TREE = "tree"
    INDEX = "index"
    LEDGER = "ledger"


DERIVED = frozenset({Part.TREE, Part.INDEX, Part.LEDGER})


@dataclass(slots=True)
class Findings:
    """What a scrub found. `keys`: the log's, as its entries announce them.

    `faults` are the first SHOWN of each part, `counts` all of them.

    `entries`: how many were read, `removed` of them reports that have left; `root`: of them all, None where it cannot
    be known. `head`: the newest one, None where none lies there. `torn`: where bytes at the end begin that are no row,
    and of which nobody was told: they are cut when the store is opened. `unseen`: what could not be compared.
    `folded`: how far the ledger has come, None where it cannot be read.
    """

    keys: LogKeys
    entries: int = 0
    removed: int = 0
    root: bytes | None = None
    head: Head | None = None
    torn: str = ""
    folded: int | None = None
    faults: dict[Part, list[str]] = field(default_factory=dict)
    counts: dict[Part, int] = field(default_factory=dict)
    unseen: list[str] = field(default_factory=list)

    def add(self, part: Part, fault: str) -> None:
        self.counts[part] = self.counts.get(part, 0) + 1
        if self.counts[part] <= SHOWN:
            self.faults.setdefault(part, []).append(fault)

    @property
    def sound_log(self) -> bool:
        """Whether nothing is wrong with what cannot be made again."""
        return not self.counts.keys() - DERIVED


def scrub(
    directory: Path,
    log_keys: Sequence[bytes],
    whole: bool,
    count: Callable[[int], None] = lambda _: None,
) -> Findings:
    """Of the store in a directory. `log_keys`: those that the log ever had or was to have, the first one first.

    `whole`: nobody else has it open; else only what the newest head covers is looked at. `count` is told of how many
    entries.
    """
    found = Findings(LogKeys(log_keys[0]))
    found.head = _head(directory, log_keys, found)
    upto = None if whole or found.head is None else found.head.size
    with ExitStack() as stack:
        tree = _Tree(directory / "evidence" / "tree", found)
        stack.callback(tree.close)
        index = _Index(directory / "index.sqlite", found)
        stack.callback(index.close)
        for place, leaf in _leaves(directory / "evidence" / "segments", upto, found):
            _see_removed(place, leaf, log_keys, found)
            _see_succession(place, leaf, found)
            tree.take(place, leaf)
            index.take(found.entries, leaf)
            found.entries += 1
            count(found.entries)
            tree.compare_root()
        tree.end(exact=whole)
        index.end(exact=whole)
    if found.head is not None:
        _see_signer(found.head, found)
    if found.head is not None and found.entries < found.head.size:
        is_not = f"holds {found.entries} entries, and a head over {found.head.size} was handed out"
        found.add(Part.SEGMENTS, f"the log {is_not}: restore the segments from a backup")
    return found


def _see_removed(
    place: str, leaf: bytes | None, log_keys: Sequence[bytes], found: Findings
) -> None:
    """A row that stands for a report that has left is signed by the log: nobody else may say what stood there."""
    if leaf is None or stored_hash(leaf) == leaf_hash(leaf):
        return
    found.removed += 1
    try:
        envelope = open_envelope(leaf)
        named = [key for key in log_keys if key_id(key) == envelope.key_id]
        verify(envelope, named[0] if named else log_keys[0])
    except SignatureError as error:
        found.add(Part.SEGMENTS, f"{place} says that a report has left: {error}")


def _see_succession(place: str, leaf: bytes | None, found: Findings) -> None:
    """The log's key is followed by another one alone that it announced."""
    if leaf is None or not announces(leaf):
        return
    try:
        found.keys = found.keys.succeeded(found.entries, leaf)
    except SignatureError as error:
        found.add(Part.SEGMENTS, f"{place} announces a key of the log: {error}")


def _see_signer(head: Head, found: Findings) -> None:
    """The newest head is signed by the key that the entries under it lead to."""
    try:
        found.keys.open_head(head.note)
    except SignatureError as error:
        found.add(Part.HEAD, f"the head over {head.size}: {error}")


def _head(directory: Path, log_keys: Sequence[bytes], found: Findings) -> Head | None:
    try:
        head = newest_head(directory / "evidence" / "head")
        if (said := misnamed(directory, head)) is not None:
            found.add(Part.HEAD, said)
        return None if head is None else open_by_any(head.note, log_keys)
    except (CorruptStore, SignatureError) as error:
        found.add(Part.HEAD, str(error))
        return None


def _leaves(
    directory: Path, upto: int | None, found: Findings
) -> Iterator[tuple[str, bytes | None]]:
    """Each row's place and leaf, None for one that is damaged or gone, by index up to `upto`."""
    firsts = sorted(first_of(path) for path in directory.glob("*.seg"))
    index = 0
    for first, following in zip(firsts, [*firsts[1:], None], strict=False):
        path = directory / f"{first:016d}.seg"
        if first != index:
            fault = f"{path}: offset 0: begins with entry {first} instead of {index}"
            found.add(Part.SEGMENTS, fault)
            yield from _gone(path, index, first, found)
            index = max(index, first)
        for place, leaf in _rows(path, first, following is None, found):
            if upto is not None and index >= upto:
                return
            yield place, leaf
            index += 1
        if following is not None and index < following:
            rows = f"{index - first} whole rows instead of {following - first}"
            found.add(Part.SEGMENTS, f"{path}: {rows}")
            yield from _gone(path, index, following, found)
            index = following


def _gone(path: Path, start: int, stop: int, found: Findings) -> Iterator[tuple[str, None]]:
    """Entries that are not there, as far as there were any that were handed out."""
    handed_out = 0 if found.head is None else found.head.size
    yield from ((str(path), None) for _ in range(start, min(stop, handed_out)))


def _rows(
    path: Path, first: int, last: bool, found: Findings
) -> Iterator[tuple[str, bytes | None]]:
    """The rows of a segment. What is no row at the very end of the last one, and was not handed out, is torn."""
    handed_out = 0 if found.head is None else found.head.size
    if last and first >= handed_out and path.stat().st_size < HEADER.size:
        found.torn = str(path)
        return
    waiting = ""
    index = first
    try:
        for offset, leaf in whatever_rows(path, first):
            if waiting:
                found.add(Part.SEGMENTS, f"{waiting} is damaged: restore the segment from a backup")
                yield waiting, None
                index += 1
            place = f"{path}: offset {offset}: entry {index}"
            waiting = place if leaf is None else ""
            if leaf is not None:
                yield place, leaf
                index += 1
    except (CorruptStore, OSError) as error:
        found.add(Part.SEGMENTS, str(error))
        return
    if waiting and last and index >= handed_out:
        found.torn = waiting
    elif waiting:
        found.add(Part.SEGMENTS, f"{waiting} is damaged: restore the segment from a backup")
        yield waiting, None


class _Tree:
    """The tree file beside the tree that the leaves make."""

    def __init__(self, path: Path, found: Findings) -> None:
        self._path = path
        self._found = found
        self._file = path.open("rb") if path.exists() else None
        self._size = path.stat().st_size // HASH_BYTES if self._file is not None else 0
        self._frontier: Frontier | None = Frontier()
        self._short = False

    def take(self, place: str, leaf: bytes | None) -> None:
        if self._frontier is None:
            return
        stored = self._file.read(HASH_BYTES) if self._file is not None else b""
        if leaf is None and len(stored) < HASH_BYTES:
            self._found.unseen.append(f"the root: of {place} neither leaf nor hash is left")
            self._frontier = None
            return
        completed = self._frontier.append(stored if leaf is None else stored_hash(leaf))
        rest = self._file.read(HASH_BYTES * (len(completed) - 1)) if self._file is not None else b""
        held = stored + rest
        if len(held) < HASH_BYTES * len(completed):
            self._short = True
        elif held != b"".join(subtree for _, _, subtree in completed):
            self._found.add(Part.TREE, f"{self._path}: other hashes than those of {place}")

    def compare_root(self) -> None:
        """At the newest head's size."""
        head, frontier = self._found.head, self._frontier
        if head is None or frontier is None or frontier.size != head.size:
            return
        if frontier.root() != head.root:
            fault = f"the entries are others than those of which the head over {head.size} was handed out"
            self._found.add(Part.SEGMENTS, f"{fault}: restore the segments from a backup")

    def end(self, *, exact: bool) -> None:
        """`exact`: nobody is appending to it."""
        self._found.root = None if self._frontier is None else self._frontier.root()
        wanted = stored_hashes(self._found.entries)
        if self._short or (exact and self._size > wanted):
            hashes = f"{self._size} hashes instead of {wanted}"
            self._found.add(Part.TREE, f"{self._path}: {hashes}")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


class _Index:
    """The index and the ledger's position beside what the entries say."""

    def __init__(self, path: Path, found: Findings) -> None:
        self._path = path
        self._found = found
        self._file: IndexFile | None = None
        self._received_us = 0
        self._seen = {"reports": 0, "records": 0}
        self._blind = False
        try:
            self._file = IndexFile(path)
            found.folded = self._file.folded
        except StorageError as error:
            found.add(Part.INDEX, str(error))

    def take(self, index: int, leaf: bytes | None) -> None:
        one = None if leaf is None else self._entry(index, leaf)
        self._blind = self._blind or one is None
        if one is None or self._file is None:
            return
        try:
            if one.kind is EntryKind.TICK:
                self._received_us = read(Tick, one.envelope.payload).wall_us
            elif index < self._file.indexed:
                self._compare(self._file, indexed(one, self._received_us))
        except WireError as error:
            self._found.add(Part.SEGMENTS, f"entry {index}: {error}")

    def _entry(self, index: int, leaf: bytes) -> Entry | None:
        try:
            return entry(index, leaf)
        except ValueError as error:
            self._found.add(Part.SEGMENTS, f"entry {index} is no entry: {error}")
            return None

    def _compare(self, file: IndexFile, known: Indexed) -> None:
        if known.accepted is not None:
            self._seen["reports"] += 1
        elif known.kind in UNLISTED:
            return
        else:
            self._seen["records"] += 1
        try:
            same = file.holds(known)
        except StorageError as error:
            self._found.add(Part.INDEX, str(error))
            self._file = None
        else:
            if not same:
                self._found.add(
                    Part.INDEX, f"{self._path}: entry {known.index}: not as the log has it"
                )

    def end(self, *, exact: bool) -> None:
        """`exact`: nobody is adding to the log."""
        if self._file is None:
            return
        for table, seen in self._seen.items() if exact and not self._blind else ():
            try:
                held = self._file.rows(table)
            except StorageError as error:
                self._found.add(Part.INDEX, str(error))
                return
            if held != seen:
                self._found.add(Part.INDEX, f"{self._path}: {held} {table} instead of {seen}")
        furthest = max(self._file.indexed, self._file.folded)
        if exact and furthest > self._found.entries:
            beyond = f"knows {furthest} entries, and the segments hold {self._found.entries}"
            self._found.add(Part.INDEX, f"{self._path}: {beyond}")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
