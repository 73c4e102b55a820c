"""What is true of every settlement and statement, whatever the contract says; checked each time, before any is used.

One that does not hold is an error of this program and no matter of the contract or the evidence: nothing is handed out.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

from weighbridge.contract import Contract
from weighbridge.contract.money import AnomalyHours, Cap, CreditTerms, LostWork, OutageMultiple
from weighbridge.judge.ledger import State
from weighbridge.settlement.credits import Line, money
from weighbridge.settlement.intervals import Interval, Intervals
from weighbridge.settlement.parts import Settled
from weighbridge.settlement.results import Result, Settlement
from weighbridge.settlement.statement import REBATE, Delivery, FeeLine, Part, Statement, UnitLine

CAPPED_BY_AMOUNT = (AnomalyHours, LostWork)
"""Credits without a base: a percentage caps nothing of them."""

Place = tuple[str, str]
"""An objective, credit or line item, and a unit; empty where it is of the whole."""

Numbers = Mapping[str, object]
Broken = Iterator[tuple[str, Place, Numbers]]
"""Each that does not hold: its name, where, and with which numbers."""

WHOLE: Place = ("", "")


class BrokenInvariantError(Exception):
    """A settlement that contradicts itself. The message says which contract, period, objective and unit, and how."""

    def __init__(
        self, contract: str, period: str, invariant: str, place: Place, numbers: Numbers
    ) -> None:
        self.contract, self.period, self.invariant = contract, period, invariant
        self.objective, self.unit = place
        self.numbers = dict(numbers)
        where = " ".join(filter(None, (contract, period, *place)))
        shown = ", ".join(f"{name} {value}" for name, value in numbers.items())
        super().__init__(f"{where}: {invariant} does not hold: {shown}")

    def __reduce__(self) -> tuple[object, ...]:
        place = self.objective, self.unit
        given = self.contract, self.period, self.invariant, place, self.numbers
        return type(self), given, self.__dict__


def check_settlement(contract: Contract, found: Settlement) -> None:
    """Raises BrokenInvariantError for the first that a settlement breaks."""
    _raise(contract.contract_id, found.period.label, _of_settlement(contract, found))


def check_statement(drafted: Statement, ruled: Sequence[Settled]) -> None:
    """The same for a statement and the parts that it was drafted from, one for each of its own."""
    _raise(drafted.contract, drafted.period, _of_statement(drafted, ruled))


def _raise(contract: str, period: str, broken: Broken) -> None:
    for invariant, place, numbers in broken:
        raise BrokenInvariantError(contract, period, invariant, place, numbers)


def _of_settlement(contract: Contract, found: Settlement) -> Broken:
    terms = {credit.id: credit for credit in contract.credits}
    for result in found.results:
        yield from _of_result(result)
    for line in _lines_of(found):
        yield from _of_line(contract, terms.get(line.credit), line)
    most = money(_most(contract), contract.rounding)
    for total in (found.lowest, found.highest):
        if total is not None and not 0 <= total <= (total if most is None else most):
            yield "0 <= total <= cap of all credits", WHOLE, {"total": total, "cap": most}


def _lines_of(found: Settlement) -> Iterator[Line]:
    for result in found.results:
        yield from result.worst.lines
        if result.best is not result.worst:
            yield from result.best.lines
    yield from found.others
    yield from found.others_at_best
    yield from found.by_lessee
    yield from found.by_lessee_at_best


def _of_result(result: Result) -> Broken:
    measured = result.measure
    outcomes = (measured.low, measured.high)
    seen = (measured.raw_down_s, measured.unknown_s, measured.contested_s, measured.service_s)
    shares = all(0 <= one.downtime_s <= one.denominator_s for one in outcomes)
    if not shares or min(seen) < 0 or min(one.excluded_s for one in outcomes) < 0:
        numbers = {
            "down": [one.downtime_s for one in outcomes],
            "of": [one.denominator_s for one in outcomes],
            "excluded": [one.excluded_s for one in outcomes],
            "raw, unknown, contested, service": seen,
        }
        yield "0 <= availability <= 1", (measured.objective.id, measured.unit), numbers


def _of_line(contract: Contract, credit: CreditTerms | None, line: Line) -> Broken:
    if not line.exact:
        return
    caps = list(_of_damages(contract, line) if credit is None else _of_credit(credit, line))
    if line.exact < 0 or any(line.exact > cap for cap in caps):
        numbers = {"credit": line.exact, "caps": caps}
        yield "0 <= credit <= cap", (line.credit, line.unit), numbers


def _of_credit(credit: CreditTerms, line: Line) -> Iterator[Fraction]:
    """What a line gives at most."""
    yield from _through(credit.cap, None if isinstance(credit, CAPPED_BY_AMOUNT) else line.base)
    if isinstance(credit, OutageMultiple) and credit.incident_cap is not None:
        paid = line.earned.facts["incidents"]
        yield Fraction(credit.incident_cap) * len(paid if isinstance(paid, tuple) else ())


def _of_damages(contract: Contract, line: Line) -> Iterator[Fraction]:
    for terms in contract.liquidated_damages:
        if terms.id == line.credit and terms.cap_pct is not None:
            yield line.base * terms.cap_pct / 100


def _through(cap: Cap, base: Fraction | None) -> Iterator[Fraction]:
    """What a cap lets through at most. `base` None: its percentage is of nothing."""
    if cap.pct is not None and base is not None:
        yield base * cap.pct / 100
    if cap.amount is not None:
        yield Fraction(cap.amount)


def _most(contract: Contract) -> Fraction | None:
    """What the cap on all credits of a period together lets through; None: there is none."""
    terms = contract.stacking
    if terms.cap is None:
        return None
    base = None if terms.base_amount is None else Fraction(terms.base_amount)
    return min(_through(terms.cap, base), default=None)


def _of_statement(drafted: Statement, ruled: Sequence[Settled]) -> Broken:
    yield from _tiled(ruled)
    for one, part in zip(ruled, drafted.parts, strict=True):
        for place, states in one.not_up.items():
            yield from _in_order(place, states, one.served)
        yield from _of_part(part)
    yield from _once_for_the_period(ruled)
    yield from _range("total", WHOLE, drafted.lowest, drafted.highest)
    caps = [_most(one.contract) for one in ruled]
    if drafted.highest is not None and None not in caps:
        rule, total = ruled[-1].contract.rounding, Decimal(drafted.highest)
        most = money(max(cap for cap in caps if cap is not None), rule)
        if most is not None and total > most:
            yield "total <= cap of all credits", WHOLE, {"total": total, "cap": most}


def _of_part(part: Part) -> Broken:
    for line in part.units:
        yield from _of_unit(line)
    for credit in (*part.others, *part.by_lessee):
        yield from _range("credit", (credit.credit, ""), credit.lowest, credit.highest)
    for due in part.dues:
        yield from _range("due", ("", due.unit), due.lowest, due.highest)
        yield from _range("due of what was earned", ("", due.unit), due.highest, due.earned)
    for fee in part.fees:
        yield from _of_fee(fee)
    for delivery in part.delivery:
        yield from _of_delivery(delivery)


def _range(name: str, place: Place, lowest: str | None, highest: str | None) -> Broken:
    """Nothing is negative, and where both ends are known the lowest is no more than the highest."""
    if lowest is None or highest is None:
        return
    if not 0 <= Decimal(lowest) <= Decimal(highest):
        yield f"0 <= lowest {name} <= highest", place, {"lowest": lowest, "highest": highest}


def _of_unit(line: UnitLine) -> Broken:
    """Where a unit is judged alone, each second of service is in one state."""
    place, told = (line.objective, line.unit), line.seconds.values()
    if told and (sum(told) != line.service_seconds or min(told) < 0):
        seconds = {**line.seconds, "service": line.service_seconds}
        yield "seconds by state add up to service", place, seconds
    (low, high), (least, most) = line.availability, line.counted_seconds
    if low > high or least > most:
        ends = {"availability": line.availability_fraction, "counted": line.counted_seconds}
        yield "lowest availability <= highest", place, ends
    for credit in line.credits:
        yield from _range("credit", (credit.credit, line.unit), credit.lowest, credit.highest)


def _tiled(ruled: Sequence[Settled]) -> Broken:
    """The parts follow each other from the start of the period to its end, and service lies in each."""
    whole = ruled[0].whole
    edges = [whole.start_s, *(edge for one in ruled for edge in one.part.interval_s), whole.end_s]
    if edges[::2] != edges[1::2]:
        yield "parts tile the period", WHOLE, {"edges": edges}
    for one in ruled:
        (start, end), (first, last) = one.part.interval_s, one.served
        if not start <= first <= last or (first < last and last > end):
            numbers = {"part": one.part.interval_s, "service": one.served}
            yield "service lies in its part", WHOLE, numbers


def _in_order(place: Place, states: Mapping[State, Intervals], served: Interval) -> Broken:
    """Each state's intervals come in order; together they never overlap, and lie in the time of service."""
    told = [interval for intervals in states.values() for interval in intervals]
    if not told:
        return
    every = sorted(told)
    apart = all(left[1] <= right[0] for left, right in pairwise(every))
    ordered = all(
        left[1] <= right[0] for intervals in states.values() for left, right in pairwise(intervals)
    )
    inside = served[0] <= every[0][0] and max(end for _, end in every) <= served[1]
    if not (apart and ordered and inside and all(start < end for start, end in every)):
        yield "intervals in order, apart, in service", place, {"intervals": told, "service": served}


