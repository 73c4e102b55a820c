"""One thing to say, in every language that the renderings have."""

from typing import NamedTuple


class Word(NamedTuple):
    """One thing to say, in each language."""

    en: str
    zh: str
