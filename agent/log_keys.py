"""Another key of the collector's log, announced by the one before it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from agent.report.transport import HttpAnswer
from weighbridge.log.succession import KEYS_PATH
from weighbridge.process.log_trust import LogTrust
from weighbridge.wire.signing import SignatureError, key_id

log = logging.getLogger(__name__)

EVERY_S = 3600.0
RETRY_S = 5.0
OK = 200
Request = Callable[[str, str], Awaitable[HttpAnswer]]


class LogKeyFollower:
    """Keeps `trust` as the log says: at once, every hour, and when a head bears a key that is not known (`doubt`)."""

    def __init__(self, trust: LogTrust, doubt: asyncio.Event, request: Request) -> None:
        self._trust, self._doubt, self._request = trust, doubt, request
        self._complaint = ""

    async def run(self) -> None:
        """For ever."""
        while True:
            self._doubt.clear()
            await self._try()
            await asyncio.sleep(RETRY_S)
            try:
                async with asyncio.timeout(EVERY_S):
                    await self._doubt.wait()
            except TimeoutError:
                pass

    async def _try(self) -> None:
        try:
            await self.follow()
            self._complaint = ""
        except (OSError, SignatureError) as error:
            if str(error) != self._complaint:
                log.warning("the keys of the collector's log are not known anew: %s", error)
            self._complaint = str(error)

    async def follow(self) -> None:
        """Raises OSError where nobody answers or the disk refuses, SignatureError for what leads nowhere."""
        answer = await self._request("GET", KEYS_PATH)
        if answer.status == OK and await asyncio.to_thread(self._trust.follow, answer.body):
            named = key_id(self._trust.keys.newest)[:16]
            log.warning("the collector's log is signed by its next key from now on: %s", named)
