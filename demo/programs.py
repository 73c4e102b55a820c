"""The processes of the demonstration: started by name, watched, and ended by their id."""

import asyncio
import json
import shutil
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

END_SECONDS = 15.0


class DemoError(Exception):
    """The demonstration cannot go on. The message says why."""


def program(name: str) -> str:
    """The installed command beside this Python, or else on the path."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise DemoError(f"{name} is not installed: the demonstration needs agent and collector")
    return found


async def run(command: Sequence[str], environment: dict[str, str]) -> str:
    """Run to the end; what it printed. Raises DemoError if it failed."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=environment
    )
    out, error = await process.communicate()
    if process.returncode != 0:
        raise DemoError(f"{' '.join(command)}: {error.decode(errors='replace').strip()}")
    return out.decode()


@asynccontextmanager
async def running(
    command: Sequence[str], log: Path, environment: dict[str, str]
) -> AsyncIterator[Process]:
    """A process whose standard output can be read and whose messages go to `log`; ended with SIGTERM."""
    with open(log, "ab") as messages:  # noqa: ASYNC230, PTH123  # it is opened once, before anything runs
        process = await asyncio.create_subprocess_exec(
            *command, stdin=DEVNULL, stdout=PIPE, stderr=messages, env=environment
        )
    try:
        yield process
    finally:
        await _end(process)


async def _end(process: Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), END_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()


async def lines(process: Process) -> AsyncIterator[str]:
    """What the process prints, line by line."""
    if process.stdout is None:
        raise DemoError("the process has no output to read")
    async for line in process.stdout:
        yield line.decode().rstrip("\n")


async def first_line(process: Process, log: Path, seconds: float = 30.0) -> str:
    """The first line that it prints. Raises DemoError with its messages if it ends or the time is up before."""
    try:
        async with asyncio.timeout(seconds):
            async for line in lines(process):
                return line
    except TimeoutError as error:
        raise DemoError(f"nothing came within {seconds:.0f} s; see {log}") from error
    raise DemoError(messages(log) or f"ended at once; see {log}")


def messages(log: Path) -> str:
    """What a process said on standard error."""
    return log.read_text(encoding="utf-8", errors="replace").strip()


async def events(process: Process) -> AsyncIterator[dict[str, Any]]:
    """The JSON objects that it prints, one a line; other lines are passed over."""
    async for line in lines(process):
        if line.startswith("{"):
            yield json.loads(line)
