"""Which statement of a period silence confirms, by `confirmation` of its contract."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, NamedTuple

from weighbridge.codes import Note, note
from weighbridge.contract import Contract
from weighbridge.contract.local_days import day_start, local_date
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.log.entries import Issued
from weighbridge.settlement.periods import instant_text
from weighbridge.settlement.working_days import days_later


class Objection(NamedTuple):
    """Against the statement of this digest; empty: against all that were issued by then."""

    received_us: int
    party: str
    digest: str


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Of an issued statement: confirmed at the end of the days of silence, waiting for that, or held by a word."""

    standing: Literal["confirmed", "waiting", "objected"]
    issued: Issued
    at_us: int
    party: str = ""

    def told(self) -> Note:
        at = instant_text(self.at_us // MICROSECONDS)
        more = {"party": self.party} if self.party else {}
        match self.standing:
            case "confirmed":
                return note("silence_confirmed", digest=self.issued.digest, at=at)
            case "waiting":
                return note("silence_confirms", digest=self.issued.digest, at=at)
            case "objected":
                return note("silence_broken", digest=self.issued.digest, at=at, **more)


def confirmed(
    contract: Contract,
    issued: Sequence[tuple[int, Issued]],
    objections: Sequence[Objection],
    as_of_us: int,
) -> Confirmed | None:
    """`issued`: after the period was over, each with when it was received, in order. The first that silence confirms,
    else what became of the last."""
    found: Confirmed | None = None
    for number, (received_us, one) in enumerate(issued):
        end_us = _end_us(contract, received_us)
        if end_us is None:
            continue
        said = [
            word
            for word in objections
            if received_us <= word.received_us < end_us and word.digest in ("", one.digest)
        ]
        if said:
            found = Confirmed("objected", one, said[0].received_us, said[0].party)
        elif _replaced(one, end_us, issued[number + 1 :]):
            found = None
        elif end_us <= as_of_us:
            return Confirmed("confirmed", one, end_us)
        else:
            found = Confirmed("waiting", one, end_us)
    return found


def _end_us(contract: Contract, received_us: int) -> int | None:
    """Of the last local day of silence, that of the issue not counted; None: silence confirms nothing."""
    terms, zone = contract.confirmation, contract.time_zone
    if terms.silence_days is None:
        return None
    calendar = contract.calendar if terms.day_count == "working_days" else None
    last = days_later(calendar, local_date(received_us // MICROSECONDS, zone), terms.silence_days)
    return None if last is None else day_start(last + timedelta(days=1), zone) * MICROSECONDS


def _replaced(one: Issued, end_us: int, later: Sequence[tuple[int, Issued]]) -> bool:
    owed = (one.lowest, one.highest)
    return any(at_us < end_us and (other.lowest, other.highest) != owed for at_us, other in later)
