"""The picture of a ledger: lanes of coloured bars over time, as coordinates for an SVG. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from collector.spelling import span, utc
from weighbridge.ledger import Row, Span, State, timeline

WIDTH, LEFT, LANE = 1000, 190, 20
MINUTE_US = 60_000_000
WINDOWS_US = tuple(MINUTE_US * minutes for minutes in (10, 60, 360, 1440))
THINNEST = 0.75


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of one state, in the picture's units."""

    state: str
    x: float
    width: float
    title: str


@dataclass(frozen=True, slots=True)
class Lane:
    """One line of the picture."""

    name: str
    y: int
    bars: Sequence[Bar]


def window(rows: Sequence[Row], end_us: int) -> tuple[int, int]:
    """The shortest of WINDOWS_US before `end_us` that shows every row, or else the longest."""
    first = min((row.start_us for row in rows), default=end_us)
    length = next((size for size in WINDOWS_US if end_us - size <= first), WINDOWS_US[-1])
    return max(end_us - length, 0), end_us


def picture(
    rows: Sequence[Row], lane_of: Callable[[Row], str], names: Iterable[str], end_us: int
) -> dict[str, Any]:
    """Lanes `names` up to `end_us`. Rows that share a lane are shown by `weighbridge.ledger.PRECEDENCE`."""
    start_us, end_us = window(rows, end_us)
    by_lane: dict[str, list[Row]] = {name: [] for name in names}
    for row in rows:
        by_lane.get(lane_of(row), []).append(row)
    lanes = [
        Lane(_short(name), place * LANE, _bars(timeline(found, start_us, end_us), start_us, end_us))
        for place, (name, found) in enumerate(by_lane.items())
    ]
    return {
        "lanes": lanes,
        "marks": _marks(start_us, end_us),
        "width": WIDTH,
        "left": LEFT,
        "height": len(lanes) * LANE + 16,
        "span": span(end_us - start_us),
    }


def _short(name: str) -> str:
    return name if len(name) <= 26 else f"{name[:12]}…{name[-13:]}"


def _bars(spans: Iterable[Span], start_us: int, end_us: int) -> list[Bar]:
    return [_bar(span, start_us, end_us) for span in spans if span.state is not State.UNKNOWN]


def _bar(part: Span, start_us: int, end_us: int) -> Bar:
    scale = (WIDTH - LEFT) / (end_us - start_us)
    cause = f" ({part.cause})" if part.cause else ""
    length = part.end_us - part.start_us
    return Bar(
        part.state.value,
        round(LEFT + (part.start_us - start_us) * scale, 2),
        max(round(length * scale, 2), THINNEST),
        f"{part.state.value}{cause}: {utc(part.start_us)} to {utc(part.end_us)}, {span(length)}",
    )


def _marks(start_us: int, end_us: int) -> list[dict[str, Any]]:
    middle = (start_us + end_us) // 2
    return [
        {"x": LEFT, "anchor": "start", "label": utc(start_us)},
        {"x": (LEFT + WIDTH) / 2, "anchor": "middle", "label": utc(middle)},
        {"x": WIDTH, "anchor": "end", "label": utc(end_us)},
    ]
