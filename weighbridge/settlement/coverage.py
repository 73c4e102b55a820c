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
from weighbridge.settlement.intervals import Interval, Intervals, clip, complement, union
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
    """Rows with the time of thin hours as unknown, whatever the chain says of it: it may have left out either."""
    for row in rows:
        hours = clip(thin.get((row.node, row.chain), ()), (row.start_us, row.end_us))
        if not hours or row.state is State.UNKNOWN:
            yield row
            continue
        pieces = dict.fromkeys(hours, True)
        pieces |= dict.fromkeys(complement(hours, (row.start_us, row.end_us)), False)
        for start_us, end_us in sorted(pieces):
            piece = replace(row, start_us=start_us, end_us=end_us)
            left_out = pieces[start_us, end_us]
            yield replace(piece, state=State.UNKNOWN, cause=THIN) if left_out else piece


def cadence_lines(
    contract: Contract, served: Interval, as_of_s: int, found: Timelines, used: Totals
) -> Iterator[CadenceLine]:
    """One for each place, over the hours that are full; none where no sample was summed up at all."""
    contracted_s = _summed_s(served, as_of_s)
    per_node = {item.id: item.per_node for item in contract.resources}
    for node, resource in found.resource_of.items() if used and contracted_s else ():
        total = Total()
        for name in sorted(found.held_by.get(node, {node})):
            total.add(used.get(name, Total()))
        contracted = per_node[resource] * contracted_s
        seen, sampled = total.seen // MICROSECONDS, total.sampled // MICROSECONDS
        yield CadenceLine(
            node=node,
            interval=exact_text(Fraction(contract.sampling.interval_us, MICROSECONDS)),
            contracted_gpu_seconds=contracted,
            heard_gpu_seconds=seen,
            sampled_gpu_seconds=sampled,
            kept=share_text(Fraction(sampled, seen)) if seen else None,
            coverage=share_text(min(Fraction(sampled, contracted), Fraction(1))),
        )


def _summed_s(served: Interval, as_of_s: int) -> int:
    """Seconds of service in hours that begin in it and are over, which are those that are summed up."""
    hour_s = HOUR_US // MICROSECONDS
    start_s = -(-served[0] // hour_s) * hour_s
    end_s = served[1] if as_of_s >= served[1] else as_of_s // hour_s * hour_s
    return max(0, end_s - start_s)


def covered_too_little(contract: Contract, lines: Sequence[CadenceLine]) -> bool:
    """Whether less of a place's time rests on samples than the contract asks for."""
    least = contract.evidence.least_coverage
    return any(
        Fraction(line.sampled_gpu_seconds) < least * line.contracted_gpu_seconds for line in lines
    )
