"""The flag of a history that may have been edited: holes, word that came just before it closed, notices dated back."""

from collections.abc import Iterator
from fractions import Fraction

from weighbridge.audit.flag import Flag, figures, limit, percent
from weighbridge.audit.portfolio import DAY_US, Arrival, Lease, Month, Portfolio, around
from weighbridge.audit.schedule import due_gpu_s
from weighbridge.contract.scalars import MICROSECONDS

CODE = "edited_history"
BROKEN = frozenset({"log_hole", "log_forked", "log_shrank", "log_forked_said", "log_shrank_said"})


def edited(portfolio: Portfolio) -> Iterator[Flag]:
    """What each contract's log, rows and notices show of it."""
    for lease in portfolio.leases.values():
        yield from _holes(portfolio, lease)
        yield from _at_the_last_moment(lease)
        yield from _dated_back(lease)


def _holes(portfolio: Portfolio, lease: Lease) -> Iterator[Flag]:
    found = [
        one for one in lease.findings if one.code in BROKEN and one.since_us <= portfolio.as_of_us
    ]
    if found:
        codes = ", ".join(sorted({one.code for one in found}))
        nodes = len({one.node for one in found})
        since_us = min(one.since_us for one in found)
        told = figures(reason="log", findings=codes, nodes=nodes)
        yield Flag(
            CODE, (lease.name,), found[0].node, since_us, told, lease.seen_by, found[0].level
        )


def _at_the_last_moment(lease: Lease) -> Iterator[Flag]:
    """Much of a month that was written down long after it, in the days before nothing could change it any more."""
    for month in lease.months:
        late = [one for one in lease.arrivals if _last_moment(lease, month, one)]
        moved, due = (
            sum(one.slot_us for one in late),
            due_gpu_s(lease, month.start_us, month.end_us),
        )
        share = Fraction(moved, due * MICROSECONDS) if due else Fraction(0)
        if late and share >= limit(CODE, "share"):
            told = figures(reason="arrivals", month=month.label, share_pct=percent(share))
            entries = around(entry for one in late for entry in one.entries)
            since_us = min(one.recorded_us for one in late)
            yield Flag(CODE, (lease.name,), late[0].node, since_us, told, entries)


def _last_moment(lease: Lease, month: Month, one: Arrival) -> bool:
    window_us = lease.newest.evidence.correction_window_s * MICROSECONDS
    closes_us = month.end_us + window_us
    opens_us = closes_us - int(limit(CODE, "before_days") * DAY_US)
    of_month = one.start_us < month.end_us and one.end_us > month.start_us
    return of_month and opens_us <= one.recorded_us < closes_us


def _dated_back(lease: Lease) -> Iterator[Flag]:
    """Events that a party told of long after they are said to have happened."""
    patience_us = int(limit(CODE, "notice_days") * DAY_US)
    for one in lease.told:
        if one.received_us - one.at_us > patience_us:
            told = figures(
                reason="notice", event=one.event, days_later=(one.received_us - one.at_us) // DAY_US
            )
            yield Flag(CODE, (lease.name,), one.unit, one.received_us, told, (one.entry,))
