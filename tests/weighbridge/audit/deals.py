"""The hundred deals: frauds with the day by which each is to be flagged, and beside each its honest twin."""

from collections.abc import Iterator
from typing import Any

from tests.weighbridge.audit.market import (
    DAY_US,
    EVER,
    Deal,
    Machine,
    at,
    batches,
    deal,
    finding,
    machines,
    told,
)
from weighbridge.audit.portfolio import AgentKey, Arrival, Stay
from weighbridge.judge.ledger import HOUR_US

BY = "2025-08-06"
"""By when all are flagged that have no day of their own."""

P_F16 = {"per_gpu": "0.98", "precision": "fp16"}
FREE_EXIT = [{"party": "L", "notice_days": "0"}]


def damages(lessee: str, provider: str) -> list[dict[str, str]]:
    return [
        {"id": "break", "trigger": "cancellation", "side": "lessee", "flat_pct": lessee},
        {
            "id": "late",
            "trigger": "late_delivery",
            "side": "provider",
            "daily_rate": "0.0005",
            "cap_pct": provider,
        },
    ]


def amended(one: Deal, day: str, terms: dict[str, Any]) -> Deal:
    """A second version of a deal, from a day on."""
    later = {**one.texts[0][1], **terms, "version": "2", "supersedes": "1"}
    later["effective"] = f"{day}T00:00:00Z"
    return Deal(
        [*one.texts, (at(day), later)],
        one.machines,
        flags=one.flags,
        events=one.events,
        service_us=one.service_us,
    )


def s1_never_ordered() -> Iterator[Deal]:
    """3,690 million over five years, signed 4 Mar 2025, free exit, no schedule; no order came."""
    term = {
        "from": "2025-03-04T00:00:00Z",
        "to": "2030-03-04T00:00:00Z",
        "early_exit": FREE_EXIT,
    }
    flags = {"prepay_asymmetry": "2025-03-04", "zero_delivery": "2025-03-05"}
    yield deal("S1", "2025-03-04", "2030-03-04", 1053, 0, terms={"term": term}, flags=flags)
    twin = deal("S1-twin", "2025-03-04", "2030-03-04", 20, 0)
    item = {**twin.texts[0][1]["resources"][0], **batches((20, "2030-01-31"))}
    yield amended(twin, "2025-03-04", {"resources": [item]})


def s2_twelve_of_330() -> Iterator[Deal]:
    due = batches((12, "2023-11-16"), (318, "2023-11-30"))
    flags = {"contracted_not_reporting": "2023-12-01", "delivery_stalled": "2024-01-15"}
    came = machines("S2", 12, "2023-11-16")
    yield deal(
        "S2", "2023-09-27", "2026-09-27", 330, machines=came, terms={"item": due}, flags=flags
    )
    twin = deal(
        "S2-twin",
        "2023-09-27",
        "2026-09-27",
        12,
        machines=machines("S2-twin", 12, "2023-11-16"),
        terms={"item": batches((12, "2023-11-16"))},
    )
    yield twin


def s3_three_batches() -> Iterator[Deal]:
    due = batches((5, "2026-02-10"), (20, "2026-03-10"), (25, "2026-03-31"))
    flags = {"prepay_asymmetry": "2026-01-05", "zero_delivery": "2026-02-11"}
    terms: dict[str, Any] = {"item": due, "liquidated_damages": damages("30", "5")}
    yield deal("S3", "2026-01-05", "2029-01-05", 50, 0, terms=terms, flags=flags)
    honest: dict[str, Any] = {"item": batches((5, "2026-02-10"), (5, "2026-03-10"))}
    honest |= {"liquidated_damages": damages("20", "20")}
    came = (*machines("S3-twin", 5, "2026-02-10"), *machines("S3-twin-b", 5, "2026-03-10"))
    yield deal("S3-twin", "2026-01-05", "2029-01-05", 10, machines=came, terms=honest)
    flags = {"contracted_not_reporting": "2026-03-11"}
    first = machines("S3-half", 5, "2026-02-10")
    yield deal(
        "S3-half", "2026-01-05", "2029-01-05", 50, machines=first, terms={"item": due}, flags=flags
    )


