"""Processes that write a shard, and what they were told, held against the log that is there in the end."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.collector.stores import Postgres
from weighbridge.log.entries import stored_hash
from weighbridge.log.merkle import EMPTY_ROOT, Frontier

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


def sql(shard: Postgres, statement: str) -> list[tuple[object, ...]]:
    """Said to the server by somebody else."""
    with psycopg.connect(shard.server, autocommit=True) as connection:
        connection.execute(f"SET search_path = weighbridge_{shard.shard}")
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def expire(shard: Postgres) -> None:
    """As if the holder had been silent for as long as it said."""
    sql(shard, "UPDATE lease SET held_until = clock_timestamp()")


class Writer:
    """A process of `postgres_writer`, and what it was told."""

    def __init__(self, shard: Postgres, name: str, clock: str | None = None) -> None:
        command = [sys.executable, "-m", "tests.collector.postgres_writer", shard.url, name]
        skewed = {"LD_PRELOAD": str(FAKETIME), "FAKETIME": clock} if clock and FAKETIME else {}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=os.environ | skewed
        )
        self.told: list[tuple[int, str]] = []

    def hear(self, count: int) -> None:
        """So many groups more."""
        for _ in range(count):
            self._hear(self._line())

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def _hear(self, line: str) -> None:
        assert line.endswith("\n"), "the writer ended"
        size, root = line.split()
        self.told.append((int(size), root))

    def rest(self) -> None:
        """What it had still said. A line that it did not end was never said."""
        while (line := self._line()).endswith("\n"):
            self._hear(line)
        self.process.wait(timeout=60)

    def kill(self) -> None:
        self.process.kill()
        self.rest()


@contextmanager
def writers() -> Iterator[list[Writer]]:
    started: list[Writer] = []
    try:
        yield started
    finally:
        for one in started:
            one.process.kill()
            one.process.wait()
            assert one.process.stdout is not None
            one.process.stdout.close()


def require_all_told(shard: Postgres, started: list[Writer]) -> None:
    """Every head that any of them was told of is one of the log as it is now."""
    expire(shard)
    store = shard.open()
    frontier, roots = Frontier(), {0: EMPTY_ROOT.hex()}
    for leaf in store.log.leaves(0, store.log.size):
        frontier.append(stored_hash(leaf))
        roots[frontier.size] = frontier.root().hex()
    told = [one for writer in started for one in writer.told]
    assert told == sorted(told)
    assert [(size, roots.get(size)) for size, _ in told] == told
    assert store.log.root().hex() == roots[store.log.size]
