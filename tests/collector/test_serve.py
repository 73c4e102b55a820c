"""The collector as a process: killed, restarted, out of room, traced, told to stop."""

import contextlib
import itertools
import json
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import zstandard

from collector import control
from tests.collector.building import (
    CONTRACT,
    Agent,
    Serving,
    body,
    log_signer,
    make_store,
    opened,
    refused_serve,
    serving,
    set_config,
    wait_for,
    weighbridge,
)
from tests.collector.load import Load
from tests.weighbridge.rfc_9162 import recursive_path, recursive_root
from weighbridge.log.checkpoint import open_head
from weighbridge.log.entries import ClockChecked, Entry, EntryKind, payload_type
from weighbridge.log.merkle import leaf_hash, verify_consistency, verify_inclusion
from weighbridge.wire.enrolment import AUTHORITY_PATH
from weighbridge.wire.report import read

StoreOf = Callable[..., Path]
HOUR_US = 3_600_000_000


def test_a_restart_answers_as_before(store_of: StoreOf) -> None:
    agent = Agent("n1", gpus=1)
    envelopes = [agent.next() for _ in range(3)]
    directory = store_of(agent)
    with serving(directory) as server:
        before = server.report(*envelopes).json["receipts"]
        assert server.stop() == 0
    (directory / "index.sqlite").unlink()
    (directory / "evidence" / "tree").unlink()
    with serving(directory) as server:
        assert server.report(*envelopes).json["receipts"] == before
        assert server.report(agent.next()).status == 200


@pytest.mark.slow
def test_killed_under_load_twenty_times_it_loses_nothing_acknowledged(store_of: StoreOf) -> None:
    fleets = [[Agent(f"n{thread}-{number}", gpus=1) for number in range(3)] for thread in range(3)]
    directory = store_of(*itertools.chain(*fleets))
    acknowledged: dict[int, str] = {}
    heads: list[str] = []
    for _ in range(20):
        with serving(directory) as server:
            loads = [Load(server, fleet) for fleet in fleets]
            for load in loads:
                load.start()
            wait_for(lambda: sum(len(load.acknowledged) for load in loads) >= 30, "load")  # noqa: B023
            server.kill()
            for load in loads:
                load.join(timeout=20)
                acknowledged |= load.acknowledged
                heads.append(load.newest_head)
    assert len(acknowledged) >= 20 * 30
    key = log_signer(directory).public_key
    with opened(directory) as store:
        stored = {
            index: leaf_hash(leaf).hex() for index, leaf in enumerate(store.log.leaves(0, 10**6))
        }
        size, root = store.log.size, store.log.root()
    assert {index: stored.get(index) for index in acknowledged} == acknowledged
    with serving(directory) as server:
        for note in heads:
            head = open_head(note, key)
            path = server.get(f"/v1/log/proof?from={head.size}&to={size}").json["hashes"]
            proof = [bytes.fromhex(one) for one in path]
            assert verify_consistency(head.size, size, head.root, root, proof)


@pytest.mark.parametrize(
    ("key", "module"), [("remote_write", "cramjam"), ("otlp", "opentelemetry")]
)
def test_a_receiver_whose_library_is_not_installed_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, module: str
) -> None:
    (tmp_path / f"{module}.py").write_text(f'raise ModuleNotFoundError(name="{module}")\n')
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    directory = make_store(tmp_path / "store")
    set_config(directory, **{key: '{url = "http://127.0.0.1:9/"}'})
    done = refused_serve(directory)
    wanted = f"install the extra {key.replace('_', '-')} (requirements/telemetry.txt)"
    assert (done.returncode, done.stderr) == (2, f"weighbridge: {module} is missing: {wanted}\n")


STRACE = shutil.which("strace")


def strace_works() -> bool:
    if STRACE is None:
        return False
    probe = subprocess.run([STRACE, "-f", "true"], capture_output=True)
    return probe.returncode == 0


