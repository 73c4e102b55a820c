"""Clocks held down for want of power or cooling: a share of an hour, by the driver's counters of time."""

from collections.abc import Callable, Mapping

import pytest

from tests.weighbridge.scripted import Log, ScriptedNode
from tests.weighbridge.test_judge import standing

HW, SW = "clocks_event_hw_thermal_microseconds", "clocks_event_sw_thermal_microseconds"
BRAKE = "clocks_event_hw_power_brake_microseconds"
CAP, FLAGS = "clocks_event_sw_power_cap_microseconds", "clocks_event_reasons_flags"
STEP = 30
OBSERVED = "throttled for at most 0.1 of the time"

Told = Callable[[int], Mapping[str, int | str]]


def an_hour(told: Told, floors: str = '{throttling_share_max: "0.1"}', until: int = 3600) -> Log:
    """What an hour of samples showed, judged at the first one after it."""
    log, node = standing(floors=floors, per_node=1), ScriptedNode(gpus=1)
    for second in [*range(0, until, STEP), 3600]:
        log.tick(second)
        log.report(node.report([second], {second: {node.devices[0]: told(second)}}))
    return log


def counted(until: int, counter: str = HW) -> Told:
    """All counters, of which one rises with time until then."""
    still = dict.fromkeys((CAP, SW, HW, BRAKE), 0)
    return lambda second: still | {counter: min(second, until) * 1_000_000}


@pytest.mark.parametrize(("until", "breached"), [(357, False), (358, True)])
def test_the_promised_share_itself_is_kept_and_a_second_more_is_not(
    until: int, breached: bool
) -> None:
    log = an_hour(counted(until))
    found = log.open().get(("throttled", "GPU-n1-0"))
    assert (found is not None) == breached
    if found is not None:
        assert found.expected == OBSERVED
        assert found.observed == "358 of 3570 s: hw_thermal 358 s"
        assert (found.verdict, found.answerable) == ("breached", "open")


def test_causes_that_hold_at_once_count_once() -> None:
    log = an_hour(lambda second: {**counted(300)(second), SW: min(second, 200) * 1_000_000})
    assert ("throttled", "GPU-n1-0") not in log.open()
    log = an_hour(lambda second: {**counted(900)(second), SW: min(second, 600) * 1_000_000})
    found = log.open()["throttled", "GPU-n1-0"]
    assert found.observed == "900 of 3570 s: hw_thermal 900 s, sw_thermal 600 s"


@pytest.mark.parametrize(("limit", "breached"), [(700_000, False), (699_999, True)])
def test_the_power_that_a_card_is_made_for_throttles_nobody(limit: int, breached: bool) -> None:
    floors = '{throttling_share_max: "0.1", power_limit_milliwatts: "700000"}'
    enforced = {"power_limit_enforced_milliwatts": limit}
    log = an_hour(lambda second: {**counted(3600, CAP)(second), **enforced}, floors)
    assert (("throttled", "GPU-n1-0") in log.open()) == breached


@pytest.mark.parametrize(
    ("flags", "breached"), [(0x40, True), (0x8, True), (0x1, False), (0x4, False)]
)
def test_a_driver_without_the_counters_is_judged_by_the_bits_of_the_moment(
    flags: int, breached: bool
) -> None:
    log = an_hour(lambda second: {FLAGS: flags if second < 900 else 0})
    assert (("throttled", "GPU-n1-0") in log.open()) == breached


@pytest.mark.parametrize("flags", [0x40, 0x0])
def test_one_counter_does_not_speak_for_those_that_a_driver_lacks(flags: int) -> None:
    log = an_hour(lambda _: {CAP: 0, FLAGS: flags})
    assert (("throttled", "GPU-n1-0") in log.open()) == bool(flags)


@pytest.mark.parametrize("told", [{}, {CAP: 0}])
def test_a_card_that_tells_of_too_little_is_unknown(told: dict[str, int]) -> None:
    found = an_hour(lambda _: told).open()["throttled", "GPU-n1-0"]
    assert (found.verdict, found.observed) == ("unknown", "not_supported")


def test_a_counter_that_begins_anew_and_an_hour_hardly_seen_say_nothing() -> None:
    log = an_hour(lambda second: {**counted(0)(second), HW: 10**12 if second < 1800 else 0})
    assert log.findings("throttled") == []
    log = an_hour(counted(3600), until=1200)
    assert log.findings("throttled") == []


def test_nothing_is_said_where_nothing_was_promised() -> None:
    assert an_hour(counted(3600), floors="{}").findings("throttled") == []
