"""Terms beside availability, each settled against amounts that are worked out by hand in the tests."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.weighbridge.scripted import holders
from tests.weighbridge.written import loaded, written
from weighbridge.contract import ContractError
from weighbridge.judge.assignments import Version
from weighbridge.judge.ledger import BY_DEVICE, OVERLAY, Row, State, Use
from weighbridge.settlement.case import Notices, case_of
from weighbridge.settlement.draft import draft, statement_of
from weighbridge.settlement.periods import Period, calendar_month, instant_text
from weighbridge.settlement.record import ToldEvent
from weighbridge.settlement.statement import Cause, Statement

SECOND = 1_000_000
HOUR = 3600
DAY = 86400
MAY = calendar_month("2026-05", "Asia/Shanghai")
BATCH = {"id": "A", "nodes": "2", "due": "2026-05-01", "value": "100000"}
RESOURCE = {
    "id": "r",
    "accelerator": {"sku": "any"},
    "nodes": "2",
    "per_node": "2",
    "capacity": {"precision": "fp16", "per_gpu": "0.5"},
    "delivery": [BATCH],
}
TERMS: dict[str, Any] = {
    "contract_id": "K",
    "effective": "2026-01-01T00:00:00Z",
    "time_zone": "Asia/Shanghai",
    "currency": "CNY",
    "parties": [
        {"id": "P", "role": "provider"},
        {"id": "O", "role": "operator"},
        {"id": "L", "role": "lessee"},
    ],
    "term": {"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"},
    "resources": [RESOURCE],
    "availability": [{"id": "a", "target": "0.999"}],
    "unknown": {"policy": "hold"},
}
CREDIT = {
    "id": "c",
    "objective": "a",
    "kind": "tiers",
    "base": {"amount": "1000"},
    "tiers": [{"at_or_above": "0", "below": "0.999", "pct": "10"}],
}


def version(**more: Any) -> Version:
    file = written(TERMS | more)
    return Version(loaded(file), file, 0, 4_000_000_000 * SECOND)


def row(node: str, slot: int, start: int, end: int, state: State, period: Period = MAY) -> Row:
    start_us, end_us = ((period.start_s + edge) * SECOND for edge in (start, end))
    return Row("K", node, slot, f"GPU-{node}-{slot}", "chain", start_us, end_us, state, "", end_us)


def month(*but: Row, period: Period = MAY) -> list[Row]:
    ups = [
        row(node, slot, 0, period.seconds, State.UP, period)
        for node in ("n1", "n2")
        for slot in (0, 1)
    ]
    return [*ups, *but]


def drafted(
    *events: ToldEvent,
    rows: list[Row] | None = None,
    period: Period = MAY,
    earlier: tuple[Statement, ...] = (),
    uses: Sequence[Use] = (),
    **more: Any,
) -> Statement:
    as_of_us = (period.end_s + 6 * DAY) * SECOND
    given = month(period=period) if rows is None else rows
    notices = Notices(events=events)
    nodes = holders(["n1", "n2"])
    case = case_of([version(**more)], nodes, given, notices, period, as_of_us)
    return statement_of(case, earlier=earlier, uses=uses)


def used(node: str, hour: int, chain: str = "a", seen: int = 2 * HOUR * SECOND) -> Use:
    """Two GPUs, of which one was in use for the hour at a third, and took a watt."""
    start_us, device = (MAY.start_s + hour * HOUR) * SECOND, HOUR * SECOND
    return Use(
        contract="K",
        node=node,
        chain=chain,
        hour_us=start_us,
        from_us=start_us,
        until_us=start_us + device,
        seen=seen,
        known=2 * device,
        in_use=device,
        busy_known=device,
        busy=100 * device // 3,
        energy_known=device,
        energy_millijoules=3_600_000,
        recorded_us=start_us + device,
    )


def damages(trigger: str, side: str, **more: str) -> dict[str, str]:
    return {"id": f"{trigger}-{side}", "trigger": trigger, "side": side} | more


# --- damages and leaving


def test_a_batch_that_is_not_delivered_costs_its_flat_part_and_its_days() -> None:
    """Due on 1 May, given up on 11 May: 20 % + 10 x 0.1 % of 100000 = 21000; the cap of 20.5 % leaves 20500."""
    given_up = ToldEvent("not_delivered", MAY.start_s + 10 * DAY, "A")
    terms = damages("non_delivery", "provider", flat_pct="20", daily_rate="0.001")
    assert drafted(given_up, liquidated_damages=[terms]).highest == "21000.00"
    found = drafted(given_up, liquidated_damages=[terms | {"cap_pct": "20.5"}])
    assert (found.highest, found.flags) == ("20500.00", ("cap_applied",))


@pytest.mark.parametrize(
    ("party", "to_lessee", "by_lessee"), [("L", "0.00", ["30000.00"]), ("O", "5000.00", [])]
)
def test_each_side_pays_for_its_own_cancellation_at_its_own_rate(
    party: str, to_lessee: str, by_lessee: list[str]
) -> None:
    """The lessee owes 30 %, the provider 5 %: both are in the contract, and one of them is due."""
    terms = [
        damages("cancellation", "lessee", flat_pct="30"),
        damages("cancellation", "provider", flat_pct="5"),
    ]
    left = ToldEvent("cancelled", MAY.start_s + DAY, details={"party": party})
    found = drafted(left, liquidated_damages=terms)
    assert found.highest == to_lessee
    assert [line.highest for line in found.parts[0].by_lessee] == by_lessee


@pytest.mark.parametrize(("days", "flags"), [(30, ()), (29, ("late_exit_notice",))])
def test_leaving_early_costs_its_fee_and_too_short_a_notice_is_told(
    days: int, flags: tuple[str, ...]
) -> None:
    term = TERMS["term"] | {"early_exit": [{"party": "L", "notice_days": "30", "fee": "7000"}]}
    at = MAY.start_s + 20 * DAY
    left = ToldEvent("cancelled", at, details={"party": "L"}, since_s=at - days * DAY)
    found = drafted(left, term=term)
    assert [line.highest for line in found.parts[0].by_lessee] == ["7000.00"]
    assert (found.highest, found.flags) == ("0.00", flags)


def test_a_right_to_leave_belongs_to_a_party() -> None:
    with pytest.raises(ContractError, match="`X` is not a party"):
        version(term=TERMS["term"] | {"early_exit": [{"party": "X"}]})


# --- fees


def fees(**more: Any) -> list[tuple[str, str, str, str]]:
    rows = month(row("n1", 0, 0, 10 * HOUR, State.DOWN))
    found = drafted(rows=rows, **more).parts[0].fees
    return [(fee.resource, fee.gross, fee.net, fee.tax) for fee in found]


def test_tax_comes_on_top_of_the_net_amount_or_lies_in_it() -> None:
    """4 GPUs x 744 h x 1.00 = 2976.00; 6 % of it is 178.56, and 2976 x 6/106 = 168.4528..."""
    prices = [{"unit": "gpu_hour", "price": "1.00"}]
    for included, tax in (("false", "178.56"), ("true", "168.45")):
        found = fees(pricing=prices, tax={"rate": "0.06", "included": included})
        assert found == [("r", "2976.00", "2976.00", tax)]


def test_a_price_below_its_minimum_is_filled_up() -> None:
    """10 h are not billed: 2966.00, and 34.00 to the least of 3000."""
    prices = [{"unit": "gpu_hour", "price": "1.00", "minimum": "3000"}]
    found = fees(pricing=prices, pay_only_healthy="true")
    assert found == [("r", "2976.00", "2966.00", "0.00"), ("minimum", "34.00", "34.00", "0.00")]


def test_unhealthy_time_is_not_billed_at_monthly_prices_either() -> None:
    """10 of 4 x 744 GPU-hours of 2 x 1488.00: 10.00."""
    prices = [{"unit": "node_month", "price": "1488.00"}, {"unit": "fixed_month", "price": "5"}]
    found = fees(pricing=prices, pay_only_healthy="true")
    assert found == [("r", "2976.00", "2966.00", "0.00"), ("fixed_month", "5.00", "5.00", "0.00")]


def test_what_is_paid_before_is_shown_so() -> None:
    prices = [{"unit": "node_month", "price": "10", "prepaid": "true"}]
    assert [fee.prepaid for fee in drafted(pricing=prices).parts[0].fees] == [True]


# --- credits and claims


def test_a_credit_shows_its_form_and_the_day_on_which_it_lapses() -> None:
    """May ends on 1 June in Shanghai; 30 days later is 1 July, which begins at 16:00 UTC."""
    credit = CREDIT | {"form": "voucher", "expiry_days": "30"}
    line = drafted(credits=[credit]).parts[0].units[0].credits[0]
    assert (line.form, line.expires) == ("voucher", "2026-06-30T16:00:00Z")


@pytest.mark.parametrize(
    ("auto", "standing", "due"), [("true", "automatic", "100.00"), ("false", "open", "0.00")]
)
def test_where_the_statement_is_the_claim_none_is_filed(auto: str, standing: str, due: str) -> None:
    claim = {"required": "true", "deadline_days": "30", "auto_claim": auto}
    rows = month(row("n1", 0, 0, 10 * HOUR, State.DOWN))
    found = drafted(rows=rows, credits=[CREDIT], claim=claim)
    assert found.parts[0].dues[0].standing == standing
    assert found.highest == due


# --- rights to leave


def missed(label: str, hours: int, state: State = State.DOWN, **more: Any) -> Statement:
    period = calendar_month(label, "Asia/Shanghai")
    bad = [row("n1", 0, 0, hours * HOUR, state, period)] if hours else []
    return drafted(rows=month(*bad, period=period), period=period, **more)


RIGHT: dict[str, Any] = {"exit_rights": [{"objective": "a", "missed": "2", "of_periods": "3"}]}


def test_a_target_missed_often_enough_gives_the_right_to_leave() -> None:
    march, april = missed("2026-03", 9), missed("2026-04", 0)
    found = missed("2026-05", 9, earlier=(april, march), **RIGHT)
    assert found.exits[0].standing == "met"
    assert found.exits[0].missed == ("2026-05", "2026-03")
    assert found.exits[0].remedy == "termination without fee"
    assert "exit_right" in found.flags


def test_periods_that_were_met_give_no_right() -> None:
    march, april = missed("2026-03", 0), missed("2026-04", 0)
    found = missed("2026-05", 9, earlier=(march, april), **RIGHT)
    assert (found.exits[0].standing, found.flags) == ("not_met", ())


def test_periods_that_are_held_or_not_settled_leave_the_right_open() -> None:
    held = missed("2026-04", 9, State.CONTESTED)
    march = missed("2026-03", 0)
    assert missed("2026-05", 9, earlier=(held, march), **RIGHT).exits[0].open == ("2026-04",)
    alone = missed("2026-05", 9, **RIGHT)
    assert (alone.exits[0].open, alone.exits[0].not_settled) == ((), 2)
    assert "exit_right_open" in alone.flags


def test_a_statement_with_a_gap_after_it_does_not_count() -> None:
    found = missed("2026-05", 9, earlier=(missed("2026-03", 9),), **RIGHT)
    assert (found.exits[0].missed, found.exits[0].standing) == (("2026-05",), "open")


def test_before_the_term_there_is_no_period_to_wait_for() -> None:
    term = {"from": instant_text(MAY.start_s), "to": "2027-01-01T00:00:00Z"}
    found = missed("2026-05", 9, term=term, effective=term["from"], **RIGHT)
    assert (found.exits[0].standing, found.exits[0].open) == ("not_met", ())


# --- capacity


def test_the_least_healthy_capacity_is_held_against_the_floor_at_any_time() -> None:
    """Of four GPUs one is down for 2 h, another for the second of them: at worst 2 of 3 promised, for 1 h."""
    rows = month(row("n1", 0, 0, 2 * HOUR, State.DOWN), row("n2", 1, HOUR, 2 * HOUR, State.DOWN))
    found = drafted(rows=rows, capacity_floor={"gpus": "3", "capacity": "1"})
    gpus, capacity = found.parts[0].floors
    assert (gpus.verdict, gpus.least_healthy) == ("BREACHED", ("2", "2"))
    assert gpus.short_hours == ("1.0000", "1.0000")
    assert (capacity.verdict, capacity.least_healthy) == ("MET", ("1", "1"))
    assert found.flags == ("capacity_floor_missed",)


def test_a_floor_that_only_unseen_gpus_could_hold_is_open() -> None:
    """The last two GPUs report nothing: 2 healthy for sure, 4 perhaps; 3 promised for 744 h."""
    found = drafted(rows=month()[:2], capacity_floor={"gpus": "3"})
    [floor] = found.parts[0].floors
    assert (floor.verdict, floor.least_healthy) == ("UNKNOWN", ("2", "4"))
    assert floor.short_hours == ("0.0000", "744.0000")
    assert found.flags == ("unknown_time",)


@pytest.mark.parametrize("floor", [{"gpus": "5"}, {"capacity": "1"}])
def test_a_floor_that_cannot_be_held_or_reckoned_is_an_error(floor: dict[str, str]) -> None:
    resource = {name: part for name, part in RESOURCE.items() if name != "capacity"}
    with pytest.raises(ContractError, match="capacity_floor"):
        version(resources=[resource], capacity_floor=floor)


# --- what the record carries


def test_outages_that_touch_keep_their_own_causes() -> None:
    rows = month(
        replace(row("n1", 0, 0, HOUR, State.DOWN), cause="ecc_off"),
        replace(row("n1", 0, HOUR, 2 * HOUR, State.DOWN), cause="xid_fatal"),
    )
    rows = [*rows[1:], row("n1", 0, 2 * HOUR, MAY.seconds, State.UP)]
    [outage] = drafted(rows=rows).parts[0].units[0].outages
    assert [(one.state, one.cause) for one in outage.causes] == [
        ("down", "ecc_off"),
        ("down", "xid_fatal"),
    ]


def test_a_conflict_of_a_device_lies_over_the_slot_that_it_fills() -> None:
    over = replace(row("n1", 1, 0, HOUR, State.CONTESTED), slot=BY_DEVICE, chain=OVERLAY)
    found = drafted(rows=month(over), availability=[{"id": "a", "unit": "gpu", "target": "0.9"}])
    contested = {line.unit: line.contested_seconds for line in found.parts[0].units}
    assert contested == {"n1.0": 0, "n1.1": HOUR, "n2.0": 0, "n2.1": 0}


def test_a_window_that_moves_reads_what_came_before_the_period() -> None:
    """0.001 of ten days are 864 s: 500 s before the period and 500 s in it are too many."""
    rows = [
        row("n1", 0, -DAY, -DAY + 500, State.DOWN),
        *month(row("n1", 0, DAY, DAY + 500, State.DOWN)),
        row("n1", 0, -10 * DAY, 0, State.UP),
        row("n1", 1, -10 * DAY, 0, State.UP),
    ]
    promise = {"id": "a", "target": "0.999", "period": "rolling", "window_s": str(10 * DAY)}
    line = drafted(rows=rows, availability=[promise]).parts[0].units[0]
    assert (line.verdict, line.counted_seconds) == ("BREACHED", (1000, 1000))
    end = MAY.start_s + DAY + 500
    assert line.window == (instant_text(end - 10 * DAY), instant_text(end))


def test_use_and_energy_are_shown_where_they_were_read_and_not_made_up_elsewhere() -> None:
    """Two hours of n1; of the second two chains tell, and the one that saw more is believed."""
    uses = [used("n1", 0), used("n1", 1, "b", seen=1), used("n1", 1), used("other", 1)]
    line = drafted(uses=uses).parts[0].delivery[0]
    assert (line.in_use_gpu_seconds, line.energy_joules, line.utilization) == (
        2 * HOUR,
        2 * 3_600,
        "0.3333",
    )
    bare = drafted().parts[0].delivery[0]
    assert (bare.in_use_gpu_seconds, bare.energy_joules, bare.utilization) == (None, None, None)
    assert drafted(uses=uses).inputs_digest != drafted().inputs_digest


def test_use_counts_in_the_part_of_the_period_in_which_its_hour_begins_and_only_in_service() -> (
    None
):
    uses = [used("n1", hour) for hour in (-1, 0, 5, MAY.seconds // HOUR)]
    assert drafted(uses=uses).parts[0].delivery[0].in_use_gpu_seconds == 2 * HOUR
    begun = ToldEvent("acceptance_signed", MAY.start_s + HOUR)
    assert drafted(begun, uses=uses).parts[0].delivery[0].in_use_gpu_seconds == HOUR


def test_two_chains_that_tell_of_an_hour_one_after_the_other_are_added() -> None:
    halves = [
        replace(used("n1", 0), until_us=MAY.start_s * SECOND + 1800 * SECOND),
        replace(used("n1", 0, "b"), from_us=MAY.start_s * SECOND + 1800 * SECOND),
    ]
    assert drafted(uses=halves).parts[0].delivery[0].in_use_gpu_seconds == 2 * HOUR


def test_an_outage_names_the_entries_of_the_log_that_tell_of_it() -> None:
    """Down in two rows: from the first entry of the first to the last of the second. Nothing tells of n2."""
    halves = [row("n1", 0, HOUR, 5400, State.DOWN), row("n1", 0, 5400, 2 * HOUR, State.DOWN)]
    told = [
        replace(one, first_entry=7 + place, last_entry=24 + place)
        for place, one in enumerate(halves)
    ]
    rows = month(*told, row("n2", 0, 0, HOUR, State.DOWN))
    for unit in ("gpu", "node"):
        promise = [{"id": "a", "unit": unit, "target": "0.999"}]
        found = draft(
            [version(availability=promise)],
            holders(["n1", "n2"]),
            rows,
            Notices(),
            MAY,
            (MAY.end_s + 6 * DAY) * SECOND,
        )
        ranges = [outage.entries for line in found.parts[0].units for outage in line.outages]
        assert ranges == [(7, 25), None]


def test_units_judged_together_name_each_cause_with_its_unit() -> None:
    promise = [{"id": "a", "scope": "all_of", "target": "0.999"}]
    bad = replace(row("n2", 0, 0, HOUR, State.DOWN), cause="xid_fatal")
    found = drafted(rows=month(bad), availability=promise)
    assert found.parts[0].units[0].outages[0].causes == (Cause("n2", "down", "xid_fatal"),)


@pytest.mark.parametrize(
    ("condition", "hours"),
    [("no_fatal_xid", 1), ("nvlink_ok or no_fatal_xid", 1), ("ecc_ok", 0), ("nvlink_ok", 3)],
)
def test_a_condition_sees_the_causes_of_every_slot_of_a_node(condition: str, hours: int) -> None:
    """NVLink is down on one GPU from 0 to 3 h, and another has a fatal XID in the second hour."""
    rows = month(
        replace(row("n1", 0, 0, 3 * HOUR, State.DOWN), cause="nvlink_down"),
        replace(row("n1", 1, HOUR, 2 * HOUR, State.DOWN), cause="xid_fatal"),
    )
    promise = [{"id": "a", "target": "0.999", "up_when": condition}]
    [line, _] = drafted(rows=rows, availability=promise).parts[0].units
    assert line.counted_seconds == (hours * HOUR, hours * HOUR)


def test_amounts_of_both_sides_are_never_set_off_against_each_other() -> None:
    terms = [damages("cancellation", "lessee", flat_pct="30")]
    left = ToldEvent("cancelled", MAY.start_s + DAY, details={"party": "L"})
    rows = month(row("n1", 0, 0, 10 * HOUR, State.DOWN))
    found = drafted(left, rows=rows, liquidated_damages=terms, credits=[CREDIT])
    assert Decimal(found.highest or 0) == 100