@pytest.mark.skipif(not strace_works(), reason="strace is missing or not permitted here")
def test_between_the_row_and_the_answer_a_sync_completes(store_of: StoreOf, tmp_path: Path) -> None:
    agent = Agent("n1", gpus=1)
    directory = store_of(agent)
    trace = tmp_path / "trace"
    calls = "trace=pwrite64,write,sendto,sendmsg,fdatasync,fsync,openat"
    before = [str(STRACE), "-f", "-y", "-s", "4096", "-e", calls, "-o", str(trace)]
    with serving(directory, before=before) as server:
        assert server.report(agent.next()).status == 200
        (worker,) = children(server.process.pid)
        os.kill(worker, 15)
        server.process.wait(timeout=20)
    lines = joined(trace.read_text(errors="replace").splitlines())
    # A tick may be written at any time: the row is the one with the report in it.
    report = re.escape(payload_type(EntryKind.REPORT))
    row = first(lines, rf"pwrite64\(.*\.seg>.*{report}", 0)
    sync = first(lines, r"fdatasync\(\d+<.*\.seg>\) += 0", row)
    answer = first(lines, r"(write|sendto|sendmsg)\(.*HTTP/1.1 200 OK", 0)
    assert row < sync < answer


@pytest.mark.skipif(not strace_works(), reason="strace is missing or not permitted here")
def test_a_new_segment_is_in_its_directory_before_the_answer(
    store_of: StoreOf, tmp_path: Path
) -> None:
    directory = store_of()
    program = (
        "import sys; from pathlib import Path;"
        "from collector.storage.embedded import open_embedded;"
        "store = open_embedded(Path(sys.argv[1]), segment_bytes=64);"
        "store.log.append([b'leaf']); print('acknowledged', flush=True)"
    )
    trace = tmp_path / "trace"
    calls = "trace=pwrite64,write,fdatasync,fsync,openat"
    command = [
        str(STRACE),
        "-f",
        "-y",
        "-e",
        calls,
        "-o",
        str(trace),
        *python("-c", program, directory),
    ]
    subprocess.run(command, check=True, timeout=60, capture_output=True)
    lines = joined(trace.read_text(errors="replace").splitlines())
    made = first(lines, r"openat\(.*\.seg\", O_\w+\|O_CREAT\|O_EXCL", 0)
    named = first(lines, r"fsync\(\d+<.*/segments>\) += 0", made)
    row = first(lines, r"pwrite64\(.*\.seg>", named)
    sync = first(lines, r"fdatasync\(\d+<.*\.seg>\) += 0", row)
    answer = first(lines, r"write\(1<.*acknowledged", sync)
    assert made < named < row < sync < answer


def python(*arguments: str | Path) -> list[str]:
    return [sys.executable, *map(str, arguments)]


def children(process: int) -> list[int]:
    listed = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(child) for child in listed]


def joined(lines: list[str]) -> list[str]:
    """Each call on the line where it returned: strace splits those that another thread interrupts."""
    begun: dict[str, str] = {}
    whole = []
    for line in lines:
        thread = line.split(" ", 1)[0]
        if line.endswith("<unfinished ...>"):
            begun[thread] = line.removesuffix("<unfinished ...>")
        elif "resumed>" in line:
            whole.append(begun.pop(thread, "") + line.split("resumed>", 1)[1])
        else:
            whole.append(line)
    return whole


def first(lines: list[str], pattern: str, start: int) -> int:
    """The first line from `start` on that matches."""
    found = re.compile(pattern)
    for number in range(start, len(lines)):
        if found.search(lines[number]):
            return number
    raise AssertionError(f"no {pattern} after line {start} in:\n" + "\n".join(lines[start:]))


def test_out_of_room_it_acknowledges_nothing_and_recovers_by_itself(store_of: StoreOf) -> None:
    agent = Agent("n1")
    directory = store_of(agent)
    with serving(directory) as server:
        assert server.report(agent.next()).status == 200
        segment = max((directory / "evidence" / "segments").iterdir())
        room = segment.stat().st_size + 3000
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
        payload = agent.payload()
        answer = server.report(agent.seal(payload))
        assert (answer.status, answer.json["code"]) == (503, "overloaded")
        assert 0 < int(answer.headers["Retry-After"]) < 60
        assert "receipts" not in answer.json
        wait_for(lambda: server.get("/readyz").status == 503, "word that it is not ready")
        assert server.get("/healthz").status == 200
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, unlimited)
        wait_for(lambda: server.get("/readyz").status == 200, "word that it is ready")
        answer = server.report(agent.seal(payload))
        assert answer.status == 200
        server.kill()
    with opened(directory) as store:
        stored = [leaf_hash(leaf).hex() for leaf in store.log.leaves(0, 1000)]
    receipt = answer.json["receipts"][0]
    assert stored[receipt["index"]] == receipt["leaf_hash"]
    assert "nothing can be stored" in (directory / "serve.stderr").read_text()


