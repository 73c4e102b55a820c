"""What one witness says of one node under a contract that promises that the node is reachable, as rows of the ledger.

A sample stands for the time up to the witness's next one, if that comes within the contract's `max_gap`; of the rest
the witness says nothing, and so of the time after a sample in which nothing could be said. How many must say the same
is asked where the rows are settled.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from weighbridge.judge.ledger import (
    BY_WITNESS,
    HOUR_US,
    KEY_REVOKED,
    OVERLAY,
    UNREACHABLE,
    WITNESSED,
    Row,
    State,
)
from weighbridge.judge.track import full_second, hours_us
from weighbridge.log.entries import Reached

QUIET_US = 600_000_000
"""What a witness said last is written down once it was not heard for so long."""


@dataclass(slots=True)
class ReachLine:
    """`witness`, as the contract names it, says since `start_us`, in entries from `entry` on, that it reaches the node,
    does not, or (None) nothing; known up to `last_us`, from `last_entry`.

    `late`: nobody heard of it in time. `received_us` is when it was heard last; `before_us` and `before_entry` are the
    last ones as they were before the second in which it was.
    """

    contract: str
    node: str
    witness: str
    reached: bool | None = None
    late: bool = False
    start_us: int = 0
    entry: int = 0
    last_us: int = 0
    last_entry: int = 0
    received_us: int = 0
    before_us: int | None = None
    before_entry: int | None = None

    @property
    def chain(self) -> str:
        """No agent can give itself such a name."""
        return f"{WITNESSED}@{self.witness}"

    def rows(self, end_us: int, now_us: int, entry: int) -> Iterator[Row]:
        """From the start up to `end_us`, cut at full hours; none where it says nothing."""
        said = (State.UP, "") if self.reached else (State.DOWN, UNREACHABLE)
        place = (self.contract, self.node, BY_WITNESS, self.witness, self.chain)
        for span in hours_us(self.start_us, end_us) if self.reached is not None else ():
            yield Row(*place, *span, *said, now_us, self.entry, entry, self.late)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sample of a witness: whether it reached the node, None where it can not say; when; whether it came too late;
    when and in which entry it came."""

    reached: bool | None
    at_us: int
    late: bool
    received_us: int
    entry: int


def follow(line: ReachLine, seen: Attempt, gap_us: int) -> Iterator[Row]:
    """Take in the next sample. One that does not lie after the last says nothing."""
    if seen.at_us < line.last_us:
        return
    bridged = line.reached is not None and seen.at_us - line.last_us <= gap_us
    if bridged and line.late is not seen.late:
        yield from line.rows(line.last_us, seen.received_us, line.last_entry)
        line.start_us, line.entry, line.late = line.last_us, line.last_entry, seen.late
    end_us, entry = (seen.at_us, seen.entry) if bridged else (line.last_us, line.last_entry)
    goes_on = bridged and line.reached is seen.reached
    if not goes_on or line.start_us // HOUR_US != seen.at_us // HOUR_US:
        yield from line.rows(end_us, seen.received_us, entry)
        line.start_us, line.entry, line.late = seen.at_us, seen.entry, seen.late
    line.reached, line.received_us = seen.reached, seen.received_us
    line.last_us, line.last_entry = seen.at_us, seen.entry


def hear_again(lines: Iterable[ReachLine], received_us: int) -> None:
    """A report of the witness came: what is known before the second in which it did is kept."""
    for line in lines:
        if full_second(received_us) != full_second(line.received_us):
            line.before_us, line.before_entry = line.last_us, line.last_entry
        line.received_us = received_us


def void(told: tuple[str, str, str], span: tuple[int, int], now_us: int, entry: int) -> Row:
    """What was said over this time does not count. `told`: contract, node and witness."""
    contract, node, witness = told
    place = (contract, node, BY_WITNESS, witness, OVERLAY)
    return Row(*place, *span, State.CONTESTED, KEY_REVOKED, now_us, entry, entry)


def flush(line: ReachLine, now_us: int) -> Iterator[Row]:
    """Write what is known now. The line goes on from there."""
    yield from open_rows(line, now_us)
    line.start_us, line.entry = line.last_us, line.last_entry


def open_rows(line: ReachLine, now_us: int) -> Iterator[Row]:
    """What is known and not written yet."""
    return line.rows(line.last_us, now_us, line.last_entry)


def come(line: ReachLine, as_of_us: int) -> Iterator[Reached]:
    """How far it had come by the end of a second, if that can be told."""
    until_us, entry = line.last_us, line.last_entry
    if line.received_us > as_of_us:
        if full_second(line.received_us) != as_of_us or line.before_us is None:
            return
        until_us, entry = line.before_us, line.before_entry or 0
    yield Reached(node=line.node, chain=line.chain, until_us=until_us, entry=entry)
