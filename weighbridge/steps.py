"""Work that is done in small steps: a generator that gives way between them, and returns what it comes to."""

from collections.abc import Generator
from typing import TypeVar

Result = TypeVar("Result")


def drained(steps: Generator[object, None, Result]) -> Result:
    """What they come to, without giving way."""
    try:
        while True:
            next(steps)
    except StopIteration as ended:
        result: Result = ended.value
        return result
