"""Bundles for who has no shell here: `weighbridge bundle` run beside the collector, one at a time, its file handed on.

A process, because a bundle reads the whole log, and because its memory goes back to the machine with it.
"""

import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

logger = logging.getLogger("weighbridge.bundles")

LONGEST_SECONDS = 1800.0
MOST_WAITING = 4
"""Bundles that are under way or wait for their turn."""

OTHER_STATEMENT = 3
"""The command's status where the entries give another statement: the file is there, and `verify` says so."""


class BundleNotMadeError(Exception):
    """Through no fault of who asked. The message says how far it came."""


class Asked(NamedTuple):
    """`by`: who takes it, as its record says."""

    contract: str
    period: str
    as_of: str | None
    by: str


class Bundles:
    """Of the collector whose configuration this is."""

    def __init__(self, config_file: Path) -> None:
        self._config_file = config_file
        self._turn = asyncio.Lock()
        self._waiting = 0

    @asynccontextmanager
    async def made(self, asked: Asked) -> AsyncIterator[Path]:
        """The file, which is gone afterwards. Raises BundleNotMadeError."""
        if self._waiting >= MOST_WAITING:
            raise BundleNotMadeError("too many bundles are asked for at once")
        self._waiting += 1
        try:
            with TemporaryDirectory(prefix="weighbridge-bundle-") as place:
                file = Path(place) / "bundle"
                async with self._turn:
                    await self._make(asked, file)
                yield file
        finally:
            self._waiting -= 1

    async def _make(self, asked: Asked, file: Path) -> None:
        as_of = () if asked.as_of is None else ("--as-of", asked.as_of)
        process = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-I",
                "-m",
                "collector",
                "bundle",
                f"--period={asked.period}",
                *as_of,
            ),
            *(f"--by={asked.by}", f"--config={self._config_file}", f"--output={file}"),
            *("--", asked.contract),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                _, said = await process.communicate()
        except TimeoutError as error:
            message = f"the bundle was not made in {LONGEST_SECONDS:.0f} s"
            raise BundleNotMadeError(message) from error
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if process.returncode not in (0, OTHER_STATEMENT):
            logger.error("no bundle of %s: %s", asked.contract, said.decode(errors="replace"))
            raise BundleNotMadeError("the bundle was not made; the collector's messages say why")
