"""Witnesses as processes: heads are cosigned, and a log that was edited or shortened is caught by who kept its head."""

import contextlib
import http.client
import signal
import socket
import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.collector.building import (
    COMMAND,
    Agent,
    Answered,
    Serving,
    leaves_of,
    log_signer,
    opened,
    rewritten,
    serving,
    set_config,
    wait_for,
    weighbridge,
)
from weighbridge.log.checkpoint import Head, log_key, read_head, sign_head
from weighbridge.log.cosignature import read_secret, signatures
from weighbridge.log.entries import CosignedHead, EntryKind
from weighbridge.log.merkle import Frontier, consistency_proof, leaf_hash
from weighbridge.log.note import NoteKey, read_lines, read_note, read_vkey
from weighbridge.log.policy import read_policy
from weighbridge.log.witnessing import Submission, write_submission
from weighbridge.wire.report import read
from weighbridge.wire.signing import Signer

StoreOf = Callable[..., Path]
CAUGHT, SILENT = 1, 3


def new_key(directory: Path, name: str, *options: str) -> NoteKey:
    """Of a witness whose private key lies in a file of that name."""
    printed = weighbridge("witness", "key", f"{name}.example/w", directory / name, *options).stdout
    return read_vkey(printed.strip())


def witness_arguments(directory: Path, name: str, log: NoteKey, *more: str) -> list[str]:
    key, state = str(directory / name), str(directory / f"{name}-state")
    return ["witness", "run", "--log", str(log), "--key", key, "--state", state, *more]


def look(directory: Path, name: str, log: NoteKey, url: str) -> subprocess.CompletedProcess[str]:
    """A cron line."""
    arguments = witness_arguments(directory, name, log, "--url", url, "--once")
    return weighbridge(*arguments, check=False)


@contextlib.contextmanager
def listening(directory: Path, name: str, log: NoteKey) -> Iterator[str]:
    """A daemon to which heads are brought, by its address."""
    arguments = witness_arguments(directory, name, log, "--listen", "127.0.0.1:0")
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("listening on "), line
        yield line.removeprefix("listening on ").strip()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.wait(timeout=20)
        process.stdout.close()


def witnessed_by(*witnesses: tuple[NoteKey, str | None], seconds: int = 3600) -> dict[str, str]:
    """The configuration that names them."""
    tables = [
        f'{{vkey = "{key}"' + ("}" if url is None else f', url = "{url}"}}')
        for key, url in witnesses
    ]
    return {"witnesses": f"[{', '.join(tables)}]", "witness_seconds": str(seconds)}


def log_of(directory: Path) -> NoteKey:
    with opened(directory) as store:
        return log_key(store.info.origin, log_signer(directory).public_key)


def cosigners(server: Serving, keys: Sequence[NoteKey]) -> set[str]:
    note = server.get("/checkpoint").body.decode()
    return {one.key.name for one in signatures(note, keys)}


def wait_for_a_round(server: Serving) -> None:
    """A head is up, and the log has gone on behind it."""
    wait_for(
        lambda: (
            server.get("/v1/log/head").json["size"]
            > read_head(server.get("/v1/log/cosigning").body.decode()).size
        ),
        "a round",
    )


def test_both_parties_cosign_one_head_and_it_is_published_and_entered(
    store_of: StoreOf, tmp_path: Path
) -> None:
    directory = store_of(Agent("n1"))
    log = log_of(directory)
    lessee, provider = new_key(tmp_path, "lessee"), new_key(tmp_path, "provider", "--ed25519")
    with listening(tmp_path, "provider", log) as url:
        set_config(directory, **witnessed_by((lessee, None), (provider, url)))
        with serving(directory) as server:
            assert str(log) == server.get("/v1/log/head").json["vkey"]
            assert look(tmp_path, "lessee", log, server.url).returncode == 0
            wait_for(lambda: len(cosigners(server, [lessee, provider])) == 2, "both")
            assert look(tmp_path, "lessee", log, server.url).returncode == 0, "once more is no harm"
            note = server.get("/checkpoint").body.decode()
    policy = (
        f"log {log}\nwitness l {lessee}\nwitness p {provider}\ngroup both all l p\nquorum both\n"
    )
    assert read_policy(policy).accepts(note)
    assert (tmp_path / "lessee-state" / "newest-head").read_text().startswith(read_head(note).text)
    with opened(directory) as store:
        (index,) = store.index.of_kinds({EntryKind.COSIGNED})
        (entry,) = store.log.read(index, 1)
        assert read(CosignedHead, entry.envelope.payload).note == note
        assert read_head(note).size <= index
    with serving(directory) as server:
        assert cosigners(server, [lessee, provider]) == {lessee.name, provider.name}


