"""The samples of the collector's own pages, read back from their text."""

import re
from collections.abc import AsyncIterator, Iterator

from collector.api.exposition import Exposition

Labels = tuple[tuple[str, str], ...]
Sample = tuple[str, Labels, float]

LINE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")
PAIR = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
ESCAPED = re.compile(r"\\(.)")
MEANT = {"n": "\n"}


async def pages(exposition: Exposition) -> AsyncIterator[str]:
    """All of them, as Prometheus would fetch them."""
    yield await exposition.contracts()
    for number in range(len(await exposition.paths()) - 1):
        text = await exposition.shard(number)
        if text is not None:
            yield text


def samples(text: str) -> Iterator[Sample]:
    """Those of a page in text format 0.0.4: its lines end with a line feed, and with no other mark that a label has."""
    for line in text.split("\n"):
        found = None if line.startswith("#") else LINE.fullmatch(line)
        if found is not None:
            pairs = PAIR.findall(found[2] or "")
            labels = tuple((name, _meant(value)) for name, value in pairs)
            yield found[1], labels, float(found[3])


def _meant(value: str) -> str:
    return ESCAPED.sub(lambda found: MEANT.get(found[1], found[1]), value)
