"""The head of a contract: who, from when to when, and which text wins."""

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import ClassVar, Literal

from weighbridge.contract.scalars import (
    Amount,
    Count,
    Day,
    Digest,
    Instant,
    Maybe,
    Name,
    Ratio,
    Switch,
    Text,
    Whole,
)
from weighbridge.contract.terms import Reader, Terms, clause, describes, key, part

Role = Literal["provider", "lessee", "operator", "owner", "guarantor", "auditor"]


class Party(Terms):
    """Somebody named in the contract. Owner and operator are roles of their own: a split between them is seen."""

    id: Name = clause("Name of the party in this contract.")
    name: Text = clause(
        "Legal name; by default the id.", default_factory=lambda data: data.get("id")
    )
    registration: Maybe[Text] = clause("Number in the register of companies.", default=None)
    role: Role = clause("What the party is here; a company with two roles is listed twice.")


class Signature(Terms):
    """A party's signature over the text of the contract without this list."""

    READ_BY: ClassVar[Reader] = describes("kept as signed; whose key it is nobody here knows")

    party: Name = clause("The party that signed.")
    key_id: Text = clause("Id of the key that signed.")
    algorithm: Literal["ed25519"] = clause("Algorithm of the signature.", default="ed25519")
    signature: Text = clause("The signature in hex.")


class EarlyExit(Terms):
    """A right to leave before the end of the term."""

    party: Name = clause("Who may leave.")
    notice_days: Whole = clause("Days of notice.", default=30)
    fee: Amount = clause("Fee for leaving, in the currency of the contract.", default=Decimal(0))


class Term(Terms):
    """When the contract holds: half-open, UTC, integer microseconds."""

    start_us: Instant = key("from", "First instant.")
    end_us: Instant = key(
        "to", "First instant after the end; where months are given, the latest that it can be."
    )
    months: Maybe[Count] = clause(
        "Months from the local day on which service starts (`acceptance.billing_starts`) to the end of service, if that"
        " is before `to`; until it starts there is no service, and nothing to pay. None: the term ends at `to`.",
        default=None,
    )
    renewal: Literal["none", "automatic", "by_agreement"] = clause(
        "How the term goes on after its end.",
        reader=describes("a term that goes on is an amendment"),
        default="none",
    )
    early_exit: tuple[EarlyExit, ...] = clause("Rights to leave early.", default=())

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.end_us <= self.start_us:
            yield "to", "the term ends before it starts"


class Tax(Terms):
    """Tax on the prices."""

    rate: Ratio = clause("Rate as a fraction: 0.06 is six per cent.", default=Fraction(0))
    included: Switch = clause("Whether the prices include it.", default=False)


class HumanText(Terms):
    """The contract that people signed."""

    READ_BY: ClassVar[Reader] = describes("the text of people is theirs to read")

    note: Text = clause("Language, and which text is the original.")
    digest: Maybe[Digest] = clause("SHA-256 of the signed file.", default=None)


class CounterPurchase(Terms):
    """A purchase the other way between the same parties: to be declared, because it can hide a round trip."""

    READ_BY: ClassVar[Reader] = part("audit")

    seller: Name = clause("The party that sells.")
    buyer: Name = clause("The party that buys.")
    subject: Text = clause("What is bought, in words.")
    amount: Amount = clause("Price, in the currency of the contract.")
    on: Day = clause("Day of the purchase.")


class Links(Terms):
    """Other contracts in the chain."""

    READ_BY: ClassVar[Reader] = part("audit")

    parent: Maybe[Name] = clause("The contract that this one sub-leases from.", default=None)
    children: tuple[Name, ...] = clause("Contracts that sub-lease from this one.", default=())
    sublease_allowed: Switch = clause("Whether the lessee may lease on.", default=False)
    related_party: Maybe[Text] = clause("Relation between provider and lessee.", default=None)
    counter_purchases: tuple[CounterPurchase, ...] = clause(
        "Purchases in the other direction.", default=()
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.children and not self.sublease_allowed:
            yield "children", "sub-leases are listed, and sublease_allowed is false"
