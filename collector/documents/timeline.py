"""The picture of a part of the period: a lane of coloured bars for each unit, in whole millionths."""

from datetime import UTC, datetime, timedelta

from collector.documents.document_layout import Bar, Lane, Section, Timeline
from collector.documents.speaker import Speaker
from weighbridge.settlement.statement import Part, UnitTime

MILLION = 1_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

STATES = ("up", "down", "degraded", "contested", "unknown", "excluded")
"""Tones of a timeline: the states. What is outside the time of service has none."""

MAINTENANCE, UNDER_WAY = "maintenance", "underway"
"""Tones of what is no state."""


def timeline(part: Part, speak: Speaker, suffix: str) -> Section:
    """Every unit of every objective, as its time was counted."""
    several = len({time.objective for time in part.times}) > 1
    lanes = tuple(_lane(part, time, speak, several) for time in part.times)
    legend = [(state, speak.name("state", state)) for state in STATES]
    ends = (speak.local(part.start).text, speak.local(part.end).text)
    return Section(
        "timeline",
        speak.say("timeline") + suffix,
        speak.say("timeline_note"),
        timeline=Timeline(*ends, lanes, [*legend, ("outside", speak.say("outside_service"))]),
        version=part.version,
    )


def announced(part: Part, speak: Speaker) -> Lane | None:
    """A lane of the maintenance that was announced, each with what became of it; None where there was none."""
    bars = tuple(
        _stretch(
            part, line.start, line.end, MAINTENANCE, speak, f"{line.id}{speak.say('colon')}{told}"
        )
        for line in part.maintenance
        for told in [speak.name("ruling", line.ruling)]
    )
    name = speak.say("maintenance")
    return Lane(name, speak.say("timeline_label", name), bars) if bars else None


def hour_under_way(part: Part, as_of: str, told: str, speak: Speaker) -> Bar | None:
    """The hour in which a statement was made, up to then; None where that is outside of the part."""
    if not part.start <= as_of < part.end:
        return None
    hour = f"{as_of[: len('2026-05-01T00')]}:00:00Z"
    return _stretch(part, max(hour, part.start), as_of, UNDER_WAY, speak, told)


def _lane(part: Part, time: UnitTime, speak: Speaker, several: bool) -> Lane:
    """Of several objectives each lane names its own: what one excludes another may count."""
    bars = [] if part.service is None else [_bar(part, *part.service, "up", speak)]
    bars += [_bar(part, start, end, state, speak) for start, end, state in time.not_up]
    name = f"{time.unit} · {time.objective}" if several else time.unit
    label = speak.say("timeline_label", name)
    return Lane(name, label, tuple(bar for bar in bars if bar.length > 0))


def _bar(part: Part, start: str, end: str, state: str, speak: Speaker) -> Bar:
    return _stretch(part, start, end, state, speak, speak.name("state", state))


def _stretch(part: Part, start: str, end: str, tone: str, speak: Speaker, what: str) -> Bar:
    """In millionths of the part; what is shorter than one of them is drawn as one, what lies outside not at all."""
    first, last = _seconds(part.start), _seconds(part.end)
    length = max(last - first, 1)
    inside = (min(max(_seconds(text), first), last) - first for text in (start, end))
    left, right = (place * MILLION // length for place in inside)
    least = 1 if start < end else 0
    here = " – ".join(speak.short(edge).text for edge in (start, end))
    told = f"{what}{speak.say('colon')}{here} ({start} – {end})"
    return Bar(tone, left, max(right - left, least), told)


def _seconds(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(seconds=1)
