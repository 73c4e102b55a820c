"""What a receiver of OTLP over HTTP is sent: names and units by OpenTelemetry's conventions, every GPU there is, and
what was made while it was away.
"""

import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponseError, ClientSession, web
from aiohttp.test_utils import TestServer
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.sdk.metrics.export import MetricsData, NumberDataPoint

from collector.api.exposition import Exposition
from collector.sending.forwarder import Forwarder
from collector.sending.otlp import AT_ONCE, Otlp, data, named
from collector.sending.queue import Queue
from collector.sending.receivers import Receiver
from collector.sending.starting import TOLD
from tests.collector.view.conftest import NOW_US, ScriptedFleet
from weighbridge.catalogue.metrics import METRICS

Sent = list[Any]


class Collector:
    """A receiver of OTLP that is told what to answer, and keeps what it takes."""

    def __init__(self) -> None:
        self.sent: Sent = []
        self.statuses: list[int] = []
        self.answer = ExportMetricsServiceResponse()

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip" and body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            self.sent.append(ExportMetricsServiceRequest.FromString(body))
        answer = self.answer.SerializeToString()
        return web.Response(body=answer, content_type="application/x-protobuf", status=status)


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[Receiver, Collector]]:
    collector = Collector()
    application = web.Application()
    application.router.add_post("/v1/metrics", collector.take)
    async with TestServer(application) as server:
        yield Receiver(str(server.make_url("/v1/metrics")), 60), collector


def sending(
    fleet: ScriptedFleet, where: Receiver, directory: Path, most: int = 1 << 20
) -> Forwarder:
    """As after a start of the collector."""
    queue = Queue(directory / "otlp", most, *TOLD["otlp"])
    wire = Otlp((("site", "berlin"),), fleet.now_us)
    return Forwarder(where, queue, Exposition(fleet, tuple), wire)


def points(sent: Sent) -> dict[tuple[str, str, str], list[tuple[dict[str, str], float]]]:
    """Attributes and value by host, name and unit."""
    found: dict[tuple[str, str, str], list[tuple[dict[str, str], float]]] = {}
    for request in sent:
        for resource in request.resource_metrics:
            who = {one.key: one.value.string_value for one in resource.resource.attributes}
            assert (who["service.name"], who["site"]) == ("weighbridge", "berlin")
            assert who.get("service.instance.id") == who.get("host.name")
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
    fleet: ScriptedFleet, receiver: tuple[Receiver, Collector], tmp_path: Path
) -> None:
    where, collector = receiver
    forwarder = sending(fleet, where, tmp_path)
    await forwarder.make()
    async with ClientSession() as session:
        assert await forwarder.send(session)
        assert not await forwarder.send(session)
    found = points(collector.sent)
    gpu = {"hw.type": "gpu", "hw.id": "GPU-1"}
    assert found["a1", "hw.power", "W"] == [(gpu, 699.5)]
    assert found["a1", "hw.gpu.memory.usage", "By"] == [(gpu, 0.0)]
    assert found["a1", "hw.energy", "J"] == [(gpu, 1234.567)]
    assert ({"contract": "alpha", "state": "reporting"}, 2.0) in found[
        "", "weighbridge.contract.gpus", "1"
    ]
    assert found["", "weighbridge.tick.timestamp", "s"] == [({}, NOW_US / 1e6)]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_what_was_made_in_an_outage_is_sent_after_it_with_its_times_in_order_over_a_restart(
    fleet: ScriptedFleet, receiver: tuple[Receiver, Collector], tmp_path: Path, status: int
) -> None:
    where, collector = receiver
    collector.statuses = [status, status]
    async with ClientSession() as session:
        for _ in range(2):
            forwarder = sending(fleet, where, tmp_path)
            await forwarder.make()
            with pytest.raises(ClientResponseError):
                await forwarder.send(session)
            fleet.now_us += 60_000_000
        again = sending(fleet, where, tmp_path)
        while await again.send(session):
            pass
    assert times(collector.sent) == [NOW_US * 1000, (NOW_US + 60_000_000) * 1000]
    assert (again.queue.bytes, dict(again.queue.counts)) == (0, {"sent": 2})


def times(sent: Sent) -> list[int]:
    """The one of each request."""
    found = []
    for request in sent:
        metric = request.resource_metrics[0].scope_metrics[0].metrics[0]
        rows = metric.sum if metric.HasField("sum") else metric.gauge
        found.append(rows.data_points[0].time_unix_nano)
    return found


async def test_an_outage_that_is_too_long_costs_the_oldest_and_no_more_room(
    fleet: ScriptedFleet, tmp_path: Path
) -> None:
    forwarder = sending(fleet, Receiver("http://127.0.0.1:1/", 60), tmp_path)
    await forwarder.make()
    most = 3 * forwarder.queue.bytes + 100
    forwarder = sending(fleet, forwarder.receiver, tmp_path, most)
    for _ in range(9):
        fleet.now_us += 60_000_000
        await forwarder.make()
    kept = sum(path.stat().st_size for path in (tmp_path / "otlp").iterdir())
    assert kept == forwarder.queue.bytes <= most
    assert dict(forwarder.queue.counts) == {"dropped": 7}


async def test_a_refusal_for_good_holds_up_nothing_and_points_that_were_not_taken_are_told_of(
    fleet: ScriptedFleet,
    receiver: tuple[Receiver, Collector],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    where, collector = receiver
    collector.statuses = [500]
    collector.answer.partial_success.rejected_data_points = 3
    collector.answer.partial_success.error_message = "out of bounds"
    forwarder = sending(fleet, where, tmp_path)
    await forwarder.make()
    fleet.now_us += 60_000_000
    await forwarder.make()
    async with ClientSession() as session:
        assert [await forwarder.send(session) for _ in range(3)] == [True, True, False]
    assert dict(forwarder.queue.counts) == {"refused": 1, "sent": 1}
    assert "the receiver refused 3 points: out of bounds" in caplog.text


def test_a_request_has_at_most_as_many_points_as_receivers_take() -> None:
    name = "weighbridge_gpu_power_draw_watts"
    page = "".join(f'{name}{{node="n",uuid="GPU-{n}"}} 1\n' for n in range(AT_ONCE + 1))
    made = [
        ExportMetricsServiceRequest.FromString(gzip.decompress(body))
        for body in Otlp((), 0).bodies([page], 1)
    ]
    counts = [
        len(one.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points) for one in made
    ]
    assert counts == [AT_ONCE, 1]


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
