"""The evidence log: its head, who cosigned it, and each entry in readable form with the proof that it is in the log."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import web

from collector.api.access import viewer
from collector.api.log import MAX_INDEX, SIZE
from collector.api.routes import Access, Route, Viewer, whole_number
from collector.bundling.selection import Selection
from collector.log.keys import KeyRing
from collector.storage.received import tick_before_us
from collector.storage.store import EntryIndex, EvidenceLog
from collector.web.readings import Readings
from collector.web.shell import HEADERS, Shell
from collector.witnessing.rounds import WitnessTold
from weighbridge.log.checkpoint import Head, log_key, read_head
from weighbridge.log.entries import Entry, EntryKind, StampedHead, entry, stored_hash
from weighbridge.log.merkle import inclusion_proof
from weighbridge.log.tlog_proof import LogProof, write_proof
from weighbridge.wire.problems import Problem
from weighbridge.wire.report import digest, read

SHOWN, RECORDS = 48 << 10, 25
"""Characters of a part of an entry that a page shows, and how many of the newest records and timestamps it lists."""

PASSED_OVER = frozenset({EntryKind.TICK, EntryKind.REPORT, EntryKind.CHALLENGE})
CALENDAR_US = 10**15
"""What a field in microseconds is an instant from: less is a duration, or a node's time since its boot."""


class Witnessed(Protocol):
    """`collector.witnessing.rounds.Rounds`: the head that everybody is shown, and who cosigned it."""

    @property
    def published(self) -> Head: ...

    def witnesses(self) -> Iterator[WitnessTold]: ...


@dataclass(frozen=True, slots=True)
class LogSource:
    """What the pages read. `newest` is the log's head, `key` what it signs with now."""

    log: EvidenceLog
    index: EntryIndex
    ring: KeyRing
    newest: Callable[[], Head]
    key: Callable[[], bytes]
    rounds: Witnessed


