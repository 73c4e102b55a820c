"""What passing k random samples proves, in integers.

Samples are drawn with replacement and uniformly from `cells`. With w wrong cells, of which each passes a check with
probability at most q, all k samples pass with probability ((cells - w + w q) / cells)^k. The claim is the largest w for
which that still exceeds the doubt: with confidence 1 - doubt, no more cells than that were wrong.
"""

from fractions import Fraction

NANOSECONDS = 1_000_000_000
RECOMPUTED_MISS = Fraction(1, 1 << 64)
"""A 64-bit digest of a row that was never computed."""


def undetected(cells: int, wrong: int, samples: int, miss: Fraction) -> Fraction:
    """The probability that `wrong` wrong cells leave every sample passing."""
    return ((cells - wrong + wrong * miss) / Fraction(cells)) ** samples


def wrong_cells_bound(cells: int, samples: int, doubt: Fraction, miss: Fraction) -> int:
    """The largest number of wrong cells that passes unseen with a probability above `doubt`."""
    low, high = 0, cells
    while low < high:
        middle = (low + high + 1) // 2
        if undetected(cells, middle, samples, miss) > doubt:
            low = middle
        else:
            high = middle - 1
    return low


def multiply_add_rate(size: int, cells_done: int, elapsed_ns: int) -> int:
    """FLOP/s, rounded down: each cell is a row of `size` entries of `size` multiply-adds."""
    return 2 * size * size * cells_done * NANOSECONDS // elapsed_ns


def byte_rate(bytes_read: int, elapsed_ns: int) -> int:
    """Bytes per second, rounded down."""
    return bytes_read * NANOSECONDS // elapsed_ns


def resident_blocks(
    cells_done: int, passes: int, block_flops: int, ceiling_flops_per_second: int, elapsed_ns: int
) -> int:
    """Blocks that lay in memory together during at least one pass, rounded down.

    A pass answers for a block that is stored or remade by multiplying. Even a prover that did nothing else for the
    whole time at its class's ceiling could remake only so many; the rest, averaged over the passes, was stored.
    """
    remade = ceiling_flops_per_second * elapsed_ns // (block_flops * NANOSECONDS) + 1
    return max(0, cells_done - remade) // passes
