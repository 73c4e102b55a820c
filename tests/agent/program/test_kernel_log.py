"""XIDs out of the kernel's lines, and one event for what two sources saw."""

import asyncio
import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest

from agent.host.kernel_log import (
    KernelLog,
    KernelXid,
    XidMerger,
    addresses,
    normal_address,
    parse_line,
    to_event,
)
from weighbridge.wire.report import Device, DeviceState, Event, EventKind, Facts

BOOT = "boot-1"


@pytest.mark.parametrize(
    ("line", "address", "code"),
    [
        ("NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', GPU has fallen off the bus.", "0000:3b:00", 79),
        ("NVRM: Xid (PCI:0000:3B:00): 31, pid=1234, name=python3, Ch 00000008", "0000:3b:00", 31),
        ("[  12.3] NVRM: Xid (PCI:0002:00:00.0): 154, GPU recovery action changed", "0002:00:00", 154),
        ("NVRM: GPU at PCI:0000:86:00: GPU-aaaa has fallen off the bus", "0000:86:00", 79),
        ("NVRM: GPU 0000:86:00.0: GPU has fallen off the bus.", "0000:86:00", 79),
    ],
)  # fmt: skip
def test_lines_with_an_xid_are_understood(line: str, address: str, code: int) -> None:
    assert parse_line(line, 7) == KernelXid(7, address, code)


@pytest.mark.parametrize(
    "line",
    [
        "NVRM: loading NVIDIA UNIX Open Kernel Module",
        "NVRM: Xid (PCI:0000:3b:00): none",
        "Xid (PCI:0000:3b:00): 79",
        "NVRM: GPU 0000:86:00.0 is back",
        "",
    ],
)
def test_other_lines_are_not(line: str) -> None:
    assert parse_line(line, 7) is None


def test_an_address_has_one_form() -> None:
    assert normal_address("00000000:3B:00.0") == normal_address("0000:3b:00") == "0000:3b:00"
    assert normal_address("00010000:3B:00.0") == "10000:3b:00"


def test_a_device_is_found_by_its_address() -> None:
    gpu = Device(
        uuid="GPU-1",
        parent=None,
        state=DeviceState.LOST,
        identity=Facts(readings={"pci_bus_id": "00000000:3B:00.0"}, unavailable={}),
    )
    known = addresses([gpu])
    assert to_event(KernelXid(7, "0000:3b:00", 79), known).device == "GPU-1"
    stranger = to_event(KernelXid(7, "0000:99:00", 79), known)
    assert (stranger.device, stranger.detail) == (None, "PCI 0000:99:00")


def xid(
    source: Literal["nvml", "kernel"], at_us: int, code: int = 31, device: str = "GPU-1"
) -> Event:
    return Event(
        boottime_us=at_us, kind=EventKind.XID, device=device, code=code, source=source, detail=""
    )


def test_what_both_sources_saw_is_one_event_of_the_first() -> None:
    merger = XidMerger()
    first = merger.merge([xid("nvml", 10_000_000)])
    assert [event.source for event in first] == ["nvml"]
    assert merger.merge([xid("kernel", 8_000_001)]) == []


def test_repeats_within_one_source_all_count() -> None:
    merger = XidMerger()
    assert len(merger.merge([xid("kernel", 1), xid("kernel", 2)])) == 2
    assert len(merger.merge([xid("nvml", 3), xid("nvml", 4), xid("nvml", 5)])) == 1


def test_another_code_device_or_time_is_another_event() -> None:
    merger = XidMerger()
    merger.merge([xid("nvml", 10_000_000)])
    others = [
        xid("kernel", 10_000_000, code=32),
        xid("kernel", 10_000_000, device="GPU-2"),
        xid("kernel", 12_000_001),
    ]
    assert merger.merge(others) == others


async def gather(log: KernelLog, count: int) -> list[KernelXid]:
    found: list[KernelXid] = []
    task = asyncio.create_task(log.follow())
    async with asyncio.timeout(20):
        while len(found) < count:
            await asyncio.sleep(0.005)
            found += log.take()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return found


def record(at_us: int, code: int) -> bytes:
    line = f"NVRM: Xid (PCI:0000:3b:00): {code}, pid=1, name=tenant"
    return f"4,100,{at_us},-;{line}\n".encode()


