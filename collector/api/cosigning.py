"""The doors for witnesses: the head to cosign, cosignatures in, and the cosigned head for everybody who reads."""

from aiohttp import web

from collector.api.bodies import read_body
from collector.api.routes import Access, Route
from collector.witnessing.party import COSIGNATURES_PATH, COSIGNING_PATH
from collector.witnessing.rounds import Rounds
from weighbridge.log.checkpoint import Head
from weighbridge.log.note import MOST_BYTES
from weighbridge.wire.problems import Problem

CHECKPOINT_PATH = "/checkpoint"


class CosigningApi:
    """Of the rounds of one collector."""

    def __init__(self, rounds: Rounds) -> None:
        self._rounds = rounds

    def routes(self) -> tuple[Route, ...]:
        opened, read = Access.OPEN, Access.READ
        text = "text/plain"
        return (
            Route("GET", CHECKPOINT_PATH, self.checkpoint, read, "The cosigned head.", (), text),
            Route("GET", COSIGNING_PATH, self.cosigning, read, "The head to cosign.", (), text),
            Route("POST", COSIGNATURES_PATH, self.cosigned, opened, "Cosignatures of that head."),
        )

    async def checkpoint(self, _: web.Request) -> web.Response:
        """Of the newest round, with the cosignatures that it has; the newest of all where there are no witnesses."""
        return _note(self._rounds.published)

    async def cosigning(self, _: web.Request) -> web.Response:
        return _note(self._rounds.pending)

    async def cosigned(self, request: web.Request) -> web.Response:
        """Whoever it comes from: only what a configured witness signed is taken."""
        body = await read_body(request, MOST_BYTES)
        try:
            taken = self._rounds.take(body.decode())
        except UnicodeDecodeError as error:
            raise Problem("malformed", "not a checkpoint") from error
        return web.json_response({"taken": taken})


def _note(head: Head) -> web.Response:
    """Not to be kept on the way: an old head would look like a log that shrank."""
    response = web.Response(text=head.note)
    response.headers["Cache-Control"] = "no-store"
    return response
