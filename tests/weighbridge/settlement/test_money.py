from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.contract.money import Mode
from weighbridge.contract.numerals import exact_text
from weighbridge.settlement.money import rounded, share_text

ORACLE: dict[Mode, str] = {
    "half_up": ROUND_HALF_UP,
    "half_even": ROUND_HALF_EVEN,
    "down": ROUND_DOWN,
}
modes = st.sampled_from(sorted(ORACLE))


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=6), st.integers(0, 4), modes)
def test_rounding_agrees_with_the_decimal_module(number: Decimal, places: int, mode: Mode) -> None:
    wanted = number.quantize(Decimal(1).scaleb(-places), ORACLE[mode], Context(prec=60))
    assert rounded(Fraction(number), places, mode) == wanted


@given(st.fractions(min_value=0, max_value=10**6), st.integers(0, 4), modes)
def test_rounding_moves_by_less_than_one_step(number: Fraction, places: int, mode: Mode) -> None:
    found = rounded(number, places, mode)
    step = Fraction(1, 10**places)
    assert abs(Fraction(found) - number) <= (step if mode == "down" else step / 2)
    assert found.as_tuple().exponent == -places


@pytest.mark.parametrize(
    ("amount", "mode", "shown"),
    [
        ("2.345", "half_up", "2.35"),
        ("2.345", "half_even", "2.34"),
        ("33.335", "half_even", "33.34"),
        ("2.349", "down", "2.34"),
        ("0", "half_up", "0.00"),
        ("0.004", "half_up", "0.00"),
    ],
)
def test_amounts_that_binary_floats_get_wrong_round_as_written(
    amount: str, mode: Mode, shown: str
) -> None:
    assert f"{rounded(Fraction(amount), 2, mode):f}" == shown


def test_a_share_is_shown_with_nine_places() -> None:
    assert share_text(Fraction(191, 192)) == "0.994791667"
    assert share_text(Fraction(1)) == "1.000000000"


@given(st.fractions())
def test_exact_text_reads_back_as_the_same_number(number: Fraction) -> None:
    assert Fraction(exact_text(number)) == number
