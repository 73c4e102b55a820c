"""What each notice is made of: the fields that whoever says it fills in, and the notice that these make.

One description drives the forms, what is wrong with an answer, and the help of the command.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from weighbridge.contract.local_days import EPOCH
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.contract.zone_data import time_zone
from weighbridge.log.entries import (
    CauseNotice,
    ClaimNotice,
    EventNotice,
    MaintenanceNotice,
    Notice,
)
from weighbridge.notices.rules import (
    CANCELLED,
    SPEAKERS,
    WITHDRAWN,
    EventRule,
    NoticeError,
    NoticeRules,
    role_of,
)
from weighbridge.settlement.answers import AGREED, ANSWERS, OBJECTED
from weighbridge.settlement.payments import MONEY
from weighbridge.wire.misfit import NAME
from weighbridge.wire.report import MAX_INTEGER

Said = MaintenanceNotice | CauseNotice | EventNotice | ClaimNotice
Shape = Literal[
    "name",
    "text",
    "instant",
    "period",
    "amount",
    "digest",
    "cause",
    "window",
    "batch",
    "unit",
    "units",
    "claimable",
]
"""What a field holds."""

MOST_NAME, MOST_TEXT, MOST_UNITS = 128, 512, 4096
IS_NAME = re.compile(NAME + r"\Z")
NAMES = frozenset({"name", "period", "cause", "window", "batch", "claimable"})
"""Shapes of what the wire takes as a name."""

SHAPES: Mapping[str, Shape] = {
    "amount": "amount",
    "digest": "digest",
    "id": "window",
    "new": "name",
    "old": "name",
    "period": "period",
    "probe": "name",
}
"""Of details; any other is text."""


@dataclass(frozen=True, slots=True)
class FieldRule:
    """A field. `needed`: it cannot be left empty."""

    name: str
    shape: Shape
    needed: bool = True


SAID: Mapping[str, tuple[FieldRule, ...]] = {
    "maintenance": (
        FieldRule("id", "name"),
        FieldRule("from", "instant"),
        FieldRule("until", "instant"),
        FieldRule("units", "units", needed=False),
    ),
    "cause": (
        FieldRule("code", "cause"),
        FieldRule("from", "instant"),
        FieldRule("until", "instant"),
        FieldRule("unit", "unit", needed=False),
    ),
    "claim": (FieldRule("period", "period"), FieldRule("unit", "claimable", needed=False)),
}
"""What is no event. All else that can be said is the name of one."""


class FieldErrors(ValueError):
    """What is wrong, field by field; under the empty name what is wrong with the whole."""

    def __init__(self, errors: Mapping[str, NoticeError]) -> None:
        super().__init__("; ".join(f"{name}: {error}" for name, error in errors.items()))
        self.errors = errors


def fields_of(kind: str, events: Mapping[str, EventRule]) -> tuple[FieldRule, ...]:
    """`kind`: one of SAID, or an event. Raises KeyError for one that the contract does not know."""
    return SAID[kind] if kind in SAID else tuple(_of_event(kind, events[kind]))


def _of_event(event: str, rule: EventRule) -> Iterator[FieldRule]:
    needed = [name for name in rule.needs if name != "party"]
    yield from (FieldRule(name, SHAPES.get(name, "text")) for name in needed if name == "period")
    yield from _unit_of(event, rule)
    if rule.lasts:
        yield FieldRule("since", "instant", needed=False)
    yield FieldRule("at", "instant")
    yield from (FieldRule(name, SHAPES.get(name, "text")) for name in needed if name != "period")
    yield from (FieldRule(name, SHAPES.get(name, "text"), needed=False) for name in rule.may)


def _unit_of(event: str, rule: EventRule) -> Iterator[FieldRule]:
    if rule.batch or event == CANCELLED:
        yield FieldRule("unit", "batch", needed=rule.batch)
    elif event in ANSWERS:
        yield FieldRule("unit", "claimable", needed=False)
    elif event not in (AGREED, OBJECTED, WITHDRAWN, *MONEY):
        yield FieldRule("unit", "unit", needed=False)


def kinds_for(rules: NoticeRules, party: str) -> list[str]:
    """What a party may say, events last. Raises NoticeError for one that the contract does not name."""
    role = role_of(rules.newest, party)
    speakers = {kind: SPEAKERS.get(kind) for kind in SAID}
    speakers |= {event: rule.speakers for event, rule in rules.events.items()}
    return [kind for kind, allowed in speakers.items() if allowed is None or role in allowed]


def notice_of(
    kind: str,
    rules: NoticeRules,
    party: str,
    answers: Mapping[str, str],
    attested_for: str | None = None,
) -> Notice:
    """The notice that these answers make; instants are on the contract's clocks. Raises FieldErrors."""
    contract = rules.newest
    reading = _Reading(answers, contract.time_zone)
    values = {field.name: reading.value(field) for field in fields_of(kind, rules.events)}
    try:
        role_of(contract, party)
    except NoticeError as error:
        reading.errors["party"] = error
    if reading.errors:
        raise FieldErrors(reading.errors)
    said = _said(kind, party, values)
    notice = Notice(
        contract=contract.contract_id, party=party, said=said, attested_for=attested_for
    )
    try:
        rules.check(notice)
    except NoticeError as error:
        at = error.at if error.at in values or error.at == "party" else ""
        raise FieldErrors({at: error}) from error
    return notice


