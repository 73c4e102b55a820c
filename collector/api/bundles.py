"""The evidence of a period over HTTP, as one file that `weighbridge verify` checks anywhere."""

import asyncio

from aiohttp import web

from collector.api.access import GATE, viewer
from collector.api.routes import Access, Route
from collector.bundling.handing_out import Asked, BundleNotMadeError, Bundles
from collector.judging.statements import StatementError, Statements, instant, refuse_nothing
from weighbridge.wire.problems import Problem

PIECE_BYTES = 1 << 20
MEDIA_TYPE = "application/x-tar"


class BundleApi:
    """Over one collector's bundles."""

    def __init__(self, statements: Statements, bundles: Bundles) -> None:
        self._statements = statements
        self._bundles = bundles

    def routes(self) -> tuple[Route, ...]:
        """Everything that this module serves."""
        told = "Everything that a period's statement rests on, as one file (docs/bundle.md)."
        path, query = "/v1/contracts/{contract}/bundle", ("period", "as_of")
        return (Route("GET", path, self.bundle, Access.READ, told, query, MEDIA_TYPE),)

    async def bundle(self, request: web.Request) -> web.StreamResponse:
        """By default of the statement that was issued last, else of one as known now."""
        asked = self._asked(request)
        try:
            async with self._bundles.made(asked) as path:
                answer = web.StreamResponse(headers={"Content-Type": MEDIA_TYPE})
                answer.content_length = path.stat().st_size
                await answer.prepare(request)
                with path.open("rb") as file:
                    while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
                        await answer.write(piece)
                await answer.write_eof()
                return answer
        except BundleNotMadeError as error:
            raise Problem("overloaded", str(error)) from error

    def _asked(self, request: web.Request) -> Asked:
        """What the request names, if whoever asks may see it. Raises Problem."""
        contract, label = request.match_info["contract"], request.query.get("period")
        if not viewer(request).sees(contract) or contract not in self._statements.book.contracts:
            raise Problem("not_found", f"{contract}: no such contract")
        if label is None:
            raise Problem("malformed", "period is missing: a month such as 2026-10")
        as_of, who = request.query.get("as_of"), request.app[GATE].who(request)
        try:
            as_of_s = None if as_of is None else instant(as_of)
            refuse_nothing(self._statements.ask(contract, label, as_of_s))
        except StatementError as error:
            raise Problem("malformed", str(error)) from error
        return Asked(contract, label, as_of, "" if who is None else who.shown)
