"""What the kernel's lines say of GPUs and switches, whole, from every source; and one event for what several saw."""

import asyncio
import fcntl
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

import pytest
from msgspec.structs import asdict, replace

from agent.host.kernel_log import KernelLog, XidMerger, parse_line, placed
from agent.host.kernel_log.gathering import MOST, Heard
from weighbridge.wire.addresses import gpus_by_address
from weighbridge.wire.pci_address import normal_address
from weighbridge.wire.report import (
    Device,
    DeviceState,
    Event,
    EventKind,
    Facts,
    OperationalEvent,
    SaidSeverity,
)

BOOT = "boot-1"
UUID = "GPU-f1906b9b-557a-e961-045c-9fe4be3ce012"


def said(line: str) -> dict[str, Any]:
    """What a line says beside that the kernel said it; nothing for one that says nothing."""
    event = parse_line(line, 7)
    if event is None:
        return {}
    assert (event.boottime_us, event.source, event.count) == (7, "kernel", 1)
    told = {name: value for name, value in asdict(event).items() if value not in (None, "")}
    return {name: told[name] for name in told.keys() - {"boottime_us", "source", "count"}}


XID = {"kind": "xid", "address": "0000:3b:00"}
IN = "NVRM: Xid (PCI:0000:3b:00"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (IN + "): 79, pid='<unknown>', GPU has fallen off the bus.", {"code": 79}),
        ("NVRM: Xid (PCI:0000:3B:00): 31, pid=1234, name=python3, Ch 00000008", {"code": 31}),
        ("[  12.3] NVRM: Xid (PCI:0000:3b:00.0): 66, something", {"code": 66}),
        ("[  12.3] [ T1946] NVRM: Xid (PCI:0000:3b:00.0): 66, something", {"code": 66}),
        ("NVRM: GPU at PCI:0000:3b:00: GPU-aaaa has fallen off the bus", {"code": 79}),
        ("NVRM: GPU 0000:3b:00.0: GPU has fallen off the bus.", {"code": 79}),
        (
            "NVRM: The NVIDIA GPU 0000:3b:00.0\nNVRM: (PCI ID: 10de:2330) installed in this system has\n"
            "NVRM: fallen off the bus and is not responding to commands.",
            {"code": 79},
        ),
        (IN + "): 999, a code of another year", {"code": 999}),
        ("NVRM: Xid (0000:3b:00): 62, 01c5 0000", {"code": 62}),
        (IN + " GPU-I:02): 43, pid=1, name=t, Ch 1", {"code": 43, "gpu_instance": 2}),
        (
            IN + " GPU-I:13 GPU-CI:00): 31, pid=1, name=t, Ch 1",
            {"code": 31, "gpu_instance": 13, "compute_instance": 0},
        ),
        (IN + " GPU-I:01 GPU-NEW:3): 31, Ch 1", {"code": 31, "gpu_instance": 1}),
        (IN + "): 45, pid=1, name=t, Ch 00000010 caused by previous Xid 31", {"code": 45, "caused_by": 31}),
        (IN + "): 45, pid=1, name=t,  caused by previous Xid 119", {"code": 45, "caused_by": 119}),
        (IN + "): 45, pid=1, name=t, Ch 00000010", {"code": 45}),
        (
            IN + "): 154, GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)",
            {"code": 154, "recovery_action_before": 0, "recovery_action": 2},
        ),
        (
            IN + "): 145, RLW_REMAP Nonfatal XC0 i0 Link 02 (0x00000004 0x00000001 0x0 0x0 0x0 0x0)",
            {"code": 145, "severity": "nonfatal", "link": 2},
        ),
        (
            IN + "): 149, pid=9, name=t, NETIR_LINK_EVT Fatal XC0 i0 Link 17 (0x1 0x2)",
            {"code": 149, "severity": "fatal", "link": 17},
        ),
        (
            IN + "): 149, pid=9, name=a, Fatal, NETIR_BER_EVENT Nonfatal XC0 i0 Link 03 (0x1)",
            {"code": 149, "severity": "nonfatal", "link": 3},
        ),
        (
            IN + "): 145, pid=9, name=sh, RLW, Fatal, XC0 i0 Link 03 (0x1 0x2 0x3 0x4 0x5 0x6)",
            {"code": 145, "severity": "fatal", "link": 3},
        ),
        (
            IN + "): 145, pid=9, name=x, Fatal, RLW, Nonfatal, XC0 i0 Link 03 (0x1)",
            {"code": 145, "severity": "nonfatal", "link": 3},
        ),
        (
            IN + "): 45, pid=9, name=x, Ch 00000010, caused by previous Xid 43",
            {"code": 45, "caused_by": 43},
        ),
        (
            IN + "): 94, pid=7194, name=python3, Contained: CE User Channel (0x9). RST: No, D-RST: No",
            {"code": 94, "severity": "contained"},
        ),
        (IN + "): 95, Uncontained: LTC TAG (0x2). RST: Yes", {"code": 95, "severity": "uncontained"}),
        (
            IN + "): 94, pid=1, name=a-name-that-is-longer, Contained: SM (0x1)",
            {"code": 94, "severity": "contained"},
        ),
        (IN + "): 13, pid=1, name=Uncontained, Graphics Exception", {"code": 13}),
        (IN + "): 13, pid=1, name=a, Fatal Link 7, Graphics Exception", {"code": 13}),
        ("NVRM: Xid (PCI:00010000:3b:00): 8", {"code": 8, "address": "10000:3b:00"}),
    ],
)  # fmt: skip
def test_every_shape_of_an_xid_line_is_understood(line: str, expected: dict[str, Any]) -> None:
    assert said(line) == XID | expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "nvidia-nvswitch3: SXid (PCI:0000:c1:00.0): 28006, Non-fatal, Link 46 MC TS crumbstore MCTO (First)",
            {"code": 28006, "severity": "nonfatal", "link": 46},
        ),
        (
            "nvidia-nvswitch0: SXid (PCI:0000:c1:00.0): 24007, Fatal, Link 30 sourcetrack timeout",
            {"code": 24007, "severity": "fatal", "link": 30},
        ),
        ("nvidia-nvswitch0: SXid (PCI:0000:c1:00.0): 10003, IO failure", {"code": 10003}),
    ],
)  # fmt: skip
def test_a_switch_speaks_for_itself(line: str, expected: dict[str, Any]) -> None:
    assert said(line) == {"kind": "sxid", "address": "0000:c1:00"} | expected


