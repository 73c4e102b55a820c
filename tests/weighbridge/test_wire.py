"""The report has one spelling, and whatever else arrives is refused by name."""

import json
import tracemalloc
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.wire.report import (
    MAX_BLOCKS,
    MAX_SAMPLES,
    FutureVersion,
    NotCanonical,
    WireError,
    canonical,
    decode,
    encode,
    parse,
)

REPORT: dict[str, Any] = {
    "version": 1,
    "node": "n1",
    "chain": "c1",
    "stream": "node",
    "seq": 0,
    "prev": None,
    "boot": "b1",
    "seen": None,
    "clock": {"wall_us": 1_700_000_000_000_000, "boottime_us": 5_000_000, "synchronized": True},
    "interval_ms": 10_000,
    "agent": "0.1.0",
    "inventory_digest": "0" * 64,
    "inventory": None,
    "blocks": [
        {
            "tier": "fast",
            "boottime_us": [4_000_000, 5_000_000],
            "devices": ["GPU-a", "GPU-b"],
            "readings": {"power_draw_milliwatts": [[70_000, None], [0, -1]]},
            "unavailable": [
                {
                    "device": "GPU-b",
                    "reading": "power_draw_milliwatts",
                    "from": 0,
                    "to": 1,
                    "reason": "gpu_is_lost",
                }
            ],
        }
    ],
    "processes": [
        {
            "boottime_us": 4_000_000,
            "device": "GPU-a",
            "memory_bytes": 0,
            "owner": "aa",
            "class": "user",
        }
    ],
    "host": {"readings": {"cpu_count": 96}, "unavailable": {}},
    "events": [],
    "gaps": [],
}


BARE = {"tier": "fast", "devices": [], "readings": {}, "unavailable": []}


def changed(**changes: Any) -> bytes:
    return canonical({**REPORT, **changes})


def test_a_report_is_spelled_as_it_was_read() -> None:
    payload = canonical(REPORT)
    assert encode(decode(payload)) == payload


@pytest.mark.parametrize(
    "respelled",
    [
        json.dumps(REPORT).encode(),
        json.dumps(REPORT, separators=(",", ":")).encode(),
        canonical(REPORT) + b"\n",
        canonical(REPORT).replace(b'"n1"', b'"\\u006e1"'),
        canonical(REPORT).replace(b'"seq":0', b'"seq":-0'),
        canonical(REPORT).replace(b'"seq":0', b'"seq":1,"seq":0'),
    ],
)
def test_another_spelling_is_refused(respelled: bytes) -> None:
    with pytest.raises(NotCanonical):
        decode(respelled)


@pytest.mark.parametrize("number", [b"1.0", b"1e3", b"NaN", b"Infinity", b"-Infinity"])
def test_a_float_is_refused(number: bytes) -> None:
    with pytest.raises(WireError, match="not an integer"):
        decode(canonical(REPORT).replace(b'"seq":0', b'"seq":' + number))


