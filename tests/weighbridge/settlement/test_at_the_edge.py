"""Exactly at the edge, and one beside it on both sides: what settlement makes of instants, shares and amounts."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest

from tests.weighbridge.scripted import holders
from weighbridge.contract import load
from weighbridge.contract.money import ClaimTerms, MaintenanceCount
from weighbridge.judge.assignments import Version
from weighbridge.judge.ledger import Row, State
from weighbridge.settlement.case import Notices, cutoff_us
from weighbridge.settlement.claims import standing
from weighbridge.settlement.draft import draft
from weighbridge.settlement.intervals import clip, complement, depth, partition
from weighbridge.settlement.maintenance import first_seconds
from weighbridge.settlement.money import round_half_up
from weighbridge.settlement.period_labels import cut, periods_around, promised, ruling
from weighbridge.settlement.periods import (
    Period,
    calendar_month,
    calendar_year,
    contract_months,
    local_hours,
    months_within,
    served_part_s,
)
from weighbridge.settlement.probes import Samples
from weighbridge.settlement.record import Claim, Record, Span, ToldEvent, Window
from weighbridge.settlement.remedies import excess_maintenance
from weighbridge.settlement.service import silence_accepted_s, start_of_s
from weighbridge.settlement.settle import settle
from weighbridge.settlement.statement import Statement

SECOND = 1_000_000
HOUR, DAY = 3600, 86400
MAY = calendar_month("2026-05", "UTC")
CUTOFF = MAY.end_s + 5 * DAY
HALF = MAY.start_s + 15 * DAY
TERMS: Mapping[str, Any] = {
    "contract_id": "K",
    "effective": "2026-01-01T00:00:00Z",
    "time_zone": "UTC",
    "currency": "CNY",
    "parties": [{"id": "P", "role": "provider"}, {"id": "L", "role": "lessee"}],
    "term": {"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"},
    "resources": [{"id": "r", "accelerator": {"sku": "any"}, "nodes": "1", "per_node": "1"}],
    "availability": [{"id": "a", "target": "0.999"}],
    "unknown": {"policy": "hold"},
}
CREDIT: dict[str, Any] = {
    "id": "c",
    "objective": "a",
    "kind": "tiers",
    "base": {"amount": "1000"},
    "tiers": [{"at_or_above": "0", "below": "0.999", "pct": "10"}],
}


def version(**more: Any) -> Version:
    text = json.dumps(dict(TERMS) | more)
    return Version(load(text), text, 0, 4_000_000_000 * SECOND)


def row(start_s: int, end_s: int, state: State, recorded_s: int = 0) -> Row:
    edges = (start_s * SECOND, end_s * SECOND)
    return Row("K", "n1", 0, "GPU", "chain", *edges, state, "", recorded_s * SECOND)


def drafted(
    *said: ToldEvent | Window | Claim,
    rows: tuple[Row, ...] = (),
    versions: tuple[Version, ...] = (),
    as_of_s: int = CUTOFF + DAY,
    **more: Any,
) -> Statement:
    notices = Notices(
        windows=tuple(one for one in said if isinstance(one, Window)),
        claims=tuple(one for one in said if isinstance(one, Claim)),
        events=tuple(one for one in said if isinstance(one, ToldEvent)),
    )
    every = [row(MAY.start_s - 9 * DAY, MAY.end_s + 9 * DAY, State.UP), *rows]
    ruled = versions or (version(**more),)
    return draft(ruled, holders(["n1"]), every, notices, MAY, as_of_s * SECOND)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


# --- probes

PROBE = {
    "id": "p",
    "probe": "gemm",
    "threshold": "1",
    "op": ">=",
    "missing": "excluded",
    "target": "0.9",
    "min_samples": "10",
}


@pytest.mark.parametrize(
    ("good", "bad", "verdict"),
    [
        (9, 0, "UNKNOWN"),
        (10, 0, "MET"),
        (11, 0, "MET"),
        (8, 1, "UNKNOWN"),
        (8, 2, "BREACHED"),
        (9, 1, "MET"),
    ],
)
def test_probes_give_a_verdict_from_the_least_number_on_and_keep_the_target_at_the_target(
    good: int, bad: int, verdict: str
) -> None:
    answers = (Samples(good, Fraction(1)), Samples(bad, Fraction(0)), Samples(90, None))
    record = Record(probes={"p": answers})
    terms = version(performance=[PROBE]).contract
    (found,) = settle(terms, record, MAY, {"a": ["n1"]}, CUTOFF).probed
    assert found.verdict.name == verdict


# --- credits


@pytest.mark.parametrize("edge", [None, MAY.start_s + 1, HALF, MAY.end_s - 1])
def test_a_voucher_lapses_by_the_end_of_the_period_whichever_part_of_it_gave_it(
    edge: int | None,
) -> None:
    """Ten days after May: 11 June; of a part that ended in May as well."""
    one = version(credits=[CREDIT | {"form": "voucher", "expiry_days": "10"}])
    ruled: tuple[Version, ...] = (one,)
    if edge is not None:
        ruled = (replace(one, until_us=edge * SECOND), replace(one, from_us=edge * SECOND))
    found = drafted(versions=ruled)
    expires = [line.expires for part in found.parts for line in part.units[0].credits]
    assert expires == ["2026-06-11T00:00:00Z"] * len(ruled)


@pytest.mark.parametrize(("as_of_s", "found"), [(99, "open"), (100, "lapsed"), (101, "lapsed")])
def test_what_is_not_claimed_lapses_at_the_deadline(as_of_s: int, found: str) -> None:
    terms = ClaimTerms.model_validate({"required": "true", "deadline_days": "1"})
    assert standing(terms, 100, [], MAY, "n1", as_of_s) == found


@pytest.mark.parametrize(("filed_s", "found"), [(99, "filed"), (100, "lapsed"), (101, "lapsed")])
def test_a_claim_at_the_deadline_is_too_late(filed_s: int, found: str) -> None:
    terms = ClaimTerms.model_validate({"required": "true", "deadline_days": "1"})
    claim = Claim(MAY.label, filed_s)
    assert standing(terms, 100, [claim], MAY, "n1", 1000) == found


@pytest.mark.parametrize(("seconds", "flags"), [(2678, ()), (2679, ("claim_lapsed",))])
def test_a_claim_lapses_only_where_something_was_earned(
    seconds: int, flags: tuple[str, ...]
) -> None:
    """The target leaves 2678.4 seconds."""
    down = row(MAY.start_s, MAY.start_s + seconds, State.DOWN)
    claim = {"required": "true", "deadline_days": "1"}
    assert drafted(rows=(down,), credits=[CREDIT], claim=claim).flags == flags


@pytest.mark.parametrize(("least", "lines"), [("743.99", 1), ("744", 1), ("744.01", 2)])
def test_a_price_at_its_minimum_is_not_filled_up(least: str, lines: int) -> None:
    prices = [{"unit": "gpu_hour", "price": "1", "minimum": least}]
    assert len(drafted(pricing=prices).parts[0].fees) == lines


@pytest.mark.parametrize(
    ("number", "text"),
    [("-1/200", "-0.01"), ("-1/201", "0.00"), ("0", "0.00"), ("1/201", "0.00"), ("1/200", "0.01")],
)
def test_nothing_is_never_less_than_nothing(number: str, text: str) -> None:
    assert f"{round_half_up(Fraction(number), 2):f}" == text


# --- service by silence: delivered on 10 May at noon, deemed accepted after 3 days

NOON = at("2026-05-10T12:00")
SILENT = at("2026-05-14")
DEEMED: dict[str, Any] = {
    "acceptance": {"billing_starts": "acceptance", "deemed_acceptance_days": "3"}
}


@pytest.mark.parametrize(
    ("refused_s", "accepted"),
    [
        (NOON - 1, True),
        (NOON, False),
        (NOON + 1, False),
        (SILENT - 1, False),
        (SILENT, True),
        (SILENT + 1, True),
    ],
)
def test_a_refusal_counts_from_the_instant_of_the_delivery_to_the_end_of_the_last_day(
    refused_s: int, *, accepted: bool
) -> None:
    said = [ToldEvent("delivered", NOON), ToldEvent("acceptance_refused", refused_s)]
    start = start_of_s(version(**DEEMED).contract, said, CUTOFF)
    assert start == (SILENT if accepted else None)


@pytest.mark.parametrize(
    ("heard_s", "accepted"), [(SILENT - 1, False), (SILENT, True), (SILENT + 1, True)]
)
def test_a_refusal_counts_by_when_it_could_be_heard(heard_s: int, *, accepted: bool) -> None:
    refusal = ToldEvent("acceptance_refused", NOON, received_s=heard_s)
    start = start_of_s(version(**DEEMED).contract, [ToldEvent("delivered", NOON), refusal], CUTOFF)
    assert (start is not None) is accepted


@pytest.mark.parametrize(("as_of_s", "start"), [(SILENT - 1, None), (SILENT, SILENT)])
def test_silence_accepts_as_the_last_day_ends(as_of_s: int, start: int | None) -> None:
    assert start_of_s(version(**DEEMED).contract, [ToldEvent("delivered", NOON)], as_of_s) == start


@pytest.mark.parametrize(
    ("signed_s", "silent"), [(SILENT - 1, None), (SILENT, SILENT), (SILENT + 1, SILENT)]
)
def test_who_signs_before_silence_accepts_has_accepted(signed_s: int, silent: int | None) -> None:
    said = [ToldEvent("delivered", NOON), ToldEvent("acceptance_signed", signed_s)]
    assert silence_accepted_s(version(**DEEMED).contract, said, CUTOFF) == silent


@pytest.mark.parametrize(
    ("delivered", "flagged"),
    [
        ("2026-04-26T12:00", False),
        ("2026-04-27T12:00", True),
        ("2026-05-27T12:00", True),
        ("2026-05-28T12:00", False),
    ],
)
def test_silence_is_told_of_in_the_period_in_which_it_accepts(
    delivered: str, *, flagged: bool
) -> None:
    """Four days later at midnight."""
    found = drafted(ToldEvent("delivered", at(delivered)), **DEEMED)
    assert ("accepted_by_silence" in found.flags) is flagged


@pytest.mark.parametrize(
    ("delivered", "billed"), [("2026-06-02", "0.00"), ("2026-06-03", "744.00")]
)
def test_silence_after_the_cut_off_changes_nothing_that_is_final(
    delivered: str, billed: str
) -> None:
    """It accepts four days later: at the cut-off, or a day after it, and then May is billed from its beginning."""
    told = ToldEvent("delivered", at(f"{delivered}T12:00"))
    terms = DEEMED | {"pricing": [{"unit": "gpu_hour", "price": "1"}]}
    for as_of_s in (CUTOFF, CUTOFF + 40 * DAY):
        found = drafted(told, as_of_s=as_of_s, **terms)
        assert found.final
        assert [fee.net for part in found.parts for fee in part.fees] == [billed]


# --- the cut-off, and the borders of the period


@pytest.mark.parametrize(
    ("as_of_s", "final"), [(CUTOFF - 1, False), (CUTOFF, True), (CUTOFF + 1, True)]
)
def test_a_statement_is_final_as_of_the_cut_off(as_of_s: int, *, final: bool) -> None:
    assert cutoff_us(version().contract, MAY) == CUTOFF * SECOND
    assert drafted(as_of_s=as_of_s).final is final
    terms = version().contract
    assert settle(terms, Record(), MAY, {"a": ["n1"]}, as_of_s).final is final


@pytest.mark.parametrize(
    ("recorded_s", "seconds", "late"),
    [(CUTOFF - 1, 60, False), (CUTOFF, 60, False), (CUTOFF + 1, 0, True)],
)
def test_a_row_that_is_written_down_at_the_cut_off_is_in_time(
    recorded_s: int, seconds: int, *, late: bool
) -> None:
    found = drafted(rows=(row(HALF, HALF + 60, State.DOWN, recorded_s),))
    assert found.parts[0].units[0].counted_seconds == (seconds, seconds)
    assert ("data_after_cutoff" in found.flags) is late


@pytest.mark.parametrize(
    ("at_s", "received_s", "counts"),
    [
        (CUTOFF, CUTOFF, True),
        (CUTOFF, CUTOFF + 1, False),
        (CUTOFF - 1, CUTOFF + 1, False),
        (CUTOFF + 1, CUTOFF + 2, True),
        (CUTOFF + 1, None, True),
    ],
)
def test_what_happened_by_the_cut_off_and_is_told_of_after_it_never_counts(
    at_s: int, received_s: int | None, *, counts: bool
) -> None:
    assert ToldEvent("restored", at_s, "n1", received_s=received_s).told_by(CUTOFF) is counts


@pytest.mark.parametrize(
    ("at_s", "shown"),
    [(MAY.start_s - 1, 0), (MAY.start_s, 1), (MAY.end_s - 1, 1), (MAY.end_s, 0)],
)
def test_a_replaced_gpu_is_of_the_period_in_which_it_was_replaced(at_s: int, shown: int) -> None:
    found = drafted(ToldEvent("gpu_replaced", at_s, "n1.0"))
    assert (len(found.swaps), "gpu_identity_changed" in found.flags) == (shown, bool(shown))


@pytest.mark.parametrize(("before_s", "shown"), [(-1, 0), (0, 1), (1, 1)])
def test_an_event_at_the_instant_of_the_statement_has_happened(before_s: int, shown: int) -> None:
    event = ToldEvent("gpu_replaced", HALF - before_s, "n1.0")
    assert len(drafted(event, as_of_s=HALF).swaps) == shown


LOST = {"id": "w", "kind": "lost_work", "event": "crash", "cap_s": "9999", "hour_price": "3600"}


@pytest.mark.parametrize(
    ("at_s", "paid"), [(MAY.start_s - 1, 0), (MAY.start_s, 1), (MAY.end_s - 1, 1), (MAY.end_s, 0)]
)
def test_an_event_is_paid_for_in_the_period_in_which_it_happened(at_s: int, paid: int) -> None:
    found = drafted(ToldEvent("crash", at_s, "n1", since_s=at_s - 10), credits=[LOST])
    assert found.highest == f"{10 * paid}.00"


@pytest.mark.parametrize(
    ("edges", "shown"),
    [
        ((MAY.start_s - 9, MAY.start_s), False),
        ((MAY.start_s - 9, MAY.start_s + 1), True),
        ((MAY.end_s - 1, MAY.end_s + 9), True),
        ((MAY.end_s, MAY.end_s + 9), False),
    ],
)
def test_maintenance_that_ends_as_the_period_begins_is_not_of_it(
    edges: tuple[int, int], *, shown: bool
) -> None:
    """Announced too late, and received after the cut-off: it is shown, or told of, only where it touches the period."""
    late = Window("m", *edges, received_s=edges[0])
    found = drafted(late, maintenance={"min_notice_s": "1"})
    assert bool(found.parts[0].maintenance) is shown
    assert ("late_maintenance_notice" in found.flags) is shown
    after = Window("m", *edges, received_s=CUTOFF + 1)
    assert ("data_after_cutoff" in drafted(after).flags) is shown


@pytest.mark.parametrize(("notice_s", "ruling"), [(59, "late_notice"), (60, "excluded")])
def test_a_notice_of_exactly_the_least_time_is_in_time(notice_s: int, ruling: str) -> None:
    window = Window("m", HALF, HALF + 60, HALF - notice_s)
    (line,) = drafted(window, maintenance={"min_notice_s": "60"}).parts[0].maintenance
    assert line.ruling == ruling


@pytest.mark.parametrize(
    ("edges", "flags"),
    [
        ((MAY.start_s - 9, MAY.start_s), ()),
        ((MAY.start_s - 9, MAY.start_s + 1), ("data_after_cutoff",)),
        ((MAY.end_s - 1, MAY.end_s + 9), ("data_after_cutoff",)),
        ((MAY.end_s, MAY.end_s + 9), ()),
    ],
)
def test_late_evidence_of_another_period_raises_no_flag(
    edges: tuple[int, int], flags: tuple[str, ...]
) -> None:
    span = Span("n1", State.DOWN, *edges, recorded_s=CUTOFF + 1)
    found = settle(version().contract, Record((span,)), MAY, {"a": ["n1"]}, CUTOFF + DAY)
    assert found.flags == flags


@pytest.mark.parametrize(
    ("other", "causes"),
    [
        ((90, 100), ("down",)),
        ((149, 150), ("contested", "down")),
        ((200, 210), ("down",)),
    ],
)
def test_a_cause_that_ends_as_the_outage_begins_is_none_of_it(
    other: tuple[int, int], causes: tuple[str, ...]
) -> None:
    """Contested time is up here; a second of it in the middle is merged into the outage."""
    seen = [(*other, State.CONTESTED), (100, 149, State.DOWN), (150, 200, State.DOWN)]
    rows = tuple(row(HALF + start, HALF + end, state) for start, end, state in seen)
    merged = [{"id": "a", "target": "0.999", "counting": {"merge_gap_s": "1"}}]
    unknown = {"policy": "up", "contested": "up"}
    found = drafted(rows=rows, unknown=unknown, availability=merged)
    (outage,) = found.parts[0].units[0].outages
    assert tuple(one.state for one in outage.causes) == causes


@pytest.mark.parametrize(
    ("edge", "starts"),
    [
        (MAY.start_s, ["2026-05-01T00:00:00Z"]),
        (MAY.start_s + 1, ["2026-05-01T00:00:00Z", "2026-05-01T00:00:01Z"]),
        (MAY.end_s - 1, ["2026-05-01T00:00:00Z", "2026-05-31T23:59:59Z"]),
        (MAY.end_s, ["2026-05-01T00:00:00Z"]),
    ],
)
def test_an_amendment_at_a_border_of_the_period_splits_nothing(
    edge: int, starts: list[str]
) -> None:
    one = version()
    ruled = (replace(one, until_us=edge * SECOND), replace(one, from_us=edge * SECOND))
    assert [part.start for part in drafted(versions=ruled).parts] == starts


# --- rights to leave


@pytest.mark.parametrize(("missed", "standing_"), [("1", "open"), ("2", "open"), ("3", "not_met")])
def test_a_right_is_open_while_the_periods_that_are_open_could_just_give_it(
    missed: str, standing_: str
) -> None:
    """Of three periods one was met and two are not settled."""
    right = {"objective": "a", "missed": missed, "of_periods": "3"}
    (line,) = drafted(exit_rights=[right]).exits
    assert line.standing == standing_


# --- repairs that telemetry does not confirm, at most a sampling gap after the end

MENDED = {"id": "m", "objective_s": "60", "clock_from": "report"}


@pytest.mark.parametrize(
    ("edges", "flagged"),
    [
        ((0, 30), False),
        ((0, 31), True),
        ((-60, 31), True),
        ((1, 99), False),
    ],
)
def test_a_repair_that_ends_within_a_gap_before_the_outage_does_is_believed(
    edges: tuple[int, int], *, flagged: bool
) -> None:
    said = [ToldEvent("fault_reported", HALF - HOUR, "n1"), ToldEvent("restored", HALF, "n1")]
    down = row(HALF + edges[0], HALF + edges[1], State.DOWN)
    sampling = {"interval_s": "10", "max_gap_s": "30"}
    found = drafted(*said, rows=(down,), repair=[MENDED], sampling=sampling)
    assert ("repaired_while_down" in found.flags) is flagged


@pytest.mark.parametrize(("seconds", "verdict"), [(59, "MET"), (60, "MET"), (61, "BREACHED")])
def test_a_repair_of_exactly_the_promised_time_is_in_time(seconds: int, verdict: str) -> None:
    said = [ToldEvent("fault_reported", HALF, "n1"), ToldEvent("restored", HALF + seconds, "n1")]
    (clock,) = drafted(*said, repair=[MENDED]).parts[0].clocks
    assert clock.verdict == verdict


# --- periods and intervals

YEAR = calendar_year("2026", "UTC")
MANY = MaintenanceCount.model_validate(
    {
        "id": "x",
        "kind": "maintenance_count",
        "allowed_per_year": "1",
        "base_amount": "1",
        "fraction_per_hour": "1",
        "partial": "ceil",
    }
)


@pytest.mark.parametrize(
    ("starts", "excess"),
    [
        ((YEAR.start_s - 1, YEAR.start_s), 0),
        ((YEAR.start_s, YEAR.start_s + 1), 1),
        ((YEAR.start_s, YEAR.end_s - 1), 1),
        ((YEAR.start_s, YEAR.end_s), 0),
    ],
)
def test_maintenance_counts_in_the_year_in_which_it_begins(
    starts: tuple[int, int], excess: int
) -> None:
    windows = [Window(str(start), start, start + 9, 0) for start in starts]
    assert len(list(excess_maintenance(MANY, windows, YEAR))) == excess


@pytest.mark.parametrize(
    ("margin_s", "labels"),
    [
        (0, []),
        (1, ["2026-04", "2026-06"]),
        (30 * DAY - 1, ["2026-04", "2026-06"]),
        (30 * DAY, ["2026-04", "2026-06"]),
        (30 * DAY + 1, ["2026-04", "2026-03", "2026-06", "2026-07"]),
    ],
)
def test_periods_that_a_margin_only_touches_are_not_within_it(
    margin_s: int, labels: list[str]
) -> None:
    """April and June have 30 days."""
    around = periods_around(version().contract, MAY, margin_s)
    assert [period.label for period in around] == labels


TOKYO_S = calendar_month("2026-05", "Asia/Tokyo")


@pytest.mark.parametrize(
    ("from_s", "start_s", "end_s"),
    [
        (TOKYO_S.start_s, TOKYO_S.start_s, TOKYO_S.end_s),
        (TOKYO_S.start_s + 1, MAY.start_s, TOKYO_S.end_s),
        (TOKYO_S.end_s, MAY.start_s, TOKYO_S.end_s),
        (TOKYO_S.end_s + 1, MAY.start_s, MAY.end_s),
    ],
)
def test_a_border_is_that_of_the_version_in_force_as_it_comes(
    from_s: int, start_s: int, end_s: int
) -> None:
    versions = [version(), replace(version(time_zone="Asia/Tokyo"), from_us=from_s * SECOND)]
    found = cut(versions, "2026-05")
    assert (found.start_s, found.end_s) == (start_s, end_s)


@pytest.mark.parametrize(
    ("from_s", "ruled"), [(MAY.end_s - 1, 2), (MAY.end_s, 1), (MAY.end_s + 1, 1)]
)
def test_a_version_from_the_end_of_a_period_on_rules_none_of_it(from_s: int, ruled: int) -> None:
    versions = [version(), replace(version(), from_us=from_s * SECOND)]
    assert len(ruling(versions, MAY)) == ruled


@pytest.mark.parametrize(
    ("term", "found"),
    [
        (("2026-01-01T00:00:00Z", "2026-05-01T00:00:00Z"), False),
        (("2026-01-01T00:00:00Z", "2026-05-01T00:00:01Z"), True),
        (("2026-05-31T23:59:59Z", "2026-07-01T00:00:00Z"), True),
        (("2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z"), False),
    ],
)
def test_a_period_that_a_term_only_touches_is_not_promised(
    term: tuple[str, str], *, found: bool
) -> None:
    dates = {"effective": term[0], "term": {"from": term[0], "to": term[1]}}
    assert promised([version(**dates)], MAY) is found


@pytest.mark.parametrize(("past_s", "months"), [(-1, 1), (0, 1), (1, 2)])
def test_months_end_with_the_time_that_they_are_asked_for(past_s: int, months: int) -> None:
    assert len(list(months_within(MAY.start_s, MAY.end_s + past_s, "UTC"))) == months
    assert len(list(contract_months("UTC", (MAY.start_s, MAY.end_s + past_s)))) == months


@pytest.mark.parametrize(("past_s", "hours"), [(-1, 1), (0, 1), (1, 2)])
def test_a_clock_hour_is_touched_from_its_first_second_on(past_s: int, hours: int) -> None:
    assert len(list(local_hours((HALF, HALF + HOUR + past_s), "UTC"))) == hours


@pytest.mark.parametrize(
    ("service", "served"),
    [
        ((0, 100), (100, 100)),
        ((0, 101), (100, 101)),
        ((199, 300), (199, 200)),
        ((200, 300), (200, 200)),
        ((100, 200), (100, 200)),
    ],
)
def test_service_that_only_touches_a_period_is_none(
    service: tuple[int, int], served: tuple[int, int]
) -> None:
    found = served_part_s(Period("x", 100, 200), service)
    assert found[1] - found[0] == served[1] - served[0]
    assert found == served


@pytest.mark.parametrize(
    ("interval", "inside"),
    [((5, 10), ()), ((5, 11), ((10, 11),)), ((19, 25), ((19, 20),)), ((20, 25), ())],
)
def test_a_set_never_holds_an_empty_interval(
    interval: tuple[int, int], inside: tuple[tuple[int, int], ...]
) -> None:
    assert clip((interval,), (10, 20)) == inside
    assert partition([("x", (interval,))], (10, 20)) == (("x", inside),)
    rest = complement((interval,), (10, 20))
    assert all(start < end for start, end in rest)
    assert sum(end - start for start, end in (*rest, *inside)) == 10


def test_an_interval_from_end_to_end_leaves_nothing_free() -> None:
    assert complement(((10, 20),), (10, 20)) == ()
    assert complement((), (10, 10)) == ()
    assert complement(((11, 19),), (10, 20)) == ((10, 11), (19, 20))


def test_depth_tells_of_no_instant_that_lies_in_no_set_and_of_no_empty_time() -> None:
    assert depth([((0, 5), (7, 9))]) == (((0, 5), 1), ((7, 9), 1))
    assert depth([((0, 5),), ((0, 5),)]) == (((0, 5), 2),)
    assert depth([((0, 5),), ((5, 9),)]) == (((0, 5), 1), ((5, 9), 1))


@pytest.mark.parametrize(
    ("seconds", "kept"),
    [(0, ()), (4, ((0, 4),)), (5, ((0, 5),)), (6, ((0, 5), (9, 10))), (99, ((0, 5), (9, 12)))],
)
def test_the_first_seconds_of_a_set_are_no_more_than_there_are(
    seconds: int, kept: tuple[tuple[int, int], ...]
) -> None:
    assert first_seconds(((0, 5), (9, 12)), seconds) == kept