def s4_half_delivered() -> Iterator[Deal]:
    flags = {"contracted_not_reporting": "2024-07-01"}
    yield deal("S4", "2024-06-01", "2027-06-01", 32, 15, flags=flags)
    due = {"item": batches((6, "2024-06-01"), (7, "2029-01-01"))}
    yield deal("S4-twin", "2024-06-01", "2030-06-01", 13, 6, terms=due)


def s5_idle_and_gone() -> Iterator[Deal]:
    """2,048 P at 7,500 a P and month; about 500 P on the first day, and nothing ran on them."""
    terms: dict[str, Any] = {
        "item": {"capacity": P_F16},
        "pricing": [{"unit": "P_month", "price": "7500"}],
    }
    flags = {"idle_for_weeks": "2024-03-01", "contracted_not_reporting": "2024-03-01"}
    quiet = machines("S5", 8, "2024-01-01", percent=0)
    yield deal("S5", "2024-01-01", "2029-01-01", 33, machines=quiet, terms=terms, flags=flags)
    worked = ((0, at("2024-02-19")), (at("2024-02-25"), EVER))
    twin = machines("S5-twin", 6, "2024-01-01", works=worked)
    yield deal("S5-twin", "2024-01-01", "2029-01-01", 6, machines=twin, terms=terms)


def s6_accepted_then_sold() -> Iterator[Deal]:
    """9 servers, 36 months, gone in month seven; their cards come back under another contract."""
    gone, back = at("2024-10-10"), "2024-10-30"
    mine = machines("S6", 9, "2024-03-22", until_us=gone)
    flags = {"duplicate_gpu_uuid": back, "early_death": "2024-10-18"}
    yield deal("S6", "2024-03-22", "2027-03-22", 9, machines=mine, flags=flags)
    theirs = [Machine(f"S6-new-n{n}", at(back, 9), devices=f"S6-n{n}") for n in range(9)]
    yield deal(
        "S6-new",
        back,
        "2027-10-30",
        9,
        machines=theirs,
        flags={"duplicate_gpu_uuid": back},
    )
    ended = told("cancelled", "2024-10-10")
    mine = machines("S6-twin", 6, "2024-03-22", until_us=gone)
    yield deal("S6-twin", "2024-03-22", "2027-03-22", 6, machines=mine, events=[ended])
    theirs = [Machine(f"S6-next-n{n}", at(back, 9), devices=f"S6-twin-n{n}") for n in range(6)]
    yield deal("S6-next", back, "2027-10-30", 6, machines=theirs)


def s7_sold_twice() -> Iterator[Deal]:
    """One cluster in two contracts, of which neither names the other; and a sub-lease that does."""
    start, end = "2024-12-01", "2027-12-01"
    flags = {"duplicate_gpu_uuid": start, "over_allocation": start}
    cluster = machines("S7", 5, start)
    for name in ("S7", "S7-again"):
        yield deal(name, start, end, 5, machines=cluster, flags=flags)
    cluster = machines("S7-twin", 2, start)
    ends = [
        {"id": "P", "role": "provider", "registration": "S7-owner"},
        {"id": "L", "role": "lessee", "registration": "S7-middle"},
    ]
    terms = {"parties": ends, "links": {"children": ["S7-child"], "sublease_allowed": "true"}}
    yield deal("S7-twin", start, end, 2, machines=cluster, terms=terms)
    ends = [
        {"id": "P", "role": "provider", "registration": "S7-middle"},
        {"id": "L", "role": "lessee", "registration": "S7-user"},
    ]
    terms = {"parties": ends, "links": {"parent": "S7-twin"}}
    yield deal("S7-child", start, end, 2, machines=cluster, terms=terms)


