"""The agent's end of a prober: over the socket of `weighbridge-probe.socket`, or a process that it starts itself."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from agent.frames import Closed, frame, length_of
from agent.probe.grant import Grant
from agent.surroundings import TOOLKIT, for_child
from weighbridge.challenge.codec import encode

COMMAND = (sys.executable, "-I", "-m", "agent.probe")
GRACE_S = 5.0


class NoProber(Exception):
    """The prober cannot be had, or it went away. The message says which."""


@dataclass
class Prober:
    """One prober, for one attempt. `end` leaves nothing of it behind."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    process: asyncio.subprocess.Process | None

    async def ask(self, message: bytes, seconds: float) -> bytes:
        """One frame there, one back. Raises NoProber."""
        try:
            async with asyncio.timeout(seconds):
                self.writer.write(frame(message))
                await self.writer.drain()
                length = length_of(await self.reader.readexactly(4))
                return await self.reader.readexactly(length)
        except Closed as error:
            raise NoProber("the prober answers nonsense") from error
        except TimeoutError as error:
            raise NoProber(f"the prober did not answer within {seconds:.0f} s") from error
        except (OSError, asyncio.IncompleteReadError) as error:
            raise NoProber("the prober has gone") from error

    async def end(self) -> None:
        """Hang up: its workers are killed at once. A process of ours that does not end is killed."""
        self.writer.close()
        if self.process is None:
            return
        try:
            async with asyncio.timeout(GRACE_S):
                await self.process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()


Opening = Callable[[Grant], Awaitable[Prober]]


async def spawn(grant: Grant) -> Prober:
    """A process of the agent's own, in its sandbox. Raises NoProber."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        env=for_child(os.environ, TOOLKIT),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    if process.stdin is None or process.stdout is None:
        raise NoProber("the prober has no pipes")
    return await _granted(Prober(process.stdout, process.stdin, process), grant)


def over(path: Path) -> Opening:
    """Opens probers over a socket that systemd listens on."""

    async def connect(grant: Grant) -> Prober:
        try:
            reader, writer = await asyncio.open_unix_connection(path)
        except OSError as error:
            raise NoProber(f"no prober at {path}: {error.strerror}") from error
        return await _granted(Prober(reader, writer, None), grant)

    return connect


async def _granted(prober: Prober, grant: Grant) -> Prober:
    try:
        await prober.ask(encode(grant), GRACE_S * 6)
    except NoProber:
        await prober.end()
        raise
    return prober
