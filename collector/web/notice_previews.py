"""What a notice would change, laid out for its page: each change in words, by the statement's own spellings."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from collector.documents.speaker import Speaker
from collector.documents.spelling import span
from collector.judging.preview import Change, Kind, PeriodPreview, Preview, Value
from collector.web.page_words import name, say
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.settlement.statement import path_text

MOST_CHANGES, MOST_PATHS = 60, 200


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One change in words."""

    lines: str
    about: str
    what: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class PeriodCard:
    """One statement: what changes in it, or why nothing does. `paths`: where, before, and after."""

    label: str
    final: bool
    unchanged: str
    rows: tuple[ChangeRow, ...]
    more: int
    paths: tuple[tuple[str, str, str], ...]
    differences: int


def cards(preview: Preview, speak: Speaker) -> list[PeriodCard]:
    """The newest period first."""
    return [_card(one, speak) for one in reversed(preview.periods)]


def _card(one: PeriodPreview, speak: Speaker) -> PeriodCard:
    return PeriodCard(
        label=one.after.period,
        final=one.after.final,
        unchanged=_unchanged(one),
        rows=tuple(_row(change, speak) for change in one.changes[:MOST_CHANGES]),
        more=max(len(one.changes) - MOST_CHANGES, 0),
        paths=tuple(_paths(one, speak)),
        differences=len(one.paths),
    )


def _unchanged(one: PeriodPreview) -> str:
    if not one.stays:
        return ""
    if one.closed:
        return "no_change_closed"
    return "no_change_final" if one.after.final else "no_change"


def _row(change: Change, speak: Speaker) -> ChangeRow:
    place, language = change.place, speak.language
    what = (
        name("flag", place.what, language)
        if change.kind == "flag"
        else say(f"value.{place.what}", language)
    )
    values = [_spelled(change.kind, value, speak) for value in (change.before, change.after)]
    return ChangeRow(
        say(f"lines.{place.lines}", language), speak.clocked(" · ".join(place.about)), what, *values
    )


def _paths(one: PeriodPreview, speak: Speaker) -> Iterator[tuple[str, str, str]]:
    for told in one.paths[:MOST_PATHS]:
        path = told.arguments["path"]
        where = path_text(path) if isinstance(path, tuple) else str(path)
        yield where, speak.value(told, "before"), speak.value(told, "after")


def _spelled(kind: Kind, value: Value, speak: Speaker) -> str:
    if value is None:
        return say("none_here", speak.language)
    return SPELLED[kind](value, speak)


def _pair(value: Value) -> tuple[Value, Value]:
    return value if isinstance(value, tuple) else (value, value)


def _until(value: Value, speak: Speaker) -> str:
    low, high = (speak.local(text).text for text in _pair(value))
    return say("from_until", speak.language, low, high)


SPELLED: Mapping[Kind, Callable[[Value, Speaker], str]] = {
    "verdict": lambda value, speak: speak.verdict(value).text,
    "seconds": lambda value, speak: speak.numbers(*_pair(value)).text,
    "shares": lambda value, speak: speak.percents(*_pair(value)).text,
    "amounts": lambda value, speak: speak.amounts(*_pair(value)).text,
    "standing": lambda value, speak: speak.name("standing", value),
    "ruling": lambda value, speak: speak.name("ruling", value),
    "exit": lambda value, speak: speak.name("exit", value),
    "event": lambda value, speak: speak.name("event", value),
    "instant": lambda value, speak: speak.local(value).text,
    "instants": _until,
    "yes": lambda value, speak: speak.yes(value).text,
    "flag": lambda _, speak: speak.yes(True).text,
}
"""How a statement spells a value."""


def remarked(preview: Preview, speak: Speaker) -> Iterator[str]:
    """What is to be known besides."""
    language = speak.language
    for code, *values in preview.remarks:
        yield say(f"remark.{code}", language, *_worded(code, values, speak))
    if preview.not_begun:
        yield say("not_begun_yet", language, speak.listed(preview.not_begun))
    if preview.left_out:
        yield say("left_out", language, speak.listed(preview.left_out))


def _worded(code: str, values: Sequence[str], speak: Speaker) -> Sequence[str]:
    match code:
        case "maintenance":
            ruling, seconds = values
            return [speak.name("ruling", ruling), span(int(seconds) * MICROSECONDS, speak.language)]
        case "claim":
            return [speak.name("standing", values[0])]
        case _:
            return values
