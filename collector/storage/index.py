"""The entry index in SQL: the newest report of every chain in memory, the rest in the database, written behind."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict

from sqlalchemy import Engine, insert, select

from collector.storage.derived import chains, progress, records, reports, upsert, writing
from collector.storage.received import tick_before_us, wall_us
from collector.storage.store import (
    Accepted,
    ChainKey,
    CorruptStore,
    EvidenceLog,
    Indexed,
    StorageError,
)
from weighbridge.log.entries import Entry, EntryKind, Removed
from weighbridge.wire.report import digest, read, read_position

logger = logging.getLogger("weighbridge.storage")

CATCH_UP_ENTRIES = 4096
SAID_ENTRIES = 64 * CATCH_UP_ENTRIES
"""After so many that were missing it is said how many there are: a quarter of a minute."""

UNLISTED = frozenset({EntryKind.REPORT, EntryKind.TICK, EntryKind.CHALLENGE, EntryKind.ATTESTATION})
NEWEST = """
SELECT id, key_id, chain, stream, seq, payload_hash, entry, received_us
FROM chains CROSS JOIN reports
WHERE chain_id = id AND seq = (SELECT max(seq) FROM reports WHERE chain_id = chains.id)
"""
"""The newest report of each chain, each looked up: SQLite keeps the order of a CROSS JOIN, and any other would read all
reports that there ever were."""

REPORT = "INTO reports (chain_id, seq, payload_hash, entry, received_us) VALUES"
INSERT_REPORT = {
    "sqlite": f"INSERT OR REPLACE {REPORT} (?, ?, ?, ?, ?)",
    "postgresql": f"INSERT {REPORT} (%s, %s, %s, %s, %s) ON CONFLICT (chain_id, seq) DO UPDATE SET"
    " payload_hash = excluded.payload_hash, entry = excluded.entry, received_us = excluded.received_us",
}
"""By dialect: as the driver takes it, for there are many."""
MEND = {
    "sqlite": " (to go on without it, delete {})",
    "postgresql": ": restore the database of {}",
}
"""By dialect: what is done about an index that knows more than the log. In PostgreSQL both are in one place."""


class SqlIndex:
    """The entry index in SQL. Not safe for two callers at once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ids: dict[ChainKey, int] = {}
        self._last: dict[ChainKey, Accepted] = {}
        self._pending: list[Indexed] = []
        self._fresh: dict[tuple[ChainKey, int], Accepted] = {}
        self._records: dict[int, tuple[EntryKind, int | None]] = {}
        self._indexed = 0
        self._load()

    def _load(self) -> None:
        with self._engine.connect() as connection:
            for row in connection.exec_driver_sql(NEWEST):
                chain = ChainKey(row.key_id, row.chain, row.stream)
                self._ids[chain] = row.id
                self._last[chain] = _accepted(row.seq, row.payload_hash, row.entry, row.received_us)
            for row in connection.execute(select(records).order_by(records.c.entry)):
                self._records[row.entry] = EntryKind(row.kind), row.received_us
            indexed = select(progress.c.value).where(progress.c.name == "indexed")
            self._indexed = connection.execute(indexed).scalar() or 0

    def catch_up(self, log: EvidenceLog) -> None:
        """Record what the log has and the index has not. Raises CorruptStore if the log is the shorter one."""
        if self._indexed > log.size:
            mend = MEND[self._engine.dialect.name].format(self._engine.url.database)
            raise CorruptStore(
                f"the index knows {self._indexed} entries, the log holds {log.size}: evidence is missing{mend}"
            )
        received_us = tick_before_us(log, self._indexed)
        said = self._indexed
        while self._indexed < log.size:
            if self._indexed - said >= SAID_ENTRIES:
                said = self._indexed
                logger.warning("the index is made of the log: %d of %d entries", said, log.size)
            batch = []
            for entry in log.read(self._indexed, CATCH_UP_ENTRIES):
                received_us = wall_us(entry) if entry.kind is EntryKind.TICK else received_us
                batch.append(indexed(entry, received_us))
            self.record(batch)
            self.flush()

    def last(self, chain: ChainKey) -> Accepted | None:
        return self._last.get(chain)

    def find(self, chain: ChainKey, seq: int) -> Accepted | None:
        fresh = self._fresh.get((chain, seq))
        if fresh is not None or chain not in self._ids:
            return fresh
        query = select(reports).where(reports.c.chain_id == self._ids[chain], reports.c.seq == seq)
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        return _accepted(row.seq, row.payload_hash, row.entry, row.received_us)

    def chains(self, key_ids: Collection[str]) -> Sequence[tuple[ChainKey, Accepted]]:
        return [one for one in list(self._last.items()) if one[0].key_id in key_ids]

    def at_or_after(self, chain: ChainKey, seq: int) -> Accepted | None:
        """What is written has the lower numbers; what was not may be written meanwhile."""
        found = self._fresh.get((chain, seq)) or self._written_from(chain, seq)
        return found or self._unwritten_from(chain, seq) or self._written_from(chain, seq)

    def _unwritten_from(self, chain: ChainKey, seq: int) -> Accepted | None:
        fresh = list(self._fresh.items())
        later = (one for (of, number), one in fresh if of == chain and number >= seq)
        return min(later, key=lambda one: one.seq, default=None)

    def _written_from(self, chain: ChainKey, seq: int) -> Accepted | None:
        if chain not in self._ids:
            return None
        query = select(reports).where(reports.c.chain_id == self._ids[chain], reports.c.seq >= seq)
        with self._engine.connect() as connection:
            row = connection.execute(query.order_by(reports.c.seq).limit(1)).one_or_none()
        if row is None:
            return None
        return _accepted(row.seq, row.payload_hash, row.entry, row.received_us)

    def record(self, entries: Sequence[Indexed]) -> None:
        for entry in entries:
            self._indexed = entry.index + 1
            if entry.chain is not None and entry.accepted is not None:
                self._last[entry.chain] = entry.accepted
                self._fresh[entry.chain, entry.accepted.seq] = entry.accepted
            elif entry.kind not in UNLISTED:
                self._records[entry.index] = entry.kind, entry.received_us
            self._pending.append(entry)

    def of_kinds(self, kinds: Collection[EntryKind]) -> Sequence[int]:
        return [index for index, (kind, _) in list(self._records.items()) if kind in kinds]

    def received_us(self, index: int) -> int | None:
        return self._records[index][1] if index in self._records else None

    def flush(self) -> None:
        if not self._pending:
            return
        ids = dict(self._ids)
        with writing(self._engine) as connection:
            listed = [
                {
                    "entry": entry.index,
                    "kind": str(entry.kind),
                    "received_us": entry.received_us,
                }
                for entry in self._pending
                if entry.kind not in UNLISTED
            ]
            if listed:
                connection.execute(upsert(self._engine, records).on_conflict_do_nothing(), listed)
            for entry in self._pending:
                if entry.chain is not None and entry.chain not in ids:
                    new = insert(chains).values(asdict(entry.chain)).returning(chains.c.id)
                    ids[entry.chain] = connection.execute(new).scalar_one()
            accepted = _report_rows(self._pending, ids)
            if accepted:
                connection.exec_driver_sql(INSERT_REPORT[self._engine.dialect.name], accepted)
            mark = upsert(self._engine, progress).values(name="indexed", value=self._indexed)
            connection.execute(
                mark.on_conflict_do_update(
                    index_elements=[progress.c.name], set_={"value": self._indexed}
                )
            )
        self._ids = ids
        self._pending.clear()
        self._fresh.clear()

    def close(self) -> None:
        try:
            self.flush()
        except StorageError as error:
            logger.warning("the index is not written to its end: %s", error)


