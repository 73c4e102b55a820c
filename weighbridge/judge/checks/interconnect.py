"""NVLinks that were promised and are not up."""

from collections.abc import Iterator

from weighbridge.judge.checks.check import Answer, Check, CheckContext, at_least

READING = "nvlink_active_links"


def linked(context: CheckContext) -> Iterator[Answer]:
    """Links that are up now, per GPU."""
    yield from at_least(context, READING, context.promise.resource.interconnect.nvlink_links)


NVLINK_DOWN = Check(
    code="nvlink_down",
    at_delivery=True,
    watches=frozenset({READING}),
    judge=linked,
)
