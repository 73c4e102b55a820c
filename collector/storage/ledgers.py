"""One ledger beside another, table by table, on the disk: neither is read into memory."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError

from collector.storage.derived import read_only
from collector.storage.ledger import FINDING_FIELDS, ROW_FIELDS, USE_FIELDS
from collector.storage.packed import unpack
from collector.storage.store import CorruptStore

TABLES = {
    "rows": ROW_FIELDS,
    "uses": USE_FIELDS,
    "findings": FINDING_FIELDS,
    "snapshots": ("name",),
}
"""What is compared. When a row was superseded depends on how rows were written together, so that is told apart; so are
the states of snapshots, which nobody wants to read."""

OTHER_STATE = """
SELECT name FROM main.snapshots JOIN given.snapshots AS its USING (name)
WHERE unpacked(main.snapshots.state) != unpacked(its.state) ORDER BY name
"""

EXCEPT = "SELECT {fields} FROM {mine}.{table} EXCEPT SELECT {fields} FROM {its}.{table} ORDER BY {fields}"
ATTACH = "ATTACH ? AS given"
SAME = ("contract", "node", "slot", "device", "chain", "start_us", "state", "cause", "late")
SUPERSEDED = """
SELECT {held} FROM main.rows AS held LEFT JOIN (
    SELECT {same}, recorded_us, max(end_us) AS furthest_us
    FROM main.rows GROUP BY {same}, recorded_us
) AS later ON {equal}
    AND later.recorded_us = held.superseded_us AND later.furthest_us > held.end_us
WHERE held.superseded_us IS NOT NULL AND later.furthest_us IS NULL
""".format(  # noqa: S608  # names of columns
    held=", ".join(f"held.{name}" for name in ROW_FIELDS),
    same=", ".join(SAME),
    equal=" AND ".join(f"later.{name} = held.{name}" for name in SAME),
)
"""Rows that nothing longer superseded when they say."""


def differences(held: Path, given: Path) -> Iterator[str]:
    """In words, what a ledger has and the given one has not, and the other way round. Raises CorruptStore."""
    engine = read_only(held)
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql(ATTACH, (str(given),))
            driver: Any = connection.connection.driver_connection
            driver.create_function("unpacked", 1, unpack, deterministic=True)
            for table, fields in TABLES.items():
                extra = _rows(connection, table, fields, "main", "given")
                yield from (f"{table}: not by the log: {row}" for row in extra)
                lacking = _rows(connection, table, fields, "given", "main")
                yield from (f"{table}: missing: {row}" for row in lacking)
            others = connection.exec_driver_sql(OTHER_STATE)
            yield from (f"snapshots: other than by the log: {_told(row)}" for row in others)
            taken_back = connection.exec_driver_sql(SUPERSEDED)
            yield from (f"rows: superseded by nothing: {_told(row)}" for row in taken_back)
    except DatabaseError as error:
        raise CorruptStore(f"{held}: {error.orig}") from error
    finally:
        engine.dispose()


def _rows(
    connection: Connection, table: str, fields: Iterable[str], mine: str, its: str
) -> Iterator[str]:
    query = EXCEPT.format(table=table, fields=", ".join(fields), mine=mine, its=its)
    return map(_told, connection.exec_driver_sql(query))


def _told(row: Iterable[object]) -> str:
    return ", ".join(map(str, row))
