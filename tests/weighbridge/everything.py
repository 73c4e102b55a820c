"""Statements and documents that together show every kind of line, state, verdict, flag and note that there is."""

import json
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from tests.weighbridge.handover.building import IDLE, Story, always
from tests.weighbridge.scripted import SIGNER, Log, ScriptedNode, contract_text, holders
from weighbridge.challenge.record import COMMAND, SCHEDULE, ChallengeOutcome, Weighed, Weighing
from weighbridge.contract import load, loaded
from weighbridge.handover.documents import Certificate, DeliveryNote
from weighbridge.judge.alternation import ALTERNATES
from weighbridge.judge.assignments import Version
from weighbridge.judge.attestation_findings import MISSING_CODE, REFUSED_CODE
from weighbridge.judge.ledger import (
    BY_DEVICE,
    JUDGING_FAILED,
    KEY_REVOKED,
    KEY_SHARED,
    OVERLAY,
    Row,
    State,
    Use,
)
from weighbridge.judge.registry import CLAIMED
from weighbridge.judge.two_sides import DOUBTS, OF_LESSEE
from weighbridge.log.checkpoint import log_key
from weighbridge.log.entries import (
    CauseNotice,
    ClaimNotice,
    EventNotice,
    Issued,
    JudgedBy,
    MaintenanceNotice,
    Notice,
    VersionSince,
)
from weighbridge.notices.book import ContractRecord, Cosigned, LoggedNotice
from weighbridge.notices.confirming import Confirmed
from weighbridge.settlement.answers import CLOSED, CONFIRMED, answered
from weighbridge.settlement.case import Notices, case_of
from weighbridge.settlement.draft import draft, statement_of
from weighbridge.settlement.payments import with_payments
from weighbridge.settlement.periods import calendar_month
from weighbridge.settlement.probes import Samples
from weighbridge.settlement.record import Claim, ToldEvent, Window
from weighbridge.settlement.restatement import since_issued
from weighbridge.settlement.statement import AnswerLine, SeriesLine, Statement
from weighbridge.wire.signing import Signer

SECOND, HOUR, DAY = 1_000_000, 3600, 86400
MAY = calendar_month("2026-05", "Asia/Shanghai")
START = MAY.start_s
NODES = ("n1", "n2", "n3")
LATE_US = (MAY.end_s + 5 * DAY) * SECOND + 1
JUDGED = JudgedBy((VersionSince("judge/1"),), (VersionSince("0" * 64),))
GAP = [{"at_or_above": "0.99", "below": "0.999", "pct": "10"}]
BEFORE_THE_MONTH = {"id": "A", "nodes": "3", "due": "2026-04-20", "value": "100000"}
LEAST = [{"at_or_above": "0", "below": "0.999", "pct": "10"}]
TERMS: dict[str, Any] = {
    "contract_id": "K",
    "effective": "2026-04-30T16:00:00Z",
    "time_zone": "Asia/Shanghai",
    "currency": "CNY",
    "parties": [{"id": "P", "role": "provider"}, {"id": "L", "role": "lessee"}],
    "term": {
        "from": "2026-04-30T16:00:00Z",
        "to": "2027-04-30T16:00:00Z",
        "early_exit": [{"party": "L", "fee": "700", "notice_days": "60"}],
    },
    "resources": [
        {
            "id": "r",
            "accelerator": {"sku": "any"},
            "nodes": "3",
            "per_node": "2",
            "capacity": {"precision": "fp16", "per_gpu": "0.5"},
            "delivery": [{"id": "A", "nodes": "3", "due": "2026-04-28", "value": "100000"}],
        }
    ],
    "billing": {"odd_part": "joined"},
    "pricing": [
        {"unit": "node_month", "price": "10000.00"},
        {"unit": "gpu_hour", "price": "1.50"},
        {"unit": "gpu_month", "price": "10", "minimum": "1000"},
        {"unit": "P_month", "price": "20"},
        {"unit": "P_day", "price": "0.30"},
        {"unit": "kW_month", "price": "7", "quantity": "12"},
        {"unit": "fixed_month", "price": "500"},
        {
            "unit": "gpu_hour",
            "price": "0.50",
            "billed": "delivered",
            "steps": [{"above": "100", "price": "0.40"}],
            "rebates": [{"above": "10", "pct": "5"}],
        },
        {
            "unit": "node_month",
            "price": "5",
            "schedule": [{"from": "2026-05-10", "price": "6", "quantity": "1"}],
            "minimum_quantity": "3",
        },
    ],
    "availability": [{"id": "a", "target": "0.999"}],
    "unknown": {"policy": "hold"},
}


