"""A collector over a store in PostgreSQL, as processes: it answers as over an embedded one, and a spare takes over."""

import errno
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from collector.storage.store import StorageError
from collector.storage.stores import move, read_log, store_info
from tests.collector.building import (
    COMMAND,
    CONTRACT,
    Agent,
    Serving,
    make_store,
    refused_serve,
    serving,
    set_config,
    wait_for,
    weighbridge,
)
from tests.collector.postgres_server import Server
from tests.collector.stores import SHARDS
from weighbridge.log.merkle import verify_consistency


@pytest.fixture
def url(postgres: Server) -> str:
    return f"{postgres.url()}&shard=s{next(SHARDS)}"


def statement(server: Serving, as_of: str = "") -> dict[str, object]:
    """Of the month under way."""
    instant = f"&as_of={quote(as_of)}" if as_of else ""
    answer = server.get(f"/v1/contracts/lease/statement?period=2026-11{instant}")
    assert answer.status == 200, answer.body
    return dict(answer.json)


@dataclass
class Shown:
    """A head, as a collector shows it."""

    size: int
    root: bytes
    origin: str

    @classmethod
    def by(cls, server: Serving, over: int = 0) -> "Shown":
        """Over more entries than that: a tick comes each second."""

        def longer() -> dict[str, str] | None:
            shown: dict[str, Any] = server.get("/v1/log/head").json
            return shown if shown["size"] > over else None

        shown = wait_for(longer, "longer log")
        return cls(shown["size"], bytes.fromhex(shown["root"]), shown["vkey"].partition("+")[0])


def goes_on(server: Serving, old: Shown) -> bool:
    """Whether its log is the one of which a head was shown before, and grows."""
    new = Shown.by(server, over=old.size)
    path = server.get(f"/v1/log/proof?from={old.size}&to={new.size}").json["hashes"]
    proof = [bytes.fromhex(one) for one in path]
    proven = verify_consistency(old.size, new.size, old.root, new.root, proof)
    return new.origin == old.origin and proven


def test_a_store_that_was_moved_into_postgresql_says_what_it_said(url: str, tmp_path: Path) -> None:
    """The log under the same head, the statement as of the same instant, and a replay of it; and it goes on."""
    agents = [Agent(f"n{number}") for number in range(2)]
    directory = make_store(tmp_path / "store", agents, CONTRACT, heard=True)
    with serving(directory) as server:
        for agent in agents:
            for _ in range(3):
                server.report(agent.next(samples=100))
        before, head = statement(server), Shown.by(server)
        assert server.stop() == 0
    weighbridge("store", "migrate", url, "--config", directory / "config.toml")
    assert "holds no store" in refused_serve(directory).stderr
    set_config(directory, store=f'"{url}"')
    for name in ("evidence", "index.sqlite"):
        (directory / name).rename(tmp_path / name)
    retained = weighbridge("retain", "--config", directory / "config.toml").stdout
    assert retained == "kept by no contract any longer: no node\n"
    with serving(directory) as server:
        assert goes_on(server, head)
        assert statement(server, str(before["as_of"])) == before
        assert server.report(agents[0].next()).status == 200
        assert server.stop() == 0
    replayed = weighbridge(
        "replay",
        "lease",
        "--period",
        "2026-11",
        "--as-of",
        str(before["as_of"]),
        "--config",
        directory / "config.toml",
    )
    assert "equal to the byte" in replayed.stdout


def test_a_directory_that_cannot_be_given_up_is_not_moved(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One log in two places would go on as two."""
    directory = make_store(tmp_path / "store")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", refuse)
        with pytest.raises(StorageError, match=r"rename .*/store\.json: Read-only file system"):
            move(directory, url, lambda _: None)
    with pytest.raises(StorageError, match="holds no store"):
        store_info(url)
    count = move(directory, url, lambda _: None)
    with closing(read_log(url)) as log:
        assert log.size == count > 0
    with pytest.raises(StorageError, match="holds no store"):
        store_info(f"embedded:{directory}")


def test_what_is_no_shard_is_not_read(url: str) -> None:
    """And no connection is left behind."""
    for opened in (read_log, store_info):
        with pytest.raises(StorageError, match="holds no store"):
            opened(url)


def refuse(*_: object) -> None:
    raise OSError(errno.EROFS, "Read-only file system")


def test_a_new_store_takes_reports_and_a_restart_answers_as_before(
    url: str, tmp_path: Path
) -> None:
    directory = tmp_path / "store"
    weighbridge("init", directory, "--store", url, "--listen", "127.0.0.1:0", "--open-on-loopback")
    assert not (directory / "evidence").exists()
    with serving(directory) as server:
        head = Shown.by(server)
        assert server.stop() == 0
    with serving(directory) as server:
        assert goes_on(server, head)
        assert retained(directory) == "kept by no contract any longer: no node\n"
        assert server.stop() == 0
    assert retained(directory) == "kept by no contract any longer: no node\n"
    again = weighbridge("init", tmp_path / "other", "--store", url, check=False)
    assert "holds a store already" in again.stderr


def retained(directory: Path) -> str:
    """Beside the collector that serves, or without one."""
    return weighbridge("retain", "--config", directory / "config.toml").stdout


@contextmanager
def spare(directory: Path) -> Iterator["subprocess.Popen[str]"]:
    command = [*COMMAND, "serve", "--config", str(directory / "config.toml")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.slow
@pytest.mark.parametrize("killed", [False, True])
def test_a_spare_waits_and_takes_over(url: str, tmp_path: Path, killed: bool) -> None:
    """At once where the other one ends, and when its lease ends where it was killed. What it acknowledged is there."""
    directory = tmp_path / "store"
    weighbridge("init", directory, "--store", url, "--listen", "127.0.0.1:0", "--open-on-loopback")
    shutil.copytree(directory, tmp_path / "spare")
    with serving(directory) as first, spare(tmp_path / "spare") as second:
        assert second.stdout is not None
        assert second.stdout.readline().startswith("waiting: ")
        head = Shown.by(first)
        (first.kill if killed else first.stop)()
        line = next(line for line in second.stdout if not line.startswith("waiting: "))
        taken = Serving(tmp_path / "spare", second, line.removeprefix("listening on ").strip())
        assert goes_on(taken, head)
        assert taken.stop() == 0
