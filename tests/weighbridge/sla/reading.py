"""Cases are read through mappings that remember what was asked of them, so that a term that nobody reads is told."""

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

PROSE = {"note", "notes", "comment", "description", "title", "name", "source", "label"}
"""Names that tell people something and settle nothing."""

IDENTITY = {
    "other_contract",
    "gpu_uuid",
    "old_uuid",
    "new_uuid",
    "ticket",
    "evidence",
    "host",
    "reason",
    "by",
}
"""Names of the timeline that say who or what, beside a state or a kind that says it to the settlement."""


NOTHING: tuple[Any, ...] = (None, [], {})
"""Values that say nothing."""


class Given(dict[str, Any]):
    """A mapping of the case. What is asked for is remembered; what is missing may be asked for too."""

    def __init__(self, items: Json) -> None:
        super().__init__({name: given(value) for name, value in items.items()})
        self.asked: set[str] = set()
        self.passed_on: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.asked.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)

    def first(self, *names: str) -> Any:
        """The value under the first of several names of one thing; None where there is none."""
        values = [self.get(name) for name in names]
        return next((value for value in values if value is not None), None)

    def rest(self) -> Json:
        """What nobody asked for, under its own name: for a contract file, whose loader knows its keys."""
        left = {name: value for name, value in self.items() if name not in self.asked | PROSE}
        self.passed_on |= set(left)
        return left


def given(value: Any) -> Any:
    """The same tree, of mappings that remember."""
    if isinstance(value, dict):
        return Given(value)
    if isinstance(value, list):
        return [given(item) for item in value]
    return value


def unread(value: Any, path: str = "") -> Iterator[str]:
    """The path of everything in a case that was never asked for."""
    if isinstance(value, list):
        for position, item in enumerate(value):
            yield from unread(item, f"{path}[{position}]")
    if isinstance(value, Given):
        for name, inner in value.items():
            if name in value.asked | value.passed_on:
                yield from unread(inner, f"{path}.{name}")
            elif name not in PROSE | IDENTITY and inner not in NOTHING:
                yield f"{path}.{name}"