def row(node: str, slot: int, start: int, end: int, state: State, cause: str = "") -> Row:
    start_us, end_us = ((START + edge) * SECOND for edge in (start, end))
    device = f"GPU-{node}-{slot}"
    return Row("K", node, slot, device, "chain", start_us, end_us, state, cause, end_us, 7, 9)


def month(*but: Row) -> list[Row]:
    ups = [row(node, slot, 0, MAY.seconds, State.UP, "") for node in NODES for slot in (0, 1)]
    return [*ups, *but]


def drafted(rows: Sequence[Row], notices: Notices, days: int = 6, **more: Any) -> Statement:
    earlier, judged = more.pop("earlier", ()), more.pop("judged", JUDGED)
    uses = more.pop("uses", ())
    text = json.dumps(TERMS | more)
    version = Version(loaded(text), text, 0, 4_000_000_000 * SECOND)
    as_of_us = (MAY.end_s + days * DAY) * SECOND
    nodes = holders(NODES)
    case = case_of([version], nodes, rows, notices, MAY, as_of_us)
    found = statement_of(case, True, earlier, judged, uses)
    return replace(found, zone_data="2026a", calendars="")  # packages change without the engine


def credit(kind: str, objective: str | None = "a", **more: Any) -> dict[str, Any]:
    named = {} if objective is None else {"objective": objective}
    return {"id": f"c-{kind}", "kind": kind} | named | more


