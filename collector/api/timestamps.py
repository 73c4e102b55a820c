"""The door for timestamps of heads: the newest ones, for everybody who reads."""

import asyncio

from aiohttp import web

from collector.api.routes import Access, Route
from collector.storage.store import EntryIndex, EvidenceLog
from weighbridge.log.checkpoint import read_head
from weighbridge.log.entries import EntryKind, StampedHead
from weighbridge.wire.report import read

NEWEST = 100


class TimestampsApi:
    """Of the log of one collector."""

    def __init__(self, log: EvidenceLog, index: EntryIndex) -> None:
        self._log, self._index = log, index

    def routes(self) -> tuple[Route, ...]:
        what = "Heads with an authority's timestamps, the newest first."
        return (Route("GET", "/v1/log/timestamps", self.timestamps, Access.READ, what),)

    async def timestamps(self, _: web.Request) -> web.Response:
        items = await asyncio.to_thread(self._newest)
        return web.json_response({"items": items})

    def _newest(self) -> list[dict[str, object]]:
        found: list[dict[str, object]] = []
        for position in list(self._index.of_kinds({EntryKind.TIMESTAMP}))[-NEWEST:][::-1]:
            for one in self._log.read(position, 1):
                stamped = read(StampedHead, one.envelope.payload)
                told = {"size": read_head(stamped.note).size, "head": stamped.note}
                found.append({"index": position, **told, "answer": stamped.answer})
        return found
