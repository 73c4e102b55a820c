"""NVLinks that were promised: how many are up, of which generation, and how many GPUs they join."""

from collections.abc import Iterator, Mapping

from weighbridge.judge.checks.check import (
    Answer,
    Check,
    CheckContext,
    Effect,
    decide,
    unseen,
)
from weighbridge.judge.latest_readings import INVENTORY
from weighbridge.wire.report import Reason

READING, VERSION, PEERS = "nvlink_active_links", "nvlink_version_code", "p2p_nvlink_peers_count"
ASLEEP, UNREAD = "nvlink_sleeping_links", "nvlink_unreadable_links"

GENERATIONS: Mapping[int, int] = {1: 1, 2: 2, 3: 2, 4: 3, 5: 3, 6: 4, 7: 5, 8: 6}
"""NVML_NVLINK_VERSION_*: 1.0, 2.0, 2.2, 3.0, 3.1, 4.0, 5.0, 6.0."""


def linked(context: CheckContext) -> Iterator[Answer]:
    """Links that are up now, per GPU: one that sleeps wakes for traffic, one that lets none through is not up."""
    promised = context.promise.resource.interconnect.nvlink_links
    if promised is None:
        return
    expected = f"{READING} at least {promised}"
    for device in context.devices():
        active, asleep, unread = (
            context.view.value(device.uuid, name) for name in (READING, ASLEEP, UNREAD)
        )
        if not isinstance(active, int):
            yield unseen(device.uuid, expected, active)
            continue
        up = active + (asleep if isinstance(asleep, int) else 0)
        if up < promised <= up + (unread if isinstance(unread, int) else 0):
            yield unseen(device.uuid, expected, Reason.ERROR)
        else:
            yield decide(device.uuid, expected, str(up), holds=up >= promised)


def new_enough(context: CheckContext) -> Iterator[Answer]:
    """The generation of a card's links. Some drivers tell of a later one than the card has, none of an earlier."""
    promised = context.promise.resource.interconnect.nvlink_version
    if promised is None:
        return
    expected = f"NVLink {promised}"
    for device in context.devices():
        code = context.view.value(device.uuid, VERSION)
        if isinstance(code, int) and code in GENERATIONS:
            generation = GENERATIONS[code]
            observed = f"NVLink {generation}"
            yield decide(device.uuid, expected, observed, holds=generation >= promised)
        else:
            unknown = Reason.OUT_OF_RANGE if isinstance(code, int) else code
            yield unseen(device.uuid, expected, unknown)


def together(context: CheckContext) -> Iterator[Answer]:
    """GPUs that each one reaches over NVLink, itself among them, as far as its own node shows them."""
    promised = context.promise.resource.interconnect.nvlink_domain
    if promised is None:
        return
    here = min(promised, context.promise.resource.per_node)
    expected = f"{here} GPUs of the node joined by NVLink"
    for device in context.devices():
        peers = context.view.value(device.uuid, PEERS)
        if isinstance(peers, int):
            yield decide(device.uuid, expected, str(peers + 1), holds=peers + 1 >= here)
        else:
            yield unseen(device.uuid, expected, peers)


NVLINK_DOWN = Check(
    code="nvlink_down",
    at_delivery=True,
    watches=frozenset({READING, ASLEEP, UNREAD}),
    judge=linked,
)
NVLINK_OLD = Check(
    code="nvlink_old",
    effect=Effect.NONE,
    at_delivery=True,
    watches=frozenset({INVENTORY}),
    judge=new_enough,
)
NVLINK_APART = Check(
    code="nvlink_apart",
    effect=Effect.NONE,
    at_delivery=True,
    watches=frozenset({INVENTORY}),
    judge=together,
)
"""No effect of both: they are how the node was built. What fails later is links that are down, or a fabric left."""
