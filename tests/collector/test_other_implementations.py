"""Others' programs, unchanged, against ours: aics-tlog reads and audits our tiles, aics-witness cosigns our heads.

Neither knows ML-DSA-44; both need Python 3.12. Where they are not installed nothing here runs.
"""

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.collector.building import (
    Agent,
    leaves_of,
    rewritten,
    serving,
    set_config,
    wait_for,
)
from tests.collector.test_witnesses import (
    LEAVES,
    LOG,
    ORIGIN,
    Log,
    cosigners,
    listening,
    log_of,
    new_key,
    witnessed_by,
)
from weighbridge.log.checkpoint import log_key, read_head
from weighbridge.log.cosignature import signatures
from weighbridge.log.merkle import consistency_proof
from weighbridge.log.note import NoteKey, read_lines, read_note, read_vkey

StoreOf = Callable[..., Path]

aics_tlog = pytest.importorskip("aics_tlog")
aics_witness = pytest.importorskip("aics_witness")


def test_a_monitor_audits_every_tile_and_bundle_against_the_checkpoint(store_of: StoreOf) -> None:
    directory = store_of(Agent("n1"))
    leaves = leaves_of(directory)
    rewritten(directory, leaves + [leaves[0]] * 700)
    log = log_of(directory)
    with serving(directory) as server:
        reader = aics_tlog.HttpTileReader([server.url], proxies={})
        note = aics_tlog.parse_note(reader.read_checkpoint())
        checkpoint, _ = aics_tlog.checkpoint.checkpoint_from_note(note)
        assert aics_tlog.verify_note(note, [aics_tlog.parse_vkey(str(log))])
        assert checkpoint.size > 700
        report = aics_tlog.audit_tiles(reader, checkpoint.size, checkpoint.root)
        assert (report.size, report.bundles) == (checkpoint.size, checkpoint.size // 256 + 1)


@contextlib.contextmanager
def their_witness(directory: Path, log: NoteKey) -> Iterator[tuple[NoteKey, str]]:
    """Its process, by its key and its address."""
    config = str(directory / "witness.json")

    def told(*arguments: str) -> str:
        command = [sys.executable, "-m", "aics_witness", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    key = read_vkey(told("init", "--config", config, "--name", "their.example/w").strip())
    told("add-log", "--config", config, "--origin", log.name, "--vkey", str(log))
    serve = [sys.executable, "-m", "aics_witness", "serve", "--config", config]
    process = subprocess.Popen(
        [*serve, "--listen", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        lines = iter(process.stderr.readline, "")
        said = next(line for line in lines if "listening on " in line)
        yield key, said.split("listening on ")[1].split()[0]
    finally:
        process.kill()
        process.wait(timeout=20)
        process.stderr.close()


def test_anybodys_witness_cosigns_the_heads_of_our_collector(
    store_of: StoreOf, tmp_path: Path
) -> None:
    agent = Agent("n1")
    directory = store_of(agent)
    with their_witness(tmp_path, log_of(directory)) as (key, url):
        set_config(directory, **witnessed_by((key, url), seconds=1))
        with serving(directory) as server:
            server.report(agent.next())
            wait_for(lambda: cosigners(server, [key]) == {"their.example/w"}, "its cosignature")
            first = read_head(server.get("/checkpoint").body.decode()).size
            wait_for(
                lambda: read_head(server.get("/checkpoint").body.decode()).size > first,
                "the next one, which follows from the first",
            )
            assert cosigners(server, [key]) == {"their.example/w"}


def test_anybodys_log_is_cosigned_by_our_witness(tmp_path: Path) -> None:
    log = Log(LEAVES)
    ours = new_key(tmp_path, "ours", "--ed25519")

    def proof(old: int, new: int) -> Sequence[bytes]:
        if not old:
            return []
        return consistency_proof(old, new, lambda level, index: log.nodes[level, index])

    with listening(tmp_path, "ours", log_key(ORIGIN, LOG.public_key)) as url:
        for size in (7, 12, 20):
            note = log.head(size).note
            lines = aics_witness.submit_checkpoint(url, note, proof, witness_vkey=str(ours))
            cosigned = str(read_note(note).signed_by(read_lines(lines)))
            assert [one.key for one in signatures(cosigned, [ours])] == [ours]