def test_the_kernel_names_the_card_at_an_address() -> None:
    named = {"kind": "kernel_identity", "address": "0000:3b:00"}
    assert said(f"NVRM: GPU at PCI:0000:3b:00: {UUID}") == named | {"device": UUID}
    serial = "NVRM: GPU 0000:3b:00.0: GPU serial number is 1653923026510."
    assert said(serial) == named | {"detail": "1653923026510"}


@pytest.mark.parametrize(
    "line",
    [
        "NVRM: loading NVIDIA UNIX Open Kernel Module",
        "NVRM: Xid (PCI:0000:3b:00): none",
        "Xid (PCI:0000:3b:00): 79",
        "NVRM: GPU 0000:86:00.0 is back",
        "nvidia-nvswitch3: SXid (PCI:0000:c1:00.0): 28006, Severity 1 Engine instance 46 Sub-engine instance 00",
        "nvidia-nvswitch3: SXid (PCI:0000:c1:00.0): 28006, Data {0x00140004, 0x00100000}",
        "process '/usr/bin/NVRM: Xid (PCI:0000:3b:00): 79' started with executable stack",
        "[/x] NVRM: Xid (PCI:0000:3b:00): 79",
        "NVRM: GPU Board Serial Number: 1653923026510",
        "",
    ],
)  # fmt: skip
def test_other_lines_say_nothing(line: str) -> None:
    assert said(line) == {}


def test_no_word_of_a_tenant_leaves_the_line() -> None:
    for name in ("secret", "a, b", "x, Link 4,Fatal", "é"):
        event = parse_line(f"{IN}): 31, pid=1, name={name}, Ch 00000008, intr 00000000.", 7)
        assert event is not None
        assert asdict(event) == asdict(parse_line(f"{IN}): 31, Ch 00000008", 7) or event)


