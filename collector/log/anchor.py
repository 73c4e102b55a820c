"""The anchor of the collector's clock, kept beside the store for the next run of the same boot.

So a clock that is stepped while no collector runs is found at the next start. After a boot there is nothing to compare.
"""

import json
import logging
from dataclasses import asdict
from pathlib import Path

from collector.log.ticks import Anchor
from collector.storage.store import Store
from weighbridge.log.entries import ClockChecked, EntryKind
from weighbridge.process.files import write_file
from weighbridge.process.system_clock import boot_id
from weighbridge.wire.report import read

logger = logging.getLogger("weighbridge.clock")

MOVED_US = 100_000
"""An anchor that moved by less is not written anew: beside a clock that is synchronized it moves with every tick."""


def load_anchor(file: Path) -> Anchor | None:
    """Of this boot; None where there is none."""
    try:
        kept = json.loads(file.read_bytes())
        if kept["boot"] != _boot():
            return None
        return Anchor(int(kept["wall_us"]), int(kept["boottime_us"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def is_stepped(store: Store) -> bool:
    """Whether the log says last that the collector's clock was stepped."""
    checked = store.index.of_kinds({EntryKind.CLOCK})
    if not checked:
        return False
    (last,) = store.log.read(checked[-1], 1)
    return read(ClockChecked, last.envelope.payload).action == "stepped"


class AnchorFile:
    """Where the anchor is kept. `keep` blocks until it is on the disk."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._kept: Anchor | None = None
        self._failing = False

    def keep(self, anchor: Anchor) -> None:
        """For `load_anchor`, unless it is kept already. Where it cannot be written the journal says so, once, and the
        next call tries again."""
        if self._kept is not None and abs(anchor.ahead_us - self._kept.ahead_us) < MOVED_US:
            return
        try:
            self._write(anchor)
        except OSError as error:
            if not self._failing:
                logger.warning("the clock's anchor is not kept for a restart: %s", error)
            self._failing = True
        else:
            self._kept, self._failing = anchor, False

    def _write(self, anchor: Anchor) -> None:
        boot = _boot()
        if boot is not None:
            kept = {"boot": boot, **asdict(anchor)}
            write_file(self._file, json.dumps(kept, sort_keys=True).encode())


def _boot() -> str | None:
    try:
        return boot_id(Path("/"))
    except OSError:
        return None
