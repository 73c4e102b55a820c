"""As much of JSON Schema as a kept schema of this project uses: what else stands in one is an error."""

from collections.abc import Callable, Iterator
from typing import Any

NOTES = {"$schema", "$defs", "title", "description", "default"}
TYPES = {"string": str, "integer": int, "array": list, "object": dict, "null": type(None)}
Schema = dict[str, Any]


def mistakes(schema: Schema, value: Any, root: Schema | None = None) -> Iterator[str]:
    """What is wrong with a value; nothing where it is valid."""
    root = schema if root is None else root
    wanted = TYPES.get(schema.get("type", ""), object)
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        yield f"{value!r} is no {schema['type']}"
        return
    for key in schema.keys() - NOTES - {"type"}:
        yield from KEYS[key](schema, value, root)


def _known(schema: Schema, value: Any, root: Schema) -> Iterator[str]:
    yield from mistakes(root["$defs"][schema["$ref"].rpartition("/")[2]], value, root)


def _any(schema: Schema, value: Any, root: Schema) -> Iterator[str]:
    if all(any(mistakes(one, value, root)) for one in schema["anyOf"]):
        yield f"{value!r} is nothing of {schema['anyOf']}"


def _one_of(schema: Schema, value: Any, _root: Schema) -> Iterator[str]:
    allowed = schema.get("enum", [schema.get("const")])
    if value not in allowed:
        yield f"{value!r} is not in {allowed}"


def _items(schema: Schema, value: Any, root: Schema) -> Iterator[str]:
    for item in value:
        yield from mistakes(schema["items"], item, root)


def _properties(schema: Schema, value: Any, root: Schema) -> Iterator[str]:
    for name in schema["properties"].keys() & value.keys():
        yield from (
            f"{name}: {said}" for said in mistakes(schema["properties"][name], value[name], root)
        )


def _required(schema: Schema, value: Any, _root: Schema) -> Iterator[str]:
    yield from (f"no {name}" for name in schema["required"] if name not in value)


def _closed(schema: Schema, value: Any, _root: Schema) -> Iterator[str]:
    yield from (f"{name} too" for name in value if name not in schema["properties"])


KEYS: dict[str, Callable[[Schema, Any, Schema], Iterator[str]]] = {
    "$ref": _known,
    "anyOf": _any,
    "enum": _one_of,
    "const": _one_of,
    "items": _items,
    "properties": _properties,
    "required": _required,
    "additionalProperties": _closed,
}
