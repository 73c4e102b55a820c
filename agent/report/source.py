"""What the sampler reads from: NVML in its child process, or simulated devices. One protocol, one contract test suite.

Nothing here raises because a driver fails: a failure is a reason in the answer, or an event.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from weighbridge.catalogue.readings import Tier
from weighbridge.wire.report import Device, Event, Facts, Reason


@dataclass(frozen=True, slots=True)
class Sweep:
    """One sample of one tier. `readings[name][i]` belongs to `devices[i]`; a Reason stands where there is no value."""

    boottime_us: int
    devices: Sequence[str]
    readings: Mapping[str, Sequence[int | Reason]]


@dataclass(frozen=True, slots=True)
class RawProcess:
    """A process that holds memory of a device; `pid` stays on the node."""

    device: str
    pid: int
    memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class IdentityTier:
    """The identity tier: every device once enumerated, in a stable order, and the driver."""

    devices: Sequence[Device]
    driver: Facts


class DeviceSource(Protocol):
    """Times are CLOCK_BOOTTIME microseconds. Each call returns within its deadline whatever the driver does."""

    async def identify(self) -> IdentityTier: ...

    async def sweep(self, tier: Tier) -> Sweep: ...

    async def processes(self) -> Sequence[RawProcess] | Reason: ...

    def events(self) -> Sequence[Event]:
        """What happened since the last call: XIDs seen by the driver, lost devices, stalls, crashes, restarts."""
        ...

    async def pause(self) -> None:
        """Let go of the driver, so that a reset or a MIG change can go ahead. Until `resume` all is PAUSED."""
        ...

    async def resume(self) -> None: ...

    async def close(self) -> None: ...
