"""What a settlement is made from: intervals of units, notices and events, in whole seconds.

The ledger's microseconds are floored to seconds here, once; from here on seconds are integers and nothing is rounded
but by a contract's own rule.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

from weighbridge.judge.ledger import State
from weighbridge.settlement.intervals import Interval, Intervals, subtraction, union
from weighbridge.settlement.probes import Samples
from weighbridge.settlement.statement import SeriesLine

Side = Literal["provider", "lessee"]
BOTH: frozenset[Side] = frozenset({"provider", "lessee"})


@dataclass(frozen=True, slots=True)
class Span:
    """A unit was in a state over [start_s, end_s). What no span covers is up.

    `reported_s`: when the lessee, `confirmed_s`: when the provider said so; None: never. `recorded_s`: when it became
    known. `ahead_s`: the times are the agent's own, measured to be so far ahead of the reference. Spans of one
    recording may overlap (concurrent causes); a later recording replaces earlier ones. `unheard`: what the unit is held
    to be as well, because what this says was heard late. `objective`: of which alone it is; empty: of all that have no
    spans of their own.
    """

    unit: str
    state: State
    start_s: int
    end_s: int
    cause: str = ""
    reported_s: int | None = None
    confirmed_s: int | None = None
    recorded_s: int = 0
    ahead_s: int = 0
    unheard: tuple[State, str] | None = None
    objective: str = ""


@dataclass(frozen=True, slots=True)
class Window:
    """Announced maintenance. `units` None: all. `received_s`: when the notice arrived, not when it was written.

    `withdrawn_s`: when word arrived that it was called off.
    """

    id: str
    start_s: int
    end_s: int
    received_s: int
    units: frozenset[str] | None = None
    withdrawn_s: int | None = None

    @property
    def until_s(self) -> int:
        """Its end, or that it was called off: nobody could count on it any more."""
        if self.withdrawn_s is None:
            return self.end_s
        return max(self.start_s, min(self.end_s, self.withdrawn_s))

    @property
    def called_off(self) -> bool:
        """Whether it never was."""
        return self.withdrawn_s is not None and self.withdrawn_s <= self.start_s

    def known_by(self, instant_s: int) -> "Window":
        """As it was known then."""
        later = self.withdrawn_s is not None and self.withdrawn_s > instant_s
        return replace(self, withdrawn_s=None) if later else self

    def concerns(self, unit: str) -> bool:
        """Whether the window is for the unit."""
        return self.units is None or unit in self.units

    def touches(self, service: Interval) -> bool:
        """Whether it begins in the time of service, or some of it lies there."""
        begun = self.start_s >= service[0] or self.until_s > service[0]
        return begun and self.start_s < service[1]


@dataclass(frozen=True, slots=True)
class Claim:
    """A lessee asked for the credits of a period. `unit` and `objective` None: for all of them."""

    period: str
    filed_s: int
    unit: str | None = None
    objective: str | None = None


@dataclass(frozen=True, slots=True)
class ToldEvent:
    """Something that happened at an instant: a fault confirmed, a part replaced, a burn-in passed.

    `since_s`: for what lasted until then, such as an anomaly, or work that was lost. `received_s`: when it was told of;
    None: at once. `sides`: who says so, or is bound by it all the same. What the other side alone says is open.
    """

    kind: str
    at_s: int
    unit: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
    since_s: int | None = None
    received_s: int | None = None
    sides: frozenset[Side] = BOTH

    def told_by(self, cutoff_s: int) -> bool:
        """Whether it counts: what happened by the cut-off was told of by then, or never counts."""
        return self.received_s is None or not self.at_s <= cutoff_s < self.received_s


@dataclass(frozen=True)
class Record:
    """Everything that a settlement reads besides the contract. `probes`: of each performance objective, by its id.

    `coming`: from when on the time of a unit is to come, where the period is under way. What its spans say of that time
    is how it would be if the unit stayed as it is. `marks`: by cause, when the registry found what is to be flagged.
    `accepted`: from when on a unit is in service, where that is not when service begins.
    `steps`: of a line item how many nodes are in service since when. `service`: of the whole period, by all versions of
    the contract; None: by the one that it is settled under.
    `apart`: objectives whose units have spans of their own. `series`: those of challenges, as they are shown.
    """

    spans: tuple[Span, ...] = ()
    windows: tuple[Window, ...] = ()
    claims: tuple[Claim, ...] = ()
    events: tuple[ToldEvent, ...] = ()
    probes: Mapping[str, tuple[Samples, ...]] = field(default_factory=dict)
    coming: Mapping[str, int] = field(default_factory=dict)
    marks: Mapping[str, Intervals] = field(default_factory=dict)
    apart: frozenset[str] = frozenset()
    series: tuple[SeriesLine, ...] = ()
    accepted: Mapping[str, int] = field(default_factory=dict)
    steps: Mapping[str, Sequence[tuple[int, int]]] = field(default_factory=dict)
    service: Interval | None = None

    def under(self, objective: str) -> "Record":
        """What an objective is judged by."""
        if not self.apart:
            return self
        own = objective if objective in self.apart else ""
        return replace(self, spans=tuple(one for one in self.spans if one.objective == own))

    @cached_property
    def by_unit(self) -> Mapping[str, tuple[Span, ...]]:
        """The spans of each unit that has any."""
        units: dict[str, list[Span]] = defaultdict(list)
        for span in self.spans:
            units[span.unit].append(span)
        return {unit: tuple(spans) for unit, spans in units.items()}

    def seen(self, unit: str) -> tuple[Span, ...]:
        """The spans of a unit, of time that is not to come."""
        spans, coming_s = self.by_unit.get(unit, ()), self.coming.get(unit)
        if coming_s is None:
            return spans
        return tuple(span for span in spans if span.start_s < coming_s)

    def without(self, units: Iterable[str], outages: Intervals) -> "Record":
        """As if these units had been up in these intervals."""
        named = set(units)
        kept: list[Span] = []
        for span in self.spans:
            kept += _pieces(span, outages) if span.unit in named else (span,)
        return replace(self, spans=tuple(kept))

    def windows_by(self, instant_s: int) -> tuple[Window, ...]:
        """The maintenance of which notice was received by then."""
        return tuple(one.known_by(instant_s) for one in self.windows if one.received_s <= instant_s)

    def corrected(self, max_abs_skew_s: int) -> "Record":
        """All spans in reference time."""
        return replace(self, spans=tuple(corrected(span, max_abs_skew_s) for span in self.spans))

    def as_of(self, instant_s: int, cutoff_s: int) -> "Record":
        """What was known at an instant: later recordings are left out, and earlier ones give way to later ones.

        What was recorded, told of, or happened after the cut-off is left out for good, but for claims. Events that
        several parties told of in the same words are one.
        """
        last_s = min(instant_s, cutoff_s)
        spans = (span for span in self.spans if span.recorded_s <= last_s)
        return replace(
            self,
            spans=latest(spans),
            windows=self.windows_by(last_s),
            claims=tuple(claim for claim in self.claims if claim.filed_s <= instant_s),
            events=agreed(
                event for event in self.events if event.at_s <= last_s and event.told_by(cutoff_s)
            ),
        )


def agreed(events: Iterable[ToldEvent]) -> tuple[ToldEvent, ...]:
    """The same event, told of more than once, once: said by every side that told of it."""
    found: dict[tuple[object, ...], ToldEvent] = {}
    for event in events:
        details = tuple(sorted(event.details.items()))
        words = (event.kind, event.at_s, event.unit, details, event.since_s)
        before = found.get(words, event)
        found[words] = replace(before, sides=before.sides | event.sides)
    return tuple(found.values())


def latest(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The spans after each recording has replaced what earlier ones said about the same time of the same unit."""
    groups: dict[tuple[str, int], list[Span]] = defaultdict(list)
    for span in spans:
        groups[span.unit, span.recorded_s].append(span)
    covered: dict[str, Intervals] = defaultdict(tuple)
    kept: list[Span] = []
    for (unit, _), group in sorted(groups.items(), key=lambda item: -item[0][1]):
        for span in group:
            kept += _pieces(span, covered[unit])
        covered[unit] = union(covered[unit], ((span.start_s, span.end_s) for span in group))
    return tuple(sorted(kept, key=lambda span: (span.unit, span.start_s, span.end_s, span.cause)))


def _pieces(span: Span, covered: Intervals) -> Iterable[Span]:
    whole: Interval = (span.start_s, span.end_s)
    for start, end in subtraction((whole,), covered):
        yield replace(span, start_s=start, end_s=end)


def corrected(span: Span, max_abs_skew_s: int) -> Span:
    """A span in the agent's time, moved to reference time; beyond the bound it stays, and is unknown."""
    if span.ahead_s == 0:
        return span
    if abs(span.ahead_s) > max_abs_skew_s:
        return replace(span, state=State.UNKNOWN, cause="clock")
    start, end = span.start_s - span.ahead_s, span.end_s - span.ahead_s
    return replace(span, start_s=start, end_s=end, ahead_s=0)
