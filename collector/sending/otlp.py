"""The requests of OTLP over HTTP, by the OpenTelemetry SDK.

What OpenTelemetry's conventions for hardware name bears their name (hw.gpu.utilization), everything else
`weighbridge.` and its unit apart, as they ask. Points are handed to the SDK's encoder whole: an instrument of the SDK
keeps 2,000 sets of attributes, and a fleet has more. A node is a resource, by host.name.
"""

import gzip
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from google.protobuf.message import DecodeError
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from collector.sending.samples import Labels, Sample, samples
from weighbridge.catalogue.metrics import METRICS, PREFIX, Type

AT_ONCE = 2_000
"""Points in one request."""
AGAIN = frozenset({429, 502, 503, 504})
"""https://opentelemetry.io/docs/specs/otlp/#failures-1: every other refusal is for good."""


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
    for one in found:
        name, _, value = one
        if name in FAMILIES and math.isfinite(value):
            by_node.setdefault(_node(one), {}).setdefault(name, []).append(one)
    return MetricsData(
        [
            ResourceMetrics(_resource(node, labels), [_scope(rows, begun_ns, at_ns)], "")
            for node, rows in by_node.items()
        ]
    )


def _resource(node: str, labels: Labels) -> Resource:
    """Receivers that keep only the service of a resource, as Prometheus does, tell nodes apart by its instance."""
    host = {"host.name": node, "service.instance.id": node} if node else {}
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
    """Requests with a point of every series that the pages tell of; counters count from `begun_us`."""

    headers: Mapping[str, str] = {
        "Content-Encoding": "gzip",
        "Content-Type": "application/x-protobuf",
    }

    def __init__(self, labels: Labels, begun_us: int) -> None:
        self._labels, self._begun_us = labels, begun_us

    def bodies(self, texts: Iterable[str], at_us: int) -> Iterator[bytes]:
        """As `Wire` says."""
        found = iter(sorted((one for text in texts for one in samples(text)), key=_node))
        while some := list(islice(found, AT_ONCE)):
            made = data(some, self._begun_us * 1000, at_us * 1000, self._labels)
            yield gzip.compress(encode_metrics(made).SerializeToString())

    def again(self, status: int) -> bool:
        """As the specification says."""
        return status in AGAIN

    def complaint(self, answer: bytes, /) -> str:
        """How many points it did not take, and why."""
        try:
            partly = ExportMetricsServiceResponse.FromString(answer).partial_success
        except DecodeError:
            return ""
        count = partly.rejected_data_points
        return f"{count} points: {partly.error_message}" if count else ""


def _node(sample: Sample) -> str:
    return dict(sample[1]).get("node", "")
