"""A shard under Patroni: the primary is killed, again and again, and every head that a writer was told of stays."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.collector.building import wait_for
from tests.collector.postgres_server import NOBODY, UNPACKED, as_nobody, programs, reachable
from tests.collector.postgres_writers import Writer, require_all_told, writers
from tests.collector.stores import Postgres

pytestmark = pytest.mark.slow
KILLS = int(os.environ.get("WEIGHBRIDGE_TEST_KILLS", "2"))
PATRONI = UNPACKED.with_name("patroni")
LIBRARIES = "usr/lib/python3/dist-packages"


def port() -> int:
    """A free one."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@dataclass
class Member:
    """A server and the Patroni that starts it. They die together, as a machine does."""

    name: str
    folder: Path
    postgres: int
    rest: int
    process: "subprocess.Popen[bytes] | None" = None

    def start(self, command: list[str], environment: dict[str, str]) -> None:
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, str(self.folder / f"{self.name}.json")],
                stdout=log,
                stderr=log,
                env=environment,
                cwd=self.folder,
                start_new_session=True,
                **as_nobody(),
            )  # type: ignore[call-overload]

    def is_(self, what: str) -> bool:
        """As its health endpoint says; what else it says differs from release to release."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.rest}/{what}", timeout=5
            ) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def kill(self) -> None:
        if self.process is None:
            return
        self.process.kill()
        self.process.wait()
        server = self.folder / self.name / "postmaster.pid"
        if server.exists():
            pid = int(server.read_text().split()[0])
            for one in [pid, *below(pid)]:
                with suppress(ProcessLookupError):
                    os.kill(one, signal.SIGKILL)
        self.process = None


def below(pid: int) -> list[int]:
    """The children of a server; it is none of Patroni's."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(one) for one in children.read_text().split()] if children.exists() else []


def settings(member: Member, etcd: int, bin: Path) -> dict[str, object]:
    folder = str(member.folder)
    trusted = [
        "local all all trust",
        "host all all 127.0.0.1/32 trust",
        "host replication all 127.0.0.1/32 trust",
    ]
    return {
        "scope": "weighbridge",
        "name": member.name,
        "restapi": {
            "listen": f"127.0.0.1:{member.rest}",
            "connect_address": f"127.0.0.1:{member.rest}",
        },
        "etcd3": {"host": f"127.0.0.1:{etcd}"},
        "bootstrap": {
            "dcs": {
                "ttl": 20,
                "loop_wait": 2,
                "retry_timeout": 5,
                "synchronous_mode": True,
                "synchronous_mode_strict": True,
                "postgresql": {"use_pg_rewind": False, "parameters": {"shared_buffers": "32MB"}},
            },
            "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}],
        },
        "postgresql": {
            "listen": f"127.0.0.1:{member.postgres}",
            "connect_address": f"127.0.0.1:{member.postgres}",
            "data_dir": f"{folder}/{member.name}",
            "bin_dir": str(bin),
            "pgpass": f"{folder}/{member.name}.pgpass",
            "pg_hba": trusted,
            "remove_data_directory_on_diverged_timelines": True,
            "authentication": {
                "superuser": {"username": "weighbridge"},
                "replication": {"username": "copies"},
            },
            "parameters": {"unix_socket_directories": folder},
        },
    }


class Cluster:
    """etcd and two members."""

    def __init__(self, folder: Path, bin: Path) -> None:
        self.folder = folder
        found = PATRONI if (PATRONI / "usr/bin/patroni").exists() else None
        if found is not None:
            shutil.copytree(found, folder / "patroni", symlinks=True)
        home = folder / "patroni"
        self._patroni = (
            ["/usr/bin/python3", str(home / "usr/bin/patroni")] if found else ["patroni"]
        )
        self._etcd = str(home / "usr/bin/etcd") if found else "etcd"
        path = {"PYTHONPATH": str(home / LIBRARIES)} if found else {}
        self._environment = os.environ | path | {"HOME": str(folder)}
        self._client = port()
        self.members = [Member(name, folder, port(), port()) for name in ("a", "b")]
        for member in self.members:
            told = json.dumps(settings(member, self._client, bin))
            (folder / f"{member.name}.json").write_text(told)
        self.etcd: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        client, peer = f"http://127.0.0.1:{self._client}", f"http://127.0.0.1:{port()}"
        command = [self._etcd, "--name", "one", "--data-dir", str(self.folder / "etcd")]
        command += ["--listen-client-urls", client, "--advertise-client-urls", client]
        command += [
            "--listen-peer-urls",
            peer,
            "--initial-advertise-peer-urls",
            peer,
            "--initial-cluster",
            f"one={peer}",
        ]
        with (self.folder / "etcd.log").open("ab") as log:
            self.etcd = subprocess.Popen(command, stdout=log, stderr=log, **as_nobody())  # type: ignore[call-overload]
        self.begin(self.members[0])
        wait_for(lambda: self.members[0].is_("primary"), "primary", 120)
        self.begin(self.members[1])
        self.wait_for_standby()

    def begin(self, member: Member) -> None:
        member.start(self._patroni, self._environment)

    def wait_for_standby(self) -> None:
        """Patroni promotes no other. It knows it some seconds after the primary does."""

        def known() -> bool:
            return any(one.is_("sync") and not one.is_("primary") for one in self.members)

        wait_for(known, "synchronous standby", 180)

    def primary(self) -> Member:
        def found() -> Member | None:
            return next((one for one in self.members if one.is_("primary")), None)

        member: Member = wait_for(found, "primary", 120)
        return member

    def url(self) -> str:
        ports = ",".join(str(one.postgres) for one in self.members)
        hosts = "127.0.0.1,127.0.0.1"
        return f"postgresql://weighbridge@/postgres?host={hosts}&port={ports}&target_session_attrs=read-write"

    def stop(self) -> None:
        for member in self.members:
            member.kill()
        if self.etcd is not None:
            self.etcd.kill()
            self.etcd.wait()


@contextmanager
def made() -> Iterator[Cluster]:
    bin = programs()
    unpacked = (PATRONI / "usr/bin/patroni").exists()
    if bin is None or not (unpacked or (shutil.which("patroni") and shutil.which("etcd"))):
        pytest.skip(
            "PostgreSQL, Patroni or etcd is not there (Debian: postgresql, patroni, etcd-server)"
        )
    folder = Path(tempfile.mkdtemp(prefix="weighbridge-patroni-"))
    cluster = Cluster(folder, reachable(bin, folder))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, NOBODY)
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder)


def test_the_primary_is_killed_again_and_again_and_nothing_that_was_acknowledged_is_lost() -> None:
    with made() as cluster, writers() as started:
        shard = Postgres(cluster.url(), standbys=1)
        started.append(writer := Writer(shard, "writer"))
        for _ in range(KILLS):
            writer.hear(20)
            gone = cluster.primary()
            gone.kill()
            assert cluster.primary() is not gone
            cluster.begin(gone)
            writer.hear(20)
            cluster.wait_for_standby()
        writer.kill()
        require_all_told(shard, started)
        shard.close()
