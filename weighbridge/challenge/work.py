"""How long an exchange takes at the rate that is asked for: long enough that no delay between the sides decides it."""

from dataclasses import replace
from fractions import Fraction
from math import ceil

from weighbridge.challenge.policy import Policy, PolicyError

LEAST_WORK_MS = 10_000
LEAST_ALLOWANCES = 3
"""A challenge is as many allowances long, or a stall could pass for slowness, and slowness for a stall."""
MOST_ROUNDS = 1 << 16
LEAST_DEADLINE_MS = 60_000
SLOWER_THAN_ASKED, SLOWER_THAN_CEILING = 3, 6
"""So many times slower than the rate asked for a card still answers in time; than the ceiling, where none is asked for:
an honest program reaches a fourth of it on some cards, and two thirds of that where power is short."""
MARGIN_US = 1_000_000
"""Clocks that are synchronized differ by less, and NVML's means reach back no further. One of which the kernel does not
say so gets twice as much, if the collector sees it no further off.
"""


def rounds_of(size: int, flops_per_second: int, seconds: int) -> int:
    """Rounds that take so long at that rate. Raises PolicyError where there is no rate, or they are too many."""
    if flops_per_second == 0:
        raise PolicyError("rounds: needed where neither a rate is asked for nor a ceiling known")
    rounds = -(-flops_per_second * seconds // (2 * size**3))
    if rounds > MOST_ROUNDS:
        raise PolicyError(f"size {size}: {seconds} s would be {rounds} rounds; take a larger size")
    return rounds


def longest(policy: Policy, times: int) -> Policy:
    """The policy with so many times its rounds. Raises PolicyError."""
    return replace(policy, rounds=policy.rounds * times)


def work_ms(policy: Policy) -> Fraction | None:
    """What the chain takes at the rate asked for, or else at the ceiling; None where the policy names neither."""
    rate = policy.required_flops_per_second or policy.ceiling_flops_per_second
    return Fraction(2000 * policy.size**3 * policy.rounds, rate) if rate > 0 else None


def patient(policy: Policy, times: int) -> Policy:
    """The policy with a deadline in which a card that is far too slow still answers, at so many times its rounds."""
    slower = SLOWER_THAN_ASKED if policy.required_flops_per_second > 0 else SLOWER_THAN_CEILING
    needed = ceil(slower * times * (work_ms(policy) or 0))
    return replace(policy, deadline_ms=max(LEAST_DEADLINE_MS, needed))


def require_work(policy: Policy) -> None:
    """Raises PolicyError where the chain is shorter than 10 s or three allowances, whichever is more.

    Also where it is longer than the deadline: who is exactly as fast as is asked for would not be in time.
    """
    work = work_ms(policy)
    if work is not None and work > policy.deadline_ms:
        raise PolicyError(
            f"deadline_ms {policy.deadline_ms}: {float(work):.0f} ms of products at the rate asked for"
        )
    least = max(LEAST_WORK_MS, LEAST_ALLOWANCES * policy.stall_allowance_ms)
    if work is not None and work < least:
        raise PolicyError(
            f"rounds {policy.rounds}: {float(work):.0f} ms of products at the rate asked for; {least} ms are needed,"
            f" which is 10 s or {LEAST_ALLOWANCES} times the allowance of {policy.stall_allowance_ms} ms"
        )


def is_seen(policy: Policy, interval_us: int) -> bool:
    """Whether a sample each interval cannot miss the chain: it lies well inside, wherever it falls."""
    work = work_ms(policy)
    return work is None or 1000 * work >= interval_us + 2 * MARGIN_US
