"""Files of procfs and sysfs as they are read here: text, numbers, and lists that are empty where there is nothing."""

import re
from collections.abc import Callable
from pathlib import Path

Value = int | str
Reader = Callable[[Path], Value]
_NAMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def entries(directory: Path) -> list[Path]:
    """What is in a directory, nothing where there is none. Raises OSError where it may not be read: that is no zero."""
    try:
        return sorted(directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def listed(directory: Path) -> list[Path]:
    """The entries of a directory; none where it may not be read."""
    try:
        return entries(directory)
    except OSError:
        return []


def attribute(path: Path) -> str:
    """The text of an attribute; empty where it has none."""
    try:
        return text(path)
    except OSError:
        return ""


def of_class(root: Path, name: str) -> list[Path]:
    """The devices of a class whose names can be told; none where the kernel has none. Raises OSError where the classes
    are not shown."""
    folder = root / "sys/class" / name
    if not folder.exists():
        require_classes(root)
        return []
    return [one for one in sorted(folder.iterdir()) if _NAMED.fullmatch(one.name)]


def require_classes(root: Path) -> None:
    """Raises OSError where the kernel's classes of devices are not shown: what they lack then is no zero."""
    next((root / "sys/class").iterdir(), None)


def text(path: Path) -> str:
    """At most 512 characters. Raises OSError."""
    return path.read_text(errors="replace").strip()[:512]


def file(name: str) -> Reader:
    """The text of a file below."""
    return lambda root: text(root / name)


def number(name: str) -> Reader:
    """The number in a file below, decimal or with 0x before it."""
    return lambda root: int(text(root / name), 0)


def leading_number(name: str) -> Reader:
    """`4: ACTIVE` -> 4, `400 Gb/sec (4X NDR)` -> 400."""
    return lambda port: int(re.findall(r"\d+", text(port / name))[0])
