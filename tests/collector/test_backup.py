"""`weighbridge backup` and `restore`: what is proven is copied, and a process that is killed costs nothing but time."""

import shutil
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from collector.storage import backup as backups
from collector.storage.backup import backed_up_s
from collector.storage.disk import disk_samples
from collector.storage.handed_out import newest_head
from collector.storage.locations import opened_log
from tests.collector.backing_up import (
    backed_up,
    head_of,
    last_of,
    make_written,
    manifest,
    restored,
)
from tests.collector.building import (
    leaves_of,
    log_signer,
    make_store,
    rewritten,
    serving,
    weighbridge,
)
from tests.collector.killing import killed_at, killed_everywhere
from weighbridge.log.checkpoint import open_head, sign_head


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_written(tmp_path_factory.mktemp("written"))


@pytest.fixture
def store(written: tuple[Path, Path], tmp_path: Path) -> Path:
    return shutil.copytree(written[0], tmp_path / "store")


@pytest.fixture
def target(written: tuple[Path, Path], tmp_path: Path) -> Path:
    return shutil.copytree(written[1], tmp_path / "backup")


def spoil(directory: Path) -> None:
    """One bit of the third row's leaf."""
    (file,) = (directory / "evidence" / "segments").iterdir()
    data = bytearray(file.read_bytes())
    data[data.index(b'{"payload":"', 2000) + 40] ^= 1
    file.write_bytes(data)


def test_a_backup_beside_a_collector_holds_what_its_signed_head_covers(
    written: tuple[Path, Path],
) -> None:
    store, target = written
    said = manifest(target)
    head = open_head(str(said["head"]), log_signer(store).public_key)
    assert (head.size, head.root.hex()) == (said["size"], said["root"])
    private = [target / "keys", *(target / "keys").iterdir(), target / "manifest.json"]
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in private} == {0}
    assert {path.name for path in (target / "keys").iterdir()} == {"log.key", "ca.key", "ca.pem"}


def test_the_next_backup_reads_and_writes_what_is_new(store: Path, target: Path) -> None:
    before = manifest(target)["size"]
    size = len(leaves_of(store))
    assert isinstance(before, int)
    done = backed_up(store, target)
    assert done.stdout.startswith(f"{target}: {size} entries, {size - before} of them new\n")
    assert backed_up(store, target).stdout.startswith(f"{target}: {size} entries, 0 of them new\n")
    assert manifest(target)["size"] == size


def test_a_collector_tells_when_it_was_last_backed_up_and_how_much_room_it_has(
    store: Path, target: Path
) -> None:
    (store / "backed-up").unlink()
    shown = {name: told(store, name) for name in ("backup_timestamp_seconds", "store_free_bytes")}
    assert shown["backup_timestamp_seconds"] == 0
    assert 0 < shown["store_free_bytes"] <= told(store, "store_size_bytes")
    before = store.stat().st_mtime
    assert backed_up(store, target).returncode == 0
    assert told(store, "backup_timestamp_seconds") >= before
    assert backed_up_s(store) == told(store, "backup_timestamp_seconds")


def told(store: Path, name: str) -> float:
    """What the collector of a store would say on `/metrics`."""
    found = {metric.name: value for metric, _, value in disk_samples(store)}
    return found[f"weighbridge_{name}"]


def test_a_restored_store_goes_on_and_says_that_it_was_restored(
    store: Path, target: Path, tmp_path: Path
) -> None:
    backed_up(store, target)
    leaves = leaves_of(store)
    done = restored(target, tmp_path / "new", head_of(store, tmp_path))
    assert "nothing is lost of what the heads that were shown cover" in done.stdout
    again = leaves_of(tmp_path / "new")
    assert again[:-2] == leaves
    assert last_of(tmp_path / "new").lost is None
    weighbridge("scrub", "--config", tmp_path / "new" / "config.toml")
    with serving(tmp_path / "new") as server:
        (found,) = findings(server.get("/v1/contracts/lease/findings").json["items"])
    assert found["severity"] == "warning"
    said = f"restored from a backup of {len(leaves)} entries"
    assert found["observed"] == f"{said}; what may have come behind them nobody said"