def s8_more_p_than_seen() -> Iterator[Deal]:
    """15,000 P said and 13,400 P seen, by a hundredth."""
    start, end, flags = "2024-12-01", "2027-12-01", {"capacity_overstated": "2025-01-01"}
    said = {"item": {"capacity": {**P_F16, "contracted": "150"}}}
    yield deal("S8", start, end, 17, terms=said, flags=flags)
    said = {"item": {"capacity": {**P_F16, "contracted": "15.6"}}}
    yield deal("S8-twin", start, end, 2, terms=said)


def s9_sold_and_leased_back() -> Iterator[Deal]:
    start, end = "2024-05-06", "2027-05-06"
    flags = {"circular_chain": BY}
    price = [{"unit": "fixed_month", "price": "8000000"}]
    yield deal(
        "S9", start, end, 30, terms=_bought("240000000", start) | {"pricing": price}, flags=flags
    )
    yield deal("S9-twin", start, end, 3, terms=_bought("500000", start))


def _bought(amount: str, day: str) -> dict[str, Any]:
    bought = {"seller": "L", "buyer": "P", "subject": "servers", "amount": amount, "on": day}
    return {"links": {"counter_purchases": [bought]}}


def s10_vouchers() -> Iterator[Deal]:
    """500 cards claimed for every hour of the month, under load for six; one key speaks for both sides."""
    start, end = "2025-09-01", "2026-09-01"
    six = ((at("2025-09-20"), at("2025-09-20", 6)),)
    cards = machines("S10", 6, start, works=six)
    flags = {"idle_for_weeks": "2025-10-01", "entity_mismatch": "2025-10-01"}
    yield deal(
        "S10",
        start,
        end,
        6,
        machines=cards,
        party_keys={"ab" * 32: ["P", "L"]},
        terms={"pricing": [{"unit": "gpu_hour", "price": "27.8"}]},
        flags=flags | {"price_outlier": "2025-10-01"},
    )
    keys = {"cd" * 32: ["P"], "ef" * 32: ["L"]}
    yield deal("S10-twin", start, end, 2, party_keys=keys)


def circles() -> Iterator[Deal]:
    """Three companies that lease the same card to each other; its twin goes on with another card."""
    start, end = "2025-07-01", "2028-07-01"
    for prefix, last in (("ring", "H100-SXM-80GB"), ("line", "H200-SXM-141GB")):
        for n in range(3):
            card = last if n == 2 else "H100-SXM-80GB"
            ends = [
                {"id": "P", "role": "provider", "registration": f"{prefix}-{n}"},
                {"id": "L", "role": "lessee", "registration": f"{prefix}-{(n + 1) % 3}"},
            ]
            terms = {"parties": ends, "item": {"accelerator": {"sku": card}}}
            flags = {"circular_chain": BY} if prefix == "ring" else {}
            yield deal(f"{prefix}{n}", start, end, 2, terms=terms, flags=flags)


def sub_leases() -> Iterator[Deal]:
    """Before its lease, without leave, of another's lease; and one in order."""
    yield from _chained("early", "2025-07-02", "2025-07-01", {"circular_chain": BY})
    flags = {"sublease_not_allowed": BY}
    yield from _chained("forbidden", "2025-07-01", "2025-07-01", flags, allowed=False)
    flags = {"entity_mismatch": BY}
    yield from _chained("strange", "2025-07-01", "2025-07-01", flags, middle="somebody")
    yield from _chained("chained", "2025-07-01", "2025-07-01", {})


def _chained(
    name: str,
    lease: str,
    sub_lease: str,
    flags: dict[str, str],
    *,
    allowed: bool = True,
    middle: str = "",
) -> Iterator[Deal]:
    cluster = machines(name, 2, lease if lease < sub_lease else sub_lease)
    links: dict[str, Any] = {"sublease_allowed": "true"} if allowed else {}
    yield deal(name, lease, "2028-03-01", 2, machines=cluster, terms={"links": links}, flags=flags)
    ends = [
        {"id": "P", "role": "provider", "registration": middle or f"{name}-L"},
        {"id": "L", "role": "lessee", "registration": f"{name}-user"},
    ]
    terms = {"parties": ends, "links": {"parent": name}}
    yield deal(
        f"{name}-sub", sub_lease, "2028-03-01", 2, machines=cluster, terms=terms, flags=flags
    )


