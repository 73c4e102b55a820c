"""What the parts of a contract must keep among each other."""

from collections.abc import Iterator
from datetime import timedelta
from fractions import Fraction

from weighbridge.catalogue.currencies import DECIMALS, currencies
from weighbridge.contract.calendars import DayKind, day_kind, is_calendar
from weighbridge.contract.condition import REACHABLE, asks_for, gpu_counts
from weighbridge.contract.model import Contract
from weighbridge.contract.money import (
    CapacityDeduction,
    CreditTerms,
    Judged,
    RepairSteps,
    Tiers,
)
from weighbridge.contract.numerals import exact_text
from weighbridge.contract.objectives import Availability, DayCount
from weighbridge.contract.quality import Timed
from weighbridge.contract.resources import nearest, repeated, unknown_cards
from weighbridge.contract.scalars import EPOCH, MICROSECONDS

Problems = Iterator[tuple[str, str]]


def incoherences(contract: Contract) -> Problems:
    """(path, reason) for each."""
    yield from _of_parties(contract)
    yield from _of_versions(contract)
    yield from _of_resources(contract)
    yield from _of_floor(contract)
    yield from _of_objectives(contract)
    yield from _of_prices(contract)
    yield from _of_credits(contract)


def cautions(contract: Contract) -> Iterator[str]:
    """What holds together, and what somebody who signs it should know."""
    yield from unknown_cards(contract.resources)
    for item in contract.resources:
        yield from (f"resources.{item.id}: host.{text}" for text in item.host.unclear())
    yield from (f"evidence.{text}" for text in contract.evidence.lopsided())
    asking = [one for one in contract.availability if asks_for(one.up_when, REACHABLE)]
    for promise in asking if not contract.evidence.witnesses else ():
        yield (
            f"availability.{promise.id}: evidence.witnesses names nobody who says whether a node is reachable; one "
            "whose agent is heard is taken to be"
        )
    yield from _of_unseen_runs(contract)
    yield from _of_unknown_years(contract)
    yield from _of_currency(contract.currency)
    yield from _of_nothing_due(contract)


def _of_nothing_due(contract: Contract) -> Iterator[str]:
    """Damages of batches, where there is none."""
    if any(item.delivery for item in contract.resources):
        return
    for position, one in enumerate(contract.liquidated_damages):
        of_batch = one.trigger in ("late_delivery", "non_delivery")
        if of_batch or (one.trigger == "cancellation" and one.base == "value"):
            meant = "; did you mean base remaining_fees?" if one.trigger == "cancellation" else ""
            yield f"liquidated_damages[{position}]: no resource has a delivery with a value{meant}"


def _of_currency(code: str) -> Iterator[str]:
    known = currencies()
    if code in known.ended:
        yield f"currency: {code} has ended, by ISO 4217 as of {known.published}"
    elif known.decimals.get(code, DECIMALS) is None:
        yield f"currency: ISO 4217 names no decimals of {code}; give rounding.decimals, or {DECIMALS} are taken"


def unfit_challenges(contract: Contract) -> Problems:
    """(path, reason) for each challenge that no node of its line item could answer, by the table of cards as it is."""
    for number, item in enumerate(contract.resources):
        for place, terms in enumerate(item.challenges):
            unfit = terms.unfit(item.card, item.per_node)
            if unfit is not None:
                yield f"resources[{number}].challenges[{place}]", unfit


def _of_unknown_years(contract: Contract) -> Iterator[str]:
    last = EPOCH + timedelta(microseconds=contract.term.end_us - 1)
    known = day_kind(contract.calendar, last.date()) is not DayKind.UNKNOWN
    if any(counts_working_days(contract)) and not known:
        yield (
            f"working_calendar: {contract.calendar} is not known for {last.year} yet; working days of a year that it "
            "does not know are held between none and all"
        )


def unfit_calendars(contract: Contract) -> Problems:
    """(path, reason) where working days are counted, and no calendar says which they are."""
    calendar = contract.working_calendar
    if calendar is None:
        for path in counts_working_days(contract):
            yield path, "needs working_calendar: whose working days are meant"
    elif not is_calendar(calendar):
        yield "working_calendar", f"`{calendar}` is no calendar that is known here"


def counts_working_days(contract: Contract) -> Iterator[str]:
    """Where it does."""
    payment, deposit = contract.payment, contract.deposit
    counted: dict[str, DayCount | None] = {
        "acceptance.deemed_acceptance_count": contract.acceptance.deemed_acceptance_count,
        "payment.due_count": None if payment is None else payment.due_count,
        "deposit.return_count": None if deposit is None else deposit.return_count,
        "confirmation.day_count": contract.confirmation.day_count,
    }
    for position, terms in enumerate(contract.liquidated_damages):
        counted[f"liquidated_damages[{position}].day_count"] = terms.day_count
    for position, longer in enumerate(contract.longer_service):
        counted[f"longer_service[{position}].day_count"] = longer.day_count
    for position, right in enumerate(contract.exit_rights):
        counted[f"exit_rights[{position}].day_count"] = right.day_count
    yield from (path for path, days in counted.items() if days == "working_days")
    if any(hours.days for hours in contract.working_hours):
        yield "working_hours"
    claims = {"claim": contract.claim}
    claims |= {
        f"credits[{position}].claim": credit.claim
        for position, credit in enumerate(contract.credits)
        if credit.claim is not None
    }
    for path, claim in claims.items():
        for name in ("deadline_working_days", "opens_working_day"):
            if getattr(claim, name) is not None:
                yield f"{path}.{name}"


