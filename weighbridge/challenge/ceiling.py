"""What a card cannot exceed: the rate of exact products on the fastest path that carries them, from its data sheet.

The operands of a profile are integers, and whatever multiplies them exactly counts, the intended path or not.

| profile | path | rate |
|---|---|---|
| `f16` | fp16 into fp32 | f16 |
| `f16` | two products of int8: A is 16 h + l, with h of 8 bits and l of 4 | i8 / 2 |
| `f16` | int8 for h, int4 for l | 1 / (1 / i8 + 1 / i4) |
| `i8` | int8 into int32 | i8 |

Two levels of Strassen save 15 of 64 products of blocks where the operands have bits to spare, as in `f16`. In `i8` the
sums of blocks no longer fit. `tests/weighbridge/challenge/test_cheaper_paths.py` tries each with integers.
"""

from fractions import Fraction

from weighbridge.catalogue.tables import Sku

TERA = 10**12
STRASSEN = Fraction(64, 49)
"""Two levels: 49 products of blocks in the place of 64."""
CLOCKS = Fraction(11, 10)
"""A data sheet's rate is for its boost clock, which cards exceed: an H100 SXM by 8 %."""


def ceiling_flops_per_second(card: Sku, profile: str) -> int | None:
    """The ceiling of a profile; None where the card's row has no rates."""
    if card.dense_i8_teraops is None or card.dense_f16_teraops is None:
        return None
    i8 = Fraction(card.dense_i8_teraops)
    if profile == "i8":
        return int(i8 * CLOCKS * TERA)
    paths = [Fraction(card.dense_f16_teraops), i8 / 2]
    if card.dense_i4_teraops is not None:
        paths.append(1 / (1 / i8 + Fraction(1, card.dense_i4_teraops)))
    return int(max(paths) * STRASSEN * CLOCKS * TERA)
