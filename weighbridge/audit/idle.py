"""The flag of cards that report and do nothing for weeks, while they are billed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction

from weighbridge.audit.flag import Flag, figures, limit, percent
from weighbridge.audit.portfolio import DAY_US, Lease, Portfolio
from weighbridge.contract import Resource
from weighbridge.judge.ledger import HOUR_US, Use

CODE = "idle_for_weeks"


def idle(portfolio: Portfolio) -> Iterator[Flag]:
    """Over the last days most of the GPUs that told of most hours did nothing in half of them or more."""
    days = limit(CODE, "days")
    since_us = portfolio.as_of_us - int(days * DAY_US)
    for lease in portfolio.running():
        if not lease.newest.pricing or lease.start_us > since_us:
            continue
        nodes = {node: hours for node, hours in hours_of(lease, since_us).items() if _told(hours)}
        weights = {node: _gpus(hours) for node, hours in nodes.items()}
        quiet = [node for node in nodes if _idles(lease.resource_of(node), nodes[node])]
        gpus, asleep = sum(weights.values()), sum(weights[node] for node in quiet)
        if gpus and Fraction(asleep, gpus) >= limit(CODE, "share"):
            yield _flag(lease, nodes, since_us, gpus, asleep)


def _flag(
    lease: Lease, nodes: Mapping[str, Sequence[Use]], since_us: int, gpus: int, asleep: int
) -> Flag:
    uses = [use for hours in nodes.values() for use in hours]
    known, in_use = sum(use.known for use in uses), sum(use.in_use for use in uses)
    power = _power_mw(uses)
    told = figures(
        days=limit(CODE, "days"),
        gpus=gpus,
        gpus_idle=asleep,
        in_use_pct=percent(Fraction(in_use, known)) if known else None,
        mean_watts=None if power is None else power // 1000,
    )
    return Flag(CODE, (lease.name,), "", since_us, told, lease.seen_by)


def hours_of(lease: Lease, since_us: int) -> Mapping[str, Sequence[Use]]:
    """By node, of each hour the sums of the chain that saw most."""
    best: dict[str, dict[int, Use]] = {}
    for use in lease.recent:
        if use.hour_us >= since_us:
            hours = best.setdefault(use.node, {})
            known = hours.get(use.hour_us)
            if known is None or use.seen > known.seen:
                hours[use.hour_us] = use
    return {node: list(hours.values()) for node, hours in best.items()}


def _told(hours: Sequence[Use]) -> bool:
    wanted = limit(CODE, "days") * 24 * limit(CODE, "hours_share")
    return len(hours) >= wanted


def _gpus(hours: Sequence[Use]) -> int:
    return max(-(-use.seen // HOUR_US) for use in hours)


def _idles(item: Resource, hours: Sequence[Use]) -> bool:
    """Half of the hours or more without use, and as little power as a card draws that does nothing."""
    least = limit(CODE, "busy_share")
    busy = [one for one in map(_busy, hours) if one[1]]
    if not _mostly(one * least.denominator < of * least.numerator for one, of in busy):
        return False
    band = None if item.card is None else item.card.idle_power_milliwatts
    told = [(use.energy_millijoules, use.energy_known) for use in hours if use.energy_known]
    if band is None or band.high is None or not told:
        return True
    most = band.high * (1 + limit(CODE, "power_margin")) / 1_000_000
    return _mostly(energy * most.denominator <= of * most.numerator for energy, of in told)


def _busy(use: Use) -> tuple[int, int]:
    """How busy its GPUs were, of all, or, where that was not read, how many of them were in use."""
    return (use.busy, 100 * use.busy_known) if use.busy_known else (use.in_use, use.known)


def _mostly(answers: Iterable[bool]) -> bool:
    """Whether half of them or more are yes."""
    told = list(answers)
    return bool(told) and 2 * sum(told) >= len(told)


def _power_mw(uses: Iterable[Use]) -> Fraction | None:
    """The mean power of a GPU: millijoules by the second."""
    told = [use for use in uses if use.energy_known]
    known = sum(use.energy_known for use in told)
    energy = sum(use.energy_millijoules for use in told)
    return Fraction(energy * 1_000_000, known) if known else None