def _report_rows(
    entries: Sequence[Indexed], ids: Mapping[ChainKey, int]
) -> list[tuple[int, int, bytes, int, int]]:
    return [
        (
            ids[entry.chain],
            entry.accepted.seq,
            bytes.fromhex(entry.accepted.payload_hash),
            entry.accepted.index,
            entry.accepted.received_us,
        )
        for entry in entries
        if entry.chain is not None and entry.accepted is not None
    ]


def _accepted(seq: int, payload_hash: bytes, index: int, received_us: int) -> Accepted:
    return Accepted(seq, payload_hash.hex(), index, received_us)


def indexed(entry: Entry, received_us: int) -> Indexed:
    """What the index keeps of an entry that was read back from the log."""
    if entry.kind is EntryKind.REMOVED:
        left = read(Removed, entry.envelope.payload)
        chain = ChainKey(left.key_id, left.chain, left.stream)
        accepted = Accepted(left.seq, left.payload_hash, entry.index, received_us)
        return Indexed(entry.index, EntryKind.REPORT, chain, accepted)
    if entry.kind is not EntryKind.REPORT:
        return Indexed(entry.index, entry.kind, received_us=received_us)
    at = read_position(entry.envelope.payload)
    chain = ChainKey(entry.envelope.key_id, at.chain, at.stream)
    accepted = Accepted(at.seq, digest(entry.envelope.payload), entry.index, received_us)
    return Indexed(entry.index, entry.kind, chain, accepted)
