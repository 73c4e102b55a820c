"""What a fold remembers, as JSON and back without loss."""

from typing import Any, TypeVar

import msgspec

Held = TypeVar("Held")


class SnapshotError(ValueError):
    """What a fold remembers is missing, or nobody wrote it like that."""


class Key(tuple[Any, ...]):
    """A key of several parts. As the name of a member of a JSON object it is spelled as an array."""

    __slots__ = ()


def dump(held: object) -> bytes:
    """As JSON."""
    return msgspec.json.encode(held, enc_hook=_spell)


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
