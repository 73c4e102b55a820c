"""A lease in a real store: judged from its log, settled from its ledger, and going on as entries are added."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collector.judging.live import LiveFleet
from collector.judging.settler import Job, Made
from collector.judging.statements import Statements, load_book
from collector.judging.writer import LedgerWriter
from collector.storage.received import tick_before_us
from collector.storage.store import JudgedStore, Store
from tests.collector.building import make_store, opened
from tests.weighbridge.scripted import START_US, Log, ScriptedNode, contract_text
from weighbridge.log.entries import EntryKind, Notice

DAY, HOUR, SECOND = 86_400, 3600, 1_000_000
CREDITS = """\
claim: {required: true, deadline_days: 20}
credits:
  - {id: c, kind: linear_shortfall, objective: nodes, base: {amount: "1000"}}
"""


@dataclass
class Here:
    """A settler in this process."""

    store: Store

    async def made(self, job: Job[Made]) -> Made:
        return await asyncio.to_thread(job, JudgedStore(self.store.info, self.store.ledger))


@dataclass
class Lease:
    """`log` holds what is to come into the store by `go_on`."""

    log: Log
    store: Store
    writer: LedgerWriter
    fleet: LiveFleet
    statements: Statements

    @property
    def settler(self) -> Here:
        return Here(self.store)

    def go_on(self) -> None:
        """Commits and judges what the log holds beyond the store."""
        first = self.store.log.size
        self.store.log.append(self.log.leaves[first - 1 :])
        while self.writer.catch_up():
            pass
        for one in self.store.log.read(first, self.store.log.size - first):
            self.statements.book.fold(one, tick_before_us(self.store.log, one.index))

    def says(self, party: str, **said: Any) -> None:
        """A notice, attested."""
        content = {"contract": "K1", "party": party, "said": said, "attested_for": "admin"}
        self.log.add(EntryKind.NOTICE, Notice.model_validate(content))


def event(name: str, at_s: int, unit: str = "", **details: str) -> dict[str, Any]:
    """What a notice of an event says."""
    told = {"kind": "event", "event": name, "at_us": START_US + at_s * SECOND, "since_us": None}
    return told | {"unit": unit, "details": details}


@contextmanager
def lease(
    directory: Path, *more: str, until_s: int = 33 * DAY, zone: str = "UTC"
) -> Iterator[Lease]:
    """Two GPUs of n1, seen for a while on the first of October: capped once, silent once. Then nothing, to `until_s`
    after the beginning of October in UTC."""
    log, node = Log(), ScriptedNode()
    text = contract_text().replace("time_zone: UTC", f"time_zone: {zone}")
    log.contract("".join([text, CREDITS, *more]))
    log.assign("n1")
    capped = {node.devices[0]: {"power_limit_enforced_milliwatts": 400_000}}
    for second in (*range(0, 60, 10), 590, 600, 610):
        log.tick(second)
        log.report(node.report([second], {second: capped if second in (20, 30) else {}}))
    log.tick_through(611, 700)
    log.tick(until_s)
    with opened(make_store(directory)) as store:
        store.log.append(log.leaves)
    with opened(directory) as store:
        writer = LedgerWriter(store)
        while writer.catch_up():
            pass
        fleet = LiveFleet(writer.judgement)
        made = Statements(fleet, load_book(store.log, store.index))
        yield Lease(log, store, writer, fleet, made)
