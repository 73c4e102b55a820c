"""The columns of each section: the word of the head, and what it holds."""

from collector.documents.sheet import Kind
from weighbridge.judge.ledger import State

Head = tuple[str, Kind]
STATES = tuple(str(state) for state in State)
ALWAYS = ("outages", "maintenance", "claims")
"""Sections that say `none` when there is nothing: their absence would be read as an oversight."""

MONEY = ("gross", "unbilled", "net", "tax", "base", "amount", "earned", "owed")
OBJECTIVE: Head = ("objective", "code")
"""Named once above the table where all rows have the same."""

UNIT: tuple[Head, ...] = (OBJECTIVE, ("unit", "code"))
HEADS: dict[str, tuple[Head, ...]] = {
    "delivery": (
        ("resource", "code"),
        ("contracted_gpu_seconds", "number"),
        ("reporting_gpu_seconds", "number"),
        ("healthy_gpu_seconds", "number"),
        ("in_use_gpu_seconds", "number"),
        ("contracted_p", "number"),
        ("healthy_p", "number"),
        ("utilization", "number"),
        ("energy", "number"),
    ),
    "fees": (
        ("resource", "code"),
        ("price", "text"),
        ("gross", "number"),
        ("unbilled", "number"),
        ("net", "number"),
        ("tax", "number"),
        ("prepaid", "text"),
    ),
    "units": (
        *UNIT,
        ("verdict", "text"),
        ("availability", "number"),
        ("exactly", "number"),
        ("target", "number"),
    ),
    "time": (
        *UNIT,
        ("service", "number"),
        ("denominator", "number"),
        ("counted", "number"),
        ("raw", "number"),
        ("excluded", "number"),
        ("unknown", "number"),
        ("contested", "number"),
    ),
    "states": (*UNIT, *((f"state.{state}", "number") for state in STATES)),
    "outages": (
        *UNIT,
        ("start", "time"),
        ("end", "time"),
        ("seconds", "number"),
        ("is_counted", "text"),
        ("cause", "text"),
        ("entries", "number"),
    ),
    "windows": (*UNIT, ("item", "text"), ("start", "time"), ("end", "time")),
    "probes": (
        ("objective", "code"),
        ("verdict", "text"),
        ("share", "number"),
        ("exactly", "number"),
        ("target", "number"),
        ("good", "number"),
        ("valid", "number"),
        ("scheduled", "number"),
    ),
    "credits": (
        ("unit", "code"),
        ("credit", "code"),
        ("formula", "text"),
        ("base", "number"),
        ("tier", "code"),
        ("amount", "number"),
        ("form", "text"),
        ("expires", "time"),
        ("remarks", "text"),
    ),
    "others": (
        ("credit", "code"),
        ("formula", "text"),
        ("base", "number"),
        ("tier", "code"),
        ("amount", "number"),
        ("form", "text"),
        ("expires", "time"),
        ("remarks", "text"),
    ),
    "by_lessee": (
        ("credit", "code"),
        ("formula", "text"),
        ("base", "number"),
        ("tier", "code"),
        ("amount", "number"),
        ("form", "text"),
        ("expires", "time"),
        ("remarks", "text"),
    ),
    "floors": (
        ("floor", "number"),
        ("measure", "code"),
        ("verdict", "text"),
        ("least_healthy", "number"),
        ("short_hours", "number"),
    ),
    "clocks": (
        *UNIT,
        ("verdict", "text"),
        ("start", "time"),
        ("end", "time"),
        ("seconds", "number"),
        ("allowed", "number"),
    ),
    "maintenance": (
        ("item", "code"),
        ("start", "time"),
        ("end", "time"),
        ("notice", "time"),
        ("ruling", "text"),
        ("excluded", "number"),
    ),
    "claims": (
        ("unit", "code"),
        ("standing", "text"),
        ("deadline", "time"),
        ("earned", "number"),
        ("owed", "number"),
    ),
}
