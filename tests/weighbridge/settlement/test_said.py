"""What the parties say, and whom it binds, by hand; the period is May 2026 in Shanghai."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.weighbridge.scripted import holders
from tests.weighbridge.written import loaded, written
from weighbridge.judge.assignments import Version
from weighbridge.judge.ledger import Row, State
from weighbridge.settlement.case import Notices
from weighbridge.settlement.draft import draft
from weighbridge.settlement.periods import calendar_month, instant_text
from weighbridge.settlement.record import BOTH, Side, ToldEvent
from weighbridge.settlement.statement import Statement

SECOND = 1_000_000
HOUR = 3600
DAY = 86400
MAY = calendar_month("2026-05", "Asia/Shanghai")
CUTOFF = MAY.end_s + 5 * DAY
LESSEE: frozenset[Side] = frozenset({"lessee"})
PROVIDER: frozenset[Side] = frozenset({"provider"})
TERMS: Mapping[str, Any] = {
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
            "nodes": "1",
            "per_node": "2",
            "delivery": [{"id": "A", "nodes": "1", "due": "2026-05-01", "value": "100000"}],
        }
    ],
    "availability": [{"id": "a", "target": "0.999"}],
    "unknown": {"policy": "hold"},
}
CRASH = {"id": "w", "kind": "lost_work", "event": "crash", "cap_s": "86400", "hour_price": "2"}
MEND = {"id": "mend", "objective_s": "7200", "clock_from": "report"}


def row(slot: int, start: int, end: int, state: State) -> Row:
    start_us, end_us = ((MAY.start_s + edge) * SECOND for edge in (start, end))
    known_us = MAY.end_s * SECOND
    return Row("K", "n1", slot, f"GPU-{slot}", "chain", start_us, end_us, state, "", known_us)


UP = [row(slot, 0, MAY.seconds, State.UP) for slot in (0, 1)]


def drafted(
    *events: ToldEvent, as_of_s: int = CUTOFF + DAY, rows: list[Row] = UP, **more: Any
) -> Statement:
    text = written(dict(TERMS) | more)
    version = Version(loaded(text), text, 0, 4_000_000_000 * SECOND)
    notices = Notices(events=events)
    return draft([version], holders(["n1"]), rows, notices, MAY, as_of_s * SECOND)


def at(day: int, kind: str, unit: str = "", **more: Any) -> ToldEvent:
    return ToldEvent(kind, MAY.start_s + day * DAY, unit, **more)


def crash(sides: frozenset[Side], received_s: int | None = None) -> ToldEvent:
    """Ten hours of work were lost, at 2 an hour."""
    began = MAY.start_s + 2 * DAY - 10 * HOUR
    return at(2, "crash", "n1", since_s=began, sides=sides, received_s=received_s)


@pytest.mark.parametrize(
    ("told", "owed", "flags"),
    [
        ([LESSEE], ("0.00", "20.00"), ("said_by_one_side",)),
        ([PROVIDER], ("20.00", "20.00"), ()),
        ([LESSEE, PROVIDER], ("20.00", "20.00"), ()),
        ([PROVIDER, LESSEE, LESSEE], ("20.00", "20.00"), ()),
        ([LESSEE, LESSEE], ("0.00", "20.00"), ("said_by_one_side",)),
        ([frozenset()], ("0.00", "20.00"), ("said_by_one_side",)),
        ([BOTH], ("20.00", "20.00"), ()),
    ],
)
def test_what_the_lessee_alone_says_is_open_until_the_provider_says_it_too_and_is_paid_once(
    told: list[frozenset[Side]], owed: tuple[str, str], flags: tuple[str, ...]
) -> None:
    found = drafted(*map(crash, told), credits=[CRASH])
    assert ((found.lowest, found.highest), found.flags) == (owed, flags)
    assert len(found.parts[0].others) == 1


def test_a_delivery_that_failed_by_the_lessees_word_alone_is_open() -> None:
    terms = {"id": "d", "trigger": "non_delivery", "side": "provider", "flat_pct": "20"}
    failed = at(10, "not_delivered", "A", sides=LESSEE)
    found = drafted(failed, liquidated_damages=[terms])
    assert (found.lowest, found.highest) == ("0.00", "20000.00")
    assert found.flags == ("said_by_one_side",)


def test_what_the_lessee_would_pay_by_the_providers_word_alone_is_open_too() -> None:
    terms = {"id": "d", "trigger": "non_delivery", "side": "lessee", "flat_pct": "5"}
    failed = at(10, "not_delivered", "A", sides=PROVIDER)
    (line,) = drafted(failed, liquidated_damages=[terms]).parts[0].by_lessee
    assert (line.lowest, line.highest) == ("0.00", "5000.00")


@pytest.mark.parametrize(
    ("received_s", "owed", "flags"),
    [(CUTOFF, "20.00", ()), (CUTOFF + 1, "0.00", ("data_after_cutoff",))],
)
def test_an_event_that_was_told_of_after_the_cut_off_changes_nothing(
    received_s: int, owed: str, flags: tuple[str, ...]
) -> None:
    found = drafted(crash(BOTH, received_s), credits=[CRASH])
    assert (found.highest, found.flags) == (owed, flags)


def test_the_other_side_agrees_until_the_cut_off_and_not_after_it() -> None:
    said = crash(LESSEE, CUTOFF)
    late = drafted(said, crash(PROVIDER, CUTOFF + 1), credits=[CRASH])
    assert (late.lowest, late.highest) == ("0.00", "20.00")
    in_time = drafted(said, crash(PROVIDER, CUTOFF), credits=[CRASH])
    assert (in_time.lowest, in_time.highest) == ("20.00", "20.00")


def test_a_repair_that_ends_after_the_cut_off_or_is_told_of_after_it_stops_no_clock() -> None:
    """What is final stays as it was at the cut-off, whatever happens later."""
    reported, end_s = at(30, "fault_reported", "n1.0"), CUTOFF + HOUR
    now_s = CUTOFF + 2 * DAY

    def clock(*events: ToldEvent) -> tuple[str | None, str]:
        (line,) = drafted(reported, *events, as_of_s=now_s, repair=[MEND]).parts[0].clocks
        return (line.end, line.verdict)

    ended = ToldEvent("restored", end_s, "n1.0", received_s=end_s + HOUR)
    assert clock(ended) == (None, "BREACHED")
    in_time = at(30, "restored", "n1.0", received_s=CUTOFF)
    assert clock(in_time) == (instant_text(in_time.at_s), "MET")
    assert clock(at(30, "restored", "n1.0", received_s=CUTOFF + 1)) == (None, "BREACHED")


@pytest.mark.parametrize(("until", "flags"), [(DAY + 30, ()), (DAY + 31, ("repaired_while_down",))])
def test_a_repair_that_telemetry_does_not_confirm_within_max_gap_is_told(
    until: int, flags: tuple[str, ...]
) -> None:
    events = (at(0, "fault_reported", "n1"), at(1, "restored", "n1"))
    rows = [row(0, 0, until, State.DOWN), row(0, until, MAY.seconds, State.UP), UP[1]]
    pace = {"interval_s": "10", "max_gap_s": "30"}
    assert drafted(*events, rows=rows, repair=[MEND], sampling=pace).flags == flags


def test_a_part_that_was_replaced_may_still_burn_in() -> None:
    terms = MEND | {"clock_to": "replaced"}
    events = (at(0, "fault_reported", "n1"), at(1, "gpu_replaced", "n1"))
    rows = [row(0, 0, 2 * DAY, State.DOWN), row(0, 2 * DAY, MAY.seconds, State.UP), UP[1]]
    assert "repaired_while_down" not in drafted(*events, rows=rows, repair=[terms]).flags


@pytest.mark.parametrize("kind", ["acceptance_signed", "delivered"])
def test_what_happened_after_the_cut_off_moves_no_service_of_the_period(kind: str) -> None:
    rule = {"acceptance_signed": "acceptance", "delivered": "delivery"}[kind]
    late = ToldEvent(kind, CUTOFF + DAY, received_s=CUTOFF + DAY)
    found = drafted(late, as_of_s=CUTOFF + 2 * DAY, acceptance={"billing_starts": rule})
    assert found.parts[0].service == (midnight(0), midnight(31))


def test_a_batch_is_late_once_however_often_it_is_accepted() -> None:
    terms = {"id": "d", "trigger": "late_delivery", "side": "provider", "flat_pct": "5"}
    often = [at(10 + day, "batch_accepted", "A") for day in range(5)]
    assert drafted(*often, liquidated_damages=[terms]).highest == "5000.00"
    before = ToldEvent("batch_accepted", MAY.start_s - DAY, "A")
    assert drafted(before, *often, liquidated_damages=[terms]).highest == "0.00"


def test_both_sides_agree_on_a_failed_delivery_though_they_date_it_otherwise() -> None:
    terms = {"id": "d", "trigger": "non_delivery", "side": "provider", "flat_pct": "20"}
    told = at(10, "not_delivered", "A", sides=LESSEE), at(11, "not_delivered", "A", sides=PROVIDER)
    found = drafted(*told, liquidated_damages=[terms])
    assert (found.lowest, found.highest) == ("20000.00", "20000.00")


def test_the_amount_that_caps_a_period_caps_all_its_repairs_together() -> None:
    penalty = {"id": "p", "kind": "repair_steps", "repair": "mend", "step_s": "3600"}
    penalty |= {"step_pct": "1", "partial": "ceil"}
    credit = penalty | {"base": {"amount": "10000"}, "cap": {"amount": "3000"}}
    pairs = [(at(day, "fault_reported", "n1"), at(day + 1, "restored", "n1")) for day in (1, 3)]
    events = [event for pair in pairs for event in pair]
    assert drafted(*events[:2], repair=[MEND], credits=[credit]).highest == "2200.00"
    assert drafted(*events, repair=[MEND], credits=[credit]).highest == "3000.00"


# --- silence after a delivery


SILENCE = {"deemed_acceptance_days": "5"}


def service(*events: ToldEvent, **more: Any) -> tuple[str, tuple[str, ...]]:
    """From when there is service, and the flags."""
    terms = {"acceptance": SILENCE, **more}
    found = drafted(*events, **terms)
    assert found.parts[0].service is not None
    return found.parts[0].service[0], found.flags


def midnight(day: int) -> str:
    return instant_text(MAY.start_s + day * DAY)


NOON = ToldEvent("delivered", MAY.start_s + 3 * DAY + 12 * HOUR)
"""On 4 May: 9 May is the last day on which it can be refused."""


def test_silence_accepts_at_the_end_of_its_last_day_and_says_so() -> None:
    assert service(NOON) == (midnight(9), ("accepted_by_silence",))
    assert service(NOON, as_of_s=MAY.start_s + 9 * DAY)[0] == midnight(9)
    flags = ("period_under_way", "unknown_time")
    assert service(NOON, as_of_s=MAY.start_s + 9 * DAY - 1) == (midnight(0), flags)


def test_where_the_contract_names_no_days_silence_accepts_nothing() -> None:
    assert service(NOON, acceptance={}) == (midnight(0), ())


def test_a_signature_before_the_last_day_ends_is_an_acceptance_and_no_silence() -> None:
    assert service(NOON, at(8, "acceptance_signed")) == (midnight(8), ())
    assert service(NOON, at(12, "acceptance_signed")) == (midnight(9), ("accepted_by_silence",))


def test_a_refusal_is_no_silence_and_the_next_delivery_counts_anew() -> None:
    refused = at(8, "acceptance_refused")
    assert service(NOON, refused) == (midnight(0), ())
    again = at(10, "delivered")
    assert service(NOON, refused, again) == (midnight(16), ("accepted_by_silence",))


@pytest.mark.parametrize(
    ("rule", "start"), [("next_local_midnight", 10), ("delivery", 3.5), ("first_use", 0)]
)
def test_silence_accepts_for_the_rules_that_wait_for_an_acceptance(rule: str, start: float) -> None:
    found, flags = service(NOON, acceptance=SILENCE | {"billing_starts": rule})
    assert found == instant_text(MAY.start_s + int(start * DAY))
    assert bool(flags) == (rule == "next_local_midnight")


def test_an_acceptance_that_was_told_of_after_the_cut_off_moves_no_service() -> None:
    signed = at(8, "acceptance_signed", received_s=CUTOFF + 1)
    assert service(NOON, signed)[0] == midnight(9)


def test_silence_is_counted_from_when_the_delivery_was_told_of_and_ends_when_a_refusal_is() -> None:
    told_s = MAY.start_s + 20 * DAY
    back_dated = at(3, "delivered", received_s=told_s)
    assert service(back_dated)[0] == midnight(26)
    refused = at(4, "acceptance_refused", received_s=told_s + 2 * DAY)
    assert service(back_dated, refused)[0] == midnight(0)
    too_late = at(4, "acceptance_refused", received_s=told_s + 6 * DAY)
    assert service(back_dated, too_late)[0] == midnight(26)


def test_a_silence_that_is_longer_than_the_term_accepts_nothing() -> None:
    assert service(NOON, acceptance={"deemed_acceptance_days": "100000000"})[0] == midnight(0)
