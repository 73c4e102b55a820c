import json
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.weighbridge.scripted import holders
from tests.weighbridge.written import loaded, written
from weighbridge.codes import Note, note
from weighbridge.judge.assignments import Version
from weighbridge.judge.ledger import Row, State
from weighbridge.settlement.case import Notices, case_of
from weighbridge.settlement.draft import draft, statement_of
from weighbridge.settlement.periods import calendar_month, instant_text
from weighbridge.settlement.probes import Samples
from weighbridge.settlement.record import Claim, ToldEvent, Window
from weighbridge.settlement.statement import Cause, Statement, SwapLine, UnitLine, differences

SECOND = 1_000_000
HOUR = 3600
DAY = 86400
PERIOD = calendar_month("2026-05", "Asia/Shanghai")
START = PERIOD.start_s
FINAL_US = (PERIOD.end_s + 6 * DAY) * SECOND
NODES = ("n1", "n2")
NONE = Notices()
TERMS = {
    "contract_id": "K",
    "effective": "2026-01-01T00:00:00Z",
    "time_zone": "Asia/Shanghai",
    "currency": "CNY",
    "parties": [{"id": "P", "role": "provider"}, {"id": "L", "role": "lessee"}],
    "term": {"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"},
    "resources": [
        {
            "id": "r",
            "accelerator": {"sku": "any"},
            "nodes": "2",
            "per_node": "2",
            "capacity": {"precision": "fp16", "per_gpu": "0.5"},
        }
    ],
    "pricing": [{"unit": "node_month", "price": "10000.00"}],
    "availability": [{"id": "a", "target": "0.999"}],
    "unknown": {"policy": "hold"},
    "maintenance": {"min_notice_s": "3600"},
    "credits": [
        {
            "id": "c",
            "objective": "a",
            "kind": "tiers",
            "tiers": [
                {"at_or_above": "0.9", "below": "0.999", "pct": "10"},
                {"at_or_above": "0", "below": "0.9", "pct": "50"},
            ],
        }
    ],
}


def version(
    terms: dict[str, Any], from_s: int = 0, until_s: int = 4_000_000_000, **more: Any
) -> Version:
    file = written(terms | more)
    return Version(loaded(file), file, from_s * SECOND, until_s * SECOND)


def row(node: str, slot: int, start: int, end: int, state: State = State.UP, **more: Any) -> Row:
    made = Row(
        "K",
        node,
        slot,
        f"GPU-{node}-{slot}",
        "chain",
        (START + start) * SECOND,
        (START + end) * SECOND,
        state,
        more.pop("cause", ""),
        (START + end) * SECOND,
    )
    return replace(made, **more)


def whole_month(*but: Row) -> list[Row]:
    """Every slot up, but for the given rows, which outrank it."""
    ups = [row(node, slot, 0, PERIOD.seconds) for node in NODES for slot in (0, 1)]
    return [*ups, *but]


def drafted(
    rows: list[Row], notices: Notices = NONE, as_of_us: int = FINAL_US, **more: Any
) -> Statement:
    return draft([version(TERMS, **more)], holders(NODES), rows, notices, PERIOD, as_of_us)


def units(statement: Statement) -> dict[str, UnitLine]:
    return {line.unit: line for line in statement.parts[0].units}


def test_a_month_without_faults_is_met_and_owes_nothing() -> None:
    found = drafted(whole_month())
    assert {line.verdict for line in units(found).values()} == {"MET"}
    assert (found.lowest, found.highest, found.flags, found.final) == ("0.00", "0.00", (), True)
    assert found.parts[0].delivery[0].healthy_gpu_seconds == 4 * PERIOD.seconds
    assert found.parts[0].delivery[0].contracted_p_hours == "1488.0000"


def test_a_node_is_as_good_as_its_worst_slot() -> None:
    found = drafted(
        whole_month(
            row("n1", 0, 0, 2 * HOUR, State.DOWN, cause="xid"),
            row("n1", 1, HOUR, 3 * HOUR, State.DOWN),
        )
    )
    line = units(found)["n1"]
    assert line.counted_seconds == (3 * HOUR, 3 * HOUR)
    assert line.outages[0].causes == (Cause("n1", "down", ""), Cause("n1", "down", "xid"))
    assert (line.verdict, found.highest) == ("BREACHED", "1000.00")
    assert units(found)["n2"].verdict == "MET"


