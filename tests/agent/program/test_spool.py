"""The spool against a plain list, with crashes at any byte."""

import errno
import hashlib
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec import to_builtins

from agent.report.spool import SMALLEST, ReportTooLargeError, Spool, SpoolError, SpoolSlot
from agent.report.spool_format import SECTOR

ROOM = 10**9


def envelope(slot: SpoolSlot, body: str) -> bytes:
    """A stand-in for a sealed report: the spool looks into none."""
    fields = {"chain": slot.chain, "seq": slot.seq, "prev": slot.prev, "body": body}
    return json.dumps(fields | {"gaps": [to_builtins(gap) for gap in slot.gaps]}).encode()


def payload_hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def put(spool: Spool, body: str = "report") -> bytes:
    slot = spool.next_slot()
    data = envelope(slot, body)
    spool.append(slot, data, payload_hash(data))
    return data


def reseal(
    old: bytes, slot_after: Callable[[str | None], SpoolSlot]
) -> tuple[SpoolSlot, bytes, str]:
    report = json.loads(old)
    slot = slot_after(report["prev"])
    new = envelope(slot, report["body"])
    return slot, new, payload_hash(new)


def bodies(spool: Spool) -> list[str]:
    return [json.loads(held.envelope)["body"] for held in spool.pending(10**6, ROOM)]


def noise(length: int) -> str:
    """Text that does not compress below half its length."""
    return hashlib.shake_256(b"%d" % length).hexdigest(length // 2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool"


class Disk:
    """Confirms what was written, or fails as often as it is told to."""

    def __init__(self) -> None:
        self.failures = 0

    def sync(self, file: int) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EIO, "Input/output error")
        os.fdatasync(file)


@pytest.fixture
def disk() -> Disk:
    return Disk()


def test_a_report_that_the_disk_did_not_confirm_is_handed_to_nobody(path: Path, disk: Disk) -> None:
    spool = Spool(path, SMALLEST, sync=disk.sync)
    put(spool, "durable")
    slot = spool.next_slot()
    disk.failures = 2
    for _ in range(2):
        with pytest.raises(OSError, match="Input/output"):
            put(spool, "refused")
        assert (bodies(spool), spool.pending_count, spool.held_count) == (["durable"], 1, 1)
        assert spool.next_slot() == slot


def test_a_report_that_is_written_again_takes_the_number_and_the_place_it_had(
    path: Path, disk: Disk
) -> None:
    spool = Spool(path, SMALLEST, sync=disk.sync)
    put(spool, "first")
    disk.failures = 1
    with pytest.raises(OSError, match="Input/output"):
        put(spool, noise(3000))
    for body in ("second", "third"):
        put(spool, body)
    held = spool.pending(9, ROOM)
    assert [one.seq for one in held] == [0, 1, 2]
    assert_linked([json.loads(one.envelope) for one in held])
    spool.close()
    again = Spool(path, SMALLEST)
    assert again.pending(9, ROOM) == held
    assert bodies(again) == ["first", "second", "third"]


def test_a_restart_that_the_disk_interrupts_hands_out_nothing_and_can_be_finished(
    path: Path, disk: Disk
) -> None:
    spool = Spool(path, SMALLEST, sync=disk.sync)
    for number in range(40):
        put(spool, f"report {number}")

    def failing_later(old: bytes, slot_after: Callable[[str | None], SpoolSlot]) -> Any:
        disk.failures = 1
        return reseal(old, slot_after)

    with pytest.raises(OSError, match="Input/output"):
        spool.restart_chain(failing_later)
    assert spool.pending(99, ROOM) == []
    spool.finish_restart(reseal)
    carried = [json.loads(held.envelope) for held in spool.pending(99, ROOM)]
    assert [report["body"] for report in carried] == [f"report {number}" for number in range(40)]
    assert not any(report["gaps"] for report in carried)
    assert_linked(carried)
    assert spool.held_count == 80


def test_what_an_earlier_process_left_is_written_again_before_it_is_handed_out(
    path: Path, disk: Disk
) -> None:
    spool = Spool(path, SMALLEST)
    put(spool, "left")
    spool.close()
    os.utime(path, ns=(0, 0))
    disk.failures = 1
    with pytest.raises(OSError, match="Input/output"):
        Spool(path, SMALLEST, sync=disk.sync)
    again = Spool(path, SMALLEST, sync=disk.sync)
    assert path.stat().st_mtime_ns > 0
    assert bodies(again) == ["left"]


