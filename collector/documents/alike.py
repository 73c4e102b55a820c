"""Findings that say the same of several GPUs of a node are said once, in the terminal as on pages. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

SAID = ("contract", "severity", "code", "verdict", "node", "expected", "observed", "answerable")
GPUS_NAMED = 4


def alike(rows: Iterable[Mapping[str, Any]]) -> list[Sequence[Mapping[str, Any]]]:
    """Those that say the same together, in the order of the first of each."""
    found: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(tuple(row.get(part) for part in SAID), []).append(row)
    return list(found.values())
