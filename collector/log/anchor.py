"""The anchor of the collector's clock, kept beside the store for the next run of the same boot.

So a clock that is stepped while no collector runs is found at the next start. After a boot there is nothing to compare.
"""

import json
from dataclasses import asdict
from pathlib import Path

from collector.log.ticks import Anchor
from weighbridge.process.files import write_file
from weighbridge.process.system_clock import boot_id


def load_anchor(file: Path) -> Anchor | None:
    """Of this boot; None where there is none."""
    try:
        kept = json.loads(file.read_bytes())
        if kept["boot"] != _boot():
            return None
        return Anchor(int(kept["wall_us"]), int(kept["boottime_us"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def keep_anchor(file: Path, anchor: Anchor) -> None:
    """For `load_anchor`. Raises OSError."""
    boot = _boot()
    if boot is not None:
        write_file(file, json.dumps({"boot": boot, **asdict(anchor)}, sort_keys=True).encode())


def _boot() -> str | None:
    try:
        return boot_id(Path("/"))
    except OSError:
        return None