def allocations() -> Iterator[Deal]:
    """A node of eight cards twice whole, and another in two halves."""
    start, end = "2025-07-01", "2028-07-01"
    for prefix, half in (("over", False), ("halves", True)):
        for n in range(2):
            devices = frozenset(f"GPU-{prefix}-{n}-{k}" for k in range(4)) if half else None
            node = Machine(prefix, at(start, 9), gpus=4, devices=f"{prefix}-{n}")
            stay = Stay(prefix, devices, at(start, 9), entry=5)
            flags = {} if half else {"over_allocation": BY}
            item = {"per_node": "4"}
            yield deal(
                f"{prefix}{n}",
                start,
                end,
                1,
                machines=[node] if half or n == 0 else [],
                stays=[stay],
                terms={"item": item},
                flags=flags if half or n == 0 else flags | {"zero_delivery": BY},
            )


def acceptances() -> Iterator[Deal]:
    """Signed with cards that idled, without cards, and with cards that worked."""
    start, end = "2025-07-01", "2028-07-01"
    signed = told("acceptance_signed", "2025-07-10")
    idle = machines("unloaded", 2, start, works=((at("2025-07-10", 12), EVER),))
    flags = {"certificate_without_load": BY}
    yield deal("unloaded", start, end, 2, machines=idle, trials=[signed], flags=flags)
    yield deal("loaded", start, end, 2, trials=[signed])
    unseen = machines("unseen", 2, "2025-07-10")
    signed = told("acceptance_signed", "2025-07-10", hour=10)
    flags = {"certificate_without_evidence": BY}
    yield deal("unseen", start, end, 2, machines=unseen, trials=[signed], flags=flags)


def dates() -> Iterator[Deal]:
    """Billed before they came, and gone after the end of a year; twins by acceptance, and by notice."""
    came = machines("late", 2, "2025-06-10")
    flags = {"late_birth": BY}
    yield deal("late", "2025-05-02", "2028-05-02", 2, machines=came, flags=flags)
    came = machines("born", 2, "2025-06-10")
    due = {"item": batches((2, "2025-06-10"))}
    signed = at("2025-06-11")
    yield deal("born", "2025-05-02", "2028-05-02", 2, machines=came, terms=due, service_us=signed)
    gone = machines("gone", 2, "2024-11-01", until_us=at("2025-01-02"))
    flags = {"early_death": "2025-01-10"}
    yield deal("gone", "2024-11-01", "2027-11-01", 2, machines=gone, flags=flags)
    gone = machines("rebuilt", 2, "2024-11-01", until_us=at("2025-01-02"))
    back = machines("rebuilt", 2, "2025-01-14")
    window = [(at("2025-01-02"), at("2025-01-14", 12))]
    yield deal("rebuilt", "2024-11-01", "2027-11-01", 2, machines=[*gone, *back], windows=window)


def entities() -> Iterator[Deal]:
    one = [
        {"id": "P", "role": "provider", "registration": "one"},
        {"id": "L", "role": "lessee", "registration": "one"},
    ]
    start, end = "2025-07-01", "2028-07-01"
    flags = {"entity_mismatch": BY}
    yield deal("itself", start, end, 2, terms={"parties": one}, flags=flags)
    group = [one[0] | {"registration": "two"}, one[1] | {"registration": "two"}]
    terms = {"parties": group, "links": {"related_party": "branches of one company"}}
    yield deal("group", start, end, 2, terms=terms)
    yield deal("one-agent", start, end, 2, flags=flags)
    alone = machines("alone", 2, start, lessee=False)
    flags = {"one_sided_evidence": BY}
    yield deal("alone", start, end, 2, machines=alone, flags=flags)
    proven = machines("proven", 2, start, lessee=False)
    met = range(at(start), at("2026-04-01"), 29 * DAY_US)
    yield deal("proven", start, end, 2, machines=proven, proven_us=met)
    refused = machines("refused", 2, start, lessee=False)
    agreed = {"evidence": {"agents": "provider"}}
    yield deal("refused", start, end, 2, machines=refused, terms=agreed)


