"""The ledger in SQL: on SQLite, or on PostgreSQL."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import groupby
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Engine,
    Executable,
    LargeBinary,
    RowMapping,
    Table,
    bindparam,
    cast,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.exc import DatabaseError

from collector.storage.derived import findings as findings_table
from collector.storage.derived import progress, read_only, snapshots, upsert, writing
from collector.storage.derived import rows as rows_table
from collector.storage.derived import uses as uses_table
from collector.storage.packed import unpack
from collector.storage.store import CorruptStore, FindingPage
from weighbridge.audit.portfolio import AT_WORK, DAY_US, Arrival, Sighting, around
from weighbridge.judge.checks import Severity
from weighbridge.judge.ledger import Finding, Row, State, Use
from weighbridge.judge.two_sides import OF_LESSEE
from weighbridge.verdict import Verdict

ROW_FIELDS = {field.name: field.name for field in fields(Row)}
BOUND_FIELDS = {f"b_{name}": name for name in ROW_FIELDS}
USE_FIELDS = {field.name: field.name for field in fields(Use)}
FINDING_FIELDS = {field.name: field.name for field in fields(Finding)}
TOLD_AT_ONCE = 1_000
STREAMED = {"stream_results": True}
FINDING_KEY = ("contract", "node", "device", "code", "since_us")

SUPERSEDE = (
    update(rows_table)
    .where(
        rows_table.c.contract == bindparam("b_contract"),
        rows_table.c.node == bindparam("b_node"),
        rows_table.c.slot == bindparam("b_slot"),
        rows_table.c.device == bindparam("b_device"),
        rows_table.c.chain == bindparam("b_chain"),
        rows_table.c.start_us == bindparam("b_start_us"),
        rows_table.c.end_us < bindparam("b_end_us"),
        rows_table.c.state == bindparam("b_state"),
        rows_table.c.cause == bindparam("b_cause"),
        rows_table.c.late == bindparam("b_late"),
        rows_table.c.superseded_us.is_(None),
    )
    .values(superseded_us=bindparam("b_recorded_us"))
)
_ENTRIES = (func.min(rows_table.c.first_entry), func.max(rows_table.c.last_entry))

STATE = cast(snapshots.c.state, LargeBinary)
"""As bytes, whatever somebody put there."""


class SqlLedger:
    """Any thread may write or read; writes wait for each other."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._insert_row = upsert(engine, rows_table).on_conflict_do_nothing()
        self._replace_use = _replacing(
            engine, uses_table, [key.name for key in uses_table.primary_key]
        )
        self._replace_finding = _replacing(engine, findings_table, FINDING_KEY)
        self._replace_snapshot = _replacing(engine, snapshots, ["name"])
        self._replace_mark = _replacing(engine, progress, ["name"])

    def write(
        self,
        rows: Sequence[Row],
        findings: Sequence[Finding],
        folded: int,
        snapshots: Mapping[str, bytes],
        uses: Sequence[Use] = (),
    ) -> None:
        with writing(self._engine) as connection:
            # Before any is inserted: what is written together does not supersede each other.
            for told in _told(rows, BOUND_FIELDS):
                connection.execute(SUPERSEDE, told)
            for told in _told(rows, ROW_FIELDS):
                connection.execute(self._insert_row, told)
            for told in _told(findings, FINDING_FIELDS):
                connection.execute(self._replace_finding, told)
            for told in _told(uses, USE_FIELDS):
                connection.execute(self._replace_use, told)
            if snapshots:
                states = [{"name": name, "state": state} for name, state in snapshots.items()]
                connection.execute(self._replace_snapshot, states)
            connection.execute(self._replace_mark, {"name": "folded", "value": folded})

    def rows(
        self,
        contract: str,
        start_us: int,
        end_us: int,
        as_of_us: int | None = None,
        node: str | None = None,
    ) -> Iterator[Row]:
        table = rows_table.c
        query = select(*(table[name] for name in ROW_FIELDS)).where(
            table.contract == contract, table.start_us < end_us, table.end_us > start_us
        )
        if node is not None:
            query = query.where(table.node == node)
        if as_of_us is None:
            query = query.where(table.superseded_us.is_(None))
        else:
            in_force = or_(table.superseded_us.is_(None), table.superseded_us > as_of_us)
            query = query.where(table.recorded_us <= as_of_us, in_force)
        places = (table.node, table.slot, table.device, table.chain, table.start_us)
        query = query.order_by(*places, table.recorded_us)
        with self._engine.connect() as connection:
            yield from _rows(connection.execute(query, execution_options=STREAMED))

    def weight(self, contract: str, start_us: int, end_us: int, most: int) -> int:
        counted = 0
        with self._engine.connect() as connection:
            for table, begins in ((rows_table, "start_us"), (uses_table, "hour_us")):
                begun = table.c[begins]
                of_contract = (table.c.contract == contract, begun >= start_us, begun < end_us)
                some = select(begun).where(*of_contract).limit(most).subquery()
                counted += connection.execute(select(func.count()).select_from(some)).scalar_one()
        return counted

    def uses(self, contract: str, start_us: int, end_us: int, as_of_us: int) -> Iterator[Use]:
        table = uses_table.c
        query = (
            select(*(table[name] for name in USE_FIELDS))
            .where(table.contract == contract, table.hour_us >= start_us, table.hour_us < end_us)
            .where(table.recorded_us <= as_of_us)
            .order_by(table.hour_us, table.node, table.chain, table.recorded_us)
        )
        with self._engine.connect() as connection:
            found = (Use(*row) for row in connection.execute(query, execution_options=STREAMED))
            for _, told in groupby(found, key=lambda use: use.key):
                yield deque(told, maxlen=1)[0]

    def sightings(self, contract: str, as_of_us: int) -> Sequence[Sighting]:
        table, lessee = rows_table.c, rows_table.c.chain.endswith(OF_LESSEE, autoescape=True)
        place = (table.node, table.slot, table.device, lessee)
        query = (
            select(*place, func.min(table.start_us), func.max(table.end_us), *_ENTRIES)
            .where(table.contract == contract, table.slot >= 0, table.device != "")
            .where(table.state.in_(AT_WORK), table.recorded_us <= as_of_us)
            .group_by(*place)
            .order_by(*place)
        )
        with self._engine.connect() as connection:
            found = connection.execute(query).all()
        return [
            Sighting(node, slot, device, bool(of_lessee), first_us, last_us, _known(entries))
            for node, slot, device, of_lessee, first_us, last_us, *entries in found
        ]

    def arrivals(self, contract: str, late_us: int, as_of_us: int) -> Sequence[Arrival]:
        table = rows_table.c
        day = table.recorded_us // DAY_US
        length = func.sum(table.end_us - table.start_us)
        edges = (func.min(table.start_us), func.max(table.end_us), func.max(table.recorded_us))
        query = (
            select(table.node, *edges, length, *_ENTRIES)
            .where(table.contract == contract, table.slot >= 0, table.recorded_us <= as_of_us)
            .where(table.state != State.UNKNOWN, table.superseded_us.is_(None))
            .where(table.recorded_us - table.end_us > late_us)
            .group_by(table.node, day)
            .order_by(table.node, day)
        )
        with self._engine.connect() as connection:
            found = connection.execute(query).all()
        return [
            Arrival(node, start_us, end_us, recorded_us, int(slot_us), _known(entries))
            for node, start_us, end_us, recorded_us, slot_us, *entries in found
        ]

    def findings(
        self,
        contract: str | None = None,
        open_only: bool = False,
        after: int | None = None,
        limit: int = 100,
    ) -> FindingPage:
        table = findings_table.c
        query = select(findings_table).order_by(table.id).limit(limit)
        if contract is not None:
            query = query.where(table.contract == contract)
        if open_only:
            query = query.where(table.until_us.is_(None))
        if after is not None:
            query = query.where(table.id > after)
        with self._engine.connect() as connection:
            found = connection.execute(query).mappings().all()
        following = found[-1]["id"] if len(found) == limit else None
        return FindingPage([_finding(row) for row in found], following)

    def found(self, contract: str) -> tuple[int, Sequence[Finding]]:
        found = findings_table
        query = (
            select(progress.c.value, found)
            .outerjoin_from(progress, found, found.c.contract == contract)
            .where(progress.c.name == "folded")
        )
        try:
            with self._engine.connect() as connection:
                told = connection.execute(query).mappings().all()
            folded = told[0]["value"] if told else 0
            return folded, [_finding(row) for row in told if row["id"] is not None]
        except (DatabaseError, ValueError) as error:
            raise CorruptStore(f"{self._engine.url.database}: {error}") from error

    def folded(self) -> int:
        query = select(progress.c.value).where(progress.c.name == "folded")
        with self._engine.connect() as connection:
            value = connection.execute(query).scalar()
        return 0 if value is None else value

    def snapshots(self) -> Mapping[str, bytes]:
        with self._engine.connect() as connection:
            return dict(connection.execute(select(snapshots.c.name, STATE)).all())

    def clear(self) -> None:
        with writing(self._engine) as connection:
            for table in (rows_table, uses_table, findings_table, snapshots):
                connection.execute(delete(table))
            connection.execute(delete(progress).where(progress.c.name == "folded"))

    def close(self) -> None:
        self._engine.dispose()


