"""Clocks that cannot be true, at the door of a real collector."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.collector.building import HOUR_US, INTERVAL_US, Agent, Serving, make_store, serving
from tests.collector.test_ingest import problem, recorded

AGENTS = 8


@pytest.fixture(scope="module")
def fleet() -> list[Agent]:
    return [Agent(f"node-{number}", gpus=1) for number in range(AGENTS)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, fleet: list[Agent]) -> Iterator[Serving]:
    with serving(make_store(tmp_path_factory.mktemp("collector") / "store", fleet)) as running:
        yield running


@pytest.fixture
def agent(fleet: list[Agent]) -> Agent:
    return fleet.pop()


def clock(agent: Agent, boottime_us: int, wall_us: int | None = None) -> dict[str, Any]:
    wall = agent.start_us if wall_us is None else wall_us
    return {"wall_us": wall, "boottime_us": boottime_us, "synchronized": True}


def unplaced(agent: Agent, boottime_us: int, **changes: Any) -> bytes:
    """The next report, made at an instant of the boot, without a sample. Does not move on."""
    made = {"clock": clock(agent, boottime_us), "blocks": []}
    return agent.seal(agent.payload(**{**made, **changes}))


def test_a_clock_that_goes_back_within_a_boot_is_refused_and_recorded(
    server: Serving, agent: Agent
) -> None:
    server.report(agent.next(), agent.next())
    said = problem(server.report(unplaced(agent, HOUR_US)), "clock_unsound", 422)
    assert said["expected"]["seq"] == 2
    assert [one.code for one in recorded(server, agent)] == ["clock_unsound"]
    assert server.report(agent.next()).status == 200


def test_two_reports_of_one_request_are_compared_too(server: Serving, agent: Agent) -> None:
    later, back = agent.next(), unplaced(agent, HOUR_US - 1)
    said = problem(server.report(later, back), "clock_unsound", 422)
    assert len(said["receipts"]) == 1


def test_a_sample_from_before_what_the_chain_told_is_refused(server: Serving, agent: Agent) -> None:
    server.report(agent.next(), agent.next())
    agent.sampled = 0
    late = agent.seal(agent.payload(clock=clock(agent, HOUR_US + 9 * INTERVAL_US)))
    problem(server.report(late), "clock_unsound", 422)


def test_a_sample_of_1969_is_refused_for_itself(server: Serving, agent: Agent) -> None:
    early = agent.seal(agent.payload(clock=clock(agent, 2 * HOUR_US, wall_us=INTERVAL_US)))
    assert "expected" not in problem(server.report(early), "clock_unsound", 422)
    assert [one.code for one in recorded(server, agent)] == ["clock_unsound"]


def test_a_clock_that_stands_still_another_boot_and_a_suspended_machine_are_sound(
    server: Serving, agent: Agent
) -> None:
    """CLOCK_BOOTTIME goes on while a machine sleeps or moves; with another boot it begins anew."""
    made_us = HOUR_US + INTERVAL_US
    for boottime_us, boot in ((made_us, "a"), (made_us, "a"), (9 * HOUR_US, "a"), (5, "b")):
        payload = agent.payload(boot=boot, clock=clock(agent, boottime_us), blocks=[])
        agent.moved_past(payload)
        assert server.report(agent.seal(payload)).status == 200


def test_a_machine_that_went_back_to_a_snapshot_begins_a_new_chain_and_goes_on(
    server: Serving, agent: Agent
) -> None:
    """Its boot is the same, its clock and its spool are those of the snapshot: the fork comes first."""
    server.report(agent.next())
    held = (agent.seq, agent.prev, agent.sampled)
    server.report(agent.next(), agent.next())
    agent.seq, agent.prev, agent.sampled = held
    problem(server.report(agent.seal(agent.payload(interval_ms=1))), "fork", 409)
    agent.start_chain()
    assert server.report(agent.next(), agent.next()).status == 200
