"""The timeline of a case as the record that a settlement reads."""

from collections.abc import Iterator
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from tests.weighbridge.sla.reading import Given
from tests.weighbridge.sla.terms import instant
from weighbridge.judge.ledger import State
from weighbridge.settlement.probes import Samples
from weighbridge.settlement.record import Claim, Record, Span, ToldEvent, Window


def record_of(terms: Given, timeline: Given) -> Record:
    clock = terms.get("clock", Given({}))
    offset = clock.get("agent_minus_reference_s", 0)
    ahead = offset if clock.get("apply", True) else 0
    spans = list(spans_of([*timeline.get("intervals", []), *repeated(timeline)], ahead_s=ahead))
    for batch in timeline.get("late_batches", []):
        spans += spans_of(batch["intervals"], instant(batch["received_at"]), ahead)
    claims = tuple(
        Claim(given["period"], instant(given["filed_at"]), given.get("unit"))
        for given in timeline.get("claims", [])
    )
    events = tuple(
        ToldEvent(given["kind"], instant(given["at"]), given.get("unit", ""))
        for given in timeline.get("events", [])
    )
    return Record(tuple(spans), windows_of(timeline), claims, events)


def spans_of(intervals: list[Given], recorded_s: int = 0, ahead_s: int = 0) -> Iterator[Span]:
    for given in intervals:
        state = State(given["state"])
        yield Span(
            unit=given.get("unit", "unit"),
            state=state,
            start_s=instant(given["from"]),
            end_s=instant(given["to"]),
            cause=given.get("cause") or ("unattributed" if state == State.UNKNOWN else ""),
            reported_s=maybe(given.get("reported_at")),
            confirmed_s=maybe(given.get("confirmed_at")),
            recorded_s=recorded_s,
            ahead_s=ahead_s if time_base_of(given) == "agent" else 0,
        )


def time_base_of(given: Given) -> str:
    base = given.get("time_base", "reference")
    assert base in ("agent", "reference", "utc"), base
    return str(base)


def maybe(text: Any) -> int | None:
    return None if text is None else instant(text)


def repeated(timeline: Given) -> Iterator[Given]:
    """Each repetition of a pattern as an interval of its own."""
    for given in timeline.get("patterns", []):
        first, every, length = instant(given["first_from"]), given["every_s"], given["length_s"]
        count, shared = given["count"], given.rest()
        for number in range(count):
            start = first + number * every
            yield Given(shared | {"from": text_of(start), "to": text_of(start + length)})


def text_of(instant_s: int) -> str:
    return datetime.fromtimestamp(instant_s, UTC).isoformat()


def windows_of(timeline: Given) -> tuple[Window, ...]:
    return tuple(
        Window(
            id=given["id"],
            start_s=instant(given["from"]),
            end_s=instant(given["to"]),
            received_s=instant(given.get("notified_at") or given["from"]),
            units=None if given.get("units", "all") == "all" else frozenset(given["units"]),
        )
        for given in timeline.get("maintenance", [])
    )


def samples_of(given: Given) -> Samples:
    value = given["error_rate"] if "error_rate" in given else given["ratio"]
    return Samples(given["count"], None if value is None else Fraction(value))


def lasting_event(given: Given) -> ToldEvent:
    start, end = given.get("from") or given["last_startup"], given.get("to") or given["at"]
    return ToldEvent(given["kind"], instant(end), since_s=instant(start))
