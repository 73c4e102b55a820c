"""How much of the contracted time rests on samples: the cadence that was promised, and the one that was kept.

A sample stands for the time up to the next one; what lies beyond the promised interval rests on what was seen around
it. An hour of which too little rests on samples is thin, as the chain that tells of it tells it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from weighbridge.contract import Contract
from weighbridge.contract.numerals import exact_text
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.judge.ledger import HOUR_US, Row, State, Use
from weighbridge.judge.usage import THIN, is_thin
from weighbridge.settlement.intervals import Interval, Intervals, clip, complement, total, union
from weighbridge.settlement.money import share_text
from weighbridge.settlement.statement import CadenceLine
from weighbridge.settlement.units import Timelines
from weighbridge.settlement.usage import Total, Totals

Thin = Mapping[tuple[str, str], Intervals]
"""By node and chain, thin hours in microseconds."""


def thin_hours(contract: Contract, uses: Iterable[Use]) -> Thin:
    """Those that have a consequence under the contract."""
    if contract.evidence.below_coverage == "noted":
        return {}
    found: dict[tuple[str, str], list[Interval]] = {}
    for use in uses:
        if is_thin(use, contract.evidence.least_coverage):
            found.setdefault((use.node, use.chain), []).append((use.from_us, use.until_us))
    return {place: union(hours) for place, hours in found.items()}


def thinned(rows: Iterable[Row], thin: Thin) -> Iterator[Row]:
    """Rows with the time of thin hours as unknown, whatever the chain says of it: it may have left out either.

    Time that was said to be up rests on no entry then: what would show it was left out.
    """
    for row in rows:
        hours = clip(thin.get((row.node, row.chain), ()), (row.start_us, row.end_us))
        if not hours or row.state is State.UNKNOWN:
            yield row
            continue
        pieces = dict.fromkeys(hours, True)
        pieces |= dict.fromkeys(complement(hours, (row.start_us, row.end_us)), False)
        for start_us, end_us in sorted(pieces):
            piece = replace(row, start_us=start_us, end_us=end_us)
            yield _left_out(piece) if pieces[start_us, end_us] else piece


def _left_out(row: Row) -> Row:
    unknown = replace(row, state=State.UNKNOWN, cause=THIN)
    shown = row.state is not State.UP
    return unknown if shown else replace(unknown, first_entry=None, last_entry=None)


def cadence_lines(
    contract: Contract, served: Interval, as_of_s: int, found: Timelines, used: Totals
) -> Iterator[CadenceLine]:
    """One for each place, over the hours that are full; none where no sample was summed up at all.

    Of a GPU that was seen to be down no sample is missing: that time asks for none.
    """
    summed = _summed(served, as_of_s)
    contracted_s = summed[1] - summed[0]
    per_node = {item.id: item.per_node for item in contract.resources}
    for node, resource in found.resource_of.items() if used and contracted_s else ():
        summed_up = Total()
        for name in sorted(found.held_by.get(node, {node})):
            summed_up.add(used.get(name, Total()))
        contracted = per_node[resource] * contracted_s - _down_s(found, node, summed)
        seen = summed_up.seen // MICROSECONDS
        sampled = summed_up.sampled // MICROSECONDS
        yield CadenceLine(
            node=node,
            interval=exact_text(Fraction(contract.sampling.interval_us, MICROSECONDS)),
            contracted_gpu_seconds=contracted,
            heard_gpu_seconds=seen,
            sampled_gpu_seconds=sampled,
            kept=share_text(Fraction(sampled, seen)) if seen else None,
            coverage=_share(sampled, contracted),
        )


def _share(sampled: int, contracted: int) -> str:
    return share_text(
        min(Fraction(sampled, contracted), Fraction(1)) if contracted else Fraction(1)
    )


def _summed(served: Interval, as_of_s: int) -> Interval:
    """The hours of service that begin in it and are over, which are those that are summed up."""
    hour_s = HOUR_US // MICROSECONDS
    start_s = -(-served[0] // hour_s) * hour_s
    end_s = served[1] if as_of_s >= served[1] else as_of_s // hour_s * hour_s
    return (start_s, max(start_s, end_s))


def _down_s(found: Timelines, node: str, within: Interval) -> int:
    """GPU-seconds of a place that were seen to be down."""
    edges = (within[0] * MICROSECONDS, within[1] * MICROSECONDS)
    down = (
        (one.start_us, one.end_us)
        for slot, line in found.seen.items()
        if slot.node == node
        for one in line
        if one.state is State.DOWN
    )
    return sum(total(clip((span,), edges)) for span in down) // MICROSECONDS


def covered_too_little(contract: Contract, lines: Sequence[CadenceLine]) -> bool:
    """Whether less of a place's time rests on samples than the contract asks for."""
    least = contract.evidence.least_coverage
    return any(
        Fraction(line.sampled_gpu_seconds) < least * line.contracted_gpu_seconds for line in lines
    )