def kinds() -> Statement:
    """A credit of each kind, damages of each side, clocks, probes, floors, replacements."""
    price, steps = {"hour_price": "2"}, {"step_s": "3600", "partial": "ceil"}
    credits = [
        credit("tiers", tiers=LEAST),
        credit("tiers", tiers=LEAST, base={"amount": "0"}) | {"id": "c-of-nothing"},
        credit("linear_shortfall", form="cash"),
        credit("increment", increment_s="3600", partial="floor", pct="5", cap={"pct": "15"}),
        credit("beyond_allowance", multiple="2", min_amount="1000000"),
        credit("outage_multiple", multiple="3", **price),
        credit("clock_hour", threshold_s="60", **price),
        credit("per_event", longer_than_s="7200", amount="11", form="voucher", expiry_days="90"),
        credit("daily_rate", **steps),
        credit("capacity_deduction", None, resource="r", price="31"),
        credit(
            "maintenance_count",
            None,
            allowed_per_year="1",
            base_amount="100",
            fraction_per_hour="0.01",
            partial="ceil",
        ),
        credit("repair_steps", None, repair="mend", first_pct="1", step_pct="2", **steps),
        credit("anomaly_hours", None, event="anomaly", factor="3", round_up_to_s="3600", **price),
        credit("lost_work", None, event="crash", cap_s="86400", **price),
    ]
    performance = {
        "id": "gemm",
        "probe": "gemm_tf32",
        "threshold": "0.9",
        "of_reference": "false",
        "op": ">=",
        "missing": "excluded",
        "target": "0.9",
    }
    more: dict[str, Any] = {
        "credits": credits,
        "stacking": {"rule": "sum"},
        "performance": [performance],
        "response": [{"id": "answer", "objective_s": "3600"}],
        "repair": [
            {"id": "mend", "objective_s": "3600", "clock_from": "detection", "unit": "node"}
        ],
        "capacity_floor": {"capacity": "3", "gpus": "6"},
        "maintenance": {"min_notice_s": "3600"},
        "liquidated_damages": [
            {"id": "late", "trigger": "late_delivery", "side": "provider", "daily_rate": "0.001"}
            | {"accrues": "true"},
            {
                "id": "unknown",
                "trigger": "late_delivery",
                "side": "provider",
                "daily_rate": "0.001",
                "day_count": "working_days",
            },
            {"id": "leave", "trigger": "cancellation", "side": "lessee", "flat_pct": "30"},
        ],
        "exit_rights": [
            {"objective": "a", "missed": "1", "of_periods": "2", "flat_pct": "5"}
            | {"base": "amount", "base_amount": "1000"},
            {"trigger": "outage", "objective": "a", "days": "1"},
            {"trigger": "late_delivery", "days": "1", "op": ">=", "flat_pct": "20"},
        ],
        "working_calendar": "ZZ",
    }
    sides: frozenset[Any] = frozenset({"lessee"})
    events = (
        ToldEvent("acceptance_signed", START),
        ToldEvent("fault_detected", START + DAY, "n1"),
        ToldEvent("fault_reported", START + DAY, "n1"),
        ToldEvent("restored", START + DAY + 3 * HOUR, "n1"),
        ToldEvent("device_exchanged", START + DAY, "n2.0", {"new": "GPU-D", "old": "GPU-C"}),
        ToldEvent("gpu_replaced", START + 2 * DAY, "n1.0", {"new": "GPU-B", "old": "GPU-A"}),
        ToldEvent(
            "node_replaced",
            START + 3 * DAY,
            "n2",
            {"new": "n2", "old": "n9", "seen_by": "telemetry"},
        ),
        ToldEvent("batch_accepted", START + 4 * DAY, "A"),
        ToldEvent("anomaly", START + 5 * DAY, "n1", since_s=START + 5 * DAY - 5000, sides=sides),
        ToldEvent("crash", START + 6 * DAY, "n1", since_s=START + 6 * DAY - 9000),
        ToldEvent("cancelled", START + 7 * DAY, "", {"party": "L"}, since_s=START + 6 * DAY),
    )
    windows = tuple(
        Window(f"M{number}", START + number * DAY, START + number * DAY + 5000, START - DAY)
        for number in (10, 11)
    )
    rows = month(
        row("n1", 0, DAY, DAY + 4 * HOUR, State.DOWN, "xid"),
        row("n2", 1, 8 * DAY, 8 * DAY + HOUR, State.UNKNOWN, "no_samples"),
        row("n1", 1, 9 * DAY, 9 * DAY + HOUR, State.DEGRADED, "ecc_off+pcie_width"),
        replace(
            row("n2", 0, 13 * DAY, 13 * DAY + HOUR, State.DOWN, "xid"), chain=f"chain{OF_LESSEE}"
        ),
        replace(
            row("n3", 0, 9 * DAY, 9 * DAY + HOUR, State.CONTESTED), slot=BY_DEVICE, chain=OVERLAY
        ),
        replace(row("n3", 1, 14 * DAY, 14 * DAY + HOUR, State.DOWN, "xid"), late=True),
        replace(
            row("n3", 1, 7 * DAY, 7 * DAY + HOUR, State.CONTESTED, KEY_SHARED),
            slot=BY_DEVICE,
            chain=DOUBTS["provider"],
        ),
        replace(
            row("n3", 1, 17 * DAY, 17 * DAY + HOUR, State.UNKNOWN, KEY_REVOKED),
            slot=BY_DEVICE,
            chain=DOUBTS["provider"],
        ),
        replace(
            row("n3", 0, 7 * DAY, 7 * DAY + 1, State.UP, ALTERNATES), slot=BY_DEVICE, chain=OVERLAY
        ),
        replace(
            row("n3", 0, 7 * DAY + 2, 7 * DAY + 3, State.UP, REFUSED_CODE),
            slot=BY_DEVICE,
            chain=OVERLAY,
        ),
        replace(
            row("n3", 0, 7 * DAY + 3, 7 * DAY + 4, State.UP, MISSING_CODE),
            slot=BY_DEVICE,
            chain=OVERLAY,
        ),
        replace(
            row("n3", 0, 8 * DAY, 8 * DAY + HOUR, State.UP, CLAIMED), slot=BY_DEVICE, chain=OVERLAY
        ),
    )
    answers = (Samples(40, Fraction(1)), Samples(2, Fraction(1, 2)), Samples(3, None))
    at = "2026-05-02T00:00:00Z"
    series = (
        SeriesLine(at, "n1", SCHEDULE, "met", 1, 8 * 10**14, counts=True),
        SeriesLine(at, "n2", COMMAND, "not assessed", 2, None, counts=False),
    )
    notices = Notices(
        windows=windows,
        events=events,
        probes=lambda *_: {"gemm": answers},
        series=lambda *_: series,
    )
    hour_us, device_us = (START + DAY) * SECOND, HOUR * SECOND
    edges = (hour_us, hour_us, hour_us + device_us)
    read = (2 * device_us, 2 * device_us, device_us, 2 * device_us, 50 * device_us, device_us, 9000)
    uses = [Use("K", "n1", "chain", *edges, *read, edges[-1], device_us)]
    return drafted(rows, notices, uses=uses, **more)