def test_a_report_stays_until_it_is_acknowledged_even_over_a_restart(path: Path) -> None:
    spool = Spool(path, SMALLEST)
    sent = [put(spool, f"report {number}") for number in range(5)]
    spool.acknowledge(spool.next_slot().chain, 1)
    spool.close()
    again = Spool(path, SMALLEST)
    assert [held.envelope for held in again.pending(10, ROOM)] == sent[2:]
    assert again.next_slot().seq == 5
    assert again.next_slot().prev == payload_hash(sent[4])


def test_its_room_is_taken_when_it_is_made(path: Path) -> None:
    Spool(path, SMALLEST)
    assert path.stat().st_blocks * 512 >= SMALLEST - SECTOR
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_acknowledged_report_can_be_asked_for_again(path: Path) -> None:
    spool = Spool(path, SMALLEST)
    sent = [put(spool) for _ in range(4)]
    spool.acknowledge(spool.next_slot().chain, 3)
    assert spool.pending(10, ROOM) == []
    assert spool.rewind(1, payload_hash(sent[0]))
    assert [held.seq for held in spool.pending(10, ROOM)] == [1, 2, 3]


def test_a_rewind_to_another_history_is_refused(path: Path) -> None:
    spool = Spool(path, SMALLEST)
    put(spool)
    put(spool)
    assert not spool.rewind(1, "0" * 64)
    assert not spool.rewind(7, None)
    assert [held.seq for held in spool.pending(10, ROOM)] == [0, 1]


def test_batches_keep_to_both_limits_but_never_starve(path: Path) -> None:
    spool = Spool(path, SMALLEST)
    sizes = [len(put(spool)) for _ in range(5)]
    assert len(spool.pending(3, ROOM)) == 3
    assert len(spool.pending(10, sum(sizes[:2]))) == 2
    assert len(spool.pending(10, 1)) == 1


def test_the_oldest_reports_are_dropped_first_and_counted(path: Path) -> None:
    spool = Spool(path, SMALLEST)
    for number in range(100):
        put(spool, f"{number} {noise(4000)}")
    kept = [int(body.split()[0]) for body in bodies(spool)]
    assert kept == list(range(kept[0], 100))
    assert 0 < kept[0] == spool.dropped


def test_acknowledged_reports_make_room_without_a_loss(path: Path) -> None:
    spool = Spool(path, SMALLEST)
    for number in range(100):
        put(spool, noise(4000))
        spool.acknowledge(spool.next_slot().chain, number)
    assert spool.dropped == 0
    assert spool.held_count > 5


def test_a_report_larger_than_the_spool_is_refused_and_the_rest_kept(path: Path) -> None:
    spool = Spool(path, SMALLEST)
    put(spool, "small")
    with pytest.raises(ReportTooLargeError, match="enlarge"):
        put(spool, noise(4 * SMALLEST))
    assert bodies(spool) == ["small"]


def test_a_new_spool_starts_a_new_chain(path: Path) -> None:
    first = Spool(path, SMALLEST)
    put(first)
    chain = first.next_slot().chain
    first.close()
    path.unlink()
    slot = Spool(path, SMALLEST).next_slot()
    assert (slot.seq, slot.prev) == (0, None)
    assert slot.chain != chain


@pytest.mark.parametrize("wreck", [b"", b"\0" * SMALLEST, b"nonsense" * 9000])
def test_a_wrecked_file_starts_a_new_chain(path: Path, wreck: bytes) -> None:
    path.write_bytes(wreck)
    assert Spool(path, SMALLEST).next_slot().seq == 0


def test_two_agents_never_share_a_spool(path: Path) -> None:
    spool = Spool(path, SMALLEST)
    with pytest.raises(SpoolError, match="in use"):
        Spool(path, SMALLEST)
    assert spool.next_slot().seq == 0


def test_a_resized_spool_keeps_what_it_holds(path: Path) -> None:
    spool = Spool(path, SMALLEST)
    sent = [put(spool, f"{number} {noise(3000)}") for number in range(12)]
    slot = spool.next_slot()
    spool.close()
    for size in (4 * SMALLEST, SMALLEST):
        resized = Spool(path, size)
        assert [held.envelope for held in resized.pending(99, ROOM)] == sent
        assert resized.next_slot() == slot
        assert path.stat().st_size <= size
        resized.close()


