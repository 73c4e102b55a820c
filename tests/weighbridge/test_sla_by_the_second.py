"""Whatever a case says, its settlement is what counting second by second gives."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.weighbridge.sla.by_the_second import least_and_most, month_of, rows_of
from tests.weighbridge.sla.comparison import differences
from tests.weighbridge.sla.judged import judged
from tests.weighbridge.sla.reading import Given
from tests.weighbridge.sla.terms import judged_contract, periods_of
from tests.weighbridge.sla.timeline import record_of
from weighbridge.settlement.money import rounded
from weighbridge.settlement.settle import settle

Json = dict[str, Any]
DAY = 86400
ZONES = ["UTC", "Asia/Shanghai", "Asia/Kolkata", "Europe/Amsterdam", "America/New_York"]
ZONES += ["America/St_Johns", "Australia/Lord_Howe", "Pacific/Chatham"]
POLICIES = st.sampled_from(["up", "down", "excluded"])
Month = tuple[int, int]


def text(instant_s: int) -> str:
    return datetime.fromtimestamp(instant_s, UTC).isoformat()


@st.composite
def stretches(draw: st.DrawFn, month: Month, lengths: tuple[int, ...]) -> tuple[str, str]:
    """Mostly side by side on the minute, in the middle or at the borders of the month; else anywhere in it."""
    minutes = st.integers(-10, 10).map(lambda minute: minute * 60)
    middle = month[0] + 15 * DAY
    places = st.sampled_from([middle, middle, middle, *month])
    near = st.builds(int.__add__, places, minutes)
    start = draw(st.one_of(near, near, near, st.integers(*month)))
    length = draw(st.sampled_from([*lengths, *lengths, 2 * DAY]))
    return text(start), text(start + length)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Json, Json]:
    label = f"2026-{draw(st.integers(1, 12)):02d}"
    zone = draw(st.sampled_from(ZONES))
    month = month_of(label, zone)
    units = [f"u{number}" for number in range(draw(st.sampled_from([1, 1, 2, 3])))]
    scope = draw(st.sampled_from(["per_unit", "all_of", "pooled", "k_of_n"]))
    counting = draw(countings())
    targets = ["0.995", "0.9"] if counting["intervals"] else ["0.9999", "0.995", "0.9"]
    terms: Json = {
        "family": "availability",
        "time_zone": zone,
        "period": {"kind": "calendar_month"},
        "evaluate": [label],
        "units": units,
        "scope": scope,
        "target": draw(st.sampled_from(targets)),
        "counting": counting,
        "denominator": draw(st.sampled_from(["period", "service", "period_minus_excluded"])),
        "unknown": draw(POLICIES),
        "unknown_by_cause": draw(
            st.dictionaries(st.sampled_from(["lessee", "provider"]), POLICIES)
        ),
        "contested": draw(POLICIES),
        "excluded_causes": draw(st.lists(st.sampled_from(["customer", "weather"]), unique=True)),
        "concurrent_cause": draw(st.sampled_from(["exclusion_wins", "provider_fault_wins"])),
        "maintenance": {
            "min_notice_s": DAY,
            "cap_s_per_period": draw(st.sampled_from([0, 600, 900, 31 * DAY])),
        },
        "credit": {"kind": "linear_shortfall", "base_amount": "1000.00"},
        "count_from": draw(st.sampled_from(["start", "start", "report"])),
        "first_n_s": draw(st.sampled_from([0, 0, 60, 600])),
        "first_n_per": draw(st.sampled_from(["period", "outage"])),
    }
    if scope == "k_of_n":
        terms["k"] = draw(st.integers(1, len(units)))
    if draw(st.booleans()):
        start, _ = draw(stretches(month, (1,)))
        end = datetime.fromisoformat(start).timestamp() + draw(st.integers(1, 40 * DAY))
        terms["service"] = {"from": start, "to": text(int(end))}
    timeline = {
        "intervals": draw(st.lists(intervals(month, units), min_size=2, max_size=8)),
        "maintenance": draw(st.lists(windows(month, units), max_size=3)),
    }
    return terms, timeline


@st.composite
def countings(draw: st.DrawFn) -> Json:
    granularities = ["second", "outage_minutes_ceil", "outage_minutes_floor"]
    granularities += ["clock_minutes_touched", "clock_minutes_full", "intervals"]
    granularity = draw(st.sampled_from(granularities))
    gap = draw(st.sampled_from([0, 60, 600]))
    seconds, op = draw(st.sampled_from([60, 300])), draw(st.sampled_from([">", ">="]))
    minimum = {"seconds": seconds, "op": op} if draw(st.booleans()) else None
    return {
        "granularity": granularity,
        "intervals": draw(whole_intervals()) if granularity == "intervals" else None,
        "min_outage": minimum,
        "merge_gap_s": gap,
    }


@st.composite
def whole_intervals(draw: st.DrawFn) -> Json:
    return {
        "length_s": draw(st.sampled_from([300, 300, 1700, 3600])),
        "down_share": draw(st.sampled_from(["0.000001", "0.2", "0.5", "1"])),
        "op": draw(st.sampled_from([">", ">="])),
    }


@st.composite
def intervals(draw: st.DrawFn, month: Month, units: list[str]) -> Json:
    start, end = draw(stretches(month, (59, 60, 61, 300, 600)))
    state = draw(st.sampled_from(["down", "unknown", "contested"]))
    seen = state == "down"
    causes = st.sampled_from(
        ["provider", "customer", "weather"] if seen else ["provider", "lessee", "nobody"]
    )
    return {
        "unit": draw(st.sampled_from(units)),
        "state": state,
        "from": start,
        "to": end,
        "cause": draw(causes),
        "reported_at": draw(st.sampled_from([None, start, end])),
    }


@st.composite
def windows(draw: st.DrawFn, month: Month, units: list[str]) -> Json:
    start, end = draw(stretches(month, (60, 300, 600)))
    notice = draw(st.sampled_from([DAY - 1, DAY, 3 * DAY]))
    return {
        "id": start,
        "units": draw(st.one_of(st.just("all"), st.lists(st.sampled_from(units), min_size=1))),
        "from": start,
        "to": end,
        "notified_at": text(int(datetime.fromisoformat(start).timestamp()) - notice),
    }


@settings(max_examples=100)
@given(cases())
def test_a_case_settles_as_counting_its_seconds_says(case: tuple[Json, Json]) -> None:
    terms, timeline = case
    rows = judged(Given(terms), Given(timeline), {})["results"]
    assert list(differences(rows_of(terms, timeline), rows)) == []


@st.composite
def held_cases(draw: st.DrawFn) -> tuple[Json, Json]:
    """Outages of one unit and time that nobody saw, one after the other with gaps or without."""
    kinds: list[Json] = [
        {
            "kind": "colo_power",
            "longer_than_s": 300,
            "amount_per_amp": "7",
            "amps": 1,
            "each": True,
        },
        {"kind": "hourly_multiple", "multiple": 1, "hour_price": "60", "incident_cap": "10"},
        {"kind": "clock_hour", "threshold_s": 600, "op": ">", "hour_price": "7"},
    ]
    at = month_of("2026-05", "UTC")[0] + 10 * DAY + draw(st.integers(0, 3600))
    found = []
    for _ in range(draw(st.integers(2, 6))):
        length = draw(st.sampled_from([59, 60, 300, 301, 600, 2000]))
        state = draw(st.sampled_from(["down", "unknown"]))
        found.append({"unit": "u", "state": state, "cause": "provider"})
        found[-1] |= {"from": text(at), "to": text(at + length)}
        at += length + draw(st.sampled_from([0, 0, 60, 61, 600]))
    terms: Json = {
        "family": "availability",
        "time_zone": "UTC",
        "period": {"kind": "calendar_month"},
        "evaluate": ["2026-05"],
        "units": ["u"],
        "counting": draw(countings()),
        "unknown": "hold",
        "excluded_causes": [],
        "concurrent_cause": "exclusion_wins",
        "maintenance": {
            "min_notice_s": 0,
            "cap_s_per_period": draw(st.sampled_from([0, 400, DAY])),
        },
        "credit": draw(st.sampled_from(kinds)) | {"owed_when": "below_threshold"},
        "target": "0.9",
        "first_n_s": draw(st.sampled_from([0, 60, 600])),
        "first_n_per": "outage",
    }
    start = at - draw(st.integers(0, 3000))
    window = {"id": "w", "units": "all", "from": text(start), "notified_at": text(start - DAY)}
    window["to"] = text(start + draw(st.sampled_from([60, 600])))
    return terms, {"intervals": found, "maintenance": draw(st.sampled_from([[], [window]]))}


@settings(max_examples=60)
@given(held_cases())
def test_what_is_held_gives_the_least_and_the_most_of_all_readings(case: tuple[Json, Json]) -> None:
    terms, timeline = (Given(part) for part in case)
    [period] = periods_of(terms)
    units, record = {"objective": ["u"]}, record_of(terms, timeline)
    found = settle(judged_contract(terms, period), record, period, units, 4_000_000_000)
    wanted = [rounded(one, 2, "half_up") for one in least_and_most(*case)]
    assert [found.lowest, found.highest] == wanted
