"""The logical clock of a simulation store: it stands still until the simulator on this machine moves it."""

from aiohttp import web

from collector.api.access import GATE, is_local
from collector.api.administration import Submit, parse
from collector.api.bodies import read_body
from collector.api.routes import Access, Route
from weighbridge.log.entries import EntryKind, Tick
from weighbridge.wire.problems import Problem
from weighbridge.wire.simulation import CLOCK_PATH, ClockMove


class LogicalTime:
    """Goes forward only, in steps of any size; a step is no stall of the collector."""

    def __init__(self, now_us: int) -> None:
        self._now_us = now_us

    def now_us(self) -> int:
        """What both the wall clock and the monotonic clock show."""
        return self._now_us

    def routes(self, enter: Submit) -> tuple[Route, ...]:
        """For the simulator alone. Each step is logged as a tick by itself, whether or not anything is received."""

        async def move(request: web.Request) -> web.Response:
            wall_us = self._move_us(request, parse(ClockMove, await read_body(request)))
            await enter(EntryKind.TICK, Tick(wall_us=wall_us))
            return web.json_response({"wall_us": wall_us})

        return (
            Route("GET", CLOCK_PATH, self.show, Access.OPEN, "The logical clock of a simulation."),
            Route("POST", CLOCK_PATH, move, Access.OPEN, "Move the clock; from this machine only."),
        )

    async def show(self, request: web.Request) -> web.Response:
        del request
        return web.json_response({"wall_us": self._now_us})

    def _move_us(self, request: web.Request, wanted: ClockMove) -> int:
        """Moves the clock: what is received from now on carries that time."""
        if not (is_local(request) or request.app[GATE].control):
            raise Problem("forbidden", "the clock is moved from this machine")
        if wanted.wall_us < self._now_us:
            raise Problem("conflict", f"the clock goes forward only; it shows {self._now_us}")
        self._now_us = wanted.wall_us
        return self._now_us