def test_what_nobody_saw_is_unknown_and_the_amount_a_range() -> None:
    rows = [one for one in whole_month() if (one.node, one.slot) != ("n2", 1)]
    found = drafted([*rows, row("n2", 1, 0, PERIOD.seconds - 2 * DAY)])
    line = units(found)["n2"]
    assert line.verdict == "UNKNOWN"
    assert line.unknown_seconds == 2 * DAY
    assert (found.lowest, found.highest) == ("0.00", "1000.00")
    assert found.parts[0].delivery[0].reporting_gpu_seconds == 4 * PERIOD.seconds - 2 * DAY


def test_a_contracted_node_that_is_not_there_has_its_own_line() -> None:
    rows = [one for one in whole_month() if one.node == "n1"]
    found = draft([version(TERMS)], holders(["n1"]), rows, Notices(), PERIOD, FINAL_US)
    assert units(found)["r:absent-2"].unknown_seconds == PERIOD.seconds
    assert found.highest == "5000.00"


edges = st.integers(-HOUR, PERIOD.seconds + HOUR)
states = st.sampled_from(list(State))


@st.composite
def ledgers(draw: st.DrawFn) -> list[Row]:
    made = []
    for _ in range(draw(st.integers(0, 12))):
        start, end = sorted((draw(edges), draw(edges)))
        node, slot = draw(st.sampled_from(sorted(NODES))), draw(st.integers(0, 1))
        made.append(row(node, slot, start, end, draw(states), recorded_us=0))
    return made


@given(ledgers(), edges, st.integers(0, 3 * DAY))
def test_the_seconds_of_a_unit_add_up_to_the_period_exactly(
    rows: list[Row], start: int, length: int
) -> None:
    window = Window("m", START + start, START + start + length, 0)
    for line in drafted(rows, Notices((window,))).parts[0].units:
        assert sum(line.seconds.values()) == line.service_seconds == PERIOD.seconds
        assert min(line.seconds.values()) >= 0


@given(ledgers(), st.randoms(use_true_random=False))
def test_the_same_rows_in_any_order_give_the_same_bytes(rows: list[Row], order: Any) -> None:
    shuffled = list(rows)
    order.shuffle(shuffled)
    assert drafted(shuffled).json() == drafted(rows).json()


def test_rows_that_became_known_later_are_not_in_an_earlier_statement_and_the_change_is_told() -> (
    None
):
    late = row("n1", 0, 0, HOUR, State.DOWN, recorded_us=(PERIOD.end_s + DAY) * SECOND)
    before = drafted(whole_month(late), as_of_us=PERIOD.end_s * SECOND)
    after = drafted(whole_month(late))
    assert (before.highest, after.highest) == ("0.00", "1000.00")
    assert not before.final
    told = differences(before, after)
    assert note("changed", path=("highest",), before="0.00", after="1000.00") in told
    paths = [line.arguments["path"] for line in told]
    assert ["times" in str(path) for path in paths] == [False] * (len(told) - 3) + [True] * 3
    assert all("before" not in line.arguments for line in told[-3:])
    assert differences(after, after) == ()


def test_rows_after_the_cut_off_change_nothing_and_raise_a_flag() -> None:
    late = row("n1", 0, 0, HOUR, State.DOWN, recorded_us=(PERIOD.end_s + 5 * DAY) * SECOND + 1)
    found = drafted(whole_month(late))
    assert (found.highest, found.flags) == ("0.00", ("data_after_cutoff",))


def test_maintenance_that_is_told_of_after_the_cut_off_changes_nothing_and_raises_a_flag() -> None:
    """Work without notice is excluded by this contract, but what is final stays so."""
    terms: dict[str, Any] = {"maintenance": {"min_notice_s": "0", "emergency": "excluded"}}
    cutoff = PERIOD.end_s + 5 * DAY
    rows = whole_month(row("n1", 0, 0, 2 * HOUR, State.DOWN))
    for received, highest in ((cutoff, "0.00"), (cutoff + 1, "1000.00")):
        work = Window("m", START, START + 2 * HOUR, received)
        found = drafted(rows, Notices((work,)), **terms)
        assert (found.final, found.highest) == (True, highest)
        assert [line.id for line in found.parts[0].maintenance] == ["m"] * (received == cutoff)
        assert ("data_after_cutoff" in found.flags) is (received > cutoff)


