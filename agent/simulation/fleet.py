"""`simulate`: a fleet of real agents over simulated devices, in one process.

Each node has its own key, spool, sampler, signatures and HTTP, as on a real node; only the devices are simulated. The
scenario's faults live in the devices. Two are no matter of devices and are obeyed here: a node that goes silent, and
one that is cut off from the network. Standard output carries one JSON line per fault at the moment when it is planted.
"""

import asyncio
import contextlib
import hashlib
import json
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from agent import challenge_receipts
from agent.challenge_receipts import KeptReceipts
from agent.clock import Clock, SystemClock
from agent.command_poller import CommandPoller, Probing
from agent.daemon import Agent, AgentStorage, Observed
from agent.enrolment import EnrolmentError, NodeIdentity, enrol, read_invite
from agent.log_keys import LogKeyFollower
from agent.probe.client import spawn
from agent.probe.consent import DailyBudget, ProbeConsent, grants
from agent.probe.grant import LESSEE
from agent.report.reporter import Backoff, Sending
from agent.report.sampler import Schedule
from agent.report.transport import TIMEOUT_S, HttpAnswer, Packed, Transport
from agent.simulation.clock import LogicalClock, TimeCourse, drive, move_collector
from agent.simulation.devices import SimulatedHost, SimulatedSource, gpu_uuid
from agent.simulation.scenario import (
    Fault,
    NetworkCut,
    Replacement,
    SameUuid,
    Scenario,
    Silence,
    load_scenario,
)
from weighbridge.process.terminal import clear_progress, progress

ENROLLING_AT_ONCE = 8
LONGEST_WAIT_S = 2.0
SHORTEST_WAIT_S = 0.02
RECEIPTS_BYTES = 1 << 20
DAY_MS = 86_400_000
SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class SimulatedFleet:
    """What to simulate. Invites are used in order: the first is for node 0 of the scenario."""

    nodes: int
    gpus: int
    scenario: Scenario
    invites: Sequence[str]
    collector: str | None
    directory: Path
    schedule: Schedule
    spool_bytes: int
    course: TimeCourse | None = None
    probe: bool = False
    """Whether challenges are taken, by probers on the CPU back end."""

    @property
    def longest_wait_s(self) -> float:
        """Between two attempts to report; in simulated time nobody waits."""
        return LONGEST_WAIT_S if self.course is None else SHORTEST_WAIT_S


def read_invites(path: Path) -> list[str]:
    """The invites in a file, one per line, or in the files of a directory, in the order of their names."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    lines = [line.strip() for file in files for line in file.read_text().splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def scenario_of(path: Path | None) -> Scenario:
    """The scenario of a file, or none. Raises ScenarioError or OSError."""
    return Scenario() if path is None else load_scenario(path)


def schedule_of(interval_ms: int, identity_interval_ms: int, samples_per_report: int) -> Schedule:
    """How often a simulated node is read: what is slow every sixth time."""
    interval_us = interval_ms * 1000
    return Schedule(interval_us, 6 * interval_us, identity_interval_ms * 1000, samples_per_report)


class SimulatedNode:
    """One node: its devices go on whether or not its agent runs and its network works."""

    def __init__(
        self, number: int, fleet: SimulatedFleet, identity: NodeIdentity, clock: Clock
    ) -> None:
        self.number, self.name = number, identity.node
        self._fleet, self._identity, self._clock = fleet, identity, clock
        self.started_us, self._booted_us = clock.boottime_us(), clock.wall_us()
        self._source = SimulatedSource(clock.boottime_us, fleet.scenario, number, fleet.gpus)
        self._transport = Transport(identity.url, identity.trust)
        self._boots = 0
        self._task: asyncio.Task[None] | None = None
        self._agent: Agent | None = None
        self._beside: list[asyncio.Task[None]] = []
        self._connected = True

    @property
    def pending(self) -> int:
        """Reports that its agent could hand over now and has not."""
        if self._agent is None or not self._connected:
            return 0
        facts = self._agent.facts()
        begun = self._agent.sampler.begun and facts.get("spool_held_count")
        return facts["spool_pending_count"] if begun else 1

    def start(self) -> None:
        """Starts the node's agent."""
        fleet = self._fleet
        boot = hashlib.sha256(f"{self.number}/{self._booted_us}/{self._boots}".encode())
        folder = AgentStorage(fleet.directory / self.name, fleet.spool_bytes, RECEIPTS_BYTES)
        self._agent = Agent(
            self._identity,
            folder,
            Observed(self._source, SimulatedHost(self.number)),
            self._clock,
            boot.hexdigest()[:32],
            fleet.schedule,
            Sending(self._post, Backoff(longest_s=fleet.longest_wait_s)),
        )
        self._task = asyncio.create_task(self._agent.run())
        follower = LogKeyFollower(self._identity.log, self._agent.doubt, self._request)
        self._beside.append(asyncio.create_task(follower.run()))
        if fleet.probe:
            poller = self._command_poller(self._agent, folder)
            self._beside.append(asyncio.create_task(poller.run()))

    def _command_poller(self, agent: Agent, folder: AgentStorage) -> CommandPoller:
        """Simulated devices are always at work, and it is nobody's work: the lessee agrees."""
        consent = ProbeConsent("cpu", LESSEE, (), 0)
        budget = DailyBudget(folder.directory / "probe_spent.json", DAY_MS)
        return CommandPoller(
            self._identity,
            self._request,
            Probing(grants(consent, agent.sampler, self._clock), budget, spawn),
            self._clock.wall_us,
            KeptReceipts(folder.directory / challenge_receipts.NAME),
            Backoff(longest_s=LONGEST_WAIT_S),
        )

    async def stop(self, said: bool = True) -> None:
        """End its agent: with a goodbye, or as a power failure does."""
        task, agent, beside = self._task, self._agent, self._beside
        self._task, self._agent, self._beside = None, None, []
        for other in beside:
            other.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        if task is None or agent is None:
            return
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        if said:
            await agent.stop("the simulation ends")
        else:
            await agent.abandon()

    async def close(self) -> None:
        """Stops the agent and closes its connections."""
        await self.stop()
        await self._transport.close()

    async def plant(self, fault: Fault) -> None:
        """Begins a fault that is not one of the devices: silence, or a network cut."""
        match fault:
            case Silence():
                await self.stop(said=False)
            case Replacement():
                await self.stop()
            case NetworkCut():
                self._connected = False
            case _:
                pass

    async def lift(self, fault: Fault) -> None:
        """Ends such a fault."""
        match fault:
            case Silence():
                self.start()
            case Replacement():
                self._boots += 1
                self._source.reboot()
                self.start()
            case NetworkCut():
                self._connected = True
            case _:
                pass

    async def _request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> HttpAnswer:
        if not self._connected:
            raise OSError("the network is cut")
        return await self._transport.request(method, path, body, headers, timeout_s)

    async def _post(self, batch: Packed, kept: Sequence[int]) -> HttpAnswer:
        if not self._connected:
            raise OSError("the network is cut")
        return await self._transport.post_reports(batch, kept)


