"""Frozen dataclasses to JSON bytes and back, with one spelling.

Bytes travel as base64. Decoding is strict: unknown or missing fields, wrong types, numbers of 2^53 and more, and bytes
that differ from their own re-encoding are refused, so no two readers can read one payload two ways.

A field made by `later` came after records were already kept: it is left out while it says nothing, so that those still
read, hash and verify as they did.
"""

import base64
import binascii
import dataclasses
import json
import types
import typing
from typing import Any, TypeVar

LATER = "later"
LARGEST_INTEGER = (1 << 53) - 1

Value = TypeVar("Value")
Default = TypeVar("Default")


class Malformed(ValueError):
    """Bytes that are no message. The text names the field."""


def later(default: Default) -> Default:
    """A dataclass field that is left out of the bytes while it has its default."""
    made: Default = dataclasses.field(default=default, metadata={LATER: True})
    return made


def encode(value: Any) -> bytes:
    """The one spelling: sorted keys, no white space, ASCII."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":")).encode("ascii")


def decode(kind: type[Value], data: bytes) -> Value:
    """The value that encodes to exactly these bytes. Raises Malformed."""
    try:
        plain = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Malformed("not JSON") from error
    return respelled(kind, plain, data)


def respelled(kind: type[Value], plain: Any, data: bytes) -> Value:
    """The value of JSON that was read from these bytes, if it encodes to exactly these. Raises Malformed."""
    value = shaped(kind, plain)
    if encode(value) != data:
        raise Malformed(f"{kind.__name__}: not in the canonical spelling")
    return value


def shaped(kind: type[Value], plain: Any) -> Value:
    """The value of JSON that somebody wrote by hand, in whatever spelling. Raises Malformed."""
    return typing.cast("Value", _typed(kind, plain, kind.__name__))


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if dataclasses.is_dataclass(value):
        return {
            field.name: _plain(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if not (LATER in field.metadata and getattr(value, field.name) == field.default)
        }
    return value


def _typed(kind: Any, plain: Any, where: str) -> Any:
    if isinstance(kind, types.UnionType):
        return None if plain is None else _typed(_not_none(kind), plain, where)
    if typing.get_origin(kind) is tuple:
        return _tuple(kind, plain, where)
    if dataclasses.is_dataclass(kind):
        return _record(kind, plain, where)
    return _scalar(kind, plain, where)


def _not_none(kind: types.UnionType) -> Any:
    return next(part for part in typing.get_args(kind) if part is not types.NoneType)


def _tuple(kind: Any, plain: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(plain, list):
        raise Malformed(f"{where}: not a list")
    item = typing.get_args(kind)[0]
    return tuple(_typed(item, value, where) for value in plain)


def _record(kind: Any, plain: Any, where: str) -> Any:
    if not isinstance(plain, dict):
        raise Malformed(f"{where}: not an object")
    hints = typing.get_type_hints(kind)
    spared = {field.name for field in dataclasses.fields(kind) if LATER in field.metadata}
    if not hints.keys() - spared <= plain.keys() <= hints.keys():
        raise Malformed(f"{where}: its fields are {', '.join(sorted(hints))}")
    values = {name: _typed(hints[name], given, f"{where}.{name}") for name, given in plain.items()}
    try:
        return kind(**values)
    except ValueError as error:
        raise Malformed(f"{where}: {error}") from error


def _scalar(kind: Any, plain: Any, where: str) -> Any:
    if kind is bytes:
        return _bytes(plain, where)
    if type(plain) is not kind:
        raise Malformed(f"{where}: not a {kind.__name__}")
    if kind is int and abs(plain) > LARGEST_INTEGER:
        raise Malformed(f"{where}: an integer beyond 2^53")
    if kind is str and any("\ud800" <= letter <= "\udfff" for letter in plain):
        raise Malformed(f"{where}: half of a surrogate pair")
    return plain


def _bytes(plain: Any, where: str) -> bytes:
    if not isinstance(plain, str):
        raise Malformed(f"{where}: not a string")
    try:
        return base64.b64decode(plain, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed(f"{where}: not base64") from error
