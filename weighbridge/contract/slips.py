"""What somebody who writes a contract cannot have meant: refused where it is agreed on, and kept where a log holds it.

Each says what is wrong and, where it can be told, what was meant.
"""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Protocol

from weighbridge.catalogue.currencies import currencies
from weighbridge.contract.model import Contract
from weighbridge.contract.money import (
    ClockHour,
    CreditTerms,
    Judged,
    LinearShortfall,
    MaintenanceCount,
    PerEvent,
    RepairSteps,
    Tiers,
)
from weighbridge.contract.numerals import exact_text

Problems = Iterator[tuple[str, str]]

HOUR_S = 3600

EARLY_EXIT = "early_exit"
"""The name of the line for the fee of leaving early."""

OTHER_NAMES = {"RMB": "CNY", "CNH": "CNY"}
"""Codes in use that the standard does not have, and the one that is meant."""


def slips(contract: Contract) -> Problems:
    """(path, reason) for each."""
    yield from _of_currency(contract)
    yield from _of_ids(contract)
    yield from _of_shares(contract)
    yield from _of_damages(contract)
    yield from _of_exits(contract)
    yield from _of_longer_service(contract)
    for position, price in enumerate(contract.pricing):
        if price.unit == "kW_month" and price.quantity is None:
            yield (
                f"pricing[{position}].quantity",
                "is required: no contract says how many kW it has",
            )
    for position, credit in enumerate(contract.credits):
        for below, reason in _of_credit(contract, credit):
            yield f"credits[{position}].{below}", reason


def _of_currency(contract: Contract) -> Problems:
    code, known = contract.currency, currencies()
    if code not in known:
        meant = OTHER_NAMES.get(code)
        hint = "" if meant is None else f"; did you mean {meant}?"
        yield "currency", f"`{code}` is no code of ISO 4217 ({known.published}){hint}"


def _of_ids(contract: Contract) -> Problems:
    """An event names a batch, and a line of a statement its credit or damages, by the id alone."""
    batches = {
        f"resources[{number}].delivery[{place}]": batch.id
        for number, item in enumerate(contract.resources)
        for place, batch in enumerate(item.delivery)
    }
    objectives = _named("availability", contract.availability)
    credits = {"term.early_exit": EARLY_EXIT} | _named("credits", contract.credits)
    yield from _twice(batches)
    yield from _twice(objectives | _named("performance", contract.performance))
    credits |= _named("longer_service", contract.longer_service)
    yield from _twice(credits | _named("liquidated_damages", contract.liquidated_damages))


class _Named(Protocol):
    @property
    def id(self) -> str: ...


def _named(path: str, parts: Sequence[_Named]) -> dict[str, str]:
    return {f"{path}[{number}]": part.id for number, part in enumerate(parts)}


def _twice(names: Mapping[str, str]) -> Problems:
    """By the place of each name: one problem for each name that was used before."""
    seen: dict[str, str] = {}
    for path, name in names.items():
        before = seen.setdefault(name, path)
        if before != path:
            yield f"{path}.id", f"`{name}` is the name of {before} already"


def _of_shares(contract: Contract) -> Problems:
    """Fractions of one that are written as per cent."""
    yield from _whole("tax.rate", contract.tax.rate)
    for position, price in enumerate(contract.pricing):
        if price.tax is not None:
            yield from _whole(f"pricing[{position}].tax.rate", price.tax.rate)
    for position, one in enumerate(contract.liquidated_damages):
        yield from _whole(f"liquidated_damages[{position}].daily_rate", one.daily_rate)
        yield from _whole(f"liquidated_damages[{position}].yearly_rate", one.yearly_rate)
    for position, credit in enumerate(contract.credits):
        if isinstance(credit, MaintenanceCount):
            yield from _whole(f"credits[{position}].fraction_per_hour", credit.fraction_per_hour)


def _of_damages(contract: Contract) -> Problems:
    """Damages of what is never late, and of fees that no price gives."""
    for position, one in enumerate(contract.liquidated_damages):
        path = f"liquidated_damages[{position}]"
        if one.trigger == "late_payment" and contract.payment is None:
            yield f"{path}.trigger", "payment does not say when fees are due; give payment.due_days"
        if one.trigger == "cancellation" and one.rate_of_day:
            yield f"{path}.daily_rate", "nothing is late in a cancellation; did you mean flat_pct?"
        if one.base.endswith("_fees") and not contract.pricing:
            yield f"{path}.base", f"there is no price to reckon {one.base} from"


