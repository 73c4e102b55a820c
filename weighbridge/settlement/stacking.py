"""Several remedies at once: which are paid, and the most of all together."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from weighbridge.codes import Flag
from weighbridge.contract.money import Stacking
from weighbridge.settlement.credits import limited


@dataclass(frozen=True, slots=True)
class Remedy:
    """An amount under an objective. Remedies of one `event` stand beside each other: a set of events, or one unit."""

    event: str
    objective: str
    amount: Fraction


@dataclass(frozen=True, slots=True)
class Stack:
    """The remedies that survive, their sum, and what is left of it under the cap."""

    kept: tuple[Remedy, ...]
    total: Fraction
    paid: Fraction

    @property
    def flags(self) -> tuple[Flag, ...]:
        return ("cap_applied",) if self.paid < self.total else ()


def stack(terms: Stacking, remedies: Sequence[Remedy]) -> Stack:
    """`sum`: all. Else the largest of each event, among equals the first."""
    kept = tuple(_kept(terms, remedies))
    whole = sum((remedy.amount for remedy in kept), Fraction(0))
    if terms.cap is None:
        return Stack(kept, whole, whole)
    base = Fraction(0) if terms.base_amount is None else Fraction(terms.base_amount)
    paid, _ = limited(whole, terms.cap, base)
    return Stack(kept, whole, whole if paid is None else paid)


def _kept(terms: Stacking, remedies: Sequence[Remedy]) -> list[Remedy]:
    if terms.rule == "sum":
        return list(remedies)
    best: dict[str, Remedy] = {}
    for remedy in remedies:
        held = best.get(remedy.event)
        if held is None or remedy.amount > held.amount:
            best[remedy.event] = remedy
    return list(best.values())
