"""An amount in Chinese words says the amount, in the words of the rule."""

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.documents.amount_in_words import in_words

VALUES = dict(zip("零壹贰叁肆伍陆柒捌玖", range(10), strict=True))
SIZES = {"拾": 10, "佰": 100, "仟": 1000}


def read_back(words: str) -> Decimal:
    """Character by character, as somebody reads it aloud: knows nothing of how it was written."""
    found = re.fullmatch(r"人民币(负?)(?:(.+)元)?(?:(.)角)?(?:零?(.)分)?整?", words)
    assert found is not None, words
    sign, yuan, jiao, fen = found.groups()
    whole = integer(yuan.removesuffix("零") or "零") if yuan else 0
    parts = sum(VALUES[digit] * size for digit, size in ((jiao, 10), (fen, 1)) if digit is not None)
    amount = Decimal(whole) + Decimal(parts) / 100
    return -amount if sign else amount


def integer(words: str) -> int:
    for name, unit in (("亿", 10**8), ("万", 10**4)):
        above, found, rest = words.rpartition(name)
        if found:
            return integer(above) * unit + (integer(rest) if rest else 0)
    total, digit = 0, 0
    for character in words:
        if character in SIZES:
            total, digit = total + digit * SIZES[character], 0
        else:
            digit = VALUES[character]
    return total + digit


@given(st.decimals(min_value=-(10**18), max_value=10**18, places=2) | st.integers(0, 10**9))
def test_what_is_written_reads_back_as_the_same_amount(amount: Decimal | int) -> None:
    words = in_words(str(amount))
    assert read_back(words) == amount
    assert "零零" not in words
    assert not re.search("零[元角万亿拾佰仟]", words.replace("零元整", ""))
    assert words.endswith("分") != words.endswith("整")


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        ("0.00", "零元整"),
        ("0.05", "伍分"),
        ("0.50", "伍角整"),
        ("10", "壹拾元整"),
        ("325.04", "叁佰贰拾伍元零肆分"),
        ("1409.50", "壹仟肆佰零玖元伍角整"),
        ("1680.32", "壹仟陆佰捌拾元叁角贰分"),
        ("6007.14", "陆仟零柒元壹角肆分"),
        ("16409.02", "壹万陆仟肆佰零玖元零贰分"),
        ("107000.53", "壹拾万柒仟元伍角叁分"),
        ("10999", "壹万零玖佰玖拾玖元整"),
        ("11000", "壹万壹仟元整"),
        ("10000001", "壹仟万零壹元整"),
        ("100000000000.00", "壹仟亿元整"),
        ("1000000000001", "壹万亿零壹元整"),
        ("-2800.00", "负贰仟捌佰元整"),
        ("2860.000", "贰仟捌佰陆拾元整"),
    ],
)
def test_zeros_and_ends_are_written_by_the_rule(amount: str, words: str) -> None:
    """The amounts with 角 and 分 from a thousand on are the rule's own examples."""
    assert in_words(amount) == f"人民币{words}"


def test_what_has_less_than_a_fen_in_it_is_not_written() -> None:
    assert in_words("1.005") == ""
