"""Where an hour's counts begin to be a finding: at the edge, and one short of it."""

from typing import Any

import pytest

from weighbridge.judge.checks.check import HourSeries
from weighbridge.judge.checks.hours import ENOUGH, ENOUGH_US, beyond, constant, copied, energy, held

SPENT: dict[str, Any] = {"spent_us": ENOUGH_US, "least": 200_000, "most": 300_000}


def spent(milliwatts: int, **changes: Any) -> dict[str, Any]:
    """An hour whose energy comes to this mean power."""
    series = SPENT | changes
    return series | {"spent_millijoules": milliwatts * series["spent_us"] // 1_000_000}


@pytest.mark.parametrize(
    ("told", "found", "short"),
    [
        (constant, {"steady": ENOUGH}, {"steady": ENOUGH - 1}),
        (copied, {"copied": ENOUGH, "busy": ENOUGH}, {"copied": ENOUGH - 1, "busy": ENOUGH}),
        (copied, {"copied": 50, "busy": 100}, {"copied": 50, "busy": 101}),
        (beyond, {"beyond": ENOUGH, "samples": 31}, {"beyond": ENOUGH - 1, "samples": 31}),
        (beyond, {"beyond": 40, "samples": 400}, {"beyond": 40, "samples": 401}),
        (held, {"held": ENOUGH, "samples": 31}, {"held": ENOUGH - 1, "samples": 31}),
        (held, {"held": 50, "samples": 100}, {"held": 50, "samples": 101}),
        (energy, {"fell": 1}, {"fell": 0}),
        (energy, spent(99_999), spent(100_000)),
        (energy, spent(600_001), spent(600_000)),
        (energy, spent(700_000), spent(700_000, spent_us=ENOUGH_US - 1_000_000)),
    ],
)
def test_an_hour_is_odd_from_its_edge_on(
    told: Any, found: dict[str, Any], short: dict[str, Any]
) -> None:
    assert told(HourSeries(**found))
    assert told(HourSeries(**short)) == ""