def rulings() -> Statement:
    """Maintenance as it is ruled, claims as they stand, moving windows, holes of a table, what came late."""
    tier = {"base": {"amount": "1000"}, "tiers": LEAST}
    claims = {
        "open": {"required": "true", "deadline_days": "30", "opens_working_day": "1"},
        "early": {"required": "true", "deadline_days": "90", "opens_day": "60"},
        "lapsed": {"required": "true", "deadline_days": "1"},
        "automatic": {"required": "false"},
    }
    promises: list[dict[str, Any]] = [
        {"id": "open", "target": "0.999", "unit": "gpu"},
        {"id": "lapsed", "target": "0.999", "scope": "pooled"},
        {"id": "automatic", "target": "0.999", "scope": "all_of"},
        {"id": "moving", "target": "0.999", "period": "rolling", "window_s": "864000"},
        {"id": "told", "target": "0.9", "clock_start": "notice", "scope": "k_of_n", "k": "2"},
    ]
    longest = {"min_outage": {"seconds": "864000", "op": ">"}, "merge_gap_s": "0"}
    promises.append({"id": "short", "target": "0.999", "scope": "pooled", "counting": longest})
    fives = {"length_s": "300", "down_share": "0.5", "op": ">="}
    whole = {"granularity": "intervals", "intervals": fives}
    promises.append({"id": "early", "target": "0.999", "scope": "pooled", "counting": whole})
    more: dict[str, Any] = {
        "availability": promises,
        "credits": [
            credit("tiers", name, **tier) | {"id": name, "claim": terms}
            for name, terms in claims.items()
        ]
        + [
            credit("tiers", "moving", **tier | {"tiers": GAP, "on_gap": "flag"}) | {"id": "gap"},
            credit("per_event", "moving", more_than_events="0", amount="5"),
        ],
        "maintenance": {
            "min_notice_s": "3600",
            "max_count_per_year": "4",
            "max_s_per_period": "9000",
            "windows": [
                {
                    "days": ["mon", "tue", "sun"],
                    "from_minute": "0",
                    "to_minute": "360",
                    "zone": "Asia/Shanghai",
                }
            ],
        },
        "exclusions": {"causes": [{"code": "lessee_fault"}]},
        "acceptance": {"deemed_acceptance_days": "3"},
        "term": TERMS["term"] | {"from": "2026-04-15T16:00:00Z"},
        "resources": [TERMS["resources"][0] | {"delivery": [BEFORE_THE_MONTH]}],
        "liquidated_damages": [
            {"id": "runs", "trigger": "late_delivery", "side": "provider", "accrues": "true"}
            | {"daily_rate": "5/10000"}
        ],
        "exit_rights": [
            {"objective": "open", "missed": "1", "of_periods": "3"},
            {"objective": "lapsed", "missed": "2", "of_periods": "3", "remedy": "no fee"},
            {"objective": "told", "missed": "1", "of_periods": "1", "party": "provider"},
        ],
    }
    starts = (3 * DAY, 4 * DAY, 5 * DAY, 10 * DAY, 11 * DAY)
    windows = tuple(
        Window(f"M{number}", START + at, START + at + 5000, START + at - (number > 0) * DAY)
        for number, at in enumerate(starts)
    )
    windows += (Window("M9", START + 17 * DAY, START + 18 * DAY, START, None, START + DAY),)
    events = (ToldEvent("delivered", START - 2 * DAY), ToldEvent("restored", START + 2 * DAY, "n1"))
    rows = month(
        row("n1", 0, DAY, DAY + 40 * HOUR, State.DOWN, "xid"),
        row("n2", 0, 5 * DAY, 5 * DAY + HOUR, State.DOWN, "lessee_fault"),
        replace(row("n3", 0, 6 * DAY, 6 * DAY + HOUR, State.DOWN), recorded_us=LATE_US),
    )
    claimed = (Claim("2026-05", MAY.end_s + 2 * DAY, "n2.0"),)
    return drafted(rows, Notices(windows, claimed, events), **more)


