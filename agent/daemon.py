"""One agent: source, sampler, spool and reporter, wired together and kept going.

Nothing here ends because a driver, a disk or a collector fails: a failure is logged once, reported when it can be, and
tried again. `Agent` is the same for a real node and for each node of a simulated fleet.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

import weighbridge
from agent.clock import Clock
from agent.enrolment import NodeIdentity
from agent.report.log_watch import LogWatch
from agent.report.receipts import ReceiptFile
from agent.report.reporter import Reporter, Sending
from agent.report.sampler import Draft, HostFacts, Sampler, Schedule
from agent.report.source import DeviceSource
from agent.report.spool import ReportTooLargeError, Spool, SpoolError, SpoolSlot
from weighbridge.log.entries import EntryKind, payload_type
from weighbridge.wire.driver_words import driver_line, uncounted_in_words
from weighbridge.wire.report import (
    Event,
    EventKind,
    Facts,
    Inventory,
    Report,
    SeenHead,
    decode,
    digest,
    encode,
)
from weighbridge.wire.signing import Signer, open_envelope

log = logging.getLogger(__name__)

STREAM = "node"
REPORT_TYPE = payload_type(EntryKind.REPORT)
MOST_WAITING = 360
"""Drafts kept in memory while the disk refuses the spool."""
FAREWELL_S = 5.0
NOTHING = Facts(readings={}, unavailable={})


@dataclass(frozen=True, slots=True)
class AgentStorage:
    """Where an agent keeps its evidence, and how much."""

    directory: Path
    spool_bytes: int
    receipts_bytes: int


def write_report(
    draft: Draft, slot: SpoolSlot, node: str, boot: str, seen: SeenHead | None, signer: Signer
) -> tuple[bytes, str]:
    """The sealed envelope of a draft in its place in the chain, and the hash of its payload."""
    report = Report(
        version=1,
        node=node,
        chain=slot.chain,
        stream=STREAM,
        seq=slot.seq,
        prev=slot.prev,
        boot=boot,
        seen=seen,
        clock=draft.clock,
        interval_ms=draft.interval_ms,
        agent=weighbridge.__version__,
        inventory_digest=draft.inventory_digest,
        inventory=draft.inventory,
        blocks=list(draft.blocks),
        processes=None if draft.processes is None else list(draft.processes),
        host=draft.host,
        events=list(draft.events),
        gaps=list(slot.gaps),
    )
    payload = encode(report)
    return signer.seal(REPORT_TYPE, payload), digest(payload)


def reseal(
    signer: Signer,
    envelope: bytes,
    slot_after: Callable[[str | None], SpoolSlot],
    newest: Inventory | None = None,
) -> tuple[SpoolSlot, bytes, str]:
    """The same report in another place of another chain.

    A chain has to show its own inventory: where a chain begins or has a gap, the report shows the `newest` if that is
    the one whose digest it already carries.
    """
    report = decode(open_envelope(envelope).payload)
    slot = slot_after(report.prev)
    changes: dict[str, Any] = {"chain": slot.chain, "seq": slot.seq, "prev": slot.prev}
    changes["gaps"] = list(slot.gaps)
    begins = slot.prev is None or bool(slot.gaps)
    if begins and newest is not None and digest(encode(newest)) == report.inventory_digest:
        changes["inventory"] = newest
    moved = replace(report, **changes)
    payload = encode(moved)
    return slot, signer.seal(REPORT_TYPE, payload), digest(payload)


@dataclass(frozen=True, slots=True)
class Observed:
    """What an agent reads: the node's devices, its host, what the kernel log told, and facts of its own process."""

    devices: DeviceSource
    host: HostFacts
    events: Callable[[], Sequence[Event]] | None = None
    facts: Callable[[], Mapping[str, int]] = dict