class FakeKmsg:
    """A pipe whose writes stay apart, as records of /dev/kmsg do."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self._end = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        flags = fcntl.fcntl(self._end, fcntl.F_GETFL)
        fcntl.fcntl(self._end, fcntl.F_SETFL, flags | os.O_DIRECT)
        self.path = path

    def say(self, data: bytes) -> None:
        os.write(self._end, data)

    def close(self) -> None:
        os.close(self._end)


async def test_the_log_is_followed_and_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.write_text('{"boot": "boot-0", "monotonic_us": 5}')
    kmsg = FakeKmsg(tmp_path / "kmsg")
    log = KernelLog(kmsg.path, state, BOOT)
    kmsg.say(record(1000, 31))
    assert [x.code for x in await gather(log, 1)] == [31]
    again = KernelLog(kmsg.path, state, BOOT)
    kmsg.say(record(1000, 31))
    kmsg.say(record(2000, 43))
    assert [x.code for x in await gather(again, 1)] == [43]


async def test_two_lines_about_one_fall_are_one_xid(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.write_text('{"boot": "boot-0", "monotonic_us": 5}')
    kmsg = FakeKmsg(tmp_path / "kmsg")
    log = KernelLog(kmsg.path, state, BOOT)
    kmsg.say(record(1_000_000, 79))
    kmsg.say(b"4,101,1000100,-;NVRM: GPU 0000:3b:00.0: GPU has fallen off the bus.\n")
    kmsg.say(record(1_000_200, 45))
    assert [x.code for x in await gather(log, 2)] == [79, 45]


def test_a_first_start_weighs_nothing_that_was_before_it(tmp_path: Path) -> None:
    KernelLog(tmp_path / "kmsg", tmp_path / "state", BOOT)
    remembered = (tmp_path / "state").read_text()
    KernelLog(tmp_path / "kmsg", tmp_path / "state", BOOT)
    assert (tmp_path / "state").read_text() == remembered


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fake journalctl that tells of two XIDs, 31 and 62; the file `asked` holds what it was asked for."""
    lines = [
        "not json",
        "[]",
        '{"MESSAGE": [1, 2], "__MONOTONIC_TIMESTAMP": "7"}',
        '{"MESSAGE": "NVRM: Xid (PCI:0000:3b:00): 31, pid=1", "__MONOTONIC_TIMESTAMP": "900"}',
        '{"MESSAGE": "NVRM: Xid (PCI:0000:3b:00): 62", "__MONOTONIC_TIMESTAMP": "1",'
        ' "_SOURCE_MONOTONIC_TIMESTAMP": "1000"}',
    ]
    (tmp_path / "lines").write_text("\n".join(lines) + "\n")
    fake = tmp_path / "journalctl"
    fake.write_text(
        f'#!/bin/sh\necho "$@" >{tmp_path}/asked\ncat {tmp_path}/lines\nexec sleep 60\n'
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Left in the boot before this one."""
    left = tmp_path / "state"
    left.write_text('{"boot": "boot-0", "monotonic_us": 5}')
    return left


@pytest.mark.usefixtures("journal")
async def test_the_journal_stands_in_where_the_kernels_own_door_is_shut(
    tmp_path: Path, state: Path
) -> None:
    log = KernelLog(tmp_path / "nothing", state, BOOT)
    assert [x.code for x in await gather(log, 2)] == [31, 62]
    assert {"--dmesg", "--follow", "--no-tail"} <= set((tmp_path / "asked").read_text().split())


@pytest.mark.usefixtures("journal")
async def test_the_journal_stands_in_where_the_door_looks_open_and_is_not(
    tmp_path: Path, state: Path
) -> None:
    kmsg = tmp_path / "kmsg"
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(kmsg))
        assert os.access(kmsg, os.R_OK)
        assert [x.code for x in await gather(KernelLog(kmsg, state, BOOT), 2)] == [31, 62]


FOLLOW_A_PIPE = """
import asyncio, logging, os, sys
from pathlib import Path
from typing import Literal
from agent.host.kernel_log import KernelLog

async def follow(kmsg, state):
    log = KernelLog(kmsg, state, "boot-1")
    await asyncio.wait({asyncio.ensure_future(log.follow())}, timeout=float(sys.argv[3]))
    print([xid.code for xid in log.take()])

logging.basicConfig()
asyncio.run(follow(Path(sys.argv[1]), Path(sys.argv[2])))
"""


def test_a_pipe_that_nobody_writes_to_is_said_and_does_not_hold_up_the_agent(
    tmp_path: Path, state: Path
) -> None:
    kmsg = tmp_path / "kmsg"
    os.mkfifo(kmsg)
    done = subprocess.run(
        [sys.executable, "-c", FOLLOW_A_PIPE, kmsg, state, "0.2"],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert (done.returncode, done.stdout) == (0, "[]\n")
    assert done.stderr.count("nobody writes to") == 1


async def test_a_pipe_whose_writer_goes_away_is_read_to_its_end(
    tmp_path: Path, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kmsg = FakeKmsg(tmp_path / "kmsg")
    log = KernelLog(kmsg.path, state, BOOT)
    task = asyncio.create_task(log.follow())
    kmsg.say(record(1000, 31))
    found: list[KernelXid] = []
    async with asyncio.timeout(20):
        while not found:
            await asyncio.sleep(0.005)
            found = log.take()
        kmsg.say(record(2000, 43))
        kmsg.close()
        said = ""
        while "nobody writes to" not in said:
            await asyncio.sleep(0.005)
            said = caplog.text
    assert [xid.code for xid in found + log.take()] == [31, 43]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_an_unreadable_log_is_said_once_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    log = KernelLog(tmp_path / "nothing", tmp_path / "state", BOOT)
    task = asyncio.create_task(log.follow())
    async with asyncio.timeout(20):
        said = ""
        while "cannot be read" not in said:
            await asyncio.sleep(0.005)
            said = caplog.text
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
