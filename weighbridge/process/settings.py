"""A program's settings: a TOML file, then `WEIGHBRIDGE_*` in the environment, then flags.

A key that is not known is an error. A variable that is not known belongs to another program or to whoever starts this
one (Kubernetes makes some of a service's name), unless it is nearly one of this program's.
"""

import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

PREFIX = "WEIGHBRIDGE_"
NESTING = "__"
CONFIG_VARIABLE = f"{PREFIX}CONFIG"
"""No key: it names the collector's file."""

URL_VARIABLE = f"{PREFIX}URL"
"""Of a command: where the collector is that it asks. Of a collector: its own `url`."""

NEAR = 0.85
"""How like a key a variable must be to be taken for a slip of the pen; those of the two programs are less alike."""
Settings = TypeVar("Settings", bound="BaseModel")


class ConfigError(ValueError):
    """The configuration cannot be used. The message names the file or variable, the key, and what is wrong with it."""


def load_settings(
    model: type[Settings],
    file: Path | None,
    environment: Mapping[str, str],
    flags: Mapping[str, Any] | None,
    named: Path,
) -> Settings:
    """The settings in force, of no file for None. A flag that is None was not given. Errors are `named`'s.

    Raises ConfigError, of all that is wrong.
    """
    from pydantic import ValidationError

    values = {} if file is None else _read(file)
    _merge_environment(model, values, environment)
    values |= {name: value for name, value in (flags or {}).items() if value is not None}
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise ConfigError(f"{named}: {'; '.join(_wrong(model, one) for one in found)}") from error


def _wrong(model: "type[BaseModel]", details: "ErrorDetails") -> str:
    """A key, what is wrong with it, and what it holds or which one was meant."""
    from weighbridge.wire import misfit

    *tables, name = details["loc"]
    if details["type"] == "extra_forbidden":
        holding = _within(model, tables)
        known = () if holding is None else holding.model_fields
        near = get_close_matches(str(name), known, n=1)
        meant = ".".join(map(str, (*tables, *near[:1])))
        hint = f"; did you mean {meant}?" if near else ""
        return f"{misfit.place(details)}: {misfit.reason(details)}{hint}"
    field = model.model_fields.get(str(details["loc"][0]))
    if field is not None and field.description and not tables:
        return f"{name}: must be {field.description}"
    return f"{misfit.place(details)}: {misfit.reason(details)}"


def setting(file: Path | None, environment: Mapping[str, str], name: str, default: str) -> str:
    """One key that holds text, with no other checked: for who asks a running program, which checked them all.

    Raises ConfigError.
    """
    written = {} if file is None else _read(file)
    found = environment.get(PREFIX + name.upper(), written.get(name, default))
    if not isinstance(found, str):
        raise ConfigError(f"{file}: {name}: Input should be a valid string")
    return found


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{file}: {error}") from error


def _merge_environment(
    model: "type[BaseModel]", values: dict[str, Any], environment: Mapping[str, str]
) -> None:
    """`WEIGHBRIDGE_LIMITS__REPORTS=8` sets `limits.reports`.

    A lax model makes what it needs of text; for a strict one, which does not, it is read as TOML.
    """
    strict = model.model_config.get("strict", False)
    for variable, text in environment.items():
        if variable.startswith(PREFIX):
            *tables, name = variable.removeprefix(PREFIX).lower().split(NESTING)
            if name not in _keys(model, tables):
                _refuse_slip(model, variable)
                continue
            target = values
            for table in tables:
                target = target.setdefault(table, {})
            target[name] = _value(text) if strict else text


def _refuse_slip(model: "type[BaseModel]", variable: str) -> None:
    """Raises ConfigError where nothing but one of this program's keys can be meant."""
    name = variable.removeprefix(PREFIX).lower()
    table, nested, _ = name.partition(NESTING)
    near = get_close_matches(name, model.model_fields, n=1, cutoff=NEAR)
    if (near and near[0] != name) or (nested and _table(model, table) is not None):
        hint = f"; did you mean {PREFIX}{near[0].upper()}?" if near else ""
        raise ConfigError(f"environment: {variable}: no such key{hint}")


def _keys(model: "type[BaseModel]", tables: Sequence[str]) -> set[str]:
    """Those of a table within tables that are no tables themselves; none where there is no such table."""
    found = _within(model, tables)
    if found is None:
        return set()
    return {name for name in found.model_fields if _table(found, name) is None}


def _within(model: "type[BaseModel]", tables: Sequence[int | str]) -> "type[BaseModel] | None":
    """A table within tables; the places of a list are none."""
    found: type[BaseModel] | None = model
    for table in tables:
        if found is not None and isinstance(table, str):
            found = _table(found, table)
    return found


def _table(model: "type[BaseModel]", name: str) -> "type[BaseModel] | None":
    """What a key holds, if it is a table, be it one that may be left out."""
    from pydantic import BaseModel

    field = model.model_fields.get(name)
    kinds = () if field is None else (field.annotation, *get_args(field.annotation))
    return next(
        (kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None
    )


def _value(text: str) -> Any:
    """As TOML would read it; what TOML cannot read is text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
