"""A PostgreSQL server of the tests' own, from Debian's package: as a user without rights, on a socket in a folder."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.collector.building import wait_for

NOBODY = "nobody"
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    "autovacuum_naptime": "5s",
    "log_min_messages": "warning",
}


UNPACKED = Path(__file__).parents[2] / ".venv" / "postgresql"


def programs() -> Path | None:
    """Where the newest server's programs are, Debian's or those that `scripts/test` unpacked: they are on no path."""
    roots = (Path("/"), UNPACKED)
    found = [one for root in roots for one in root.glob("usr/lib/postgresql/*/bin/initdb")]
    newest = max(found, key=lambda initdb: int(initdb.parts[-3]), default=None)
    return None if newest is None else newest.parent


def reachable(bin: Path, folder: Path) -> Path:
    """The same where a user without rights reaches them: what is unpacked may lie in somebody's home."""
    if not bin.is_relative_to(UNPACKED):
        return bin
    shutil.copytree(UNPACKED, folder / "programs", symlinks=True)
    return folder / "programs" / bin.relative_to(UNPACKED)


def as_nobody() -> dict[str, str]:
    """What a child needs to run as a user without rights: the server refuses root."""
    return {"user": NOBODY, "group": pwd.getpwnam(NOBODY).pw_gid} if os.geteuid() == 0 else {}  # type: ignore[dict-item]


class Server:
    """A cluster in a folder."""

    def __init__(self, folder: Path, bin: Path) -> None:
        self.folder, self._bin = folder, bin
        self.data = folder / "data"
        self.process: subprocess.Popen[bytes] | None = None

    def make(self) -> None:
        command = [
            str(self._bin / "initdb"),
            "-D",
            str(self.data),
            "-U",
            "weighbridge",
            "-E",
            "UTF8",
        ]
        options = ["--locale=C.UTF-8", "--auth=trust", "--no-instructions", "--no-sync"]
        done = subprocess.run([*command, *options], capture_output=True, text=True, **as_nobody())  # type: ignore[call-overload]
        assert done.returncode == 0, done.stderr

    def start(self, **settings: str) -> None:
        given = [f"--{key}={value}" for key, value in (SETTINGS | settings).items()]
        command = [
            str(self._bin / "postgres"),
            "-D",
            str(self.data),
            "-k",
            str(self.folder),
            *given,
        ]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, **as_nobody())  # type: ignore[call-overload]
        ready = [str(self._bin / "pg_isready"), "-q", "-h", str(self.folder)]
        wait_for(lambda: subprocess.run(ready).returncode == 0, "server")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT ends all sessions and stops; SIGQUIT is a crash."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(timeout=30)
            self.process = None

    def follow(self, primary: "Server", name: str) -> None:
        """A standby of another: a copy, which takes from it what comes."""
        source = f"host={primary.folder} user=weighbridge application_name={name}"
        command = [str(self._bin / "pg_basebackup"), "-R", "-d", source, "-D", str(self.data)]
        done = subprocess.run(
            [*command, "-c", "fast", "--no-sync"], capture_output=True, **as_nobody()
        )  # type: ignore[call-overload]
        assert done.returncode == 0, done.stderr

    def url(self) -> str:
        return f"postgresql://weighbridge@/postgres?host={self.folder}"


@contextmanager
def made_server() -> Iterator[Server]:
    """One that is not started and holds nothing, and is gone at the end. Skips where there is no such program."""
    bin = programs()
    if bin is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="weighbridge-postgres-"))
    server = Server(folder, reachable(bin, folder))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, NOBODY)
        yield server
    finally:
        server.stop(signal.SIGQUIT)
        shutil.rmtree(folder)


@contextmanager
def running_server(**settings: str) -> Iterator[Server]:
    """A new one, started."""
    with made_server() as server:
        server.make()
        server.start(**settings)
        yield server
