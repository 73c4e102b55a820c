"""Making and opening a store in PostgreSQL."""

from contextlib import ExitStack, closing

import psycopg
from psycopg import sql

from collector.storage.derived import SCHEMA
from collector.storage.index import SqlIndex
from collector.storage.ledger import SqlLedger
from collector.storage.postgres.lease import Lease
from collector.storage.postgres.log import PostgresLog
from collector.storage.postgres.place import Place, parse_place, stated
from collector.storage.postgres.schema import (
    TABLES,
    VERSION,
    make_derived,
    make_partition,
    open_engine,
)
from collector.storage.store import StorageError, Store, StoreInfo, WrongVersion
from weighbridge.log.checkpoint import sign_head
from weighbridge.log.merkle import EMPTY_ROOT
from weighbridge.wire.signing import Signer

NEW_LOG = "INSERT INTO log VALUES (%s, 0, %s, 0, %s)"
SOUND = """
SELECT current_setting('server_encoding'), current_setting('fsync'), current_setting('full_page_writes')
"""


def create_postgres(url: str, info: StoreInfo, signer: Signer) -> None:
    """A new, empty shard, of which the head over no entries is handed out. Raises StorageError where there is one."""
    place = parse_place(url)
    with closing(place.connect("weighbridge", durable=True)) as connection:
        _require_sound(place, connection)
        head = sign_head(info.origin, 0, EMPTY_ROOT, signer)
        try:
            with connection.transaction():
                schema = sql.Identifier(place.schema)
                connection.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
                connection.execute(TABLES)
                make_partition(connection, 0)
                connection.execute(NEW_LOG, (VERSION, info.origin, head.note))
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
        info, derived = _described(place)
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


def _described(place: Place) -> tuple[StoreInfo, int]:
    """What the shard says of itself, and of which schema its index and ledger are."""
    with closing(place.connect("weighbridge", durable=True)) as connection:
        _require_sound(place, connection)
        try:
            version, derived, origin = connection.execute(
                "SELECT version, derived, origin FROM log"
            ).fetchall()[0]
        except psycopg.Error as error:
            raise stated(place, error) from error
    if version != VERSION:
        raise WrongVersion(f"{place}: version {version}; this program knows {VERSION}")
    return StoreInfo(origin), derived
