"""A million hostile requests over loopback: no fault, no memory that grows, and an honest agent goes on meanwhile.

    python -m benchmarks.long.hostile [--requests 1000000] [--seed 1] [--json FILE]

Reports, notices, enrolments, cosignatures, challenges and what an administrator sends are made from valid ones by
changing bytes or values, signed anew or not, packed by zstd whole, cut and with junk behind; every path of the API is
asked for with values that nobody means; and what is no HTTP comes over connections of its own. It fails at the first
answer of 5xx but `overloaded`, at a traceback in the journal, and above 500 MiB of memory.
"""

import argparse
import itertools
import json
import re
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote, urlsplit

import zstandard

from benchmarks.ingest import machine
from tests.collector.building import CONTRACT, Agent, Serving, make_store, serving
from weighbridge.log.entries import EntryKind, payload_type
from weighbridge.wire.report import canonical, digest

ADMIN = "an administrator's token"
MEMORY_BYTES = 500 << 20
WORKERS, KEYS_EACH, BATCH = 12, 4, 8
HONEST_EVERY_S = 0.2
PATIENCE_S = 60.0
EXTREMES: tuple[Any, ...] = (
    None, True, -1, 0, 2**53 - 1, 2**53, -(2**63), 2**64, 10**400, 1.5, 1e308, "", "\u202e\x1b[31m", "\x00",
    "x" * 5000, [], {}, [[[[]]]], [None] * 300, {"": {"": {}}}, "../../etc/passwd", "nan", "9" * 30,
)  # fmt: skip
TOKENS = (
    b'"',
    b"{",
    b"}",
    b"[",
    b",",
    b"\n",
    b"\x00",
    b"\xff\xfe",
    b"\\u0000",
    b"1e999",
    b"-0",
    b"9" * 40,
    b"null",
)
LINES = ("GET / HTTP/9.9", "\x16\x03\x01", "GET", "POST /v1/reports HTTP/1.1\r\nContent-Length: -1",
    "POST /v1/reports HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz", "GET /\x00 HTTP/1.1", "GET http://[ HTTP/1.1",
    "GET /%zz HTTP/1.1\r\nHost", "BREW / HTTP/1.1", "POST /v1/reports HTTP/1.1\r\nContent-Length: 1, 2",
    "GET / HTTP/1.1\r\n" + "X: y\r\n" * 200, "GET /" + "a" * 9000 + " HTTP/1.1",
    "PRI * HTTP/2.0\r\n\r\nSM")  # fmt: skip


