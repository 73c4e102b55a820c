"""The control socket: `DIR/control.sock`, the whole HTTP interface for whoever may open the file, as admin.

Its path may be longer than a socket's address can be, so it is always named through its directory's descriptor.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from collector.client import SECONDS, Body, SocketConnection, answer_of, exchanged

NAME = "control.sock"
_SERVERS = "postgresql:"


@contextmanager
def _address(directory: Path) -> Iterator[str]:
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{NAME}"
    finally:
        os.close(descriptor)


def in_server(store: str) -> bool:
    """Whether a store of this URL, or of this directory, is in a server."""
    return store.startswith(_SERVERS)


def directory_of(file: Path, store: str, directory: str) -> Path:
    """Where the keys and the control socket are, by what a configuration says: an embedded store is there too."""
    return (file.parent / (directory if in_server(store) else store)).resolve()


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


def request(
    directory: Path, method: str, path: str, body: Body = None, seconds: float = SECONDS
) -> Any:
    """The JSON answer. Raises CollectorError for a refusal, OSError where nobody answers."""
    with _address(directory) as address:
        return answer_of(*exchanged(SocketConnection(address, seconds), method, path, body))
