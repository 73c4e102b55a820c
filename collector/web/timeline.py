"""The picture of a ledger: lanes of coloured bars over time, as coordinates for an SVG. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from collector.documents.spelling import UNITS, local, span
from collector.documents.words import Language
from collector.web.page_words import finding_name, name, say
from weighbridge.judge.ledger import PRECEDENCE, TOGETHER, Row, State, StateSpan, timeline
from weighbridge.judge.two_sides import by_slot, of_rows

WIDTH, LEFT, LANE = 1000, 190, 20
MINUTE_US = 60_000_000
WINDOWS_US = tuple(MINUTE_US * minutes for minutes in (2, 10, 60, 360, 1440))
THINNEST = 0.75


@dataclass(frozen=True, slots=True)
class Spelling:
    """Writes times of a zone, and words of a language."""

    zone: str
    language: Language

    def time(self, at_us: int) -> str:
        return local(at_us, self.zone)

    def window(self, length_us: int) -> str:
        """A day is 24 hours: `the last 24 h`."""
        if length_us == WINDOWS_US[-1]:
            return f"24 {UNITS[self.language][1]}"
        return span(length_us, self.language)

    def title(self, part: StateSpan) -> str:
        """The state of a stretch, its cause, from when to when, and for how long."""
        state = name("badge", part.state.value, self.language).lower()
        cause = f" ({finding_name(part.cause, self.language)})" if part.cause else ""
        times = f"{self.time(part.start_us)} {say('to', self.language)} {self.time(part.end_us)}"
        return f"{state}{cause}: {times}, {span(part.end_us - part.start_us, self.language)}"


@dataclass(frozen=True, slots=True)
class TimelineBar:
    """A stretch of one state, in the picture's units."""

    state: str
    x: float
    width: float
    title: str


@dataclass(frozen=True, slots=True)
class TimelineLane:
    """One lane of the timeline: a name and its bars."""

    name: str
    y: int
    bars: Sequence[TimelineBar]


def window_start_us(rows: Sequence[Row], end_us: int) -> int:
    """Start of the shortest of WINDOWS_US before `end_us` that shows every row, or else of the longest."""
    first = min((row.start_us for row in rows), default=end_us)
    length = next((size for size in WINDOWS_US if end_us - size <= first), WINDOWS_US[-1])
    return max(end_us - length, 0)


def by_node(
    rows: Sequence[Row],
    names: Iterable[str],
    end_us: int,
    cadence_us: int = 0,
    zone: str = "UTC",
    language: Language = "en",
) -> dict[str, Any]:
    """A lane for each node: as good as the worst of its slots. `cadence_us`: how far apart two agents may see
    one change. `zone` and `language`: in which times and words are spelled."""
    start_us = window_start_us(rows, end_us)
    lanes: dict[str, list[Row | StateSpan]] = {name: [] for name in names}
    for (node, _), slot in by_slot(rows).items():
        if node in lanes:
            lanes[node] += of_rows(slot, start_us, end_us, cadence_us)
    return _picture(lanes, start_us, end_us, TOGETHER, Spelling(zone, language))


def by_device(
    rows: Sequence[Row],
    uuids: Iterable[str],
    end_us: int,
    cadence_us: int = 0,
    zone: str = "UTC",
    language: Language = "en",
) -> dict[str, Any]:
    """A lane for each GPU, over all contracts that judge it."""
    start_us = window_start_us(rows, end_us)
    lanes: dict[str, list[Row | StateSpan]] = {uuid: [] for uuid in uuids}
    judged: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        judged.setdefault((row.contract, row.device), []).append(row)
    for (_, device), mine in judged.items():
        if device in lanes:
            lanes[device] += of_rows(mine, start_us, end_us, cadence_us)
    return _picture(lanes, start_us, end_us, PRECEDENCE, Spelling(zone, language))


def _picture(
    lanes: Mapping[str, Sequence[Row | StateSpan]],
    start_us: int,
    end_us: int,
    precedence: Sequence[State],
    spell: Spelling,
) -> dict[str, Any]:
    drawn = [
        TimelineLane(_short(name), place * LANE, _bars(found, start_us, end_us, precedence, spell))
        for place, (name, found) in enumerate(lanes.items())
    ]
    return {
        "lanes": drawn,
        "marks": _marks(start_us, end_us, spell),
        "width": WIDTH,
        "left": LEFT,
        "height": len(drawn) * LANE + 16,
        "span": spell.window(end_us - start_us),
    }


def _short(name: str) -> str:
    return name if len(name) <= 26 else f"{name[:12]}…{name[-13:]}"


def _bars(
    found: Sequence[Row | StateSpan],
    start_us: int,
    end_us: int,
    precedence: Sequence[State],
    spell: Spelling,
) -> list[TimelineBar]:
    spans = timeline(found, start_us, end_us, precedence)
    return [
        _bar(part, start_us, end_us, spell) for part in spans if part.state is not State.UNKNOWN
    ]


def _bar(part: StateSpan, start_us: int, end_us: int, spell: Spelling) -> TimelineBar:
    scale = (WIDTH - LEFT) / (end_us - start_us)
    return TimelineBar(
        part.state.value,
        round(LEFT + (part.start_us - start_us) * scale, 2),
        max(round((part.end_us - part.start_us) * scale, 2), THINNEST),
        spell.title(part),
    )


def _marks(start_us: int, end_us: int, spell: Spelling) -> list[dict[str, Any]]:
    middle = (start_us + end_us) // 2
    return [
        {"x": LEFT, "anchor": "start", "label": spell.time(start_us)},
        {"x": (LEFT + WIDTH) / 2, "anchor": "middle", "label": spell.time(middle)},
        {"x": WIDTH, "anchor": "end", "label": spell.time(end_us)},
    ]
