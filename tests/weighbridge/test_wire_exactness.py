"""Which bytes are a report, said again slowly, and held against `wire.decode` over any change of any part."""

import copy
import json
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from weighbridge.wire.report import EventKind, Reason, WireError, canonical, decode, encode, parse

Fits = Callable[[Any], bool]


def integer(least: int = -(2**53) + 1) -> Fits:
    return lambda value: type(value) is int and least <= value < 2**53


def text(pattern: str) -> Fits:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value, re.S) is not None


def one_of(*words: Any) -> Fits:
    return lambda value: any(type(value) is type(word) and value == word for word in words)


def either(*kinds: Fits) -> Fits:
    return lambda value: any(kind(value) for kind in kinds)


def listing(of: Fits, least: int = 0, most: int = 2**53) -> Fits:
    return lambda value: (
        isinstance(value, list) and least <= len(value) <= most and all(map(of, value))
    )


def mapping(key: Fits, of: Fits) -> Fits:
    return lambda value: (
        isinstance(value, dict) and all(map(key, value)) and all(map(of, value.values()))
    )


def fields(**kinds: Fits) -> Fits:
    named = {name.rstrip("_"): kind for name, kind in kinds.items()}
    return lambda value: (
        isinstance(value, dict)
        and value.keys() == named.keys()
        and all(kind(value[name]) for name, kind in named.items())
    )


def more(of: Fits, **kinds: Fits) -> Fits:
    """Fields that are left out where they would say nothing, beside those that `of` asks for."""
    return lambda value: (
        isinstance(value, dict)
        and all(kinds[name](value[name]) for name in kinds.keys() & value.keys())
        and of({name: told for name, told in value.items() if name not in kinds})
    )


