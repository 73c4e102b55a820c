"""Where periods begin and end when an amendment moves their borders."""

from itertools import pairwise

import pytest

from tests.weighbridge.written import loaded, written
from weighbridge.judge.assignments import Version
from weighbridge.settlement.period_labels import cut, label_before, ruling
from weighbridge.settlement.periods import instant_text

SECOND = 1_000_000
HOUR = 3600
TERMS = {
    "contract_id": "K",
    "effective": "2026-01-05T00:00:00Z",
    "time_zone": "UTC",
    "currency": "EUR",
    "parties": [{"id": "P", "role": "provider"}, {"id": "L", "role": "lessee"}],
    "term": {"from": "2026-01-05T00:00:00Z", "to": "2027-01-05T00:00:00Z"},
    "resources": [{"id": "r", "accelerator": {"sku": "any"}, "nodes": "1", "per_node": "1"}],
    "availability": [{"id": "a", "target": "0.99"}],
    "unknown": {"policy": "down"},
}
NOVEMBER_S = 1_793_491_200
"""2026-11-01T00:00:00Z."""


def version(from_s: int, **more: str) -> Version:
    text = written(TERMS | more)
    return Version(loaded(text), text, from_s * SECOND, 2_000_000_000 * SECOND)


def moved(from_s: int, before: str = "UTC", after: str = "Asia/Shanghai") -> list[Version]:
    """The zone changes at an instant."""
    return [version(0, time_zone=before), version(from_s, time_zone=after)]


def ends(versions: list[Version], label: str) -> tuple[str, str]:
    period = cut(versions, label)
    return instant_text(period.start_s), instant_text(period.end_s)


def test_what_ended_before_an_amendment_stays_cut_as_it_was() -> None:
    december = moved(NOVEMBER_S + 40 * 24 * HOUR)
    assert ends(december, "2026-10") == ("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z")
    assert ends(december, "2027-01") == ("2026-12-31T16:00:00Z", "2027-01-31T16:00:00Z")


def test_a_period_that_crosses_an_amendment_begins_by_the_old_version_and_ends_by_the_new() -> None:
    crossing = moved(NOVEMBER_S - 10 * 24 * HOUR)
    assert ends(crossing, "2026-10") == ("2026-10-01T00:00:00Z", "2026-10-31T16:00:00Z")
    assert ends(crossing, "2026") == ("2026-01-01T00:00:00Z", "2026-12-31T16:00:00Z")


@pytest.mark.parametrize("zones", [("UTC", "Asia/Shanghai"), ("Asia/Shanghai", "UTC")])
@pytest.mark.parametrize("hours", [-9, -8, -7, -1, 0, 1, 9])
def test_neighbours_touch_wherever_an_amendment_falls(zones: tuple[str, str], hours: int) -> None:
    versions = moved(NOVEMBER_S + hours * HOUR, *zones)
    labels = [f"2026-{month:02}" for month in range(8, 13)]
    for one, following in pairwise(cut(versions, label) for label in labels):
        assert one.end_s == following.start_s


def test_a_month_of_the_contract_is_known_by_whichever_version_has_it() -> None:
    term = {"from": "2026-01-05T00:00:00Z", "to": "2026-06-05T00:00:00Z"}
    versions = [version(0), version(NOVEMBER_S, term=term)]  # type: ignore[arg-type]
    assert ends(versions, "2026-09-05") == ("2026-09-05T00:00:00Z", "2026-10-05T00:00:00Z")
    with pytest.raises(ValueError, match="no month of this contract"):
        cut(versions, "2026-09-06")


def test_an_amendment_to_come_rules_nothing_of_a_period_before_it() -> None:
    versions = moved(NOVEMBER_S)
    october, november = cut(versions, "2026-10"), cut(versions, "2026-11")
    assert list(ruling(versions, october)) == versions[:1]
    assert list(ruling(versions, november)) == versions
    assert list(ruling(versions[1:], october)) == versions[1:]


def test_every_kind_of_period_has_one_before_it_but_the_first_month_of_a_contract() -> None:
    contract = version(0).contract
    pairs = {"2026-10": "2026-09", "2026-01": "2025-12", "2026": "2025", "2026-03-05": "2026-02-05"}
    assert {label: label_before(contract, label) for label in pairs} == pairs
    assert label_before(contract, "2026-01-05") is None