def _said(kind: str, party: str, values: Mapping[str, Any]) -> Said:
    match kind:
        case "maintenance":
            times = {"from_us": values["from"], "until_us": values["until"]}
            units = values["units"].replace(",", " ").split()
            return MaintenanceNotice(kind="maintenance", id=values["id"], units=units, **times)
        case "cause":
            times = {"from_us": values["from"], "until_us": values["until"]}
            return CauseNotice(kind="cause", code=values["code"], unit=values["unit"], **times)
        case "claim":
            unit = values["unit"] or None
            return ClaimNotice(kind="claim", period=values["period"], unit=unit, objective=None)
        case _:
            return _told(kind, party, values)


def _told(event: str, party: str, values: Mapping[str, Any]) -> EventNotice:
    details = {
        name: value
        for name, value in values.items()
        if value and name not in ("at", "since", "unit")
    }
    return EventNotice(
        kind="event",
        event=event,
        at_us=values["at"],
        since_us=values.get("since"),
        unit=values.get("unit", ""),
        details=details | ({"party": party} if event == CANCELLED else {}),
    )


class _Reading:
    """Answers as values, and what is wrong with them."""

    def __init__(self, answers: Mapping[str, str], zone: str) -> None:
        self.errors: dict[str, NoticeError] = {}
        self._answers = answers
        self._zone = zone

    def value(self, field: FieldRule) -> Any:
        """Of an instant microseconds, or None; of all else text."""
        text = self._answers.get(field.name, "").strip()
        try:
            return self._read(field, text)
        except NoticeError as error:
            self.errors[field.name] = error
            return None

    def _read(self, field: FieldRule, text: str) -> int | str | None:
        if not text and field.needed:
            raise NoticeError("needed", field.name)
        if field.shape == "instant":
            return local_instant_us(text, self._zone) if text else None
        if field.shape == "units":
            _require_names(field, text.replace(",", " ").split())
            return text
        if len(text) > MOST_TEXT:
            raise NoticeError("too_long", field.name, most=str(MOST_TEXT))
        if field.shape in NAMES and text:
            _require_names(field, [text])
        return text


def _require_names(field: FieldRule, names: list[str]) -> None:
    if len(names) > MOST_UNITS:
        raise NoticeError("too_long", field.name, most=str(MOST_UNITS))
    for name in names:
        if len(name) > MOST_NAME or not IS_NAME.match(name):
            raise NoticeError("no_name", field.name, named=name[:MOST_NAME])


def local_instant_us(text: str, zone: str) -> int:
    """What clocks in a zone show, such as `2026-10-05T08:00` or `2026-10-05 08:00:00`, in microseconds; or an instant
    with its own offset. Raises NoticeError for no instant, and where clocks never show it, or twice."""
    try:
        told = datetime.fromisoformat(text)
        placed = told if told.tzinfo is not None else _on_clocks(told, zone)
        seconds, rest = divmod(placed.astimezone(UTC) - EPOCH, timedelta(seconds=1))
    except NoticeError:
        raise
    except (ValueError, OverflowError) as error:
        raise NoticeError("no_instant", named=text[:MOST_NAME]) from error
    if rest or not 0 <= seconds * MICROSECONDS <= MAX_INTEGER:
        raise NoticeError("no_instant", named=text[:MOST_NAME])
    return seconds * MICROSECONDS


def _on_clocks(told: datetime, zone: str) -> datetime:
    place = time_zone(zone)
    first, second = (told.replace(tzinfo=place, fold=fold) for fold in (0, 1))
    again = first.astimezone(UTC).astimezone(place)
    if again.replace(tzinfo=None, fold=0) != told.replace(fold=0):
        raise NoticeError("never_shown", named=told.isoformat(" "), zone=zone)
    if first.utcoffset() != second.utcoffset():
        ways = {"first": first.isoformat(), "second": second.isoformat()}
        raise NoticeError("shown_twice", named=told.isoformat(" "), zone=zone, **ways)
    return first
