"""Sampling on a schedule, and the assembly of samples into the columns of a report.

`assemble` and `Draft` are pure; `Sampler` decides when to look and hands drafts to a sink. A draft becomes a report
when the spool gives it a place.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal, Protocol

from msgspec.structs import replace

from agent.clock import Clock, read_clock, ticks_us
from agent.report.source import DeviceSource, IdentityTier, RawProcess, Sweep
from weighbridge.catalogue.readings import SELDOM, Tier
from weighbridge.wire.report import (
    Block,
    Device,
    Event,
    EventKind,
    Facts,
    Inventory,
    OwnerClass,
    Process,
    Reason,
    ReportClocks,
    UnavailableSpan,
    digest,
    encode,
)

DAY_US = 86_400_000_000
SECOND_US = 1_000_000
IDENTIFYING = frozenset(
    {
        EventKind.DEVICE_LOST,
        EventKind.DEVICE_RETURNED,
        EventKind.NVML_RESTARTED,
        EventKind.RESUMED,
    }
)
"""Events after which the devices are enumerated anew."""
LACKING = frozenset({Reason.NOT_SUPPORTED, Reason.FUNCTION_NOT_FOUND})
"""Why a device or a driver has no such reading at all."""
HUNG = frozenset(
    {EventKind.NVML_STALLED, EventKind.NVML_CRASHED, EventKind.NVML_RESTARTED}
    | {EventKind.CALL_QUARANTINED}
)
"""Events of a driver that does not answer: whatever it is asked next may take long."""


class HostFacts(Protocol):
    """What `host.Host` offers."""

    def inventory(self) -> Facts: ...

    def facts(self) -> Facts: ...

    def owner(self, pid: int) -> tuple[str, OwnerClass] | None: ...


@dataclass(frozen=True, slots=True)
class Schedule:
    """When to look: fast each `interval_us`, slow and identity at their own pace, a report per `samples` fast ones."""

    interval_us: int = 10 * SECOND_US
    slow_us: int = 60 * SECOND_US
    identity_us: int = 600 * SECOND_US
    samples: int = 1


@dataclass(frozen=True, slots=True)
class Draft:
    """A report less its place in the chain."""

    clock: ReportClocks
    interval_ms: int
    inventory_digest: str
    inventory: Inventory | None
    blocks: Sequence[Block]
    processes: Sequence[Process] | None
    host: Facts | None
    events: Sequence[Event]


def assemble(sweeps: Iterable[Sweep], tier: Literal["fast", "slow"]) -> list[Block]:
    """Sweeps of one tier, in the order of their time, as blocks; a change of devices or readings begins a new one."""
    return [
        _block(list(run), tier)
        for _, run in groupby(sweeps, lambda sweep: (tuple(sweep.devices), tuple(sweep.readings)))
    ]


def _block(sweeps: Sequence[Sweep], tier: Literal["fast", "slow"]) -> Block:
    columns = {name: [sweep.readings[name] for sweep in sweeps] for name in sweeps[0].readings}
    for name in [name for name in SELDOM & columns.keys() if _is_lacking(columns[name])]:
        del columns[name]
    return Block(
        tier=tier,
        boottime_us=[sweep.boottime_us for sweep in sweeps],
        devices=list(sweeps[0].devices),
        readings={name: [_values(row) for row in rows] for name, rows in columns.items()},
        unavailable=[
            span
            for name, rows in columns.items()
            if any(isinstance(value, Reason) for row in rows for value in row)
            for span in _spans(name, sweeps[0].devices, rows)
        ],
    )


def _is_lacking(rows: Iterable[Sequence[int | Reason]]) -> bool:
    return all(value in LACKING for row in rows for value in row)


def _values(row: Sequence[int | Reason]) -> list[int | None]:
    return [None if isinstance(value, Reason) else value for value in row]


def _spans(
    reading: str, devices: Sequence[str], rows: Sequence[Sequence[int | Reason]]
) -> Iterator[UnavailableSpan]:
    """Runs of samples that lack a value for the same reason."""
    for column, device in enumerate(devices):
        start = 0
        for value, run in groupby(row[column] for row in rows):
            end = start + sum(1 for _ in run)
            if isinstance(value, Reason):
                yield UnavailableSpan(
                    device=device, reading=reading, from_=start, to=end, reason=value
                )
            start = end


def owned(
    processes: Iterable[RawProcess],
    owner: Callable[[int], tuple[str, OwnerClass] | None],
    boottime_us: int,
) -> list[Process]:
    """Processes without their pids. One that went since the driver listed it holds nothing any more."""
    rows = []
    for process in processes:
        owned_by = owner(process.pid)
        if owned_by is None:
            continue
        name, kind = owned_by
        rows.append(
            Process(
                boottime_us=boottime_us,
                device=process.device,
                memory_bytes=process.memory_bytes,
                owner=name,
                class_=kind,
            )
        )
    return rows


def driver_changes(old: Facts, new: Facts) -> str:
    """The names of the driver's facts that became another thing; one that merely came or went is none."""
    common = old.readings.keys() & new.readings.keys()
    return ", ".join(sorted(name for name in common if old.readings[name] != new.readings[name]))


