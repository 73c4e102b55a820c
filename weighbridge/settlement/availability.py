"""Availability of the units of an objective over a period, in the order that the reference fixes.

union -> exclusion -> (combination of units) -> merge -> minimum -> clip to the period -> round -> ratio.
Unknown and contested time keep their place to the last step: where the contract holds them, there are two outcomes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache, cached_property, partial

from weighbridge.contract import Availability, Contract, Policy
from weighbridge.judge.ledger import State
from weighbridge.judge.two_sides import grounds_of
from weighbridge.settlement.counting import APART, COUNTED, by_intervals_s
from weighbridge.settlement.intervals import (
    Interval,
    Intervals,
    clip,
    covered_by_at_least,
    intersection,
    merge,
    partition,
    subtraction,
    total,
    union,
)
from weighbridge.settlement.maintenance import admitted
from weighbridge.settlement.outage_values import (
    JudgedTime,
    OutageRules,
    OutageValue,
    StartedMinutes,
)
from weighbridge.settlement.period_labels import margin_s, periods_around
from weighbridge.settlement.periods import Period, served_part_s
from weighbridge.settlement.policies import counts_as
from weighbridge.settlement.readings import BadTimes, Weighed, cut, few, readings
from weighbridge.settlement.record import Record, Span, Window
from weighbridge.settlement.rolling import Breach, Rolling


@dataclass(frozen=True, slots=True)
class Incident:
    """One outage after exclusion and merging: whole, the part inside the period, and whether it is long enough.

    `before_s`: its seconds of service before the period. `held`: what of it the contract holds; `certain`: some of it
    counts also where that was up.
    """

    whole: Interval
    inside: Intervals
    counted: bool
    before_s: int = 0
    held: Intervals = ()
    certain: bool = True


@dataclass(frozen=True, slots=True)
class MovingWindow:
    """Of an objective over a moving window: the worst window, and when the window held too much bad time."""

    window: Interval
    breaches: tuple[Breach, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Counted seconds (unit-seconds where pooled) in one case of the held time, and their outages.

    `moving`: these are the seconds and outages of the worst window. `free_s`: seconds of the period that were free.
    `hidden_s`: bad seconds of the period that outages too short to count, or rounding, leave out.
    """

    downtime_s: int
    denominator_s: int
    excluded_s: int
    incidents: tuple[Incident, ...]
    moving: MovingWindow | None = None
    free_s: int = 0
    hidden_s: int = 0

    @property
    def availability(self) -> Fraction:
        """Exact. Where no time is judged nothing was missed: 1."""
        if self.denominator_s == 0 or self.downtime_s == 0:
            return Fraction(1)
        return 1 - Fraction(self.downtime_s, self.denominator_s)


@dataclass(frozen=True, slots=True)
class BadTime:
    """Of one unit or of a combination: bad time less excluded time, and excluded time."""

    down: Intervals
    excluded: Intervals


Worth = Callable[[OutageRules], OutageValue]


@dataclass(frozen=True, slots=True)
class Joint(Weighed):
    """One reading of all parts: the outages of each."""

    parts: tuple[tuple[Incident, ...], ...] = ()

    def beside(self, other: "Joint") -> "Joint":
        """Of the parts of both."""
        return Joint(
            self.worth + other.worth,
            self.bad_s + other.bad_s,
            self.own_bad_s + other.own_bad_s,
            self.parts + other.parts,
        )


