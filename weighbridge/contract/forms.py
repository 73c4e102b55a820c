"""Published service level agreements as forms to fill in. Each names its source and what its text leaves open, and
where it is known the date of the text and what of it the contract file cannot say.

A form is the shared head and the terms of one source, with `${name}` where a value belongs.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

HEAD = "head.yaml"

_BLANK = re.compile(r"\$\{([a-z0-9_]+)\}")
_REMARK = re.compile(r"# (title|source|date|note|unsaid): (.*)")
_SHOWN = {
    "title": "{}",
    "source": "{}",
    "date": "Text of {}.",
    "note": "{}",
    "unsaid": "What of it cannot be said here: {}",
}
"""The remarks that head the text of a form, in this order."""


class FormError(ValueError):
    """There is no such form, or its blanks and the values do not match."""


@dataclass(frozen=True, slots=True)
class Form:
    """A template. `blanks` in the order in which they appear."""

    name: str
    title: str
    source: str
    note: str
    text: str
    date: str = ""
    unsaid: str = ""

    @property
    def blanks(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(_BLANK.findall(self.text)))


def forms() -> tuple[Form, ...]:
    """All forms, by name."""
    folder = files("weighbridge").joinpath("data", "forms")
    head = folder.joinpath(HEAD).read_text("utf-8")
    found = (item for item in folder.iterdir() if item.name.endswith(".yaml") and item.name != HEAD)
    ordered = sorted(found, key=lambda item: item.name)
    return tuple(
        _form(item.name.removesuffix(".yaml"), item.read_text("utf-8"), head) for item in ordered
    )


def form(name: str) -> Form:
    """Raises FormError for a name that is not there."""
    for found in forms():
        if found.name == name:
            return found
    raise FormError(
        f"there is no form {name!r}; there are {', '.join(found.name for found in forms())}"
    )


def fill(blank: Form, values: Mapping[str, str]) -> str:
    """The text of a contract. Raises FormError for a blank without a value and a value without a blank."""
    wrong = [f"`{name}` has no value" for name in blank.blanks if name not in values]
    wrong += [
        f"`{name}` is no blank of {blank.name}" for name in values if name not in blank.blanks
    ]
    if wrong:
        raise FormError("; ".join(wrong))
    return _BLANK.sub(lambda found: json.dumps(values[found[1]], ensure_ascii=False), blank.text)


def _form(name: str, text: str, head: str) -> Form:
    remarks = dict(_REMARK.findall(text))
    body = "".join(line for line in text.splitlines(keepends=True) if not _REMARK.match(line))
    top = "".join(
        f"# {shown.format(remarks[key])}\n" for key, shown in _SHOWN.items() if key in remarks
    )
    return Form(name, text=f"{top}{head}{body}", **remarks)
