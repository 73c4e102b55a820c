"""The collector's own clock: whether the system's is followed, and an operator's word that it is right."""

from aiohttp import web

from collector.api.bodies import read_body
from collector.api.routes import Access, Route
from collector.log.commits import CommitBatch, Committer
from collector.log.ticks import TickClock

PATH = "/v1/clock"


class Confirmation:
    """The plan that lets the clock follow the system's again. Its outcome: by how many microseconds that is ahead."""

    closes = True
    size_bytes = 0

    def __init__(self, clock: TickClock) -> None:
        self._clock = clock

    def enter(self, batch: CommitBatch) -> int:
        del batch
        return self._clock.confirm()


class ClockApi:
    """Reads the committer's clock, and confirms it."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("GET", PATH, self.show, Access.READ, "Whether the system's clock is followed."),
            Route("POST", PATH, self.confirm, Access.ADMIN, "The system's clock is right now."),
        )

    async def show(self, _: web.Request) -> web.Response:
        clock = self._committer.clock
        told = {"tick_us": clock.newest_us, "ahead_us": clock.off_us, "stepped": clock.stepped}
        return web.json_response(told)

    async def confirm(self, request: web.Request) -> web.Response:
        """Ticks follow it from the next one on, which the log is told of then. Nothing is said in the body."""
        await read_body(request)
        answer = await self._committer.submit(Confirmation(self._committer.clock))
        return web.json_response({"ahead_us": answer.outcome})
