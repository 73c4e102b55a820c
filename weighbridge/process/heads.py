"""The newest head of a log that its keeper was found to stand by, on the disk, and the heads that contradict it."""

import contextlib
from pathlib import Path

from weighbridge.log.checkpoint import Head, read_head
from weighbridge.log.witnessing import LogFault
from weighbridge.process.files import write_file, write_new_file
from weighbridge.wire.signing import SignatureError

NEWEST = "newest-head"
KEPT, SHOWN = ".kept", ".shown"


class HeadMemory:
    """Files in a directory that has one user. Each is whole after a crash.

    `newest` is never replaced by a head that contradicts it: both stay as evidence, `log_forked.kept` and
    `log_forked.shown` or the same of `log_shrank`, until somebody takes them away.
    """

    def __init__(self, directory: Path) -> None:
        """Raises SignatureError where the file holds no head, OSError where it cannot be read."""
        self.directory = directory
        self.newest: Head | None = None
        with contextlib.suppress(FileNotFoundError):
            self.newest = read_head((directory / NEWEST).read_text("utf-8"))

    @property
    def fault(self) -> LogFault | None:
        """How the log was caught, if it was."""
        for fault in LogFault:
            if self.evidence(fault).exists():
                return fault
        return None

    def evidence(self, fault: LogFault) -> Path:
        """The file of the head that was shown."""
        return self.directory / (fault + SHOWN)

    def pair(self, fault: LogFault) -> list[Head]:
        """The head that was kept and the one that was shown, as far as they can be read."""
        found = []
        for suffix in (KEPT, SHOWN):
            with contextlib.suppress(OSError, ValueError):
                found.append(read_head((self.directory / (fault + suffix)).read_text("utf-8")))
        return found

    def keep(self, head: Head) -> None:
        """Durable when it returns."""
        write_file(self.directory / NEWEST, head.note.encode())
        self.newest = head

    def accuse(self, fault: LogFault, shown: Head) -> Path:
        """Keep both heads as evidence; the first pair of a kind stays. Returns the file of the head that was shown."""
        if self.newest is None:
            raise SignatureError("no head is kept that this one could contradict")
        for suffix, head in ((KEPT, self.newest), (SHOWN, shown)):
            with contextlib.suppress(FileExistsError):
                write_new_file(self.directory / (fault + suffix), head.note.encode())
        return self.evidence(fault)
