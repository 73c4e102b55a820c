"""The tables of what is derived from the log and can be made again from it, and the one SQLite file that holds them in
an embedded store, `index.sqlite`.

Because it can be made again, it has no migrations: a file of another schema is set aside by being made anew.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Dialect,
    Engine,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
    create_engine,
    event,
    func,
    inspect,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from collector.storage.store import ChainKey, CorruptStore, Indexed, StorageError, StoreFull

SCHEMA = 7
"""Of the tables and of the snapshots in them: a file of another is made anew from the log."""

BUSY_SECONDS = 30
FIND_RECORD = "SELECT kind FROM records WHERE entry = ?"
FIND_REPORT = "SELECT payload_hash, entry, received_us FROM reports WHERE chain_id = ? AND seq = ?"
metadata = MetaData()


ESCAPE = "\ufdd0"
"""No character of any text; where one has it all the same, it is escaped as well."""


class AnyText(TypeDecorator[str]):
    """Text as PostgreSQL takes it, which knows no NUL; what it keeps sorts by code point, as in SQLite."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return value and value.replace(ESCAPE, ESCAPE + "1").replace("\0", ESCAPE + "0")

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return value and value.replace(ESCAPE + "0", "\0").replace(ESCAPE + "1", ESCAPE)


TEXT = String().with_variant(AnyText(collation="C"), "postgresql")
ID = BigInteger().with_variant(Integer, "sqlite")
UPSERTS: Mapping[str, Callable[[Table], sqlite.Insert | postgresql.Insert]] = {
    "sqlite": sqlite.insert,
    "postgresql": postgresql.insert,
}