def test_a_restarted_chain_carries_what_is_held_and_declares_what_is_not(path: Path) -> None:
    spool = Spool(path, SMALLEST)
    sent = [put(spool, f"{number} {noise(4000)}") for number in range(100)]
    old_chain, kept = spool.next_slot().chain, bodies(spool)
    spool.restart_chain(reseal)
    carried = [json.loads(held.envelope) for held in spool.pending(999, ROOM)]
    lost = spool.dropped
    assert [report["body"] for report in carried] == kept[lost - (100 - len(kept)) :]
    assert {report["chain"] for report in carried} == {spool.next_slot().chain} != {old_chain}
    first = carried[0]
    (gap,) = first["gaps"]
    assert (gap["first_seq"], gap["last_seq"]) == (0, first["seq"] - 1)
    assert gap["last_hash"] == first["prev"] == payload_hash(sent[first["seq"] - 1])
    assert_linked(carried)


def assert_linked(reports: list[dict[str, object]]) -> None:
    for earlier, later in itertools.pairwise(reports):
        if later["gaps"]:
            continue
        assert later["seq"] == int(str(earlier["seq"])) + 1
        assert later["prev"] == payload_hash(json.dumps(earlier).encode())


def test_a_restart_with_nothing_pending_begins_at_zero(path: Path) -> None:
    spool = Spool(path, SMALLEST)
    put(spool)
    old = spool.next_slot()
    spool.acknowledge(old.chain, 0)
    spool.restart_chain(reseal)
    slot = spool.next_slot()
    assert (slot.seq, slot.prev, slot.gaps) == (0, None, ())
    assert slot.chain != old.chain
    put(spool, "after")
    assert bodies(spool) == ["after"]


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_an_interrupted_restart_is_finished_without_a_second_copy(
    path: Path, data: st.DataObject
) -> None:
    path.unlink(missing_ok=True)
    spool = Spool(path, SMALLEST)
    count = data.draw(st.integers(1, 40))
    for number in range(count):
        put(spool, f"{number} {noise(300)}")
    stop_at = data.draw(st.integers(0, count - 1))
    done = 0

    def failing(
        old: bytes, slot_after: Callable[[str | None], SpoolSlot]
    ) -> tuple[SpoolSlot, bytes, str]:
        nonlocal done
        if done == stop_at:
            raise OSError("the machine stops here")
        done += 1
        return reseal(old, slot_after)

    with pytest.raises(OSError, match="stops here"):
        spool.restart_chain(failing)
    spool.close()
    again = Spool(path, SMALLEST)
    with pytest.raises(SpoolError, match="interrupted"):
        again.next_slot()
    again.finish_restart(reseal)
    reports = [json.loads(held.envelope) for held in again.pending(999, ROOM)]
    assert [int(report["body"].split()[0]) for report in reports] == list(range(count))
    assert len({report["chain"] for report in reports}) == 1
    assert not any(report["gaps"] for report in reports)
    assert again.held_count == 2 * count
    assert_linked(reports)
    again.close()


class SpoolMachine(RuleBasedStateMachine):
    """A list of (seq, bytes) that are durable and unacknowledged; a crash tears the last append anywhere."""

    path: Path

    @initialize(temporary=st.uuids())
    def start(self, temporary: object) -> None:
        self.minted = 0
        self.path = Path(os.environ["SPOOL_MACHINE"]) / str(temporary)
        self.spool = Spool(self.path, SMALLEST, self._mint)
        self.unacknowledged: list[tuple[int, bytes]] = []
        self.durable_end = 0
        self.forgotten = 0

    def _mint(self, length: int) -> bytes:
        self.minted += 1
        return self.minted.to_bytes(length)

    @rule(length=st.integers(0, 9000))
    def append(self, length: int) -> None:
        slot = self.spool.next_slot()
        data = put(self.spool, noise(length))
        self.unacknowledged.append((slot.seq, data))
        self.durable_end = slot.seq + 1
        self._forget_dropped()

    @rule(share=st.integers(0, 3))
    def acknowledge(self, share: int) -> None:
        count = len(self.unacknowledged) * share // 3
        if count:
            self.spool.acknowledge(self.spool.next_slot().chain, self.unacknowledged[count - 1][0])
            del self.unacknowledged[:count]

    @rule()
    def restart(self) -> None:
        self.spool.close()
        self._reopen()

    @rule(length=st.integers(0, 9000), data=st.data())
    def crash_in_an_append(self, length: int, data: st.DataObject) -> None:
        before = self.path.read_bytes()
        put(self.spool, noise(length))
        after = self.path.read_bytes()
        self.spool.close()
        self.path.write_bytes(torn(before, after, data))
        self._reopen(maybe_lost=True)

    def _reopen(self, maybe_lost: bool = False) -> None:
        self.spool = Spool(self.path, SMALLEST, self._mint)
        self.forgotten = self.spool.dropped
        held = {seq for seq, _ in self._pending()}
        slot = self.spool.next_slot()
        assert slot.seq >= self.durable_end, "a durable sequence number comes again"
        if maybe_lost:
            kept = [pair for pair in self.unacknowledged if pair[0] in held]
            assert [seq for seq, _ in kept] == sorted(held)[: len(kept)]
            whole = slot.seq > self.durable_end
            newest = self._pending()[-1:] if whole else []
            self.unacknowledged = kept + newest
            self.durable_end = slot.seq

    def _forget_dropped(self) -> None:
        fresh = self.spool.dropped - self.forgotten
        del self.unacknowledged[:fresh]
        self.forgotten = self.spool.dropped

    def _pending(self) -> list[tuple[int, bytes]]:
        return [(held.seq, held.envelope) for held in self.spool.pending(10**6, ROOM)]

    @invariant()
    def holds_what_the_list_holds(self) -> None:
        if hasattr(self, "spool"):
            assert self._pending() == self.unacknowledged

    def teardown(self) -> None:
        if hasattr(self, "spool"):
            self.spool.close()
            self.path.unlink()