def begun(
    server: Serving, path: str, content: bytes, *, zstd: bool = False, as_admin: bool = False
) -> socket.socket:
    """A request whose body lacks its last byte; as admin over the control socket."""
    if as_admin:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(20)
        with contextlib.chdir(server.directory):  # the path of a Unix socket is short
            connection.connect(control.NAME)
    else:
        parts = urlsplit(server.url)
        connection = socket.create_connection((str(parts.hostname), parts.port or 0), timeout=20)
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(content)}\r\n"
    if not path.startswith("/v1/"):
        head += "Content-Type: application/x-www-form-urlencoded\r\n"
    encoding = "Content-Encoding: zstd\r\n" if zstd else ""
    connection.sendall(f"{head}{encoding}\r\n".encode() + content[:-1])
    return connection


@pytest.mark.parametrize("compressed", [False, True])
def test_bodies_that_do_not_end_keep_nobody_out_who_shows_a_known_key(
    store_of: StoreOf, compressed: bool
) -> None:
    """Of more strangers than there is room for, the oldest give way: here at once, and however slow they are."""
    agent = Agent("n1", gpus=1)
    envelopes = body(*[agent.next(samples=20) for _ in range(40)])
    content = zstandard.compress(envelopes) if compressed else envelopes
    limits = {"WEIGHBRIDGE_LIMITS__READING_BYTES": str(2 * len(content))}
    with serving(store_of(agent), environment=limits) as server, contextlib.ExitStack() as opened:
        known = opened.enter_context(begun(server, "/v1/reports", content, zstd=compressed))
        strangers = [
            opened.enter_context(begun(server, "/v1/reports", content[::-1])) for _ in range(17)
        ]
        assert b"503 Service Unavailable" in strangers[0].recv(100)
        known.sendall(content[-1:])
        assert known.recv(100).startswith(b"HTTP/1.1 200 ")
        assert server.report(agent.next()).status == 200


def test_a_body_that_does_not_come_in_time_is_waited_for_no_longer_whatever_the_path(
    store_of: StoreOf,
) -> None:
    limits = {"WEIGHBRIDGE_LIMITS__READING_SECONDS": "1"}
    agent = Agent("n1", gpus=1)
    named = {"contract": "lease", "key_id": agent.signer.key_id, "kind": "claim"}
    with serving(
        make_store(store_of().parent / "lease", [agent], CONTRACT), environment=limits
    ) as server:
        described = server.get("/v1/openapi.json").json["paths"]
        waiting = {
            path: begun(server, path.format(**named), bytes(1000), as_admin=True)
            for path, methods in described.items()
            if "post" in methods and not path.startswith(BODILESS)
        }
        answers = {path: connection.recv(4000) for path, connection in waiting.items()}
        for connection in waiting.values():
            connection.close()
    assert len(answers) > 8
    waited = [path for path, answer in answers.items() if not answer.startswith(b"HTTP/1.1 503 ")]
    assert waited == []
    assert all(b"Retry-After: " in answer for answer in answers.values())


BODILESS = (
    "/logout",
    "/v1/contracts/{contract}/statement",
    "/v1/keys/{key_id}/rotate",
    "/v1/challenges/{id}",
    "/v1/attestations/{id}",
)
"""Paths that are answered before a body comes: they take none, or not from just anybody."""


def test_told_to_stop_it_answers_what_it_has_taken(store_of: StoreOf) -> None:
    agents = [Agent(f"n{number}", gpus=1) for number in range(3)]
    with serving(store_of(*agents)) as server:
        loads = [Load(server, [agent]) for agent in agents]
        for load in loads:
            load.start()
        wait_for(lambda: all(len(load.acknowledged) > 3 for load in loads), "load")
        assert server.stop() == 0
        for load in loads:
            load.join(timeout=20)
        directory = server.directory
    with opened(directory) as store:
        assert store.log.size > max(max(load.acknowledged) for load in loads)


def test_told_to_stop_it_waits_for_no_reader_that_cannot_end(store_of: StoreOf) -> None:
    with serving(store_of()) as server:
        certificate = server.directory / "keys" / "ca.pem"
        certificate.unlink()
        os.mkfifo(certificate)  # a thread that reads it waits for ever
        with contextlib.closing(server.connect()) as connection:
            connection.request("GET", AUTHORITY_PATH)
            reader = wait_for(lambda: _opened_for_writing(certificate), "a reader")
            assert server.stop() == 0
            os.close(reader)


def _opened_for_writing(pipe: Path) -> int | None:
    """A descriptor, once somebody reads."""
    with contextlib.suppress(OSError):
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    return None


