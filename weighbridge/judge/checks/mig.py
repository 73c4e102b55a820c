"""A slice sold as a whole: MIG is on where it was promised to be off."""

from collections.abc import Iterator

from weighbridge.judge.checks.check import (
    Answer,
    Check,
    CheckContext,
    is_code,
    met,
)
from weighbridge.judge.latest_readings import INVENTORY
from weighbridge.wire.report import Reason


def whole(context: CheckContext) -> Iterator[Answer]:
    """A card that cannot be sliced at all is met: it answers NOT_SUPPORTED."""
    if context.promise.resource.floors.mig != "off":
        return
    for answer in is_code(context, "mig_mode_code", 0, "MIG off"):
        unable = answer.observed == Reason.NOT_SUPPORTED
        yield met(answer.device, answer.expected, "cannot be sliced") if unable else answer


MIG_ON = Check(
    code="mig_on",
    at_delivery=True,
    watches=frozenset({INVENTORY}),
    judge=whole,
)
