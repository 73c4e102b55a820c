"""What the NVML child and its parent share: frames over one stream socket, the mark of the call in progress, statuses.

The child answers requests in order; a frame of kind EVENT may come between. A sweep travels as raw integers.
"""

import mmap
import os
import struct
from enum import IntEnum
from functools import cache

from weighbridge.catalogue.readings import OF_GPUS, READINGS, Reading, Tier

_HEADER = struct.Struct("<BI")
MARK_BYTES = 1 << 20
"""Room for the calls of 16 GPUs of seven slices each; what is not written takes no memory."""

NAMES_AT = 16

OK = 0
NOT_SUPPORTED = 3
NOT_FOUND = 6
FUNCTION_NOT_FOUND = 13
NOT_READY = 27
NO_SUCH_GPU = 28
GPU_IS_LOST = 15
RESET_REQUIRED = 16
UNDECODABLE = 240
OUT_OF_RANGE = 241
QUARANTINED = 242
OTHER = 255

GPM_APART_SECONDS = 0.2
"""Between the two samples of a GPM metric. The library's header asks for more than 0.1."""

EVERY_CALL = "*"
ANY_DEVICE = "*"
NODE = "node"
"""The device by which calls about no device are marked."""
EVENTS = "events"
"""That by which waiting for events is."""

DRIVER_AWAY = frozenset({1, 9})
LIBRARY_MISSING, LIBRARY_OF_ANOTHER_VERSION = 12, 18
LIFE_CYCLE = DRIVER_AWAY | {LIBRARY_MISSING, LIBRARY_OF_ANOTHER_VERSION}
"""NVML codes that only a new child can cure: uninitialized or no driver, no library, one of another version."""


class FrameKind(IntEnum):
    """The kind of a frame: what it asks or answers."""

    HELLO = 1
    IDENTIFY = 2
    FAST = 3
    SLOW = 4
    PROCESSES = 5
    RECORD = 6
    EVENT = 7


def status_of(code: int) -> int:
    """An NVML return code, or a status of our own, as the byte that travels: 999 ("unknown") becomes OTHER."""
    return code if 0 <= code < OTHER else OTHER


@cache
def rows(tier: Tier) -> tuple[Reading, ...]:
    """The readings of devices in one tier, in the order in which a sweep carries them.

    Those read as NVML fields stand last, in one run, so that one batch of fields fills one run of numbers.
    """
    chosen = [row for row in READINGS if row.tier is tier and row.scope in OF_GPUS]
    return tuple(sorted(chosen, key=lambda row: row.source.startswith("field ")))


def pack(kind: FrameKind, sequence: int, payload: bytes) -> bytes:
    """What a frame holds."""
    return _HEADER.pack(kind, sequence) + payload


def unpack(data: bytes) -> tuple[FrameKind, int, bytes]:
    """FrameKind, sequence and payload. Raises ValueError for no such frame."""
    if len(data) < _HEADER.size:
        raise ValueError("shorter than its header")
    kind, sequence = _HEADER.unpack_from(data)
    return FrameKind(kind), sequence, data[_HEADER.size :]


class Mark:
    """The call in progress, in memory that both processes see, so that the parent can name a call that hangs.

    `slot[0]` is the number of the call, 0 between calls, `beside[0]` that of the thread that waits for events; the
    calls are listed behind them when they are first planned.
    """

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap.mmap(descriptor, MARK_BYTES)
        self.slot = memoryview(self._memory)[:8].cast("q")
        self.beside = memoryview(self._memory)[8:NAMES_AT].cast("q")
        self._end = NAMES_AT
        self._count = 0

    @staticmethod
    def create() -> int:
        """A descriptor of fresh shared memory."""
        descriptor = os.memfd_create("weighbridge-mark")
        os.truncate(descriptor, MARK_BYTES)
        return descriptor

    def register(self, device: str, call: str) -> int:
        """The number by which `slot` names this call on this device. Past the end of the memory: 0, nameless."""
        line = f"{device}\t{call}\n".encode()
        if self._end + len(line) > MARK_BYTES:
            return 0
        self._memory[self._end : self._end + len(line)] = line
        self._end += len(line)
        self._count += 1
        return self._count

    def current(self) -> tuple[str, str] | None:
        """(device, call) in progress, None between calls."""
        return self._named(self.slot[0])

    def waiting(self) -> tuple[str, str] | None:
        """The same of the thread that waits for events."""
        return self._named(self.beside[0])

    def _named(self, number: int) -> tuple[str, str] | None:
        if number == 0:
            return None
        end = self._memory.find(b"\0", NAMES_AT)
        lines = self._memory[NAMES_AT:end].split(b"\n", number)
        device, call = lines[number - 1].decode().split("\t")
        return device, call

    def close(self) -> None:
        self.slot.release()
        self.beside.release()
        self._memory.close()
