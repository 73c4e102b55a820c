"""What every part of the contract model shares: strict, immutable, and all of its problems at once."""

from collections.abc import Iterator
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError


def key(alias: str, meaning: str, **settings: Any) -> Any:
    """A field that the file spells otherwise than the model."""
    return Field(alias=alias, description=meaning, **settings)


def clause(meaning: str, **settings: Any) -> Any:
    """A field with its meaning, which `docs/contract.md` prints."""
    return Field(description=meaning, **settings)


class Terms(BaseModel):
    """A part of a contract. Unknown keys are errors; `problems` yields what is wrong with the part as a whole."""

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
