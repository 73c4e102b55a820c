"""Whether the clocks of a report can be true.

CLOCK_BOOTTIME never goes back within a boot, and no sample is from before 1970.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import msgspec

from weighbridge.wire.report import Report, ReportClocks, WireError


class _Samples(msgspec.Struct, frozen=True):
    boottime_us: list[int]
    tier: str


class _Times(msgspec.Struct, frozen=True):
    """Of a report, what is said of time."""

    blocks: list[_Samples]
    boot: str
    clock: ReportClocks


_TIMES = msgspec.json.Decoder(_Times)


@dataclass(frozen=True, slots=True)
class ToldClocks:
    """What a report said of time: its boot, when it was made, and its newest sample of each tier, by CLOCK_BOOTTIME."""

    boot: str
    made_us: int
    newest_us: dict[str, int]

    @classmethod
    def of(cls, report: Report | _Times) -> Self:
        newest: dict[str, int] = {}
        for block in report.blocks:
            newest[block.tier] = max(newest.get(block.tier, 0), block.boottime_us[-1])
        return cls(report.boot, report.clock.boottime_us, newest)

    @classmethod
    def read(cls, payload: bytes) -> Self:
        """Of a report that was accepted, without its values. Raises WireError."""
        try:
            return cls.of(_TIMES.decode(payload))
        except msgspec.DecodeError as error:
            raise WireError(str(error)) from error


def before_1970(report: Report) -> bool:
    """Whether something in the report lies before 1970 by the report's own two clocks."""
    boot_us = report.clock.wall_us - report.clock.boottime_us
    return any(boot_us + at_us < 0 for at_us in _instants(report))


def _instants(report: Report) -> Iterator[int]:
    yield from (block.boottime_us[0] for block in report.blocks)
    yield from (event.boottime_us for event in report.events)


def goes_back(report: Report, before: ToldClocks) -> str:
    """How the report contradicts the one before it in its chain; empty: not at all. Another boot begins anew."""
    if report.boot != before.boot:
        return ""
    made_us = report.clock.boottime_us
    if made_us < before.made_us:
        return f"made at {made_us} us of a boot, after a report that was made at {before.made_us}"
    for block in report.blocks:
        newest_us = before.newest_us.get(block.tier, 0)
        if block.boottime_us[0] < newest_us:
            return f"a sample at {block.boottime_us[0]} us of a boot, after one at {newest_us}"
    return ""
