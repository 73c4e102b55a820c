"""Another tenant on GPUs that were leased for one alone."""

from collections.abc import Iterator

from weighbridge.judge.checks.check import (
    Answer,
    Check,
    CheckContext,
    Effect,
    decide,
    unseen,
)
from weighbridge.judge.latest_readings import INVENTORY, PROCESSES
from weighbridge.wire.report import OwnerClass


def alone(context: CheckContext) -> Iterator[Answer]:
    """The node as a whole: who holds memory of the assigned devices, less the system's own services."""
    terms = context.promise.resource.exclusivity
    if terms.mode != "exclusive":
        return
    expected = f"owners {', '.join(terms.owners)}" if terms.owners else f"{terms.max_owners} owner"
    if context.view.processes is None:
        yield unseen("", expected, None)
        return
    devices = {device.uuid for device in context.devices()}
    slices = {d.uuid for d in context.view.devices.values() if d.parent in devices}
    owners = {
        process.owner
        for process in context.view.processes
        if process.device in devices | slices and process.class_ != OwnerClass.SYSTEM
    }
    strangers = owners - set(terms.owners) if terms.owners else set()
    holds = not strangers and len(owners) <= terms.max_owners
    yield decide("", expected, f"owners {', '.join(sorted(owners)) or 'none'}", holds=holds)


FOREIGN_PROCESS = Check(
    code="foreign_process",
    effect=Effect.NONE,
    at_delivery=False,
    answerable="open",
    watches=frozenset({INVENTORY, PROCESSES}),
    judge=alone,
)
"""Open: the lessee may have let the second owner in."""
