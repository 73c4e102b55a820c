"""Records of the kernel log as /dev/kmsg and the journal hand them out.

`KMSG` is the format of Documentation/ABI/testing/dev-kmsg: `priority,sequence,microseconds,flags;text`, control
characters and bytes from 127 on written as `\\xNN`, then lines of a dictionary that begin with a space. The journal is
read as `journalctl --output=json`: a value is text, an array of its bytes where it is no printable UTF-8, an array of
values where its field stands more than once, or null where it was too long.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

MESSAGE, TRANSPORT, FACILITY = "MESSAGE", "_TRANSPORT", "SYSLOG_FACILITY"
KERNEL_STAMP, JOURNAL_STAMP = "_SOURCE_MONOTONIC_TIMESTAMP", "__MONOTONIC_TIMESTAMP"
_LONGEST = 1 << 16
_NUMBER = rb"(\d{1,15})"
"""What is longer is none, and would fit no report."""
_NEXT = re.compile(rb"\n(?=\d+,\d+,\d+,)")
_HEAD = re.compile(_NUMBER + b"," + _NUMBER + b"," + _NUMBER + b",[^;]*;")
_STAMP = re.compile(r"\A\d{1,15}\Z")
_DICTIONARY = re.compile(rb"\n [A-Z0-9_]+=.*", re.DOTALL)
_ESCAPED = re.compile(rb"\\x([0-9a-fA-F]{2})")


@dataclass(frozen=True, slots=True)
class KernelRecord:
    """When it was written (CLOCK_MONOTONIC), and its texts: None for one that the journal keeps to itself.

    `own`: by the kernel and not by a process. `sequence`: its number in the kernel's buffer, where that is told.
    """

    monotonic_us: int
    texts: Sequence[str | None]
    own: bool
    sequence: int | None = None


class KmsgRecords:
    """Puts together what is read of /dev/kmsg: it gives one record a read, a pipe or a file any number and parts."""

    def __init__(self) -> None:
        self._rest = b""

    def add(self, data: bytes) -> Iterator[KernelRecord]:
        """The records that are whole now. At the end of a file, what is left of one is given for empty data."""
        pieces = _NEXT.split(self._rest + data)
        whole = not data or data.endswith(b"\n")
        self._rest = b"" if whole else pieces.pop()[-_LONGEST:]
        return filter(None, map(_kmsg_record, pieces))


def _kmsg_record(piece: bytes) -> KernelRecord | None:
    head = _HEAD.match(piece)
    if head is None:
        return None
    priority, sequence, microseconds = map(int, head.groups())
    text = _DICTIONARY.sub(b"", piece[head.end() :]).removesuffix(b"\n")
    text = _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), text)
    return KernelRecord(microseconds, [_decoded(text)], priority >> 3 == 0, sequence)


def journal_record(line: bytes) -> KernelRecord | None:
    """The entry in a line of `journalctl`, None where it is none."""
    try:
        entry = json.loads(line)
        told = (_stamp(entry.get(name, "")) for name in (KERNEL_STAMP, JOURNAL_STAMP))
        monotonic_us = next(stamp for stamp in told if stamp is not None)
        texts = _values(entry[MESSAGE])
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
        StopIteration,
    ):
        return None
    own = set(_values(entry.get(TRANSPORT, []))) <= {"kernel"}
    own = own and set(_values(entry.get(FACILITY, []))) <= {"0"}
    return KernelRecord(monotonic_us, texts, own)


def _stamp(value: Any) -> int | None:
    """None for what the journal writes where it has no such number."""
    told = _values(value)
    return int(told[0]) if told and told[0] is not None and _STAMP.match(told[0]) else None


def _values(value: Any) -> list[str | None]:
    """Every value of a field."""
    if isinstance(value, list) and not all(isinstance(item, int) for item in value):
        return [text for item in value for text in _values(item)]
    if isinstance(value, list):
        return [_decoded(bytes(item & 0xFF for item in value))] if value else []
    return [value if isinstance(value, str) else None]


def _decoded(text: bytes) -> str:
    return text.decode(errors="replace")
