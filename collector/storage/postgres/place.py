"""Where a shard is: the server and database that libpq finds, and the schema in it."""

import re
from contextlib import ExitStack
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from collector.storage.store import StorageError, StoreFull

SHARD = re.compile(r"[a-z][a-z0-9_]{0,39}")
DISK_FULL = "53100"
NO_TABLE = frozenset({"3F000", "42P01"})
ALIVE = {
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
"""A server that is gone is noticed in seconds."""

SESSION = """
SELECT set_config('search_path', %s, false), set_config('TimeZone', 'UTC', false),
    set_config('default_transaction_isolation', 'read committed', false),
    set_config('synchronous_commit', %s, false), set_config('lock_timeout', '5s', false)
"""


@dataclass(frozen=True, slots=True)
class Place:
    """One shard. `standbys`: how many of the server's must have what is acknowledged, flushed to their disks."""

    conninfo: str
    shard: str
    standbys: int

    @property
    def schema(self) -> str:
        return f"weighbridge_{self.shard}"

    def __str__(self) -> str:
        """Without a password."""
        named = conninfo_to_dict(self.conninfo)
        return f"shard {self.shard} of {named.get('dbname') or 'PostgreSQL'} at {named.get('host') or 'its server'}"

    def connect(self, name: str, *, durable: bool) -> psycopg.Connection:
        """A session in the shard's schema. `durable`: its commits are on the disk when they return.

        `name`: what the server calls it. Raises StorageError.
        """
        with ExitStack() as undo:
            try:
                connection = psycopg.connect(self.conninfo, autocommit=True, application_name=name)
                undo.callback(connection.close)
                connection.execute(SESSION, (self.schema, "on" if durable else "off"))
            except psycopg.Error as error:
                raise stated(self, error) from error
            undo.pop_all()
        return connection


def parse_place(url: str) -> Place:
    """Of `postgresql://…`, as libpq reads it, with `shard` and `standbys` among its parameters. Raises StorageError."""
    parts = urlsplit(url)
    given = parse_qsl(parts.query, keep_blank_values=True)
    own = {"shard": "main", "standbys": "0"} | dict(given)
    shard, standbys = own["shard"], own["standbys"]
    if SHARD.fullmatch(shard) is None:
        raise StorageError(f"shard {shard!r}: letters, digits and underscores, 40 at most")
    if not (standbys.isascii() and standbys.isdigit()):
        raise StorageError(f"standbys {standbys!r}: a number")
    left = [(key, value) for key, value in given if key not in ("shard", "standbys")]
    server = urlunsplit(parts._replace(query=urlencode(left)))
    try:
        return Place(make_conninfo(server, **_alive(server)), shard, int(standbys))
    except psycopg.Error as error:
        raise StorageError(f"not an address of a PostgreSQL database: {error}") from error


def _alive(server: str) -> dict[str, str]:
    """What an address leaves open of them."""
    named = conninfo_to_dict(server)
    return {key: value for key, value in ALIVE.items() if key not in named}


def stated(place: Place, error: BaseException) -> StorageError:
    """What the server or the way to it said, as the storage's error, where it is none already."""
    if isinstance(error, StorageError):
        return error
    state = getattr(error, "sqlstate", None)
    if state in NO_TABLE:
        return StorageError(f"{place}: holds no store; `weighbridge init --store` makes one")
    kind = StoreFull if state == DISK_FULL else StorageError
    return kind(f"{place}: {' '.join(str(error).split())}")
