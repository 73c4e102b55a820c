"""Flags of what is contracted and not there: too little, nothing, nothing more, P beyond the cards that are seen."""

from collections.abc import Iterator
from fractions import Fraction

from weighbridge.audit.flag import Flag, figures, limit, percent
from weighbridge.audit.portfolio import DAY_US, Lease, Portfolio
from weighbridge.audit.schedule import due_gpu_s, due_gpus, first_due_us
from weighbridge.contract import Resource
from weighbridge.contract.numerals import exact_text
from weighbridge.judge.ledger import HOUR_US

NOT_REPORTING, ZERO, STALLED, OVERSTATED = (
    "contracted_not_reporting",
    "zero_delivery",
    "delivery_stalled",
    "capacity_overstated",
)
F16 = frozenset({"fp16", "bf16"})
ROUNDING = Fraction(102, 100)
"""What people round up: 8 cards of 0.9895 P are said to be 8 P."""


def missing(portfolio: Portfolio) -> Iterator[Flag]:
    """What was due some hours ago and does not report, now or over the last month that is over."""
    for lease in portfolio.running():
        grace_us = int(limit(NOT_REPORTING, "grace_hours") * HOUR_US)
        at_us = portfolio.as_of_us - grace_us
        due, seen = due_gpus(lease, at_us), lease.reporting(portfolio.as_of_us)
        share, month = _share_of_last_month(lease)
        least = limit(NOT_REPORTING, "share")
        if due == 0 or (Fraction(seen, due) >= least and (share is None or share >= least)):
            continue
        yield Flag(
            NOT_REPORTING,
            (lease.name,),
            "",
            first_due_us(lease, at_us) or lease.start_us,
            figures(
                gpus_due=due,
                gpus_reporting=seen,
                share_pct=percent(Fraction(seen, due)),
                month=month,
                month_share_pct=None if share is None else percent(share),
            ),
            (*lease.entries[-1:], *lease.seen_by),
        )


def _share_of_last_month(lease: Lease) -> tuple[Fraction | None, str | None]:
    """Of the GPU-time that was due in it, how much was reported."""
    if not lease.months:
        return None, None
    month = lease.months[-1]
    due_s = due_gpu_s(lease, month.start_us, month.end_us)
    return (Fraction(min(month.reporting_s, due_s), due_s), month.label) if due_s else (None, None)


def nothing(portfolio: Portfolio) -> Iterator[Flag]:
    """No GPU was ever seen, some time after the first was due."""
    grace_us = int(limit(ZERO, "grace_hours") * HOUR_US)
    for lease in portfolio.running():
        at_us = portfolio.as_of_us - grace_us
        since_us = first_due_us(lease, at_us)
        if since_us is not None and not lease.sightings:
            due = due_gpus(lease, at_us)
            days = (portfolio.as_of_us - since_us) // DAY_US
            told = figures(gpus_due=due, days_overdue=days, agents=len(lease.stays))
            yield Flag(ZERO, (lease.name,), "", since_us, told, lease.entries)


def stalled(portfolio: Portfolio) -> Iterator[Flag]:
    """Something is overdue for some time, and no further device came for long."""
    overdue_us = int(limit(STALLED, "overdue_days") * DAY_US)
    patience_us = int(limit(STALLED, "days") * DAY_US)
    for lease in portfolio.running():
        due, seen = due_gpus(lease, portfolio.as_of_us - overdue_us), len(lease.places)
        due = min(due, due_gpus(lease, portfolio.as_of_us))
        newest_us = max((first for first, _ in lease.places.values()), default=0)
        if 0 < seen < due and portfolio.as_of_us - newest_us >= patience_us:
            told = figures(
                gpus_due=due, gpus_seen=seen, days=(portfolio.as_of_us - newest_us) // DAY_US
            )
            yield Flag(STALLED, (lease.name,), "", newest_us, told, lease.seen_by)


def overstated(portfolio: Portfolio) -> Iterator[Flag]:
    """At the end of the last month the cards that were seen were worth less P than the contract says."""
    most = 1 + limit(OVERSTATED, "excess")
    for lease in portfolio.running():
        if not lease.months:
            continue
        end_us = lease.months[-1].end_us
        said, seen = _p_said(lease, end_us), _p_seen(lease, end_us)
        if said > seen * most and said > 0:
            told = figures(
                month=lease.months[-1].label, p_said=exact_text(said), p_seen=exact_text(seen)
            )
            yield Flag(OVERSTATED, (lease.name,), "", end_us, told, lease.entries[-1:])


def _p_said(lease: Lease, at_us: int) -> Fraction:
    """Of the line items whose batches are all due."""
    if due_gpus(lease, at_us - 1) < sum(one.nodes * one.per_node for one in lease.newest.resources):
        return Fraction(0)
    said = Fraction(0)
    for item in lease.newest.resources:
        if item.capacity is not None:
            nameplate = item.capacity.per_gpu * item.nodes * item.per_node
            said += nameplate if item.capacity.contracted is None else item.capacity.contracted
    return said


def _p_seen(lease: Lease, at_us: int) -> Fraction:
    recent = at_us - 2 * DAY_US
    return sum(
        (
            _worth(lease.resource_of(node))
            for (node, _), (first, last) in lease.places.items()
            if first < at_us and last > recent
        ),
        Fraction(0),
    )


def _worth(item: Resource) -> Fraction:
    """P of one GPU: no more than the card's data sheet gives, where the table has it."""
    if item.capacity is None:
        return Fraction(0)
    card = item.card
    dense = item.capacity.precision in F16 and item.capacity.sparsity == "dense"
    if not dense or card is None or card.dense_f16_teraops is None:
        return item.capacity.per_gpu
    return min(item.capacity.per_gpu, Fraction(card.dense_f16_teraops, 1000) * ROUNDING)