def findings(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [row for row in rows if row["code"] == "log_restored"]


@pytest.mark.parametrize("kept", ["note", "file"])
def test_what_a_newer_head_covers_is_lost_and_everybody_is_told(
    store: Path, target: Path, tmp_path: Path, kept: str
) -> None:
    """The head of an agent or a witness, or the file of the store that was lost."""
    size, held = len(leaves_of(store)), manifest(target)["size"]
    head = head_of(store, tmp_path) if kept == "note" else store / "evidence" / "head"
    done = restored(target, tmp_path / "new", head)
    assert f"lost: entries {held} to {size - 1}, which were handed out" in done.stdout
    assert last_of(tmp_path / "new").lost == head_of(store, tmp_path).read_text()
    with serving(tmp_path / "new") as server:
        (found,) = findings(server.get("/v1/contracts/lease/findings").json["items"])
    assert (found["severity"], found["level"]) == ("error", "E1")
    said = f"restored from a backup of {held} entries; {size} were handed out"
    assert found["observed"] == said, "short enough for a table"


def test_a_backup_that_is_of_another_log_than_a_head_that_was_seen_is_not_restored(
    target: Path, tmp_path: Path
) -> None:
    other = sign_head("weighbridge/other", 3, bytes(32), log_signer(target))
    (tmp_path / "seen").write_text(other.note)
    done = restored(target, tmp_path / "new", tmp_path / "seen", check=False)
    assert done.returncode == 2
    assert "a head over 3 entries is of another log than the backup" in done.stderr
    assert not (tmp_path / "new" / "store.json").exists()


def test_of_a_damaged_store_nothing_is_copied(store: Path, target: Path) -> None:
    before = {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}
    (segment,) = (store / "evidence" / "segments").iterdir()
    data = bytearray(segment.read_bytes())
    data[-200] ^= 1
    segment.write_bytes(data)
    done = backed_up(store, target)
    assert done.returncode == 2
    assert "row does not match its CRC" in done.stderr
    assert {path: path.read_bytes() for path in before} == before


def test_of_a_damaged_backup_no_store_is_made(target: Path, tmp_path: Path) -> None:
    spoil(target)
    done = restored(target, tmp_path / "new", check=False)
    assert done.returncode == 2
    assert "row does not match its CRC" in done.stderr
    assert not (tmp_path / "new" / "store.json").exists()


def older(store: Path, target: Path) -> str:
    """As after a restore from a copy that is older still."""
    backed_up(store, target)
    leaves = leaves_of(store)[:-3]
    rewritten(store, leaves)
    return "is older"


def forked(store: Path, target: Path) -> str:
    """As after a restore that lost entries: what came since is not what the backup holds."""
    backed_up(store, target)
    leaves = leaves_of(store)
    rewritten(store, [*leaves[:-4], *leaves[:8]])
    return "or go on another log than the one that is there"


def of_another(store: Path, target: Path) -> str:
    shutil.rmtree(target)
    other = make_store(store.with_name("other"))
    backed_up(other, target)
    return "is a backup of another log"


def into_a_store(_: Path, target: Path) -> str:
    shutil.rmtree(target)
    make_store(target)
    return "holds a store; a backup has a directory of its own"


@pytest.mark.parametrize("wrong", [older, forked, of_another, into_a_store])
def test_a_backup_is_written_over_by_no_other_log(
    store: Path, target: Path, wrong: Callable[[Path, Path], str]
) -> None:
    said = wrong(store, target)
    before = {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}
    done = backed_up(store, target)
    assert done.returncode == 2
    assert said in done.stderr
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize(
    ("name", "said"),
    [("store.json", "holds a store already"), ("letters", "is not empty")],
)
def test_nothing_is_restored_over_what_is_there(
    target: Path, tmp_path: Path, name: str, said: str
) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / name).write_text("{}")
    done = restored(target, tmp_path / "new", check=False)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_backup_that_was_killed_anywhere_is_gone_on_with(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backups, "BATCH_BYTES", 4_000)
    size = len(leaves_of(store))
    for target in killed_everywhere(partial(backed_up, store), tmp_path / "fresh"):
        done = backed_up(store, target)
        assert done.returncode == 0, done.stderr
        assert manifest(target)["size"] == size
        with opened_log(target) as log:
            assert log.handed_out == newest_head(store / "evidence" / "head")


def test_a_restore_that_was_killed_anywhere_is_gone_on_with(
    store: Path, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backups, "BATCH_BYTES", 4_000)
    backed_up(store, target)
    leaves, seen = leaves_of(store), head_of(store, tmp_path)
    for new in killed_everywhere(lambda new: restored(target, new, seen), tmp_path / "new"):
        if not (new / "store.json").exists():
            restored(target, new, seen)
        assert leaves_of(new)[:-2] == leaves
        assert last_of(new).size == len(leaves)
        assert {path.name for path in (new / "keys").iterdir()} >= {"log.key", "ca.key", "ca.pem"}


def test_a_backup_that_was_never_finished_is_not_restored(store: Path, tmp_path: Path) -> None:
    assert killed_at(12, partial(backed_up, store, tmp_path / "fresh"))
    done = restored(tmp_path / "fresh", tmp_path / "new", check=False)
    assert done.returncode == 2
    assert "holds no whole backup" in done.stderr


def test_where_no_backup_is_a_restore_says_that(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    done = restored(tmp_path / "other", tmp_path / "new", check=False)
    assert done.returncode == 2
    assert f"manifest.json: missing: {tmp_path / 'other'} holds no whole backup" in done.stderr
    assert not (tmp_path / "new").exists()
