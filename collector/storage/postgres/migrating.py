"""An embedded store moved into PostgreSQL: the same entries under the same head, and the same index and ledger."""

from collections.abc import Callable
from pathlib import Path

import psycopg
from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from collector.storage.derived import SCHEMA, AnyText, metadata, read_only
from collector.storage.embedded import open_embedded
from collector.storage.postgres.log import COPY, TYPES
from collector.storage.postgres.opening import NEW_LOG, making
from collector.storage.postgres.place import parse_place
from collector.storage.postgres.schema import VERSION, make_partition, partition_of
from collector.storage.segments import storage_error
from collector.storage.store import EvidenceLog, StorageError
from weighbridge.log.entries import stored_hash
from weighbridge.log.merkle import Frontier
from weighbridge.process.files import sync_directory

DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]
MOVED = "store.moved.json"
AT_ONCE = 1000
NEXT_ID = "SELECT setval(pg_get_serial_sequence(%s, 'id'), max(id)) FROM {table}"


def migrate(directory: Path, url: str, progress: Callable[[int], None]) -> int:
    """How many entries it moved; from then on the directory holds no store, and its files are what they were.

    All of it in one transaction. `progress` is told how many entries are copied. Raises StorageError.
    """
    place = parse_place(url)
    store = open_embedded(directory)
    try:
        head = store.log.handed_out
        if head is None or head.size != store.log.size:
            raise StorageError(
                f"{directory}: serve it once, and end that: its newest head is not over all entries"
            )
        with making(place) as connection:
            root = _copy_log(store.log, connection, progress)
            if root != head.root:
                raise StorageError(f"{directory}: the entries are not those under the newest head")
            described = (VERSION, SCHEMA, store.info.origin, head.size, head.note)
            connection.execute(NEW_LOG, described)
            _copy_derived(directory / "index.sqlite", connection)
            _give_up(directory)
        return head.size
    finally:
        store.close()


def _give_up(directory: Path) -> None:
    """Before the shard is a store: whenever this process is killed, nobody goes on with one log in two places."""
    path = directory / "store.json"
    try:
        path.rename(directory / MOVED)
        sync_directory(directory)
    except OSError as error:
        raise storage_error("rename", path, error) from error


def _copy_log(
    log: EvidenceLog, connection: psycopg.Connection, progress: Callable[[int], None]
) -> bytes:
    """The root over what was copied."""
    for number in range(1, partition_of(log.size) + 1):
        make_partition(connection, number)
    frontier = Frontier()
    with connection.cursor() as cursor, cursor.copy(COPY) as copy:
        copy.set_types(TYPES)
        for index, leaf in enumerate(log.leaves(0, log.size)):
            completed = frontier.append(stored_hash(leaf))
            copy.write_row((index, b"".join(subtree for _, _, subtree in completed), leaf))
            if index % AT_ONCE == 0:
                progress(index)
    return frontier.root()


def _copy_derived(index: Path, connection: psycopg.Connection) -> None:
    engine = read_only(index)
    try:
        with engine.connect() as source:
            for name, table in metadata.tables.items():
                connection.execute(_in_words(CreateTable(table)))
                _copy_table(source, name, connection)
                for one in table.indexes:
                    connection.execute(_in_words(CreateIndex(one)))
                if "id" in table.columns:
                    connection.execute(NEXT_ID.format(table=name).encode(), (name,))
    finally:
        engine.dispose()


def _copy_table(source: Connection, name: str, connection: psycopg.Connection) -> None:
    table = metadata.tables[name]
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {name} ({names}) FROM STDIN".encode()) as copy,
    ):
        rows = source.execution_options(yield_per=AT_ONCE).execute(select(table))
        for row in rows:
            copy.write_row([_told(value) for value in row])


def _in_words(made: CreateTable | CreateIndex) -> bytes:
    return str(made.compile(dialect=DIALECT)).encode()


def _told(value: object) -> object:
    return AnyText().process_bind_param(value, DIALECT) if isinstance(value, str) else value
