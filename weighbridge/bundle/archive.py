"""The archive of a bundle: a ustar file of plain files in a fixed order, the list of their hashes behind them.

Written and read from the beginning to the end, a member at a time. The same members give the same bytes.
"""

import hashlib
import io
import re
import tarfile
from collections.abc import Iterator
from typing import IO

MANIFEST = "MANIFEST.sha256"
EXTRACTION = "extraction.json"
"""The record of who made the bundle. It names the hash of the list, and so stands behind it."""

MOST_MEMBER_BYTES = 256 << 20
MOST_MEMBERS = 1 << 16
BLOCK = tarfile.BLOCKSIZE
READ_BYTES = 1 << 20
PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE)
_NAME = re.compile(r"[a-z0-9A-Z][a-zA-Z0-9._-]*(/[a-zA-Z0-9][a-zA-Z0-9._-]*){0,2}")
_LISTED = re.compile(r"([0-9a-f]{64})  (\S+)")


class ArchiveError(ValueError):
    """The file is no such archive, or not whole. The message names the member."""


def _opened(header: bytes) -> tarfile.TarInfo:
    """A header is read by itself: those that change what follows, as pax has them, are no plain files."""
    try:
        return tarfile.TarInfo.frombuf(header, "ascii", "strict")
    except (tarfile.TarError, ValueError) as error:
        raise ArchiveError(f"not a tar file, or cut off: {error}") from error


class ArchiveWriter:
    """Adds members one after the other; `close` ends the archive."""

    def __init__(self, file: IO[bytes], made_s: int) -> None:
        """`made_s`: the time that every member bears."""
        self._tar = tarfile.open(fileobj=file, mode="w|", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
        self._made_s = made_s
        self._listed: list[str] = []

    def add(self, name: str, data: bytes) -> None:
        """One file."""
        self._listed.append(f"{hashlib.sha256(data).hexdigest()}  {name}\n")
        self._write(name, data)

    def _write(self, name: str, data: bytes) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mtime, info.mode = len(data), self._made_s, 0o644
        self._tar.addfile(info, io.BytesIO(data))

    def seal(self) -> str:
        """Writes the list of all members so far; its hash in hexadecimal."""
        listed = "".join(self._listed).encode()
        self._write(MANIFEST, listed)
        return hashlib.sha256(listed).hexdigest()

    def close(self, extraction: bytes) -> None:
        """Ends the archive with the record of its making."""
        self._write(EXTRACTION, extraction)
        self._tar.close()


class ArchiveReader:
    """Gives the members in their order. What was read is compared with the list when it comes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hashes: dict[str, str] = {}
        self.manifest_hash = ""
        """Of the list of members, once it was read."""

    def members(self) -> Iterator[tuple[str, bytes]]:
        """Name and content of each member, the list itself not among them. Raises ArchiveError."""
        while any(header := self._file.read(BLOCK)):
            yield from self._member(_opened(header))
        while rest := self._file.read(READ_BYTES):
            if any(rest):
                raise ArchiveError("something stands behind the end of the archive")
        if not self.manifest_hash:
            raise ArchiveError(f"{MANIFEST} is missing")

    def _member(self, info: tarfile.TarInfo) -> Iterator[tuple[str, bytes]]:
        self._require(info)
        data = self._content(info)
        if info.name == MANIFEST:
            self._compare(data)
            return
        if self.manifest_hash and info.name != EXTRACTION:
            raise ArchiveError(f"{info.name} stands behind the list of members")
        self._hashes[info.name] = hashlib.sha256(data).hexdigest()
        yield info.name, data

    def _require(self, info: tarfile.TarInfo) -> None:
        if info.type not in PLAIN or _NAME.fullmatch(info.name) is None:
            raise ArchiveError(f"{info.name!r} is no plain file of a bundle")
        if not 0 <= info.size <= MOST_MEMBER_BYTES or len(self._hashes) >= MOST_MEMBERS:
            raise ArchiveError(f"{info.name}: too large, or too many members")
        if info.name in self._hashes or (info.name == MANIFEST and self.manifest_hash):
            raise ArchiveError(f"{info.name} stands there twice")

    def _content(self, info: tarfile.TarInfo) -> bytes:
        data = self._file.read(info.size)
        if len(data) != info.size:
            raise ArchiveError(f"{info.name} is cut off")
        self._file.read(-info.size % BLOCK)
        return data

    def _compare(self, listed: bytes) -> None:
        """Every member is listed with its hash, and nothing else is."""
        told: dict[str, str] = {}
        for line in listed.decode("ascii", "replace").splitlines():
            match = _LISTED.fullmatch(line)
            if match is None or match[2] in told:
                raise ArchiveError(f"{MANIFEST}: {line!r} is no line of it")
            told[match[2]] = match[1]
        for name in sorted(told.keys() | self._hashes.keys()):
            if told.get(name) != self._hashes.get(name):
                raise ArchiveError(f"{name}: not what {MANIFEST} says")
        self.manifest_hash = hashlib.sha256(listed).hexdigest()
