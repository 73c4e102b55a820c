"""What `weighbridge-agent status` calls wrong with the picture that an agent gives of itself."""

import pytest

from agent.running import remarks

WELL = {
    "status": "reporting",
    "paused": False,
    "interval_milliseconds": 10_000,
    "report_milliseconds": 60_000,
    "sampled_milliseconds_ago": 30_000,
    "acknowledged_milliseconds_ago": 180_000,
}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"sampled_milliseconds_ago": 30_001}, ["OLD: the newest sample was taken 30 s ago"]),
        (
            {"acknowledged_milliseconds_ago": 180_001, "status": "not reporting: no route"},
            ["NOT HEARD: the collector took the last report 180 s ago; not reporting: no route"],
        ),
        ({"status": "not reporting: no route"}, ["not reporting: no route"]),
        (
            {"paused": True, "sampled_milliseconds_ago": 99_000},
            ["PAUSED: nothing is sampled, and the time is unknown"],
        ),
        ({"interval_milliseconds": 100, "sampled_milliseconds_ago": 15_000}, []),
        (
            {"interval_milliseconds": 100, "sampled_milliseconds_ago": 15_001},
            ["OLD: the newest sample was taken 15 s ago"],
        ),
    ],
)
def test_a_picture_is_old_after_three_intervals_and_fifteen_seconds(
    changes: dict[str, object], said: list[str]
) -> None:
    assert list(remarks(WELL | changes)) == said


def test_nothing_is_said_of_the_ages_that_an_older_agent_does_not_tell() -> None:
    assert list(remarks({"status": "reporting", "paused": False})) == []
