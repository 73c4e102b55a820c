"""Error correction that was promised and is off."""

from collections.abc import Iterator

from weighbridge.judge.checks.check import Answer, Check, CheckContext, is_code
from weighbridge.judge.latest_readings import INVENTORY


def corrected(context: CheckContext) -> Iterator[Answer]:
    """Silent where the contract does not ask for it."""
    if context.promise.resource.floors.ecc == "on":
        yield from is_code(context, "ecc_mode_code", 1, "ECC on")


ECC_OFF = Check(
    code="ecc_off",
    at_delivery=True,
    watches=frozenset({INVENTORY}),
    judge=corrected,
)