def test_an_address_has_one_form() -> None:
    assert normal_address("00000000:3B:00.0") == normal_address("0000:3b:00") == "0000:3b:00"
    assert normal_address("00010000:3B:00.0") == "10000:3b:00"
    assert normal_address("no address") is None


def gpu(uuid: str, address: str) -> Device:
    identity = Facts(readings={"pci_bus_id": address}, unavailable={})
    return Device(uuid=uuid, parent=None, state=DeviceState.LOST, identity=identity)


def test_a_device_is_found_by_its_address() -> None:
    known = gpus_by_address([gpu("GPU-1", "00000000:3B:00.0"), gpu("GPU-2", "nowhere")])
    event = parse_line(f"{IN}): 79, gone", 7)
    stranger = parse_line("NVRM: Xid (PCI:0000:99:00): 79, gone", 7)
    assert event is not None
    assert stranger is not None
    found = placed(event, known)
    assert (found.device, found.address) == ("GPU-1", None)
    assert placed(stranger, known) == stranger
    assert (stranger.device, stranger.address) == (None, "0000:99:00")


def test_what_is_told_of_an_address_that_two_devices_show_is_told_of_neither() -> None:
    known = gpus_by_address([gpu(f"GPU-{number}", "00000000:3B:00.0") for number in (1, 2)])
    event = parse_line(f"{IN}): 79, gone", 7)
    assert event is not None
    assert placed(event, known) == event


def xid(
    source: Literal["nvml", "kernel"],
    at_us: int,
    code: int = 31,
    device: str = "GPU-1",
    **more: Any,
) -> Event:
    return Event(
        boottime_us=at_us,
        kind=EventKind.XID,
        device=device,
        code=code,
        source=source,
        detail="",
        **more,
    )


def test_what_both_sources_saw_is_one_event_of_the_first() -> None:
    merger = XidMerger()
    first = merger.merge([xid("nvml", 10_000_000)])
    assert [event.source for event in first] == ["nvml"]
    assert merger.merge([xid("kernel", 8_000_000)]) == []


def test_repeats_within_one_source_all_count() -> None:
    merger = XidMerger()
    assert merger.merge([xid("kernel", 1), xid("kernel", 2)]) == [xid("kernel", 1, count=2)]
    assert merger.merge([xid("nvml", 3), xid("nvml", 4), xid("nvml", 5)]) == [xid("nvml", 5)]
    assert merger.merge([xid("kernel", 6)]) == []


@pytest.mark.parametrize(("later_us", "counts"), [(1_000_000, [2]), (1_000_001, [1, 1])])
def test_repeats_of_a_second_are_one_event(later_us: int, counts: list[int]) -> None:
    told = [xid("nvml", 0), xid("nvml", later_us)]
    assert [event.count for event in XidMerger().merge(told)] == counts


def test_a_repeat_that_says_more_is_an_event_of_its_own() -> None:
    told = [xid("kernel", 0, 149), xid("kernel", 1, 149, severity=SaidSeverity.FATAL)]
    assert XidMerger().merge(told) == told


def test_another_code_device_or_time_is_another_event() -> None:
    merger = XidMerger()
    merger.merge([xid("nvml", 10_000_000)])
    others = [
        xid("kernel", 10_000_000, code=32),
        xid("kernel", 10_000_000, device="GPU-2"),
        xid("kernel", 12_000_001),
    ]
    assert merger.merge(others) == others


def test_of_a_flood_only_so_many_are_new_as_the_other_source_did_not_see() -> None:
    merger = XidMerger()
    assert merger.merge([xid("nvml", 10)]) == [xid("nvml", 10)]
    assert merger.merge([xid("kernel", 10, count=4000)]) == [xid("kernel", 10, count=3999)]
    assert merger.merge([xid("nvml", 10 + n) for n in range(3999)]) == []
    assert len(merger.merge([xid("nvml", 5000)])) == 1


def test_a_flood_that_nvml_tells_of_first_is_counted_once() -> None:
    merger = XidMerger()
    assert merger.merge([xid("nvml", n) for n in range(4000)]) == [xid("nvml", 0, count=4000)]
    assert merger.merge([xid("kernel", 1, count=4000)]) == []
    assert merger.merge([xid("kernel", 2)]) == [xid("kernel", 2)]


