"""Who may write a shard: one process at a time, for as long as it says so, by the server's clock.

Each take-over raises the epoch, and each transaction that writes checks it, and by whom it was raised: a standby that
is promoted may not know the newest, and gives the same number again. So a process that was stopped, cut off or slow
and believes that it still writes is refused by the rows themselves, whatever its clock says and whatever became of its
sessions: an advisory lock would not do, since a promoted standby keeps those that its old primary also gave away.
"""

import contextlib
import logging
import os
import socket
import threading

import psycopg

from collector.storage.postgres.place import Place, stated
from collector.storage.postgres.schema import lost
from collector.storage.store import StorageError, StoreHeld

logger = logging.getLogger("weighbridge.storage")

HELD_S = 15.0
BEAT_S = HELD_S / 3

ANEW = "clock_timestamp() + make_interval(secs => %s)"
MINE = "epoch = %s AND holder = %s"
LOOK = """
SELECT epoch, holder, greatest(0, ceil(extract(epoch FROM held_until - clock_timestamp())))::int AS left
FROM lease
"""
END_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND application_name = %s
"""
END_SESSION = f"{END_SESSIONS} AND pid = %s"
LOCK = "SELECT epoch FROM lease WHERE epoch = %s AND held_until <= clock_timestamp() FOR UPDATE"
LOCK_OWN = f"SELECT epoch FROM lease WHERE {MINE} FOR UPDATE"  # noqa: S608
RAISE = f"UPDATE lease SET epoch = epoch + 1, holder = %s, held_until = {ANEW} RETURNING epoch"  # noqa: S608
BEAT = f"UPDATE lease SET held_until = {ANEW} WHERE {MINE}"  # noqa: S608
LEAVE = f"UPDATE lease SET held_until = to_timestamp(0) WHERE {MINE}"  # noqa: S608


class Lease:
    """Held from the time it was made until `close`, or until another process has taken it. From any thread."""

    def __init__(self, place: Place) -> None:
        """Takes it. Raises StoreHeld, StorageError."""
        self._place = place
        self.name = f"weighbridge {place.shard} {os.urandom(4).hex()}"
        self._holder = f"{socket.gethostname()} process {os.getpid()} ({self.name})"
        self._lock = threading.Lock()
        self._closing = threading.Event()
        with contextlib.closing(place.connect(self.name, durable=True)) as connection:
            self._epoch = _taken(place, connection, self._holder)
        self._beating = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._beating.start()

    @property
    def mine(self) -> tuple[int, str]:
        """What `FENCE` checks."""
        return self._epoch, self._holder

    def again(self, connection: psycopg.Connection, old_pid: int | None) -> None:
        """A new epoch for this holder, in a transaction of its own: what another session of its own was about to write
        is written by then, or never. `old_pid`: of that session. Raises StoreLost, StorageError."""
        with self._lock:
            try:
                if old_pid is not None:
                    connection.execute(END_SESSION, (self.name, old_pid))
                with connection.transaction():
                    if connection.execute(LOCK_OWN, self.mine).fetchone() is None:
                        raise lost(self._place)
                    self._epoch = _raised(connection, self._holder)
            except psycopg.Error as error:
                raise stated(self._place, error) from error

    def _beat(self) -> None:
        connection: psycopg.Connection | None = None
        failing = False
        while not self._closing.wait(BEAT_S):
            try:
                connection = connection or self._place.connect(self.name, durable=False)
                with self._lock:
                    if not connection.execute(BEAT, (HELD_S, *self.mine)).rowcount:
                        logger.error("%s", lost(self._place))
                        break
                failing = False
            except (psycopg.Error, StorageError) as error:
                if not failing:
                    logger.warning("the lease is not renewed: %s", stated(self._place, error))
                failing = True
                _close(connection)
                connection = None
        _close(connection)

    def close(self) -> None:
        """Whoever waits for it may take it at once."""
        self._closing.set()
        self._beating.join()
        try:
            with contextlib.closing(self._place.connect(self.name, durable=False)) as connection:
                connection.execute(LEAVE, self.mine)
        except (psycopg.Error, StorageError) as error:
            logger.warning("the lease ends by itself in %.0f s: %s", HELD_S, error)


def _taken(place: Place, connection: psycopg.Connection, holder: str) -> int:
    """The epoch from now on. Sessions of the holder before, whose time is over, are ended first: one that is stopped in
    the middle of a transaction would hold it open."""
    before = ""
    try:
        found = connection.execute(LOOK).fetchone()
        if found is None:
            raise StorageError(f"{place}: its lease is missing")
        epoch, before, left_s = found
        if left_s:
            raise StoreHeld(f"{place} is written by {before}, for {left_s} s more if it dies")
        if before:
            connection.execute(END_SESSIONS, (_name(before),))
        with connection.transaction():
            if connection.execute(LOCK, (epoch,)).fetchone() is None:
                raise StoreHeld(f"{place} was taken by another process at the same time")
            return _raised(connection, holder)
    except psycopg.errors.LockNotAvailable as error:
        raise StoreHeld(f"{place}: {before} is in the middle of a write") from error
    except psycopg.Error as error:
        raise stated(place, error) from error


def _raised(connection: psycopg.Connection, holder: str) -> int:
    return int(connection.execute(RAISE, (holder, HELD_S)).fetchall()[0][0])


def _name(holder: str) -> str:
    """What the server calls the sessions of a holder."""
    return holder.rpartition("(")[2].removesuffix(")")


def _close(connection: psycopg.Connection | None) -> None:
    if connection is not None:
        connection.close()