def _of_unseen_runs(contract: Contract) -> Iterator[str]:
    """Who chooses when it samples could leave out such a run, and with it the card that idled meanwhile."""
    for item in contract.resources:
        for place, terms in enumerate(item.challenges):
            if not terms.is_seen(item.card, item.per_node, contract.sampling.interval_us):
                yield (
                    f"resources.{item.id}.challenges[{place}]: shorter than sampling.interval_s and two seconds, "
                    "so that no sample need show whether the card was at work"
                )


def _of_parties(contract: Contract) -> Problems:
    for role in ("provider", "lessee"):
        if role not in [party.role for party in contract.parties]:
            yield "parties", f"no party is the {role}"
    named = {party.id for party in contract.parties}
    for position, leaving in enumerate(contract.term.early_exit):
        if leaving.party not in named:
            yield f"term.early_exit[{position}].party", f"`{leaving.party}` is not a party"
    for position, signature in enumerate(contract.signatures):
        if signature.party not in named:
            yield f"signatures[{position}].party", f"`{signature.party}` is not a party"


def _of_versions(contract: Contract) -> Problems:
    if contract.supersedes is not None and contract.supersedes >= contract.version:
        yield "supersedes", "must be an earlier version"
    if not contract.term.start_us <= contract.effective_us < contract.term.end_us:
        yield "effective", "lies outside the term"


def _of_floor(contract: Contract) -> Problems:
    floor = contract.capacity_floor
    if floor is None:
        return
    if floor.capacity is not None and any(item.capacity is None for item in contract.resources):
        yield "capacity_floor.capacity", "P without a capacity: give each resource P per GPU"
    gpus = sum((item.nodes + item.spare_nodes) * item.per_node for item in contract.resources)
    if floor.gpus is not None and floor.gpus > gpus:
        yield "capacity_floor.gpus", "is more than there are"


def _of_resources(contract: Contract) -> Problems:
    if not contract.resources:
        yield "resources", "nothing is leased"
    yield from repeated("resources", [resource.id for resource in contract.resources])
    seen: set[str] = set()
    for position, resource in enumerate(contract.resources):
        for place, slot in enumerate(resource.slots):
            if slot.uuid is not None and slot.uuid in seen:
                yield (
                    f"resources[{position}].slots[{place}].uuid",
                    "is leased twice in this contract",
                )
            elif slot.uuid is not None:
                seen.add(slot.uuid)


def _of_objectives(contract: Contract) -> Problems:
    yield from repeated("availability", [promise.id for promise in contract.availability])
    for position, promise in enumerate(contract.availability):
        for below, reason in _of_promise(contract, promise):
            yield f"availability[{position}].{below}", reason
    yield from _of_clocks(contract)
    promised = {promise.id for promise in contract.availability}
    judged = set(promised)
    for position, longer in enumerate(contract.longer_service):
        if longer.objective is not None and longer.objective not in judged:
            told = f"`{longer.objective}` is no availability objective"
            meant = nearest(longer.objective, judged)
            yield f"longer_service[{position}].objective", f"{told}{meant}"
    promised |= {promise.id for promise in contract.performance}
    for position, right in enumerate(contract.exit_rights):
        if right.objective is not None and right.objective not in promised:
            meant = nearest(right.objective, promised)
            told = f"`{right.objective}` is not an objective{meant}"
            yield f"exit_rights[{position}].objective", told
        elif right.trigger == "outage" and right.objective not in judged:
            yield f"exit_rights[{position}].objective", "is of probes, which have no outages"


def _of_promise(contract: Contract, promise: Availability) -> Problems:
    yield from _named_resource(contract, "resource", promise.resource)
    if promise.resolution_s() * MICROSECONDS < contract.sampling.interval_us:
        yield "target", "has more digits than the sampling interval can resolve"
    if promise.unit == "nvlink_domain":
        yield from _one_domain(contract, promise)
    if promise.up_when is not None:
        yield from _whole_nodes(contract, "up_when", promise)
    if (
        promise.k is not None
        and promise.unit in ("gpu", "node")
        and promise.k > _units(contract, promise)
    ):
        yield "k", "is more than there are"


def _of_clocks(contract: Contract) -> Problems:
    timed: tuple[tuple[str, tuple[Timed, ...]], ...] = (
        ("response", contract.response),
        ("repair", contract.repair),
    )
    for name, promises in timed:
        for position, clock in enumerate(promises):
            if clock.calendar == "working_hours" and not contract.working_hours:
                yield f"{name}[{position}].calendar", "the contract gives no working_hours"
    yield from repeated("repair", [clock.id for _, group in timed for clock in group])


