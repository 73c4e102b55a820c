"""Each number of a flag's rule, exactly at it and one step beside; and what a flag carries."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.weighbridge.audit.deals import damages
from tests.weighbridge.audit.market import (
    DAY_US,
    Deal,
    Machine,
    at,
    batches,
    deal,
    finding,
    machines,
    portfolio,
    told,
)
from weighbridge.audit.auditing import FINDERS, audit, flags
from weighbridge.audit.devices import OF_FINDINGS
from weighbridge.audit.flag import Flag, flag_rows
from weighbridge.audit.history import BROKEN
from weighbridge.audit.portfolio import Arrival
from weighbridge.catalogue.findings import meanings
from weighbridge.judge.ledger import HOUR_US
from weighbridge.verdict import Verdict

START, END = "2025-07-01", "2028-07-01"
SECOND = 1_000_000


def codes(deals: Sequence[Deal], as_of_us: int) -> set[str]:
    return {flag.code for flag in flags(portfolio(deals, as_of_us))}


def one(deals: Sequence[Deal], as_of_us: int, code: str) -> Flag:
    (found,) = (flag for flag in flags(portfolio(deals, as_of_us)) if flag.code == code)
    return found


def plain(**facts: Any) -> Deal:
    return deal("K", START, END, facts.pop("nodes", 2), **facts)


@pytest.mark.parametrize(
    ("after_us", "raised"), [(6 * HOUR_US - SECOND, False), (6 * HOUR_US, True)]
)
def test_nothing_delivered_is_flagged_six_hours_after_the_start(
    after_us: int, raised: bool
) -> None:
    start_us = at(START, 8)
    assert ("zero_delivery" in codes([plain(machines=[])], start_us + after_us)) is raised


def test_a_batch_is_due_at_the_end_of_its_last_day_where_the_contract_is() -> None:
    terms = {"item": batches((2, "2025-07-10"))}
    due_us = at("2025-07-11")
    late = one([plain(machines=[], terms=terms)], due_us + 6 * HOUR_US, "zero_delivery")
    assert late.since_us == due_us
    assert late.figures["gpus_due"] == "16"


@pytest.mark.parametrize(("there", "raised"), [(9, False), (8, True)])
def test_nine_tenths_of_what_is_due_are_enough(there: int, raised: bool) -> None:
    made = deal("K", START, END, 10, there)
    assert ("contracted_not_reporting" in codes([made], at("2025-07-20"))) is raised


@pytest.mark.parametrize(("days", "raised"), [(6, False), (7, False), (8, True)])
def test_units_are_gone_after_more_than_seven_days(days: int, raised: bool) -> None:
    gone_us = at("2025-08-10")
    made = plain(machines=machines("K", 2, START, until_us=gone_us))
    assert ("early_death" in codes([made], gone_us + days * DAY_US)) is raised


def test_a_window_that_was_announced_excuses_fourteen_days() -> None:
    gone_us = at("2025-08-10")
    window = [(gone_us, gone_us + 60 * DAY_US)]
    made = plain(machines=machines("K", 2, START, until_us=gone_us), windows=window)
    assert codes([made], gone_us + 14 * DAY_US - SECOND) == set()
    assert "early_death" in codes([made], gone_us + 14 * DAY_US)


@pytest.mark.parametrize(("days", "raised"), [(59, False), (60, True)])
def test_a_delivery_is_stalled_after_sixty_days_without_a_new_device(
    days: int, raised: bool
) -> None:
    came = machines("K", 1, START)
    terms = {"item": batches((1, START), (1, "2025-07-20"))}
    made = plain(machines=came, terms=terms)
    assert ("delivery_stalled" in codes([made], came[0].from_us + days * DAY_US)) is raised


def test_half_of_the_hours_in_use_are_no_idling() -> None:
    as_of = at("2025-08-01")
    half = ((0, as_of - 7 * DAY_US),)
    assert "idle_for_weeks" in codes([plain(machines=machines("K", 2, START, works=half))], as_of)
    more = ((0, as_of - 7 * DAY_US + HOUR_US),)
    assert codes([plain(machines=machines("K", 2, START, works=more))], as_of) == set()


def test_idle_cards_that_draw_power_are_not_said_to_be_idle_and_what_is_not_billed_neither() -> (
    None
):
    as_of = at("2025-08-01")
    idle = plain(machines=machines("K", 2, START, works=()))
    assert "idle_for_weeks" in codes([idle], as_of)
    assert (
        codes([replace(idle, machines=machines("K", 2, START, works=(), idle_watts=133))], as_of)
        == set()
    )
    assert codes([plain(machines=idle.machines, terms={"pricing": []})], as_of) == set()


def test_what_nobody_read_of_use_is_not_idle() -> None:
    found = portfolio([plain(machines=machines("K", 2, START, works=()))], at("2025-08-01"))
    lease = found.leases["K"]
    blind = [replace(use, known=0, in_use=0, busy_known=0, busy=0) for use in lease.recent]
    assert flags(replace(found, leases={"K": replace(lease, recent=blind)})) == []


@pytest.mark.parametrize(("hours", "raised"), [(1, False), (2, True)])
def test_a_device_may_be_an_hour_in_two_places_of_a_contract(hours: int, raised: bool) -> None:
    moved = at("2025-08-01")
    old = Machine("a", at(START), moved + hours * HOUR_US, devices="x")
    made = plain(nodes=1, machines=[old, Machine("b", moved, devices="x")])
    assert ("duplicate_gpu_uuid" in codes([made], at("2025-08-02"))) is raised


def test_a_card_that_was_replaced_may_serve_another_contract() -> None:
    gone = at("2025-08-01")
    first = plain(
        nodes=1, machines=[Machine("a", at(START), gone, devices="x"), Machine("b", gone)]
    )
    later = deal("M", "2025-08-05", END, 1, machines=[Machine("c", at("2025-08-05"), devices="x")])
    assert codes([first, later], at("2025-08-06")) == set()
    alone = replace(first, machines=first.machines[:1])
    assert "duplicate_gpu_uuid" in codes([alone, later], at("2025-08-06"))


@pytest.mark.parametrize(
    ("amount", "day", "raised"),
    [
        ("0.8", "2025-12-28", True),
        ("0.7999", "2025-12-28", False),
        ("1.2", START, True),
        ("1.2001", START, False),
        ("1", "2025-12-29", False),
    ],
)
def test_a_purchase_counts_from_four_fifths_to_six_fifths_within_180_days(
    amount: str, day: str, raised: bool
) -> None:
    share = str(int(float(amount) * 36_000_000))
    bought = {"seller": "L", "buyer": "P", "subject": "servers", "amount": share, "on": day}
    terms = {
        "links": {"counter_purchases": [bought]},
        "pricing": [{"unit": "fixed_month", "price": "1000000", "proration": "none"}],
        "time_zone": "UTC",
    }
    made = deal("K", START, END, 2, terms=terms)
    assert ("circular_chain" in codes([made], at("2026-01-20"))) is raised


def test_related_companies_close_a_circle() -> None:
    def between(name: str, provider: str, lessee: str, **links: str) -> Deal:
        ends = [
            {"id": "P", "role": "provider", "registration": provider},
            {"id": "L", "role": "lessee", "registration": lessee},
        ]
        return deal(name, START, END, 1, terms={"parties": ends, "links": links})

    out, back = between("out", "a", "b"), between("back", "b", "a2")
    assert codes([out, back], at("2025-07-20")) == set()
    group = between("group", "a", "a2", related_party="one owner")
    found = one([out, back, group], at("2025-07-20"), "circular_chain")
    assert found.contracts == ("back", "out")


@pytest.mark.parametrize(("times", "raised"), [("30", True), ("29.9", False)])
def test_damages_are_lopsided_from_twenty_per_cent_and_over_three_times(
    times: str, raised: bool
) -> None:
    terms = {"liquidated_damages": damages(times, "9.99")}
    assert ("prepay_asymmetry" in codes([plain(terms=terms)], at("2025-07-20"))) is raised
    low = {"liquidated_damages": damages("19.99", "1")}
    assert codes([plain(terms=low)], at("2025-07-20")) == set()


@pytest.mark.parametrize(("days", "raised"), [(7, False), (8, True)])
def test_an_event_may_be_told_of_seven_days_later(days: int, raised: bool) -> None:
    event = replace(
        told("delivered", "2025-07-02"), received_us=at("2025-07-02", 12) + days * DAY_US
    )
    found = codes([plain(events=[event])], at("2025-07-20"))
    assert ("edited_history" in found) is raised


@pytest.mark.parametrize(
    ("recorded", "raised"),
    [
        (at("2025-08-04") - SECOND, False),
        (at("2025-08-04"), True),
        (at("2025-08-06") - SECOND, True),
        (at("2025-08-06"), False),
    ],
)
def test_what_came_in_the_last_two_days_before_a_month_closes_is_flagged(
    recorded: int, raised: bool
) -> None:
    slots_us = 16 * (31 * DAY_US - 8 * HOUR_US) // 20
    late = Arrival("K-n0", at("2025-07-20"), at("2025-07-22"), recorded, slots_us, (5,))
    assert ("edited_history" in codes([plain(arrivals=[late])], at("2025-08-20"))) is raised
    less = replace(late, slot_us=slots_us - 1)
    assert codes([plain(arrivals=[less])], at("2025-08-20")) == set()


@pytest.mark.parametrize(("days", "raised"), [(3, False), (4, True)])
def test_units_may_come_three_days_after_they_are_billed(days: int, raised: bool) -> None:
    came = [Machine(f"K-n{n}", at(START, 8) + days * DAY_US) for n in range(2)]
    found = codes([plain(machines=came)], at("2025-08-20"))
    assert ("late_birth" in found) is raised


def test_sub_leases_that_are_together_larger_than_their_lease_are_flagged() -> None:
    def part(name: str, start: str) -> Deal:
        ends = [
            {"id": "P", "role": "provider", "registration": "K-L"},
            {"id": "L", "role": "lessee", "registration": name},
        ]
        terms = {"parties": ends, "links": {"parent": "K"}}
        return deal(name, start, END, 1, terms=terms)

    lease = plain(terms={"links": {"sublease_allowed": "true"}})
    both = [part("one", START), part("other", START)]
    assert codes([lease, *both], at("2025-07-20")) == set()
    found = one([lease, *both, part("third", "2025-07-15")], at("2025-07-20"), "over_allocation")
    assert found.contracts == ("K", "one", "other", "third")
    assert dict(found.figures) == {"gpus": "16", "gpus_allocated": "24"}


@pytest.mark.parametrize("code", sorted(OF_FINDINGS))
def test_a_finding_raises_its_flag_while_it_is_open_and_at_its_own_level(code: str) -> None:
    found = finding("K", min(OF_FINDINGS[code]), "2025-07-10", "2025-07-12")
    made = plain(findings=[found])
    raised = one([made], at("2025-07-12") - SECOND, code)
    assert (raised.level, raised.figures["findings"]) == ("E1", min(OF_FINDINGS[code]))
    assert raised.entries == (100, 200)
    assert codes([made], at("2025-07-12")) == set()
    unseen = plain(findings=[replace(found, verdict=Verdict.UNKNOWN)])
    assert codes([unseen], at("2025-07-11")) == set()


def test_every_finding_that_raises_a_flag_is_one_that_the_judge_has() -> None:
    assert {code for held in OF_FINDINGS.values() for code in held} | BROKEN <= set(meanings())


def test_every_flag_says_what_it_means_and_how_it_comes_about_innocently_in_both_languages() -> (
    None
):
    for row in flag_rows().values():
        assert row.innocent
        assert all(text for said in (row.means, *row.innocent) for text in said)
    assert len(set(FINDERS)) == len(FINDERS)


def test_the_order_of_contracts_changes_nothing_and_figures_and_entries_stand_beside_a_flag() -> (
    None
):
    deals = [deal("A", START, END, 10, 5), deal("B", START, END, 1, 0), deal("C", START, END, 1)]
    made = audit(portfolio(deals, at("2025-08-20")), simulated=False)
    assert made == audit(portfolio(deals[::-1], at("2025-08-20")), simulated=False)
    short = made.flags[0]
    assert (short.code, short.contracts) == ("contracted_not_reporting", ("A",))
    assert dict(short.figures) == {
        "gpus_due": "80",
        "gpus_reporting": "40",
        "month": "2025-07",
        "month_share_pct": "49.93",
        "share_pct": "50.00",
    }
    assert short.entries == (0, 100, 200)


def test_accounts_set_what_was_recognised_beside_what_was_delivered_and_count_a_chain_once() -> (
    None
):
    def chained(name: str, provider: str, lessee: str, **links: str) -> Deal:
        ends = [
            {"id": "P", "role": "provider", "registration": provider},
            {"id": "L", "role": "lessee", "registration": lessee},
        ]
        terms = {"parties": ends, "links": links, "time_zone": "UTC"}
        return deal(name, START, END, 2, 1, terms=terms)

    both = [
        chained("up", "a", "b", sublease_allowed="true"),
        chained("down", "b", "c", parent="up"),
    ]
    made = audit(portfolio(both, at("2025-08-20")), simulated=False)
    lines = {(line.company, line.role): line for line in made.accounts if line.month == "2025-07"}
    assert {key: line.contracts for key, line in lines.items()} == {
        ("", ""): 1,
        ("a", "provider"): 1,
        ("b", "lessee"): 1,
        ("b", "provider"): 1,
        ("c", "lessee"): 1,
    }
    whole = lines["a", "provider"]
    assert (whole.recognised, whole.delivered) == ("117760.00", "58800.00")
    assert float(whole.delivered) + float(whole.unproven) == float(whole.recognised)