@dataclass(frozen=True)
class Readings:
    """Every way to read held time. `parts`: bad time with all of it down, and with all of it up; it changes at `edges`.

    `rules`: how any outage is judged, with the time that is excluded; `incident`: one of them. `counted_s`: the bad
    seconds of one; `parted`: where outages apart may have more; `availability`: where so many count together.
    """

    parts: tuple[tuple[BadTime, BadTime], ...]
    edges: frozenset[int]
    gap_s: int
    rules: Callable[[Intervals], OutageRules]
    incident: Callable[[Interval, Intervals], Incident]
    counted_s: Callable[[tuple[Incident, ...]], int]
    parted: Worth | None
    availability: Callable[[int], Fraction]

    def incidents(
        self, worth: Worth, *, most: bool, owed: Callable[[int], bool] | None = None
    ) -> tuple[tuple[tuple[Incident, ...], ...], bool]:
        """Of each part the outages of the reading in which they are worth the most together, or the least.

        `owed`: of the readings whose bad time it takes alone, of which the one with the most is one. And whether no
        other reading that it takes is known to be worth more: where they are many, its bad time may be too little.
        """
        found = [Joint()]
        for part in self.parts:
            mine = list(self._of(*part, worth, most=most, weighed=owed is not None))
            found = few((one.beside(other) for one in found for other in mine), most=most)
        if owed is None:
            return found[0].parts, True
        chosen = next((one for one in found if owed(one.bad_s)), found[-1])
        return chosen.parts, owed(chosen.own_bad_s) or not owed(chosen.bad_s)

    def _of(
        self, down: BadTime, up: BadTime, worth: Worth, *, most: bool, weighed: bool
    ) -> Iterator[Joint]:
        excluded = (down if most else up).excluded
        rules = self.rules(excluded)

        def bad_s(outage: Interval) -> int:
            one = self.incident(outage, excluded)
            return self.counted_s((one,)) if one.inside else 0

        bad = BadTimes(bad_s, self.parted and self.parted(rules)) if weighed else None
        sure = intersection(down.down, up.down)
        held = cut(subtraction(down.down, sure), self.edges)
        for reading in readings(sure, held, self.gap_s, worth(rules), bad, most=most):
            every = (self.incident(outage, excluded) for outage in reading.outages())
            inside = tuple(one for one in every if one.inside)
            yield Joint(reading.worth, reading.bad_s, reading.own_bad_s, (inside,))


@dataclass(frozen=True, slots=True)
class Measure:
    """One unit (or all together) over one period: what was seen, and the lowest and highest outcome.

    Of a period that is under way, the highest takes all that is to come as up, the lowest as it is now. `so_far`: the
    lowest, of what was seen alone. `to_come_s`: what of the service is to come. `readings`: None where nothing is held.
    """

    objective: Availability
    unit: str
    period: Period
    service_s: int
    raw_down_s: int
    unknown_s: int
    contested_s: int
    low: Outcome
    high: Outcome
    so_far: Outcome
    to_come_s: int = 0
    readings: Readings | None = field(default=None, compare=False, repr=False)

    @property
    def held(self) -> bool:
        """Whether the answer depends on time that the contract holds, or that is to come."""
        return self.low != self.high


Rule = Callable[[Span], Policy]

FreeUsed = tuple[Mapping[tuple[str, str], int], Mapping[tuple[str, str], int]]
"""Seconds by objective and unit, with held time counted as down and as up."""

NOTHING_USED: FreeUsed = ({}, {})

WORST_FIRST = (State.CONTESTED, State.DOWN, State.DEGRADED, State.UNKNOWN)
"""Where spans of a unit overlap, an instant belongs to the first of these."""


FATES = ("met", "breached", "unknown", "excluded")
"""What the time of a unit counts as."""


