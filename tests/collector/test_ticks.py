"""Ticks never go back, and a system clock that was stepped is not followed before somebody vouches for it."""

from dataclasses import dataclass, field

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from collector.cli import clock as clock_command
from collector.cli.asking import StoreServer
from collector.log.ticks import SETTLE_US, STEP_US, Anchor, SystemClocks, TickClock
from weighbridge.log.entries import ClockChecked

SECOND = 1_000_000
HOUR_US = 3600 * SECOND
DAY_US = 24 * HOUR_US
NOON_US = 1_790_000_000 * SECOND
BOOTED_US = 50 * HOUR_US


@dataclass
class Machine:
    """A machine whose wall clock can be set. `said`: what the log was told of the clock."""

    ahead_us: int = 0
    now_us: int = BOOTED_US
    synchronized: bool | None = None
    anchor: Anchor | None = None
    stepped: bool = False
    said: list[ClockChecked] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """The collector, with what it knows of an earlier run."""
        clocks = SystemClocks(self.wall_us, lambda: self.now_us, lambda: self.synchronized)
        self.clock = TickClock(clocks, self.anchor, stepped=self.stepped)

    def wall_us(self) -> int:
        return self.right_us + self.ahead_us

    @property
    def right_us(self) -> int:
        """UTC."""
        return NOON_US + self.now_us - BOOTED_US

    def tick(self, passed_us: int = SECOND) -> int:
        """How far the tick is ahead of UTC, so long after the one before."""
        self.now_us += passed_us
        tick_us = self.clock.next_us()
        if self.clock.due is not None:
            self.said.append(self.clock.due)
            self.clock.told(self.clock.due)
        return tick_us - self.right_us

    def ticks(self, seconds: int) -> set[int]:
        """The same of one tick a second."""
        return {self.tick() for _ in range(seconds)}

    def told(self) -> list[tuple[str, str]]:
        return [(one.action, one.reason) for one in self.said]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 10 * HOUR_US),
            st.integers(0, HOUR_US),
            st.sampled_from([None, False, True]),
        )
    )
)
def test_ticks_never_go_back(moves: list[tuple[int, int, bool | None]]) -> None:
    machine = Machine()
    found = []
    for ahead_us, passed_us, synchronized in moves:
        machine.ahead_us, machine.synchronized = ahead_us - 5 * HOUR_US, synchronized
        machine.tick(passed_us)
        found.append(machine.clock.newest_us)
    assert found == sorted(found)


def test_one_wrong_second_two_days_ahead_moves_no_tick() -> None:
    """What was received in that second, and in the days after it, was received when the log says."""
    machine = Machine()
    assert machine.ticks(10) == {0}
    machine.ahead_us = 2 * DAY_US
    assert machine.tick() == 0
    machine.ahead_us = 0
    assert machine.ticks(3) == {0}
    assert machine.told() == [("stepped", ""), ("followed", "corrected")]
    assert machine.said[0].wall_us - machine.said[0].tick_us == 2 * DAY_US
    assert machine.said[1].wrong_us == 0


@pytest.mark.parametrize("sign", [1, -1])
def test_two_seconds_are_followed_and_not_a_microsecond_more(sign: int) -> None:
    machine = Machine()
    machine.tick()
    machine.ahead_us = sign * STEP_US
    machine.tick()
    assert machine.told() == []
    machine.ahead_us = sign * (STEP_US + 1)
    machine.tick()
    assert machine.told() == [("stepped", "")]


def test_many_small_steps_are_one_large_step() -> None:
    machine = Machine()
    for _ in range(30):
        machine.ahead_us += SECOND
        assert machine.tick() <= STEP_US
    assert machine.told() == [("stepped", "")]


def test_while_nobody_vouches_for_it_a_stepped_clock_is_never_followed() -> None:
    machine = Machine(synchronized=False)
    machine.tick()
    machine.ahead_us = HOUR_US
    assert machine.ticks(200) == {0}
    assert machine.clock.stepped


