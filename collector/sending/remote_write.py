"""Remote write to a receiver of somebody's: made on a schedule, kept on the disk, sent in order.

An outage of the receiver loses nothing while the queue has room: what was made is sent once it answers again, with the
times at which it was made. Every time is that of the collector's ticks: a node whose clock is ahead shuts nothing out.
"""

import asyncio
import logging
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field

import aiohttp

from collector.api.exposition import Exposition
from collector.sending.queue import Queue
from collector.sending.receivers import Receiver
from collector.sending.samples import Labels, pages, samples
from collector.sending.write_request import HEADERS, STALE, bodies, series

logger = logging.getLogger("weighbridge.remote_write")

ASKED_SECONDS = 30.0
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
TOO_MANY = 429


@dataclass(slots=True)
class RemoteWrite:
    """From the pages into the queue, and from the queue to the receiver."""

    receiver: Receiver
    queue: Queue
    exposition: Exposition
    _known: frozenset[Labels] = field(default=frozenset(), init=False)
    _made_ms: int = field(default=0, init=False)
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
            await asyncio.sleep(self.receiver.seconds)

    async def make(self) -> None:
        """Put what the pages say now into the queue; nothing where no tick has come since."""
        at_ms = self.exposition.now_us // 1000
        if at_ms <= self._made_ms:
            return
        texts = [text async for text in pages(self.exposition)]
        await asyncio.to_thread(self._put, texts, at_ms)
        self._made_ms = at_ms
        self._more.set()

    def _put(self, texts: Iterable[str], at_ms: int) -> None:
        """What is no longer told of is ended, or it would be shown for five minutes more."""
        found = (one for text in texts for one in samples(text))
        values = series(found, dict(self.receiver.labels))
        ended = dict.fromkeys(self._known - values.keys(), STALE)
        self._known = frozenset(values)
        for body in bodies(values | ended, at_ms):
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
                except (aiohttp.ClientError, OSError) as error:
                    logger.warning("the receiver takes nothing: %s", str(error) or type(error))
                    await asyncio.sleep(wait_s)
                    wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    async def send(self, session: aiohttp.ClientSession) -> bool:
        """Send the oldest request; False where nothing waits. Raises ClientError, OSError: it waits on.

        What the receiver refuses for good is dropped and counted, so that it holds up nothing behind it.
        """
        waiting = self.queue.oldest()
        if waiting is None:
            return False
        path, body = waiting
        async with session.post(
            self.receiver.url, data=body, headers=self._headers(), ssl=self._trust()
        ) as response:
            if response.status >= 500 or response.status == TOO_MANY:
                response.raise_for_status()
            said = (
                "" if response.ok else (await response.content.read(300)).decode(errors="replace")
            )
        if said:
            logger.warning("the receiver refused a request for good: %s", said.strip())
        if self.queue.is_oldest(path):
            self.queue.done("refused" if said else "sent")
        return True

    def _headers(self) -> dict[str, str]:
        """The token is read anew each time: it may have been replaced."""
        if self.receiver.token is None:
            return HEADERS
        return HEADERS | {"Authorization": f"Bearer {self.receiver.token.read_text().strip()}"}

    def _trust(self) -> ssl.SSLContext | bool:
        if self.receiver.authority is None:
            return True
        return ssl.create_default_context(cafile=str(self.receiver.authority))