@dataclass(frozen=True)
class Measurement:
    """How units fared under an objective. `service`: the time of service.

    `whole`: what `period` is a part of, or itself; caps on maintenance are those of the whole. `free_used_s`: what of
    the free seconds of the whole the parts before used up.
    """

    contract: Contract
    objective: Availability
    record: Record
    period: Period
    units: Sequence[str]
    service: Interval
    whole: Period
    free_used_s: FreeUsed = NOTHING_USED

    def measures(self) -> Iterator[Measure]:
        """One per unit for `per_unit`, else one for all; each judged when it is asked for."""
        if self.objective.scope == "per_unit":
            return (self.alone(unit).judge(unit, (unit,)) for unit in self.units)
        return iter((self.judge(self.objective.scope, tuple(self.units)),))

    def alone(self, unit: str) -> "Measurement":
        """Over the unit's own service, where that starts later than the contract's."""
        start_s = self.record.accepted.get(unit, self.service[0])
        return self if start_s <= self.service[0] else self._since(start_s)

    @cached_property
    def _since(self) -> Callable[[int], "Measurement"]:
        """One for all units that start at an instant."""

        def since(start_s: int) -> Measurement:
            return replace(self, service=(start_s, max(start_s, self.service[1])))

        return cache(since)

    def seconds(self) -> Mapping[str, int]:
        """Of all units in the served part of the period, what is to come left out, by what became of them."""
        return dict(
            zip(FATES, map(sum, zip(*map(self._own_fates, self.units), strict=True)), strict=False)
        )

    def _own_fates(self, unit: str) -> tuple[int, ...]:
        return self.alone(unit).fates(unit)

    @cached_property
    def beside(self) -> Sequence[Period]:
        """The periods around that an outage, or a moving window, reaches into, where each has a cap of its own."""
        terms = self.contract.maintenance
        if terms is None or terms.max_s_per_period is None:
            return ()
        return tuple(periods_around(self.contract, self.whole, margin_s(self.contract)))

    @cached_property
    def _admitted(self) -> Callable[[tuple[Window, ...]], Intervals]:
        """What windows exclude: reckoned once for all units that have the same."""

        def excluded(windows: tuple[Window, ...]) -> Intervals:
            return admitted(
                self.contract.maintenance,
                windows,
                self.whole,
                self.contract.time_zone,
                self.service,
                self.beside,
            )

        return cache(excluded)

    @cached_property
    def known(self) -> Record:
        """What of the record is of this objective."""
        return self.record.under(self.objective.id)

    @property
    def served(self) -> Interval:
        return served_part_s(self.period, self.service)

    @property
    def reach_s(self) -> Interval:
        """The time whose outages matter: a moving window looks back from the first instant of the period."""
        start = self.period.start_s - (self.objective.window_s or 0)
        return served_part_s(Period(self.period.label, start, self.period.end_s), self.service)

    def judge(self, name: str, units: tuple[str, ...]) -> Measure:
        seen = [self.known.seen(unit) for unit in units]
        stays = seen if self.objective.window_s else [self._all(unit) for unit in units]
        worst, best = (self.rule(held) for held in ("down", "up"))
        used = [free.get((self.objective.id, name), 0) for free in self.free_used_s]
        alike = all(worst(span) == best(span) for spans in seen for span in spans)
        down = self._bad_parts(units, stays, worst)
        up = down if alike and stays == seen else self._bad_parts(units, seen, best)
        every = None if up is down else self._readings(down, up, stays, used[0])
        low = self._outcome(down, up, used[0], every, most=True)
        same = up is down and used[0] == used[1]
        high = low if same else self._outcome(up, up, used[1], every, most=False)
        so_far = low
        if stays != seen:
            known = self._bad_parts(units, seen, worst)
            ways = self._readings(known, up, seen, used[0])
            so_far = self._outcome(known, up, used[0], ways, most=True)
        if self.record.coming and so_far.excluded_s:
            so_far = replace(so_far, excluded_s=self._excluded_s(units, seen, worst))
        return Measure(
            objective=self.objective,
            unit=name,
            period=self.period,
            service_s=self.served[1] - self.served[0],
            raw_down_s=self._seen_s(seen, lambda span: span.state != State.UP),
            unknown_s=self._seen_s(seen, lambda span: span.state == State.UNKNOWN),
            contested_s=self._seen_s(seen, lambda span: span.state == State.CONTESTED),
            low=low,
            high=high,
            so_far=so_far,
            to_come_s=self._to_come_s(units),
            readings=every,
        )

    def _readings(
        self,
        down: list[BadTime],
        up: list[BadTime],
        spans: Iterable[tuple[Span, ...]],
        free_used_s: int,
    ) -> Readings | None:
        """A window that moves holds more of it the more is bad, so nothing lies between."""
        if self.objective.window_s is not None:
            return None
        worst, best = (self.rule(held) for held in ("down", "up"))
        held = (span for mine in spans for span in mine if worst(span) != best(span))
        edges = frozenset(edge for span in held for edge in (span.start_s, span.end_s))
        pairs = tuple(zip(down, up, strict=True))
        denominator = self._divided_by_s(down)

        def availability(bad_s: int) -> Fraction:
            counted = self._less_free_s(bad_s, len(down), free_used_s)
            return Outcome(min(counted, denominator), denominator, 0, ()).availability

        return Readings(
            pairs,
            edges,
            self.objective.counting.merge_gap_s,
            self._outage_rules,
            self._incident,
            self._by_granularity_s,
            StartedMinutes if self.objective.counting.granularity in APART else None,
            availability,
        )

    def _divided_by_s(self, parts: Sequence[BadTime]) -> int:
        excluded = sum(total(clip(part.excluded, self.served)) for part in parts)
        return self._denominator_s(len(parts), excluded) - self.not_yet_s

    def rule(self, held: Policy) -> Rule:
        """What a span is, time that the contract holds taken as this."""
        return self._rules(held)

    @cached_property
    def _rules(self) -> Callable[[Policy], Rule]:
        """Each word that spans say is weighed once: they are many, and say the same."""

        def rule(held: Policy) -> Rule:
            weigh = cache(partial(counts_as, self.contract, self.objective, held=held))
            return lambda span: weigh(span.state, span.cause, span.unheard)

        return cache(rule)

    def _all(self, unit: str) -> tuple[Span, ...]:
        return self.known.by_unit.get(unit, ())

    def gone(self, unit: str) -> Interval:
        """The served part of the period, without what of it is to come for a unit."""
        start, end = self.served
        return (start, max(start, min(end, self.record.coming.get(unit, end))))

    def _to_come_s(self, units: tuple[str, ...]) -> int:
        if not self.record.coming:
            return 0
        sets = [union(((self.gone(unit)[1], self.served[1]),)) for unit in units]
        return sum(total(combined) for combined in self._combined(sets))

    def _excluded_s(self, units: tuple[str, ...], spans: list[tuple[Span, ...]], rule: Rule) -> int:
        """Of what was seen: a window that was announced for time to come has excluded nothing yet."""
        bads = [
            self._bad(unit, mine, rule, self.gone(unit))
            for unit, mine in zip(units, spans, strict=True)
        ]
        return sum(total(part.excluded) for part in self._parts(bads))

    def _seen_s(self, spans: list[tuple[Span, ...]], wanted: Callable[[Span], bool]) -> int:
        if not any(spans):
            return 0
        sets = [clip(_where(unit_spans, wanted), self.served) for unit_spans in spans]
        return sum(total(combined) for combined in self._combined(sets))

    def _combined(self, sets: list[Intervals]) -> list[Intervals]:
        """Per unit for pooled; else the time in which enough units are in their set to decide."""
        if self.objective.scope == "pooled" or (len(sets) == 1 and self._enough(1) == 1):
            return sets
        return [covered_by_at_least(self._enough(len(sets)), sets)]

    def _enough(self, units: int) -> int:
        """How many bad units make the whole bad."""
        k = self.objective.k if self.objective.k is not None else units
        return max(units - k + 1, 1)

    def _bad_parts(
        self, units: tuple[str, ...], spans: list[tuple[Span, ...]], rule: Rule
    ) -> list[BadTime]:
        return self._parts(
            [self._bad(unit, mine, rule) for unit, mine in zip(units, spans, strict=True)]
        )

    def _outcome(
        self,
        parts: list[BadTime],
        sure: list[BadTime],
        free_used_s: int,
        readings: Readings | None,
        *,
        most: bool,
    ) -> Outcome:
        """`sure`: with held time as up."""
        if self.objective.window_s is None and not any(
            part.down or part.excluded for part in parts
        ):
            return Outcome(0, self._denominator_s(len(parts), 0) - self.not_yet_s, 0, ())
        incidents = [
            self._marked(self._incidents(part), part, certain)
            for part, certain in zip(parts, sure, strict=True)
        ]
        excluded = sum(total(clip(part.excluded, self.served)) for part in parts)
        if self.objective.window_s is not None:
            return self._moving(self.objective.window_s, incidents, excluded)
        seen = self._counted_bad_s(incidents, parts)
        if readings is not None and self.objective.counting.granularity in APART:
            chosen, _ = readings.incidents(StartedMinutes, most=most)
            incidents = list(map(self._marked, chosen, parts, sure))
            seen = sum(map(self._by_granularity_s, incidents))
        bad = sum(total(clip(part.down, self.served)) for part in parts)
        counted = self._less_free_s(seen, len(parts), free_used_s)
        denominator = self._divided_by_s(parts)
        flat = tuple(incident for mine in incidents for incident in mine)
        return Outcome(
            min(counted, denominator),
            denominator,
            excluded,
            flat,
            free_s=seen - counted,
            hidden_s=max(0, bad - seen),
        )

    def _moving(
        self, window_s: int, incidents: list[tuple[Incident, ...]], excluded_s: int
    ) -> Outcome:
        """The worst of the windows that end in the served part of the period."""
        units = len(incidents)
        rolling = Rolling([_counted_time(mine) for mine in incidents], window_s)
        ends = self._windows_end_s()
        worst = rolling.worst(ends)
        window = (worst.at_s - window_s, worst.at_s)
        free = worst.bad_s - self._less_free_s(worst.bad_s, units)
        allowed = (1 - self.objective.target) * window_s * units + free
        moving = MovingWindow(window, tuple(rolling.breaches(allowed, ends)))
        inside = tuple(part for mine in incidents for part in _within(mine, window))
        hidden = sum(total(one.inside) for one in inside if not one.counted)
        return Outcome(
            worst.bad_s - free, window_s * units, excluded_s, inside, moving, hidden_s=hidden
        )

    def _windows_end_s(self) -> Interval:
        """In the served part, as far as any unit of the objective was seen: a window that moves waits for nothing."""
        return max(map(self.gone, self.units), default=self.served)

    def _bad(
        self,
        unit: str,
        spans: tuple[Span, ...],
        rule: Rule,
        within: Interval | None = None,
    ) -> BadTime:
        """Bad time is of service alone. `within`: of this time alone."""
        if not spans and not self.record.windows:
            return BadTime((), ())
        found = (_counted_s(span, self.objective) for span in spans if rule(span) == "down")
        counted = clip(union(found), self.service)
        excluded = _excluded(self.contract, spans, rule)
        windows = tuple(window for window in self.record.windows if window.concerns(unit))
        excluded = union(excluded, self._admitted(windows))
        bad = BadTime(subtraction(counted, excluded), excluded)
        return (
            bad if within is None else BadTime(clip(bad.down, within), clip(bad.excluded, within))
        )

    @property
    def not_yet_s(self) -> int:
        """Of units that are judged over all of their time together: what of it is before their own service."""
        if self.objective.scope != "pooled" or not self.record.accepted:
            return 0
        start_s, end_s = self.served
        own = (min(end_s, self.record.accepted.get(unit, start_s)) for unit in self.units)
        return sum(max(0, at_s - start_s) for at_s in own)

    def not_up(self, unit: str) -> Mapping[State, Intervals]:
        """When a unit was not up, by the state that counts: what was excluded comes first, then what was seen worst.

        The intervals lie in the served part of the period and never overlap; the rest of it is up.
        """
        spans = self.known.seen(unit)
        layers = [(State.EXCLUDED, self._bad(unit, spans, self.rule("down")).excluded)]
        layers += [_in_state(spans, state) for state in WORST_FIRST]
        return dict(partition(layers, self.gone(unit)))

    def fates(self, unit: str) -> tuple[int, ...]:
        """Seconds of FATES, in their order."""
        spans, gone = self.known.seen(unit), self.gone(unit)
        if not spans and not self.record.windows:
            return (gone[1] - gone[0], 0, 0, 0)
        rule = self.rule("down")
        unseen = (State.UNKNOWN, State.CONTESTED)
        layers = [
            ("excluded", self._bad(unit, spans, rule).excluded),
            ("unknown", _where(spans, lambda span: bool(span.unheard) or span.state in unseen)),
            ("breached", _where(spans, lambda span: rule(span) == "down")),
        ]
        found = {fate: total(held) for fate, held in partition(layers, gone)}
        met = gone[1] - gone[0] - sum(found.values())
        return tuple({"met": met, **found}[fate] for fate in FATES)

    def _parts(self, units: list[BadTime]) -> list[BadTime]:
        downs = [unit.down for unit in units]
        combined = self._combined(downs)
        if len(combined) == len(units):
            return units
        either = self._combined([union(unit.down, unit.excluded) for unit in units])
        return [BadTime(combined[0], subtraction(either[0], combined[0]))]

    def _incidents(self, bad: BadTime) -> tuple[Incident, ...]:
        """Merged outages that share an instant with the served part of the period."""
        merged = merge(bad.down, self.objective.counting.merge_gap_s)
        found = [self._incident(outage, bad.excluded) for outage in merged]
        return tuple(incident for incident in found if incident.inside)

    def _marked(
        self, found: tuple[Incident, ...], part: BadTime, sure: BadTime
    ) -> tuple[Incident, ...]:
        """The outages with what of each is held, and whether one counts also without that."""
        if part is sure:
            return found
        held = subtraction(part.down, sure.down)
        counted = tuple(one.whole for one in self._incidents(sure) if one.counted)
        return tuple(
            replace(one, held=clip(held, one.whole), certain=bool(clip(counted, one.whole)))
            for one in found
        )

    def _incident(self, outage: Interval, excluded: Intervals) -> Incident:
        rest = union(((outage[0] + self._free_s, outage[1]),))
        judged = subtraction(rest, excluded)
        inside, start = clip(judged, self.reach_s), self.reach_s[0]
        before_s = total(clip(judged, (min(self.service[0], start), start)))
        return Incident(outage, inside, self._long_enough(outage[1] - outage[0]), before_s)

    def _outage_rules(self, excluded: Intervals) -> OutageRules:
        """As `_incident` judges each."""
        start, end = self.reach_s
        judged = subtraction(union(((min(self.service[0], start), end),)), excluded)
        return OutageRules(JudgedTime(judged), start, self._free_s, self._long_enough)

    def _long_enough(self, length: int) -> bool:
        minimum = self.objective.counting.min_outage
        if minimum is None:
            return True
        return length > minimum.seconds or (minimum.op == ">=" and length == minimum.seconds)

    @property
    def _free_s(self) -> int:
        """Of each outage."""
        return self.objective.first_n_s if self.objective.first_n_per == "outage" else 0

    def _counted_bad_s(
        self, incidents: Sequence[tuple[Incident, ...]], parts: Sequence[BadTime]
    ) -> int:
        intervals = self.objective.counting.intervals
        if intervals is None:
            return sum(map(self._by_granularity_s, incidents))
        lost = [_counted_time(mine) for mine in incidents]
        return by_intervals_s(lost, self._judged(parts), intervals, self.whole.start_s)

    def _judged(self, parts: Sequence[BadTime]) -> list[Intervals]:
        """Of each unit, or of all together, the time in service that is not excluded."""
        start, end = self.served
        starts = [start] * len(parts)
        if self.objective.scope == "pooled":
            starts = [min(end, self.record.accepted.get(unit, start)) for unit in self.units]
        return [
            subtraction(((max(since, start), end),), part.excluded)
            for since, part in zip(starts, parts, strict=True)
        ]

    def _by_granularity_s(self, incidents: tuple[Incident, ...]) -> int:
        counted = [incident.inside for incident in incidents if incident.counted]
        return COUNTED[self.objective.counting.granularity](counted)

    def _less_free_s(self, counted: int, parts: int, used: int = 0) -> int:
        if self.objective.first_n_per == "outage":
            return counted
        return max(0, counted - max(0, self.objective.first_n_s * parts - used))

    def _denominator_s(self, parts: int, excluded: int) -> int:
        served = self.served[1] - self.served[0]
        match self.objective.denominator:
            case "period":
                return self.period.seconds * parts
            case "period_minus_excluded":
                return served * parts - excluded
            case "service_time":
                return served * parts