class LogPages:
    """The handlers over one log."""

    def __init__(self, shell: Shell, source: LogSource) -> None:
        self._shell, self._of = shell, source
        self._readings = Readings(source.log, source.index, source.ring)

    def routes(self) -> tuple[Route, ...]:
        read, html, one = Access.READ, "text/html", "/log/entries/{index}"
        proof = f"{one}/proof"
        return (
            Route("GET", "/log", self.head, read, "The evidence log.", ("entry", "lang"), html),
            Route("GET", one, self.entry, read, "One entry and its proof.", ("lang",), html),
            Route("GET", proof, self.proof, read, "The proof, as a file.", (), "text/plain"),
        )

    async def head(self, request: web.Request) -> web.Response:
        """The head that everybody is shown; `entry` leads to an entry."""
        if request.query.get("entry"):
            index = whole_number(request, "entry", 0, 0, MAX_INDEX)
            raise web.HTTPSeeOther(f"/log/entries/{index}")
        published, newest = self._of.rounds.published, self._of.newest()
        whole = viewer(request).contracts is None
        return await self._shell.page(
            request,
            "log.html",
            head=published,
            newest=newest,
            vkey=str(log_key(newest.origin, self._of.key())),
            witnesses=list(self._of.rounds.witnesses()),
            stamps=await asyncio.to_thread(self._stamps),
            records=await asyncio.to_thread(self._records) if whole else [],
            damage=self._of.log.damage,
        )

    async def entry(self, request: web.Request) -> web.Response:
        """In readable form, for whoever may see it."""
        index = self._index(request)
        shown = await asyncio.to_thread(self._shown, index, viewer(request))
        return await self._shell.page(request, "entry.html", entry=shown)

    async def proof(self, request: web.Request) -> web.Response:
        """A file of c2sp.org/tlog-proof. A proof tells nothing of what it proves."""
        index = self._index(request)
        text = await asyncio.to_thread(self._proof, index, self._head(index))
        named = {"Content-Disposition": f'attachment; filename="{index}.tlog-proof"'}
        return web.Response(text=text, headers=HEADERS | named)

    def _index(self, request: web.Request) -> int:
        text = request.match_info["index"]
        if not SIZE.fullmatch(text) or int(text) >= self._of.newest().size:
            raise Problem("not_found", "the log has no such entry")
        return int(text)

    def _head(self, index: int) -> Head:
        """The one that everybody is shown, if it covers an entry already."""
        published = self._of.rounds.published
        return published if index < published.size else self._of.newest()

    def _proof(self, index: int, head: Head) -> str:
        hashes = inclusion_proof(index, head.size, self._of.log.proven())
        return write_proof(LogProof(index, hashes, head.note))

    def _shown(self, index: int, asks: Viewer) -> dict[str, Any]:
        leaf = next(iter(self._of.log.leaves(index, 1)))
        found, received_us = entry(index, leaf), tick_before_us(self._of.log, index)
        if not self._may_see(found, received_us, asks):
            raise Problem("forbidden", "this entry is of another contract")
        said, head = json.loads(found.envelope.payload), self._head(index)
        owner = self._of.ring.key(found.envelope.key_id)
        return {
            "index": index,
            "kind": found.kind.value,
            "received_us": received_us or None,
            "key_id": found.envelope.key_id,
            "speaks": None if owner is None else {"node": owner.node, "side": owner.side},
            "payload_hash": digest(found.envelope.payload),
            "leaf_hash": stored_hash(leaf).hex(),
            "fields": list(_fields(said)),
            "parts": list(_parts(said)),
            "head": head,
            "proof": self._proof(index, head),
            "last": self._of.newest().size - 1,
            "whole": asks.contracts is None,
        }

    def _may_see(self, found: Entry, received_us: int, asks: Viewer) -> bool:
        """Whether a bundle of one of the viewer's contracts would hold it."""
        if asks.contracts is None or found.kind is EntryKind.TICK:
            return True
        key_id, owner = found.envelope.key_id, self._of.ring.key(found.envelope.key_id)
        node = owner.node if owner is not None else json.loads(found.envelope.payload).get("node")
        for contract in asks.contracts:
            times = self._readings.times(str(node), [contract])
            seen = {str(node): times} if times else {}
            if Selection(contract, {key_id: str(node)}, seen).keeps(found, received_us):
                return True
        return False

    def _stamps(self) -> list[dict[str, Any]]:
        """The newest first."""
        found = []
        for index in list(self._of.index.of_kinds({EntryKind.TIMESTAMP}))[-RECORDS:][::-1]:
            for one in self._of.log.read(index, 1):
                size = read_head(read(StampedHead, one.envelope.payload).note).size
                received_us = tick_before_us(self._of.log, index)
                found.append({"index": index, "size": size, "received_us": received_us})
        return found

    def _records(self) -> list[dict[str, Any]]:
        """The newest entries that are neither ticks nor reports."""
        listed = self._of.index.of_kinds(frozenset(EntryKind) - PASSED_OVER)[-RECORDS:]
        found = []
        for index in reversed(listed):
            for one in self._of.log.read(index, 1):
                received_us = tick_before_us(self._of.log, index)
                found.append({"index": index, "kind": one.kind.value, "received_us": received_us})
        return found


def _fields(said: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What is short: each with what it leads to, and as an instant where it is one."""
    for name, value in said.items():
        if not isinstance(value, dict | list) and len(str(value)) <= 256:
            instant = isinstance(value, int) and name.endswith("_us") and value >= CALENDAR_US
            yield {"name": name, "value": value, "instant": instant}


def _parts(said: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What is long, as it is spelled, cut where a page would be too long."""
    for name, value in said.items():
        if isinstance(value, dict | list) or len(str(value)) > 256:
            text = (
                value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1)
            )
            if value:
                yield {"name": name, "text": text[:SHOWN], "more": len(text) > SHOWN}