NULL, TRUTH = one_of(None), one_of(True, False)
COUNT, INTEGER = integer(0), integer()
NAME = text(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")
TEXT, HASH = text(r".{0,512}"), text(r"[0-9a-f]{64}")
REASON = one_of(*map(str, Reason))
FACTS = fields(readings=mapping(NAME, either(INTEGER, TEXT)), unavailable=mapping(NAME, REASON))
DEVICE = fields(
    identity=FACTS,
    parent=either(NAME, NULL),
    state=one_of("ok", "lost", "reset_required", "unreadable"),
    uuid=NAME,
)
SPAN = fields(device=NAME, from_=COUNT, reading=NAME, reason=REASON, to=COUNT)
COLUMNS = fields(
    boottime_us=listing(COUNT, 1, 8192),
    devices=listing(NAME, 0, 1024),
    readings=mapping(NAME, listing(listing(either(INTEGER, NULL)))),
    tier=one_of("fast", "slow"),
    unavailable=listing(SPAN),
)
NUMBERS_OF_OPERATIONAL = (
    "attributes category chiplet group_attributes group_index group_size log_level module_code"
    " module_instance originator scope severity"
)
OPERATIONAL = fields(
    driver=TEXT, module=TEXT, trace=NAME, **dict.fromkeys(NUMBERS_OF_OPERATIONAL.split(), COUNT)
)
EVENT = more(
    fields(
        boottime_us=COUNT,
        code=either(INTEGER, NULL),
        detail=TEXT,
        device=either(NAME, NULL),
        kind=one_of(*map(str, EventKind)),
        source=one_of("nvml", "kernel", "agent"),
    ),
    address=NAME,
    caused_by=COUNT,
    compute_instance=COUNT,
    count=integer(2),
    gpu_instance=COUNT,
    link=COUNT,
    operational=OPERATIONAL,
    recovery_action=COUNT,
    recovery_action_before=COUNT,
    severity=one_of("fatal", "nonfatal", "contained", "uncontained"),
)
PROCESS = fields(
    boottime_us=COUNT,
    class_=one_of("container", "user", "system", "unknown"),
    device=NAME,
    memory_bytes=either(COUNT, NULL),
    owner=NAME,
)
GAP = fields(first_seq=COUNT, last_hash=HASH, last_seq=COUNT, reason=TEXT)
INVENTORY = fields(devices=listing(DEVICE, 0, 1024), driver=FACTS, host=FACTS)


def block(value: Any) -> bool:
    return COLUMNS(value) and _rises(value) and _filled(value) and _explained(value)


def _rises(value: Any) -> bool:
    return all(one < other for one, other in pairwise(value["boottime_us"])) and len(
        set(value["devices"])
    ) == len(value["devices"])


def _filled(value: Any) -> bool:
    samples, width = len(value["boottime_us"]), len(value["devices"])
    return all(
        len(rows) == samples and all(len(row) == width for row in rows)
        for rows in value["readings"].values()
    )


def _explained(value: Any) -> bool:
    """Every null has one row and every row is of nulls."""
    samples, spans = len(value["boottime_us"]), value["unavailable"]
    if any(not span["from"] < span["to"] <= samples for span in spans):
        return False
    said = [
        (span["reading"], sample, span["device"])
        for span in spans
        for sample in range(span["from"], span["to"])
    ]
    nulls = [
        (name, sample, device)
        for name, rows in value["readings"].items()
        for sample, row in enumerate(rows)
        for device, number in zip(value["devices"], row, strict=True)
        if number is None
    ]
    return sorted(said) == sorted(nulls)


WHOLE = fields(
    agent=NAME,
    blocks=listing(block, 0, 16),
    boot=NAME,
    chain=NAME,
    clock=fields(boottime_us=COUNT, synchronized=either(TRUTH, NULL), wall_us=COUNT),
    events=listing(EVENT, 0, 16_384),
    gaps=listing(GAP),
    host=either(FACTS, NULL),
    interval_ms=COUNT,
    inventory=either(INVENTORY, NULL),
    inventory_digest=HASH,
    node=NAME,
    prev=either(HASH, NULL),
    processes=either(listing(PROCESS), NULL),
    seen=either(fields(root=HASH, size=COUNT), HASH, NULL),
    seq=COUNT,
    stream=NAME,
    version=one_of(1),
)


def report(payload: bytes) -> bool:
    try:
        value = parse(payload)
    except WireError:
        return False
    return (
        WHOLE(value)
        and (value["prev"] is None) == (value["seq"] == 0)
        and sum(len(one["boottime_us"]) for one in value["blocks"]) <= 8192
    )


def facts(**readings: int | str) -> dict[str, Any]:
    return {"readings": readings, "unavailable": {"pdi": "not_supported"}}


FULL: dict[str, Any] = {
    "agent": "0.1.0",
    "blocks": [
        {
            "boottime_us": [4_000_000, 5_000_000],
            "devices": ["GPU-a", "GPU-b"],
            "readings": {"memory_used_bytes": [[0, 1], [2, 3]], "power": [[7, None], [0, -1]]},
            "tier": "fast",
            "unavailable": [
                {"device": "GPU-b", "from": 0, "reading": "power", "reason": "error", "to": 1}
            ],
        }
    ],
    "boot": "b1",
    "chain": "c1",
    "clock": {"boottime_us": 5_000_000, "synchronized": True, "wall_us": 1_700_000_000_000_000},
    "events": [
        {
            "boottime_us": 1,
            "code": 79,
            "detail": "said",
            "device": None,
            "kind": "xid",
            "source": "kernel",
        },
        {
            "address": "0000:3b:00",
            "boottime_us": 2,
            "caused_by": 31,
            "code": None,
            "compute_instance": 0,
            "count": 4000,
            "detail": "",
            "device": "GPU-a",
            "gpu_instance": 7,
            "kind": "gpu_event",
            "link": 3,
            "operational": {
                "driver": "615.71",
                "module": "GSP",
                "trace": "ff",
                **dict.fromkeys(NUMBERS_OF_OPERATIONAL.split(), 3),
            },
            "recovery_action": 1,
            "recovery_action_before": 0,
            "severity": "nonfatal",
            "source": "nvml",
        },
    ],
    "gaps": [{"first_seq": 0, "last_hash": "a" * 64, "last_seq": 4, "reason": "spool full"}],
    "host": facts(cpu_count=96),
    "interval_ms": 10_000,
    "inventory": {
        "devices": [
            {
                "identity": facts(name="H100", gpu_cores=16896),
                "parent": None,
                "state": "ok",
                "uuid": "GPU-a",
            }
        ],
        "driver": facts(driver_version="570.1"),
        "host": facts(),
    },
    "inventory_digest": "0" * 64,
    "node": "n1",
    "prev": "f" * 64,
    "processes": [
        {
            "boottime_us": 4,
            "class": "user",
            "device": "GPU-a",
            "memory_bytes": 0,
            "owner": "aa",
        }
    ],
    "seen": None,
    "seq": 5,
    "stream": "node",
    "version": 1,
}
NUMBERS = [0, -1, 1, 2, 2**53 - 1, 2**53, 1 - 2**53, -(2**53), 2**63, 2**64, 10**30, 1.0, 1.5]
TEXTS = ["", "a", "a\n", "a b", "-a", "é", "e\x00", "a" * 128, "a" * 129, "é" * 512, "a" * 513]
WORDS = ["0" * 64, "0" * 64 + "\n", "A" * 64, "fast", "ok", "error", "xid", "user", "nvml", "fatal"]
VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [*NUMBERS, *TEXTS, *WORDS, None, True, False, [], {}, [[]], [None]]
)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) in a JSON value."""
    if isinstance(value, Mapping):
        keys: list[Any] = list(value)
    else:
        keys = list(range(len(value))) if isinstance(value, list) else []
    for key in keys:
        yield value, key
        yield from places(value[key])


def change(value: Any, data: st.DataObject) -> None:
    """One place of the value is another value, gone, doubled, or under another key."""
    holder, key = data.draw(st.sampled_from(list(places(value))))
    match data.draw(st.sampled_from(["set", "set", "set", "delete", "double", "name"])):
        case "set":
            holder[key] = data.draw(VALUES)
        case "delete":
            del holder[key]
        case "double" if isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        case "name" if isinstance(holder, dict):
            holder[data.draw(st.sampled_from(TEXTS + WORDS))] = holder.pop(key)
        case _:
            pass


def agree(payload: bytes) -> None:
    expected = report(payload)
    try:
        read = decode(payload)
    except WireError:
        assert not expected
        return
    assert expected
    assert encode(read) == payload
    assert msgspec.to_builtins(read) == json.loads(payload)


def test_the_report_that_is_changed_here_is_one() -> None:
    assert report(canonical(FULL))
    agree(canonical(FULL))


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_what_does_not_fit_is_refused_and_nothing_else_is(data: st.DataObject) -> None:
    value = copy.deepcopy(FULL)
    for _ in range(data.draw(st.integers(1, 2))):
        change(value, data)
    spelled = json.dumps(
        value,
        ensure_ascii=data.draw(st.sampled_from([False, False, True])),
        sort_keys=True,
        separators=(",", ":"),
    )
    agree(spelled.encode())


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_one_byte_more_less_or_other_is_read_only_if_it_is_spelled_so(data: st.DataObject) -> None:
    payload = bytearray(canonical(FULL))
    place = data.draw(st.integers(0, len(payload) - 1))
    other = data.draw(
        st.sampled_from(list(b' \n\t0123456789-+.eE"\\/,:[]{}nulatrfsAz\x00\x7f\x80\xff'))
    )
    match data.draw(st.sampled_from(["other", "more", "less"])):
        case "other":
            payload[place] = other
        case "more":
            payload.insert(place, other)
        case _:
            del payload[place]
    agree(bytes(payload))
