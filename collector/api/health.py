"""Whether the collector lives, stores and judges, and of which instant is what it shows."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from aiohttp import web

from collector.api.routes import Access, Route
from collector.log.commits import Committer
from collector.storage.store import EvidenceLog
from weighbridge.wire.problems import Problem

STATUS_PATH = "/v1/status"


class Judging(Protocol):
    """What is told of the judge: why it stopped, and what it has not come to yet."""

    @property
    def failure(self) -> str | None: ...

    def remarks(self) -> Iterable[str]: ...


class HealthApi:
    """`judged_us` is the instant up to which was judged."""

    def __init__(
        self,
        log: EvidenceLog,
        committer: Committer,
        judging: Judging,
        judged_us: Callable[[], int],
    ) -> None:
        self._log = log
        self._committer = committer
        self._judging = judging
        self._judged_us = judged_us

    def routes(self) -> tuple[Route, ...]:
        opened, text = Access.OPEN, "text/plain"
        return (
            Route("GET", "/healthz", self.healthy, opened, "Whether the process lives.", (), text),
            Route("GET", "/readyz", self.ready, opened, "Whether it stores and judges.", (), text),
            Route("GET", STATUS_PATH, self.status, Access.READ, "Of which instant all of it is."),
        )

    async def healthy(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(self, _: web.Request) -> web.Response:
        """Not ready while nothing can be stored, or once nothing is judged any more. What is judged later is said."""
        stopped = self._stopped
        if stopped is not None:
            raise Problem("overloaded", stopped)
        return web.Response(text="".join(f"{line}\n" for line in ("ok", *self._remarks())))

    async def status(self, _: web.Request) -> web.Response:
        """All is as of `judged_us`, where the log's newest tick is `newest_us`; `stopped` says why it stays so."""
        told = {"judged_us": self._judged_us(), "newest_us": self._committer.newest_us}
        said = {"stopped": self._stopped, "remarks": list(self._remarks())}
        return web.json_response(told | said)

    @property
    def _stopped(self) -> str | None:
        failure = self._committer.failure
        return self._judging.failure if failure is None else f"nothing can be stored: {failure}"

    def _remarks(self) -> Iterator[str]:
        clock = self._committer.clock
        if self._log.damage is not None:
            yield f"proofs that need it are not handed out: {self._log.damage}"
        yield from self._judging.remarks()
        if clock.stepped:
            ahead = f"{clock.off_us / 1_000_000:+.1f} s off"
            yield f"the system's clock was stepped and is not followed: {ahead}"
