"""Follows the kernel log: /dev/kmsg where it may be read, else the journal (group systemd-journal).

After a restart the log is read from where it was left in the same boot.
"""

import asyncio
import errno
import json
import logging
import os
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path

from msgspec.structs import replace

from agent.host.kernel_log.gathering import Heard, overrun
from agent.host.kernel_log.lines import FELL_OFF_THE_BUS, board_serial, parse_line
from agent.host.kernel_log.merging import WINDOW_US
from agent.host.kernel_log.records import (
    FACILITY,
    KERNEL_STAMP,
    MESSAGE,
    TRANSPORT,
    KernelRecord,
    KmsgRecords,
    journal_record,
)
from weighbridge.process.files import write_file
from weighbridge.wire.report import Event, EventKind

log = logging.getLogger(__name__)

_RETRY_S = 30
_READ_BYTES = 8192
"""The longest record of /dev/kmsg; a shorter read of one fails."""
_LINE_BYTES = 1 << 20
_REMEMBER_US = 60_000_000
JOURNAL = (
    "journalctl",
    "--dmesg",
    "--follow",
    "--no-tail",
    "--all",
    "--output=json",
    f"--output-fields={MESSAGE},{TRANSPORT},{FACILITY},{KERNEL_STAMP}",
)
"""`--all`: else a message from 4,088 bytes on is null."""


@dataclass(frozen=True, slots=True)
class _Place:
    """How far the log was read in one boot: the stamp of the last record, how many bore it, and its number."""

    monotonic_us: int = -1
    alike: int = 0
    sequence: int | None = -1

    def after(self, record: KernelRecord) -> "_Place":
        alike = self.alike if record.monotonic_us == self.monotonic_us else 0
        sequence = self.sequence if record.sequence is None else record.sequence
        return _Place(max(record.monotonic_us, self.monotonic_us), alike + 1, sequence)


class KernelLog:
    """Follows the kernel log and keeps what it finds until `take`. `state` remembers how far it came.

    The kernel stamps its lines by CLOCK_MONOTONIC, and by those stamps and its numbers the place is kept.
    """

    def __init__(self, kmsg: Path, state: Path, boot: str) -> None:
        self._kmsg, self._state, self._boot = kmsg, state, boot
        self._heard = Heard()
        self._falls: dict[str, tuple[int, bool]] = {}
        self._named: Event | None = None
        self._place = self._left = self._recall()
        self._passed = 0
        self._overtaken = False
        self._remember()

    def take(self) -> list[Event]:
        """What was found since the last call: each of a PCI address, and of no device yet."""
        heard, self._heard = self._heard, Heard()
        found = heard.events()
        if found or self._place.monotonic_us - self._kept.monotonic_us >= _REMEMBER_US:
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
        self._left, self._passed = self._place, 0
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
        records = KmsgRecords()

        def readable() -> None:
            try:
                self._drain(file, records)
            except OSError as error:
                loop.remove_reader(file)
                if not failed.done():
                    failed.set_exception(error)

        try:
            self._drain(file, records)
            loop.add_reader(file, readable)
            await failed
        finally:
            loop.remove_reader(file)
            os.close(file)

    def _drain(self, file: int, records: KmsgRecords) -> None:
        """kmsg gives one record per read and never ends; EPIPE says that some were overwritten unread."""
        while True:
            try:
                data = os.read(file, _READ_BYTES)
            except BlockingIOError:
                return
            except BrokenPipeError:
                self._overtaken = True
                continue
            for record in records.add(data):
                self._consider(record)
            if not data:
                raise OSError(errno.ENODATA, f"nobody writes to {self._kmsg}")

    async def _read_journal(self) -> None:
        process = await asyncio.create_subprocess_exec(
            *JOURNAL,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=_LINE_BYTES,
        )
        try:
            async for line in _lines(process.stdout):
                self._consider_journal(line)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()

    def _consider_journal(self, line: bytes | None) -> None:
        if line is None:
            self._heard.add(overrun(1, "journal", _now_us() + suspended_us()))
            return
        record = journal_record(line)
        if record is not None:
            self._consider(record)

    def _consider(self, record: KernelRecord) -> None:
        if self._is_known(record):
            return
        self._count_lost(record)
        self._place = self._place.after(record)
        if not record.own:
            return
        at_us = record.monotonic_us + suspended_us()
        for text in record.texts:
            if text is None:
                self._heard.add(overrun(1, "journal", at_us))
            elif "NVRM" in text or "SXid" in text:
                self._hear(text, at_us)

    def _is_known(self, record: KernelRecord) -> bool:
        """Whether it was read before this start. Stamps need not rise strictly, nor need there be a number."""
        left, number = self._left, record.sequence
        if number is not None and left.sequence is not None:
            return number <= left.sequence and record.monotonic_us <= left.monotonic_us
        if record.monotonic_us != left.monotonic_us:
            return record.monotonic_us < left.monotonic_us
        self._passed += 1
        return self._passed <= left.alike

    def _count_lost(self, record: KernelRecord) -> None:
        """Numbers that are passed over were overwritten before they could be read."""
        last, number = self._place.sequence, record.sequence
        if last is None or number is None:
            return
        lost = max(number - last - 1, int(self._overtaken))
        self._overtaken = False
        if lost > 0:
            self._heard.add(overrun(lost, "kernel", record.monotonic_us + suspended_us()))

    def _hear(self, text: str, at_us: int) -> None:
        serial = board_serial(text)
        named, self._named = self._named, None
        event = parse_line(text, at_us)
        if serial is not None and named is not None:
            self._heard.add(replace(named, detail=serial))
        elif event is not None and not self._told_twice(event, "Xid (" in text):
            self._heard.add(event)
            self._named = event if event.kind is EventKind.KERNEL_IDENTITY else None

    def _told_twice(self, event: Event, as_xid: bool) -> bool:
        """The driver writes two lines when a GPU falls off the bus, one of them without an XID."""
        if event.code != FELL_OFF_THE_BUS or event.address is None:
            return False
        at_us, before_as_xid = self._falls.pop(event.address, (0, as_xid))
        if before_as_xid != as_xid and event.boottime_us - at_us <= WINDOW_US:
            return True
        self._falls[event.address] = (event.boottime_us, as_xid)
        return False

    def _recall(self) -> _Place:
        """Where the log was left in this boot; on a first start, now: older faults were nobody's to weigh."""
        try:
            known = json.loads(self._state.read_text())
            if known["boot"] != self._boot:
                return _Place()
            place = (known["monotonic_us"], known.get("alike", 1), known.get("sequence"))
            return _Place(
                int(place[0]), int(place[1]), place[2] if place[2] is None else int(place[2])
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return _Place(_now_us(), 1, None)

    def _remember(self) -> None:
        self._kept = self._place
        record = json.dumps({"boot": self._boot, **asdict(self._place)})
        try:
            write_file(self._state, record.encode())
        except OSError as error:
            log.warning("the place in the kernel log is not kept: %s", error.strerror)


def _now_us() -> int:
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def suspended_us() -> int:
    """CLOCK_BOOTTIME less CLOCK_MONOTONIC, by which the kernel stamps its log."""
    return (
        time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    ) // 1000


async def _lines(stream: asyncio.StreamReader | None) -> AsyncIterator[bytes | None]:
    """Lines of the journal; None for one beyond the reader's limit."""
    while stream is not None:
        try:
            line = await stream.readline()
        except ValueError:
            yield None
            continue
        if not line:
            return
        yield line
