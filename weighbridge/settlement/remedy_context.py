"""What remedies that follow events are reckoned from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from weighbridge.contract import Contract, Policy
from weighbridge.settlement.credits import Earned
from weighbridge.settlement.fees import Fees
from weighbridge.settlement.intervals import Interval
from weighbridge.settlement.periods import Period, served_part_s
from weighbridge.settlement.record import Record, Side, ToldEvent


@dataclass(frozen=True)
class RemedyContext:
    """A period of a contract, and what is known of it.

    `service`: the time of service. `known_until_s`: the instant as of which is asked, or the cut-off where that came
    first. `held`: what time is that the contract holds; where it is down, what one side alone says is so, and else not.
    `spent`: what the parts before gave by credit and unit.
    """

    contract: Contract
    record: Record
    period: Period
    units: Mapping[str, Sequence[str]]
    fees: Fees
    service: Interval
    known_until_s: int
    spent: Mapping[tuple[str, str], Fraction]
    held: Policy

    @property
    def served(self) -> Interval:
        return served_part_s(self.period, self.service)

    def believes(self, event: ToldEvent, payer: Side) -> bool:
        """Whether an event counts against the side that pays for it."""
        return self.held == "down" or payer in event.sides

    def doubted(self, event: ToldEvent, payer: Side, earned: Earned) -> Earned:
        """What an event earns, with a flag if the side that pays has not said so."""
        if payer in event.sides or not earned.exact:
            return earned
        return replace(earned, flags=(*earned.flags, "said_by_one_side"))

    def holds(self, instant_s: int) -> bool:
        """Whether an instant lies in the period."""
        return self.period.start_s <= instant_s < self.period.end_s