def _counted_time(incidents: Iterable[Incident]) -> Intervals:
    return tuple(pair for incident in incidents if incident.counted for pair in incident.inside)


def _within(incidents: Iterable[Incident], window: Interval) -> Iterator[Incident]:
    for incident in incidents:
        inside = clip(incident.inside, window)
        if inside:
            yield replace(incident, inside=inside)


def _where(spans: tuple[Span, ...], wanted: Callable[[Span], bool]) -> Intervals:
    return union(_pairs(span for span in spans if wanted(span)))


def _in_state(spans: Iterable[Span], state: State) -> tuple[State, Intervals]:
    return state, union(_pairs(span for span in spans if span.state == state))


def _pairs(spans: Iterable[Span]) -> Iterator[Interval]:
    return ((span.start_s, span.end_s) for span in spans)


def _counted_s(span: Span, objective: Availability) -> Interval:
    """The part of a span after the clock has started; empty if it never did."""
    starts: Mapping[str, int | None] = {
        "first_bad_sample": span.start_s,
        "notice": span.reported_s,
        "confirmation": span.confirmed_s,
    }
    start = starts[objective.clock_start]
    return (span.end_s if start is None else max(span.start_s, start), span.end_s)


def _excluded(contract: Contract, spans: tuple[Span, ...], rule: Rule) -> Intervals:
    codes = {cause.code for cause in contract.exclusions.causes}
    by_cause = _where(spans, lambda span: rule(span) == "down" and grounds_of(span.cause) in codes)
    if contract.exclusions.concurrent_cause == "provider_fault_wins":
        fault = _where(
            spans, lambda span: rule(span) == "down" and grounds_of(span.cause) not in codes
        )
        by_cause = subtraction(by_cause, fault)
    by_rule = _where(spans, lambda span: rule(span) == "excluded")
    return union(by_cause, by_rule)
