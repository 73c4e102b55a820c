"""A program's settings: a TOML file, then `WEIGHBRIDGE_*` in the environment, then flags.

A key that is not known is an error, wherever it stands.
"""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

PREFIX = "WEIGHBRIDGE_"
NESTING = "__"
Settings = TypeVar("Settings", bound=BaseModel)


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

    Raises ConfigError.
    """
    values = {} if file is None else _read(file)
    _merge_environment(model, values, environment)
    values |= {name: value for name, value in (flags or {}).items() if value is not None}
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        reason = "no such key" if first["type"] == "extra_forbidden" else first["msg"]
        raise ConfigError(f"{named}: {key}: {reason}") from error


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{file}: {error}") from error


def _merge_environment(
    model: type[BaseModel], values: dict[str, Any], environment: Mapping[str, str]
) -> None:
    """`WEIGHBRIDGE_LIMITS__REPORTS=8` sets `limits.reports`.

    A lax model makes what it needs of text; for a strict one, which does not, it is read as TOML.
    """
    strict = model.model_config.get("strict", False)
    for variable, text in environment.items():
        if variable.startswith(PREFIX):
            *tables, name = variable.removeprefix(PREFIX).lower().split(NESTING)
            if name not in _keys(model, tables):
                raise ConfigError(f"environment: {variable}: no such key")
            target = values
            for table in tables:
                target = target.setdefault(table, {})
            target[name] = _value(text) if strict else text


def _keys(model: type[BaseModel], tables: Sequence[str]) -> set[str]:
    """Those of a table within tables; none where there is no such table."""
    for table in tables:
        found = model.model_fields[table].annotation if table in model.model_fields else None
        if not (isinstance(found, type) and issubclass(found, BaseModel)):
            return set()
        model = found
    return set(model.model_fields)


def _value(text: str) -> Any:
    """As TOML would read it; what TOML cannot read is text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