def test_what_comes_together_is_one_event_that_knows_what_each_knew() -> None:
    told = [
        xid("nvml", 10, operational=operational()),
        xid("kernel", 11, gpu_instance=3, severity=SaidSeverity.CONTAINED),
        xid("nvml", 12),
    ]
    known = {"gpu_instance": 3, "severity": SaidSeverity.CONTAINED}
    assert XidMerger().merge(told) == [replace(told[0], **known)]


def test_what_comes_later_is_handed_on_if_it_says_worse_or_is_an_operational_event() -> None:
    merger = XidMerger()
    merger.merge([xid("nvml", 10, 149)])
    worse = xid("kernel", 11, 149, severity=SaidSeverity.FATAL)
    assert merger.merge([worse]) == [worse]
    whole = xid("nvml", 12, 149, operational=operational())
    assert merger.merge([whole]) == [replace(whole, kind=EventKind.GPU_EVENT)]
    merger.merge([xid("nvml", 10, 145)])
    assert merger.merge([xid("kernel", 11, 145, severity=SaidSeverity.NONFATAL)]) == []


def operational() -> OperationalEvent:
    numbers = (
        "attributes category chiplet group_attributes group_index group_size log_level module_code"
        " module_instance originator scope severity"
    )
    return OperationalEvent(
        driver="615.71", module="GSP", trace="0", **dict.fromkeys(numbers.split(), 0)
    )


async def gather(log: KernelLog, count: int) -> list[Event]:
    """At least so many events; then the log is followed no more."""
    found: list[Event] = []
    task = asyncio.create_task(log.follow())
    async with asyncio.timeout(20):
        while len(found) < count:
            await asyncio.sleep(0.005)
            found += log.take()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return found


def record(at_us: int, code: int, sequence: int = 0, address: str = "0000:3b:00") -> bytes:
    line = f"NVRM: Xid (PCI:{address}): {code}, pid=1, name=tenant"
    return f"4,{sequence},{at_us},-;{line}\n".encode()


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
    kmsg.say(b"4,1,1000100,-;NVRM: GPU 0000:3b:00.0: GPU has fallen off the bus.\n")
    kmsg.say(record(1_000_200, 45))
    assert [x.code for x in await gather(log, 2)] == [79, 45]


def test_a_first_start_weighs_nothing_that_was_before_it(tmp_path: Path) -> None:
    KernelLog(tmp_path / "kmsg", tmp_path / "state", BOOT)
    remembered = (tmp_path / "state").read_text()
    KernelLog(tmp_path / "kmsg", tmp_path / "state", BOOT)
    assert (tmp_path / "state").read_text() == remembered


async def heard(path: Path, state: Path, data: Iterable[bytes], count: int = 1) -> list[Event]:
    """What is found where `data` was written to a kernel log before anybody looked."""
    kmsg = FakeKmsg(path)
    try:
        for one in data:
            kmsg.say(one)
        return await gather(KernelLog(path, state, BOOT), count)
    finally:
        kmsg.close()


async def test_what_a_process_wrote_into_the_log_is_no_word_of_the_driver(
    tmp_path: Path, state: Path
) -> None:
    forged = record(1000, 79).replace(b"4,", b"12,", 1)
    found = await heard(tmp_path / "kmsg", state, [forged, record(1000, 31)])
    assert [event.code for event in found] == [31]


async def test_a_record_of_several_lines_is_one(tmp_path: Path, state: Path) -> None:
    lines = (
        "NVRM: The NVIDIA GPU 0000:3b:00.0",
        "NVRM: (PCI ID: 10de:2330) installed in this system has",
        "NVRM: fallen off the bus and is not responding to commands.",
    )
    escaped = r"\x0a".join(lines)
    escaped = f"3,0,1000,-;{escaped}\n SUBSYSTEM=pci\n DEVICE=+pci:0000:3b:00.0\n"
    raw = "3,1,4000000,-;" + "\n".join(lines) + "\n"
    found = await heard(tmp_path / "kmsg", state, [escaped.encode(), raw.encode()], 2)
    assert [(event.code, event.address) for event in found] == [(79, "0000:3b:00")] * 2


