"""Hours whose samples no card gives. Of one hour that is over, for each device, from what was counted of it.

What a driver says may be made up; these are the commonest ways in which made-up readings do not fit each other. Which
of them is false nobody can tell, so nothing is breached and no money moves.
"""

from collections.abc import Callable, Iterator

from weighbridge.judge.checks.check import (
    HOUR,
    Answer,
    Check,
    CheckContext,
    Effect,
    HourSeries,
    Severity,
    doubted,
    met,
)

ENOUGH = 30
"""Samples: five minutes at one in ten seconds."""
ENOUGH_US = 1_200_000_000
"""A third of an hour, before energy is weighed against power."""

Told = Callable[[HourSeries], str]
"""What is odd of an hour; empty where nothing is."""


def constant(series: HourSeries) -> str:
    """Power under load moves in its last digits from one sample to the next."""
    if series.steady < ENOUGH:
        return ""
    return f"power, temperature and clock alike in {series.steady + 1} samples under load"


def copied(series: HourSeries) -> str:
    """Two cards under load differ in the last digits of power."""
    if series.copied < ENOUGH or 2 * series.copied < series.busy:
        return ""
    return f"as another GPU in {series.copied} of {series.busy} samples under load"


def beyond(series: HourSeries) -> str:
    """A single sample may be a peak, or the driver's slip."""
    if series.beyond < ENOUGH or 10 * series.beyond < series.samples:
        return ""
    return f"more in {series.beyond} of {series.samples} samples"


def held(series: HourSeries) -> str:
    """Also memory that a process left behind when it died: nobody can use it until the card is reset."""
    if series.held < ENOUGH or 2 * series.held < series.samples:
        return ""
    return f"full, held by no process, in {series.held} of {series.samples} samples at idle power"


def energy(series: HourSeries) -> str:
    """A driver loaded anew begins at nothing, and then has counted no more than a card can draw since.

    The mean power of an hour lies between the least and the most that were sampled; half and twice leave room for
    sensors that differ, and for a load whose steps the samples miss.
    """
    if series.fell:
        return f"fell {series.fell} times to more than it can have counted since"
    if series.spent_us < ENOUGH_US or series.least is None:
        return ""
    mean = series.spent_millijoules * 1_000_000 // series.spent_us
    if series.least <= 2 * mean and mean <= 2 * series.most:
        return ""
    return f"{mean} mW by energy, {series.least} to {series.most} mW by power"


def discordant(series: HourSeries) -> str:
    """A card whose kernels run all the time draws more than an idle one, and one at half its limit runs some. Heat
    follows power that doubles for minutes."""
    if series.unmoved >= ENOUGH and 2 * series.unmoved >= series.samples:
        return f"power that fits no use in {series.unmoved} of {series.samples} samples"
    both = min(series.longest_work, series.longest_rest) >= ENOUGH
    swings = series.least is not None and series.most >= 2 * series.least
    if both and swings and series.heated <= 1:
        return f"heat that stands, {series.longest_work} samples at work and {series.longest_rest} at rest"
    return ""


def backwards(series: HourSeries) -> str:
    """Of a card's life, or of a driver that stayed loaded."""
    return ", ".join(f"{name} fell {times} times" for name, times in sorted(series.fallen.items()))


def _check(code: str, expected: str, told: Told, blind: Severity = Severity.WARNING) -> Check:
    def judge(context: CheckContext) -> Iterator[Answer]:
        for device in context.devices():
            series = context.series.get(device.uuid)
            if series is not None:
                odd = told(series)
                observed = odd or "nothing else"
                yield (doubted if odd else met)(device.uuid, expected, observed)

    return Check(
        code=code,
        effect=Effect.NONE,
        at_delivery=False,
        watches=frozenset({HOUR}),
        judge=judge,
        blind=blind,
        level="E1",
    )


READINGS_CONSTANT = _check("readings_constant", "readings that move under load", constant)
"""A warning: a sensor that hangs looks alike."""
READINGS_COPIED = _check("readings_copied", "readings of its own", copied, Severity.ERROR)
READINGS_BEYOND = _check(
    "readings_beyond_maximum", "clocks and power within its own maxima", beyond, Severity.ERROR
)
ENERGY_IMPLAUSIBLE = _check("energy_implausible", "energy that fits power and time", energy)
"""A warning: a load in step with the sampling for a third of an hour looks alike."""
READINGS_DISCORDANT = _check(
    "readings_discordant", "power, heat and use that go together", discordant
)
"""A warning: kernels that wait, a sensor that hangs, and a driver that says 0 of a use which it does not know."""
COUNTERS_BACKWARDS = _check("counters_backwards", "counters that only rise", backwards)
"""A warning: some can be cleared by hand."""
MEMORY_UNACCOUNTED = _check("memory_unaccounted", "memory that somebody holds", held)
"""A warning: memory that a dead process left behind looks alike."""
