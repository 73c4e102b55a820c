"""Drives a challenger over a transport for tests, which may block."""

from collections.abc import Callable
from typing import Protocol

from weighbridge.challenge.challenger import Challenger
from weighbridge.challenge.verdict import AttemptResult


class Transport(Protocol):
    """Carries one message there and its signed answer back."""

    def exchange(self, message: bytes, patience_ms: int) -> bytes | None:
        """The envelope that answers; None after `patience_ms` without one."""
        ...


def conduct(
    challenger: Challenger, transport: Transport, clock_ns: Callable[[], int]
) -> AttemptResult:
    """One attempt from first to last. An answer that is none counts as no answer."""
    patience_ms = challenger.plan.policy.deadline_ms
    while not challenger.finished:
        message = challenger.next_message(clock_ns())
        answer = transport.exchange(message, patience_ms)
        if not _taken(challenger, answer, clock_ns()):
            challenger.give_up()
    return challenger.result()


def _taken(challenger: Challenger, answer: bytes | None, now_ns: int) -> bool:
    if answer is None:
        return False
    try:
        challenger.receive(answer, now_ns)
    except ValueError:
        return False
    return True
