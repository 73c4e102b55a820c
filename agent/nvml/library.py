"""Which file is loaded as libnvidia-ml.so.1, and whether it is what it seems: read from outside of its process."""

import hashlib
import struct
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path

from agent.surroundings import kept_away
from weighbridge.wire.report import Reason

SONAME = "libnvidia-ml.so"
NOTE_GNU_BUILD_ID = 3
PROGRAM_HEADER_NOTE = 4
DELETED = " (deleted)"
LARGEST = 256 << 20
OF_THE_FILE = ("nvml_library_bytes", "nvml_library_sha256", "nvml_library_build_id")


def library_facts(
    pid: int, root: Path, environment: Mapping[str, str]
) -> dict[str, int | str | Reason]:
    """The facts of the library that process `pid` has mapped, of the kernel module and of the loader's settings."""
    facts: dict[str, int | str | Reason] = dict.fromkeys(
        ("nvml_library_path", *OF_THE_FILE), Reason.NOT_FOUND
    )
    mapped = mapped_library(pid, root)
    if mapped is not None:
        facts.update(_file_facts(*mapped))
    facts["kernel_module_version"] = _or_reason(lambda: kernel_module_version(root))
    facts["nvml_binding_version"] = _or_reason(lambda: metadata.version("nvidia-ml-py"))
    facts["ld_library_path_code"] = int(bool(environment.get("LD_LIBRARY_PATH")))
    facts["nvml_environment_names"] = " ".join(kept_away(environment))[:512] or "none"
    facts["ld_preload_code"] = int(bool(environment.get("LD_PRELOAD")) or _preload_file(root))
    return facts


def mapped_library(pid: int, root: Path) -> tuple[str, int] | None:
    """(path, inode) of the library in the memory map of a process, None where it has none or is gone."""
    try:
        lines = (root / "proc" / str(pid) / "maps").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        columns = line.split(maxsplit=5)
        if len(columns) == 6 and Path(columns[5]).name.startswith(SONAME):
            return columns[5], int(columns[4])
    return None


def build_id(content: bytes) -> str | None:
    """The GNU build id in the notes of a 64-bit little-endian ELF file, None where there is none."""
    if content[:6] != b"\x7fELF\x02\x01":
        return None
    try:
        (offset,) = struct.unpack_from("<Q", content, 32)
        size, count = struct.unpack_from("<HH", content, 54)
        headers = [
            struct.unpack_from("<IIQQQQ", content, offset + index * size) for index in range(count)
        ]
    except struct.error:
        return None
    notes = (
        content[start : start + length]
        for kind, _, start, _, _, length in headers
        if kind == PROGRAM_HEADER_NOTE
    )
    return next((found for found in map(_build_id_note, notes) if found is not None), None)


def kernel_module_version(root: Path) -> str:
    """The version in /proc/driver/nvidia/version. Raises OSError or ValueError where it has none."""
    first = (root / "proc/driver/nvidia/version").read_text().splitlines()[0]
    return next(word for word in first.split() if word[0].isdigit() and "." in word)


def _file_facts(path: str, inode: int) -> dict[str, int | str | Reason]:
    """CORRUPTED where the path no longer leads to the file that is mapped: replaced, or mounted over."""
    named = Path(path.removesuffix(DELETED))
    facts: dict[str, int | str | Reason] = {"nvml_library_path": str(named)[:512]}
    try:
        state = named.stat()
        content = named.read_bytes() if state.st_size <= LARGEST else b""
    except OSError:
        return facts | dict.fromkeys(OF_THE_FILE, Reason.NOT_FOUND)
    if state.st_ino != inode or state.st_size > LARGEST:
        return facts | dict.fromkeys(OF_THE_FILE, Reason.CORRUPTED)
    return facts | {
        "nvml_library_bytes": len(content),
        "nvml_library_sha256": hashlib.sha256(content).hexdigest(),
        "nvml_library_build_id": build_id(content) or Reason.NOT_FOUND,
    }


def _build_id_note(notes: bytes) -> str | None:
    at = 0
    while at + 12 <= len(notes):
        name, size, kind = struct.unpack_from("<III", notes, at)
        start = at + 12 + (name + 3) // 4 * 4
        if kind == NOTE_GNU_BUILD_ID and notes[at + 12 : at + 16] == b"GNU\0":
            return notes[start : start + size].hex()
        at = start + (size + 3) // 4 * 4
    return None


def _preload_file(root: Path) -> bool:
    path = root / "etc/ld.so.preload"
    try:
        return bool(path.read_text().strip())
    except OSError:
        return False


def _or_reason(read: Callable[[], str]) -> str | Reason:
    try:
        return read()
    except PermissionError:
        return Reason.NO_PERMISSION
    except (OSError, ValueError, LookupError, StopIteration, metadata.PackageNotFoundError):
        return Reason.NOT_FOUND