def _one_domain(contract: Contract, promise: Availability) -> Problems:
    """What is judged as one must be one domain: nothing tells which GPUs of a line item share which."""
    chosen = [item for item in contract.resources if promise.resource in (None, item.id)]
    sizes = [(item.interconnect.nvlink_domain, item.nodes * item.per_node) for item in chosen]
    if len(chosen) > 1 or any(size not in (None, gpus) for size, gpus in sizes):
        yield "unit", "there are several domains: judge nodes, or lease each domain as a line item"


def _whole_nodes(contract: Contract, path: str, promise: Availability) -> Problems:
    chosen = [item for item in contract.resources if promise.resource in (None, item.id)]
    for count in gpu_counts(promise.up_when or ""):
        if any(item.per_node != count for item in chosen):
            yield (
                path,
                f"gpu_count == {count} is not all GPUs of a node; for some of them use k_of_n",
            )


def _units(contract: Contract, promise: Availability) -> int:
    chosen = [item for item in contract.resources if promise.resource in (None, item.id)]
    nodes = [item.nodes + item.spare_nodes for item in chosen]
    if promise.unit == "node":
        return sum(nodes)
    return sum(item.per_node * count for item, count in zip(chosen, nodes, strict=True))


def _named_resource(contract: Contract, path: str, name: str | None) -> Problems:
    if name is not None and name not in [resource.id for resource in contract.resources]:
        yield path, f"`{name}` is not a resource"


def _of_prices(contract: Contract) -> Problems:
    for position, price in enumerate(contract.pricing):
        path = f"pricing[{position}]"
        yield from _named_resource(contract, f"{path}.resource", price.resource)
        chosen = [item for item in contract.resources if price.resource in (None, item.id)]
        if price.unit.startswith("P_") and any(item.capacity is None for item in chosen):
            yield (
                f"{path}.unit",
                "P without a capacity: give the resource's precision and P per GPU",
            )


def _of_credits(contract: Contract) -> Problems:
    yield from repeated("credits", [credit.id for credit in contract.credits])
    for position, credit in enumerate(contract.credits):
        for below, reason in _of_credit(contract, credit):
            yield f"credits[{position}].{below}", reason


def _of_credit(contract: Contract, credit: CreditTerms) -> Problems:
    targets = {promise.id: promise.target for promise in contract.availability}
    targets |= {promise.id: promise.target for promise in contract.performance}
    if isinstance(credit, Judged):
        if credit.objective not in targets:
            yield "objective", f"`{credit.objective}` is not an objective"
        elif isinstance(credit, Tiers):
            yield from _top_edge(credit, targets[credit.objective])
        yield from _base(contract, credit)
    elif isinstance(credit, RepairSteps):
        timed: tuple[Timed, ...] = (*contract.repair, *contract.response)
        if credit.repair not in [promise.id for promise in timed]:
            yield "repair", f"`{credit.repair}` is not a repair or response objective"
        yield from _base(contract, credit)
    elif isinstance(credit, CapacityDeduction):
        yield from _of_capacity(contract, credit)


def _of_capacity(contract: Contract, credit: CapacityDeduction) -> Problems:
    yield from _named_resource(contract, "resource", credit.resource)
    named = [item for item in contract.resources if item.id == credit.resource]
    if any(item.capacity is None for item in named):
        yield "resource", "P without a capacity: give the resource's precision and P per GPU"
    if named and contract.counts_capacity_of(credit.resource) is None:
        yield "resource", "no objective over a period counts its nodes or GPUs, and no others"


def _base(contract: Contract, credit: Judged | RepairSteps) -> Problems:
    if not credit.needs_base or credit.base.amount is not None:
        return
    if not contract.pricing:
        yield "base", "there is no amount, and no price to reckon it from"
    if credit.base.of == "unit" and len(contract.resources) > 1 and _of_any_unit(contract, credit):
        yield "base", "the objective names no resource, so the fee of a unit is open"


def _of_any_unit(contract: Contract, credit: Judged | RepairSteps) -> bool:
    """Whether it is owed for one unit, of whichever line item."""
    if isinstance(credit, RepairSteps):
        small = [one.id for one in contract.repair if one.unit in ("gpu", "node", "nvlink_domain")]
        return credit.repair in small
    promise = next((item for item in contract.availability if item.id == credit.objective), None)
    return promise is not None and promise.scope == "per_unit" and promise.resource is None


def _top_edge(credit: Tiers, target: Fraction) -> Problems:
    top = max(credit.tiers, key=lambda row: row.upper)
    if credit.on_gap == "flag":
        return
    if top.leaves(target, credit.step):
        yield "tiers", f"nothing is said about {exact_text(top.upper)} to the target"
    if top.upper > target:
        yield "tiers", "a row reaches above the target"
