"""RFC 3161 timestamps of heads: what is asked of an authority, and what its answer proves.

The program `openssl ts` asks and verifies: it takes whatever order of certificates and fractions of a second an
authority answers with, and is on every machine that a court would use.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

OPENSSL = "openssl"
MOST_ANSWER_BYTES = 24 << 10
WITHIN_S = 30
_TIME = re.compile(
    r"^Time stamp: (\w{3}) +(\d+) (\d\d:\d\d:\d\d)(?:\.\d+)? (\d{4}) GMT$", re.MULTILINE
)


class TimestampError(Exception):
    """This is no timestamp of that by that authority. The message says why."""


class NoOpensslError(TimestampError):
    """Nothing can be said without the program."""


@dataclass(frozen=True, slots=True)
class Asking:
    """A request for a timestamp of a head's text, with a nonce of its own."""

    note: str
    request: bytes

    def check(self, answer: bytes, authority: Path) -> int:
        """When the answer says that the head existed, as `when` has it. Raises TimestampError."""
        with _files(note=self.note.encode(), answer=answer, request=self.request) as files:
            return _verified(files, ["-queryfile", files / "request"], authority)


def ask(note: str) -> Asking:
    """Raises NoOpensslError."""
    with _files(note=note.encode()) as files:
        request = _openssl("-query", "-data", files / "note", "-sha256", "-cert")
        return Asking(note, request)


def when(note: str, answer: bytes, authority: Path) -> int:
    """At which second, of Unix time, the authority says that this head existed. Raises TimestampError.

    `authority`: the certificates that are trusted, as PEM; they had to be valid then.
    """
    with _files(note=note.encode(), answer=answer) as files:
        return _verified(files, ["-data", files / "note"], authority)


def _verified(files: Path, what: Sequence[str | Path], authority: Path) -> int:
    told = _openssl("-reply", "-in", files / "answer", "-text").decode("utf-8", "replace")
    found = _TIME.findall(told)
    if len(found) != 1:
        raise TimestampError("an answer without a timestamp")
    month, day, time, year = found[0]
    said = datetime.strptime(f"{month} {day} {time} {year} +0000", "%b %d %H:%M:%S %Y %z")
    at_s = int(said.timestamp())
    trusted = ("-CAfile", authority, "-attime", str(at_s))
    _openssl("-verify", *what, "-in", files / "answer", *trusted)
    return at_s


@contextmanager
def _files(**contents: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="weighbridge-") as made:
        for name, data in contents.items():
            (Path(made) / name).write_bytes(data)
        yield Path(made)


def _openssl(*arguments: str | Path) -> bytes:
    program = shutil.which(OPENSSL)
    if program is None:
        raise NoOpensslError(f"the program {OPENSSL} is not here")
    try:
        done = subprocess.run(  # noqa: S603
            [program, "ts", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=WITHIN_S,
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoOpensslError(f"{OPENSSL} does not run: {error}") from error
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise TimestampError(lines[-1][-200:] if lines else f"{OPENSSL} ts refuses it")
    return done.stdout
