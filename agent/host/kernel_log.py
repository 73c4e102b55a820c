"""XIDs from the kernel log: it still speaks when NVML is dead, and knows codes that NVML leaves out.

Only codes leave this file, never text: a line names the tenant's process. The source is /dev/kmsg where it may be read,
else the journal (group systemd-journal). After a restart the log is read from where it was left in the same boot.
"""

import asyncio
import errno
import json
import logging
import os
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from weighbridge.process.files import write_file
from weighbridge.wire.report import Device, Event, EventKind

log = logging.getLogger(__name__)

WINDOW_US = 2_000_000
FELL_OFF_THE_BUS = 79
_ADDRESS = r"([0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2})(?:\.[0-9a-fA-F])?"
_XID = re.compile(rf"NVRM: Xid \(PCI:{_ADDRESS}\): (\d{{1,5}})\b")
_FALLEN = re.compile(rf"NVRM: GPU (?:at PCI:)?{_ADDRESS}:? .*fallen off the bus")
_RETRY_S = 30
_LONGEST_RECORD = 8192
_KERNEL_STAMP = "_SOURCE_MONOTONIC_TIMESTAMP"
JOURNAL = (
    "journalctl",
    "--dmesg",
    "--follow",
    "--no-tail",
    "--output=json",
    f"--output-fields=MESSAGE,{_KERNEL_STAMP}",
)


@dataclass(frozen=True, slots=True)
class KernelXid:
    """One XID line: when the kernel wrote it (CLOCK_BOOTTIME), the PCI address it names, the code."""

    boottime_us: int
    address: str
    code: int


def parse_line(text: str, boottime_us: int) -> KernelXid | None:
    """The XID in a line of the kernel log, if it has one."""
    match = _XID.search(text)
    if match:
        return KernelXid(boottime_us, normal_address(match[1]), int(match[2]))
    match = _FALLEN.search(text)
    if match:
        return KernelXid(boottime_us, normal_address(match[1]), FELL_OFF_THE_BUS)
    return None


def normal_address(address: str) -> str:
    """`00000000:3B:00.0` and `0000:3b:00` -> `0000:3b:00`: the domain has 4 or 8 digits, functions share a card."""
    domain, bus, device = address.lower().partition(".")[0].split(":")
    return f"{int(domain, 16):04x}:{bus}:{device}"


def addresses(devices: Sequence[Device]) -> dict[str, str]:
    """PCI address -> UUID, of the GPUs enumerated."""
    found = {}
    for device in devices:
        address = device.identity.readings.get("pci_bus_id")
        if isinstance(address, str) and device.parent is None:
            found[normal_address(address)] = device.uuid
    return found


class XidMerger:
    """One event for what both sources saw: same device and code, at most 2 s apart. Each sighting pairs once.

    Repeats within one source are repeats of the fault and all stay. The first to arrive is kept, with its source.
    """

    def __init__(self) -> None:
        self._unpaired: deque[Event] = deque(maxlen=256)

    def merge(self, events: Sequence[Event]) -> list[Event]:
        """The events that say something new, in order."""
        return [event for event in events if event.kind is not EventKind.XID or self._is_new(event)]

    def _is_new(self, event: Event) -> bool:
        for other in self._unpaired:
            if _same(other, event):
                self._unpaired.remove(other)
                return False
        self._unpaired.append(event)
        return True


def _same(one: Event, other: Event) -> bool:
    return (
        one.source != other.source
        and (one.device, one.code) == (other.device, other.code)
        and abs(one.boottime_us - other.boottime_us) <= WINDOW_US
    )


def to_event(xid: KernelXid, known: Mapping[str, str]) -> Event:
    """An event against the device at that address; of an unknown one the address is all there is to tell."""
    device = known.get(xid.address)
    return Event(
        boottime_us=xid.boottime_us,
        kind=EventKind.XID,
        device=device,
        code=xid.code,
        source="kernel",
        detail="" if device else f"PCI {xid.address}",
    )