def _of_exits(contract: Contract) -> Problems:
    """Rights whose worth no price gives, or that no batch could ever give."""
    for position, one in enumerate(contract.exit_rights):
        path = f"exit_rights[{position}]"
        if one.base.endswith("_fees") and not contract.pricing:
            yield f"{path}.base", f"there is no price to reckon {one.base} from"
        if one.trigger == "late_delivery" and not any(item.delivery for item in contract.resources):
            yield f"{path}.trigger", "no resource has a delivery that could be late"


def _of_longer_service(contract: Contract) -> Problems:
    """The time of several units together is the term of none."""
    pooled = {promise.id for promise in contract.availability if promise.scope == "pooled"}
    for position, one in enumerate(contract.longer_service):
        if one.objective in pooled:
            yield (
                f"longer_service[{position}].objective",
                f"`{one.objective}` pools the time of its units: whose term is longer? Name one of scope per_unit",
            )


def _whole(path: str, share: Fraction) -> Problems:
    if share < 1:
        return
    meant = share
    while meant >= 1:
        meant /= 100
    yield (
        path,
        f"{exact_text(share)} is {exact_text(share * 100)} %; did you mean {exact_text(meant)}?",
    )


def _of_credit(contract: Contract, credit: CreditTerms) -> Problems:
    if credit.expiry_days is not None and credit.expiry_months is not None:
        yield "expiry_months", "is given beside expiry_days: one of them is meant"
    if isinstance(credit, Judged | RepairSteps):
        yield from _of_base(contract, credit)
    elif credit.cap.pct is not None and not credit.needs_base:
        yield (
            "cap.pct",
            "is a share of no fee: the credit has a price of its own; cap it by an amount",
        )
    if isinstance(credit, LinearShortfall):
        yield from _of_threshold(contract, credit)
    if isinstance(credit, Tiers):
        yield from _of_rounding(contract, credit)
    yield from _never_paid(credit)


def _never_paid(credit: CreditTerms) -> Problems:
    """Credits of which no outage fulfils the terms."""
    match credit:
        case PerEvent(longer_than_s=None, more_than_events=None):
            yield "longer_than_s", "or more_than_events is required: nothing would ever be paid"
        case PerEvent(longer_than_s=None, each=True):
            yield "each", "pays each outage that is long enough, and longer_than_s is not said"
        case ClockHour() if credit.threshold_s >= HOUR_S + (credit.op == ">="):
            yield "threshold_s", "is more than an hour has: nothing would ever be paid"
        case _:
            pass


def _of_base(contract: Contract, credit: Judged | RepairSteps) -> Problems:
    """A fee that no price gives is nothing, and so would be the credit, or what a cap leaves of it."""
    if credit.base.amount is not None or not (credit.needs_base or credit.cap.pct is not None):
        return
    path = "base" if credit.needs_base else "cap.pct"
    name = _line_item(contract, credit)
    paid = [
        price
        for price in contract.pricing
        if None in (name, price.resource) or price.resource == name
    ]
    if contract.pricing and not paid:
        yield path, f"no price is of `{name}`, which its objective is about"
    elif not contract.pricing and not credit.needs_base:
        yield path, "there is no amount, and no price to reckon it from"


def _line_item(contract: Contract, credit: Judged | RepairSteps) -> str | None:
    """Whose fee is the base, where it is that of one line item."""
    if credit.base.of == "contract" or not isinstance(credit, Judged):
        return None
    promises = {promise.id: promise for promise in contract.availability}
    promise = promises.get(credit.objective)
    return None if promise is None else promise.resource


def _of_threshold(contract: Contract, credit: LinearShortfall) -> Problems:
    targets = _targets(contract)
    target = targets.get(credit.objective)
    if credit.threshold is not None and target is not None and credit.threshold < target:
        yield (
            "threshold",
            f"lies below the target {exact_text(target)}: between them the objective is missed and nothing is owed",
        )


def _targets(contract: Contract) -> Mapping[str, Fraction]:
    promised = {promise.id: promise.target for promise in contract.availability}
    return promised | {promise.id: promise.target for promise in contract.performance}


def _of_rounding(contract: Contract, credit: Tiers) -> Problems:
    """A share is compared once, with the target and with every row."""
    own = [
        one
        for one in contract.credits
        if isinstance(one, Judged) and one.objective == credit.objective
    ]
    first = next(one for one in own if isinstance(one, Tiers))
    if credit.round_share != first.round_share:
        yield "round_share", f"`{first.id}` of the same objective compares another share"
