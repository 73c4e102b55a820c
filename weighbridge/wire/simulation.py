"""How the simulator moves the logical clock of a simulation store."""

from weighbridge.wire.report import Count, Model

CLOCK_PATH = "/v1/simulation/clock"


class ClockMove(Model):
    """The time that it is from now on."""

    wall_us: Count
