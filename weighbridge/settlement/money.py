"""Exact fractions to money, once, by the contract's own rule."""

from decimal import Decimal
from fractions import Fraction
from typing import TypeVar

from weighbridge.contract.money import Mode

Number = TypeVar("Number", Fraction, Decimal)


def round_half_up(number: Fraction, places: int) -> Decimal:
    """Nearest, halves away from zero."""
    return rounded(number, places, "half_up")


def rounded(number: Fraction, places: int, mode: Mode) -> Decimal:
    """`number` with exactly `places` decimal places."""
    scaled = abs(number) * 10**places
    whole, rest = divmod(scaled.numerator, scaled.denominator)
    if _carries(whole, Fraction(rest, scaled.denominator), mode):
        whole += 1
    sign = 1 if number < 0 and whole > 0 else 0
    return Decimal((sign, tuple(map(int, str(whole))), -places))


def _carries(whole: int, rest: Fraction, mode: Mode) -> bool:
    half = Fraction(1, 2)
    match mode:
        case "down":
            return False
        case "half_up":
            return rest >= half
        case "half_even":
            return rest > half or (rest == half and whole % 2 == 1)


def share_text(share: Fraction) -> str:
    """Nine decimal places, for people; comparisons use the fraction."""
    return f"{round_half_up(share, 9):f}"


def fraction_text(share: Fraction) -> str:
    """`199/200`, reduced."""
    return f"{share.numerator}/{share.denominator}"


def ordered(one: Number | None, other: Number | None) -> tuple[Number | None, Number | None]:
    """The lower first; as they are where one of them is open."""
    return (other, one) if one is not None and other is not None and other < one else (one, other)
