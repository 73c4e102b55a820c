"""The picture of a part of the period: a lane of coloured bars for each unit, in whole millionths."""

from datetime import UTC, datetime, timedelta

from collector.statements.sheet import Bar, Lane, Section, Timeline
from collector.statements.speaker import Speaker
from weighbridge.settlement.statement import Outage, Part, UnitLine

MILLION = 1_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

LEGEND = {
    "rest": "rest",
    "down": "state.down",
    "degraded": "state.degraded",
    "contested": "state.contested",
    "unknown": "state.unknown",
    "short": "short_outage",
    "excluded": "maintenance_window",
}
"""Tones of a timeline."""

SEEN = ("down", "degraded", "contested", "unknown")
"""An outage of several causes is drawn as the first of these: what was seen before what nobody saw."""


def timeline(part: Part, speak: Speaker, suffix: str) -> Section:
    lanes = tuple(_lane(part, unit, speak) for unit in part.units)
    legend = tuple((tone, speak.say(word)) for tone, word in LEGEND.items())
    ends = (speak.instant(part.start).text, speak.instant(part.end).text)
    return Section(
        f"timeline-{part.version}",
        speak.say("timeline") + suffix,
        speak.say("timeline_note"),
        timeline=Timeline(*ends, lanes, legend),
    )


def _lane(part: Part, unit: UnitLine, speak: Speaker) -> Lane:
    bars = [
        _bar(part, "excluded", window.start, window.end, window.id) for window in part.maintenance
    ]
    bars += [_outage_bar(part, outage, speak) for outage in unit.outages]
    label = speak.say("timeline_label", unit.unit)
    return Lane(unit.unit, label, tuple(bar for bar in bars if bar.length > 0))


def _outage_bar(part: Part, outage: Outage, speak: Speaker) -> Bar:
    states = {cause.partition(":")[0] for cause in outage.causes}
    tone = next((state for state in SEEN if state in states), "down")
    if not outage.counted:
        tone = "short"
    causes = speak.listed(speak.cause(cause) for cause in outage.causes)
    return _bar(part, tone, outage.start, outage.end, causes)


def _bar(part: Part, tone: str, start: str, end: str, title: str) -> Bar:
    """In millionths of the part, cut to it."""
    first, last = _seconds(part.start), _seconds(part.end)
    inside = [min(max(_seconds(text), first), last) for text in (start, end)]
    left, right = ((at - first) * MILLION // max(last - first, 1) for at in inside)
    return Bar(tone, left, right - left, f"{title}: {start} – {end}")


def _seconds(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(seconds=1)
