"""The control socket in the runtime directory: one JSON line asks, one answers. Only the agent's user may connect."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

_LONGEST_LINE = 4096
_PATIENCE_S = 60.0

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class AgentControlError(Exception):
    """The agent cannot be reached, or it refused. The message says which."""


async def serve(path: Path, handle: Handler) -> asyncio.Server:
    """Answer on a Unix socket until the server is closed. A socket left behind by a killed agent is replaced."""
    _make_place(path)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
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


async def ask(path: Path, request: dict[str, Any]) -> dict[str, Any]:
    """The running agent's answer. Raises AgentControlError."""
    try:
        reader, writer = await asyncio.open_unix_connection(path)
    except OSError as error:
        raise AgentControlError(f"no agent answers at {path}: {error.strerror}") from error
    try:
        writer.write(json.dumps(request).encode() + b"\n")
        async with asyncio.timeout(_PATIENCE_S):
            answer = json.loads(await reader.readline() or b"{}")
    except (TimeoutError, OSError, ValueError) as error:
        raise AgentControlError(f"the agent at {path} did not answer") from error
    finally:
        writer.close()
    if not isinstance(answer, dict) or "error" in answer or not answer:
        raise AgentControlError(str(answer.get("error", "the agent did not answer")))
    return answer