async def enrol_fleet(fleet: SimulatedFleet) -> list[NodeIdentity]:
    """Raises EnrolmentError when there are fewer invites than nodes, or one is refused."""
    if len(fleet.invites) < fleet.nodes:
        raise EnrolmentError(f"{len(fleet.invites)} invites for {fleet.nodes} nodes")
    turn = asyncio.Semaphore(ENROLLING_AT_ONCE)

    async def one(line: str) -> NodeIdentity:
        async with turn:
            directory = fleet.directory / read_invite(line).node
            return await enrol(line, directory, fleet.collector)

    with progress(f"enrolling {fleet.nodes} nodes"):
        return list(await asyncio.gather(*(one(line) for line in fleet.invites[: fleet.nodes])))


async def simulate(fleet: SimulatedFleet, seconds: float | None) -> None:
    """Until SIGTERM, SIGINT or the time is over. With a course, simulated time instead of real time."""
    identities = await enrol_fleet(fleet)
    course = fleet.course
    logical = None if course is None else LogicalClock(course.from_us)
    clock: Clock = SystemClock() if logical is None else logical
    if course is not None:
        await _move(identities[0], course.from_us)
    nodes = [
        SimulatedNode(number, fleet, identity, clock) for number, identity in enumerate(identities)
    ]
    for node in nodes:
        node.start()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    scripts = [
        asyncio.create_task(_play(node, fault, fleet, clock))
        for node in nodes
        for fault in fleet.scenario.of_node(node.number)
    ]
    if course is not None and logical is not None:
        await _drive(course, logical, nodes, identities[0], stopped)
    else:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await stopped.wait()
    for script in scripts:
        script.cancel()
    await asyncio.gather(*scripts, return_exceptions=True)
    await asyncio.gather(*(node.close() for node in nodes))
    if course is not None and course.then_us is not None:
        await _move(identities[0], course.then_us)


async def _drive(
    course: TimeCourse,
    clock: LogicalClock,
    nodes: Sequence[SimulatedNode],
    identity: NodeIdentity,
    stopped: asyncio.Event,
) -> None:
    transport = Transport(identity.url, identity.trust)
    try:
        whole_s = (course.until_us - course.from_us) // SECOND_US
        with progress("seconds of simulated time", whole_s) as count:

            async def move(wall_us: int) -> None:
                await move_collector(transport, wall_us)
                count((wall_us - course.from_us) // SECOND_US)

            await drive(course, clock, nodes, move, stopped)
    finally:
        await transport.close()


async def _move(identity: NodeIdentity, wall_us: int) -> None:
    transport = Transport(identity.url, identity.trust)
    try:
        await move_collector(transport, wall_us)
    finally:
        await transport.close()


async def _play(node: SimulatedNode, fault: Fault, fleet: SimulatedFleet, clock: Clock) -> None:
    """One fault from its beginning to its end, said when it happens."""
    await clock.sleep_until(node.started_us + int(fault.after_seconds * 1_000_000))
    await node.plant(fault)
    _say("planted", node, fault, fleet, clock)
    if fault.until_seconds is not None:
        await clock.sleep_until(node.started_us + int(fault.until_seconds * 1_000_000))
        await node.lift(fault)
        _say("lifted", node, fault, fleet, clock)


def _say(what: str, node: SimulatedNode, fault: Fault, fleet: SimulatedFleet, clock: Clock) -> None:
    for device in subjects(fault, node.number, fleet):
        line = {what: fault.kind, "node": node.name, "device": device, "at_us": clock.wall_us()}
        clear_progress()
        click.echo(json.dumps(line))


def subjects(fault: Fault, number: int, fleet: SimulatedFleet) -> Iterator[str | None]:
    """The UUIDs that a fault is about, as the devices show them; None for the node as a whole."""
    if isinstance(fault, Silence | NetworkCut):
        yield None
        return
    seed = fleet.scenario.seed
    for gpu in range(fleet.gpus):
        if not fault.strikes(gpu):
            continue
        if isinstance(fault, SameUuid):
            yield gpu_uuid(seed, fault.of_node, fault.of_gpu)
        else:
            yield gpu_uuid(seed, number, gpu)
