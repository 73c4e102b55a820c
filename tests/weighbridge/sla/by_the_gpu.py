"""What prices give, and what a credit of one unit earns, worked out GPU by GPU and month by month.

It shares nothing with the settlement. Everything is in UTC; an outage lies within the time of service.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

Json = dict[str, Any]
Seconds = tuple[int, int]
Gpu = tuple[str, int, int]
"""Line item, node, place."""

BY_TIME = {"gpu_hour": 3600, "P_day": 86400}
NO_MINIMUM = Fraction(0)


def months_of(label: str) -> Iterator[Seconds]:
    """The month, or the twelve of a year."""
    year = int(label[:4])
    for month in [int(label[5:])] if len(label) > 4 else range(1, 13):
        after = date(year + month // 12, month % 12 + 1, 1)
        yield _second_of(date(year, month, 1)), _second_of(after)


def _second_of(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def gpus_of(items: list[Json]) -> list[Gpu]:
    return [
        (item["id"], node, place)
        for item in items
        for node in range(item["nodes"])
        for place in range(item["per_node"])
    ]


def unit_of(items: list[Json], kind: str, name: str | None) -> set[Gpu]:
    """The GPUs of the first unit of a kind; of all of the line item, or of everything, where there is no kind."""
    held = [gpu for gpu in gpus_of(items) if name in (None, gpu[0])]
    first = {"gpu": (1, 1), "node": (1, 10**6)}.get(kind, (10**6, 10**6))
    return {gpu for gpu in held if gpu[1] < first[0] and gpu[2] < first[1]}


def fee_of(terms: Json, label: str, service: Seconds, whose: set[Gpu]) -> Fraction:
    """What some GPUs cost in a period: of each price and each of its months, the part that falls to them."""
    total = Fraction(0)
    items = {item["id"]: item for item in terms["resources"]}
    for price in terms["pricing"]:
        paid = [gpu for gpu in gpus_of(terms["resources"]) if price["resource"] in (None, gpu[0])]
        every = sum((weight(price, items[gpu[0]]) for gpu in paid), Fraction(0))
        mine = sum((weight(price, items[gpu[0]]) for gpu in paid if gpu in whose), Fraction(0))
        contracted = Fraction(1) if price["unit"] in ("fixed_month", "kW_month") else every
        for month in months_of(label):
            served = max(0, min(month[1], service[1]) - max(month[0], service[0]))
            least = Fraction(price["minimum"]) if served else NO_MINIMUM
            amount, taken = month_of(price, month, service, contracted)
            total += max(amount, least, taken) * mine / every
    return total


def month_of(
    price: Json, month: Seconds, service: Seconds, contracted: Fraction
) -> tuple[Fraction, Fraction]:
    """What a month costs, and what its least quantity does: of each stretch between days with other terms."""
    amount = quantity = taken = Fraction(0)
    for stretch, terms in stretches_of(price, month):
        lasts = (max(stretch[0], service[0]), min(stretch[1], service[1]))
        if lasts[0] >= lasts[1]:
            continue
        length = Fraction(stretch[1] - stretch[0], month[1] - month[0])
        time = time_of(price, month, lasts, lasts[1] - lasts[0])
        time *= length if price["proration"] == "none" and price["unit"] not in BY_TIME else 1
        number = contracted if terms["quantity"] is None else Fraction(terms["quantity"])
        amount += Fraction(terms["price"]) * number * time
        quantity += number * time
        if price["minimum_quantity"] is not None:
            taken += up_the_steps(terms, Fraction(price["minimum_quantity"])) * length
    return up_the_steps(price, quantity) if price["steps"] else amount, taken


def stretches_of(price: Json, month: Seconds) -> Iterator[tuple[Seconds, Json]]:
    """Of a month, with the price as it is in each."""
    since, terms = month[0], price
    for row in price["schedule"]:
        day = _second_of(date.fromisoformat(row["from"]))
        if day > since:
            yield (since, min(day, month[1])), terms
            since = min(day, month[1])
        terms = terms | {name: row[name] for name in ("price", "quantity") if row.get(name)}
    if since < month[1]:
        yield (since, month[1]), terms


def up_the_steps(price: Json, quantity: Fraction) -> Fraction:
    """What a quantity costs, from the highest step down."""
    steps = [(Fraction(0), Fraction(price["price"]))]
    steps += [(Fraction(row["above"]), Fraction(row["price"])) for row in price["steps"]]
    if price["steps_hold_for"] == "whole":
        return quantity * next(
            (rate for above, rate in steps[::-1] if quantity > above), steps[0][1]
        )
    total, left = Fraction(0), quantity
    for above, rate in steps[::-1]:
        total += max(Fraction(0), left - above) * rate
        left = min(left, above)
    return total


def weight(price: Json, item: Json) -> Fraction:
    """Of a GPU, in what the price is a price of."""
    if price["unit"].startswith("P_"):
        return Fraction(item["capacity"]["per_gpu"])
    return Fraction(1, item["per_node"]) if price["unit"] == "node_month" else Fraction(1)


def time_of(price: Json, month: Seconds, service: Seconds, served: int) -> Fraction:
    """In what the price is a price of: hours, days or months."""
    by_days = price["proration"] == "days"
    if price["unit"] == "gpu_hour" or (price["unit"] == "P_day" and not by_days):
        return Fraction(served, BY_TIME[price["unit"]])
    if not served or price["proration"] == "none":
        return Fraction(bool(served))
    if price["proration"] == "seconds":
        return Fraction(served, month[1] - month[0])
    days = [month[0] + step * 86400 for step in range((month[1] - month[0]) // 86400)]
    touched = [day for day in days if max(day, service[0]) < min(day + 86400, service[1])]
    return Fraction(len(touched), 1 if price["unit"] == "P_day" else len(days))


def earned(credit: Json, target: Fraction, base: Fraction, down: Seconds, served: int) -> Json:
    """What one outage earns: exact, and whether the objective is missed."""
    share = 1 - Fraction(down[1] - down[0], served)
    missed = share < target
    amount = by_its_terms(credit, target, base, down, share)
    if credit["kind"] == "per_event" and credit["owed_when"] == "below_threshold":
        missed = missed or amount > 0
    if not missed and credit["owed_when"] == "missed":
        amount = Fraction(0)
    cap = credit["cap"]
    if cap.get("pct") is not None:
        amount = min(amount, base * Fraction(cap["pct"]) / 100)
    if cap.get("amount") is not None:
        amount = min(amount, Fraction(cap["amount"]))
    return {"exact": amount, "missed": missed}


def by_its_terms(
    credit: Json, target: Fraction, base: Fraction, down: Seconds, share: Fraction
) -> Fraction:
    length = down[1] - down[0]
    match credit["kind"]:
        case "tiers":
            return base / 10 if share < target else Fraction(0)
        case "linear_shortfall":
            return base * max(Fraction(0), Fraction(credit["threshold"]) - share)
        case "increment":
            return base * 5 * (length // 3600) / 100
        case "outage_multiple":
            return Fraction(credit["hour_price"]) * length * 2 / 3600
        case "clock_hour":
            return Fraction(credit["hour_price"]) * len(free_hours(down))
        case _:
            return Fraction(credit["amount"]) if length > 1800 else Fraction(0)


def free_hours(down: Seconds) -> list[int]:
    """Hours of the clock with more than six bad minutes."""
    hours = range(down[0] // 3600, down[1] // 3600 + 1)
    return [
        hour for hour in hours if min(down[1], (hour + 1) * 3600) - max(down[0], hour * 3600) > 360
    ]


def shown(amount: Fraction, decimals: int) -> Decimal:
    """To the nearest, half up."""
    exact = Decimal(amount.numerator) / Decimal(amount.denominator)
    return exact.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
