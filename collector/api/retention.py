"""Reports that no contract keeps any longer leave, while the collector serves."""

import asyncio
from collections.abc import Callable

from aiohttp import web

from collector.api.administration import parse
from collector.api.bodies import read_body
from collector.api.routes import Access, Route
from collector.log.retaining import RETENTION_PATH, kept_by_nobody, let_reports_go
from collector.storage.store import Store
from weighbridge.wire.report import Model
from weighbridge.wire.signing import Signer


class RetentionRequest(Model):
    """`dry_run`: only say of which nodes."""

    dry_run: bool


class RetentionApi:
    """`signer` is the log's: it signs the rows in place of what left."""

    def __init__(self, store: Store, signer: Callable[[], Signer]) -> None:
        self._store, self._signer = store, signer
        self._turn = asyncio.Lock()

    def routes(self) -> tuple[Route, ...]:
        said = "Let reports leave that no contract keeps any longer."
        return (Route("POST", RETENTION_PATH, self.retain, Access.ADMIN, said),)

    async def retain(self, request: web.Request) -> web.Response:
        wanted = parse(RetentionRequest, await read_body(request))
        async with self._turn:
            nodes = await asyncio.to_thread(kept_by_nobody, self._store)
            left = 0
            if not wanted.dry_run:
                signer = self._signer()
                left = await asyncio.to_thread(let_reports_go, self._store, signer, nodes)
        return web.json_response({"nodes": sorted(nodes), "left": left})