def test_maintenance_swaps_and_claims_have_their_lines() -> None:
    window = Window("m1", START + DAY, START + DAY + HOUR, START)
    swap = ToldEvent("gpu_replaced", START + 2 * DAY, "n1.0", {"old": "GPU-A", "new": "GPU-B"})
    notices = Notices((window,), (Claim("2026-05", PERIOD.end_s),), (swap,))
    rows = whole_month(row("n1", 0, DAY, DAY + 3 * HOUR, State.DOWN))
    found = drafted(rows, notices, claim={"required": "true", "deadline_days": "7"})
    assert found.parts[0].maintenance[0].excluded_seconds == HOUR
    assert units(found)["n1"].counted_seconds == (2 * HOUR, 2 * HOUR)
    assert found.swaps == (
        SwapLine("gpu_replaced", "2026-05-02T16:00:00Z", "n1.0", {"new": "GPU-B", "old": "GPU-A"}),
    )
    assert found.flags == ("gpu_identity_changed",)
    assert [(due.standing, due.deadline, due.highest) for due in found.parts[0].dues] == [
        ("filed", "2026-06-07T16:00:00Z", "1000.00"),
        ("filed", "2026-06-07T16:00:00Z", "0.00"),
    ]


def test_a_lapsed_claim_still_shows_what_was_earned() -> None:
    rows = whole_month(row("n1", 0, 0, 3 * HOUR, State.DOWN))
    found = drafted(rows, as_of_us=FINAL_US * 2, claim={"required": "true", "deadline_days": "7"})
    due = found.parts[0].dues[0]
    assert (due.unit, due.standing, due.earned, due.highest, due.deadline) == (
        "n1",
        "lapsed",
        "1000.00",
        "0.00",
        "2026-06-07T16:00:00Z",
    )


@pytest.mark.parametrize(
    ("rule", "parts", "highest"), [("per_part", 2, "500.00"), ("whole_period", 1, "0.00")]
)
def test_a_period_that_crosses_an_amendment_splits_at_its_instant_or_not_as_agreed(
    rule: str, parts: int, highest: str
) -> None:
    """Twenty minutes down miss 99.9 % of half of the month, and not of the whole; half of the fee is at stake."""
    edge = START + PERIOD.seconds // 2
    amendment: dict[str, Any] = {
        "version": "2",
        "supersedes": "1",
        "effective": instant_text(edge),
    }
    versions = [
        version(TERMS, until_s=edge, amendments=rule),
        version(TERMS, edge, amendments=rule, **amendment),
    ]
    rows = whole_month(row("n1", 0, 0, 1400, State.DOWN))
    found = draft(versions, holders(NODES), rows, Notices(), PERIOD, FINAL_US)
    assert (len(found.parts), found.highest) == (parts, highest)
    assert found.parts[-1].version == 2


def test_a_statement_names_outage_credit_delivery_and_terms() -> None:
    rows = whole_month(row("n1", 0, 0, 2 * HOUR, State.DOWN, cause="xid"))
    case = case_of([version(TERMS)], holders(NODES), rows, Notices(), PERIOD, FINAL_US)
    found = statement_of(case, simulated=True)
    (part,), line = found.parts, units(found)["n1"]
    (outage,) = line.outages
    assert (found.simulated, found.local_start) == (True, "2026-05-01T00:00:00+08:00")
    assert (line.objective, line.verdict) == ("a", "BREACHED")
    assert (outage.start, outage.end) == ("2026-04-30T16:00:00Z", "2026-04-30T18:00:00Z")
    assert outage.causes == (Cause("n1", "down", "xid"),)
    (credit,) = line.credits
    assert (credit.highest, credit.tier) == ("1000.00", "[0.9,0.999)")
    assert credit.formula == Note("tiers", {"pct": "10"})
    assert part.delivery[0].healthy_gpu_seconds == 2974 * HOUR
    assert "scope: per_unit" in part.terms


def test_the_json_holds_no_float() -> None:
    def refuse(digits: str) -> None:
        raise AssertionError(digits)

    rows = whole_month(row("n1", 0, 0, 2 * HOUR, State.DOWN))
    json.loads(drafted(rows).json(), parse_float=refuse)


def test_the_digest_names_the_inputs_and_not_how_they_were_held_in_memory() -> None:
    """Sets of text change their order from process to process."""
    names = [f"node-{number}" for number in range(40)]
    windows = [
        Window("m", START, START + 1, START, frozenset(order)) for order in (names, names[::-1])
    ]
    digests = {drafted([], Notices((window,))).inputs_digest for window in windows}
    assert len(digests) == 1
    assert drafted([]).inputs_digest not in digests


