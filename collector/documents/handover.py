"""Delivery notes and acceptance certificates: asked for here, made in a process apart (`handover_process`).

A document as of T uses what was received by T, and reads no more of the log than it needs; so it is the same whenever
it is asked for.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from pydantic import TypeAdapter

from collector.documents.handover_process import HandoverError, Task, made_apart
from collector.judging.live import LiveFleet
from collector.judging.settler import Settler
from collector.judging.statements import (
    Judged,
    StatementError,
    Statements,
    newest_rows,
    not_known,
)
from collector.log.keys import KeyRing
from collector.storage.received import first_tick_after
from collector.storage.store import Store
from weighbridge.catalogue import tables
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.handover.acceptance import AHEAD_US
from weighbridge.handover.documents import Certificate, DeliveryNote
from weighbridge.handover.inputs import HandoverInputs, SpokenNotice
from weighbridge.handover.reports import ReportingAgent
from weighbridge.judge.ledger import Row
from weighbridge.log.entries import ContractAdded
from weighbridge.notices.book import ContractRecord
from weighbridge.settlement.periods import DAY_S, HOUR_S

SPOOL_S = DAY_S
"""What an agent keeps for a collector that is away: so long after a window its data may still come."""

INVENTORY_S = DAY_S + HOUR_S
"""Agents tell their inventory at least once in this time."""

LONGEST_S = 31 * DAY_S
MOST_WAITING = 16
"""Documents that are under way or wait for their turn."""

_NOTE, _CERTIFICATE = TypeAdapter(DeliveryNote), TypeAdapter(Certificate)


class Handover:
    """Over the store at `place`. `ring`: whose keys are whose; `make`: how a task becomes a document's JSON."""

    def __init__(
        self,
        store: Store,
        place: str,
        statements: Statements,
        settler: Settler,
        fleet: LiveFleet,
        ring: KeyRing,
        make: Callable[[Task], Awaitable[bytes]] = made_apart,
    ) -> None:
        self._store = store
        self._place = place
        self._statements = statements
        self._settler = settler
        self._fleet = fleet
        self._ring = ring
        self._make = make
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def delivery(self, contract: str, as_of_s: int | None) -> DeliveryNote:
        """As known at the end of a second: by default the newest. Raises StatementError, HandoverError."""
        inputs = await asyncio.to_thread(self._delivery, contract, as_of_s)
        return _NOTE.validate_json(await self._made(inputs))

    async def acceptance(
        self, contract: str, window: tuple[int, int], as_of_s: int | None
    ) -> Certificate:
        """Of a window in seconds, by default as known when a spool can have brought no more of it.

        Raises StatementError, HandoverError.
        """
        inputs = await asyncio.to_thread(self._acceptance, contract, window, as_of_s)
        waiting = self._fleet.unwritten_rows(contract)
        seated = partial(seated_by, contract, window, inputs.as_of_us, waiting)
        filled_by = await self._settler.made(seated)
        return _CERTIFICATE.validate_json(await self._made(replace(inputs, filled=filled_by)))

    def _delivery(self, contract: str, as_of_s: int | None) -> HandoverInputs:
        as_of_us = self._as_of_us(self._statements.newest_s if as_of_s is None else as_of_s)
        contract_record = self._record(contract, as_of_us)
        assigned_us = self._statements.book.assigned_from_us(contract)
        read_us = as_of_us if assigned_us is None else assigned_us
        return self._assigned(contract, contract_record, as_of_us, (as_of_us, as_of_us), read_us)

    def _acceptance(
        self, contract: str, window: tuple[int, int], as_of_s: int | None
    ) -> HandoverInputs:
        newest_s, (from_s, until_s) = self._statements.newest_s, window
        if not 0 < until_s - from_s <= LONGEST_S:
            raise StatementError(
                f"a window ends after it begins, and within {LONGEST_S // DAY_S} days"
            )
        if until_s > newest_s:
            raise StatementError("the window is not over yet")
        as_of_us = self._as_of_us(min(newest_s, until_s + SPOOL_S) if as_of_s is None else as_of_s)
        if as_of_us < until_s * MICROSECONDS:
            raise StatementError(
                "as of an instant before the end of the window nothing can be certified"
            )
        contract_record = self._record(contract, as_of_us)
        longest_us = max(
            version.contract.sampling.max_gap_us for version in contract_record.versions
        )
        from_us, until_us = from_s * MICROSECONDS, until_s * MICROSECONDS
        read_us = from_us - max(INVENTORY_S * MICROSECONDS, longest_us + AHEAD_US)
        given = self._assigned(contract, contract_record, as_of_us, (from_us, until_us), read_us)
        return replace(given, from_us=from_us, until_us=until_us)

    def _as_of_us(self, as_of_s: int) -> int:
        if as_of_s > self._statements.newest_s:
            raise StatementError("that instant is not over yet")
        return as_of_s * MICROSECONDS

    def _record(self, contract: str, as_of_us: int) -> ContractRecord:
        contract_record = self._statements.book.record(contract, as_of_us)
        if contract_record is None:
            raise StatementError(not_known(contract, as_of_us))
        return contract_record

    def _assigned(
        self,
        contract: str,
        contract_record: ContractRecord,
        as_of_us: int,
        held_us: tuple[int, int],
        read_us: int,
    ) -> HandoverInputs:
        """`held_us`: nodes that were assigned at some time in it; `read_us`: read what was received from then on."""
        assignments = self._statements.book.assignments(contract, *held_us)
        log, end = self._store.log, first_tick_after(self._store.log, as_of_us)
        return HandoverInputs(
            contract=contract,
            added=tuple(
                ContractAdded(
                    contract=contract,
                    version=version.contract.version,
                    text=version.text,
                    from_us=version.from_us,
                )
                for version in contract_record.versions
            ),
            assignments=tuple(assignments.values()),
            speakers={
                key.key_id: ReportingAgent(key.node, key.side)
                for key in self._ring
                if key.node in assignments and key.enrolled_index < end
            },
            spoken=tuple(
                SpokenNotice(one.notice, one.index, one.authority) for one in contract_record.heard
            ),
            start=min(first_tick_after(log, read_us - 1), end),
            end=end,
            as_of_us=as_of_us,
            simulated=self._store.info.simulation,
            tables_digest=tables.digest(),
            seen=self._statements.book.seen_by(contract, as_of_us),
        )

    async def _made(self, inputs: HandoverInputs) -> bytes:
        if self._waiting >= MOST_WAITING:
            raise HandoverError("too many documents are asked for at once")
        self._waiting += 1
        try:
            async with self._turn:
                return await self._make(Task(self._place, inputs))
        finally:
            self._waiting -= 1


