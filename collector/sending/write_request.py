"""The requests of Prometheus' remote write 1.0: a snappy block of a protobuf message.

https://prometheus.io/docs/specs/prw/remote_write_spec/: labels are sorted by name, and a series that is no more is
ended by a staleness marker, one certain NaN.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import Any

import cramjam
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from collector.sending.samples import Labels, Sample, samples

HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
(STALE,) = struct.unpack("<d", (0x7FF0000000000002).to_bytes(8, "little"))
AT_ONCE = 5_000
"""Series in one request."""
TOO_MANY = 429


class RemoteWrite:
    """Requests with every series that the pages tell of; what they tell of no more is ended, or it would be shown
    for five minutes more. `external` labels name who sends.
    """

    headers: Mapping[str, str] = HEADERS

    def __init__(self, external: Labels) -> None:
        self._external = dict(external)
        self._known: frozenset[Labels] = frozenset()

    def bodies(self, texts: Iterable[str], at_us: int) -> Iterator[bytes]:
        """As `Wire` says."""
        found = (one for text in texts for one in samples(text))
        values = series(found, self._external)
        ended = dict.fromkeys(self._known - values.keys(), STALE)
        yield from bodies(values | ended, at_us // 1000)
        self._known = frozenset(values)

    def again(self, status: int) -> bool:
        """As the specification says: what is too much at once, and what went wrong over there."""
        return status >= 500 or status == TOO_MANY

    def complaint(self, _answer: bytes, /) -> str:
        """Its receivers take a request whole or not at all."""
        return ""


Field = descriptor_pb2.FieldDescriptorProto
MESSAGES: Mapping[str, Sequence[tuple[str, int, int, str]]] = {
    "Label": (("name", 1, Field.TYPE_STRING, ""), ("value", 2, Field.TYPE_STRING, "")),
    "Sample": (("value", 1, Field.TYPE_DOUBLE, ""), ("timestamp", 2, Field.TYPE_INT64, "")),
    "TimeSeries": (
        ("labels", 1, Field.TYPE_MESSAGE, "Label"),
        ("samples", 2, Field.TYPE_MESSAGE, "Sample"),
    ),
    "WriteRequest": (("timeseries", 1, Field.TYPE_MESSAGE, "TimeSeries"),),
}
"""Of each message its fields: name, number, type, and whose message."""


@cache
def _request() -> Any:
    """The class of the message."""
    file = descriptor_pb2.FileDescriptorProto(
        name="weighbridge/remote.proto", package="weighbridge", syntax="proto3"
    )
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, of in fields:
            label = Field.LABEL_REPEATED if of else Field.LABEL_OPTIONAL
            made = message.field.add(name=field, number=number, type=kind, label=label)
            if of:
                made.type_name = f".weighbridge.{of}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("weighbridge.WriteRequest"))


def series(found: Iterable[Sample], external: Mapping[str, str]) -> dict[Labels, float]:
    """The value of each series by all its labels, the name among them, sorted. `external` name who sends."""
    return {
        tuple(sorted({**external, **dict(labels), "__name__": name}.items())): value
        for name, labels, value in found
    }


def bodies(values: Mapping[Labels, float], at_ms: int) -> Iterator[bytes]:
    """Requests with one sample of each series."""
    rest = iter(values.items())
    while some := list(islice(rest, AT_ONCE)):
        request = _request()()
        for labels, value in some:
            one = request.timeseries.add()
            for name, text in labels:
                one.labels.add(name=name, value=text)
            one.samples.add(value=value, timestamp=at_ms)
        yield bytes(cramjam.snappy.compress_raw(request.SerializeToString()))