def _of_fee(fee: FeeLine) -> Broken:
    """As shown, to the last digit. What is given back is the one line below zero."""
    gross, unbilled, net = (Decimal(text) for text in (fee.gross, fee.unbilled, fee.net))
    least = min(gross, unbilled) if fee.resource == REBATE else min(gross, unbilled, net)
    if least < 0 or gross - unbilled != net:
        numbers = {"gross": fee.gross, "unbilled": fee.unbilled, "net": fee.net}
        yield "0 <= net = gross - unbilled", ("", fee.resource), numbers


def _of_delivery(line: Delivery) -> Broken:
    seen = (line.contracted_gpu_seconds, line.reporting_gpu_seconds, line.healthy_gpu_seconds)
    if not 0 <= seen[2] <= seen[1] or seen[0] < 0:
        numbers = dict(zip(("contracted", "reporting", "healthy"), seen, strict=True))
        yield "0 <= healthy <= reporting", ("", line.resource), numbers


def _once_for_the_period(ruled: Sequence[Settled]) -> Broken:
    """An amount as a cap is for a period: what all parts give of it lies under that of one of them."""
    if len(ruled) == 1:
        return
    given: dict[Place, Fraction] = defaultdict(Fraction)
    most: dict[Place, list[Fraction | None]] = defaultdict(list)
    for one in ruled:
        terms = {credit.id: credit.cap.amount for credit in one.contract.credits}
        for line in (line for result in one.settlement.results for line in result.worst.lines):
            given[line.credit, line.unit] += line.exact or 0
            amount = terms[line.credit]
            most[line.credit, line.unit].append(None if amount is None else Fraction(amount))
    for place, limits in most.items():
        known = [limit for limit in limits if limit is not None]
        if len(known) == len(limits) and given[place] > max(known):
            yield "credits of all parts <= cap", place, {"credits": given[place], "caps": known}
