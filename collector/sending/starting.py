"""What sends the collector's metrics to the receivers that it is told of."""

from collections.abc import Mapping
from pathlib import Path

from collector.api.exposition import Exposition
from collector.sending.forwarder import Forwarder, Wire
from collector.sending.queue import Queue
from collector.sending.receivers import Receiver
from weighbridge.catalogue import metrics
from weighbridge.process.settings import ConfigError

TOLD = {
    "remote_write": (metrics.REMOTE_WAITING, metrics.REMOTE_REQUESTS),
    "otlp": (metrics.OTLP_WAITING, metrics.OTLP_REQUESTS),
}


def queues(directory: Path, receivers: Mapping[str, Receiver]) -> dict[str, Queue]:
    """One for each receiver, by the key that it has in the configuration."""
    return {
        key: Queue(directory / key.replace("_", "-"), receiver.queue_bytes, *TOLD[key])
        for key, receiver in receivers.items()
    }


def forwarders(
    receivers: Mapping[str, Receiver], waiting: Mapping[str, Queue], exposition: Exposition
) -> list[Forwarder]:
    """What sends to each receiver. Raises ConfigError where what one needs is not installed."""
    return [
        Forwarder(receiver, waiting[key], exposition, _wire(key, receiver, exposition))
        for key, receiver in receivers.items()
    ]


def _wire(key: str, receiver: Receiver, exposition: Exposition) -> Wire:
    """What only some installations have is imported where it is wanted."""
    try:
        if key == "otlp":
            from collector.sending.otlp import Otlp

            return Otlp(receiver.labels, exposition.now_us)
        from collector.sending.write_request import RemoteWrite

        return RemoteWrite(receiver.labels)
    except ModuleNotFoundError as error:
        extra = key.replace("_", "-")
        wanted = f"install the extra {extra} (requirements/telemetry.txt)"
        raise ConfigError(f"{error.name} is missing: {wanted}") from error