KEYS = (
    AgentKey("99" * 32, "one-agent-n0", "provider", at("2025-07-01"), 40),
    AgentKey("99" * 32, "one-agent-n1", "lessee", at("2025-07-01"), 41),
    AgentKey("98" * 32, "alone-n0", "provider", at("2025-07-01"), 42),
)


def histories() -> Iterator[Deal]:
    start, end, flags = "2025-07-01", "2028-07-01", {"edited_history": BY}
    holes = [finding("hole", "log_hole", "2025-08-05", "2025-08-05")]
    yield deal("hole", start, end, 2, findings=holes, flags=flags)
    yield deal("gap", start, end, 2, findings=[finding("gap", "chain_gap", "2025-08-05")])
    for name, day in (("pushed", "2025-08-05"), ("spooled", "2025-07-24")):
        edges = (at("2025-07-20"), at("2025-07-23"), at(day))
        late = Arrival(f"{name}-n0", *edges, 16 * 72 * HOUR_US, (300, 301))
        yield deal(name, start, end, 2, arrivals=[late], flags=flags if name == "pushed" else {})
    for name, received in (("backdated", "2025-08-06"), ("prompt", "2025-07-12")):
        event = told("delivered", "2025-07-10", received=received)
        yield deal(name, start, end, 2, events=[event], flags=flags if name == "backdated" else {})


def identities() -> Iterator[Deal]:
    start, end = "2025-07-01", "2028-07-01"
    flags = {"impossible_identity": BY}
    open_ = [finding("fake", "card_inconsistent", "2025-08-05")]
    yield deal("fake", start, end, 2, findings=open_, flags=flags)
    mended = [finding("mended", "card_inconsistent", "2025-08-05", "2025-08-05")]
    yield deal("mended", start, end, 2, findings=mended)
    flags = {"cloned_signature": BY}
    real = machines("clone", 1, start)
    false = [Machine("clone-n1", at(start, 9), like="clone-n0")]
    yield deal("clone", start, end, 2, machines=[*real, *false], flags=flags)
    still = machines("still", 2, start, works=((0, at("2025-07-25")), (at("2025-07-31"), EVER)))
    yield deal("still", start, end, 2, machines=still)


def prices() -> Iterator[Deal]:
    start, end = "2025-07-01", "2028-07-01"
    for name, price in (("dear", "20.01"), ("twice", "20")):
        terms = {"pricing": [{"unit": "gpu_hour", "price": price}]}
        flags = {"price_outlier": BY} if name == "dear" else {}
        yield deal(name, start, end, 1, terms=terms, flags=flags)
    terms = {"pricing": [{"unit": "gpu_hour", "price": "10", "prepaid": "true"}]}
    yield deal("ahead", start, end, 1, terms=terms, flags={"prepay_asymmetry": BY})
    terms["liquidated_damages"] = damages("20", "20")
    yield deal("ahead-twin", start, end, 1, terms=terms)


FAMILIES = (
    s1_never_ordered,
    s2_twelve_of_330,
    s3_three_batches,
    s4_half_delivered,
    s5_idle_and_gone,
    s6_accepted_then_sold,
    s7_sold_twice,
    s8_more_p_than_seen,
    s9_sold_and_leased_back,
    s10_vouchers,
    circles,
    sub_leases,
    allocations,
    acceptances,
    dates,
    entities,
    histories,
    identities,
    prices,
)
HUNDRED = 100


def market() -> list[Deal]:
    """A hundred deals: those above, and others that nothing is wrong with."""
    found = [one for family in FAMILIES for one in family()]
    years = [f"{2023 + n % 3}-{1 + n % 12:02}-01" for n in range(HUNDRED - len(found))]
    return [
        *found,
        *(deal(f"plain{n:02}", start, "2031-01-01", 1) for n, start in enumerate(years)),
    ]
