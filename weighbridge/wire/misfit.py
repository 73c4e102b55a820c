"""What does not fit about a value that somebody wrote, in words: the same of a request, a configuration, a scenario."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._:/-]*"
HASH: Final = r"^[0-9a-f]{64}"

FORMS: Mapping[str, str] = MappingProxyType(
    {
        f"{NAME}$": "must be letters, digits and . _ : / -, a letter or digit first",
        f"{HASH}$": "must be a SHA-256: 64 hexadecimal digits in lower case",
    }
)
"""What a pattern asks for."""

REASONS: Mapping[str, str] = MappingProxyType(
    {"missing": "is missing", "extra_forbidden": "no such key"}
)


def place(details: "ErrorDetails") -> str:
    """Where it stands; empty: the whole."""
    return ".".join(str(part) for part in details["loc"])


def reason(details: "ErrorDetails") -> str:
    """What is wrong with it, and what is asked for."""
    kind = details["type"]
    if kind == "string_pattern_mismatch":
        pattern = str(details["ctx"]["pattern"])
        return FORMS.get(pattern, f"must match {pattern}")
    return REASONS.get(kind) or details["msg"].removeprefix("Value error, ")