def under_way() -> Statement:
    """Of the first ten days: one GPU is down now, of another some time is unknown and is held."""
    now, exchanged, silent = 10 * DAY, (4 * DAY, 4 * DAY + HOUR), (8 * DAY, 8 * DAY + HOUR)
    seen = [(node, slot) for node in NODES for slot in (0, 1) if (node, slot) != ("n2", 1)]
    rows = [
        *(row(*place, 0, now, State.UP) for place in seen),
        row("n1", 0, now - HOUR, now, State.DOWN, "xid"),
        row("n2", 1, 0, exchanged[0], State.UP),
        row("n2", 1, *exchanged, State.UNKNOWN, "device_exchanged"),
        row("n2", 1, exchanged[1], silent[0], State.UP),
        row("n2", 1, *silent, State.UNKNOWN, "no_samples"),
        row("n2", 1, silent[1], silent[1] + HOUR, State.UNKNOWN, JUDGING_FAILED),
        row("n2", 1, silent[1] + HOUR, now, State.UP),
    ]
    windows = tuple(
        Window(f"M{day}", START + day * DAY, START + day * DAY + HOUR, START) for day in (9, 20)
    )
    more: dict[str, Any] = {"credits": [credit("tiers", tiers=LEAST)]}
    more["maintenance"] = {"min_notice_s": "3600"}
    accepted = tuple(ToldEvent("acceptance_signed", START, node) for node in NODES[:2])
    notices = Notices(windows, events=accepted)
    return drafted(rows, notices, days=10 - MAY.seconds // DAY, **more)


def not_begun() -> Statement:
    """A term of months that runs from acceptance, which nobody told of."""
    return drafted(month(), Notices(), term=TERMS["term"] | {"months": "12"})


def flapping() -> Statement:
    """A GPU that nobody saw for most of each minute of an hour: too many readings to weigh each."""
    first, last = 20 * DAY, 20 * DAY + 3600
    rest = [one for one in month() if (one.node, one.slot) != ("n1", 0)]
    for start, end in ((0, first), (last, MAY.seconds)):
        rest.append(row("n1", 0, start, end, State.UP))
    for at in range(first, last, 60):
        rest.append(row("n1", 0, at, at + 1, State.UP))
        rest.append(row("n1", 0, at + 1, at + 60, State.UNKNOWN))
    promise = {"id": "a", "target": "0.999", "unit": "gpu", "counting": {"merge_gap_s": "600"}}
    paid = {"multiple": "60", "hour_price": "10", "incident_cap": "20", "owed_when": "missed"}
    credits = [credit("outage_multiple", **paid)]
    return drafted(rest, Notices(), availability=[promise], credits=credits)


def told() -> Statement:
    """A statement that tells what each party said, and of one that was issued before, by other versions."""
    judges = (VersionSince("judge/0"), VersionSince("judge/1", "2026-05-20T00:00:00Z"))
    before = drafted(month(), Notices(), days=1, judged=replace(JUDGED, judge=judges))
    rows = month(row("n1", 0, DAY, DAY + 4 * HOUR, State.DOWN, "xid"))
    after = drafted(
        rows,
        Notices((Window("M1", START, START + HOUR, START - DAY),)),
        effective="2026-01-01T00:00:00Z",
        term=TERMS["term"] | {"from": "2026-01-01T00:00:00Z"},
        availability=[
            *TERMS["availability"],
            {"id": "long", "target": "0.99", "period": "calendar_year"},
        ],
        credits=[credit("tiers", tiers=LEAST)],
        maintenance={"min_notice_s": "3600", "treat": "down"},
        exit_rights=[{"objective": "a", "missed": "2", "of_periods": "3"}],
        payment={"due_days": "10"},
        deposit={"amount": "500", "return_days": "30"},
        liquidated_damages=[
            {"id": "late", "trigger": "late_payment", "side": "lessee", "daily_rate": "5/10000"}
        ],
        stacking={"limits": [{"per": "term", "amount": "5"}]},
        longer_service=[
            {"id": "longer", "objective": "a", "multiple": "2", "whole_days": "ceil"},
            {"id": "late-longer", "trigger": "late_delivery"},
        ],
    )
    issued = Issued(
        contract="K",
        period="2026-05",
        as_of_us=0,
        engine="settlement/0",
        judged=JudgedBy((VersionSince("judge/0"),), (VersionSince("1" * 64),)),
        lowest="1.00",
        highest="2.00",
        digest="f" * 64,
    )
    unpriced = replace(before, lowest=None, highest=None)
    again = [*since_issued(issued, before, after), *since_issued(issued, unpriced, before)]
    known = contract_record()
    silences = (
        Confirmed("confirmed", issued, 0).told(),
        Confirmed("waiting", issued, 0).told(),
        Confirmed("objected", issued, 0, "L").told(),
    )
    notes = (*known.notes(), *replace(known, heard=(), cosigned=None).notes(), *again, *silences)
    at = "2026-06-20T00:00:00Z"
    answers = (
        AnswerLine("claim_accepted", at, "P", "n1", "1.00", "", 11),
        AnswerLine("claim_refused", at, "P", "n2", "", "the lessee's own fault", 12),
        AnswerLine("credit_paid", at, "P", "", "1000000.00", "", 13),
    )
    paid: dict[str, str] = {"amount": "30000.00", "period": "2026-05", "reference": "7"}
    june, both = MAY.end_s + 20 * DAY, frozenset[Any]({"provider", "lessee"})
    money = (
        ToldEvent("fee_paid", june, details=paid, sides=both),
        ToldEvent("deposit_paid", june, details={"amount": "500"}, sides=both),
        ToldEvent("deposit_taken", june, details={"amount": "20", "reason": "a key"}, sides=both),
        ToldEvent("deposit_returned", june, details={"amount": "30"}, sides=frozenset()),
    )
    silent = answered(replace(after, notes=notes), (), CONFIRMED)
    found = answered(silent, answers, CLOSED)
    return with_payments(found, money, MAY.end_s + 400 * DAY)


def contract_record() -> ContractRecord:
    """What parties can say, with their keys and through the collector, in a log that they agreed to cosign."""
    policy = f"log {log_key('log', Signer(bytes(32)).public_key)}\nquorum none\n"
    text = json.dumps(TERMS | {"evidence": {"cosigned_by": policy}})
    at = {"from_us": 0, "until_us": 9}
    said: tuple[MaintenanceNotice | CauseNotice | EventNotice | ClaimNotice, ...] = (
        MaintenanceNotice(kind="maintenance", id="M1", units=[], **at),
        CauseNotice(kind="cause", code="fire", unit="", **at),
        CauseNotice(kind="cause", code="fire", unit="n1", **at),
        EventNotice(kind="event", event="delivered", at_us=5, since_us=None, unit="", details={}),
        EventNotice(kind="event", event="crash", at_us=5, since_us=1, unit="n1", details={}),
        ClaimNotice(kind="claim", period="2026-05", unit=None, objective=None),
    )
    heard = [
        LoggedNotice(
            Notice(contract="K", party="P", said=one, attested_for="admin" if number else None),
            number,
            number,
            "0123456789abcdef" * 4,
        )
        for number, one in enumerate(said)
    ]
    version = Version(load(text), text, 0, 4_000_000_000 * SECOND)
    return ContractRecord((version,), (), heard, cosigned=Cosigned(4711, START * SECOND))


SAMPLES = range(0, 1001, 10)
TESTS = """\
acceptance:
  tests:
    - {probe: sm_clock_megahertz, version: "1", threshold: "1500", quantile: "0.05", duration_s: "600"}
    - {probe: challenge, version: "1", threshold: "600"}
    - {probe: allreduce, version: v2, threshold: "400"}
"""
BATCHES = "delivery: [{id: first, nodes: 3, due: 2026-10-01, value: '10'}]\n    floors:"


def story() -> Story:
    """Two of three nodes: one at work, one half idle and another card; results that parties told, and a proof."""
    made = Story(contract_text(nodes=3).replace("floors:", BATCHES) + TESTS)
    made.assign("n1", "n2")
    made.tell(ScriptedNode("n1"), SAMPLES)
    other = ScriptedNode("n2", identity={"GPU-n2-1": {"memory_total_bytes": 40 << 30}})
    made.tell(other, SAMPLES, always("GPU-n2-1", SAMPLES, IDLE))
    made.say("delivered", 0, unit="first")
    made.say("test_result", 500, "n1", probe="allreduce", value="412.25", version="v2")
    made.say("test_result", 510, "n2", probe="allreduce", value="fast")
    made.say("acceptance_signed", 0, party="L")
    gpus = (
        Weighed("GPU-n1-0", "met", None, 8, 0, 612 * 10**12, None, None, None),
        Weighed("GPU-n1-1", "failed", "wrong_answer", 8, 1, None, None, None, None),
    )
    weighing = Weighing("failed", "wrong_answer", gpus)
    ended = ChallengeOutcome(
        "c.1", "c", "K1", "n1", SIGNER.public_key, weighing, (), b"", (), b"", "failed",
        None, 1, 1, True, (), 0,
    )  # fmt: skip
    made.prove(ended, 600)
    return made


def delivery() -> DeliveryNote:
    return story().note(100_000)


def nothing() -> DeliveryNote:
    """Nothing was delivered by the day on which it was due."""
    made = Story(contract_text(nodes=3).replace("floors:", BATCHES))
    made.assign("n1")
    return made.note(200_000)


def whole() -> DeliveryNote:
    """All that was contracted, and later than service started."""
    made = Story(contract_text(nodes=1))
    made.assign("n1")
    made.say("acceptance_signed", 5, party="L")
    made.tell(ScriptedNode("n1"), [10, 20])
    return made.note(100)


def acceptance() -> Certificate:
    return story().certificate(0, 1000)


def replayed() -> Log:
    """A small log: two nodes, of which one is capped, then silent; a device that is seen in two places."""
    log, good, bad = Log(), ScriptedNode("n1"), ScriptedNode("n2")
    log.contract(contract_text(nodes=2))
    log.assign("n1")
    log.assign("n2")
    again = ScriptedNode("n1", chain="chain-2", boot="boot-2")
    capped = {bad.devices[0]: {"power_limit_enforced_milliwatts": 400_000}}
    for second in range(0, 300, 10):
        log.tick(second)
        log.report(good.report([second]))
        if second < 120:
            log.report(bad.report([second], {second: capped if second in (30, 40) else {}}))
    log.tick_through(300, 310)
    for second in range(310, 350, 10):
        log.tick(second)
        log.report(good.report([second]))
        log.report(again.report([second], node="n2"))
    log.tick_through(341, 350)
    return log


def of_replay() -> Statement:
    """The statement of the month of that log."""
    text = contract_text(nodes=2)
    version = Version(load(text), text, 0, 4_000_000_000 * SECOND)
    period = calendar_month("2026-10", "UTC")
    as_of_us = (period.end_s + 6 * DAY) * SECOND
    nodes = holders(["n1", "n2"])
    return draft([version], nodes, list(replayed().rows()), Notices(), period, as_of_us)


STATEMENTS = {
    "kinds": kinds,
    "rulings": rulings,
    "told": told,
    "flapping": flapping,
    "under_way": under_way,
    "not_begun": not_begun,
    "of_replay": of_replay,
}
DOCUMENTS = {"delivery": delivery, "nothing": nothing, "whole": whole, "acceptance": acceptance}