def test_a_witness_that_is_away_delays_nobody(store_of: StoreOf, tmp_path: Path) -> None:
    agent = Agent("n1")
    directory = store_of(agent)
    log = log_of(directory)
    here, away = new_key(tmp_path, "here"), new_key(tmp_path, "away")
    with socket.create_server(("127.0.0.1", 0)) as deaf, listening(tmp_path, "here", log) as url:
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        set_config(directory, **witnessed_by((here, url), (away, address), seconds=1))
        with serving(directory) as server:
            assert server.report(agent.next()).status == 200
            wait_for(lambda: cosigners(server, [here, away]) == {here.name}, "the one that is here")
            first = read_head(server.get("/checkpoint").body.decode()).size
            wait_for(
                lambda: read_head(server.get("/checkpoint").body.decode()).size > first,
                "the next round",
            )
            assert cosigners(server, [here, away]) == {here.name}
            assert server.stop() == 0
    with opened(directory) as store:
        assert len(store.index.of_kinds({EntryKind.COSIGNED})) == 1, "of many rounds in an hour"


def test_only_what_a_configured_witness_signed_of_the_head_in_turn_is_taken(
    store_of: StoreOf, tmp_path: Path
) -> None:
    directory = store_of(Agent("n1"))
    log = log_of(directory)
    known, stranger = new_key(tmp_path, "known"), new_key(tmp_path, "stranger")
    set_config(directory, **witnessed_by((known, None)))
    with serving(directory) as server:
        wait_for_a_round(server)
        refused = look(tmp_path, "stranger", log, server.url)
        assert refused.returncode == SILENT
        assert "no cosignature of a witness that is configured" in refused.stderr
        head = read_head(server.get("/v1/log/cosigning").body.decode())
        signer = read_secret((tmp_path / "known").read_text())
        other = sign_head(head.origin, head.size + 1, b"r" * 32, log_signer(directory))
        early, late, good = signer.line(other, 1), signer.line(other, 2), signer.line(head, 1)
        for note, status in (
            (str(read_note(other.note).signed_by([early])).encode(), 409),
            (str(read_note(head.note).signed_by([late])).encode(), 400),
            (b"\xff", 400),
            (str(read_note(head.note).signed_by([good])).encode(), 200),
        ):
            answer = server.request("POST", "/v1/log/cosignatures", note)
            assert answer.status == status, answer.body
        assert stranger.name not in server.get("/checkpoint").body.decode()


def test_a_line_that_was_read_from_the_head_and_is_handed_in_again_is_not_taken(
    store_of: StoreOf, tmp_path: Path
) -> None:
    directory = store_of(Agent("n1"))
    keys = [new_key(tmp_path, name, "--ed25519") for name in ("lessee", "provider", "stranger")]
    lessee, provider, stranger = (
        read_secret((tmp_path / name).read_text()) for name in ("lessee", "provider", "stranger")
    )
    set_config(directory, **witnessed_by((keys[0], None), (keys[1], None)))
    with serving(directory) as server:
        wait_for_a_round(server)
        head = read_head(server.get("/v1/log/cosigning").body.decode())
        early, late = lessee.line(head, 1), lessee.line(head, 2)
        for lines, taken in (
            ([late], 1),
            ([late, stranger.line(head, 3)], 0),
            ([early], 0),
            ([late, provider.line(head, 3)], 1),
        ):
            note = str(read_note(head.note).signed_by(lines)).encode()
            answer = server.request("POST", "/v1/log/cosignatures", note)
            assert (answer.status, answer.json) == (200, {"taken": taken}), lines
        wait_for(lambda: len(cosigners(server, keys)) == 2, "both")
        published = signatures(server.get("/checkpoint").body.decode(), keys)
        assert {(one.key.name, one.time_s) for one in published} == {
            (lessee.key.name, 2),
            (provider.key.name, 3),
        }


# A log that is caught


@pytest.mark.parametrize(
    ("fault", "left"), [("log_forked", None), ("log_shrank", 3), ("log_shrank", 0)]
)
def test_an_edited_log_is_caught_at_once_and_both_heads_are_kept(
    store_of: StoreOf, tmp_path: Path, fault: str, left: int | None
) -> None:
    agent = Agent("n1")
    directory = store_of(agent)
    log = log_of(directory)
    new_key(tmp_path, "lessee")
    with serving(directory) as server:
        for _ in range(9):
            server.report(agent.next())
        look(tmp_path, "lessee", log, server.url)
        server.stop()
    leaves, state = leaves_of(directory), tmp_path / "lessee-state"
    known = read_head((state / "newest-head").read_text())
    changed = leaves[:3] + leaves[4:] if left is None else leaves[:left]
    rewritten(directory, changed)
    with serving(directory) as server:
        if fault == "log_forked":
            size = known.size
            wait_for(lambda: server.get("/v1/log/head").json["size"] > size, "as long a log")
        for _ in range(2):
            caught = look(tmp_path, "lessee", log, server.url)
            assert (caught.returncode, fault in caught.stderr) == (CAUGHT, True), caught.stderr
    assert (state / f"{fault}.kept").read_text() == known.note
    shown = read_head((state / f"{fault}.shown").read_text())
    assert signatures(shown.note, [log])
    assert (shown.size < known.size) is (fault == "log_shrank")
    assert read_head((state / "newest-head").read_text()) == known