def test_a_version_from_the_future_is_named_even_if_its_fields_are_unknown() -> None:
    with pytest.raises(FutureVersion, match="version 2"):
        decode(b'{"surprise":[],"version":2}')


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"seq": True}, "seq"),
        ({"seq": 2**53}, "seq"),
        ({"seq": -1}, "seq"),
        ({"node": ""}, "node"),
        ({"node": "a\nb"}, "node"),
        ({"node": "n1\n"}, "node"),
        ({"inventory_digest": "0" * 64 + "\n"}, "inventory_digest"),
        ({"surprise": 1}, "surprise"),
        ({"seq": 1}, "prev is null"),
        ({"prev": "0" * 64}, "prev is null"),
        ({"blocks": [{**REPORT["blocks"][0], "boottime_us": [5, 5]}]}, "rise strictly"),
        ({"blocks": [{**REPORT["blocks"][0], "boottime_us": [5]}]}, "1 samples of 2 devices"),
        ({"blocks": [{**REPORT["blocks"][0], "devices": ["GPU-a", "GPU-a"]}]}, "stands twice"),
        ({"blocks": [{**REPORT["blocks"][0], "unavailable": []}]}, "nulls"),
        ({"blocks": REPORT["blocks"] * (MAX_BLOCKS + 1)}, r"length <= 16 - at `\$.blocks`"),
        (
            {"blocks": [{**REPORT["blocks"][0], "boottime_us": [*range(MAX_SAMPLES + 1)]}]},
            r"length <= 8192 - at `\$.blocks\[0\].boottime_us`",
        ),
        (
            {"blocks": 2 * [{**BARE, "boottime_us": [*range(MAX_SAMPLES // 2 + 1)]}]},
            "blocks hold more than",
        ),
    ],
)
def test_a_payload_that_does_not_fit_is_refused_with_the_place(
    changes: dict[str, Any], place: str
) -> None:
    with pytest.raises(WireError, match=place):
        decode(changed(**changes))


def test_a_value_that_is_explained_as_unavailable_is_refused() -> None:
    block = REPORT["blocks"][0]
    extra = {**block["unavailable"][0], "device": "GPU-a"}
    with pytest.raises(WireError, match="nulls"):
        decode(changed(blocks=[{**block, "unavailable": [*block["unavailable"], extra]}]))


def test_a_null_that_is_explained_twice_is_refused() -> None:
    """2**14 rows over 2**13 samples each would be 2**27 nulls, from a report that compresses to nothing."""
    samples, rows = MAX_SAMPLES, 1 << 14
    row = {"device": "g", "reading": "r", "from": 0, "to": samples, "reason": "error"}
    block = {
        "tier": "fast",
        "boottime_us": [*range(samples)],
        "devices": ["g"],
        "readings": {"r": [[None]] * samples},
        "unavailable": [row] * rows,
    }
    with pytest.raises(WireError, match="nulls"):
        decode(changed(blocks=[block]))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_report_or_a_wire_error(data: bytes) -> None:
    with pytest.raises(WireError):
        decode(data)


def test_nesting_and_numbers_without_end_are_refused() -> None:
    for bomb in (b"[" * 100_000, b"9" * 100_000, b'{"a":"\\ud800"}'):
        with pytest.raises(WireError):
            decode(bomb)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_what_canonical_writes_parse_reads(value: object) -> None:
    try:
        payload = canonical(value)
    except UnicodeEncodeError:
        return
    assert parse(payload) == value


@given(st.data())
def test_a_report_is_read_exactly_if_its_spelling_is_the_one(data: st.DataObject) -> None:
    """Whatever a text holds, and in whatever order the keys of whichever object come."""
    event = {
        "boottime_us": 1,
        "kind": "xid",
        "device": None,
        "code": 79,
        "source": "kernel",
        "detail": data.draw(st.text(max_size=40)),
    }
    value = _shuffled({**REPORT, "events": [event]}, data)
    payload = json.dumps(
        value, ensure_ascii=data.draw(st.booleans()), separators=(",", ":")
    ).encode(errors="surrogatepass")
    try:
        parse(payload)
    except WireError:
        with pytest.raises(WireError):
            decode(payload)
    else:
        assert encode(decode(payload)) == payload


def _shuffled(value: Any, data: st.DataObject) -> Any:
    """The value with its keys sorted, but in an object here and there, where two are exchanged."""
    if isinstance(value, list):
        return [_shuffled(item, data) for item in value]
    if not isinstance(value, dict):
        return value
    keys = sorted(value)
    if len(keys) > 1 and data.draw(st.integers(0, 12)) == 12:
        place = data.draw(st.integers(1, len(keys) - 1))
        keys[place - 1], keys[place] = keys[place], keys[place - 1]
    return {key: _shuffled(value[key], data) for key in keys}


def test_the_fields_of_a_report_stand_in_the_order_of_the_wire() -> None:
    """Else its reading takes the slow way."""
    payload = canonical(REPORT)
    assert msgspec.json.encode(decode(payload)) == payload


def test_a_report_full_of_nulls_costs_what_its_bytes_do() -> None:
    """Whoever may send reports could hold up everybody else's: half a million nulls took longer than a challenge."""
    samples, devices = 4096, [f"GPU-{number}" for number in range(16)]
    rows = [[None] * len(devices)] * samples
    span = {"reading": "power_draw_milliwatts", "from": 0, "to": samples, "reason": "timeout"}
    block = {
        "tier": "fast",
        "boottime_us": list(range(samples)),
        "devices": devices,
        "readings": {"power_draw_milliwatts": rows},
        "unavailable": [span | {"device": device} for device in devices],
    }
    payload = canonical(REPORT | {"blocks": [block]})
    tracemalloc.start()
    try:
        decode(payload)
        assert tracemalloc.get_traced_memory()[1] < 8 * len(payload)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("field", "default"),
    [("count", 1), ("address", None), ("operational", None), ("severity", None)],
)
def test_what_an_older_agent_did_not_say_is_read_so_and_has_no_second_spelling(
    field: str, default: object
) -> None:
    event = {
        "boottime_us": 1,
        "kind": "xid",
        "device": None,
        "code": 79,
        "source": "kernel",
        "detail": "",
    }
    older = decode(canonical({**REPORT, "events": [event]}))
    assert getattr(older.events[0], field) == default
    assert encode(older) == canonical({**REPORT, "events": [event]})
    with pytest.raises(NotCanonical):
        decode(canonical({**REPORT, "events": [{**event, field: default}]}))