def torn(before: bytes, after: bytes, data: st.DataObject) -> bytes:
    """The disk when power fails: any of the written sectors arrived, one of them in part."""
    changed = [
        start
        for start in range(0, len(after), SECTOR)
        if before[start : start + SECTOR] != after[start : start + SECTOR]
    ]
    arrived = data.draw(st.sets(st.sampled_from(changed)))
    image = bytearray(before)
    for start in arrived:
        image[start : start + SECTOR] = after[start : start + SECTOR]
    start = data.draw(st.sampled_from(changed))
    cut = start + data.draw(st.integers(0, SECTOR))
    image[start:cut] = after[start:cut]
    return bytes(image)


def test_the_spool_is_a_list_that_survives_crashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPOOL_MACHINE", str(tmp_path))
    machine = SpoolMachine.TestCase
    machine.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
    machine("runTest").runTest()


def test_a_file_size_limit_is_an_error_and_leaves_nothing_behind(path: Path) -> None:
    script = (
        "import resource, sys; from pathlib import Path; from agent.report.spool import Spool\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: Spool(Path(sys.argv[1]), 1 << 20)\n"
        "except OSError as error: print(type(error).__name__, error.errno)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.startswith("OSError"), done.stderr
    assert list(path.parent.iterdir()) == []


def test_after_a_restart_new_reports_do_not_push_out_the_one_that_declares_the_gap(
    path: Path,
) -> None:
    spool = Spool(path, 4 * SMALLEST)
    for number in range(200):
        put(spool, f"{number} {noise(4000)}")
    spool.restart_chain(reseal)
    dropped = spool.dropped
    for _ in range(5):
        put(spool, noise(4000))
    first = json.loads(spool.pending(1, ROOM)[0].envelope)
    assert first["gaps"]
    assert spool.dropped == dropped == int(first["seq"])


def test_a_report_that_the_disk_forgot_does_not_hold_up_the_rest(path: Path) -> None:
    spool = Spool(path, SMALLEST)
    for number in range(3):
        put(spool, f"{number} {noise(600)}")
    rot(path, b"WBFRAME1", 1)
    assert [body.split()[0] for body in bodies(spool)] == ["0", "2"]
    assert spool.dropped == 1
    spool.restart_chain(reseal)
    carried = [json.loads(held.envelope) for held in spool.pending(9, ROOM)]
    assert [gap["last_seq"] for report in carried for gap in report["gaps"]] == [1]


def rot(path: Path, magic: bytes, number: int) -> None:
    """Flip a bit in the body of the frame with that number."""
    image = bytearray(path.read_bytes())
    starts = [place for place in range(0, len(image), SECTOR) if image[place : place + 8] == magic]
    image[starts[number] + 300] ^= 1
    path.write_bytes(image)


def test_a_ring_that_was_wiped_never_gives_out_acknowledged_numbers_again(path: Path) -> None:
    spool = Spool(path, SMALLEST)
    for _ in range(3):
        put(spool)
    chain = spool.current_chain
    spool.acknowledge(chain, 2)
    spool.close()
    image = path.read_bytes()
    path.write_bytes(image[:8192] + bytes(len(image) - 8192))
    slot = Spool(path, SMALLEST).next_slot()
    assert slot.chain != chain
    assert (slot.seq, slot.prev) == (0, None)
