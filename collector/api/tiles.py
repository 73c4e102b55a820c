"""The log as tlog-tiles serves it, read only: hashes for whoever reads the log, entries for whoever reads all of it."""

import asyncio
from collections.abc import Callable

from aiohttp import web

from collector.api.access import viewer
from collector.api.routes import Access, Route
from collector.storage.store import EvidenceLog
from weighbridge.log import tiles
from weighbridge.log.entries import stored_hash
from weighbridge.log.merkle import leaf_hash
from weighbridge.wire.problems import Problem

FOR_EVER = "private, max-age=31536000, immutable"
BINARY = "application/octet-stream"


class TilesApi:
    """Of one log. What a tile holds never changes."""

    def __init__(self, log: EvidenceLog) -> None:
        self._log = log

    def routes(self) -> tuple[Route, ...]:
        read = Access.READ
        return (
            Route(
                "GET",
                "/tile/entries/{tile:.+}",
                self.entries,
                read,
                "A bundle of entries.",
                (),
                BINARY,
            ),
            Route(
                "GET", "/tile/{level}/{tile:.+}", self.hashes, read, "A tile of hashes.", (), BINARY
            ),
        )

    async def hashes(self, request: web.Request) -> web.Response:
        """256 hashes, or those that there are so far."""

        def served() -> bytes:
            level = tiles.read_level(request.match_info["level"])
            tile = tiles.read_tile(request.match_info["tile"])
            return tiles.hashes(level, tile, self._log.size, self._log.proven())

        return await _served(served)

    async def entries(self, request: web.Request) -> web.Response:
        """256 entries, or those that there are so far. They are of every tenant."""
        if viewer(request).contracts is not None:
            raise Problem("forbidden", "entries are of every contract; the token is for one")

        def served() -> bytes:
            tile = tiles.read_tile(request.match_info["tile"])
            if tile.end > self._log.size:
                raise ValueError("the log has not come so far")
            leaves = list(self._log.leaves(tile.start, tile.width))
            if any(stored_hash(leaf) != leaf_hash(leaf) for leaf in leaves):
                raise ValueError("reports of it have left the store")
            return tiles.bundle(leaves)

        response = await _served(served)
        response.enable_compression()
        return response


async def _served(content: Callable[[], bytes]) -> web.Response:
    """Raises Problem: not_found, where there is no such tile."""
    try:
        body = await asyncio.to_thread(content)
    except ValueError as error:
        raise Problem("not_found", str(error)) from error
    return web.Response(body=body, content_type=BINARY, headers={"Cache-Control": FOR_EVER})
