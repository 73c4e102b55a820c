"""The parent's side of NVML: `NvmlSource` asks a child process, and outlives whatever the driver does to it.

A call that passes its deadline ends the child: it is killed, the call is quarantined on that device, another child goes
on with the rest. A child that cannot be killed is reported, and at most one more is started beside it. What only a new
process can cure (a driver loaded, reloaded or upgraded, a GPU come back) is tried once a minute.
"""

import asyncio
import json
import os
import sys
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.nvml.device_inventory import Hidden, KnownDevices, device_of, facts, reason
from agent.nvml.driver_events import Gathered, driver_event
from agent.nvml.frames import ANY_DEVICE, EVERY_CALL, LIFE_CYCLE, NODE, FrameKind, rows
from agent.nvml.library import library_facts
from agent.nvml.process import Child, ChildFailure, Crashed
from agent.report.source import IdentityTier, RawProcess, Sweep
from agent.surroundings import for_child
from weighbridge.catalogue.readings import Tier
from weighbridge.wire.report import DeviceState, Event, EventKind, Facts, Reason

WORKER = (sys.executable, "-I", "-m", "agent.nvml.worker")
ATTEMPTS = 4
CALLS_BEFORE_DEVICE = 3
DEVICES_BEFORE_CALL = 3
MOST_STUCK = 2
OF_THE_DRIVER = ("driver_version", "gpus_enumerated_count", "gpus_unreadable_count")
TIER_KINDS = {Tier.FAST: FrameKind.FAST, Tier.SLOW: FrameKind.SLOW}


@dataclass(frozen=True, slots=True)
class Patience:
    """How long things may take, in seconds. `call` is for one NVML call, `open` for one while a driver wakes up.

    `renew`: between two tries of what only a new child cures; `quarantine`: until a call that hung is tried again;
    `probe`: until what a card did not support is asked again.
    """

    call: float = 3.0
    open: float = 10.0
    whole: float = 60.0
    death: float = 2.0
    renew: float = 60.0
    quarantine: float = 3600.0
    probe: float = 3600.0


@dataclass(frozen=True, slots=True)
class CallAnswer:
    """One call as the library answered it: the NVML code, the value where there is one, and the time it took."""

    device: str
    reading: str
    call: str
    code: int
    value: int | str | None
    nanoseconds: int