def test_probes_and_damages_have_their_lines() -> None:
    performance = [
        {
            "id": "p",
            "probe": "gemm",
            "threshold": "0.9",
            "op": ">=",
            "missing": "excluded",
            "target": "0.9",
        }
    ]
    damages = [{"id": "d", "trigger": "late_delivery", "side": "provider", "daily_rate": "0.001"}]
    batch = {"id": "A", "nodes": "2", "due": "2026-05-01", "value": "100000"}
    resources = [{**TERMS["resources"][0], "delivery": [batch]}]  # type: ignore[index]
    accepted = ToldEvent("batch_accepted", START + 3 * DAY, "A")
    probes = {"p": (Samples(10, Fraction(1)), Samples(1, None))}
    notices = Notices(events=(accepted,), probes=lambda *_: probes)
    found = drafted(
        whole_month(),
        notices,
        performance=performance,
        liquidated_damages=damages,
        resources=resources,
    )
    (probed,) = found.parts[0].probes
    assert (probed.objective, probed.verdict, probed.share) == ("p", "MET", "1.000000000")
    assert (probed.good, probed.valid, probed.scheduled) == ("10", 10, 28 * 288)
    (late,) = found.parts[0].others
    assert (late.credit, late.highest) == ("d", "300.00")
    assert late.formula.code == "liquidated_damages"
    assert late.formula.arguments == {"days_late": 3, "ten_thousandths": "10", "exact": "300"}
    assert found.highest == "300.00"


@pytest.mark.parametrize(
    ("rule", "kind", "served"),
    [
        ("acceptance", "acceptance_signed", PERIOD.seconds - 5 * DAY - 9 * HOUR),
        ("next_local_midnight", "acceptance_signed", PERIOD.seconds - 6 * DAY),
        ("delivery", "delivered", PERIOD.seconds - 5 * DAY - 9 * HOUR),
        ("first_use", "acceptance_signed", PERIOD.seconds),
    ],
)
def test_time_before_the_start_of_service_is_neither_judged_nor_paid(
    rule: str, kind: str, served: int
) -> None:
    started = ToldEvent(kind, START + 5 * DAY + 9 * HOUR)
    rows = whole_month(row("n1", 0, 0, DAY, State.DOWN))
    prices = [{"unit": "gpu_hour", "price": "3.60"}]
    found = drafted(
        rows, Notices(events=(started,)), acceptance={"billing_starts": rule}, pricing=prices
    )
    line = units(found)["n1"]
    assert line.service_seconds == served == sum(line.seconds.values())
    assert line.verdict == ("BREACHED" if served == PERIOD.seconds else "MET")
    assert Decimal(found.parts[0].fees[0].gross) == Decimal(4 * served) / 1000


def test_unhealthy_hours_are_not_billed_where_only_healthy_ones_are_paid() -> None:
    rows = whole_month(row("n1", 0, 0, 3 * HOUR, State.DOWN))
    prices = [{"unit": "gpu_hour", "price": "12.50"}]
    for rule, unbilled in (("true", "37.50"), ("false", "0.00")):
        fee = drafted(rows, pricing=prices, pay_only_healthy=rule).parts[0].fees[0]
        assert fee.unbilled == unbilled
        assert Decimal(fee.gross) - Decimal(fee.unbilled) == Decimal(fee.net)


def test_an_amendment_gives_maintenance_no_second_cap_in_the_same_period() -> None:
    """An hour is allowed in the month: the window before the amendment takes it all."""
    edge = START + PERIOD.seconds // 2
    terms: dict[str, Any] = {"maintenance": {"min_notice_s": "0", "max_s_per_period": "3600"}}
    amendment = {"version": "2", "supersedes": "1", "effective": instant_text(edge)} | terms
    versions = [version(TERMS, until_s=edge, **terms), version(TERMS, edge, **amendment)]
    windows = tuple(Window(name, at, at + HOUR, 0) for name, at in (("a", START), ("b", edge)))
    found = draft(versions, holders(NODES), whole_month(), Notices(windows), PERIOD, FINAL_US)
    excluded = [(line.id, line.excluded_seconds) for one in found.parts for line in one.maintenance]
    assert excluded == [("a", HOUR), ("b", 0)]
    assert [one.units[0].excluded_seconds for one in found.parts] == [HOUR, 0]
    assert "maintenance_cap_exceeded" in found.flags
