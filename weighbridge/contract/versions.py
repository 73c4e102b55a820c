"""Versions of drivers, as a contract names them and a node shows them."""

import re

_VERSION = re.compile(r"\d{1,9}(?:\.\d{1,9}){0,5}", re.ASCII)


def version_of(text: str) -> tuple[int, ...] | None:
    """`580.95.05` as numbers that compare; `580` and `580.0` are one version. None: it is none."""
    if not _VERSION.fullmatch(text):
        return None
    numbers = [int(part) for part in text.split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
