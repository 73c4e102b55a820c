"""What it costs a collector that agents wait for commands: memory of each waiting request, CPU of each that is asked.

    python -m benchmarks.polls [--agents N] [--rounds N] [--json FILE]

A real `weighbridge serve` process; each agent holds one connection. A round is one signed request from each agent,
which ends the one before it. Memory is what the process's proportional set grew by, CPU comes from /proc. TLS is ended
elsewhere.
"""

import argparse
import json
import os
import socket
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from agent.command_poller import seal_poll
from tests.collector.building import Agent, Serving, log_signer, make_store, serving
from weighbridge.wire.polling import POLL_HEADER, POLL_PATH

FLEET, HOLD_SECONDS = 12_500, 50
TICKS = os.sysconf("SC_CLK_TCK")


def ask(connection: socket.socket, agent: Agent, log_key: bytes, number: int) -> None:
    """One request for commands; its answer is not waited for."""
    header = seal_poll(agent.signer, agent.node, log_key, number)
    head = f"GET {POLL_PATH} HTTP/1.1\r\nHost: collector\r\n{POLL_HEADER}: {header}\r\n\r\n"
    connection.sendall(head.encode())


def cpu_seconds(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def pss_bytes(pid: int) -> int:
    """Proportional set size."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))


def cpu_at_rest(pid: int) -> float:
    """The process's CPU time once it has caught up."""
    before = cpu_seconds(pid)
    while True:
        time.sleep(2.0)
        now = cpu_seconds(pid)
        if now - before < 0.1:
            return now
        before = now


def measure(
    server: Serving, agents: Sequence[Agent], log_key: bytes, rounds: int
) -> dict[str, float]:
    """Bytes of one waiting request, and CPU of one round trip, less what the collector does anyhow."""
    pid, parts = server.process.pid, urlsplit(server.url)
    connections = [socket.create_connection((parts.hostname, parts.port)) for _ in agents]
    cpu_at_rest(pid)
    memory = pss_bytes(pid)
    for connection, agent in zip(connections, agents, strict=True):
        ask(connection, agent, log_key, 1)
    began_cpu, began = cpu_at_rest(pid), time.monotonic()
    grown = pss_bytes(pid) - memory
    time.sleep(10)
    idle = (cpu_seconds(pid) - began_cpu) / (time.monotonic() - began)
    started_cpu, started = cpu_seconds(pid), time.monotonic()
    for number in range(2, 2 + rounds):
        fresh = [socket.create_connection((parts.hostname, parts.port)) for _ in agents]
        for connection, agent in zip(fresh, agents, strict=True):
            ask(connection, agent, log_key, number)
        for connection in connections:
            if not connection.recv(4096).startswith(b"HTTP/1.1 204"):
                raise RuntimeError("a request was not sent home by the next one")
            connection.close()
        connections = fresh
    ended_cpu, ended = cpu_at_rest(pid), time.monotonic()
    for connection in connections:
        connection.close()
    asked = ended_cpu - started_cpu - idle * (ended - started)
    return {
        "waiting_request_bytes": grown / len(agents),
        "request_cpu_milliseconds": 1000 * asked / (rounds * len(agents)),
        "idle_cpu_share": idle,
    }


def main() -> None:
    """Prints a table; writes JSON where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--agents", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    agents = [Agent(f"n{number}", gpus=1) for number in range(chosen.agents)]
    with tempfile.TemporaryDirectory() as scratch:
        directory = make_store(Path(scratch) / "store", agents)
        log_key = log_signer(directory).public_key
        with serving(directory) as server:
            row = measure(server, agents, log_key, chosen.rounds)
    each, cost = row["waiting_request_bytes"], row["request_cpu_milliseconds"]
    print(f"{chosen.agents} agents, {chosen.rounds} rounds")
    print(f"one waiting request   {each / 1024:8.1f} KiB")
    print(f"one request           {cost:8.3f} ms CPU, its connection opened and closed")
    print(f"{FLEET} agents waiting {FLEET * each / (1 << 20):8.0f} MiB")
    print(f"asking each {HOLD_SECONDS} s       {FLEET / HOLD_SECONDS * cost / 10:8.1f} % of a core")
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(row | {"agents": chosen.agents}, indent=1) + "\n")


if __name__ == "__main__":
    main()