async def test_no_name_of_a_process_hides_a_line(tmp_path: Path, state: Path) -> None:
    names = [r"\x1b[2J", r"\x0d\x0a", r"a\x5cx", r"\xff\xfe", "a, b", ";4,1,1,-;"]
    lines = [
        f"4,{n},{1000 + n},-;NVRM: Xid (PCI:0000:3b:00): {40 + n}, pid=1, name={name}, Ch 1\n".encode()
        for n, name in enumerate(names)
    ]
    found = await heard(tmp_path / "kmsg", state, lines, len(names))
    assert [event.code for event in found] == [40, 41, 42, 43, 44, 45]


async def test_records_that_one_read_gives_together_or_in_parts_are_told_apart(
    tmp_path: Path, state: Path
) -> None:
    whole = b"".join(record(1000 + n, 13 + n % 100, n) for n in range(300))
    kmsg = tmp_path / "kmsg"
    os.mkfifo(kmsg)
    end = os.open(kmsg, os.O_RDWR | os.O_NONBLOCK)
    assert os.write(end, whole) == len(whole)
    found = await gather(KernelLog(kmsg, state, BOOT), 100)
    os.close(end)
    assert {event.code: event.count for event in found} == dict.fromkeys(range(13, 113), 3)


async def test_a_number_that_no_kernel_writes_is_none(tmp_path: Path, state: Path) -> None:
    told = [record(10**30, 31), record(1, 43, 10**30), b"4,1\n", record(2, 62)]
    found = await heard(tmp_path / "kmsg", state, told)
    assert [event.code for event in found] == [62]


async def test_numbers_that_were_passed_over_are_lines_that_nobody_read(
    tmp_path: Path, state: Path
) -> None:
    told = [record(1000, 31, 0), record(2000, 43, 1), record(3000, 62, 1001)]
    found = await heard(tmp_path / "kmsg", state, told, 4)
    assert [(event.kind, event.code, event.count, event.detail) for event in found] == [
        ("xid", 31, 1, ""),
        ("xid", 43, 1, ""),
        ("kernel_log_overrun", None, 999, "kernel"),
        ("xid", 62, 1, ""),
    ]


async def test_what_was_overwritten_while_the_agent_was_down_is_known_by_its_number(
    tmp_path: Path, state: Path
) -> None:
    await heard(tmp_path / "before", state, [record(1000, 31, 0)])
    again = [record(1000, 31, 0), record(900, 43, 11)]
    found = await heard(tmp_path / "after", state, again, 2)
    assert [(event.code, event.count) for event in found] == [(None, 10), (43, 1)]


async def test_on_a_first_start_nothing_was_anybodys_to_read(tmp_path: Path) -> None:
    later = 10**14
    told = [record(later, 31, 5000), record(later, 43, 5001)]
    found = await heard(tmp_path / "kmsg", tmp_path / "state", told, 2)
    assert [event.code for event in found] == [31, 43]


