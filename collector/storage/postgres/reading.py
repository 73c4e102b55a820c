"""A shard as it is read: by the process that writes it, and by others beside that."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager

import psycopg
from sqlalchemy import Engine

from collector.storage.ledger import SqlLedger
from collector.storage.postgres.place import Place, parse_place, stated
from collector.storage.postgres.schema import READER, VERSION, open_engine
from collector.storage.reading import ReadLog
from collector.storage.store import (
    CorruptStore,
    JudgedStore,
    StorageError,
    StoreInfo,
    Substitute,
    WrongVersion,
)
from weighbridge.log.checkpoint import Head, read_head
from weighbridge.log.entries import stored_hash
from weighbridge.log.merkle import DamagedTree, Frontier

HASH_BYTES = 32
READ_AT_ONCE = 128
LEAVES = "SELECT index, substr(hashes, 1, 32), leaf FROM entries WHERE index >= %s AND index < %s ORDER BY index"
NODE = "SELECT substr(hashes, %s, 32) FROM entries WHERE index = %s"


class Reading(ReadLog):
    """What is durable of a log, from any thread."""

    def __init__(self, place: Place, engine: Engine) -> None:
        """As the log is now. Raises StorageError."""
        self._place = place
        self._reading = engine.execution_options(isolation_level="AUTOCOMMIT")
        with self._reading.connect() as connection:
            size, note = connection.exec_driver_sql("SELECT size, head FROM log").one()
        self._size, self._head = int(size), read_head(note)

    @property
    def size(self) -> int:
        return self._size

    @property
    def handed_out(self) -> Head | None:
        return self._head

    def leaves(self, start: int, limit: int) -> Iterator[bytes]:
        stop = min(start + limit, self._size)
        while start < stop:
            upto = min(start + READ_AT_ONCE, stop)
            yield from self._read(start, upto)
            start = upto

    def _read(self, start: int, upto: int) -> Iterator[bytes]:
        with self._reading.connect() as connection:
            rows = connection.exec_driver_sql(LEAVES, (start, upto)).all()
        if [row[0] for row in rows] != list(range(start, upto)):
            raise CorruptStore(f"{self._place}: of entries {start} to {upto - 1} some are missing")
        for index, leaf_hash, leaf in rows:
            if stored_hash(leaf) != leaf_hash:
                raise CorruptStore(f"{self._place}: entry {index} is not what was appended")
            yield leaf

    def node(self, level: int, index: int) -> bytes:
        last = ((index + 1) << level) - 1
        with self._reading.connect() as connection:
            found = connection.exec_driver_sql(NODE, (1 + HASH_BYTES * level, last)).scalar()
        if found is None or len(found) != HASH_BYTES:
            raise ValueError(f"no complete subtree at level {level}, index {index}")
        return bytes(found)

    def _said(self, error: DamagedTree) -> str:
        return f"{self._place}: {error}; restore the database"


class ReadingLog(Reading):
    """The log of a shard as it was when it was opened, only read."""

    def __init__(self, url: str) -> None:
        """Raises StorageError."""
        place = parse_place(url)
        self._engine = open_engine(place, READER, None)
        with ExitStack() as undo:
            undo.callback(self._engine.dispose)
            super().__init__(place, self._engine)
            undo.pop_all()

    def append(self, leaves: Sequence[bytes]) -> int:
        raise StorageError(f"{self._place} is only read; {len(leaves)} leaves are not kept")

    def hand_out(self, head: Head) -> None:
        raise StorageError(f"{self._place} is only read; the head over {head.size} is not kept")

    def let_go(self, substitute: Substitute) -> int:  # noqa: ARG002
        raise StorageError(f"{self._place} is only read; nothing leaves it")

    def root(self) -> bytes:
        return Frontier(self._size, self.node).root()

    def close(self) -> None:
        self._engine.dispose()


def read_info(url: str) -> StoreInfo:
    """What the shard says of itself. Raises StorageError."""
    place = parse_place(url)
    with closing(place.connect(READER, durable=False)) as connection:
        return described(place, connection)[0]


def described(place: Place, connection: psycopg.Connection) -> tuple[StoreInfo, int]:
    """The same, and of which schema its index and ledger are."""
    try:
        rows = connection.execute("SELECT version, derived, origin FROM log").fetchall()
    except psycopg.Error as error:
        raise stated(place, error) from error
    version, derived, origin = rows[0]
    if version != VERSION:
        raise WrongVersion(f"{place}: version {version}; this program knows {VERSION}")
    return StoreInfo(origin), derived


@contextmanager
def judged_store(url: str) -> Iterator[JudgedStore]:
    """Its ledger, as far as that was written. Raises StorageError."""
    engine = open_engine(parse_place(url), READER, None)
    try:
        yield JudgedStore(read_info(url), SqlLedger(engine))
    finally:
        engine.dispose()
