"""Operand profiles: integers that the named hardware path multiplies and adds without rounding.

Exactness. With every partial sum an integer below 2^24 in magnitude, float32 accumulation rounds nothing, in any
order. Signs are random, so sums concentrate: for n products a*b bounded by M with variance V, Bernstein's inequality
gives P(|sum| >= t) <= 2 exp(-E), E = t^2 / (2 (n V + M t / 3)). `exactness_exponent` is E for t = 2^24 as an exact
fraction; sizes are allowed while E leaves room for a union over every partial sum of a whole challenge.
The i8 path accumulates in int32, where even the worst case (2^14 n) is exact; E matters for the float32 verifier alone.
"""

from dataclasses import dataclass
from fractions import Fraction

SIZE_STEP = 128
LARGEST_SIZE = 32768
SMALLEST_EXPONENT = 128
"""In nats. A union over 2^54 partial sums (n = 32768, R = 512) costs 38 of them; e^-90 < 10^-39 is left."""


@dataclass(frozen=True, slots=True)
class Profile:
    """How keystream bytes become operands. `a_bits`, `b_bits`: bits of keystream per entry."""

    name: str
    a_bits: int
    b_bits: int
    largest_a: int
    largest_b: int
    mean_square_a: Fraction
    mean_square_b: Fraction

    def a_row_bytes(self, size: int) -> int:
        """Keystream bytes of one row of A."""
        return size * self.a_bits // 8

    def b_row_bytes(self, size: int) -> int:
        """Keystream bytes of one row of B."""
        return size * self.b_bits // 8

    def largest_entry(self, size: int) -> int:
        """No entry of a product of this size is larger in magnitude, whatever the keys."""
        return size * self.largest_a * self.largest_b

    def exactness_exponent(self, size: int) -> Fraction:
        """E of the module's text: a partial sum reaches 2^24 with probability at most 2 exp(-E)."""
        threshold = 1 << 24
        variance = size * self.mean_square_a * self.mean_square_b
        step = self.largest_a * self.largest_b
        return Fraction(threshold * threshold) / (2 * (variance + Fraction(step * threshold, 3)))


F16 = Profile(
    name="f16",
    a_bits=16,
    b_bits=4,
    largest_a=2047,
    largest_b=8,
    mean_square_a=Fraction(2047 * 4095, 6),
    mean_square_b=Fraction(43, 2),
)
"""A: bit 15 the sign, bits 0 to 10 the magnitude (exact in fp16). B: 4-bit two's complement, low nibble first."""

I8 = Profile(
    name="i8",
    a_bits=8,
    b_bits=8,
    largest_a=128,
    largest_b=128,
    mean_square_a=Fraction(10923, 2),
    mean_square_b=Fraction(10923, 2),
)
"""Both operands: one byte, two's complement."""

PROFILES = {profile.name: profile for profile in (F16, I8)}


def size_is_exact(profile: Profile, size: int) -> bool:
    """Whole keystream blocks per row, no larger than measured, and inside the bound above."""
    aligned = size % SIZE_STEP == 0 and SIZE_STEP <= size <= LARGEST_SIZE
    return aligned and profile.exactness_exponent(size) >= SMALLEST_EXPONENT