def test_a_log_that_only_restarts_is_not_caught(store_of: StoreOf, tmp_path: Path) -> None:
    agent = Agent("n1")
    directory = store_of(agent)
    log = log_of(directory)
    key = new_key(tmp_path, "lessee")
    set_config(directory, **witnessed_by((key, None), seconds=1))
    for _ in range(2):
        with serving(directory) as server:
            server.report(agent.next())
            wait_for(lambda: look(tmp_path, "lessee", log, server.url).returncode == 0, "its turn")
            server.kill()
        (directory / "index.sqlite").unlink()


# c2sp.org/tlog-witness, to the letter

LOG = Signer(bytes(range(32)))
ORIGIN = "example.com/log"
LEAVES = [b"entry %d" % number for number in range(20)]


class Log:
    """One that only signs heads: of the leaves, or of others."""

    def __init__(self, leaves: Sequence[bytes] = LEAVES, signer: Signer = LOG) -> None:
        self._leaves, self._signer = leaves, signer
        self.nodes: dict[tuple[int, int], bytes] = {}

    def head(self, size: int, origin: str = ORIGIN) -> Head:
        frontier = Frontier()
        for leaf in self._leaves[:size]:
            for level, index, subtree in frontier.append(leaf_hash(leaf)):
                self.nodes[level, index] = subtree
        return sign_head(origin, size, frontier.root(), self._signer)

    def submission(self, old: int, size: int, origin: str = ORIGIN) -> str:
        head = self.head(size, origin)
        proof = (
            consistency_proof(old, size, lambda level, index: self.nodes[level, index])
            if 0 < old <= size
            else ()
        )
        return write_submission(Submission(old, proof, head.note))


def brought(url: str, body: str | bytes) -> Answered:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        data = body if isinstance(body, bytes) else body.encode()
        connection.request("POST", "/add-checkpoint", data)
        return Answered(connection.getresponse())
    finally:
        connection.close()


def test_a_witness_answers_submissions_as_the_specification_says(tmp_path: Path) -> None:
    log, other = Log(), Log([b"!", *LEAVES])
    key = new_key(tmp_path, "w")
    with listening(tmp_path, "w", log_key(ORIGIN, LOG.public_key)) as url:
        stranger = Log(signer=Signer(b"k" * 32))
        wrong = log.submission(7, 12).replace("\n", f"\n{b64encode(bytes(32)).decode()}\n", 1)
        empty = sign_head(ORIGIN, 0, b"r" * 32, LOG)
        for body, status, answered in (
            (log.submission(0, 7, "example.com/else"), 404, None),
            (stranger.submission(0, 7), 403, None),
            (log.submission(8, 7), 400, None),
            (b"old 0\n\n\xff", 400, None),
            (log.submission(0, 7).replace("old 0", "old 00"), 400, None),
            (log.submission(0, 7).replace("old 0\n", "old 0\nAAAA\n"), 400, None),
            (f"old 0\n\n{empty.note}", 422, None),
            (log.submission(3, 7), 409, b"0\n"),
            (log.submission(0, 7), 200, 7),
            (log.submission(7, 7), 200, 7),
            (log.submission(0, 12), 409, b"7\n"),
            (wrong, 422, None),
            (log.submission(7, 12), 200, 12),
            (other.submission(7, 16).replace("old 7", "old 12"), 422, None),
            (log.submission(3, 11), 409, b"12\n"),
            (other.submission(12, 12), 409, b"12\n"),
            (log.submission(12, 20), 403, None),
        ):
            answer = brought(url, body)
            assert answer.status == status, (body, answer.body)
            if status == 409:
                assert answer.headers.get_content_type() == "text/x.tlog.size"
                assert answer.body == answered
            if status == 200:
                head = log.head(int(answered or 0))
                note = str(read_note(head.note).signed_by(read_lines(answer.body.decode())))
                assert [one.key for one in signatures(note, [key])] == [key]
    kept = read_head((tmp_path / "w-state" / "newest-head").read_text())
    assert kept.size == 12
    assert read_head((tmp_path / "w-state" / "log_forked.shown").read_text()).root != kept.root


def test_a_witness_knows_its_size_after_a_restart(tmp_path: Path) -> None:
    log = Log()
    new_key(tmp_path, "w")
    with listening(tmp_path, "w", log_key(ORIGIN, LOG.public_key)) as url:
        assert brought(url, log.submission(0, 7)).status == 200
    with listening(tmp_path, "w", log_key(ORIGIN, LOG.public_key)) as url:
        assert brought(url, log.submission(0, 9)).body == b"7\n"
        again = witness_arguments(
            tmp_path, "w", log_key(ORIGIN, LOG.public_key), "--listen", "127.0.0.1:0"
        )
        second = weighbridge(*again, check=False)
        assert (second.returncode, "another witness uses it" in second.stderr) == (2, True)
    other = log_key("example.com/else", LOG.public_key)
    again = witness_arguments(tmp_path, "w", other, "--listen", "127.0.0.1:0")
    refused = weighbridge(*again, check=False)
    assert (refused.returncode, "keeps a head of example.com/log" in refused.stderr) == (2, True)