class KernelLog:
    """Follows the kernel log and keeps what it finds until `take`. `state` remembers how far it came.

    The kernel stamps its lines by CLOCK_MONOTONIC, and by those stamps the place is kept.
    """

    def __init__(self, kmsg: Path, state: Path, boot: str) -> None:
        self._kmsg, self._state, self._boot = kmsg, state, boot
        self._found: deque[KernelXid] = deque(maxlen=1024)
        self._last_fall: dict[str, int] = {}
        self._seen_us = self._left_us = self._recall_us()
        self._remember()

    def take(self) -> list[KernelXid]:
        """The XIDs found since the last call."""
        found = list(self._found)
        self._found.clear()
        if found:
            self._remember()
        return found

    async def follow(self) -> None:
        """Read for ever; a log that cannot be read is tried again, and said once."""
        said = False
        while True:
            try:
                await self._read()
            except OSError as error:
                if not said:
                    log.warning("the kernel log cannot be read: %s", error.strerror)
                    said = True
            await asyncio.sleep(_RETRY_S)

    async def _read(self) -> None:
        """From the beginning of what the log still holds; what was seen before is passed over."""
        self._left_us = self._seen_us
        file = self._opened()
        if file is None:
            await self._read_journal()
        else:
            await self._read_kmsg(file)

    def _opened(self) -> int | None:
        """None where it does not open. Only trying tells: kernel.dmesg_restrict forbids what the file's mode allows."""
        try:
            return os.open(self._kmsg, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None

    async def _read_kmsg(self, file: int) -> None:
        loop = asyncio.get_running_loop()
        failed: asyncio.Future[None] = loop.create_future()

        def readable() -> None:
            try:
                self._drain(file)
            except OSError as error:
                loop.remove_reader(file)
                if not failed.done():
                    failed.set_exception(error)

        try:
            self._drain(file)
            loop.add_reader(file, readable)
            await failed
        finally:
            loop.remove_reader(file)
            os.close(file)

    def _drain(self, file: int) -> None:
        """kmsg gives one record per read and never ends; EPIPE says that some were overwritten unread."""
        while True:
            try:
                record = os.read(file, _LONGEST_RECORD)
            except BlockingIOError:
                return
            except BrokenPipeError:
                continue
            if not record:
                raise OSError(errno.ENODATA, f"nobody writes to {self._kmsg}")
            self._consider_record(record.decode(errors="replace"))

    def _consider_record(self, record: str) -> None:
        """`priority,sequence,microseconds,flags;text`: the format of /dev/kmsg (Documentation/ABI/testing/dev-kmsg)."""
        head, _, text = record.partition(";")
        fields = head.split(",")
        if len(fields) > 2 and fields[2].isdigit():
            self._consider(text, int(fields[2]))

    async def _read_journal(self) -> None:
        process = await asyncio.create_subprocess_exec(
            *JOURNAL,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async for line in _lines(process.stdout):
                self._consider_journal(line)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()

    def _consider_journal(self, line: bytes) -> None:
        try:
            entry = json.loads(line)
            text = entry["MESSAGE"]
            monotonic_us = int(entry.get(_KERNEL_STAMP) or entry["__MONOTONIC_TIMESTAMP"])
        except (ValueError, KeyError, TypeError, AttributeError):
            return
        if isinstance(text, str):
            self._consider(text, monotonic_us)

    def _consider(self, text: str, monotonic_us: int) -> None:
        if monotonic_us <= self._left_us:
            return
        xid = parse_line(text, monotonic_us + suspended_us())
        if xid is not None:
            self._seen_us = monotonic_us
            if not self._told_twice(xid):
                self._found.append(xid)

    def _told_twice(self, xid: KernelXid) -> bool:
        """The driver writes two lines when a GPU falls off the bus, one of them without an XID."""
        if xid.code != FELL_OFF_THE_BUS:
            return False
        before = self._last_fall.get(xid.address)
        self._last_fall[xid.address] = xid.boottime_us
        return before is not None and xid.boottime_us - before <= WINDOW_US

    def _recall_us(self) -> int:
        """Where the log was left in this boot; on a first start, now: older faults were nobody's to weigh."""
        try:
            known = json.loads(self._state.read_text())
            if known["boot"] == self._boot:
                return int(known["monotonic_us"])
            return 0
        except (OSError, ValueError, KeyError, TypeError):
            return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000

    def _remember(self) -> None:
        record = json.dumps({"boot": self._boot, "monotonic_us": self._seen_us})
        try:
            write_file(self._state, record.encode())
        except OSError as error:
            log.warning("the place in the kernel log is not kept: %s", error.strerror)


def suspended_us() -> int:
    """CLOCK_BOOTTIME less CLOCK_MONOTONIC, by which the kernel stamps its log."""
    return (
        time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    ) // 1000


async def _lines(stream: asyncio.StreamReader | None) -> AsyncIterator[bytes]:
    """Lines of the journal; one beyond the reader's limit is skipped."""
    while stream is not None:
        try:
            line = await stream.readline()
        except ValueError:
            continue
        if not line:
            return
        yield line
