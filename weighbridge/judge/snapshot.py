"""What a fold remembers, as JSON and back without loss."""

from collections.abc import Generator
from dataclasses import fields
from itertools import islice
from typing import Any, TypeVar

import msgspec

STEP_ITEMS = 1_000
Held = TypeVar("Held")


class SnapshotError(ValueError):
    """What a fold remembers is missing, or nobody wrote it like that."""


class Key(tuple[Any, ...]):
    """A key of several parts. As the name of a member of a JSON object it is spelled as an array."""

    __slots__ = ()


def dump(held: object) -> bytes:
    """As JSON."""
    return msgspec.json.encode(held, enc_hook=_spell)


def dumping(held: Any) -> Generator[None, None, bytes]:
    """The same bytes, in small steps, of a dataclass whose members may be large mappings: it returns them."""
    members: list[bytes] = []
    for member in fields(held):
        value = getattr(held, member.name)
        told = (yield from _mapping(value)) if isinstance(value, dict) else dump(value)
        members.append(dump(member.name) + b":" + told)
    return b"{" + b",".join(members) + b"}"


def _mapping(value: dict[Any, Any]) -> Generator[None, None, bytes]:
    parts: list[bytes] = []
    items = iter(value.items())
    while some := dict(islice(items, STEP_ITEMS)):
        parts.append(dump(some)[1:-1])
        yield
    return b"{" + b",".join(parts) + b"}"


def restore(data: bytes, kind: type[Held]) -> Held:
    """What `dump` wrote. Raises SnapshotError."""
    try:
        return msgspec.json.decode(data, type=kind, dec_hook=_read)
    except msgspec.DecodeError as error:
        raise SnapshotError(f"the snapshot of a {kind.__name__} cannot be read: {error}") from error


def _spell(key: Key) -> str:
    return msgspec.json.encode(list(key)).decode()


def _read(kind: type[Key], text: str) -> Key:
    return kind(msgspec.json.decode(text))
