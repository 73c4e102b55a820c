"""What remedies that follow events are reckoned from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from weighbridge.contract import Contract, Policy
from weighbridge.settlement.fees import Fees
from weighbridge.settlement.periods import Period
from weighbridge.settlement.record import Record


@dataclass(frozen=True)
class Occasion:
    """A period of a contract, and what is known of it.

    `held`: what time is that the contract holds. `spent`: what the parts before gave by credit and unit.
    """

    contract: Contract
    record: Record
    period: Period
    units: Mapping[str, Sequence[str]]
    fees: Fees
    as_of_s: int
    spent: Mapping[tuple[str, str], Fraction]
    held: Policy

    def holds(self, instant_s: int) -> bool:
        """Whether an instant lies in the period."""
        return self.period.start_s <= instant_s < self.period.end_s
