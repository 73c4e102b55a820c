"""The control socket: `DIR/control.sock`, the whole HTTP interface for whoever may open the file, as admin.

Its path may be longer than a socket's address can be, so it is always named through its directory's descriptor.
"""

import os
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp

NAME = "control.sock"
SECONDS = 60.0
"""How long a command waits for its answer."""


class CollectorControlError(Exception):
    """The collector refused. The message is the problem's detail."""


@contextmanager
def _address(directory: Path) -> Iterator[str]:
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{NAME}"
    finally:
        os.close(descriptor)


def listen(directory: Path) -> socket.socket:
    """The control socket, bound. Whoever holds the store's lock may replace one that a dead process left."""
    (directory / NAME).unlink(missing_ok=True)
    control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    with _address(directory) as address:
        control.bind(address)
    (directory / NAME).chmod(0o600)
    return control


def answers(directory: Path) -> bool:
    """Whether a collector listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            with _address(directory) as address:
                probe.connect(address)
        except OSError:
            return False
    return True


@asynccontextmanager
async def session(directory: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of the control socket."""
    with _address(directory) as address:
        connector = aiohttp.UnixConnector(address)
        async with aiohttp.ClientSession("http://control", connector=connector) as client:
            yield client


async def request(
    directory: Path,
    method: str,
    path: str,
    body: Mapping[str, Any] | bytes | None = None,
    seconds: float = SECONDS,
) -> Any:
    """The JSON answer. A body that is no bytes goes as JSON. Raises CollectorControlError."""
    timeout = aiohttp.ClientTimeout(total=seconds)
    content = {"data": body} if isinstance(body, bytes) else {"json": body}
    async with (
        session(directory) as client,
        client.request(method, path, timeout=timeout, **content) as response,
    ):
        answer = await response.json(content_type=None)
        if response.status >= 400:
            raise CollectorControlError(str(answer.get("detail", answer)))
        return answer