def upsert(engine: Engine, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that may say what is done on a conflict, in the words of the engine."""
    return UPSERTS[engine.dialect.name](table)


def texts(*names: str) -> Iterator[Column[str]]:
    """Columns that always hold text."""
    return (Column(name, TEXT, nullable=False) for name in names)


def numbers(*names: str) -> Iterator[Column[int]]:
    """Columns that always hold an integer."""
    return (Column(name, BigInteger, nullable=False) for name in names)


progress = Table(
    "progress",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", BigInteger, nullable=False),
)
chains = Table(
    "chains",
    metadata,
    Column("id", ID, primary_key=True),
    *texts("key_id", "chain", "stream"),
    UniqueConstraint("key_id", "chain", "stream"),
)
reports = Table(
    "reports",
    metadata,
    Column("chain_id", BigInteger, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("payload_hash", LargeBinary, nullable=False),
    *numbers("entry", "received_us"),
    sqlite_with_rowid=False,
)
records = Table(
    "records",
    metadata,
    Column("entry", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String, nullable=False),
    Column("received_us", BigInteger),
)
rows = Table(
    "rows",
    metadata,
    Column("id", ID, primary_key=True),
    *texts("contract", "node"),
    Column("slot", Integer, nullable=False),
    *texts("device", "chain"),
    *numbers("start_us", "end_us"),
    *texts("state", "cause"),
    Column("recorded_us", BigInteger, nullable=False),
    Column("first_entry", BigInteger),
    Column("last_entry", BigInteger),
    Column("late", Boolean, nullable=False),
    Column("superseded_us", BigInteger),
    Index("rows_by_time", "contract", "start_us"),
)
CURRENT = "contract node slot device chain start_us end_us state cause late"
Index(
    "rows_current",
    *(rows.c[name] for name in CURRENT.split()),
    unique=True,
    sqlite_where=rows.c.superseded_us.is_(None),
    postgresql_where=rows.c.superseded_us.is_(None),
)
uses = Table(
    "uses",
    metadata,
    Column("contract", TEXT, primary_key=True),
    Column("hour_us", BigInteger, primary_key=True),
    Column("node", TEXT, primary_key=True),
    Column("chain", TEXT, primary_key=True),
    Column("recorded_us", BigInteger, primary_key=True),
    *numbers(
        "from_us",
        "until_us",
        "seen",
        "known",
        "in_use",
        "busy_known",
        "busy",
        "energy_known",
        "energy_millijoules",
        "sampled",
    ),
    sqlite_with_rowid=False,
)
findings = Table(
    "findings",
    metadata,
    Column("id", ID, primary_key=True),
    *texts("contract", "node", "device", "code", "severity", "verdict", "level"),
    *texts("expected", "observed", "answerable"),
    Column("since_us", BigInteger, nullable=False),
    Column("until_us", BigInteger),
    UniqueConstraint("contract", "node", "device", "code", "since_us"),
)
snapshots = Table(
    "snapshots",
    metadata,
    Column("name", String, primary_key=True),
    Column("state", LargeBinary, nullable=False),
)


def open_derived(path: Path) -> Engine:
    """The file at `path`, made anew where it is missing, of another schema, or no database."""
    engine = _connect(path)
    try:
        if _schema(engine) == SCHEMA:
            return engine
    except DatabaseError as error:
        if isinstance(error, OperationalError):
            raise
    engine.dispose()
    remove_derived(path)
    return _create(path)


def holds_other(path: Path) -> bool:
    """Whether there is something at `path` that `open_derived` would destroy, and never wrote. Changes nothing."""
    if not path.exists() or path.stat().st_size == 0:
        return False
    engine = read_only(path)
    try:
        return metadata.tables.keys().isdisjoint(inspect(engine).get_table_names())
    except DatabaseError:
        return True
    finally:
        engine.dispose()


def read_only(path: Path) -> Engine:
    query = {"mode": "ro", "uri": "true"}
    return create_engine(URL.create("sqlite", database=f"file:{quote(str(path))}", query=query))


class IndexFile:
    """The index as it lies on the disk, only read. `indexed` and `folded`: how far index and ledger have come."""

    def __init__(self, path: Path) -> None:
        """Raises StorageError where it is missing, damaged, or of another version."""
        self._path = path
        if not path.exists():
            raise StorageError(f"{path} is missing")
        self._engine = read_only(path)
        try:
            self._connection = self._engine.connect()
            if self._connection.execute(text("PRAGMA user_version")).scalar_one() != SCHEMA:
                raise StorageError(f"{path} is of another version")
            known = dict(self._connection.execute(select(progress.c.name, progress.c.value)).all())
            named = select(chains.c.key_id, chains.c.chain, chains.c.stream, chains.c.id)
            self._ids = {ChainKey(*row[:3]): row[3] for row in self._connection.execute(named)}
        except DatabaseError as error:
            self._engine.dispose()
            raise CorruptStore(f"{path}: {error.orig}") from error
        self.indexed, self.folded = known.get("indexed", 0), known.get("folded", 0)

    def holds(self, entry: Indexed) -> bool:
        """Whether it says of an entry what the log says. Raises CorruptStore."""
        try:
            return self._found(entry)
        except DatabaseError as error:
            raise CorruptStore(f"{self._path}: {error.orig}") from error

    def _found(self, entry: Indexed) -> bool:
        accepted = entry.accepted
        if entry.chain is None or accepted is None:
            kind = self._connection.exec_driver_sql(FIND_RECORD, (entry.index,)).scalar()
            return kind == str(entry.kind)
        place = (self._ids.get(entry.chain), accepted.seq)
        row = self._connection.exec_driver_sql(FIND_REPORT, place).one_or_none()
        told = (bytes.fromhex(accepted.payload_hash), accepted.index, accepted.received_us)
        return row is not None and tuple(row) == told

    def rows(self, table: str) -> int:
        """How many rows a table has. Raises CorruptStore."""
        try:
            counted = select(func.count()).select_from(metadata.tables[table])
            return int(self._connection.execute(counted).scalar_one())
        except DatabaseError as error:
            raise CorruptStore(f"{self._path}: {error.orig}") from error

    def close(self) -> None:
        self._connection.close()
        self._engine.dispose()


def remove_derived(path: Path) -> None:
    """It is made again from the log when the store is opened."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _connect(path: Path) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)), connect_args={"timeout": BUSY_SECONDS}
    )
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


def _on_connect(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    """WAL, so that reading never waits for writing; the driver begins no transaction by itself.

    Not synced on each commit: a power cut may lose the last ones, and the log has them.
    """
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _on_begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _schema(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("PRAGMA user_version")).scalar_one())


def _create(path: Path) -> Engine:
    engine = _connect(path)
    with writing(engine) as connection:
        metadata.create_all(connection)
        connection.execute(text(f"PRAGMA user_version = {SCHEMA}"))
    return engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One write transaction. Raises StoreFull or StorageError, having written nothing."""
    try:
        with engine.connect().execution_options(writes=True) as connection, connection.begin():
            yield connection
    except OperationalError as error:
        kind = StoreFull if "full" in str(error.orig) else StorageError
        raise kind(f"write to {engine.url.database}: {error.orig}") from error