class Agent:
    """Runs until it is cancelled. It gives signs of life that NVML cannot withhold."""

    def __init__(
        self,
        identity: NodeIdentity,
        folder: AgentStorage,
        observed: Observed,
        clock: Clock,
        boot: str,
        schedule: Schedule,
        sending: Sending,
    ) -> None:
        self._identity, self._folder, self._observed = identity, folder, observed
        self._boot, self._sending = boot, sending
        self._waiting: deque[Draft] = deque()
        self._writing = asyncio.Lock()
        self._spool: Spool | None = None
        self._paced: asyncio.Future[None] | None = None
        self._reporter: Reporter | None = None
        self._receipts = ReceiptFile(folder.directory / "receipts", folder.receipts_bytes)
        self._watch = LogWatch(folder.directory, identity.log, self._receipts.head)
        self.doubt = asyncio.Event()
        """A head bears a key of the log that is not known here."""
        self._complaint = ""
        self._driver_said: str | None = None
        self._lost_drafts = 0
        self._crashes = 0
        self._announced = False
        self.sampler = Sampler(
            observed.devices,
            observed.host,
            clock,
            schedule,
            self._keep,
            observed.events,
            self.facts,
        )

    @property
    def driver(self) -> Facts:
        """What the driver says of itself, as last enumerated."""
        inventory = self.sampler.inventory
        return NOTHING if inventory is None else inventory.driver

    @property
    def status(self) -> str:
        """One line for people; behind it why NVML counts no GPUs, if it does not."""
        words = uncounted_in_words(self.driver)
        return self._doing if words is None else f"{self._doing}; NVML: {words}"

    @property
    def _doing(self) -> str:
        if self._complaint:
            return f"the spool cannot be written: {self._complaint}"
        if self._watch.caught:
            return self._watch.status
        return "starting" if self._reporter is None else self._reporter.status

    def facts(self) -> dict[str, int]:
        """What the agent knows of itself, by name with its unit."""
        facts = {
            "agent_sweep_microseconds": self.sampler.sweep_us,
            "agent_failed_readings_count": self.sampler.failed_readings,
            "agent_lost_drafts_count": self._lost_drafts,
            "agent_crashes_count": self._crashes,
        }
        if self._spool is not None:
            facts |= {
                "spool_pending_count": self._spool.pending_count,
                "spool_held_count": self._spool.held_count,
                "spool_dropped_count": self._spool.dropped,
            }
        return facts | dict(self._observed.facts())

    async def run(self) -> None:
        """Sample, keep and report for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._go_on("reporting", self._report))
            tasks.create_task(self._go_on("sampling", self._sample))
            tasks.create_task(self._go_on("watching", self.sampler.watch))

    async def stop(self, detail: str) -> None:
        """Say goodbye: the last report, what can still be sent, and the driver let go. After `run` was cancelled."""
        await self.sampler.note(EventKind.AGENT_STOPPED, detail)
        if self._reporter is not None:
            await self._reporter.drain(FAREWELL_S)
        await self._observed.devices.close()
        await self.abandon()

    async def abandon(self) -> None:
        """Let go of the spool without a word, as a crash would. After `run` was cancelled."""
        if self._spool is not None:
            await asyncio.to_thread(self._spool.close)

    def reschedule(self, schedule: Schedule) -> None:
        """Takes other sampling intervals, from the next sample on."""
        self.sampler.schedule = schedule
        if self._paced is not None:
            self._paced.cancel()

    async def handle(self, request: dict[str, Any]) -> dict[str, Any]:
        """What the control socket asks: pause with a reason, resume, status."""
        match request.get("command"):
            case "pause":
                return await self._pause(str(request.get("reason", "")))
            case "resume":
                return await self._resume()
            case "status":
                said = {"status": self.status, "log": self._watch.status}
                said["driver"] = driver_line(self.driver)
                return {**said, "paused": self.sampler.paused} | self._ages() | self.facts()
            case other:
                return {"error": f"no such command: {other}"}

    def _ages(self) -> dict[str, int]:
        """How old the newest sample and the newest receipt are, and how far apart they are meant to be."""
        schedule, sampled_us = self.sampler.schedule, self.sampler.sampled_us_ago
        heard_s = None if self._reporter is None else self._reporter.heard_s_ago
        ages = {
            "interval_milliseconds": schedule.interval_us // 1000,
            "report_milliseconds": schedule.interval_us * schedule.samples // 1000,
        }
        if sampled_us is not None:
            ages["sampled_milliseconds_ago"] = sampled_us // 1000
        if heard_s is not None:
            ages["acknowledged_milliseconds_ago"] = int(heard_s * 1000)
        return ages

    async def _pause(self, reason: str) -> dict[str, Any]:
        if not reason.strip():
            return {"error": "a pause needs a reason"}
        if not self.sampler.paused:
            self.sampler.paused = True
            await self._observed.devices.pause()
            await self.sampler.note(EventKind.PAUSED, reason)
        return {"paused": True}

    async def _resume(self) -> dict[str, Any]:
        if self.sampler.paused:
            await self._observed.devices.resume()
            self.sampler.paused = False
            await self.sampler.note(EventKind.RESUMED, "")
        return {"paused": False}

    async def _go_on(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """No failure ends the agent. A reporting loop that only fails gives no sign of life."""
        while True:
            try:
                await work()
            except Exception:
                self._crashes += 1
                log.exception("%s failed and begins again", name)
                await asyncio.sleep(self._sending.breath_s)

    async def _sample(self) -> None:
        """Until it fails. A change of pace cancels the schedule and begins another."""
        if not self._announced:
            self._announced = True
            await self.sampler.note(EventKind.AGENT_STARTED, weighbridge.__version__)
        while True:
            paced = self._paced = asyncio.ensure_future(self.sampler.run())
            try:
                await asyncio.wait({paced})
            finally:
                paced.cancel()
            if not paced.cancelled():
                paced.result()

    async def _report(self) -> None:
        """The reporting loop, and before it the wait for a disk that takes a spool."""
        while self._spool is None and not await self._open_spool():
            self._sending.alive()
            await asyncio.sleep(self._sending.breath_s)
        await self._write_waiting()
        if self._reporter is not None:
            await self._reporter.run()

    async def _open_spool(self) -> bool:
        try:
            spool = await asyncio.to_thread(self._opened)
        except (OSError, SpoolError) as error:
            self._complain(error)
            return False
        self._spool = spool
        self._reporter = Reporter(
            spool,
            self._receipts,
            self._watch,
            self._sending,
            self._reseal,
            self.sampler.want_inventory,
            self.sampler.note,
            self.doubt.set,
        )
        return True

    def _opened(self) -> Spool:
        """The spool in a state to go on from. A chain belongs to one key, so another key begins another chain."""
        spool = Spool(self._folder.directory / "spool", self._folder.spool_bytes)
        spool.finish_restart(self._reseal)
        newest = spool.newest()
        if newest is not None and open_envelope(newest).key_id != self._identity.signer.key_id:
            spool.restart_chain(self._reseal)
        return spool

    def _reseal(
        self, envelope: bytes, slot_after: Callable[[str | None], SpoolSlot]
    ) -> tuple[SpoolSlot, bytes, str]:
        return reseal(self._identity.signer, envelope, slot_after, self.sampler.inventory)

    async def _keep(self, draft: Draft) -> None:
        self._tell_driver()
        self._waiting.append(draft)
        while len(self._waiting) > MOST_WAITING:
            self._waiting.popleft()
            self._lost_drafts += 1
        await self._write_waiting()

    def _tell_driver(self) -> None:
        """Into the journal when NVML ceases to count GPUs, for another reason, or counts them again."""
        words = uncounted_in_words(self.driver)
        if words == self._driver_said:
            return
        self._driver_said = words
        if words is None:
            log.info("NVML counts GPUs again: %s", driver_line(self.driver))
        else:
            log.error("NVML counts no GPUs: %s", words)

    async def _write_waiting(self) -> None:
        """Drafts into the spool, in order. What the disk refuses stays in memory until the next attempt."""
        async with self._writing:
            while self._waiting and self._spool is not None:
                try:
                    await asyncio.to_thread(self._write_oldest, self._spool)
                except (OSError, SpoolError) as error:
                    self._complain(error)
                    return
                if self._complaint:
                    log.info("the spool can be written again")
                self._complaint = ""
                if self._reporter is not None:
                    self._reporter.wake()

    def _write_oldest(self, spool: Spool) -> None:
        """In one turn, so that a caller who is cancelled meanwhile cannot make the same draft two reports."""
        with spool.turn():
            if not self._waiting:
                return
            try:
                self._write(spool, self._waiting[0])
            except ReportTooLargeError:
                self._lost_drafts += 1
                self._waiting.popleft()
                raise
            self._waiting.popleft()

    def _write(self, spool: Spool, draft: Draft) -> None:
        """A restart of the chain that the disk interrupted is finished first."""
        spool.finish_restart(self._reseal)
        slot = spool.next_slot()
        envelope, payload_hash = write_report(
            draft,
            slot,
            self._identity.node,
            self._boot,
            self._receipts.seen,
            self._identity.signer,
        )
        spool.append(slot, envelope, payload_hash)

    def _complain(self, error: OSError | SpoolError) -> None:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        if why != self._complaint:
            log.error("%s/spool cannot be written: %s; going on", self._folder.directory, why)
        self._complaint = why
