"""Published forms settle the outages of the worked cases to the amounts of those cases."""

from datetime import datetime
from decimal import Decimal

import pytest

from weighbridge.contract import Contract, load
from weighbridge.contract.forms import fill, form
from weighbridge.ledger import State
from weighbridge.settlement.periods import calendar_month
from weighbridge.settlement.record import Claim, Event, Record, Span
from weighbridge.settlement.settle import settle

LATER = 4_000_000_000


def instant(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def contract(
    name: str, node_month: str, zone: str, start: str = "2026-01-01T00:00:00Z"
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
    return load(fill(form(name), values))


def owed(
    terms: Contract, label: str, outages: list[tuple[str, str]], events: tuple[Event, ...] = ()
) -> Decimal | None:
    period = calendar_month(label, terms.time_zone)
    spans = tuple(Span("n1", State.DOWN, instant(start), instant(end)) for start, end in outages)
    record = Record(spans, claims=(Claim(label, period.end_s),), events=events)
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
        Event("fault_confirmed", instant("2026-05-03T00:00:00Z"), "n1"),
        Event("hardware_replaced", instant("2026-05-04T03:00:00Z"), "n1"),
    )
    assert owed(contract("gpuyard", "2400.00", "UTC"), "2026-05", [], events) == Decimal("480.00")
