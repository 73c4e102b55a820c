"""The collector's time for the log: never goes back, and does not follow a system clock that was stepped.

The wall clock and CLOCK_BOOTTIME are slewed alike, so their difference changes only when somebody sets the clock, or a
time service steps it. An anchor is a pair of both at an instant when the wall clock was trusted. While the wall clock
is where the anchor says, within STEP_US, ticks are the wall clock's. Where it is not, it was stepped: ticks go on from
the anchor by CLOCK_BOOTTIME, until the wall clock comes back, or the system says for SETTLE_US on end that it is
synchronized, or an operator confirms it. A time service's step is thus followed after a minute.

Where ticks are ahead of a wall clock that is trusted, they go on at half speed until it has caught up.
"""

from collections.abc import Callable
from dataclasses import dataclass

from weighbridge.log.entries import ClockChecked, ClockReason

STEP_US = 2_000_000
"""A wall clock may be so far from where it must be and still be followed."""

SETTLE_US = 60_000_000
"""How long the system must say that a clock that was stepped is synchronized."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """Both clocks at an instant at which the wall clock was trusted."""

    wall_us: int
    boottime_us: int

    @property
    def ahead_us(self) -> int:
        """How far the wall clock is ahead of CLOCK_BOOTTIME: only a step changes it."""
        return self.wall_us - self.boottime_us


@dataclass(frozen=True, slots=True)
class SystemClocks:
    """The wall clock, CLOCK_BOOTTIME, and whether the system says that it is synchronized; None: it does not say."""

    wall_us: Callable[[], int]
    boottime_us: Callable[[], int]
    synchronized: Callable[[], bool | None] = lambda: None


class TickClock:
    """Gives each tick. `due` is what the log must be told of the clock; say so with `told` once it is durable."""

    def __init__(
        self, clocks: SystemClocks, anchor: Anchor | None = None, *, stepped: bool = False
    ) -> None:
        """`anchor` is of an earlier run since the same boot; None: there is none. `stepped`: the log says so last."""
        self._clocks = clocks
        self._read_us = clocks.boottime_us()
        self._reason: ClockReason = "corrected" if anchor is not None else "rebooted"
        self.anchor = Anchor(clocks.wall_us(), self._read_us) if anchor is None else anchor
        self._sure_us: int | None = None
        self._wrong_us = 0
        self._last_us = 0
        self.stepped = stepped
        self.off_us = 0
        """How far the wall clock is ahead of where it must be: of where the anchor says."""
        self.due: ClockChecked | None = None

    def next_us(self) -> int:
        """The next tick. Never before the last one."""
        wall_us, now_us = self._clocks.wall_us(), self._clocks.boottime_us()
        passed_us, self._read_us = now_us - self._read_us, now_us
        synchronized = self._clocks.synchronized()
        expected_us = self.anchor.ahead_us + now_us
        self.off_us = wall_us - expected_us
        if self._away and self._settled(synchronized, now_us):
            self._trust(wall_us, now_us, "synchronized")
        target_us = expected_us if self._away else wall_us
        if not self._away and synchronized:
            self.anchor = Anchor(wall_us, now_us)
        self._last_us = max(target_us, self._last_us + passed_us // 2)
        self._check(wall_us, synchronized)
        return self._last_us

    @property
    def _away(self) -> bool:
        return abs(self.off_us) > STEP_US

    def _settled(self, synchronized: bool | None, now_us: int) -> bool:
        """Whether the system has said for long enough that a clock that was stepped is right."""
        if not synchronized:
            self._sure_us = None
            return False
        if self._sure_us is None:
            self._sure_us = now_us
        return now_us - self._sure_us >= SETTLE_US

    def _trust(self, wall_us: int, now_us: int, reason: ClockReason) -> None:
        self._wrong_us, self._reason = -self.off_us, reason
        self.anchor, self._sure_us, self.off_us = Anchor(wall_us, now_us), None, 0

    def _check(self, wall_us: int, synchronized: bool | None) -> None:
        """Ticks are in doubt while the wall clock is not followed, and while they are ahead of it."""
        ahead_us = self._last_us - wall_us
        doubtful = self._away or ahead_us > STEP_US
        if doubtful == self.stepped:
            return
        self.stepped = doubtful
        if self._away:
            self._wrong_us, self._reason = 0, "corrected"
        elif doubtful:
            self._wrong_us = ahead_us
        self.due = ClockChecked(
            action="stepped" if doubtful else "followed",
            reason="" if doubtful else self._reason,
            synchronized=synchronized,
            tick_us=self._last_us,
            wall_us=max(0, wall_us),
            wrong_us=0 if doubtful else self._wrong_us,
        )
        if not doubtful:
            self._reason, self._sure_us = "corrected", None

    def confirm(self) -> int:
        """An operator says that the wall clock is right: the next tick follows it. Returns by how much it was off."""
        wall_us, now_us = self._clocks.wall_us(), self._clocks.boottime_us()
        self.off_us = wall_us - self.anchor.ahead_us - now_us
        off_us = self.off_us
        if self._away:
            self._trust(wall_us, now_us, "confirmed")
        return off_us

    def told(self, checked: ClockChecked) -> None:
        """The log holds it."""
        if self.due is checked:
            self.due = None

    @property
    def newest_us(self) -> int:
        """The last tick."""
        return self._last_us

    def not_before(self, us: int) -> None:
        """Gives no tick before this one, which is of an earlier run."""
        self._last_us = max(self._last_us, us)
