"""The catalogue of readings: one row per named quantity. To add a reading, add a row here and a reader in `agent/nvml.py`.

A reading's name ends in its unit, and its value is an integer in that unit (text for `TEXT`) from the driver to the
verdict. Only `/metrics` converts to Prometheus base units, by `UNITS`.
"""

from dataclasses import dataclass
from enum import StrEnum


class Tier(StrEnum):
    """How often a reading is taken: at start and on change; each sampling interval; each minute."""

    IDENTITY = "identity"
    FAST = "fast"
    SLOW = "slow"


class Kind(StrEnum):
    """GAUGE moves both ways; COUNTER only rises until its source resets; CODE and FLAGS are enumerations; TEXT is text."""

    GAUGE = "gauge"
    COUNTER = "counter"
    CODE = "code"
    FLAGS = "flags"
    TEXT = "text"


class Scope(StrEnum):
    """What has the reading: a GPU, a GPU or a MIG device, or the node."""

    GPU = "gpu"
    DEVICE = "device"
    NODE = "node"


@dataclass(frozen=True, slots=True)
class Reading:
    """One row. `name` ends in `unit` (where it has one); `source` names the NVML call, field id, or host file."""

    name: str
    unit: str
    kind: Kind
    tier: Tier
    scope: Scope
    source: str
    help: str


READINGS: tuple[Reading, ...] = ()
