"""Another tenant on GPUs that were leased for one alone."""

from collections.abc import Iterator, Sequence

from weighbridge.judge.checks.check import (
    Answer,
    Check,
    CheckContext,
    Effect,
    decide,
    doubted,
    unseen,
)
from weighbridge.judge.checks.presence import hidden, why_hidden
from weighbridge.judge.latest_readings import INVENTORY, PROCESSES, fact
from weighbridge.wire.report import DeviceState, OwnerClass, Process

PID_NAMESPACE = "pid_namespace_code"
"""1 where the agent does not see the processes of the whole machine."""


def alone(context: CheckContext) -> Iterator[Answer]:
    """The node as a whole: who holds memory of the assigned devices, less the node's own services.

    An owner too many is one, whoever else there is. Else an owner whom nobody could read leaves the answer open.
    """
    terms = context.promise.resource.exclusivity
    limited = terms.mode == "exclusive" or terms.max_owners > 1
    if not limited and not terms.owners:
        return
    expected = f"owners {', '.join(terms.owners)}" if terms.owners else f"{terms.max_owners} owner"
    if context.view.processes is None:
        yield unseen("", expected, why_hidden(context.view))
        return
    held = list(_of_the_lease(context, context.view.processes))
    owners = {
        one.owner for one in held if one.class_ not in (OwnerClass.SYSTEM, OwnerClass.UNKNOWN)
    }
    strangers = owners - set(terms.owners) if terms.owners else set()
    holds = not strangers and (not limited or len(owners) <= terms.max_owners)
    observed = _told(owners, held)
    unread = _unread(context, held)
    if holds and unread:
        yield doubted("", expected, f"{observed}; {unread}")
    else:
        yield decide("", expected, observed, holds=holds)


def _of_the_lease(context: CheckContext, processes: Sequence[Process]) -> Iterator[Process]:
    devices = {device.uuid for device in context.devices()}
    slices = {d.uuid for d in context.view.devices.values() if d.parent in devices}
    return (process for process in processes if process.device in devices | slices)


def _told(owners: set[str], held: Sequence[Process]) -> str:
    services = sorted({one.owner for one in held if one.class_ is OwnerClass.SYSTEM})
    told = f"owners {', '.join(sorted(owners)) or 'none'}"
    return f"{told}; services {', '.join(services)}" if services else told


def _unread(context: CheckContext, held: Sequence[Process]) -> str:
    """Whom nobody could read; empty where everybody was."""
    devices = context.devices()
    unlisted = sum(device.state is DeviceState.UNREADABLE for device in devices)
    if len(devices) < context.promise.resource.per_node:
        unlisted += hidden(context.view, context.promise)
    if fact(context.view.host, PID_NAMESPACE) == 1:
        return "an agent that does not see the machine's processes"
    if unlisted:
        return f"{unlisted} GPUs that could not be asked"
    return "an owner that could not be read" if _has_unknown(held) else ""


def _has_unknown(held: Sequence[Process]) -> bool:
    return any(one.class_ is OwnerClass.UNKNOWN for one in held)


FOREIGN_PROCESS = Check(
    code="foreign_process",
    effect=Effect.NONE,
    at_delivery=False,
    watches=frozenset({INVENTORY, PROCESSES}),
    judge=alone,
)
"""Open: the lessee may have let the second owner in."""
