"""Metrics to a receiver of somebody's: made on a schedule, kept on the disk, sent in order.

An outage of the receiver loses nothing while the queue has room: what was made is sent once it answers again, with the
times at which it was made. Every time is that of the collector's ticks: a node whose clock is ahead shuts nothing out.
"""

import asyncio
import logging
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import aiohttp

from collector.api.exposition import Exposition
from collector.sending.queue import Queue
from collector.sending.receivers import Receiver
from collector.sending.samples import pages

logger = logging.getLogger("weighbridge.sending")

ASKED_SECONDS = 30.0
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
ELSEWHERE = range(300, 400)
"""What is sent on in a request without a body is taken by nobody, and a token is for one receiver."""

MOST_READ = 4096
"""Of an answer: it is for people, or a few numbers."""


class Wire(Protocol):
    """How a receiver is spoken to."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Those of every request."""

    def bodies(self, texts: Iterable[str], at_us: int) -> Iterable[bytes]:
        """The requests that say what the pages said then."""

    def again(self, status: int) -> bool:
        """Whether what was answered so is to be sent again."""

    def complaint(self, answer: bytes, /) -> str:
        """What of a request that was taken was not taken, in words."""


@dataclass(slots=True)
class Forwarder:
    """From the pages into the queue, and from the queue to the receiver."""

    receiver: Receiver
    queue: Queue
    exposition: Exposition
    wire: Wire
    _made_us: int = field(default=0, init=False)
    _more: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    async def run(self) -> None:
        """For ever."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._making())
            both.create_task(self._sending())

    async def _making(self) -> None:
        while True:
            try:
                await self.make()
            except OSError as error:
                logger.warning("metrics of this minute are lost: %s", error)
            except Exception:
                logger.exception("metrics of this minute are lost")
            await asyncio.sleep(self.receiver.seconds)

    async def make(self) -> None:
        """Put what the pages say now into the queue; nothing where no tick has come since."""
        at_us = self.exposition.now_us
        if at_us <= self._made_us:
            return
        texts = [text async for text in pages(self.exposition)]
        await asyncio.to_thread(self._put, texts, at_us)
        self._made_us = at_us
        self._more.set()

    def _put(self, texts: Iterable[str], at_us: int) -> None:
        for body in self.wire.bodies(texts, at_us):
            self.queue.put(body)

    async def _sending(self) -> None:
        wait_s = FIRST_WAIT_S
        timeout = aiohttp.ClientTimeout(total=ASKED_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                self._more.clear()
                try:
                    while await self.send(session):
                        wait_s = FIRST_WAIT_S
                    await self._more.wait()
                except (aiohttp.ClientError, OSError, ValueError) as error:
                    logger.warning("the receiver takes nothing: %s", str(error) or type(error))
                    await asyncio.sleep(wait_s)
                    wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    async def send(self, session: aiohttp.ClientSession) -> bool:
        """Send the oldest request; False where nothing waits. Raises ClientError, OSError, ValueError: it waits on.

        What the receiver refuses for good is dropped and counted, so that it holds up nothing behind it.
        """
        waiting = await asyncio.to_thread(self.queue.oldest)
        if waiting is None:
            return False
        path, body = waiting
        async with session.post(
            self.receiver.url,
            data=body,
            headers=self._headers(),
            ssl=self._trust(),
            allow_redirects=False,
        ) as response:
            if response.status in ELSEWHERE:
                raise aiohttp.ClientError(f"it answers {response.status}, and is followed nowhere")
            if self.wire.again(response.status):
                response.raise_for_status()
            answer = await response.content.read(MOST_READ)
        taken = response.status // 100 == 2
        if taken:
            said = self.wire.complaint(answer)
        else:
            why = answer[:300].decode(errors="replace").strip()
            said = f"a request for good: {response.status} {why}"
        if said:
            logger.warning("the receiver refused %s", said)
        await asyncio.to_thread(self.queue.done, path, "sent" if taken else "refused")
        return True

    def _headers(self) -> Mapping[str, str]:
        """The token is read anew each time: it may have been replaced."""
        if self.receiver.token is None:
            return self.wire.headers
        token = self.receiver.token.read_text().strip()
        return {**self.wire.headers, "Authorization": f"Bearer {token}"}

    def _trust(self) -> ssl.SSLContext | bool:
        if self.receiver.authority is None:
            return True
        return ssl.create_default_context(cafile=str(self.receiver.authority))
