"""What a store's disk and its backups are like, for `/metrics`."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from collector.storage.backup import backed_up_s
from weighbridge.catalogue import metrics
from weighbridge.catalogue.metrics import Metric


def disk_samples(directory: Path) -> Iterator[tuple[Metric, Sequence[str], int | float]]:
    """The room left for the collector's user, the size of all, and when a backup was last finished."""
    room = shutil.disk_usage(directory)
    yield metrics.STORE_FREE, (), room.free
    yield metrics.STORE_SIZE, (), room.total
    yield metrics.BACKUP, (), backed_up_s(directory)
