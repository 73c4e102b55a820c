"""A store, and a backup that is older than it."""

import json
import subprocess
from pathlib import Path

from collector.storage.handed_out import newest_head
from tests.collector.building import CONTRACT, Agent, leaves_of, make_store, serving, weighbridge
from weighbridge.log.entries import EntryKind, Restored, entry
from weighbridge.wire.report import read

REPORTS = 8


def make_written(base: Path) -> tuple[Path, Path]:
    """A store, and a backup that was made of it while its collector ran, before the last reports."""
    agent = Agent("n1", gpus=1)
    store, target = make_store(base / "store", [agent], CONTRACT), base / "backup"
    with serving(store) as server:
        assert server.report(*(agent.next() for _ in range(REPORTS))).status == 200
        made = backed_up(store, target)
        assert made.stdout.splitlines()[0].endswith(" of them new")
        assert server.report(*(agent.next() for _ in range(REPORTS))).status == 200
        assert server.stop() == 0
    return store, target


def backed_up(store: Path, target: Path | str, *more: str) -> subprocess.CompletedProcess[str]:
    return weighbridge("backup", target, "--config", store / "config.toml", *more, check=False)


def restored(
    target: Path | str, directory: Path, *heads: Path, check: bool = True
) -> subprocess.CompletedProcess[str]:
    words = [word for head in heads for word in ("--head", head)]
    return weighbridge("restore", target, directory, *words, check=check)


def manifest(target: Path) -> dict[str, object]:
    said: dict[str, object] = json.loads((target / "manifest.json").read_bytes())
    return said


def head_of(store: Path, tmp_path: Path) -> Path:
    """The newest head of a store, as agents and witnesses keep it."""
    head = newest_head(store / "evidence" / "head")
    assert head is not None
    (tmp_path / "seen").write_text(head.note)
    return tmp_path / "seen"


def last_of(store: Path) -> Restored:
    leaves = leaves_of(store)
    last = entry(len(leaves) - 1, leaves[-1])
    assert last.kind is EntryKind.RESTORED
    return read(Restored, last.envelope.payload)
