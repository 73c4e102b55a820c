"""The whole contract."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, model_validator

from weighbridge.catalogue.currencies import currencies
from weighbridge.contract.calendars import CHINA, IN_CHINA, WEEKDAYS
from weighbridge.contract.evidence import EvidenceTerms
from weighbridge.contract.exclusions import Exclusions, LocalHours, Maintenance
from weighbridge.contract.money import (
    ClaimTerms,
    Confirmation,
    Credit,
    Rounding,
    Stacking,
)
from weighbridge.contract.objectives import Availability, PeriodKind, Sampling, Unknown
from weighbridge.contract.parties import HumanText, Links, Party, Signature, Tax, Term
from weighbridge.contract.pricing import Billing, Price
from weighbridge.contract.quality import Acceptance, CapacityFloor, Performance, Repair, Response
from weighbridge.contract.remedies import (
    Deposit,
    ExitRight,
    LiquidatedDamages,
    LongerService,
    Payment,
)
from weighbridge.contract.resources import Resource
from weighbridge.contract.scalars import (
    Calendar,
    Count,
    Currency,
    Instant,
    Maybe,
    Name,
    Switch,
    Text,
    Zone,
)
from weighbridge.contract.terms import Terms, clause, describes, key, part


def _each(value: Any) -> Any:
    """One mapping is a list of one, and `none` is an empty list."""
    if isinstance(value, dict | LocalHours):
        return (value,)
    return () if value in (None, "none") else value


WorkingHours = Annotated[tuple[LocalHours, ...], BeforeValidator(_each)]


def _calendar_of(data: dict[str, Any]) -> str | None:
    return CHINA if data.get("time_zone") in IN_CHINA else None


class Contract(Terms):
    """A signed, immutable, versioned document. After loading every switch has a value."""

    contract_id: Name = clause("Identity, the same for all versions.")
    version: Count = clause("Rises with every amendment.", default=1)
    supersedes: Maybe[Count] = clause(
        "The version that this one replaces.", reader=part("judge"), default=None
    )
    effective_us: Instant = key("effective", "From when this version holds.")
    parties: tuple[Party, ...] = clause("The parties; at least a provider and a lessee.")
    term: Term = clause("When the contract holds.")
    time_zone: Zone = clause("IANA name: borders of periods and deadlines. No default.")
    currency: Currency = clause("ISO 4217 code of all money. No default.")
    tax: Tax = clause("Tax on the prices.", default=Tax())
    precedence: tuple[Text, ...] = clause(
        "Which text wins, first to last.",
        reader=describes("which text wins is for people to say"),
        default=("contract",),
    )
    human_text: Maybe[HumanText] = clause(
        "The document that people signed.", reader=describes("see there"), default=None
    )
    signatures: tuple[Signature, ...] = clause(
        "Signatures of the parties.", reader=part("loading"), default=()
    )
    resources: tuple[Resource, ...] = clause("The line items: what is leased.")
    availability: tuple[Availability, ...] = clause("Availability objectives.", default=())
    unknown: Unknown = clause("Who bears time that nobody saw. No default.")
    exclusions: Exclusions = clause("Time that does not count.", default=Exclusions())
    maintenance: Maybe[Maintenance] = clause(
        "Planned work; none: it is ordinary downtime.", default=None
    )
    performance: tuple[Performance, ...] = clause("Performance objectives.", default=())
    response: tuple[Response, ...] = clause("Response objectives.", default=())
    repair: tuple[Repair, ...] = clause("Repair objectives.", default=())
    working_calendar: Maybe[Calendar] = clause(
        "Which days are working days: `CN`, by the State Council, weekend days that it has worked among them; `DE`,"
        " `US-CA` and the like, less public holidays; `weekdays`, Monday to Friday whatever else they are. By default"
        " `CN` where time_zone lies in mainland China; elsewhere whatever counts working days or hours needs it.",
        default_factory=_calendar_of,
    )
    working_hours: WorkingHours = clause(
        "Hours in which the clocks of calendar working_hours run; one, or several a day. Those that name days do not"
        " run on a day that the calendar has off; those of any of Monday to Friday run on a weekend day that it has"
        " worked.",
        default=(),
    )
    capacity_floor: Maybe[CapacityFloor] = clause("Least healthy capacity.", default=None)
    acceptance: Acceptance = clause("How delivery is accepted.", default=Acceptance())
    pricing: tuple[Price, ...] = clause("Prices.", default=())
    billing: Billing = clause("Over which periods bills run.", default=Billing())
    pay_only_healthy: Switch = clause(
        "Whether time in which a GPU was seen down or degraded is not billed, apart from credits; unknown and"
        " contested time is. Not of fixed_month and kW_month, which are no price of GPUs.",
        default=False,
    )
    credits: tuple[Credit, ...] = clause("Credits that a missed promise earns.", default=())
    stacking: Stacking = clause("What is paid where several credits meet.", default=Stacking())
    rounding: Rounding = clause("How fractions become money.", default=Rounding())
    claim: ClaimTerms = clause("How credits are asked for.", default=ClaimTerms())
    confirmation: Confirmation = clause(
        "Whether silence confirms a statement.", default=Confirmation()
    )
    liquidated_damages: tuple[LiquidatedDamages, ...] = clause(
        "Damages fixed beforehand.", default=()
    )
    longer_service: tuple[LongerService, ...] = clause(
        "Lost time that makes the term longer.", default=()
    )
    payment: Maybe[Payment] = clause(
        "When fees are to be paid; none: nothing is late.", default=None
    )
    deposit: Maybe[Deposit] = clause("Deposit of the lessee.", default=None)
    exit_rights: tuple[ExitRight, ...] = clause("Rights to end the contract.", default=())
    amendments: Literal["per_part", "whole_period"] = clause(
        "How a period that crosses an amendment is judged.", default="per_part"
    )
    evidence: EvidenceTerms = clause("Whose records and clocks count.", default=EvidenceTerms())
    sampling: Sampling = clause("How often the cards are read.", default=Sampling())
    links: Links = clause(
        "Sub-leases and other contracts between the parties.", reader=part("audit"), default=Links()
    )

    @model_validator(mode="before")
    @classmethod
    def _decimals_of_the_currency(cls, given: Any) -> Any:
        """What rounding leaves out is the currency's own."""
        if not isinstance(given, dict):
            return given
        rounding, currency = given.get("rounding", {}), given.get("currency")
        if (
            not isinstance(rounding, dict)
            or "decimals" in rounding
            or not isinstance(currency, str)
        ):
            return given
        return given | {"rounding": rounding | {"decimals": currencies().decimals_of(currency)}}

    @property
    def billed_by(self) -> PeriodKind:
        """The periods of its bills; where it does not name them, contract months where objectives name these alone."""
        if self.billing.period is not None:
            return self.billing.period
        kinds = {promise.period for promise in self.availability}
        alone = "contract_month" in kinds and "calendar_month" not in kinds
        return "contract_month" if alone else "calendar_month"

    def joins(self, kind: PeriodKind | None) -> bool:
        """Whether incomplete periods of a kind, at the ends of the term, are parts of those beside them."""
        return kind == self.billed_by and self.billing.odd_part == "joined"

    def judged_over(self, promise: Availability) -> PeriodKind:
        """The kind of period whose statements judge an objective, and no others."""
        return self.billed_by if promise.period == "rolling" else promise.period

    @property
    def statements_over(self) -> tuple[PeriodKind, ...]:
        """The kinds of period whose statements judge something, the months of the bills first."""
        kinds = map(self.judged_over, self.availability)
        return tuple(dict.fromkeys((self.billed_by, *kinds)))

    def bills_by(self, kind: PeriodKind | None) -> bool:
        """Whether a statement over such a period pays what has no period of its own: for probes, repairs and events.

        None: a period that no label names. Where no objective names a period, whichever is asked for.
        """
        named = any(promise.period != "rolling" for promise in self.availability)
        return kind is None or not named or kind == self.billed_by

    @property
    def calendar(self) -> str:
        """By which working days are counted; what was agreed before one could be named counts Monday to Friday."""
        return self.working_calendar or WEEKDAYS

    def counts_capacity_of(self, resource: str) -> Availability | None:
        """The objective whose units carry the capacity of a line item: of its nodes or GPUs alone, over a period."""
        only = len(self.resources) == 1
        for promise in self.availability:
            its_own = promise.resource == resource or (promise.resource is None and only)
            if its_own and promise.unit in ("gpu", "node") and promise.window_s is None:
                return promise
        return None
