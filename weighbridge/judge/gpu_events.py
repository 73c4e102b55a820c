"""What a GPU operational event says of a node that no XID says. Those that stand for an XID are judged by it alone."""

from weighbridge.catalogue.gpu_events import (
    ATTRIBUTES,
    CATEGORIES,
    FATAL,
    GROUP_ATTRIBUTES,
    MINOR,
    SEVERITIES,
    numbered,
)
from weighbridge.catalogue.spoken import flags
from weighbridge.wire.report import Event, EventKind, OperationalEvent


def speaks_alone(event: Event) -> bool:
    """Whether it happened, was more than informational or corrected, and no XID speaks for it."""
    told = event.operational
    alone = event.kind is EventKind.GPU_EVENT and event.code is None
    return alone and told is not None and told.happened and told.severity not in MINOR


def is_fatal(event: Event) -> bool:
    """By the driver's word, whose severities are a preview: what no table knows is not fatal."""
    return event.operational is not None and event.operational.severity == FATAL


def words(event: Event) -> str:
    """The device, and what is said of it."""
    told = event.operational
    return f"{event.device or 'the node'}: {'' if told is None else _words(told)}"


def _words(told: OperationalEvent) -> str:
    parts = [
        f"{told.module} {told.module_code:#06x}",
        numbered(CATEGORIES, "category", told.category),
        numbered(SEVERITIES, "severity", told.severity),
        *flags(ATTRIBUTES, told.attributes),
        *flags(GROUP_ATTRIBUTES, told.group_attributes),
    ]
    return f"{', '.join(parts)}; driver {told.driver}"
