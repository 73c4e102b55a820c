"""Lines of a statement about remedies that go beyond a period, and about money that the parties paid each other."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LimitLine:
    """The most of all credits of a year or of the term, and what earlier periods used of it, lowest and highest.

    `open`: periods of which nobody can say what they used.
    """

    per: str
    start: str
    end: str
    most: str
    used: tuple[str, str]
    open: tuple[str, ...] = ()
