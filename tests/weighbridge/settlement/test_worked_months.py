"""Published forms, each over a month that is worked by hand: the arithmetic stands beside the amounts."""

from datetime import datetime
from decimal import Decimal
from fractions import Fraction

import pytest

from weighbridge.contract import Contract, load
from weighbridge.contract.forms import fill, form
from weighbridge.judge.ledger import State
from weighbridge.settlement.periods import calendar_month
from weighbridge.settlement.probes import Samples
from weighbridge.settlement.record import Claim, Record, Span, Window
from weighbridge.settlement.settle import settle

LATER = 4_000_000_000

CHINESE = {
    "tax_rate": "0.06",
    "silence_days": "5",
    "target": "0.999",
    "second_row": "0.99",
    "third_row": "0.95",
    "first_pct": "10",
    "second_pct": "25",
    "third_pct": "100",
    "notice_seconds": "172800",
    "work_seconds": "28800",
    "answer_seconds": "1800",
    "repair_seconds": "14400",
    "missed_months": "2",
    "of_months": "3",
}
"""The figures that such contracts most often have."""


def instant(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def contract(name: str, node_month: str, zone: str = "UTC", **own: str) -> Contract:
    values = {
        "contract_id": "K",
        "from": "2026-01-01T00:00:00Z",
        "to": "2027-01-01T00:00:00Z",
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


def down(start: str, seconds: int, unit: str = "n1", cause: str = "") -> Span:
    at = instant(start)
    return Span(unit, State.DOWN, at, at + seconds, cause)


def owed(
    terms: Contract,
    label: str,
    *spans: Span,
    windows: tuple[Window, ...] = (),
    units: tuple[str, ...] = ("n1",),
    filed_s: int | None = None,
) -> Decimal | None:
    """What a month owes, claimed at its end and twenty days later, or when it is said."""
    period = calendar_month(label, terms.time_zone)
    filed = (period.end_s, period.end_s + 20 * 86400) if filed_s is None else (filed_s,)
    record = Record(spans, windows=windows, claims=tuple(Claim(label, at) for at in filed))
    judged = {promise.id: list(units) for promise in terms.availability}
    return settle(terms, record, period, judged, LATER).highest


@pytest.mark.parametrize(
    ("seconds", "amount"),
    [
        (432 * 60 + 59, "0.00"),  # 432 whole minutes of 43200: exactly 99 %
        (433 * 60, "2000.00"),  # 98.998 %: 10 % of 20000.00
        (4320 * 60 + 59, "5000.00"),  # 4320 whole minutes: exactly 90 %, 25 %
        (4321 * 60, "10000.00"),  # 89.998 %: 50 %
    ],
)
def test_coreweave_counts_whole_minutes_of_an_instance(seconds: int, amount: str) -> None:
    """April has 43200 minutes. 59 s without a disk count for nothing; a GPU that is lost leaves the instance up."""
    terms = contract("coreweave-instance", "20000.00")
    spans = (
        down("2026-04-02T00:00:00Z", seconds, cause="unreachable"),
        down("2026-04-20T00:00:00Z", 59, cause="storage_down"),
        down("2026-04-22T00:00:00Z", 4 * 86400, cause="gpu_lost"),
    )
    assert owed(terms, "2026-04", *spans) == Decimal(amount)


@pytest.mark.parametrize(("together", "amount"), [(43 * 60 + 59, "0.00"), (44 * 60, "4000.00")])
def test_coreweave_pays_for_regions_that_fail_together(together: int, amount: str) -> None:
    """99.9 % of 43200 minutes allow 43.2: 43 whole minutes are met, 44 earn 10 % of 2 x 20000.00.

    The first node is down for ten hours more, while the second is up.
    """
    terms = contract("coreweave-regions", "20000.00", nodes="2")
    spans = (
        down("2026-04-02T00:00:00Z", 36_000 + together),
        down("2026-04-02T10:00:00Z", together, unit="n2"),
    )
    assert owed(terms, "2026-04", *spans, units=("n1", "n2")) == Decimal(amount)


@pytest.mark.parametrize(
    ("work_s", "seconds", "amount"),
    [
        (0, 1339, "0.00"),  # 0.05 % of 44640 minutes are 1339.2 s
        (0, 1340, "3000.00"),  # 10 % of 30000.00
        (14_400, 1332, "0.00"),  # four hours of work leave 44400 minutes: 1332 s
        (14_400, 1333, "3000.00"),
        (28_800, 1324, "0.00"),  # eight hours leave 44160 minutes: 1324.8 s
        (30_123, 1, "0.00"),  # 1323 s of work beyond eight hours count
        (30_124, 1, "3000.00"),
    ],
)
def test_nebius_takes_work_from_both_sides_of_the_ratio(
    work_s: int, seconds: int, amount: str
) -> None:
    """July has 44640 minutes; the work is told of three days ahead."""
    start = instant("2026-07-10T00:00:00Z")
    work = Window("w", start, start + work_s, start - 259_200)
    terms = contract("nebius-compute", "30000.00")
    spans = (
        down("2026-07-20T00:00:00Z", seconds),
        *((down("2026-07-10T00:00:00Z", work_s),) if work_s else ()),
    )
    found = owed(terms, "2026-07", *spans, windows=(work,) if work_s else ())
    assert found == Decimal(amount)


@pytest.mark.parametrize(("slow", "verdict"), [(8, "MET"), (9, "BREACHED")])
def test_oracle_promises_nine_tenths_of_the_bandwidth(slow: int, verdict: str) -> None:
    """June has 8640 slices: 0.1 % are 8.64. Exactly nine tenths are good. The page tells no credit: nothing is owed."""
    terms = contract("oracle-network", "30000.00")
    rates = [(slow, Fraction(89, 100)), (100, Fraction(9, 10)), (8540 - slow, Fraction(1))]
    probes = {"network": tuple(Samples(count, rate) for count, rate in rates)}
    period = calendar_month("2026-06", "UTC")
    settled = settle(terms, Record(probes=probes), period, {}, LATER)
    assert [one.verdict.name for one in settled.probed] == [verdict]
    assert settled.highest == settled.lowest == 0


@pytest.mark.parametrize(
    ("seconds", "amount"),
    [
        (2_419, "0.00"),  # 0.1 % of 2419200 s are 2419.2
        (2_420, "3000.00"),
        (24_192, "3000.00"),  # exactly 99 %
        (24_193, "7500.00"),
        (120_960, "7500.00"),  # exactly 95 %
        (120_961, "30000.00"),
    ],
)
def test_azure_pays_the_whole_fee_below_ninety_five_per_cent(seconds: int, amount: str) -> None:
    """February has 2419200 s; shares of 30000.00."""
    terms = contract("azure-vm", "30000.00")
    assert owed(terms, "2026-02", down("2026-02-03T00:00:00Z", seconds)) == Decimal(amount)


def test_azure_claims_within_two_months_after_the_month_of_the_incident() -> None:
    terms = contract("azure-vm", "30000.00")
    outage = down("2026-02-03T00:00:00Z", 2_420)
    filed = [instant("2026-04-30T23:59:59Z"), instant("2026-05-01T00:00:00Z")]
    found = [owed(terms, "2026-02", outage, filed_s=at) for at in filed]
    assert found == [Decimal("3000.00"), Decimal("0.00")]


@pytest.mark.parametrize(
    ("recurring", "amount"),
    [
        ("1200.00", "120.00"),  # 10 % of what recurs, not of 60000.00
        ("10.10", "1.01"),
        ("10.00", "0.00"),  # 1.00 is not more than 1
    ],
)
def test_aws_credits_no_share_of_what_was_paid_at_once(recurring: str, amount: str) -> None:
    """13000 of 2592000 s of June leave 99.498 %."""
    terms = contract("aws-capacity", "60000.00", recurring_month=recurring)
    assert owed(terms, "2026-06", down("2026-06-03T00:00:00Z", 13_000)) == Decimal(amount)


def test_aws_owes_all_that_recurs_below_ninety_five_per_cent() -> None:
    """Exactly 95 % of 2592000 s earn 30 %, a second more 100 %."""
    terms = contract("aws-capacity", "60000.00", recurring_month="1200.00")
    found = [
        owed(terms, "2026-06", down("2026-06-03T00:00:00Z", seconds))
        for seconds in (129_600, 129_601)
    ]
    assert found == [Decimal("360.00"), Decimal("1200.00")]


@pytest.mark.parametrize(
    ("seconds", "amount"),
    [
        (10 * 60 + 59, "0.00"),  # 10 whole minutes
        (11 * 60, "3600.00"),  # 11 minutes: 10 % of 36000.00
        (432 * 60, "3600.00"),  # exactly 99 %
        (433 * 60, "9000.00"),
        (2161 * 60, "36000.00"),  # 2160 minutes are exactly 95 %
    ],
)
def test_alibaba_drops_an_outage_of_a_minute(seconds: int, amount: str) -> None:
    """0.025 % of 43200 minutes of June are 10.8. Outages of exactly 60 s do not count."""
    terms = contract("alibaba-ecs", "36000.00", "Asia/Shanghai")
    spans = [down("2026-06-03T00:00:00Z", seconds)]
    spans += [down(f"2026-06-2{day}T00:00:00Z", 60) for day in range(5)]
    assert owed(terms, "2026-06", *spans) == Decimal(amount)


@pytest.mark.parametrize(
    ("seconds", "amount"),
    [
        (1_339, "0.00"),  # 0.05 % of 2678400 s are 1339.2
        (1_340, "800.00"),
        (26_785, "2000.00"),  # 26784 s are exactly 99 %
        (133_921, "8000.00"),  # 133920 s are exactly 95 %
    ],
)
def test_volcengine_pays_a_share_of_the_bill_of_a_cluster(seconds: int, amount: str) -> None:
    """May has 2678400 s. The service is down in no node, and the bill is that of both: 8000.00."""
    terms = contract("volcengine-kubernetes", "4000.00", "Asia/Shanghai", nodes="2")
    outage = down("2026-05-03T00:00:00Z", seconds, unit="cluster")
    assert owed(terms, "2026-05", outage, units=("cluster",)) == Decimal(amount)


@pytest.mark.parametrize(
    ("seconds", "amount"),
    [
        (2_592, "0.00"),  # 0.1 % of 2592000 s: exactly 99.9 %, which is met
        (2_593, "900.35"),  # 100 x 2593/3600 x 12.50 = 900.347
        (3_600, "1250.00"),  # 100 x 1 h x 12.50
        (25_920, "9000.00"),  # 7.2 h: 100 x 7.2 x 12.50 is the fee of the month
        (36_000, "9000.00"),  # 12500.00, capped by it
    ],
)
def test_jd_cloud_pays_a_hundred_times_the_lost_time(seconds: int, amount: str) -> None:
    """April: 720 h at 12.50 are 9000.00. Work that was told of is no outage."""
    terms = contract("jdcloud-bare-metal", "9000.00", "Asia/Shanghai", hour_price="12.50")
    start = instant("2026-04-20T00:00:00Z")
    work = Window("w", start, start + 7200, start - 60)
    spans = (down("2026-04-03T00:00:00Z", seconds), down("2026-04-20T00:00:00Z", 7200))
    assert owed(terms, "2026-04", *spans, windows=(work,)) == Decimal(amount)


@pytest.mark.parametrize(
    ("seconds", "amount"),
    [
        (43 * 60 + 60, "0.00"),  # 44 minutes of 44640: 99.901 %
        (44 * 60 + 1, "4500.00"),  # rounded up to 45: 99.899 %, 10 % of 45000.00
        (446 * 60 + 1, "11250.00"),  # 447 minutes: below 99 %, 25 %
        (2232 * 60, "11250.00"),  # exactly 95 %
        (2232 * 60 + 1, "45000.00"),
    ],
)
def test_a_chinese_template_deducts_by_the_figures_that_are_filled_in(
    seconds: int, amount: str
) -> None:
    """May has 44640 minutes. Eight hours of work told of 48 h ahead are excluded, and a minute is no outage."""
    terms = contract("china-compute-service", "45000.00", "Asia/Shanghai", **CHINESE)
    start = instant("2026-05-20T00:00:00Z")
    work = Window("w", start, start + 28_800, start - 172_800)
    spans = (
        down("2026-05-05T00:00:00Z", seconds),
        down("2026-05-12T00:00:00Z", 60),
        down("2026-05-20T00:00:00Z", 28_800),
    )
    assert owed(terms, "2026-05", *spans, windows=(work,)) == Decimal(amount)
    assert terms.tax.rate == Fraction(6, 100)