def test_it_tells_the_service_manager_that_it_is_ready_and_alive(store_of: StoreOf) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        address = f"\0weighbridge-test-{os.getpid()}"
        manager.bind(address)
        manager.settimeout(20)
        environment = {
            "NOTIFY_SOCKET": "@" + address[1:],
            "WATCHDOG_USEC": "60000000",
            "WEIGHBRIDGE_TICK_MS": "50",
        }
        with serving(store_of(), environment=environment) as server:
            assert b"READY=1" in manager.recv(1000)
            assert manager.recv(1000) == b"WATCHDOG=1"
            assert server.stop() == 0
            told = {manager.recv(1000)}
            while b"STOPPING=1" not in told:
                told.add(manager.recv(1000))


def test_a_clock_that_was_set_while_it_was_stopped_is_said_until_an_operator_confirms_it(
    store_of: StoreOf,
) -> None:
    directory = store_of(Agent("n1"))
    words = ("clock", "--config", directory / "config.toml")
    with serving(directory) as server:
        assert weighbridge(*words).returncode == 0
        assert server.get("/readyz").body == b"ok\n"
        assert server.stop() == 0
    kept = json.loads((directory / "clock").read_text())
    (directory / "clock").write_text(json.dumps(kept | {"wall_us": kept["wall_us"] - HOUR_US}))
    with serving(directory) as server:
        wait_for(lambda: b"was stepped" in server.get("/readyz").body, "word of the step")
        assert server.get("/readyz").status == 200
        assert server.get("/v1/clock").json["stepped"] is True
        page = server.get("/metrics").body.decode()
        (offset,) = re.findall(r"^weighbridge_clock_offset_seconds (.*)$", page, re.MULTILINE)
        assert round(float(offset)) == 3600
        told = weighbridge(*words, check=False)
        assert told.returncode == 3
        assert "it was stepped and is not followed" in told.stdout
        assert "it was +3600" in weighbridge(*words, "--confirm").stdout
        wait_for(lambda: server.get("/readyz").body == b"ok\n", "it to be followed")
        assert weighbridge(*words).returncode == 0
        assert server.stop() == 0
    said = [
        read(ClockChecked, entry.envelope.payload)
        for entry in entries(directory)
        if entry.kind is EntryKind.CLOCK
    ]
    assert [(one.action, one.reason) for one in said] == [
        ("stepped", ""),
        ("followed", "confirmed"),
    ]
    assert round(said[1].wrong_us / HOUR_US) == -1


def test_a_collector_that_is_killed_finds_a_clock_that_was_set_since_and_none_that_was_confirmed(
    store_of: StoreOf,
) -> None:
    directory = store_of(Agent("n1"))
    kept = directory / "clock"
    with serving(directory) as server:
        server.kill()
    anchor = json.loads(kept.read_text())
    set_back = json.dumps(anchor | {"wall_us": anchor["wall_us"] - HOUR_US})
    kept.write_text(set_back)
    with serving(directory) as server:
        wait_for(lambda: server.get("/v1/clock").json["stepped"], "word of the step")
        weighbridge("clock", "--config", directory / "config.toml", "--confirm")
        wait_for(lambda: kept.read_text() != set_back, "what was confirmed to be kept")
        server.kill()
    with serving(directory) as server:
        size = server.get("/v1/log/head").json["size"]
        wait_for(lambda: server.get("/v1/log/head").json["size"] > size, "a tick")
        assert server.get("/v1/clock").json["stepped"] is False
        assert server.stop() == 0
    said = [one.envelope.payload for one in entries(directory) if one.kind is EntryKind.CLOCK]
    assert [read(ClockChecked, one).action for one in said] == ["stepped", "followed"]


def entries(directory: Path) -> list[Entry]:
    with opened(directory) as store:
        return list(store.log.read(0, store.log.size))


def test_ticks_go_on_while_nobody_reports(store_of: StoreOf) -> None:
    with serving(store_of(), environment={"WEIGHBRIDGE_TICK_MS": "20"}) as server:
        size = server.get("/v1/log/head").json["size"]
        wait_for(lambda: server.get("/v1/log/head").json["size"] >= size + 5, "ticks")


def test_a_simulation_store_is_refused(tmp_path: Path) -> None:
    weighbridge(
        "init", tmp_path / "s", "--simulation", "--listen", "127.0.0.1:0", "--open-on-loopback"
    )
    served = refused_serve(tmp_path / "s")
    assert served.returncode == 2
    assert "simulation store" in served.stderr
    assert "`weighbridge serve` with --simulation" in served.stderr