def agent_event(kind: EventKind, boottime_us: int, device: str | None, detail: str) -> Event:
    """An event that the agent itself saw; `detail` is cut to what the wire takes."""
    return Event(
        boottime_us=boottime_us,
        kind=kind,
        device=device,
        code=None,
        source="agent",
        detail=detail[:512],
    )


@dataclass(slots=True)
class Gathered:
    """What was seen since the last draft."""

    fast: list[Sweep] = field(default_factory=list)
    slow: list[Sweep] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    processes: list[Process] | None = None
    host: Facts | None = None


Sink = Callable[[Draft], Awaitable[None]]


class Sampler:
    """Looks at a source on a schedule. `events` tells what happened since it was last asked; by default the source.

    `more_facts` adds the agent's own state to the host's.
    """

    def __init__(
        self,
        source: DeviceSource,
        host: HostFacts,
        clock: Clock,
        schedule: Schedule,
        sink: Sink,
        events: Callable[[], Sequence[Event]] | None = None,
        more_facts: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        self._source, self._host, self._clock = source, host, clock
        self._sink, self._more_facts = sink, more_facts
        self._events = source.events if events is None else events
        self.schedule = schedule
        self._gathered = Gathered()
        self._inventory: Inventory | None = None
        self._digest = ""
        self._inventory_due = True
        self._inventory_sent_us = 0
        self._sampled_us: int | None = None
        self._slow_due_us = self._identity_due_us = 0
        self._wall_offset_us: int | None = None
        self.paused = False
        """While the source is paused, devices keep the identity they had."""
        self.sweep_us = 0
        """How long the last fast sweep took, from the schedule to this process's memory."""
        self.failed_readings = 0
        """Readings since the start that a failing call, not a missing feature, left without a value."""
        self.newest: Sweep | None = None
        """The newest sample of the fast tier, and beside it the processes that were seen with it."""
        self.newest_slow: Sweep | None = None
        """The newest sample of the slow tier."""
        self.newest_processes: Sequence[RawProcess] | Reason = Reason.NOT_READY

    @property
    def devices(self) -> Sequence[Device]:
        """The devices last enumerated."""
        return () if self._inventory is None else self._inventory.devices

    @property
    def inventory(self) -> Inventory | None:
        """The newest inventory; None before the first."""
        return self._inventory

    def want_inventory(self) -> None:
        """Put the inventory into the next report."""
        self._inventory_due = True

    @property
    def begun(self) -> bool:
        """Whether it has taken a sample."""
        return self._slow_due_us > 0

    @property
    def sampled_us_ago(self) -> int | None:
        """How old the newest sample is; None before the first."""
        return None if self._sampled_us is None else self._clock.boottime_us() - self._sampled_us

    async def run(self) -> None:
        """Sample for ever."""
        async for due_us in ticks_us(self._clock, self.schedule.interval_us):
            await self.sample(due_us)

    async def watch(self) -> None:
        """Send events on at once, for ever: each second is soon enough for whatever comes between two samples."""
        async for _ in ticks_us(self._clock, SECOND_US):
            await self.add_events(self._events())

    async def sample(self, due_us: int) -> None:
        """One sample of the fast tier and of whatever else is due; a report if that is due.

        The fast tier first: to ask who is there takes near 0.1 s for each GPU, and the sample would be late by it.
        """
        await self._sweep_fast(due_us)
        self._sampled_us = self._clock.boottime_us()
        if due_us >= self._identity_due_us:
            await self._identify(due_us)
        if due_us >= self._slow_due_us:
            self._slow_due_us = due_us + self.schedule.slow_us
            await self._sweep_slow()
        events = self._events()
        self._gathered.events += events
        await self._look_again(events, due_us)
        if self._gathered.events or len(self._gathered.fast) >= self.schedule.samples:
            await self.flush()

    async def add_events(self, events: Sequence[Event]) -> None:
        """Report events now, with whatever samples are waiting."""
        if not events:
            return
        self._gathered.events += events
        await self._look_again(events, self._clock.boottime_us())
        if self._gathered.events or self._inventory_due:
            await self.flush()

    async def _look_again(self, events: Sequence[Event], now_us: int) -> None:
        """Enumerate after events that ask for it. That a driver hangs is told before it is asked again."""
        if self._inventory is not None and any(event.kind in HUNG for event in events):
            await self.flush()
        if any(event.kind in IDENTIFYING for event in events):
            await self._identify(now_us)

    async def note(self, kind: EventKind, detail: str) -> None:
        """Report an event of the agent itself, now."""
        await self.add_events([agent_event(kind, self._clock.boottime_us(), None, detail)])

    async def flush(self) -> None:
        """Hand on what was gathered, if only that the agent is alive."""
        gathered, self._gathered = self._gathered, Gathered()
        if self._inventory is None:
            await self._identify(self._clock.boottime_us())
        await self._sink(self._draft(gathered))

    def _draft(self, gathered: Gathered) -> Draft:
        clock = read_clock(self._clock)
        gathered.events += self._steps(clock)
        daily = clock.boottime_us >= self._inventory_sent_us + DAY_US
        inventory = self._inventory if self._inventory_due or daily else None
        if inventory is not None:
            self._inventory_due, self._inventory_sent_us = False, clock.boottime_us
        return Draft(
            clock=clock,
            interval_ms=self.schedule.interval_us // 1000,
            inventory_digest=self._digest,
            inventory=inventory,
            blocks=[*assemble(gathered.fast, "fast"), *assemble(gathered.slow, "slow")],
            processes=gathered.processes,
            host=gathered.host,
            events=gathered.events,
        )

    def _steps(self, clock: ReportClocks) -> list[Event]:
        """The event of a wall clock that moved otherwise than the boot clock since the last draft."""
        offset_us = clock.wall_us - clock.boottime_us
        before_us, self._wall_offset_us = self._wall_offset_us, offset_us
        if before_us is None or abs(offset_us - before_us) < SECOND_US:
            return []
        detail = f"by {offset_us - before_us} microseconds"
        return [agent_event(EventKind.CLOCK_STEPPED, clock.boottime_us, None, detail)]

    async def _sweep_fast(self, due_us: int) -> None:
        sweep = await self._source.sweep(Tier.FAST)
        self.sweep_us = self._clock.boottime_us() - due_us
        seen = await self._source.processes()
        # Only now: an event that is sent meanwhile must not part the sample from its processes.
        self._keep(self._gathered.fast, sweep)
        self.newest, self.newest_processes = sweep, seen
        if isinstance(seen, Reason):
            return
        rows = owned(seen, self._host.owner, sweep.boottime_us)
        self._gathered.processes = (self._gathered.processes or []) + rows

    async def _sweep_slow(self) -> None:
        self.newest_slow = await self._source.sweep(Tier.SLOW)
        self._keep(self._gathered.slow, self.newest_slow)
        facts = self._host.facts()
        self._gathered.host = replace(facts, readings={**facts.readings, **self._more_facts()})

    def _keep(self, sweeps: list[Sweep], sweep: Sweep) -> None:
        """A sweep of no device has no columns; the inventory says that there is none."""
        self.failed_readings += sum(
            value in (Reason.TIMEOUT, Reason.ERROR)
            for row in sweep.readings.values()
            for value in row
        )
        if not sweeps or sweep.boottime_us > sweeps[-1].boottime_us:
            sweeps.append(sweep)

    async def _identify(self, now_us: int) -> None:
        self._identity_due_us = now_us + self.schedule.identity_us
        if self.paused and self._inventory is not None:
            return
        identity = await self._source.identify()
        inventory = self._merged(identity)
        found = digest(encode(inventory))
        if found == self._digest:
            return
        told = self._events()
        self._gathered.events += told
        if self._inventory is not None:
            self._note_driver(
                driver_changes(self._inventory.driver, inventory.driver), told, now_us
            )
        self._inventory, self._digest, self._inventory_due = inventory, found, True

    def _note_driver(self, changed: str, told: Sequence[Event], now_us: int) -> None:
        """The source tells of another driver and of changed devices; of another library only its facts do."""
        if changed and not any(event.kind is EventKind.DRIVER_CHANGED for event in told):
            self._gathered.events.append(
                agent_event(EventKind.DRIVER_CHANGED, now_us, None, changed)
            )

    def _merged(self, identity: IdentityTier) -> Inventory:
        return Inventory(
            devices=list(identity.devices), driver=identity.driver, host=self._host.inventory()
        )