@dataclass
class Hostile:
    """Makes requests by chance; it holds keys of nodes that are enrolled, and a token of an administrator."""

    chance: Random
    agents: Sequence[Agent]
    paths: Sequence[tuple[str, str, Sequence[str]]]
    """Method, template and names in the query of each route that reads."""
    _packer: zstandard.ZstdCompressor = field(default_factory=zstandard.ZstdCompressor)

    def request(self) -> bytes:
        kinds = (
            self.report,
            self.enrolment,
            self.notice,
            self.lines,
            self.challenge,
            self.reading,
            self.administration,
        )
        (made,) = self.chance.choices(kinds, (50, 10, 10, 5, 5, 15, 5))
        return made()

    def no_http(self) -> bytes:
        return self.changed(self.chance.choice(LINES).encode("latin-1") + b"\r\n\r\n")

    def report(self) -> bytes:
        agent, chance = self.chance.choice(self.agents), self.chance
        payload = agent.payload()
        way = chance.random()
        if way < 0.05:
            agent.moved_past(payload)
            body = agent.seal(payload)
        elif way < 0.5:
            value = self.altered(json.loads(payload))
            body = agent.seal(canonical(value) if plain(value) else json.dumps(value).encode())
        else:
            body = self.changed(agent.seal(payload))
        return self._post("/v1/reports", *self._packed(body + b"\n"))

    def _packed(self, body: bytes) -> tuple[bytes, str]:
        chance = self.chance
        if chance.random() < 0.5:
            return body, ""
        packed = self._packer.compress(body)
        ways = (
            packed,
            packed[: chance.randrange(len(packed))],
            packed + body[:50],
            packed * 2,
            self.changed(packed),
        )
        return chance.choice(ways), "Content-Encoding: zstd\r\n"

    def enrolment(self) -> bytes:
        asked = {"secret": "x" * 43, "node": "n1", "public_key": "a" * 64, "signature": "b" * 128}
        return self._post("/v1/enroll", self._json(asked))

    def notice(self) -> bytes:
        said = {
            "kind": "event",
            "id": "E1",
            "code": "gpu_replaced",
            "at": "2026-11-09T05:00:00Z",
            "units": ["n1.0"],
        }
        value: dict[str, Any] = {"contract": "lease", "party": "P", "said": said}
        if self.chance.random() < 0.5:
            return self._post("/v1/notices", self._json(value), self._token())
        sealed = self.chance.choice(self.agents).signer.seal(
            payload_type(EntryKind.NOTICE), canonical(self.altered(value, small=True))
        )
        return self._post(
            "/v1/notices", self.changed(sealed) if self.chance.random() < 0.5 else sealed
        )

    def lines(self) -> bytes:
        note = "weighbridge/0123\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n\u2014 weighbridge/0123 AAAAAAA=\n"
        return self._post("/v1/log/cosignatures", self.changed(note.encode()))

    def challenge(self) -> bytes:
        step = self.chance.choice(("ready", "roots", "openings"))
        sealed = self.chance.choice(self.agents).seal(b"{}")
        return self._post(f"/v1/challenges/{self._word()}/{step}", self.changed(sealed))

    def reading(self) -> bytes:
        method, path, names = self.chance.choice(self.paths)
        while "{" in path:
            path = re.sub(r"\{[^}]*\}", lambda _: self._word(), path, count=1)
        chosen = self.chance.sample(names, self.chance.randint(0, len(names)))
        query = "&".join(f"{name}={self._word()}" for name in chosen)
        line = f"{method} {path}?{query} HTTP/1.1\r\nHost: x\r\n\r\n"
        return line.encode()

    def administration(self) -> bytes:
        name = self.chance.choice(self.agents).signer.key_id
        invited = {
            "contract": "lease",
            "side": "provider",
            "node": "n1",
            "devices": None,
            "resource": None,
        }
        path, body = self.chance.choice(
            (
                ("/v1/contracts", self.changed(CONTRACT.encode())),
                ("/v1/invites", self._json(invited | {"life_seconds": 60})),
                ("/v1/claims/release", self._json({"contract": "lease", "node": "nobody"})),
                (
                    f"/v1/keys/{name[: self.chance.randint(8, 70)]}/revoke",
                    self._json({"reason": "r", "from_us": 2**60}),
                ),
                (f"/v1/keys/{self._word()}/rotate", b""),
                (
                    "/v1/contracts/lease/parties",
                    self._json({"action": "enrolled", "party": "P", "public_key": "c" * 64}),
                ),
                (
                    "/v1/challenges",
                    self._json({"contract": None, "nodes": ["nobody"], "policy": None}),
                ),
                ("/v1/clock", self._json({"confirm": 2})),
            )
        )
        return self._post(path, body, self._token())

    def _token(self) -> str:
        return f"Authorization: Bearer {ADMIN}\r\n"

    def _json(self, value: dict[str, Any]) -> bytes:
        data = json.dumps(self.altered(value)).encode()
        return self.changed(data) if self.chance.random() < 0.3 else data

    def _word(self) -> str:
        common = (
            "lease",
            "n1",
            "0",
            "1",
            "7",
            "255",
            "2026-11",
            "text",
            "x001/234.p/9",
            "000",
            "000.p/3",
            "pdf",
            "zh",
        )
        if self.chance.random() < 0.6:
            return self.chance.choice(common)
        return quote(str(self.chance.choice(EXTREMES))[:300], safe=self.chance.choice(("", "/")))

    @staticmethod
    def _post(path: str, body: bytes, headers: str = "") -> bytes:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        return head.encode() + body

    def changed(self, data: bytes) -> bytes:
        """With one to four places changed, cut out, doubled, or something put in."""
        for _ in range(self.chance.randint(1, 4)):
            at = self.chance.randrange(len(data) + 1)
            to = min(len(data), at + self.chance.randint(0, 40))
            put = (
                data[at:to] * 2,
                b"",
                self.chance.choice(TOKENS),
                self.chance.randbytes(1 + to - at),
            )
            data = data[:at] + self.chance.choice(put) + data[to:]
        return data

    def altered(self, value: Any, *, small: bool = False) -> Any:
        """With a value, or several, somewhere within it that nobody means."""
        for _ in range(self.chance.randint(1, 3)):
            value = self._replaced(value, small=small)
        return value

    def _replaced(self, value: Any, *, small: bool) -> Any:
        if not value or not isinstance(value, dict | list) or self.chance.random() < 0.05:
            allowed = [one for one in EXTREMES if not small or plain(one)]
            return self.chance.choice(allowed)
        if isinstance(value, list):
            at = self.chance.randrange(len(value))
            return [*value[:at], self._replaced(value[at], small=small), *value[at + 1 :]]
        name = self.chance.choice(list(value))
        rest = {key: one for key, one in value.items() if key != name}
        if self.chance.random() < 0.1:
            return rest
        return value | {name: self._replaced(value[name], small=small)}


