"""Whether an answer says what a case expects: every field of it, and no flag more and none less."""

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from tests.weighbridge.sla.reading import Json
from tests.weighbridge.sla.terms import instant
from weighbridge.settlement.money import rounded

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
NUMBER = re.compile(r"-?\d+(\.\d+|/\d+)?")
TIER = re.compile(r"\[([\d.]+),([\d.]+)([)\]])")

OTHER_NAMES = {
    "down_seconds": "downtime_seconds",
    "counted_seconds": "downtime_seconds",
    "breached": "breach",
    "credit": "credit_amount",
    "fraction": "availability_fraction",
    "raw_seconds": "raw_down_seconds",
    "raw_downtime_seconds": "raw_down_seconds",
    "payable_amount": "payable",
    "availability_raw": "raw_availability",
    "uptime_seconds": "up_seconds",
}
"""Names that a field may have instead, beside the one that the answers have. Also before `_if_unknown_`."""


def differences(expected: Any, actual: Any, path: str = "") -> Iterator[str]:
    """Each field of `expected` that `actual` lacks or has otherwise."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for name, value in expected.items():
            known = name_in(actual, name)
            if known is None:
                yield f"{path}.{name}: missing, expected {value!r}"
            elif name == "trigger" and actual[known] is not None:
                yield from differences(meant(value), meant(actual[known]), f"{path}.{name}")
            else:
                yield from differences(value, actual[known], f"{path}.{name}")
    elif isinstance(expected, list) and isinstance(actual, list | tuple):
        yield from list_differences(expected, rows_asked_for(expected, list(actual)), path)
    elif not same(expected, actual):
        yield f"{path}: expected {expected!r}, got {actual!r}"


def name_in(actual: Json, name: str) -> str | None:
    """The name under which an answer has a field."""
    head, split, tail = name.partition("_if_unknown_")
    names = (name, OTHER_NAMES.get(head, head) + split + tail)
    return next((known for known in names if known in actual), None)


def list_differences(expected: list[Any], actual: list[Any], path: str) -> Iterator[str]:
    if len(actual) != len(expected):
        yield f"{path}: expected {expected!r}, got {actual!r}"
    for position, (left, right) in enumerate(zip(expected, actual, strict=False)):
        yield from differences(left, right, f"{path}[{position}]")


KEYS = ("period", "unit", "event")


def rows_asked_for(expected: list[Any], actual: list[Any]) -> list[Any]:
    """A case may leave out what nothing happened to; no row with money may be left out. Order says nothing."""
    if not all(isinstance(row, dict) for row in (*expected, *actual)):
        return actual
    kept = [
        row
        for row in actual
        if any(is_meant(one, row) for one in expected) or row.get("credit_amount", 1) != 0
    ]
    return in_order_of(expected, kept)


def in_order_of(expected: list[Json], rows: list[Json]) -> list[Json]:
    """The rows in the order of those that name them, where each names one and none is named twice."""
    places = [[n for n, row in enumerate(rows) if is_meant(one, row)] for one in expected]
    named = [found[0] for found in places if len(found) == 1]
    if len(set(named)) < len(expected):
        return rows
    return [rows[n] for n in (*named, *sorted(set(range(len(rows))) - set(named)))]


def is_meant(asked: Json, row: Json) -> bool:
    """Whether a row has all the names that the expected one gives."""
    return all(row.get(key) == asked[key] for key in KEYS if key in asked)


def same(expected: Any, actual: Any) -> bool:
    """Equal in meaning: numbers to the digits that are given, instants as instants, tiers as intervals."""
    if expected is None or actual is None or isinstance(expected, bool):
        return bool(expected is actual)
    text = str(expected)
    if NUMBER.fullmatch(text):
        return bool(NUMBER.fullmatch(str(actual))) and same_number(text, Fraction(str(actual)))
    if INSTANT.fullmatch(text) and isinstance(actual, Fraction):
        exact = Fraction(instant(text[:19] + "Z")) + Fraction("0" + (text[19:-1] or ".0"))
        return exact == actual
    tiers = [TIER.fullmatch(str(side)) for side in (text, actual)]
    if tiers[0] and tiers[1]:
        left, right = ((Fraction(tier[1]), Fraction(tier[2]), tier[3]) for tier in tiers if tier)
        return left == right
    return text == str(actual)


def same_number(text: str, actual: Fraction) -> bool:
    """A ratio and a whole number are exact; a decimal has the digits that it has."""
    places = len(text.partition(".")[2])
    if places == 0:
        return Fraction(text) == actual
    return rounded(actual, places, "half_up") == Fraction(text)


LATE = "late|short|insufficient|untimely"
MEANINGS = {
    "tier_gap": [
        "tier|tiers|table|row|schedule|band|bands",
        "gap|hole|undefined|missing|uncovered",
    ],
    "late_maintenance_notice": [LATE, "notice", "?maintenance|window"],
    "maintenance_cap_exceeded": [
        "maintenance",
        "cap|budget|hours|allowance|limit|quota|exceeded|excess|over|exhausted",
        "?cap|budget|hours|allowance|limit|quota",
    ],
    "maintenance_count_exceeded": ["maintenance", "count|number|many", "?exceeded", "?too"],
    "maintenance_outside_window": ["maintenance", "outside", "?window|windows"],
    "gpu_identity_changed": ["?gpu|device", "identity|uuid|gpu", "changed|change|replaced|swapped"],
    "data_after_cutoff": ["after|past|late", "cutoff|data|cut"],
    "clock_skew_corrected": ["skew|clock|offset", "corrected|correction|applied"],
    "clock_skew_beyond_bound": [
        "skew|clock|offset",
        "beyond|bound|bounds|exceeded|exceeds|excessive|refused|rejected|large|limit|max|over",
    ],
    "cap_applied": ["cap|capped", "?applied|hit|reached|amount|credit|pct"],
    "below_minimum_credit": ["below|under", "min|minimum"],
    "claim_lapsed": ["claim", f"lapsed|expired|missed|missing|forfeited|waived|{LATE}|not"],
    "never_reported": ["never|not", "reported", "?outage|lessee|customer"],
    "late_report": [f"delayed|{LATE}", "report|reported|reporting"],
    "back_to_back_mismatch": ["mismatch|stricter", "?back|sublease|chain|child"],
    "duplicate_gpu_uuid": ["duplicate|duplicated|double", "uuid|identity|gpu"],
    "contracted_not_reporting": ["contracted|capacity|units", "not|never", "reporting|reported"],
}
"""What the name of each flag of the engine must say to mean it: one word of each group, of those with `?` if it can."""


TRIGGERS = {
    "duration": ["duration|length|long|longer|minutes|consecutive"],
    "event_count": ["count|number|many|more|events|interruptions"],
}
"""The same for what an event is paid for: its length, or that there were too many."""


def meaning(flag: str, names: dict[str, list[str]] = MEANINGS) -> str:
    """The engine's name that a name means: the one of which it says most. A name that means none stays as it is."""
    words = set(flag.lower().replace("-", "_").split("_"))
    best = max(names, key=lambda known: said(words, names[known]))
    return best if said(words, names[best]) > 0 else flag


def meant(trigger: Any) -> str:
    return meaning(str(trigger), TRIGGERS)


def said(words: set[str], groups: list[str]) -> int:
    """How many groups the words touch; 0 where one that is needed is missing."""
    touched = [bool(words & set(group.removeprefix("?").split("|"))) for group in groups]
    needed = [hit for hit, group in zip(touched, groups, strict=True) if not group.startswith("?")]
    return sum(touched) if all(needed) else 0


def meanings(flags: list[str]) -> list[str]:
    """The names of flags are suggestions: what counts is what they mean, and that there is none more and none less."""
    return sorted({meaning(flag) for flag in flags})
