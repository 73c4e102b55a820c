"""What a receiver of OTLP over HTTP is sent: names and units by OpenTelemetry's conventions, and every GPU there is."""

import gzip
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.sdk.metrics.export import MetricsData, NumberDataPoint

from collector.api.exposition import Exposition
from collector.sending.otlp import Otlp, data, named
from collector.sending.receivers import Receiver
from tests.collector.view.conftest import NOW_US, ScriptedFleet
from weighbridge.catalogue.metrics import METRICS

Sent = list[Any]


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[Receiver, Sent]]:
    sent: Sent = []

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip" and body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        sent.append(ExportMetricsServiceRequest.FromString(body))
        answer = ExportMetricsServiceResponse().SerializeToString()
        return web.Response(body=answer, content_type="application/x-protobuf")

    application = web.Application()
    application.router.add_post("/v1/metrics", take)
    async with TestServer(application) as server:
        yield Receiver(str(server.make_url("/v1/metrics")), 60, labels=(("site", "berlin"),)), sent


def points(sent: Sent) -> dict[tuple[str, str, str], list[tuple[dict[str, str], float]]]:
    """Attributes and value by host, name and unit."""
    found: dict[tuple[str, str, str], list[tuple[dict[str, str], float]]] = {}
    for request in sent:
        for resource in request.resource_metrics:
            who = {one.key: one.value.string_value for one in resource.resource.attributes}
            assert (who["service.name"], who["site"]) == ("weighbridge", "berlin")
            for metric in (one for scope in resource.scope_metrics for one in scope.metrics):
                key = (who.get("host.name", ""), metric.name, metric.unit)
                rows = (metric.sum if metric.HasField("sum") else metric.gauge).data_points
                told = found.setdefault(key, [])
                for row in rows:
                    assert row.time_unix_nano == NOW_US * 1000
                    attributes = {one.key: one.value.string_value for one in row.attributes}
                    told.append((attributes, row.as_double))
    return found


async def test_a_receiver_is_told_of_a_fleet_by_the_conventions(
    fleet: ScriptedFleet, receiver: tuple[Receiver, Sent]
) -> None:
    where, sent = receiver
    assert await Otlp(where, Exposition(fleet, tuple)).send()
    found = points(sent)
    gpu = {"hw.type": "gpu", "hw.id": "GPU-1"}
    assert found["a1", "hw.power", "W"] == [(gpu, 699.5)]
    assert found["a1", "hw.gpu.memory.usage", "By"] == [(gpu, 0.0)]
    assert found["a1", "hw.energy", "J"] == [(gpu, 1234.567)]
    assert ({"contract": "alpha", "state": "reporting"}, 2.0) in found[
        "", "weighbridge.contract.gpus", "1"
    ]
    assert found["", "weighbridge.tick.timestamp", "s"] == [({}, NOW_US / 1e6)]


async def test_a_receiver_that_takes_nothing_is_told_of(
    fleet: ScriptedFleet, receiver: tuple[Receiver, Sent]
) -> None:
    where, _ = receiver
    gone = Receiver(where.url.replace("/v1/metrics", "/elsewhere"), 60)
    assert not await Otlp(gone, Exposition(fleet, tuple)).send()


def test_a_fleet_of_more_than_two_thousand_gpus_keeps_every_name() -> None:
    name = "weighbridge_gpu_power_draw_watts"
    found = [(name, (("node", "n"), ("uuid", f"GPU-{number}")), 1.0) for number in range(2_500)]
    rows = sent_points(data(found, 0, 1))
    assert len({row.attributes["hw.id"] for row in rows if row.attributes}) == 2_500


def test_what_is_no_number_is_left_out_and_spoils_nothing() -> None:
    rows = [
        ("weighbridge_log_entries", (), value) for value in (float("nan"), float("inf"), 2.0**63)
    ]
    assert [row.value for row in sent_points(data(rows, 0, 1))] == [2.0**63]


def sent_points(made: MetricsData) -> list[NumberDataPoint]:
    """Of the only metric of the only resource."""
    (resource,) = made.resource_metrics
    (metric,) = resource.scope_metrics[0].metrics
    return [row for row in metric.data.data_points if isinstance(row, NumberDataPoint)]


@pytest.mark.parametrize(
    ("family", "name", "unit"),
    [
        ("weighbridge_gpu_utilization_gpu_ratio", "hw.gpu.utilization", "1"),
        ("weighbridge_gpu_pcie_received_bytes_total", "hw.gpu.io", "By"),
        (
            "weighbridge_contract_time_to_next_tier_seconds",
            "weighbridge.contract.time_to_next_tier",
            "s",
        ),
        ("weighbridge_gpu_xid_errors_total", "weighbridge.gpu.xid_errors", "1"),
        (
            "weighbridge_challenge_verified_flops_per_second",
            "weighbridge.challenge.verified",
            "{flop}/s",
        ),
        (
            "weighbridge_challenge_verified_memory_bytes",
            "weighbridge.challenge.verified_memory",
            "By",
        ),
    ],
)
def test_a_name_has_neither_unit_nor_total_in_it(family: str, name: str, unit: str) -> None:
    assert named(family)[:2] == (name, unit)


def test_no_two_families_have_one_name_unless_an_attribute_tells_them_apart() -> None:
    keys = [
        (one.name, one.unit, tuple(one.attributes.items()))
        for one in (named(metric.name) for metric in METRICS)
    ]
    assert len(set(keys)) == len(keys)