def test_what_a_time_service_says_for_a_minute_is_followed() -> None:
    """The collector came up with a wrong clock, and was put right."""
    machine = Machine(ahead_us=-HOUR_US)
    assert machine.ticks(3) == {-HOUR_US}
    machine.ahead_us, machine.synchronized = 0, True
    assert machine.ticks(SETTLE_US // SECOND) == {-HOUR_US}
    assert machine.ticks(3) == {0}
    assert machine.told() == [("stepped", ""), ("followed", "synchronized")]
    assert machine.said[-1].wrong_us == -HOUR_US


def test_a_time_service_that_takes_its_word_back_starts_anew() -> None:
    machine = Machine()
    machine.tick()
    machine.ahead_us = HOUR_US
    for synchronized in (True, False, True):
        machine.synchronized = synchronized
        assert machine.ticks(SETTLE_US // SECOND) == {0}
    assert machine.tick() == HOUR_US


def test_what_an_operator_confirms_is_followed_with_the_next_tick() -> None:
    machine = Machine()
    machine.tick()
    machine.ahead_us = HOUR_US
    machine.tick()
    assert machine.clock.confirm() == HOUR_US
    assert machine.tick() == HOUR_US
    assert machine.told() == [("stepped", ""), ("followed", "confirmed")]


def test_ticks_that_are_ahead_wait_at_half_speed_and_are_in_doubt_until_they_are_caught_up() -> (
    None
):
    machine = Machine(ahead_us=HOUR_US)
    machine.tick()
    machine.ahead_us = 0
    machine.tick()
    machine.clock.confirm()
    assert machine.tick(HOUR_US) == HOUR_US // 2
    assert machine.told() == [("stepped", "")]
    assert machine.tick(2 * HOUR_US) == 0
    assert machine.told() == [("stepped", ""), ("followed", "confirmed")]
    assert machine.said[-1].wrong_us == HOUR_US


def restarted(machine: Machine, stopped_us: int = HOUR_US) -> None:
    """The same boot, later, with what is kept beside the store and in the log."""
    machine.anchor, machine.stepped = machine.clock.anchor, machine.clock.stepped
    machine.now_us += stopped_us
    machine.start()


def test_a_clock_that_was_stepped_while_nothing_ran_is_found_at_the_start() -> None:
    machine = Machine()
    machine.tick()
    machine.ahead_us = DAY_US
    restarted(machine)
    assert machine.ticks(3) == {0}
    assert machine.told() == [("stepped", "")]


def test_a_restart_makes_no_stepped_clock_right() -> None:
    machine = Machine()
    machine.tick()
    machine.ahead_us = DAY_US
    machine.tick()
    restarted(machine)
    assert machine.ticks(3) == {0}
    machine.ahead_us = 0
    machine.tick()
    assert machine.told() == [("stepped", ""), ("followed", "corrected")]


def test_after_a_boot_there_is_nothing_to_compare_with() -> None:
    machine = Machine(stepped=True)
    assert machine.tick() == 0
    assert machine.told() == [("followed", "rebooted")]


def test_ticks_of_an_earlier_boot_that_are_ahead_are_in_doubt_until_they_are_caught_up() -> None:
    machine = Machine()
    machine.clock.not_before(NOON_US + HOUR_US)
    assert machine.tick(0) == HOUR_US
    assert machine.told() == [("stepped", "")]
    assert machine.tick(2 * HOUR_US) == 0
    assert machine.told() == [("stepped", ""), ("followed", "rebooted")]
    assert machine.said[-1].wrong_us == HOUR_US


@pytest.mark.parametrize(
    ("ahead_us", "said"),
    [(-40, "0.000 s"), (499, "0.000 s"), (-7_600, "-0.008 s"), (2_000_000, "+2.000 s")],
)
def test_a_clock_that_is_right_to_the_millisecond_is_off_in_no_direction(
    monkeypatch: pytest.MonkeyPatch, ahead_us: int, said: str
) -> None:
    told = {"ahead_us": ahead_us, "stepped": False}
    monkeypatch.setattr(StoreServer, "ask", lambda *_: told)
    done = CliRunner().invoke(clock_command.clock, ["--config", __file__])
    assert done.output == f"the system's clock is {said} off what it must be\n"
