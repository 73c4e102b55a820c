"""What passing k random samples proves, in integers.

Samples are drawn with replacement and uniformly from `cells`. With w wrong cells, of which each passes a check with
probability at most q, all k samples pass with probability ((cells - w + w q) / cells)^k. The claim is the largest w for
which that still exceeds the doubt: with confidence 1 - doubt, no more cells than that were wrong.
"""

from fractions import Fraction

from weighbridge.challenge.codec import LARGEST_INTEGER

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


def written(bound: int) -> int:
    """The bound as records can hold it: less than was shown is shown too."""
    return min(bound, LARGEST_INTEGER)


def multiply_add_rate(size: int, cells_done: int, elapsed_ns: int) -> int:
    """FLOP/s, rounded down: each cell is a row of `size` entries of `size` multiply-adds."""
    return written(2 * size * size * cells_done * NANOSECONDS // elapsed_ns)


def byte_rate(bytes_read: int, elapsed_ns: int) -> int:
    """Bytes per second, rounded down."""
    return written(bytes_read * NANOSECONDS // elapsed_ns)


def remade_blocks(block_flops: int, ceiling_flops_per_second: int, elapsed_ns: int) -> int:
    """Blocks that a prover at its class's ceiling can multiply anew in the time, rounded up.

    A pass answers for a block that was read or that was remade; nobody can tell which, so that many count as not read.
    """
    return ceiling_flops_per_second * elapsed_ns // (block_flops * NANOSECONDS) + 1


def read_bytes(block_bytes: int, cells_done: int, remade: int, cached_bytes: int) -> int:
    """Bytes that must have been read from where the policy says, and not remade or found in a cache of that size."""
    return max(0, block_bytes * (cells_done - remade) - cached_bytes)


def resident_blocks(cells_done: int, passes: int, remade: int) -> int:
    """Blocks that lay in memory together during at least one pass, rounded down: the average over the passes."""
    return max(0, cells_done - remade) // passes