def plain(value: Any) -> bool:
    """Whether a payload can hold it in its one spelling."""
    if isinstance(value, dict):
        return all(map(plain, value.values()))
    if isinstance(value, list):
        return all(map(plain, value))
    return not isinstance(value, float) and (not isinstance(value, int) or abs(value) < 2**53)


class Wire:
    """A connection that is made anew when it was closed."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._socket: socket.socket | None = None

    def ask(self, requests: Sequence[bytes], *, last: bool = False) -> Iterator[int | None]:
        """The status of each answer in turn, or None once where the connection was closed instead of the next one.

        `last`: no more will come over this connection.
        """
        if self._socket is None:
            self._socket = socket.create_connection(self._address, timeout=PATIENCE_S)
            self._stream = self._socket.makefile("rb")
        try:
            self._socket.sendall(b"".join(requests))
            if last:
                self._socket.shutdown(socket.SHUT_WR)
            for _ in requests:
                status = self._answer()
                yield status
                if status is None:
                    break
        except (ConnectionError, ValueError):
            yield None
            last = True
        if last:
            self.close()

    def _answer(self) -> int | None:
        line = self._stream.readline()
        if not line:
            self.close()
            return None
        headers = {}
        while (row := self._stream.readline()) not in (b"\r\n", b""):
            name, _, value = row.partition(b":")
            headers[name.lower()] = value.strip()
        self._body(headers)
        if headers.get(b"connection", b"").lower() == b"close":
            self.close()
        return int(line.split()[1])

    def _body(self, headers: dict[bytes, bytes]) -> None:
        if headers.get(b"transfer-encoding") == b"chunked":
            while size := int(self._stream.readline(), 16):
                self._stream.read(size + 2)
            self._stream.readline()
        else:
            self._stream.read(int(headers.get(b"content-length", b"0")))

    def close(self) -> None:
        if self._socket is not None:
            self._stream.close()
            self._socket.close()
        self._socket = None


class Run:
    """So many requests by some workers, and what came back."""

    def __init__(self, server: Serving, wanted: int) -> None:
        parts = urlsplit(server.url)
        self._address = (parts.hostname or "", parts.port or 0)
        self._wanted, self._lock = wanted, threading.Lock()
        self.counted: Counter[str] = Counter()
        self.faults: list[str] = []
        self.honest, self.slowest_s = 0, 0.0

    @property
    def done(self) -> bool:
        return bool(self.faults) or self.counted.total() >= self._wanted

    def attack(self, hostile: Hostile) -> None:
        with closing(Wire(self._address)) as wire:
            while not self.done:
                alone = hostile.chance.random() < 0.2
                made = [hostile.no_http()] if alone else [hostile.request() for _ in range(BATCH)]
                for request, status in zip(made, wire.ask(made, last=alone), strict=False):
                    self._count(request, status)

    def _count(self, request: bytes, status: int | None) -> None:
        with self._lock:
            self.counted[str(status or "closed")] += 1
        if status is not None and status >= 500 and status != 503:
            self.faults.append(f"{status} for {request[:3000]!r}")

    def report_honestly(self, server: Serving, agent: Agent) -> None:
        """An agent that is on its way all the while."""
        while not self.done:
            began = time.monotonic()
            status = server.report(agent.next()).status
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)
            if status != 200:
                self.faults.append(f"the honest agent was answered {status}")
            self.honest += 1
            time.sleep(HONEST_EVERY_S)

    def tell(self, process: int) -> None:
        """How far it has come, twice a minute."""
        while not self.done:
            mebibytes = memory_bytes(process) >> 20
            print(
                f"{self.counted.total():>9} requests, {self.honest} honest reports, {mebibytes} MiB",
                flush=True,
            )
            for _ in range(30):
                if not self.done:
                    time.sleep(1)


def memory_bytes(process: int) -> int:
    """At its most."""
    (line,) = re.findall(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    return int(line) << 10


def readable(server: Serving) -> list[tuple[str, str, Sequence[str]]]:
    """Every path that answers to GET, with what its query may name; those that are costly are left to a few."""
    found: list[tuple[str, str, Sequence[str]]] = []
    for path, methods in server.get("/v1/openapi.json").json["paths"].items():
        if (operation := methods.get("get")) is not None:
            names = [row["name"] for row in operation["parameters"] if row["in"] == "query"]
            cheap = "format" not in names and not path.startswith(("/metrics", "/v1/openapi"))
            found += [("GET", path, [*names, "q"])] * (8 if cheap else 1)
    return found


def attacked(directory: Path, requests: int, seed: int) -> dict[str, Any]:
    """Raises AssertionError with what was found."""
    honest = Agent("n1", gpus=1)
    armies = [
        [Agent(f"h{worker}-{number}", gpus=1) for number in range(KEYS_EACH)]
        for worker in range(WORKERS)
    ]
    store = make_store(directory / "store", [honest, *itertools.chain(*armies)], CONTRACT)
    with (store / "config.toml").open("a") as file:
        file.write(f'\n[[tokens]]\nsha256 = "{digest(ADMIN.encode())}"\nrole = "admin"\n')
    with serving(store) as server:
        run, began = Run(server, requests), time.monotonic()
        paths = readable(server)
        work: list[tuple[Callable[..., None], tuple[Any, ...]]] = [
            (run.attack, (Hostile(Random(f"{seed}/{worker}"), army, paths),))
            for worker, army in enumerate(armies)
        ]
        work += [(run.report_honestly, (server, honest)), (run.tell, (server.process.pid,))]
        in_threads(work, run)
        at_most = memory_bytes(server.process.pid)
        took_s = time.monotonic() - began
        assert server.get("/readyz").status == 200
        size = server.get("/v1/log/head").json["size"]
        assert server.stop() == 0
    told = (store / "serve.stderr").read_text(errors="replace")
    assert not run.faults, run.faults[0]
    assert "Traceback" not in told, told[-5000:]
    assert at_most < MEMORY_BYTES, f"{at_most >> 20} MiB"
    return {
        "requests": run.counted.total(), "answers": dict(sorted(run.counted.items())), "honest_reports": run.honest,
        "slowest_honest_s": run.slowest_s, "memory_mib": at_most >> 20, "journal_lines": told.count("\n"), "log": size,
        "seconds": took_s,
    }  # fmt: skip


def in_threads(work: Sequence[tuple[Callable[..., None], tuple[Any, ...]]], run: Run) -> None:
    """All at once, until all have ended; a fault of one ends the others."""

    def do(act: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        try:
            act(*arguments)
        except Exception as error:  # noqa: BLE001
            run.faults.append(repr(error))

    threads = [threading.Thread(target=do, args=one) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        result = attacked(Path(scratch), options.requests, options.seed)
    for name, value in result.items():
        print(f"{name:>20} {value}")
    if options.json is not None:
        options.json.write_text(
            json.dumps({"machine": machine()} | result, indent=2) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