def test_a_real_store_is_not_served_as_a_simulation(store_of: StoreOf) -> None:
    served = refused_serve(store_of(), "--simulation")
    assert served.returncode == 2
    assert "real store" in served.stderr
    assert "`weighbridge serve` without --simulation" in served.stderr


def test_the_clock_of_a_simulation_goes_forward_by_hand_and_of_a_real_store_never(
    store_of: StoreOf, tmp_path: Path
) -> None:
    weighbridge(
        "init", tmp_path / "s", "--simulation", "--listen", "127.0.0.1:0", "--open-on-loopback"
    )
    path, later = "/v1/simulation/clock", b'{"wall_us":5000000}'
    with serving(tmp_path / "s", arguments=["--simulation"]) as server:
        assert server.get(path).json == {"wall_us": 0}
        assert server.request("POST", path, later).json == {"wall_us": 5_000_000}
        assert server.request("POST", path, b'{"wall_us":4999999}').status == 409
        forwarded = server.request("POST", path, later, X_Forwarded_For="192.0.2.1")
        assert forwarded.status == 403
    with serving(store_of()) as server:
        assert server.request("POST", path, later).status == 404


def test_a_store_is_served_once(store_of: StoreOf) -> None:
    directory = store_of()
    with serving(directory):
        served = refused_serve(directory)
    assert served.returncode == 2
    assert "open in another process" in served.stderr


def test_a_log_is_not_gone_on_with_another_key(store_of: StoreOf) -> None:
    directory = store_of(Agent("n1"))
    (directory / "keys" / "log.key").write_text("ab" * 32)
    served = refused_serve(directory)
    assert served.returncode == 2
    assert "log.key: this log was begun with another key" in served.stderr


def test_a_corrupt_store_is_an_error_in_one_line(store_of: StoreOf) -> None:
    directory = store_of(Agent("n1"))
    segment = max((directory / "evidence" / "segments").iterdir())
    data = bytearray(segment.read_bytes())
    data[60] ^= 1
    segment.write_bytes(data)
    served = refused_serve(directory)
    assert served.returncode == 2
    assert f"{segment}: offset 16: row 0 was acknowledged" in served.stderr
    assert "Traceback" not in served.stderr


def test_killed_and_cut_back_a_log_is_not_served_as_if_nothing_had_been_answered(
    store_of: StoreOf,
) -> None:
    """What was answered is known from the head beside the segments, of a process that never closed it."""
    agent = Agent("n1", gpus=1)
    directory = store_of(agent)
    segments = directory / "evidence" / "segments"
    with serving(directory) as server:
        before = {file.name: file.read_bytes() for file in segments.iterdir()}
        wait_for(lambda: max(segments.iterdir()).stat().st_size > len(max(before.values())), "rows")
        assert server.report(agent.next()).status == 200
        server.kill()
    for name, data in before.items():
        (segments / name).write_bytes(data)
    for derived in ("index.sqlite", "index.sqlite-wal", "index.sqlite-shm", "evidence/tree"):
        (directory / derived).unlink(missing_ok=True)
    served = weighbridge("serve", "--config", directory / "config.toml", check=False)
    assert served.returncode == 2
    assert "was handed out" in served.stderr or "was acknowledged" in served.stderr
    assert "restore the segment" in served.stderr


def test_proofs_of_a_served_log_verify(store_of: StoreOf) -> None:
    agent = Agent("n1", gpus=1)
    with serving(store_of(agent)) as server:
        server.report(*[agent.next() for _ in range(20)])
        rows = server.get("/v1/log/entries?limit=1000").json
        leaves = [row["envelope"].encode() for row in rows]
        size = len(leaves)
        for index, upto in itertools.product(range(size), (size, size - 3)):
            if index < upto:
                path = server.get(f"/v1/log/proof?index={index}&size={upto}").json["hashes"]
                proof = [bytes.fromhex(one) for one in path]
                assert recursive_path(index, leaves[:upto]) == proof
                root = recursive_root(leaves[:upto])
                assert verify_inclusion(index, upto, leaf_hash(leaves[index]), proof, root)


def test_the_log_head_says_which_key_signed_it(store_of: StoreOf) -> None:
    directory = store_of()
    with serving(directory) as server:
        answer = server.get("/v1/log/head").json
    key = log_signer(directory).public_key
    assert answer["log_key"] == key.hex()
    head = open_head(answer["head"], key)
    assert (head.size, head.root.hex()) == (answer["size"], answer["root"])
    assert head.origin == json.loads((directory / "store.json").read_text())["origin"]