class NvmlSource:
    """A `DeviceSource` over NVML. `clock` gives CLOCK_BOOTTIME in microseconds; `kill` ends a process.

    Of `environment` the child gets what does not bend its sight (`agent.surroundings`), and the facts name the rest.
    """

    def __init__(
        self,
        clock: Callable[[], int],
        environment: Mapping[str, str],
        *,
        command: Sequence[str] = WORKER,
        patience: Patience = Patience(),
        kill: Callable[[int, int], None] = os.kill,
        root: Path = Path("/"),
    ) -> None:
        self._clock = clock
        self._environment = environment
        self._command = tuple(command)
        self._patience = patience
        self._kill = kill
        self._root = root
        self._lock = asyncio.Lock()
        self._known = KnownDevices()
        self._driver = Facts(readings={}, unavailable={})
        self._events = Gathered()
        self._quarantine: dict[tuple[str, str], int] = {}
        self._stuck: list[Child] = []
        self._child: Child | None = None
        self._listed: list[str] = []
        self._absence: Reason | None = Reason.DRIVER_NOT_LOADED
        self._failures = 0
        self._suspected: tuple[str, str] | None = None
        self._sick = False
        self._renewed_us = 0
        self._paused = False

    @property
    def pid(self) -> int | None:
        """The process id of the child, None while there is none."""
        return None if self._child is None else self._child.pid

    async def identify(self) -> IdentityTier:
        """Enumerate again. While nobody answers, what was known before, with states that say so."""
        async with self._lock:
            if not self._paused:
                fresh = self._child is None
                child = await self._ready()
                if child is not None and not fresh:
                    await self._enumerate()
            return IdentityTier(list(self._known.devices.values()), self._told())

    def _told(self) -> Facts:
        """What the driver says of itself; why it says nothing where no child ever came to ask it."""
        if self._driver.readings or self._driver.unavailable:
            return self._driver
        why = Reason.PAUSED if self._paused else self._absence or Reason.ERROR
        return Facts(readings={}, unavailable=dict.fromkeys(OF_THE_DRIVER, why))

    async def sweep(self, tier: Tier) -> Sweep:
        """FAST or SLOW, for every known device."""
        async with self._lock:
            for _ in range(ATTEMPTS):
                child = None if self._paused else await self._ready()
                now = self._clock()
                if child is None or not self._listed:
                    return self._empty(tier, now)
                try:
                    payload = await child.ask(
                        TIER_KINDS[tier], self._patience.call, self._patience.whole
                    )
                except ChildFailure as failure:
                    await self._bury(child, failure)
                    continue
                if len(payload) == 9 * len(rows(tier)) * len(self._listed):
                    return self._decode(tier, now, payload)
                await self._bury(child, Crashed("its sweep has the wrong size", None))
            return self._empty(tier, self._clock(), Reason.TIMEOUT)

    async def processes(self) -> Sequence[RawProcess] | Reason:
        """Of all devices that are there; a reason if one of them does not tell."""
        answer = await self._ask(FrameKind.PROCESSES)
        if isinstance(answer, Reason):
            return answer
        if self._absence is not None:
            return self._absence
        if self._known.devices and not self._listed:
            return self._known.why_none()
        hidden = [reason(status) for status in answer["failed"].values()]
        unseen = [why for why in hidden if why not in (Reason.GPU_IS_LOST, Reason.NOT_SUPPORTED)]
        if unseen or (hidden and len(hidden) == len(self._listed)):
            return unseen[0] if unseen else hidden[0]
        return [RawProcess(device, pid, memory) for device, pid, memory in answer["held"]]

    async def record(self) -> Sequence[CallAnswer] | Reason:
        """Every source of every reading of every device, each called once by itself: a capture, with times."""
        answer = await self._ask(FrameKind.RECORD)
        return (
            answer
            if isinstance(answer, Reason)
            else [CallAnswer(*row) for row in answer["answers"]]
        )

    def events(self) -> Sequence[Event]:
        """Drained in the order in which they were noticed."""
        return self._events.take()

    async def pause(self) -> None:
        """The child ends, and with it every handle of the driver."""
        async with self._lock:
            self._paused = True
            await self._dismiss()

    async def resume(self) -> None:
        """Ends a pause: the next call starts a child process."""
        async with self._lock:
            self._paused = False

    async def close(self) -> None:
        """End the child. A stuck one is left to the kernel, which kills it with this process."""
        async with self._lock:
            await self._dismiss()
            for child in self._stuck:
                child.release()

    async def _ask(self, kind: FrameKind) -> Any:
        """The answer to a rare question, or why there is none."""
        async with self._lock:
            for _ in range(ATTEMPTS):
                child = None if self._paused else await self._ready()
                if child is None:
                    return Reason.PAUSED if self._paused else self._absence or Reason.ERROR
                try:
                    return json.loads(
                        await child.ask(kind, self._patience.call, self._patience.whole)
                    )
                except ChildFailure as failure:
                    await self._bury(child, failure)
            return Reason.TIMEOUT

    async def _ready(self) -> Child | None:
        """A child whose devices are listed, None while there can be none (`_absence` says why)."""
        self._reap()
        now = self._clock()
        due = now - self._renewed_us >= self._patience.renew * 1_000_000
        self._failures = 0 if due else self._failures
        if self._child is not None and ((self._sick and due) or self._pardoned(now)):
            await self._dismiss()
        for _ in range(ATTEMPTS):
            if self._child is not None:
                return self._child
            if len(self._stuck) >= MOST_STUCK or (self._failures >= ATTEMPTS and not due):
                self._absence = Reason.TIMEOUT
                return None
            await self._start()
        return self._child

    async def _start(self) -> None:
        self._renewed_us = self._clock()
        child = Child(self._command, for_child(self._environment), self._heard)
        self._child = child
        told = {"quarantine": list(self._quarantine), "probe_seconds": self._patience.probe}
        hello = json.dumps(told).encode()
        try:
            await child.ask(FrameKind.HELLO, self._patience.open, self._patience.whole, hello)
        except ChildFailure as failure:
            await self._bury(child, failure)
            return
        await self._enumerate()

    async def _enumerate(self) -> None:
        child = self._child
        if child is None:
            return
        try:
            payload = await child.ask(FrameKind.IDENTIFY, self._patience.open, self._patience.whole)
        except ChildFailure as failure:
            await self._bury(child, failure)
            return
        try:
            self._take(json.loads(payload), child)
        except (ValueError, KeyError, TypeError):
            await self._bury(child, Crashed("its enumeration makes no sense", None))

    def _take(self, answer: Any, child: Child) -> None:
        """Puts a child's enumeration into the device inventory."""
        code, now = answer["code"], self._clock()
        hidden = _hidden(answer["hidden"])
        self._listed = [item["uuid"] for item in answer["devices"]]
        self._absence = reason(code) if code else None
        if code:
            self._known.silenced()
        else:
            found = [device_of(item) for item in answer["devices"]]
            self._events.add(*self._known.enumerated(found, now, hidden))
        before = self._driver.readings.get("driver_version")
        self._driver = _driver_facts(answer["driver"], child.pid, self._root, self._environment)
        after = self._driver.readings.get("driver_version")
        if before is not None and after is not None and before != after:
            self._tell(EventKind.DRIVER_CHANGED, None, f"driver_version: {before} -> {after}")
        unwell = any(device.state is not DeviceState.OK for device in self._known.devices.values())
        self._sick = bool(code) or bool(hidden.unreadable) or bool(hidden.uncut) or unwell

    def _decode(self, tier: Tier, now: int, payload: bytes) -> Sweep:
        names = [row.name for row in rows(tier)]
        width, count = len(names), len(self._listed)
        values = array("q")
        values.frombytes(payload[: 8 * width * count])
        statuses = payload[8 * width * count :]
        columns: list[list[Any]] = [values[index::width].tolist() for index in range(width)]
        if any(statuses):
            for position, status in enumerate(statuses):
                if status:
                    columns[position % width][position // width] = reason(status)
            self._observe(statuses, width, now)
        if len(self._listed) < len(self._known.devices):
            columns = [self._in_place(column) for column in columns]
            return Sweep(now, list(self._known.devices), dict(zip(names, columns, strict=True)))
        return Sweep(now, self._listed, dict(zip(names, columns, strict=True)))

    def _in_place(self, column: list[Any]) -> list[Any]:
        """Values in the order of all devices known, with a reason for each that the child does not list."""
        told = dict(zip(self._listed, column, strict=True))
        return [
            told[uuid] if uuid in told else self._known.reason_of(uuid)
            for uuid in self._known.devices
        ]

    def _observe(self, statuses: bytes, width: int, now: int) -> None:
        for index, uuid in enumerate(self._listed):
            events = self._known.swept(uuid, statuses[index * width : (index + 1) * width], now)
            self._events.add(*events)
            self._sick = self._sick or bool(events)
        if LIFE_CYCLE & set(statuses):
            self._sick = True

    def _empty(self, tier: Tier, now: int, why: Reason | None = None) -> Sweep:
        """No values at all: paused, no driver, nobody who can be asked, or no device that is still there."""
        cause = why or (Reason.PAUSED if self._paused else self._absence)
        devices = list(self._known.devices)
        column = [cause or self._known.reason_of(uuid) for uuid in devices]
        return Sweep(now, devices, {row.name: list(column) for row in rows(tier)})

    def _heard(self, told: Mapping[str, Any]) -> None:
        """Takes in an event that the driver reported."""
        driver = self._driver.readings.get("driver_version", "")
        self._events.count(driver_event(told, str(driver)))

    async def _bury(self, child: Child, failure: ChildFailure) -> None:
        """End a child that failed, and remember what it died of."""
        self._child = None
        self._listed = []
        self._absence = Reason.ERROR if isinstance(failure, Crashed) else Reason.TIMEOUT
        where = failure.where or (NODE, "between calls")
        device = where[0] if where[0] in self._known.devices else None
        died = await self._end(child)
        detail = f"{where[1]} on {where[0]}: {failure}"
        if isinstance(failure, Crashed):
            self._tell(EventKind.NVML_CRASHED, device, detail)
        elif not died:
            self._tell(EventKind.NVML_STALLED, device, detail)
            self._stuck.append(child)
        self._failures += failure.where is None
        if failure.where is not None:
            self._condemn(*failure.where)
            self._tell(EventKind.CALL_QUARANTINED, device, detail)
        self._suspect(failure)
        self._tell(EventKind.NVML_RESTARTED, None, detail)

    def _condemn(self, device: str, call: str) -> None:
        """No child asks this again for a while; after three calls, nothing at all of that device, and a call that ended
        children on three devices, of none."""
        seconds = self._patience.renew if device == NODE else self._patience.quarantine
        until = self._clock() + int(seconds * 1_000_000)
        self._quarantine[device, call] = until
        if (
            device != NODE
            and sum(other == device for other, _ in self._quarantine) >= CALLS_BEFORE_DEVICE
        ):
            self._quarantine[device, EVERY_CALL] = until
        if sum(other == call for _, other in self._quarantine) >= DEVICES_BEFORE_CALL:
            self._quarantine[ANY_DEVICE, call] = until

    def _suspect(self, failure: ChildFailure) -> None:
        """Two threads call the library: one that waits for events is blamed for a crash between the other's calls, and
        for the second of any."""
        if failure.waiting is None:
            self._suspected = None
        elif failure.where is None or self._suspected == failure.waiting:
            self._condemn(*failure.waiting)
            self._tell(EventKind.CALL_QUARANTINED, None, f"{failure.waiting[1]}: {failure}")
            self._suspected = None
        else:
            self._suspected = failure.waiting

    def _pardoned(self, now: int) -> bool:
        over = [key for key, until in self._quarantine.items() if until <= now]
        for key in over:
            del self._quarantine[key]
        return bool(over)

    async def _end(self, child: Child) -> bool:
        """Kills the child process. False if it has not ended in time."""
        return await child.kill(self._kill, self._patience.death)

    async def _dismiss(self) -> None:
        """Let the child go in peace; killed if it does not."""
        child, self._child = self._child, None
        self._listed = []
        if child is None or await child.consent(self._patience.death):
            return
        if not await self._end(child):
            self._tell(EventKind.NVML_STALLED, None, "at the end")
            self._stuck.append(child)

    def _reap(self) -> None:
        for child in [child for child in self._stuck if child.dead]:
            self._stuck.remove(child)
            child.release()

    def _tell(self, kind: EventKind, device: str | None, detail: str) -> None:
        self._events.add(
            Event(
                boottime_us=self._clock(),
                kind=kind,
                device=device,
                code=None,
                source="nvml" if kind is EventKind.DRIVER_CHANGED else "agent",
                detail=detail[:512],
            )
        )


def _hidden(told: Mapping[str, Any]) -> Hidden:
    """What an enumeration could not list. Raises KeyError, TypeError or ValueError for no such thing."""
    return Hidden(told["count"], told["places"], dict(told["unreadable"]), told["uncut"])


def _driver_facts(raw: Any, pid: int, root: Path, environment: Mapping[str, str]) -> Facts:
    """What the driver says of itself, and what the host says of its library."""
    told = facts(*raw)
    seen = library_facts(pid, root, environment)
    readings = told.readings | {
        name: value for name, value in seen.items() if not isinstance(value, Reason)
    }
    unavailable = told.unavailable | {
        name: why for name, why in seen.items() if isinstance(why, Reason)
    }
    return Facts(readings=readings, unavailable=unavailable)
