"""Making and opening a store in PostgreSQL."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import psycopg
from psycopg import sql

from collector.storage.derived import SCHEMA
from collector.storage.index import SqlIndex
from collector.storage.ledger import SqlLedger
from collector.storage.postgres.lease import Lease
from collector.storage.postgres.log import PostgresLog
from collector.storage.postgres.place import Place, parse_place, stated
from collector.storage.postgres.reading import described
from collector.storage.postgres.schema import (
    READER,
    TABLES,
    VERSION,
    make_derived,
    make_partition,
    open_engine,
)
from collector.storage.store import StorageError, Store, StoreInfo
from weighbridge.log.checkpoint import sign_head
from weighbridge.log.merkle import EMPTY_ROOT
from weighbridge.wire.signing import Signer

NEW_LOG = "INSERT INTO log VALUES (%s, %s, %s, %s, %s)"
SOUND = """
SELECT current_setting('server_encoding'), current_setting('fsync'), current_setting('full_page_writes')
"""


def create_postgres(url: str, info: StoreInfo, signer: Signer) -> None:
    """A new, empty shard, of which the head over no entries is handed out. Raises StorageError where there is one."""
    place = parse_place(url)
    head = sign_head(info.origin, 0, EMPTY_ROOT, signer)
    with making(place) as connection:
        connection.execute(NEW_LOG, (VERSION, 0, info.origin, 0, head.note))


@contextmanager
def making(place: Place) -> Iterator[psycopg.Connection]:
    """One transaction that makes a shard, whose log has no row yet. Raises StorageError where there is one."""
    with closing(place.connect(READER, durable=True)) as connection:
        _require_sound(place, connection)
        try:
            with connection.transaction():
                schema = sql.Identifier(place.schema)
                connection.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
                connection.execute(TABLES)
                make_partition(connection, 0)
                yield connection
        except psycopg.errors.DuplicateSchema as error:
            raise StorageError(f"{place}: holds a store already") from error
        except psycopg.Error as error:
            raise stated(place, error) from error


def _require_sound(place: Place, connection: psycopg.Connection) -> None:
    """What no store can promise anything on. Raises StorageError."""
    encoding, synced, whole = connection.execute(SOUND).fetchall()[0]
    if encoding != "UTF8":
        raise StorageError(f"{place}: its encoding is {encoding}, and UTF8 is needed")
    if "off" in (synced, whole):
        raise StorageError(
            f"{place}: fsync or full_page_writes is off, so nothing that it acknowledges is kept"
        )


def open_postgres(url: str) -> Store:
    """What `open_store` promises, for as long as this process holds the shard. Raises StoreHeld while another does."""
    place = parse_place(url)
    with ExitStack() as undo:
        with closing(place.connect(READER, durable=False)) as connection:
            _require_sound(place, connection)
            info, derived = described(place, connection)
        lease = Lease(place)
        undo.callback(lease.close)
        engine = open_engine(place, lease.name, lambda: lease.mine)
        undo.callback(engine.dispose)
        log = PostgresLog(place, lease, engine)
        if derived != SCHEMA:
            make_derived(engine)
        index = SqlIndex(engine)
        index.catch_up(log)
        undo.pop_all()
    return Store(info, log, index, SqlLedger(engine))
