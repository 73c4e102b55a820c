"""Published forms settle the outages of the worked cases to the amounts of those cases."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest

from weighbridge.contract import Contract, load
from weighbridge.contract.forms import fill, form
from weighbridge.judge.ledger import State
from weighbridge.settlement.periods import calendar_month
from weighbridge.settlement.probes import Samples
from weighbridge.settlement.record import Claim, Record, Span, ToldEvent, Window
from weighbridge.settlement.settle import settle

LATER = 4_000_000_000


def instant(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def contract(
    name: str, node_month: str, zone: str, start: str = "2026-01-01T00:00:00Z", **own: str
) -> Contract:
    values = {
        "contract_id": "K",
        "from": start,
        "to": "2027-06-16T16:00:00Z",
        "time_zone": zone,
        "currency": "USD",
        "provider": "P",
        "lessee": "L",
        "sku": "H100-SXM-80GB",
        "nodes": "1",
        "per_node": "8",
        "node_month": node_month,
        "unknown": "down",
    }
    return load(fill(form(name), values | own))


def owed(
    terms: Contract, label: str, outages: list[tuple[str, str]], events: tuple[ToldEvent, ...] = ()
) -> Decimal | None:
    period = calendar_month(label, terms.time_zone)
    spans = tuple(Span("n1", State.DOWN, instant(start), instant(end)) for start, end in outages)
    filed = (period.end_s, period.end_s + 20 * 86400)
    record = Record(spans, claims=tuple(Claim(label, at) for at in filed), events=events)
    units = {promise.id: ["n1"] for promise in terms.availability}
    return settle(terms, record, period, units, LATER).highest


@pytest.mark.parametrize(
    ("name", "fee", "zone", "start", "label", "outages", "amount"),
    [
        (
            "tencent-cvm",
            "45000.00",
            "Asia/Shanghai",
            "2026-03-16T16:00:00Z",
            "2026-03",
            [
                ("2026-03-20T06:01:01Z", "2026-03-20T07:01:29Z"),
                ("2026-03-22T01:00:00Z", "2026-03-22T01:00:59Z"),
                ("2026-03-25T01:00:00Z", "2026-03-25T01:01:01Z"),
                ("2026-03-26T01:00:00Z", "2026-03-26T01:01:00Z"),
            ],
            "2177.42",
        ),
        (
            "gpuyard",
            "2400.00",
            "UTC",
            "2026-01-01T00:00:00Z",
            "2026-05",
            [
                ("2026-05-04T08:00:00Z", "2026-05-04T09:10:00Z"),
                ("2026-05-19T20:00:00Z", "2026-05-19T22:10:00Z"),
            ],
            "240.00",
        ),
        (
            "ionstream-bare-metal",
            "18000.00",
            "UTC",
            "2026-01-01T00:00:00Z",
            "2026-04",
            [("2026-04-17T06:00:00Z", "2026-04-17T12:00:00Z")],
            "132.00",
        ),
        (
            "nebius-kubernetes",
            "9000.00",
            "UTC",
            "2026-01-01T00:00:00Z",
            "2026-07",
            [("2026-07-03T00:00:00Z", "2026-07-03T00:45:00Z")],
            "900.00",
        ),
        (
            "aws-instance",
            "30000.00",
            "UTC",
            "2026-01-01T00:00:00Z",
            "2026-02",
            [("2026-02-10T03:00:00Z", "2026-02-10T06:30:00Z")],
            "3000.00",
        ),
        (
            "aws-instance",
            "7.50",
            "UTC",
            "2026-01-01T00:00:00Z",
            "2026-04",
            [("2026-04-02T00:00:00Z", "2026-04-02T05:00:00Z")],
            "0.00",
        ),
        (
            "arcustech",
            "1000.00",
            "UTC",
            "2026-01-01T00:00:00Z",
            "2026-04",
            [("2026-04-02T00:00:00Z", "2026-04-02T00:31:00Z")],
            "100.00",
        ),
        (
            "virteche",
            "3000.00",
            "UTC",
            "2026-01-01T00:00:00Z",
            "2026-04",
            [("2026-04-02T00:00:00Z", "2026-04-02T01:00:00Z")],
            "100.00",
        ),
        (
            "virteche",
            "3000.00",
            "UTC",
            "2026-04-16T00:00:00Z",
            "2026-04",
            [("2026-04-17T00:00:00Z", "2026-04-17T01:00:00Z")],
            "200.00",
        ),
        (
            "ovh-dedicated",
            "2400.00",
            "UTC",
            "2026-01-01T00:00:00Z",
            "2026-04",
            [("2026-04-02T00:00:00Z", "2026-04-02T04:00:00Z")],
            "180.00",
        ),
    ],
)
def test_a_form_pays_what_its_text_says(
    name: str,
    fee: str,
    zone: str,
    start: str,
    label: str,
    outages: list[tuple[str, str]],
    amount: str,
) -> None:
    assert owed(contract(name, fee, zone, start), label, outages) == Decimal(amount)


def test_late_hardware_pays_by_the_step() -> None:
    events = (
        ToldEvent("fault_confirmed", instant("2026-05-03T00:00:00Z"), "n1"),
        ToldEvent("hardware_replaced", instant("2026-05-04T03:00:00Z"), "n1"),
    )
    assert owed(contract("gpuyard", "2400.00", "UTC"), "2026-05", [], events) == Decimal("480.00")


def paid(terms: Contract, label: str, record: Record) -> Decimal | None:
    units = {promise.id: ["n1"] for promise in terms.availability}
    return settle(terms, record, calendar_month(label, terms.time_zone), units, LATER).highest


def down(start: str, end: str) -> Span:
    return Span("n1", State.DOWN, instant(start), instant(end))


@pytest.mark.parametrize(("reported", "amount"), [(None, "0.00"), ("2026-11-18T04:30:00Z", "9.75")])
def test_ten_times_the_fee_is_counted_from_the_report(reported: str | None, amount: str) -> None:
    """5400 s less the 2592 s that 99.9 % allow: ten times 900.00 x 2808 / 2592000."""
    at = None if reported is None else instant(reported)
    span = replace(down("2026-11-18T02:00:00Z", "2026-11-18T06:00:00Z"), reported_s=at)
    terms = contract("hostingking", "900.00", "UTC")
    assert paid(terms, "2026-11", Record((span,))) == Decimal(amount)


@pytest.mark.parametrize(
    ("confirmed", "amount"), [(None, "0.00"), ("2026-04-02T04:00:00Z", "100.00")]
)
def test_a_draft_counts_what_the_provider_confirms(confirmed: str | None, amount: str) -> None:
    """14400 of 2592000 s leave 99.44 %: 10 % of 1000.00."""
    at = None if confirmed is None else instant(confirmed)
    span = replace(down("2026-04-02T02:00:00Z", "2026-04-02T08:00:00Z"), confirmed_s=at)
    terms = contract("hosted-ai-draft", "1000.00", "UTC")
    assert paid(terms, "2026-04", Record((span,))) == Decimal(amount)


@pytest.mark.parametrize(("first", "amount"), [("24", "443.00"), ("25", "432.00")])
def test_fifty_times_the_price_of_each_long_outage_is_capped_by_itself(
    first: str, amount: str
) -> None:
    """4 min are too short; 22 min give 11.00; 20 h would give 600.00 and give 432.00. Each is claimed in 15 days."""
    terms = contract(
        "upcloud",
        "432.00",
        "UTC",
        hour_price="0.60",
        charges_of_30_days="432.00",
        cap_of_month="4320.00",
    )
    outages = [
        ("2026-03-04T10:00:00Z", "2026-03-04T10:04:00Z"),
        ("2026-03-09T10:00:00Z", "2026-03-09T10:22:00Z"),
        ("2026-03-20T00:00:00Z", "2026-03-20T20:00:00Z"),
    ]
    spans = tuple(down(*outage) for outage in outages)
    filed = (instant(f"2026-03-{first}T23:59:59Z"), instant("2026-04-04T23:59:59Z"))
    claims = tuple(Claim("2026-03", at) for at in filed)
    assert paid(terms, "2026-03", Record(spans, claims=claims)) == Decimal(amount)


@pytest.mark.parametrize(("second", "amount"), [("2026-06-21T10:06:00Z", "640.00"), (None, "0.00")])
def test_a_second_power_cut_pays_by_the_ampere(second: str | None, amount: str) -> None:
    terms = contract("rollernet-power", "1.00", "UTC", amperes="32", monthly_power_fee="900.00")
    outages = [("2026-06-10T10:00:00Z", "2026-06-10T10:04:00Z")]
    outages += [] if second is None else [("2026-06-21T10:00:00Z", second)]
    assert owed(terms, "2026-06", outages) == Decimal(amount)


def test_slices_without_requests_are_perfect() -> None:
    """12 x 1 and 24 x 0.25 of 8640 slices leave 479/480: 10 % of 500.00."""
    rates = [(12, Fraction(1)), (24, Fraction(1, 4)), (4000, None), (4604, Fraction(0))]
    probes = {"storage": tuple(Samples(count, rate) for count, rate in rates)}
    terms = contract("nebius-storage", "500.00", "UTC")
    period = calendar_month("2026-09", "UTC")
    record = Record(probes=probes, claims=(Claim("2026-09", period.end_s),))
    assert paid(terms, "2026-09", record) == Decimal("50.00")


def test_vouchers_pay_for_anomalies_and_for_lost_work() -> None:
    """50 min x 1.5 are two hours; 53 h of work count as 24: 26 x 1.98."""
    anomaly = ToldEvent(
        "network_anomaly",
        instant("2026-03-12T03:50:00Z"),
        since_s=instant("2026-03-12T03:00:00Z"),
    )
    crash = ToldEvent(
        "crash", instant("2026-03-03T05:00:00Z"), since_s=instant("2026-03-01T00:00:00Z")
    )
    terms = contract("gpuhub", "1.00", "Asia/Shanghai", hour_price="1.98")
    assert paid(terms, "2026-03", Record(events=(anomaly, crash))) == Decimal("51.48")


@pytest.mark.parametrize(("seconds", "amount"), [(6191, "0.00"), (6192, "60.00")])
def test_steps_beyond_the_target_start_where_its_allowance_ends(seconds: int, amount: str) -> None:
    """99.9 % of 30 days allow 2592 s; the first hour beyond is full at 6192 s."""
    end = datetime.fromtimestamp(instant("2026-04-02T00:00:00Z") + seconds, UTC).isoformat()
    terms = contract("ovh-dedicated", "2400.00", "UTC")
    assert owed(terms, "2026-04", [("2026-04-02T00:00:00Z", end)]) == Decimal(amount)


def test_a_free_clock_hour_needs_no_claim() -> None:
    terms = contract("aws-free-hour", "30000.00", "UTC", hour_price="55.04")
    outages = [
        ("2026-06-12T10:54:00Z", "2026-06-12T11:07:00Z"),
        ("2026-06-20T02:00:00Z", "2026-06-20T02:06:01Z"),
    ]
    assert owed(terms, "2026-06", outages) == Decimal("110.08")
    assert not terms.claim.required


def test_the_thirteenth_scheduled_downtime_of_a_year_costs_a_part_of_the_invoice() -> None:
    terms = contract("scheduled-downtime", "1.00", "UTC", invoice_of_month="7200.00")
    starts = [f"2026-{month:02d}-01T00:00:00Z" for month in range(1, 12)]
    starts += ["2026-11-02T00:00:00Z", "2026-11-14T22:00:00Z"]
    windows = tuple(
        Window(start, instant(start), instant(start) + 8400, instant("2025-12-01T00:00:00Z"))
        for start in starts
    )
    assert paid(terms, "2026-11", Record(windows=windows)) == Decimal("60.00")


@pytest.mark.parametrize(
    ("severity", "seconds", "verdict"),
    [("P1", 899, "MET"), ("P1", 900, "BREACHED"), ("P2", 900, "MET"), ("P4", 14400, "BREACHED")],
)
def test_an_answer_has_to_come_in_less_than_the_time_that_is_published(
    severity: str, seconds: int, verdict: str
) -> None:
    terms = contract("crusoe-support", "1.00", "UTC")
    start = instant("2026-05-03T00:00:00Z")
    events = (
        ToldEvent("fault_reported", start, "n1", {"severity": severity}),
        ToldEvent("answered", start + seconds, "n1"),
    )
    period = calendar_month("2026-05", "UTC")
    settled = settle(terms, Record(events=events), period, {}, LATER)
    assert [(one.terms.id, one.verdict.name) for one in settled.clocks] == [(severity, verdict)]


def test_thirty_days_that_move_are_missed_where_both_calendar_months_are_kept() -> None:
    """200 s and 100 s, nineteen days apart, are more than the 259.2 s that thirty days allow."""
    terms = contract("nvidia-partner", "1.00", "UTC")
    storage = [("2026-05-20T00:00:00Z", 200), ("2026-06-08T00:00:00Z", 100)]
    spans = tuple(
        Span("fs", State.DOWN, instant(at), instant(at) + length) for at, length in storage
    )
    units = {promise.id: ["fs"] for promise in terms.availability}
    found = [
        {one.measure.objective.id: one.verdict.name for one in settled.results}
        for settled in (
            settle(terms, Record(spans), calendar_month(label, "UTC"), units, LATER)
            for label in ("2026-05", "2026-06")
        )
    ]
    kept = {"control_plane": "MET", "filesystem": "MET"}
    assert found == [kept | {"fast_storage": "MET"}, kept | {"fast_storage": "BREACHED"}]