def _replacing(engine: Engine, table: Table, key: Sequence[str]) -> Executable:
    """Inserts a row, or puts it in place of the one that has its key; that keeps its `id`."""
    insert = upsert(engine, table)
    others = [one.name for one in table.columns if one.name not in (*key, "id")]
    return insert.on_conflict_do_update(
        index_elements=key, set_={name: insert.excluded[name] for name in others}
    )


def read_snapshot(path: Path, name: str) -> bytes | None:
    """Of the ledger in a file, where it has that one. Raises CorruptStore."""
    engine = read_only(path)
    try:
        with engine.connect() as connection:
            query = select(STATE).where(snapshots.c.name == name)
            state: bytes | None = connection.execute(query).scalar()
            return None if state is None else unpack(state)
    except DatabaseError as error:
        raise CorruptStore(f"{path}: {error.orig}") from error
    except ValueError as error:
        raise CorruptStore(f"{path}: {error}") from error
    finally:
        engine.dispose()


def _told(
    items: Sequence[Row | Finding | Use], fields: Mapping[str, str]
) -> Iterator[list[dict[str, Any]]]:
    """As a statement takes them, some at a time: so told they are many times their size."""
    for start in range(0, len(items), TOLD_AT_ONCE):
        some = items[start : start + TOLD_AT_ONCE]
        yield [{name: getattr(one, field) for name, field in fields.items()} for one in some]


def _known(entries: Sequence[int | None]) -> tuple[int, ...]:
    return around(entry for entry in entries if entry is not None)


def _rows(found: Iterable[Sequence[Any]]) -> Iterator[Row]:
    """`found`: values in the order of ROW_FIELDS. What many rows hold alike, each text and entry, is held once."""
    kept: dict[Any, Any] = {}
    once = kept.setdefault
    for contract, node, slot, device, chain, start_us, end_us, *rest in found:
        state, cause, recorded_us, first, last, late = rest
        yield Row(
            once(contract, contract),
            once(node, node),
            slot,
            once(device, device),
            once(chain, chain),
            start_us,
            end_us,
            State(state),
            once(cause, cause),
            once(recorded_us, recorded_us),
            once(first, first),
            once(last, last),
            late,
        )


def _finding(mapping: RowMapping) -> Finding:
    values: dict[str, Any] = {name: mapping[name] for name in FINDING_FIELDS}
    severity, verdict = Severity(values["severity"]), Verdict(values["verdict"])
    return Finding(**values | {"severity": severity, "verdict": verdict})
