"""What a report costs in a store in PostgreSQL beside the embedded one: CPU of both sides, bytes, rows a second.

    python -m benchmarks.postgres [--reports N] [--json FILE]

Real reports of 8 GPUs with 25 fast readings are appended in groups, each durable with its head before the next. The
server is Debian's, of its own, on this machine; its CPU time comes from /proc, and covers whatever its processes do.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from collector.storage.store import Accepted, ChainKey, Indexed
from tests.collector.building import Agent
from tests.collector.postgres_server import Server, running_server
from tests.collector.stores import Embedded, Kind, Postgres, hand_out
from weighbridge.judge.ledger import Row, State
from weighbridge.log.entries import EntryKind

GROUPS = (1, 32, 512)
TICKS = os.sysconf("SC_CLK_TCK")
LEDGER_ROWS = 20_000
NODES = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reports", type=int, default=4096)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    leaves = reports(given.reports)
    with running_server() as server, tempfile.TemporaryDirectory() as folder:
        found = {
            "report_bytes": sum(map(len, leaves)) // len(leaves),
            "embedded": measured(lambda name: Embedded(Path(folder) / name), leaves, None),
            "postgresql": measured(lambda _: Postgres(server.url()), leaves, server),
        }
    print(json.dumps(found, indent=1))
    if given.json:
        given.json.write_text(json.dumps(found))


def reports(count: int) -> list[bytes]:
    agents = [Agent(f"node-{number}") for number in range(NODES)]
    return [agents[number % NODES].next() for number in range(count)]


def measured(make: Any, leaves: list[bytes], server: Server | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for group in GROUPS:
        kind = make(f"by-{group}")
        some = leaves[: max(group * 8, min(len(leaves), group * 200))]
        found[f"groups_of_{group}"] = appended(kind, some, group, server)
        kind.close()
    kind = make("whole")
    found |= whole(kind, leaves, server)
    kind.close()
    return found


def appended(kind: Kind, leaves: list[bytes], group: int, server: Server | None) -> dict[str, Any]:
    store = kind.open()
    hand_out(store)
    with Counted(server, len(leaves)) as counted:
        for start in range(0, len(leaves), group):
            store.log.append(leaves[start : start + group])
            hand_out(store)
    return counted.found


def whole(kind: Kind, leaves: list[bytes], server: Server | None) -> dict[str, Any]:
    """Index, ledger and reading, and what lies on the disk then."""
    store = kind.open()
    for start in range(0, len(leaves), 512):
        store.log.append(leaves[start : start + 512])
    hand_out(store)
    found: dict[str, Any] = {}
    with Counted(server, len(leaves)) as counted:
        store.index.record(list(indexed(len(leaves))))
        store.index.flush()
    found["index"] = counted.found
    with Counted(server, LEDGER_ROWS) as counted:
        store.ledger.write(list(rows()), [], len(leaves), {})
    found["ledger_rows"] = counted.found
    with Counted(server, len(leaves)) as counted:
        assert sum(1 for _ in store.log.leaves(0, len(leaves))) == len(leaves)
    found["read"] = counted.found
    if server is not None and isinstance(kind, Postgres):
        found["disk_bytes"] = sizes(kind, len(leaves))
    return found


def indexed(count: int) -> Iterator[Indexed]:
    for number in range(count):
        chain = ChainKey(f"{number % NODES:064x}", "chain", "node")
        accepted = Accepted(number // NODES, f"{number:064x}", number, number)
        yield Indexed(number, EntryKind.REPORT, chain, accepted)


def rows() -> Iterator[Row]:
    for number in range(LEDGER_ROWS):
        place = (
            f"node-{number % 1000}",
            number % 8,
            f"GPU-{number % 8000:036d}",
            "0123456789abcdef",
        )
        start_us = number * 1_000_000
        yield Row("lease", *place, start_us, start_us + 10, State.UP, "", 7, number, number)


def sizes(kind: Postgres, reports: int) -> dict[str, float]:
    tables = {"entries": "entries_000000", "reports": "reports", "rows": "rows"}
    counts = {"entries": reports, "reports": reports, "rows": LEDGER_ROWS}
    with psycopg.connect(kind.server, autocommit=True) as connection:
        connection.execute(f"SET search_path = weighbridge_{kind.shard}".encode())
        found = {}
        for name, table in tables.items():
            size = connection.execute(f"SELECT pg_total_relation_size('{table}')".encode())
            found[f"a_row_of_{name}"] = round(size.fetchall()[0][0] / counts[name], 1)
    return found


class Counted:
    """CPU of this process and of the server's, WAL and wall time, for each of `count` things."""

    def __init__(self, server: Server | None, count: int) -> None:
        self._server, self._count = server, count
        self.found: dict[str, Any] = {}

    def _now(self) -> tuple[float, float, float, float]:
        served, wal = (
            (0.0, 0.0) if self._server is None else (busy(self._server), wal_of(self._server))
        )
        return time.process_time(), served, wal, time.perf_counter()

    def __enter__(self) -> "Counted":
        self._before = self._now()
        return self

    def __exit__(self, *_: object) -> None:
        client, served, wal, wall = (b - a for a, b in zip(self._before, self._now(), strict=True))
        self.found = {
            "client_us": round(client / self._count * 1e6, 1),
            "server_us": round(served / self._count * 1e6, 1),
            "wal_bytes": round(wal / self._count),
            "a_second": round(self._count / wall),
        }


def busy(server: Server) -> float:
    """CPU seconds of the server's processes; of those that ended its first one tells."""
    assert server.process is not None
    pid = server.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(cpu_s(one) for one in [str(pid), *children])


def cpu_s(pid: str) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS


def wal_of(server: Server) -> float:
    with psycopg.connect(server.url()) as connection:
        found = connection.execute("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')")
        return float(found.fetchall()[0][0])


if __name__ == "__main__":
    main()
