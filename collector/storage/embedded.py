"""The embedded store: segments and tree for the log, one SQLite file for what is derived from it.

DIR/store.json            version, and the log's name
DIR/evidence/segments/    the evidence; everything else under evidence/ and index.sqlite is derived
DIR/evidence/head         the newest head that was handed out, which the segments must still hold
DIR/evidence/tree
DIR/index.sqlite
DIR/lock                  held by the process that has the store open
"""

import fcntl
import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from collector.storage.derived import open_derived, read_only, remove_derived
from collector.storage.handed_out import MEND, RESTORE, HeadFile, replace_head
from collector.storage.index import SqlIndex
from collector.storage.ledger import SqlLedger
from collector.storage.packing import Packing
from collector.storage.reading import ReadLog
from collector.storage.retention import let_go
from collector.storage.segments import Segments
from collector.storage.store import (
    CorruptStore,
    JudgedStore,
    StorageError,
    Store,
    StoreInfo,
    StoreInUse,
    Substitute,
    WrongVersion,
)
from collector.storage.tree import TreeFile
from weighbridge.log.checkpoint import Head, sign_head
from weighbridge.log.merkle import EMPTY_ROOT, DamagedTree, Frontier
from weighbridge.process.files import sync_directory, write_file
from weighbridge.wire.signing import Signer

logger = logging.getLogger("weighbridge.storage")

VERSION = 3
SEGMENT_BYTES = 32 << 20
TREE_BATCH = 4096


class EmbeddedLog(ReadLog):
    """The log in a directory. One thread appends; any thread reads what is durable."""

    def __init__(self, directory: Path, segment_bytes: int, lock: int) -> None:
        """Raises CorruptStore, also where the log is not the one of which the newest head was handed out."""
        self._lock = lock
        self._heads = HeadFile(directory / "head")
        self._tree = TreeFile(directory / "tree")
        self._directory = directory / "segments"
        self._segments = Segments(self._directory, segment_bytes, self._durable, self._tree.sync)
        self._packing = Packing(self._segments.pack_next)
        self._segments.after_new = self._packing.wake
        self._restore_tree()
        self._size = self._before = self._segments.size
        self._require_handed_out(directory)

    def _durable(self, index: int) -> bool:
        head = self._heads.newest
        return (head is not None and index < head.size) or self._tree.holds(index)

    def _require_handed_out(self, directory: Path) -> None:
        """What was handed out is a beginning of what the segments hold."""
        head = self._heads.newest
        if head is None:
            return
        if self._size < head.size:
            is_not = f"hold {self._size} entries, and a head over {head.size} was handed out"
        elif not self._agrees(head) and not self._mended(head, directory):
            is_not = f"are others than those of which the head over {head.size} was handed out"
        else:
            return
        raise CorruptStore(
            f"{directory / 'segments'}: the entries {is_not}. Others hold that head, and would see a log that"
            " shrank or forked: restore the segments from a backup (`weighbridge scrub` says where they differ)"
        )

    def _agrees(self, head: Head) -> bool:
        return Frontier(head.size, self._tree.node).root() == head.root

    def _mended(self, head: Head, directory: Path) -> bool:
        """Whether the entries are those of the head, and only the tree's right edge was damaged: it is made again."""
        self._tree.keep(0)
        self._grow_tree(0)
        if self._agrees(head):
            logger.warning("%s: was damaged, and is made again", directory / "tree")
            return True
        return False

    def _restore_tree(self) -> None:
        """Trust what was synced, and make the rest again from the rows."""
        self._grow_tree(self._tree.keep(self._segments.last_first))

    def _grow_tree(self, held: int) -> None:
        while held < self._segments.size:
            self._tree.append(self._segments.leaves(held, TREE_BATCH))
            held = self._tree.size

    @property
    def size(self) -> int:
        return self._size

    def append(self, leaves: Sequence[bytes]) -> int:
        first = self._before = self._size
        self._segments.append(leaves)
        try:
            self._tree.append(leaves)
        except StorageError:
            self._segments.take_back(len(leaves))
            raise
        self._size = first + len(leaves)
        return first

    @property
    def handed_out(self) -> Head | None:
        return self._heads.newest

    def hand_out(self, head: Head) -> None:
        try:
            self._heads.write(head)
        except StorageError:
            self._segments.take_back(self._size - self._before)
            self._size = self._tree.keep(self._before)
            raise

    def leaves(self, start: int, limit: int) -> Iterator[bytes]:
        return self._segments.leaves(start, max(0, min(limit, self._size - start)))

    def node(self, level: int, index: int) -> bytes:
        return self._tree.node(level, index)

    def _said(self, error: DamagedTree) -> str:
        return f"evidence/tree: {error}; `weighbridge scrub` on the stopped store makes it again"

    def root(self) -> bytes:
        return self._tree.root()

    def let_go(self, substitute: Substitute) -> int:
        replacing = self._segments.replacing
        return let_go(self._directory, partial(self._tree.node, 0), substitute, replacing)

    def close(self) -> None:
        self._packing.close()
        self._segments.close()
        self._tree.sync()
        self._tree.close()
        self._heads.close()
        os.close(self._lock)


