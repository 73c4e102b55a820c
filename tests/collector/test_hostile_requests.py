"""Requests that nobody means, beside an agent that reports: the beginning of the long run that sends a million."""

from pathlib import Path

from benchmarks.long.hostile import attacked

REQUESTS = 1500


def test_hostile_requests_bring_no_fault_and_stop_nobody(tmp_path: Path) -> None:
    told = attacked(tmp_path, REQUESTS, seed=1)
    assert told["requests"] >= REQUESTS
    assert told["honest_reports"] > 0
    assert {"200", "400", "401", "404", "closed"} <= told["answers"].keys()
