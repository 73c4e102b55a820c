"""The tables of a shard, and the engine through which index and ledger use theirs.

lease    one row: who may write, until when, and the epoch that each write checks
log      one row: the log's name, how long it is, its newest head
entries  one row for each leaf, partitioned by log index, with the hashes of the subtrees that it completes

Index and ledger have the tables of `collector.storage.derived`.
"""

from collections.abc import Callable

from psycopg import Connection as PgConnection
from psycopg import sql
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.engine.url import URL

from collector.storage.derived import SCHEMA, metadata, writing
from collector.storage.postgres.place import Place, stated
from collector.storage.store import StorageError, StoreLost

VERSION = 1
READER = "weighbridge"
"""What the server calls the sessions of who holds no lease."""

PARTITION_BITS = 24
"""A partition of entries holds so many: its oldest can be given away as a whole, and none is vacuumed for ever."""

TABLES = """
CREATE TABLE lease (
    epoch bigint NOT NULL, holder text NOT NULL, held_until timestamptz NOT NULL
);
INSERT INTO lease VALUES (0, '', to_timestamp(0));
CREATE TABLE log (
    version int NOT NULL, derived int NOT NULL, origin text NOT NULL, size bigint NOT NULL, head text NOT NULL
);
CREATE TABLE entries (
    index bigint NOT NULL, hashes bytea NOT NULL, leaf bytea COMPRESSION lz4 NOT NULL
) PARTITION BY RANGE (index);
ALTER TABLE entries ALTER hashes SET STORAGE PLAIN;
ALTER TABLE entries ADD PRIMARY KEY (index);
"""
PARTITION = sql.SQL(
    "CREATE TABLE IF NOT EXISTS {name} PARTITION OF entries FOR VALUES FROM ({first}) TO ({end})"
)
FENCE = "SELECT epoch FROM lease WHERE epoch = %s AND holder = %s FOR KEY SHARE"
"""Locks out a take-over until this transaction ends, and is locked out by one: then there is no such row."""


def partition_of(index: int) -> int:
    return index >> PARTITION_BITS


def make_partition(connection: PgConnection, number: int) -> None:
    """Where entries from `number` << PARTITION_BITS on rest."""
    connection.execute(
        PARTITION.format(
            name=sql.Identifier(f"entries_{number:06d}"),
            first=sql.Literal(number << PARTITION_BITS),
            end=sql.Literal((number + 1) << PARTITION_BITS),
        )
    )


def open_engine(place: Place, name: str, mine: Callable[[], tuple[int, str]] | None) -> Engine:
    """For index and ledger. What it writes is fenced by the lease that is `mine`; its errors are StorageErrors."""
    engine = create_engine(
        URL.create("postgresql+psycopg", database=str(place)),
        creator=lambda: _session(place, name),
        pool_size=8,
        max_overflow=24,
        pool_pre_ping=True,
    )

    def fence(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        if writes and (mine is None or not connection.exec_driver_sql(FENCE, mine()).first()):
            raise lost(place)

    def state(context: ExceptionContext) -> StorageError | None:
        """Not of a connection that is only tried: for that another one is made."""
        error = context.original_exception
        untold = context.is_pre_ping or isinstance(error, StorageError)
        return None if untold else stated(place, error)

    event.listen(engine, "begin", fence)
    event.listen(engine, "handle_error", state)
    return engine


def _session(place: Place, name: str) -> PgConnection:
    """Not synced on each commit: what a crash takes of it, the log has."""
    connection = place.connect(name, durable=False)
    connection.autocommit = False
    return connection


def lost(place: Place) -> StoreLost:
    return StoreLost(
        f"{place}: another process writes this shard now, and this one has written nothing since"
    )


def make_derived(engine: Engine) -> None:
    """The tables of index and ledger, empty, as this program knows them, if this one writes. Raises StorageError."""
    with writing(engine) as connection:
        metadata.drop_all(connection)
        metadata.create_all(connection)
        connection.exec_driver_sql("UPDATE log SET derived = %s", (SCHEMA,))
