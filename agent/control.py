"""The control socket in the runtime directory: one JSON line asks, one answers. Only the agent's user may connect."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from agent.running import PATIENCE_S

_LONGEST_LINE = 4096

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


async def serve(path: Path, handle: Handler) -> asyncio.Server:
    """Answer on a Unix socket until the server is closed. A socket left behind by a killed agent is replaced."""
    _make_place(path)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                reply = await _reply(await reader.readline(), handle)
                writer.write(json.dumps(reply).encode() + b"\n")
                await writer.drain()
        except (TimeoutError, OSError, ValueError):
            pass
        finally:
            writer.close()

    previous = os.umask(0o177)
    try:
        return await asyncio.start_unix_server(answer, path, limit=_LONGEST_LINE)
    finally:
        os.umask(previous)


def _make_place(path: Path) -> None:
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)


async def _reply(line: bytes, handle: Handler) -> dict[str, Any]:
    try:
        request = json.loads(line)
    except ValueError:
        return {"error": "not JSON"}
    if not isinstance(request, dict):
        return {"error": "not an object"}
    return await handle(request)
