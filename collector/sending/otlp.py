"""Metrics to a receiver of OTLP over HTTP, by the OpenTelemetry SDK.

What OpenTelemetry's conventions for hardware name bears their name (hw.gpu.utilization), everything else
`weighbridge.` and its unit apart, as they ask. Points are handed to the exporter whole: an instrument of the SDK keeps
2,000 sets of attributes, and a fleet has more. A node is a resource, by host.name.
"""

import asyncio
import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Metric,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from collector.api.exposition import Exposition
from collector.sending.receivers import Receiver
from collector.sending.samples import Labels, Sample, pages, samples
from weighbridge.catalogue.metrics import METRICS, PREFIX, Type

logger = logging.getLogger("weighbridge.otlp")

PATIENCE_S = 30.0
AT_ONCE = 2_000
"""Points in one request."""


class Named(NamedTuple):
    """What a family is called here: its name, its unit by UCUM, and attributes that tell it from its like."""

    name: str
    unit: str
    attributes: Mapping[str, str]


GPU = {"hw.type": "gpu"}
CONVENTIONS = {
    "utilization_gpu_ratio": Named("hw.gpu.utilization", "1", {**GPU, "hw.gpu.task": "general"}),
    "memory_used_bytes": Named("hw.gpu.memory.usage", "By", GPU),
    "memory_total_bytes": Named("hw.gpu.memory.limit", "By", GPU),
    "power_draw_watts": Named("hw.power", "W", GPU),
    "energy_joules_total": Named("hw.energy", "J", GPU),
    "temperature_gpu_celsius": Named("hw.temperature", "Cel", GPU),
    "ecc_total_uncorrected_volatile_total": Named(
        "hw.errors", "{error}", {**GPU, "error.type": "uncorrected"}
    ),
    "pcie_transmitted_bytes_total": Named(
        "hw.gpu.io", "By", {**GPU, "network.io.direction": "transmit"}
    ),
    "pcie_received_bytes_total": Named(
        "hw.gpu.io", "By", {**GPU, "network.io.direction": "receive"}
    ),
}
"""By the name after `weighbridge_gpu_`. https://opentelemetry.io/docs/specs/semconv/hardware/gpu/"""

UNITS = {
    "_flops_per_second": "{flop}/s",
    "_bytes_per_second": "By/s",
    "_seconds": "s",
    "_bytes": "By",
    "_ratio": "1",
    "_hertz": "Hz",
    "_watts": "W",
    "_joules": "J",
    "_celsius": "Cel",
}
FAMILIES = {metric.name: metric for metric in METRICS}


def named(family: str) -> Named:
    """What a family of the catalogue is called."""
    stem = family.removeprefix(PREFIX)
    known = CONVENTIONS.get(stem.removeprefix("gpu_"))
    if known is not None and stem.startswith("gpu_"):
        return known
    stem = stem.removesuffix("_total")
    suffix = next((one for one in UNITS if stem.endswith(one)), "")
    space, _, rest = stem.removesuffix(suffix).partition("_")
    return Named(f"weighbridge.{space}{'.' if rest else ''}{rest}", UNITS.get(suffix, "1"), {})


def data(found: Iterable[Sample], begun_ns: int, at_ns: int, labels: Labels = ()) -> MetricsData:
    """What is to be sent: a resource for each node, and one for what concerns none. `labels` say who sends."""
    by_node: dict[str, dict[str, list[Sample]]] = {}
    for name, pairs, value in found:
        if name in FAMILIES and math.isfinite(value):
            node = dict(pairs).get("node", "")
            by_node.setdefault(node, {}).setdefault(name, []).append((name, pairs, value))
    return MetricsData(
        [
            ResourceMetrics(_resource(node, labels), [_scope(rows, begun_ns, at_ns)], "")
            for node, rows in by_node.items()
        ]
    )


def _resource(node: str, labels: Labels) -> Resource:
    host = {"host.name": node} if node else {}
    return Resource({"service.name": "weighbridge", **dict(labels), **host})


def _scope(rows: Mapping[str, Sequence[Sample]], begun_ns: int, at_ns: int) -> ScopeMetrics:
    merged: dict[tuple[str, str, bool], list[NumberDataPoint]] = {}
    told: dict[str, str] = {}
    for family, found in rows.items():
        name, unit, attributes = named(family)
        counts = FAMILIES[family].type is Type.COUNTER
        told.setdefault(name, FAMILIES[family].help)
        points = merged.setdefault((name, unit, counts), [])
        for _, pairs, value in found:
            every = {**attributes, **dict(_attributes(pairs))}
            points.append(NumberDataPoint(every, begun_ns if counts else 0, at_ns, value))
    made = [
        Metric(name, told[name], unit, _points(points, counts))
        for (name, unit, counts), points in merged.items()
    ]
    return ScopeMetrics(InstrumentationScope("weighbridge"), made, "")


def _points(points: Sequence[NumberDataPoint], counts: bool) -> Sum | Gauge:
    if counts:
        return Sum(points, AggregationTemporality.CUMULATIVE, is_monotonic=True)
    return Gauge(points)


def _attributes(pairs: Labels) -> Iterator[tuple[str, str]]:
    """The node is the resource's; a GPU has the name that the conventions give what is identified."""
    for name, value in pairs:
        if name != "node":
            yield ("hw.id" if name == "uuid" else name), value


class Otlp:
    """Sends what the pages say, on a schedule. Nothing is kept: the next request says what is then."""

    def __init__(self, receiver: Receiver, exposition: Exposition) -> None:
        self._receiver, self._exposition = receiver, exposition
        token = receiver.token
        self._exporter = OTLPMetricExporter(
            receiver.url,
            certificate_file=None if receiver.authority is None else str(receiver.authority),
            headers={}
            if token is None
            else {"Authorization": f"Bearer {token.read_text().strip()}"},
            timeout=PATIENCE_S,
            compression=Compression.Gzip,
            max_export_batch_size=AT_ONCE,
        )
        self._begun_ns = exposition.now_us * 1000

    async def run(self) -> None:
        """For ever."""
        while True:
            if not await self.send():
                logger.warning("the receiver of OTLP takes nothing")
            await asyncio.sleep(self._receiver.seconds)

    async def send(self) -> bool:
        """Send what the pages say now; whether it was taken."""
        at_ns = self._exposition.now_us * 1000
        texts = [text async for text in pages(self._exposition)]
        return await asyncio.to_thread(self._export, texts, at_ns)

    def _export(self, texts: Sequence[str], at_ns: int) -> bool:
        found = (one for text in texts for one in samples(text))
        made = data(found, self._begun_ns, at_ns, self._receiver.labels)
        return self._exporter.export(made, PATIENCE_S * 1000) is MetricExportResult.SUCCESS
