"""What every part of the contract model shares: strict, immutable, and all of its problems at once."""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal, NamedTuple, Self, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError


class Reader(NamedTuple):
    """Who reads a field: a check by its code, a part of the program, or nobody, for a reason (`describes`)."""

    kind: Literal["check", "part", "describes"]
    words: tuple[str, ...]


def checks(*codes: str) -> Reader:
    """A promise that these checks judge."""
    return Reader("check", codes)


def part(name: str) -> Reader:
    """A term that a part of the program acts by: `settlement`, unless its terms say otherwise."""
    return Reader("part", (name,))


def describes(reason: str) -> Reader:
    """A term that is kept and shown, and that nobody judges; why not."""
    return Reader("describes", (reason,))


def key(alias: str, meaning: str, *, reader: Reader | None = None, **settings: Any) -> Any:
    """A field that the file spells otherwise than the model."""
    return clause(meaning, reader=reader, alias=alias, **settings)


def clause(meaning: str, *, reader: Reader | None = None, **settings: Any) -> Any:
    """A field with its meaning and who reads it, which `docs/contract.md` prints."""
    if reader is not None:
        settings["json_schema_extra"] = {READER: [reader.kind, *reader.words]}
    return Field(description=meaning, **settings)


READER = "reader"


class Terms(BaseModel):
    """A part of a contract. Unknown keys are errors; `problems` yields what is wrong with the part as a whole."""

    READ_BY: ClassVar[Reader] = part("settlement")
    """Who reads a field that does not say so itself."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, populate_by_name=True, validate_default=True
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        """(path below this part, reason) for each rule that its fields break together."""
        yield from ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        found = tuple(self.problems())
        if found:
            text = "; ".join(f"{path}: {reason}" if path else reason for path, reason in found)
            raise PydanticCustomError("terms", "{text}", {"text": text, "found": found})
        return self


def reader_of(terms: type[Terms], name: str) -> Reader:
    """Who reads a field."""
    extra = terms.model_fields[name].json_schema_extra
    if not isinstance(extra, dict):
        return terms.READ_BY
    kind, *words = cast("list[Any]", extra[READER])
    return Reader(kind, tuple(words))