def seated_by(
    contract: str, window: tuple[int, int], as_of_us: int, waiting: Sequence[Row], store: Judged
) -> Mapping[str, tuple[tuple[str, ...], ...]]:
    """Who sat where in a window, by the rows from an hour before it: for a settler."""
    from_us, until_us = (edge_s * MICROSECONDS for edge_s in window)
    start_us = from_us - HOUR_S * MICROSECONDS
    written = store.ledger.rows(contract, start_us, until_us, as_of_us)
    due = [row for row in waiting if row.start_us < until_us and row.end_us > start_us]
    return filled(newest_rows(written, due, as_of_us), from_us)


def filled(rows: Iterable[Row], from_us: int) -> Mapping[str, tuple[tuple[str, ...], ...]]:
    """By node and slot the devices that the rows name from an instant on, or else the last one before."""
    found: dict[str, dict[int, list[str]]] = {}
    before: dict[tuple[str, int], bool] = {}
    for row in sorted(rows, key=lambda row: (row.start_us, row.end_us, row.device)):
        if not row.of_a_slot or not row.device:
            continue
        devices = found.setdefault(row.node, {}).setdefault(row.slot, [])
        if before.get((row.node, row.slot), True):
            devices.clear()
        before[row.node, row.slot] = row.end_us <= from_us
        if row.device not in devices:
            devices.append(row.device)
    return {
        node: tuple(tuple(slots.get(slot, ())) for slot in range(max(slots) + 1))
        for node, slots in sorted(found.items())
    }
