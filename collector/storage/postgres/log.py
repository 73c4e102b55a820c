"""The log of a shard: a row for each leaf, written by COPY, one transaction for a whole group."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import NoReturn

import psycopg
from sqlalchemy import Engine

from collector.storage.postgres.lease import Lease
from collector.storage.postgres.place import Place, stated
from collector.storage.postgres.reading import Reading
from collector.storage.postgres.schema import FENCE, lost, make_partition, partition_of
from collector.storage.reading import entries
from collector.storage.store import CorruptStore, StorageError, Substitute
from weighbridge.log.checkpoint import Head
from weighbridge.log.entries import EntryKind, stored_hash
from weighbridge.log.merkle import Frontier

GROW = f"WITH fence AS ({FENCE}) UPDATE log SET size = %s FROM fence WHERE size = %s"  # noqa: S608
CUT = f"WITH fence AS ({FENCE}) UPDATE log SET size = %s FROM fence WHERE size >= %s"  # noqa: S608
REPLACE = f"WITH fence AS ({FENCE}) UPDATE entries SET leaf = %s FROM fence WHERE index = %s"  # noqa: S608
REPLACED_AT_ONCE = 1000
CUT_ENTRIES = "DELETE FROM entries WHERE index >= %s"
KEEP_HEAD = f"""
WITH fence AS ({FENCE}), unsynced AS (SELECT set_config('synchronous_commit', 'off', true) FROM fence)
UPDATE log SET head = %s FROM unsynced
"""  # noqa: S608
"""Not waited for: a crash of the server may leave an older head, which still names a beginning of the same log."""

COPY = "COPY entries (index, hashes, leaf) FROM STDIN (FORMAT BINARY)"
TYPES = ("int8", "bytea", "bytea")
REACHED = "SELECT pg_current_wal_insert_lsn()::text"
HAVE_FLUSHED = """
SELECT count(*) FROM pg_stat_replication
WHERE sync_state IN ('sync', 'quorum') AND flush_lsn >= %s::pg_lsn
"""


class PostgresLog(Reading):
    """The log of the shard whose lease this process holds. One thread appends; any thread reads what is durable."""

    def __init__(self, place: Place, lease: Lease, engine: Engine) -> None:
        """Raises CorruptStore, also where the log is not the one of which the newest head was handed out."""
        super().__init__(place, engine)
        self._lease = lease
        self._warnings: list[str] = []
        self._pid: int | None = None
        self._session: psycopg.Connection | None = None
        self._handed = self._size
        self._frontier = Frontier(self._size, self.node)
        self._kept = self._frontier.peaks()
        self._made = partition_of(self._size)
        self._require_handed_out()

    def _require_handed_out(self) -> None:
        """What was handed out is a beginning of what the entries hold."""
        head = self._head
        if self._size < head.size:
            is_not = f"are {self._size}, and a head over {head.size} was handed out"
        elif Frontier(head.size, self.node).root() != head.root:
            is_not = f"are others than those of which the head over {head.size} was handed out"
        else:
            return
        raise CorruptStore(f"{self._place}: the entries {is_not}: restore the database")

    def append(self, leaves: Sequence[bytes]) -> int:
        session, first = self._ready(), self._size
        hashes, rows = [stored_hash(leaf) for leaf in leaves], []
        for index, hashed in enumerate(hashes, first):
            completed = b"".join(subtree for _, _, subtree in self._frontier.append(hashed))
            rows.append((index, completed, leaves[index - first]))
        try:
            self._write(session, first, rows)
        except (psycopg.Error, StorageError) as error:
            self._forget(error)
        self._size = first + len(leaves)
        return first

    def _write(
        self, session: psycopg.Connection, first: int, rows: Sequence[tuple[int, bytes, bytes]]
    ) -> None:
        self._warnings.clear()
        end = first + len(rows)
        with session.transaction():
            if not session.execute(GROW, (*self._lease.mine, end, first)).rowcount:
                raise lost(self._place)
            for number in range(self._made + 1, partition_of(end) + 1):
                make_partition(session, number)
            with session.cursor() as cursor, cursor.copy(COPY) as copy:
                copy.set_types(TYPES)
                for row in rows:
                    copy.write_row(row)
        self._made = max(self._made, partition_of(end))
        self._require_promised(session)

    def _require_promised(self, session: psycopg.Connection) -> None:
        """A wait for a standby that was cancelled ends as a commit does, with a warning; and where the server waits for
        none, because somebody took its standbys out, it says nothing at all."""
        if self._warnings:
            raise StorageError(f"{self._place}: not known to be on a standby: {self._warnings[0]}")
        if not self._place.standbys:
            return
        reached = session.execute(REACHED).fetchall()[0]
        have = session.execute(HAVE_FLUSHED, reached).fetchall()[0][0]
        if have < self._place.standbys:
            raise StorageError(
                f"{self._place}: {have} synchronous standbys have it, and {self._place.standbys} are asked for"
            )

    def _forget(self, error: Exception) -> NoReturn:
        """Nobody was told of what was appended since a head was handed out. What of it is in the database is taken back
        before anything else is written."""
        self._size, kept = self._handed, self._kept
        self._frontier = Frontier(self._size, lambda level, index: kept[level, index])
        if self._session is not None:
            self._session.close()
            self._session = None
        raise stated(self._place, error) from error

    def _ready(self) -> psycopg.Connection:
        """The session that writes. A new one first takes back what an append that failed may have left."""
        if self._session is None:
            session = self._place.connect(self._lease.name, durable=True)
            session.add_notice_handler(self._heard)
            self._session, before = session, self._pid
            self._pid = session.info.backend_pid
            try:
                self._lease.again(session, before)
                self._take_back(session)
            except (psycopg.Error, StorageError) as error:
                self._forget(error)
        return self._session

    def _take_back(self, session: psycopg.Connection) -> None:
        self._warnings.clear()
        with session.transaction():
            if not session.execute(CUT, (*self._lease.mine, self._size, self._size)).rowcount:
                raise CorruptStore(
                    f"{self._place}: holds less than the {self._size} entries that were acknowledged"
                )
            session.execute(CUT_ENTRIES, (self._size,))
        self._require_promised(session)

    def _heard(self, notice: psycopg.errors.Diagnostic) -> None:
        if notice.severity_nonlocalized == "WARNING":
            self._warnings.append(notice.message_primary or "")

    def let_go(self, substitute: Substitute) -> int:
        """In one transaction after the other, by a session of its own."""
        left, end = 0, self._size - 1
        with closing(self._place.connect(self._lease.name, durable=True)) as session:
            for start in range(0, end, REPLACED_AT_ONCE):
                rows = list(self._leaving(start, min(start + REPLACED_AT_ONCE, end), substitute))
                self._replace(session, rows)
                left += len(rows)
        return left

    def _replace(self, session: psycopg.Connection, rows: Sequence[tuple[bytes, int]]) -> None:
        try:
            with session.transaction():
                for row in rows:
                    if not session.execute(REPLACE, (*self._lease.mine, *row)).rowcount:
                        raise lost(self._place)
        except psycopg.Error as error:
            raise stated(self._place, error) from error

    def _leaving(self, start: int, end: int, substitute: Substitute) -> Iterator[tuple[bytes, int]]:
        """Each leaf was held against its hash when it was read."""
        for index, leaf in enumerate(self.leaves(start, end - start), start):
            (one,) = entries([leaf], index)
            if one.kind is EntryKind.REPORT:
                row = substitute(one, stored_hash(leaf).hex())
                if row is not None:
                    yield row, index

    def hand_out(self, head: Head) -> None:
        try:
            if not self._ready().execute(KEEP_HEAD, (*self._lease.mine, head.note)).rowcount:
                raise lost(self._place)
        except (psycopg.Error, StorageError) as error:
            self._forget(error)
        self._head, self._handed, self._kept = head, self._size, self._frontier.peaks()

    def root(self) -> bytes:
        return self._frontier.root()

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
        self._lease.close()
