"""A driver that is older than allowed, or too new."""

from collections.abc import Iterator

from weighbridge.contract.versions import version_of
from weighbridge.judge.checks.check import Answer, Check, CheckContext, Effect, decide, unseen
from weighbridge.judge.latest_readings import INVENTORY, fact
from weighbridge.wire.report import Reason

READ = ("driver_version", "kernel_module_version")
"""What NVML says, or else the kernel's module."""


def allowed(context: CheckContext) -> Iterator[Answer]:
    """The node as a whole. A version that is none, here or in the contract, is unknown."""
    terms = context.promise.resource.host
    if terms.driver_at_least is None and terms.driver_below is None:
        return
    expected = _described(terms.driver_at_least, terms.driver_below)
    shown = [fact(context.view.driver, reading) for reading in READ]
    told = [value for value in shown if isinstance(value, str) and not isinstance(value, Reason)]
    if not told:
        yield unseen("", expected, next((one for one in shown if isinstance(one, Reason)), None))
        return
    holds = _within(told[0], terms.driver_at_least, terms.driver_below)
    if holds is None:
        yield unseen("", expected, Reason.OUT_OF_RANGE)
    else:
        yield decide("", expected, told[0], holds=holds)


def _described(least: str | None, below: str | None) -> str:
    from_ = [] if least is None else [f"at least {least}"]
    to = [] if below is None else [f"below {below}"]
    return f"driver {' and '.join([*from_, *to])}"


def _within(told: str, least: str | None, below: str | None) -> bool | None:
    version = version_of(told)
    low, high = (None if one is None else version_of(one) for one in (least, below))
    if version is None or (low is None) != (least is None) or (high is None) != (below is None):
        return None
    return (low is None or version >= low) and (high is None or version < high)


DRIVER_NOT_ALLOWED = Check(
    code="driver_not_allowed",
    effect=Effect.NONE,
    at_delivery=False,
    watches=frozenset({INVENTORY}),
    judge=allowed,
)
"""Open: on bare metal the lessee can install a driver too. No effect: the cards serve all the same."""
