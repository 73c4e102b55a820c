"""Another certificate authority of the collector's, learnt over the connection that the one before it vouches for."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

from agent.report.transport import HttpAnswer
from weighbridge.process.files import write_file
from weighbridge.wire.enrolment import AUTHORITY_PATH, NEXT_AUTHORITY_PATH

log = logging.getLogger(__name__)

EVERY_S = 3600.0
RETRY_S = 60.0
OK, NOT_FOUND = 200, 404
Request = Callable[[str, str], Awaitable[HttpAnswer]]


class AuthorityFollower:
    """Keeps `file`, the certificates that are trusted, and `trust`, which verifies by them, as the collector says.

    A next CA is trusted beside the present one. Once the collector has none, the others go at the next start.
    """

    def __init__(self, file: Path, trust: ssl.SSLContext, request: Request) -> None:
        self._file, self._trust, self._request = file, trust, request

    async def run(self) -> None:
        """For ever: at once, and then every hour."""
        while True:
            try:
                await self.follow()
            except (OSError, ValueError) as error:
                log.debug("the collector's CA is not known anew: %s", error)
                await asyncio.sleep(RETRY_S)
            else:
                await asyncio.sleep(EVERY_S)

    async def follow(self) -> None:
        """Raises OSError where nobody answers or the disk refuses, ValueError for what is no certificate."""
        known = self._file.read_text("ascii")
        answer = await self._request("GET", NEXT_AUTHORITY_PATH)
        if answer.status == OK:
            pem = _certificate(answer.body)
            if pem not in known:
                self._trust.load_verify_locations(cadata=pem)
                write_file(self._file, f"{known}{pem}".encode())
                log.warning("the collector's next CA is trusted too")
        elif answer.status == NOT_FOUND:
            present = _certificate((await self._request("GET", AUTHORITY_PATH)).body)
            if present in known and present != known:
                write_file(self._file, present.encode())
                log.warning("the collector's former CA is trusted no more, from the next start on")


def _certificate(body: bytes) -> str:
    """One, as PEM. Raises ValueError."""
    pem = body.decode("ascii")
    return ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(pem))
