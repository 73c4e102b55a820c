"""Each part of a report has a length; the largest honest report is far below it."""

from typing import Any

import pytest

from tests.weighbridge.scripted import ScriptedNode
from weighbridge.wire.report import (
    MAX_FACTS,
    MAX_GAPS,
    MAX_PROCESSES,
    MAX_READINGS,
    MAX_SAMPLES,
    MAX_VALUES,
    ROW_VALUES,
    WireError,
    decode,
    encode,
)

GAP = {"first_seq": 0, "last_hash": "0" * 64, "last_seq": 1, "reason": "spool full"}
PROCESS = {"boottime_us": 1, "class": "container", "device": "G", "memory_bytes": 1, "owner": "o"}
SAMPLES = MAX_SAMPLES
READINGS = MAX_VALUES // ((1 + ROW_VALUES) * SAMPLES) + 1


def block(samples: int, readings: int, devices: int = 1) -> dict[str, object]:
    rows = [[1] * devices] * samples
    return {
        "boottime_us": list(range(1, samples + 1)),
        "devices": [f"G{number}" for number in range(devices)],
        "readings": {f"r{number}": rows for number in range(readings)},
        "tier": "fast",
        "unavailable": [],
    }


@pytest.mark.parametrize(
    "part",
    [
        {"gaps": [GAP] * (MAX_GAPS + 1)},
        {"processes": [PROCESS] * (MAX_PROCESSES + 1)},
        {"blocks": [block(1, MAX_READINGS + 1)]},
        {"blocks": [block(SAMPLES, READINGS)]},
        {"host": {"readings": {f"r{n}": 1 for n in range(MAX_FACTS + 1)}, "unavailable": {}}},
    ],
    ids=["gaps", "processes", "readings", "values", "facts"],
)
def test_more_than_a_report_may_hold_is_refused(part: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        ScriptedNode().report([], **part)


def test_sixteen_gpus_cut_in_seven_fit_with_all_that_an_agent_keeps_of_them() -> None:
    """Half an hour of samples, every reading of each, a page of processes, and 512 gaps."""
    report = ScriptedNode(gpus=16 * 8).report(
        [],
        blocks=[block(180, 26, devices=16 * 8), block(30, 60, devices=16)],
        processes=[PROCESS] * 4096,
        gaps=[GAP] * 512,
    )
    assert decode(encode(report)) == report
