"""The keys of a log that somebody pinned one of: it is followed along the log's own announcements, and never back."""

import contextlib
from pathlib import Path

from weighbridge.log.succession import LogKeys
from weighbridge.process.files import write_file
from weighbridge.wire.signing import SignatureError

FILE = "log-succession"


class LogTrust:
    """`keys` leads on from the pinned key by what `FILE` in a directory holds, a line for each announcement.

    The file is verified whenever it is read: one that was damaged, or is another log's, leads nowhere, and is fetched
    anew.
    """

    def __init__(self, pinned: bytes, directory: Path) -> None:
        self._file = directory / FILE
        self.keys = LogKeys(pinned)
        with contextlib.suppress(OSError, SignatureError):
            self.keys = self.keys.followed(self._file.read_bytes().splitlines())

    def follow(self, answer: bytes) -> bool:
        """What the log says of its keys. Whether there was a new one; it is durable then.

        Raises SignatureError for what the newest key that is known did not lead to, OSError where the disk refuses.
        """
        keys = self.keys.follow(answer)
        if keys == self.keys:
            return False
        write_file(self._file, b"".join(leaf + b"\n" for leaf in keys.leaves))
        self.keys = keys
        return True