def create_store(directory: Path, info: StoreInfo, signer: Signer) -> None:
    """A new, empty store, of which the head over no entries is handed out: one without a head has lost it.

    Raises StorageError where there is a store already, or what is left of one.
    """
    for name in ("store.json", "evidence", "keys"):
        if (directory / name).exists():
            raise StorageError(
                f"{directory} holds a store already, or the {name} of one: {RESTORE}"
            )
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    (directory / "evidence" / "segments").mkdir(parents=True)
    replace_head(directory / "evidence" / "head", sign_head(info.origin, 0, EMPTY_ROOT, signer))
    for made in (directory / "evidence", directory, directory.parent):
        sync_directory(made)
    describe_store(directory, info)


def describe_store(directory: Path, info: StoreInfo) -> None:
    """From now on the directory is a store. Tree, index and ledger are made of its segments when it is opened."""
    described = json.dumps({"version": VERSION, "origin": info.origin}, sort_keys=True)
    write_file(directory / "store.json", described.encode())


def open_embedded(directory: Path, segment_bytes: int = SEGMENT_BYTES) -> Store:
    """What `open_store` promises. A segment is sealed by the first append after it passed `segment_bytes`."""
    with ExitStack() as undo:
        lock = lock_store(directory)
        undo.callback(os.close, lock)
        info = read_info(directory)
        log = EmbeddedLog(directory / "evidence", segment_bytes, lock)
        if (said := misnamed(directory, log.handed_out)) is not None:
            raise CorruptStore(said)
        engine = open_derived(directory / "index.sqlite")
        undo.callback(engine.dispose)
        index = SqlIndex(engine)
        index.catch_up(log)
        undo.pop_all()
    return Store(info, log, index, SqlLedger(engine))


@contextmanager
def judged_store(directory: Path) -> Iterator[JudgedStore]:
    """Beside the process that has the store open: its ledger, as far as that was written. Raises StorageError."""
    engine = read_only(directory / "index.sqlite")
    try:
        yield JudgedStore(read_info(directory), SqlLedger(engine))
    finally:
        engine.dispose()


def misnamed(directory: Path, head: Head | None) -> str | None:
    """What is wrong where a store has no head, or one of another log than it names. Raises StorageError."""
    origin = read_info(directory).origin
    if head is None:
        return f"{directory / 'evidence' / 'head'}: holds no head, and each store is made with one; {MEND}"
    if head.origin == origin:
        return None
    file = directory / "store.json"
    return f"{file}: names the log {origin}, and a head of {head.origin} was handed out: restore the file"


def rebuild_derived(directory: Path) -> None:
    """Tree and index, made again from the segments; the ledger follows when a collector starts. Raises StorageError."""
    lock = lock_store(directory)
    try:
        (directory / "evidence" / "tree").unlink(missing_ok=True)
        remove_derived(directory / "index.sqlite")
    finally:
        os.close(lock)
    open_embedded(directory).close()


def lock_store(directory: Path) -> int:
    """The descriptor that holds the store for this process. Raises StorageError, StoreInUse."""
    try:
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageError(
            f"{directory} holds no store ({error.strerror}); `weighbridge init` makes one"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise StoreInUse(
            f"{directory} is open in another process: a collector, or a command that reads or writes it."
            " If the collector is starting or stopping, try again; if the command needs it stopped, stop it"
        ) from error
    return descriptor


def read_info(directory: Path) -> StoreInfo:
    """What the store says of itself, without opening it. Raises StorageError."""
    path = directory / "store.json"
    try:
        described = json.loads(path.read_bytes())
        version = described["version"]
        origin = described["origin"]
    except OSError as error:
        raise StorageError(
            f"{directory} holds no store ({path.name}: {error.strerror}); `weighbridge init` makes one"
        ) from error
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptStore(f"{path}: not the description of a store") from error
    if version != VERSION:
        raise WrongVersion(
            f"{path}: version {version}; this program knows {VERSION}. Before the first release nothing is migrated:"
            " begin a new store with `weighbridge init`"
        )
    if not isinstance(origin, str):
        raise CorruptStore(f"{path}: not the description of a store")
    return StoreInfo(origin)