async def test_a_reader_that_was_overtaken_says_so(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kmsg, read, reads = FakeKmsg(tmp_path / "kmsg"), os.read, iter([False, True])

    def overtaken_once(file: int, most: int) -> bytes:
        if os.path.realpath(f"/proc/self/fd/{file}") == str(kmsg.path) and next(reads, False):
            raise BrokenPipeError
        return read(file, most)

    monkeypatch.setattr(os, "read", overtaken_once)
    kmsg.say(record(1, 31))
    kmsg.say(record(2, 43, 1))
    found = await gather(KernelLog(kmsg.path, state, BOOT), 3)
    kmsg.close()
    assert [(event.code, event.count) for event in found] == [(31, 1), (None, 1), (43, 1)]


async def test_a_flood_loses_no_code_and_no_device_and_counts_what_it_repeats(
    tmp_path: Path, state: Path
) -> None:
    cards = [f"0000:{bus:02x}:00" for bus in range(16)]
    kmsg = FakeKmsg(tmp_path / "kmsg")
    log = KernelLog(kmsg.path, state, BOOT)
    task = asyncio.create_task(log.follow())
    lines = [record(1000 + n * 250, 31, n, cards[n % 16]) for n in range(3990)]
    lines += [record(998_500 + n, 62 + n, 3990 + n, cards[n]) for n in range(10)]
    found: list[Event] = []
    for line in lines:
        await said_to(kmsg, line)
    async with asyncio.timeout(20):
        while sum(event.count for event in found) < 4000:
            await asyncio.sleep(0)
            found += log.take()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    kmsg.close()
    counted: dict[tuple[int | None, str | None], int] = {}
    for event in found:
        key = (event.code, event.address)
        counted[key] = counted.get(key, 0) + event.count
    assert {code for code, _ in counted} == {31, *range(62, 72)}
    assert {address for code, address in counted if code == 31} == set(cards)
    assert sum(counted.values()) == 4000
    assert all(event.kind is EventKind.XID for event in found)


async def said_to(kmsg: FakeKmsg, line: bytes) -> None:
    """As soon as there is room."""
    while True:
        try:
            kmsg.say(line)
        except BlockingIOError:
            await asyncio.sleep(0)
        else:
            return


def test_the_agents_own_overflow_is_a_number_and_the_fatal_ones_stay() -> None:
    held = Heard()
    line = parse_line(f"{IN}): 31, Ch 1", 1)
    assert line is not None
    for number in range(MOST):
        held.add(replace(line, code=10_000 + number))
    held.add(replace(line, code=62))
    held.add(replace(line, code=20_000))
    held.add(replace(line, code=10_007, boottime_us=9_000_000))
    events = held.events()
    counts = {event.code: event.count for event in events}
    assert (len(events), counts[62], counts[10_007], counts[None]) == (MOST + 1, 1, 2, 2)
    assert events[-1].kind is EventKind.KERNEL_LOG_OVERRUN


def test_once_full_what_is_alike_is_counted_together_before_anything_is_lost() -> None:
    held = Heard()
    line = parse_line(f"{IN}): 145, RLW Nonfatal Link 01", 1)
    assert line is not None
    for number in range(MOST):
        held.add(replace(line, link=number))
    held.add(replace(line, code=999))
    counts = [event.count for event in held.events() if event.code == 145]
    assert (len(counts), sum(counts)) == (MOST - 1, MOST)
    assert [event.count for event in held.events() if event.code == 999] == [1]


def test_the_same_is_one_event_within_a_second_of_the_first() -> None:
    held = Heard()
    line = parse_line(f"{IN}): 31, Ch 1", 0)
    assert line is not None
    for at_us in (0, 1_000_000, 1_000_001, 2_000_001):
        held.add(replace(line, boottime_us=at_us))
    assert [(event.boottime_us, event.count) for event in held.events()] == [(0, 2), (1_000_001, 2)]


async def test_a_card_is_named_by_the_kernel_before_its_first_xid(
    tmp_path: Path, state: Path
) -> None:
    lines = [
        f"4,0,1,-;NVRM: GPU at PCI:0000:3b:00: {UUID}\n",
        "4,1,2,-;NVRM: GPU Board Serial Number: 1653923026510\n",
    ]
    told = [*(line.encode() for line in lines), record(3, 79, 2)]
    found = await heard(tmp_path / "kmsg", state, told, 3)
    assert [(event.kind, event.device, event.detail) for event in found] == [
        ("kernel_identity", UUID, ""),
        ("kernel_identity", UUID, "1653923026510"),
        ("xid", None, ""),
    ]


Speak = Callable[..., None]


@pytest.fixture
def speak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Speak:
    """Makes a journalctl that tells of these lines; the file `asked` holds what it was asked for."""
    fake = tmp_path / "journalctl"
    fake.write_text(
        f'#!/bin/sh\necho "$@" >{tmp_path}/asked\ncat {tmp_path}/lines\nexec sleep 60\n'
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def written(*entries: dict[str, Any] | str) -> None:
        lines = [one if isinstance(one, str) else json.dumps(one) for one in entries]
        (tmp_path / "lines").write_text("\n".join(lines) + "\n")

    return written


def entry(message: Any, at_us: int, **more: Any) -> dict[str, Any]:
    """As the journal tells of a record of the kernel."""
    told = {"_TRANSPORT": "kernel", "SYSLOG_FACILITY": "0", **more}
    return {"MESSAGE": message, "__MONOTONIC_TIMESTAMP": str(at_us), **told}


@pytest.fixture
def journal(speak: Speak) -> None:
    """It tells of two XIDs, 31 and 62."""
    speak(
        "not json",
        "[]",
        json.dumps(entry(f"{IN}): 13, x", 10**15)),
        json.dumps(entry(f"{IN}): 13, x", 1) | {"__MONOTONIC_TIMESTAMP": ["x"]}),
        '{"MESSAGE": [1, 2], "__MONOTONIC_TIMESTAMP": "7"}',
        '{"MESSAGE": "NVRM: Xid (PCI:0000:3b:00): 31, pid=1", "__MONOTONIC_TIMESTAMP": "900"}',
        '{"MESSAGE": "NVRM: Xid (PCI:0000:3b:00): 62", "__MONOTONIC_TIMESTAMP": "1",'
        ' "_SOURCE_MONOTONIC_TIMESTAMP": "1000"}',
    )


async def test_every_form_of_a_message_in_the_journal_is_read(
    tmp_path: Path, state: Path, speak: Speak
) -> None:
    line = f"{IN}): 31, pid=1, name=%s, Ch 1".encode()
    several = ["nothing", list(line.replace(b"31", b"34") % b"\x1b")]
    speak(
        entry(list(line % b"\xff"), 1),
        entry(list(line.replace(b"31", b"32") % b"\x00\r\x7f"), 2),
        entry(["nothing", (line.replace(b"31", b"33") % b"t").decode()], 3),
        entry(several, 4, SYSLOG_FACILITY=["0", "0"], _TRANSPORT=["kernel"]),
        entry((line.replace(b"31", b"35") % b"t").decode() + " " * 70_000, 5),
    )
    found = await gather(KernelLog(tmp_path / "nothing", state, BOOT), 5)
    assert [event.code for event in found] == [31, 32, 33, 34, 35]
    assert "--all" in (tmp_path / "asked").read_text().split()


@pytest.mark.parametrize("stamp", [None, "x", [], ["x", "7"], "1" * 16, {}])
async def test_a_record_whose_own_stamp_is_none_is_read_at_the_journals(
    tmp_path: Path, state: Path, speak: Speak, stamp: Any
) -> None:
    speak(entry(f"{IN}): 79, gone", 5, _SOURCE_MONOTONIC_TIMESTAMP=stamp))
    (found,) = await gather(KernelLog(tmp_path / "nothing", state, BOOT), 1)
    assert found.code == 79


async def test_what_a_process_wrote_is_no_word_of_the_driver_in_the_journal_either(
    tmp_path: Path, state: Path, speak: Speak
) -> None:
    line = f"{IN}): 79, gone"
    speak(
        entry(line, 1, SYSLOG_FACILITY="1"),
        entry(line, 2, _TRANSPORT="syslog"),
        entry(line, 3, SYSLOG_FACILITY=["0", "3"]),
        entry(line.replace("79", "62"), 4),
    )
    found = await gather(KernelLog(tmp_path / "nothing", state, BOOT), 1)
    assert [event.code for event in found] == [62]


async def test_a_message_that_the_journal_keeps_to_itself_is_a_line_lost(
    tmp_path: Path, state: Path, speak: Speak
) -> None:
    speak(entry(None, 1), entry("x" * (1 << 21), 2), entry(f"{IN}): 62, x", 3))
    found = await gather(KernelLog(tmp_path / "nothing", state, BOOT), 3)
    lost = [event.count for event in found if event.kind is EventKind.KERNEL_LOG_OVERRUN]
    assert (sum(lost), {event.detail for event in found}) == (2, {"journal", ""})
    assert [event.code for event in found if event.kind is EventKind.XID] == [62]


async def test_of_lines_with_one_stamp_a_restart_reads_those_that_were_not_read(
    tmp_path: Path, state: Path, speak: Speak
) -> None:
    lines = [entry(f"{IN}): {code}, x", 5) for code in (31, 43, 62)]
    speak(*lines[:2])
    await gather(KernelLog(tmp_path / "nothing", state, BOOT), 2)
    speak(*lines)
    found = await gather(KernelLog(tmp_path / "nothing", state, BOOT), 1)
    assert [event.code for event in found] == [62]


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
    found: list[Event] = []
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
