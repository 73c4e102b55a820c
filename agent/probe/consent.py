"""What the prober is allowed: consent and idle windows from the configuration, who uses a GPU from the newest sweep.

Nothing here guesses: a GPU of which it cannot be seen whether anybody uses it counts as busy.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.clock import Clock
from agent.probe.grant import IDLE_WINDOW, NOBODY, Grant, GrantedGpu
from agent.report.sampler import Sampler
from agent.report.source import RawProcess, Sweep
from weighbridge.challenge.messages import Prepare
from weighbridge.challenge.policy import Policy
from weighbridge.process.files import write_file
from weighbridge.wire.report import Device, Reason

DAY_S = 86_400
IDLE_PERCENT = 5
"""Percent of utilization up to which a GPU counts as idle."""
STALE_US = 2_000_000
"""A sweep older than two intervals and this says nothing about now."""
WAITING_MS = 120_000
"""Beside the steps themselves: for the verifier, and for the other nodes of a group."""


@dataclass(frozen=True, slots=True)
class ProbeConsent:
    """What the configuration allows. `windows`: [start, end) in seconds of the UTC day; empty: at any time."""

    backend: str
    consent: str
    windows: tuple[tuple[int, int], ...]
    reserve_bytes: int

    def consent_at(self, wall_us: int) -> str:
        """By whose leave a prober may run at this instant. The lessee's leave needs no window."""
        if self.consent != IDLE_WINDOW or not self.windows:
            return self.consent
        second = wall_us // 1_000_000 % DAY_S
        return IDLE_WINDOW if any(_within(second, window) for window in self.windows) else NOBODY


def _within(second: int, window: tuple[int, int]) -> bool:
    start, end = window
    if start <= end:
        return start <= second < end
    return second >= start or second < end


def windows_of(text: str) -> tuple[tuple[int, int], ...]:
    """`22:00-06:00,12:00-13:00`, UTC. A window may cross midnight. Raises ValueError."""
    return tuple(_window_s(part) for part in text.split(",") if part.strip())


def _window_s(text: str) -> tuple[int, int]:
    start, _, end = text.strip().partition("-")
    return _second(start), _second(end)


def _second(text: str) -> int:
    hour, _, minute = text.partition(":")
    if not (hour.isdecimal() and minute.isdecimal() and int(hour) <= 24 and int(minute) < 60):
        raise ValueError(f"{text!r} is not HH:MM")
    return (int(hour) * 60 + int(minute)) * 60


@dataclass(frozen=True, slots=True)
class NewestSweep:
    """The newest sweep, the processes seen with it, and the devices; `fresh`: new enough to judge by."""

    devices: Sequence[Device]
    sweep: Sweep | None
    processes: Sequence[RawProcess] | Reason
    fresh: bool


def grant_of(
    consent: ProbeConsent,
    seen: NewestSweep,
    gpus: Sequence[str],
    policy: Policy,
    left_ms: int,
    wall_us: int,
) -> Grant:
    """What a prober may do with these GPUs now. A GPU that is not here is left out, which the prober refuses."""
    needed_ms = policy.longest_ms(len(gpus)) + WAITING_MS
    known = {device.uuid: device for device in seen.devices}
    granted = tuple(_gpu(consent, seen, known[uuid]) for uuid in gpus if uuid in known)
    return Grant(consent.backend, consent.consent_at(wall_us), min(left_ms, needed_ms), granted)


def _gpu(consent: ProbeConsent, seen: NewestSweep, device: Device) -> GrantedGpu:
    free = _free_bytes(seen, device)
    limit = 0 if free is None else max(0, free - consent.reserve_bytes)
    return GrantedGpu(device.uuid, _is_busy(seen, device.uuid), limit)


def _is_busy(seen: NewestSweep, uuid: str) -> bool:
    if not seen.fresh or isinstance(seen.processes, Reason):
        return True
    if any(process.device == uuid for process in seen.processes):
        return True
    used = _value(seen, uuid, "utilization_gpu_percent")
    return used is None or used > IDLE_PERCENT


def _free_bytes(seen: NewestSweep, device: Device) -> int | None:
    total = device.identity.readings.get("memory_total_bytes")
    reserved = device.identity.readings.get("memory_reserved_bytes", 0)
    used = _value(seen, device.uuid, "memory_used_bytes")
    if not isinstance(total, int) or not isinstance(reserved, int) or used is None:
        return None
    return total - reserved - used


def _value(seen: NewestSweep, uuid: str, reading: str) -> int | None:
    sweep = seen.sweep
    if sweep is None or uuid not in sweep.devices or reading not in sweep.readings:
        return None
    value = sweep.readings[reading][list(sweep.devices).index(uuid)]
    return None if isinstance(value, Reason) else value


def seen_of(sampler: Sampler, now_us: int) -> NewestSweep:
    """What the sampler last saw, and whether that is recent."""
    newest = sampler.newest
    fresh = (
        newest is not None
        and now_us - newest.boottime_us <= 2 * sampler.schedule.interval_us + STALE_US
    )
    return NewestSweep(sampler.devices, newest, sampler.newest_processes, fresh)


def grants(
    consent: ProbeConsent, sampler: Sampler, clock: Clock
) -> Callable[[Prepare, int], Grant]:
    """What a prober may do for a request, with so many milliseconds left today, by what the sampler saw."""

    def grant(request: Prepare, left_ms: int) -> Grant:
        seen = seen_of(sampler, clock.boottime_us())
        return grant_of(consent, seen, request.gpus, request.policy, left_ms, clock.wall_us())

    return grant


def others_on(seen: NewestSweep, gpus: Sequence[str]) -> tuple[str, ...]:
    """The GPUs of these that more processes hold than the one that a prober has on each, if that can be seen."""
    if not seen.fresh or isinstance(seen.processes, Reason):
        return ()
    held = {(process.device, process.pid) for process in seen.processes}
    counted = Counter(device for device, _ in held)
    return tuple(gpu for gpu in gpus if counted[gpu] > 1)


def looking_again(sampler: Sampler, clock: Clock) -> Callable[[Sequence[str]], tuple[str, ...]]:
    """Who else is on these GPUs, by what the sampler saw last."""
    return lambda gpus: others_on(seen_of(sampler, clock.boottime_us()), gpus)


class DailyBudget:
    """The time that probers may take in one UTC day, kept over restarts in a small file.

    What this process has seen spent counts whether or not the disk took it.
    """

    def __init__(self, path: Path, daily_ms: int) -> None:
        self._path = path
        self._daily_ms = daily_ms
        self._seen: dict[str, int] = {}

    def left_ms(self, wall_us: int) -> int:
        """Milliseconds that are left of today's budget."""
        return max(0, self._daily_ms - self._spent_on_ms(_day(wall_us)))

    def spend(self, wall_us: int, milliseconds: int) -> None:
        """Takes milliseconds off today's budget. Raises OSError where the file cannot be written."""
        today = _day(wall_us)
        self._seen = {today: self._spent_on_ms(today) + milliseconds}
        write_file(self._path, json.dumps(self._seen).encode())

    def _spent_on_ms(self, day: str) -> int:
        try:
            kept = json.loads(self._path.read_text())
        except (OSError, ValueError):
            kept = None
        told = kept.get(day) if isinstance(kept, dict) else None
        return max(told if type(told) is int else 0, self._seen.get(day, 0))


def _day(wall_us: int) -> str:
    return str(wall_us // 1_000_000 // DAY_S)
