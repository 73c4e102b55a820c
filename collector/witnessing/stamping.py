"""Heads that an authority of the parties' choice puts a time on, so that nobody need trust this machine's clock."""

import asyncio
import contextlib
import logging
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from collector.background import beside
from collector.log.commits import Committer
from collector.log.timestamps import MOST_ANSWER_BYTES, TimestampError, ask
from weighbridge.log.entries import EntryKind, StampedHead
from weighbridge.wire.problems import Problem

logger = logging.getLogger("weighbridge.timestamps")

ASKED_SECONDS = 30.0
AGAIN_SECONDS = 600.0
"""How soon an authority that failed is asked again."""
HEADERS = {"Content-Type": "application/timestamp-query"}


@dataclass(frozen=True, slots=True)
class Authority:
    """Where it answers, its certificates as PEM, and how often it is asked."""

    url: str
    certificates: Path
    seconds: float


class Stamping:
    """The newest head is put before an authority, again and again. Nothing waits for it."""

    def __init__(self, committer: Committer, authority: Authority) -> None:
        self._committer, self._authority = committer, authority

    async def run(self, session: aiohttp.ClientSession) -> None:
        """For ever."""
        while True:
            try:
                await self._stamp(session)
                await asyncio.sleep(self._authority.seconds)
            except (TimestampError, Problem, aiohttp.ClientError, OSError, ValueError) as error:
                logger.warning("no timestamp: %s", str(error) or type(error).__name__)
                await asyncio.sleep(min(AGAIN_SECONDS, self._authority.seconds))

    async def _stamp(self, session: aiohttp.ClientSession) -> None:
        asking = await asyncio.to_thread(ask, self._committer.head.note)
        url = self._authority.url
        async with session.post(url, data=asking.request, headers=HEADERS) as response:
            response.raise_for_status()
            answer = await response.content.read(MOST_ANSWER_BYTES + 1)
            while len(answer) <= MOST_ANSWER_BYTES and (more := await response.content.readany()):
                answer += more
        if len(answer) > MOST_ANSWER_BYTES:
            raise ValueError(f"an answer of over {MOST_ANSWER_BYTES} bytes")
        await asyncio.to_thread(asking.check, answer, self._authority.certificates)
        stamped = StampedHead(note=asking.note, answer=b64encode(answer).decode())
        await self._committer.enter(EntryKind.TIMESTAMP, stamped)


@contextlib.asynccontextmanager
async def stamping(committer: Committer, authority: Authority | None) -> AsyncIterator[None]:
    """Heads are stamped while this is open, if there is an authority."""
    if authority is None:
        yield
        return
    timeout = aiohttp.ClientTimeout(total=ASKED_SECONDS)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        beside(Stamping(committer, authority).run(session), "heads are stamped no more"),
    ):
        yield
