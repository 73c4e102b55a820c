"""`weighbridge retain`: reports that no contract keeps any longer leave; what they were stays provable."""

import copy
import shutil
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from collector.storage.embedded import open_embedded
from collector.storage.frozen import FrozenLog
from collector.storage.segments import row_header
from tests.collector.building import (
    CONTRACT,
    Agent,
    hand_out,
    leaves_of,
    log_signer,
    make_store,
    opened,
    serving,
    wait_for,
    weighbridge,
)
from tests.collector.killing import killed_at
from weighbridge.log.entries import (
    Assignment,
    EntryKind,
    Removed,
    Tick,
    entry,
    payload_type,
    stored_hash,
)
from weighbridge.log.merkle import inclusion_proof, leaf_hash, verify_inclusion
from weighbridge.wire.report import encode, read
from weighbridge.wire.signing import Signer, generate_private_key, open_envelope

REPORTS = 12
GROWS = "the segment that grows is left alone"
LEFT = REPORTS - 1
"""The newest of the chain stays."""

ENDED, KEPT = "2036-01-01T00:00:00+00:00", 1096 * 86_400
AGENT = Agent("n1", gpus=1)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A contract was served; its segment is sealed, and the next one is begun."""
    directory = make_store(tmp_path_factory.mktemp("written") / "store", [AGENT], CONTRACT)
    with serving(directory) as server:
        first = AGENT.next(inventory=AGENT.inventory())
        answer = server.report(first, *(AGENT.next() for _ in range(REPORTS - 1)))
        size = answer.json["receipts"][-1]["index"] + 1
        wait_for(lambda: server.get("/v1/log/head").json["size"] > size + 2, "a second that passed")
        assert server.stop() == 0
    return directory


def later(directory: Path, seconds: float) -> None:
    """The log goes on, in a new segment, so long after the end of the contract."""
    wall_us = int((datetime.fromisoformat(ENDED).timestamp() + seconds) * 1_000_000)
    signer = log_signer(directory)
    store = open_embedded(directory, segment_bytes=4096)
    store.log.append([signer.seal(payload_type(EntryKind.TICK), encode(Tick(wall_us=wall_us)))])
    hand_out(directory, store)
    store.close()


@pytest.fixture
def store(written: Path, tmp_path: Path) -> Path:
    """One second after nobody keeps the records any longer."""
    directory = shutil.copytree(written, tmp_path / "store")
    later(directory, KEPT + 1)
    return directory


def command(directory: Path, *words: str) -> tuple[int, str, str]:
    done = weighbridge(*words, "--config", directory / "config.toml", check=False)
    return done.returncode, done.stdout, done.stderr


def kinds(directory: Path) -> list[EntryKind]:
    return [entry(index, leaf).kind for index, leaf in enumerate(leaves_of(directory))]


def left(index: int, leaf: bytes, newest: int) -> bool:
    return entry(index, leaf).kind is EntryKind.REPORT and index != newest


def test_what_leaves_is_proven_by_its_hash_and_the_rest_as_before(store: Path) -> None:
    before = leaves_of(store)
    newest = max(index for index, kind in enumerate(kinds(store)) if kind is EntryKind.REPORT)
    assert command(store, "retain")[1].endswith(f"{LEFT} reports have left; {GROWS}\n")
    after = leaves_of(store)
    assert [stored_hash(leaf) for leaf in after] == [leaf_hash(leaf) for leaf in before]
    stays = [leaf for index, leaf in enumerate(before) if not left(index, leaf, newest)]
    assert [leaf for leaf in after if leaf in before] == stays
    with opened(store) as kept:
        head = kept.log.handed_out
        assert head is not None
        for index, leaf in enumerate(after):
            proof = inclusion_proof(index, head.size, kept.log.node)
            assert verify_inclusion(index, head.size, stored_hash(leaf), proof, head.root)
    assert sum(map(len, after)) < sum(map(len, before)) / 2


def test_reports_leave_beside_a_collector_that_serves_on(store: Path) -> None:
    agent, before = copy.deepcopy(AGENT), leaves_of(store)
    with serving(store) as server:
        said = command(store, "retain", "--dry-run")
        assert said == (0, "kept by no contract any longer: n1\n", "")
        assert server.report(agent.next()).status == 200
        assert command(store, "retain")[1].endswith(f"{REPORTS} reports have left; {GROWS}\n")
        assert server.report(agent.next()).status == 200
        log = FrozenLog(store / "evidence" / "segments")
        index = next(one.index for one in log.read(0, log.size) if one.kind is EntryKind.REMOVED)
        (shown,) = server.get(f"/v1/log/entries?start={index}&limit=1").json
        assert stored_hash(shown["envelope"].encode()) == leaf_hash(before[index])
        assert command(store, "retain")[1].endswith(f"0 reports have left; {GROWS}\n")
        assert server.stop() == 0
    assert command(store, "scrub")[0] == 0


def test_scrub_knows_it_and_all_that_is_derived_is_made_again_from_what_stays(store: Path) -> None:
    command(store, "retain")
    code, told, _ = command(store, "scrub")
    assert code == 0
    assert f"{LEFT} of them reports that have left" in told
    (store / "evidence" / "tree").unlink()
    for file in store.glob("index.sqlite*"):
        file.unlink()
    assert command(store, "scrub")[0] == 0
    assert command(store, "scrub", "--read-only")[2] == ""


def test_a_replay_of_what_left_says_so_plainly(store: Path) -> None:
    month = f"{datetime.fromtimestamp(AGENT.start_us / 1_000_000, UTC):%Y-%m}"
    words = ("replay", "lease", "--period", month)
    assert command(store, *words)[0] == 0
    command(store, "retain")
    code, _, said = command(store, *words)
    assert code == 4
    assert "reports of n1 have left the store (weighbridge retain)" in said
    assert "the log has a hole" not in said


def test_what_left_is_in_no_bundle_and_none_is_made_without_it(store: Path, tmp_path: Path) -> None:
    month = f"{datetime.fromtimestamp(AGENT.start_us / 1_000_000, UTC):%Y-%m}"
    words = ("bundle", "lease", "--period", month, "-o", str(tmp_path / "bundle"))
    command(store, "retain")
    code, _, said = command(store, *words)
    assert code == 2
    assert "reports of n1 have left the store (weighbridge retain)" in said


def test_a_chain_goes_on_behind_what_left(store: Path) -> None:
    command(store, "retain")
    for file in store.glob("index.sqlite*"):
        file.unlink()
    with serving(store) as server:
        assert server.report(copy.copy(AGENT).next()).status == 200
        found = server.get("/v1/contracts/lease/history").json["items"]
        assert "log_hole" not in {row["code"] for row in found}


@pytest.mark.parametrize(("seconds", "who"), [(KEPT, "no node"), (KEPT + 1e-6, "n1")])
def test_to_the_microsecond_a_contract_keeps_what_it_said(
    written: Path, tmp_path: Path, seconds: float, who: str
) -> None:
    directory = shutil.copytree(written, tmp_path / "store")
    later(directory, seconds)
    assert (
        command(directory, "retain", "--dry-run")[1] == f"kept by no contract any longer: {who}\n"
    )
    assert EntryKind.REMOVED not in kinds(directory)


def test_what_one_of_two_contracts_keeps_stays(store: Path, tmp_path: Path) -> None:
    later_term = CONTRACT.replace("lease", "next").replace("to: 2036", "to: 2046")
    (tmp_path / "next.yaml").write_text(later_term)
    assert command(store, "contract", "add", str(tmp_path / "next.yaml"))[0] == 0
    assert command(store, "retain", "--dry-run")[1].endswith(": n1\n")
    assigned = Assignment(contract="next", node="n1", devices=None)
    with opened(store) as kept:
        kept.log.append(
            [log_signer(store).seal(payload_type(EntryKind.ASSIGNMENT), encode(assigned))]
        )
    assert command(store, "retain", "--dry-run")[1].endswith(": no node\n")


def test_nobody_but_the_log_says_that_a_report_left(store: Path) -> None:
    command(store, "retain")
    forger = Signer(generate_private_key())
    (segment, _) = sorted((store / "evidence" / "segments").iterdir())
    data = segment.read_bytes()
    leaf = next(leaf for leaf in leaves_of(store) if stored_hash(leaf) != leaf_hash(leaf))
    said = read(Removed, open_envelope(leaf).payload)
    forged = forger.seal(payload_type(EntryKind.REMOVED), encode(said))
    at = data.index(leaf)
    segment.write_bytes(data[: at - 8] + row_header(forged) + forged + data[at + len(leaf) :])
    code, _, told = command(store, "scrub")
    assert code == 3
    assert "says that a report has left" in told


def test_a_backup_of_what_stays_is_proven_by_the_same_head(store: Path, tmp_path: Path) -> None:
    command(store, "retain")
    assert command(store, "backup", str(tmp_path / "backup"))[0] == 0
    weighbridge("restore", tmp_path / "backup", tmp_path / "new")
    assert leaves_of(tmp_path / "new")[:-2] == leaves_of(store)


def test_a_segment_is_replaced_whole_wherever_it_is_killed(store: Path, tmp_path: Path) -> None:
    step = 1
    while True:
        copy = shutil.copytree(store, tmp_path / f"copy-{step}")
        if not killed_at(step, partial(command, copy, "retain")):
            break
        assert command(copy, "scrub")[0] == 0
        assert command(copy, "retain")[0] == 0
        assert kinds(copy).count(EntryKind.REMOVED) == LEFT
        step += 1
    assert step > 4
