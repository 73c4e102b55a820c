"""Cases of the family `availability`, worked out second by second: a set of seconds is a number with a bit for each.

It shares nothing with the settlement: no interval is ever cut, merged or subtracted here, bits are.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from fractions import Fraction
from itertools import pairwise, product
from typing import Any

from weighbridge.contract.zone_data import time_zone

Json = dict[str, Any]
Seconds = int

MARGIN_S = 4 * 86400
ROUNDED: dict[str, Callable[[int], int]] = {
    "second": lambda length: length,
    "outage_minutes_ceil": lambda length: (length + 59) // 60 * 60,
    "outage_minutes_floor": lambda length: length // 60 * 60,
}
CLOCK_MINUTES: dict[str, Callable[[int, int], range]] = {
    "clock_minutes_touched": lambda start, end: range(start // 60, -(-end // 60)),
    "clock_minutes_full": lambda start, end: range(-(-start // 60), end // 60),
}


def rows_of(terms: Json, timeline: Json) -> list[Json]:
    """What each unit, or all together, gives in the only period that is evaluated."""
    month = month_of(terms["evaluate"][0], terms["time_zone"])
    count = _Count(terms, timeline, month)
    if terms["scope"] == "per_unit":
        return [count.row(unit, [count.unit(unit)]) for unit in terms["units"]]
    units = [count.unit(unit) for unit in terms["units"]]
    if terms["scope"] == "pooled":
        return [count.row("pooled", units)]
    bad = 1 if terms["scope"] == "all_of" else len(units) - terms["k"] + 1
    down, raw, unknown = (at_least(bad, [unit[place] for unit in units]) for place in (0, 1, 2))
    excluded = at_least(bad, [unit[0] | unit[3] for unit in units]) & ~down
    return [count.row(terms["scope"], [(down, raw, unknown, excluded)])]


def at_least(number: int, sets: list[Seconds]) -> Seconds:
    """The seconds in so many of the sets or more."""
    reached = [0] * number
    for one in sets:
        for place in reversed(range(number)):
            reached[place] |= one & (reached[place - 1] if place else -1)
    return reached[-1]


def earliest(number: int, seconds: Seconds) -> Seconds:
    """The first so many of a set."""
    kept = 0
    for start, end in runs(seconds):
        kept |= (1 << min(end, start + number - kept.bit_count())) - (1 << start)
        if kept.bit_count() == number:
            break
    return kept


def runs(seconds: Seconds) -> Iterator[tuple[int, int]]:
    """Where bits stand side by side."""
    end = 0
    while seconds:
        start = end + _trailing_zeros(seconds)
        seconds >>= start - end
        end = start + _trailing_zeros(~seconds)
        seconds >>= end - start
        yield start, end


def _trailing_zeros(bits: int) -> int:
    return (bits & -bits).bit_length() - 1


def month_of(label: str, zone: str) -> tuple[int, int]:
    """Its first second, and the first one after it."""
    year, month = map(int, label.split("-"))
    after = (year + month // 12, month % 12 + 1)
    first, last = (datetime(*start, 1, tzinfo=time_zone(zone)) for start in ((year, month), after))
    return int(first.timestamp()), int(last.timestamp())


def _instant(text: str) -> int:
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp())


class _Count:
    """One month of one case. A unit is (counted bad, not up, unknown, excluded)."""

    def __init__(self, terms: Json, timeline: Json, month: tuple[int, int]) -> None:
        self.terms, self.timeline, self.month = terms, timeline, month
        self.first = month[0] - MARGIN_S
        service = terms.get("service") or {"from": "2000-01-01", "to": "2100-01-01"}
        start, end = (_instant(service[name]) for name in ("from", "to"))
        self.service = self.bits(start, end)
        self.served = self.bits(max(start, month[0]), min(end, month[1]))

    def bits(self, start: int, end: int) -> Seconds:
        low = max(0, start - self.first)
        high = min(self.month[1] + MARGIN_S, end) - self.first
        return (1 << high) - (1 << low) if low < high else 0

    def unit(self, unit: str) -> tuple[Seconds, Seconds, Seconds, Seconds]:
        fault = customer = policy = raw = unknown = counted = 0
        for given in self.timeline["intervals"]:
            if given["unit"] != unit:
                continue
            span = self.bits(_instant(given["from"]), _instant(given["to"]))
            raw |= span
            unknown |= span if given["state"] == "unknown" else 0
            counts = self.counts_as(given)
            fault |= span if counts == "down" else 0
            customer |= span if counts == "cause" else 0
            policy |= span if counts == "excluded" else 0
            counted |= self.after_notice(given) if counts in ("down", "cause") else 0
        if self.terms["concurrent_cause"] == "provider_fault_wins":
            customer &= ~fault
        excluded = customer | policy | self.maintained(unit)
        return counted & self.service & ~excluded, raw, unknown, excluded

    def after_notice(self, given: Json) -> Seconds:
        """What of it counts as an outage, where nobody said so none."""
        start, end = _instant(given["from"]), _instant(given["to"])
        if self.terms.get("count_from", "start") == "report":
            start = max(start, _instant(given["reported_at"])) if given["reported_at"] else end
        return self.bits(start, end)

    def counts_as(self, given: Json) -> str:
        if given["state"] == "contested":
            return str(self.terms["contested"])
        if given["state"] == "unknown":
            return str(self.terms["unknown_by_cause"].get(given["cause"], self.terms["unknown"]))
        return "cause" if given["cause"] in self.terms["excluded_causes"] else "down"

    def maintained(self, unit: str) -> Seconds:
        """Only seconds of service use up what each month allows; those outside it are excluded all the same. Windows of
        the months beside this one bear on the length of an outage that lasts over the border."""
        first, last = self.month
        months = ((first - MARGIN_S, first), self.month, (last, last + MARGIN_S))
        return sum(self.maintained_in(unit, self.bits(*one)) for one in months)

    def maintained_in(self, unit: str, month: Seconds) -> Seconds:
        taken, outside, rules = 0, 0, self.terms["maintenance"]
        for window in sorted(self.timeline["maintenance"], key=lambda window: window["from"]):
            start, end = _instant(window["from"]), _instant(window["to"])
            late = start - _instant(window["notified_at"]) < rules["min_notice_s"]
            if late or (window["units"] != "all" and unit not in window["units"]):
                continue
            found = self.bits(start, end) & month
            outside |= found & ~self.service
            fresh = found & self.service & ~taken
            taken |= earliest(rules["cap_s_per_period"] - taken.bit_count(), fresh)
        return taken | outside

    def row(self, name: str, parts: list[tuple[Seconds, Seconds, Seconds, Seconds]]) -> Json:
        if self.terms["counting"]["granularity"] == "intervals":
            lost = [[piece for _, piece in self.outages(part[0], part[3])] for part in parts]
            counted = self.in_intervals(lost, [part[3] for part in parts])
        else:
            counted = sum(self.counted(part[0], part[3]) for part in parts)
        if self.terms.get("first_n_per") == "period":
            counted = max(0, counted - self.terms["first_n_s"] * len(parts))
        raw, unknown, excluded = (
            sum((part[place] & self.served).bit_count() for part in parts) for place in (1, 2, 3)
        )
        whole = (self.month[1] - self.month[0]) * len(parts)
        served = self.served.bit_count() * len(parts)
        judged = {"period": whole, "service": served, "period_minus_excluded": served - excluded}
        divided = judged[self.terms["denominator"]]
        counted = min(counted, divided)
        share = 1 - Fraction(counted, divided) if divided else Fraction(1)
        return {
            "unit": name,
            "downtime_seconds": counted,
            "denominator_seconds": divided,
            "availability_fraction": f"{share.numerator}/{share.denominator}",
            "breach": share < Fraction(self.terms["target"]),
            "raw_down_seconds": raw,
            "unknown_seconds": unknown,
            "excluded_seconds": excluded,
        }

    def in_intervals(self, lost: list[list[Seconds]], excluded: list[Seconds]) -> int:
        """One interval after the other from the first second of the month, each by what is judged of it."""
        rule, counted = self.terms["counting"]["intervals"], 0
        for start in range(*self.month, rule["length_s"]):
            one = self.bits(start, start + rule["length_s"]) & self.served
            judged = sum((one & ~held).bit_count() for held in excluded)
            bad = sum((one & outage).bit_count() for mine in lost for outage in mine)
            limit = Fraction(rule["down_share"]) * judged
            counted += judged if bad > limit or (bad == limit > 0 and rule["op"] == ">=") else 0
        return counted

    def counted(self, down: Seconds, excluded: Seconds) -> int:
        """Gaps of at most the merge gap are filled; short outages go; the rest is cut to the time that is judged."""
        granularity = self.terms["counting"]["granularity"]
        outages = [piece for _, piece in self.outages(down, excluded)]
        if granularity in ROUNDED:
            return sum(ROUNDED[granularity](piece.bit_count()) for piece in outages)
        pieces = runs(at_least(1, outages)) if outages else ()
        return 60 * len(set().union(*(CLOCK_MINUTES[granularity](*piece) for piece in pieces)))

    def outages(self, down: Seconds, excluded: Seconds) -> Iterator[tuple[int, Seconds]]:
        """How long each is that is long enough, and its seconds that are judged."""
        counting, free = self.terms["counting"], 0
        if self.terms.get("first_n_per") == "outage":
            free = self.terms["first_n_s"]
        for (_, end), (start, _) in pairwise(list(runs(down))):
            if start - end <= counting["merge_gap_s"]:
                down |= (1 << start) - (1 << end)
        minimum = counting["min_outage"] or {"seconds": 0, "op": ">"}
        for start, end in runs(down):
            long = end - start > minimum["seconds"]
            if long or (minimum["op"] == ">=" and end - start == minimum["seconds"]):
                rest = (1 << end) - (1 << min(end, start + free))
                yield end - start, rest & self.served & ~excluded


def least_and_most(terms: Json, timeline: Json) -> tuple[Fraction, Fraction]:
    """What the credit of one unit gives over all readings of its held intervals, each down or up as a whole."""
    held = [one for one in timeline["intervals"] if one["state"] == "unknown"]
    known = [one for one in timeline["intervals"] if one["state"] != "unknown"]
    given = []
    for chosen in product([False, True], repeat=len(held)):
        down = [one | {"state": "down"} for one, so in zip(held, chosen, strict=True) if so]
        reading = {"intervals": [*known, *down], "maintenance": timeline["maintenance"]}
        count = _Count(terms, reading, month_of(terms["evaluate"][0], terms["time_zone"]))
        bad, _, _, excluded = count.unit(terms["units"][0])
        given.append(_earned(terms["credit"], list(count.outages(bad, excluded))))
    return min(given), max(given)


def _earned(credit: Json, outages: list[tuple[int, Seconds]]) -> Fraction:
    """By each outage, or by each hour of the clock, of a contract in UTC."""
    lasting = [(length, piece) for length, piece in outages if piece]
    match credit["kind"]:
        case "colo_power":
            longer = sum(length > credit["longer_than_s"] for length, _ in lasting)
            return Fraction(credit["amount_per_amp"]) * int(credit["amps"]) * int(longer)
        case "hourly_multiple":
            price = Fraction(credit["hour_price"]) * credit["multiple"] / 3600
            paid = (price * piece.bit_count() for _, piece in lasting)
            return sum((min(one, Fraction(credit["incident_cap"])) for one in paid), Fraction(0))
        case _:
            bad = at_least(1, [piece for _, piece in lasting]) if lasting else 0
            hours = {place // 3600 for start, end in runs(bad) for place in range(start, end)}
            one = (1 << 3600) - 1
            seconds = ((bad >> hour * 3600 & one).bit_count() for hour in hours)
            free = sum(found > credit["threshold_s"] for found in seconds)
            return Fraction(credit["hour_price"]) * int(free)
