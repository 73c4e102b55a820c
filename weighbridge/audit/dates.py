"""Flags of when units came and went: after they were billed, or gone once a date had passed."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from weighbridge.audit.flag import Flag, figures, limit
from weighbridge.audit.portfolio import DAY_US, Lease, Portfolio
from weighbridge.audit.schedule import due_gpus, steps

BIRTH, DEATH = "late_birth", "early_death"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def born_late(portfolio: Portfolio) -> Iterator[Flag]:
    """Units that came later than they were billed from."""
    grace_us = int(limit(BIRTH, "grace_days") * DAY_US)
    for lease in portfolio.leases.values():
        billed_us = lease.start_us if lease.service_us is None else lease.service_us
        if not lease.newest.pricing:
            continue
        late = [gap for gap in _late(lease, billed_us, grace_us) if gap[0] <= portfolio.as_of_us]
        gpus = max((count for _, count, _ in late), default=0)
        if gpus and Fraction(gpus, max(1, len(lease.places))) >= limit(BIRTH, "share"):
            told = figures(gpus_late=gpus, gpu_days_billed=sum(days for *_, days in late))
            yield Flag(BIRTH, (lease.name,), "", late[0][0], told, lease.seen_by)


def _late(lease: Lease, billed_us: int, grace_us: int) -> Iterator[tuple[int, int, int]]:
    """From when each lot was billed, how many of it came later than some days, and the days by which they did."""
    births = sorted(first for first, _ in lease.places.values())
    lots = sorted({max(edge, billed_us) for edge in steps(lease) if edge < lease.end_us})
    before = 0
    for from_us in lots:
        due = min(due_gpus(lease, from_us), len(births))
        late = [at_us for at_us in births[before:due] if at_us > from_us + grace_us]
        if late:
            yield from_us, len(late), sum((at_us - from_us) // DAY_US for at_us in late)
        before = max(before, due)


def died_early(portfolio: Portfolio) -> Iterator[Flag]:
    """Units that worked and are gone for days, while the term runs and nothing was announced."""
    for lease in portfolio.running():
        now_us, places = portfolio.as_of_us, lease.places.values()
        due = due_gpus(lease, now_us)
        silent_us = now_us - int(limit(DEATH, "days") * DAY_US)
        gone = sorted(last for _, last in places if last < silent_us)
        lost = min(due, len(places)) - lease.reporting(now_us)
        if gone and due and Fraction(min(lost, len(gone)), due) >= limit(DEATH, "share"):
            yield _death(lease, gone[-min(lost, len(gone))], min(lost, len(gone)))


def _death(lease: Lease, at_us: int, gpus: int) -> Flag:
    day = (EPOCH + timedelta(microseconds=at_us)).date()
    quarter = day.replace(month=3 * ((day.month - 1) // 3) + 1, day=1)
    told = figures(
        gpus_gone=gpus,
        last_seen=day.isoformat(),
        days_after_month_end=day.day - 1,
        days_after_quarter_end=(day - quarter).days,
        term_days_left=(lease.end_us - at_us) // DAY_US,
    )
    return Flag(DEATH, (lease.name,), "", at_us, told, lease.seen_by)
