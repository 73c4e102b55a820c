"""Objectives as OpenSLO documents."""

import yaml

from collector.documents.openslo import openslo
from weighbridge.contract import load

CONTRACT = """\
contract_id: Lease.7
effective: 2026-03-15T00:00:00Z
time_zone: Europe/Berlin
currency: EUR
parties: [{id: P, role: provider, name: Anbieter GmbH}, {id: L, role: lessee}]
term: {from: 2026-03-15T00:00:00Z, to: 2027-03-15T00:00:00Z}
resources: [{id: r, accelerator: {sku: H100-SXM-80GB}, per_node: 8, nodes: 2}]
availability:
  - {id: month, unit: gpu, target: "0.9950"}
  - {id: week, target: "0.99", period: rolling, window_s: 604800}
  - {id: year, target: "1", period: calendar_year}
unknown: {policy: hold}
"""


def test_every_objective_is_a_document_with_its_exact_target_and_window() -> None:
    text = openslo(load(CONTRACT))
    service, month, week, year = yaml.safe_load_all(text)
    assert service["kind"] == "Service"
    assert service["metadata"] == {"name": "lease-7", "displayName": "Lease.7"}
    assert {one["spec"]["service"] for one in (month, week, year)} == {"lease-7"}
    assert month["spec"]["objectives"] == [{"displayName": "month", "target": 0.995}]
    assert "target: 0.995\n" in text
    assert "target: 1.0\n" in text
    assert month["spec"]["timeWindow"] == [
        {
            "duration": "1M",
            "isRolling": False,
            "calendar": {"startTime": "2026-03-01 00:00:00", "timeZone": "Europe/Berlin"},
        }
    ]
    assert week["spec"]["timeWindow"] == [{"duration": "10080m", "isRolling": True}]
    calendar = year["spec"]["timeWindow"][0]["calendar"]
    assert calendar["startTime"] == "2026-01-01 00:00:00"


def test_the_indicator_reads_what_the_collector_exports() -> None:
    _, month, _, _ = yaml.safe_load_all(openslo(load(CONTRACT)))
    ratio = month["spec"]["indicator"]["spec"]["ratioMetric"]
    assert ratio["good"]["metricSource"]["spec"]["query"] == (
        'weighbridge_contract_seconds{contract="Lease.7",objective="month",state="met"}'
    )
    assert ratio["counter"] is False
