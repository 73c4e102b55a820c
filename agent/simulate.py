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

from agent.clock import Clock, SystemClock
from agent.daemon import Agent, Place
from agent.enrolment import EnrolmentError, Identity, enrol, read_invite
from agent.reporter import Backoff
from agent.sampler import Schedule
from agent.scenario import Fault, NetworkCut, SameUuid, Scenario, Silence, load_scenario
from agent.simulated import SimulatedHost, SimulatedSource, gpu_uuid
from agent.transport import Answer, Transport

ENROLLING_AT_ONCE = 8
LONGEST_WAIT_S = 2.0
RECEIPTS_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Fleet:
    """What to simulate. Invites are used in order: the first is for node 0 of the scenario."""

    nodes: int
    gpus: int
    scenario: Scenario
    invites: Sequence[str]
    collector: str | None
    directory: Path
    schedule: Schedule
    spool_bytes: int


def read_invites(path: Path) -> list[str]:
    """The invites in a file, one per line, or in the files of a directory, in the order of their names."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    lines = [line.strip() for file in files for line in file.read_text().splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def fleet_of(
    scenario: Path | None,
    invites: Path,
    directory: Path,
    *,
    nodes: int,
    gpus: int,
    collector: str | None,
    interval_ms: int,
    identity_interval_ms: int,
    samples_per_report: int,
    spool_bytes: int,
) -> Fleet:
    """A fleet as the command line names it. Raises ScenarioError or OSError."""
    interval_us = interval_ms * 1000
    return Fleet(
        nodes=nodes,
        gpus=gpus,
        scenario=Scenario() if scenario is None else load_scenario(scenario),
        invites=read_invites(invites),
        collector=collector,
        directory=directory,
        schedule=Schedule(
            interval_us, 6 * interval_us, identity_interval_ms * 1000, samples_per_report
        ),
        spool_bytes=spool_bytes,
    )


class SimulatedNode:
    """One node: its devices go on whether or not its agent runs and its network works."""

    def __init__(self, number: int, fleet: Fleet, identity: Identity, clock: Clock) -> None:
        self.number, self.name = number, identity.node
        self._fleet, self._identity, self._clock = fleet, identity, clock
        self.started_us = clock.boottime_us()
        self._source = SimulatedSource(clock.boottime_us, fleet.scenario, number, fleet.gpus)
        self._transport = Transport(identity.url, identity.trust)
        self._boot = hashlib.sha256(f"{number}/{self.started_us}".encode()).hexdigest()[:32]
        self._task: asyncio.Task[None] | None = None
        self._agent: Agent | None = None
        self._connected = True

    def start(self) -> None:
        """An agent begins on this node."""
        fleet = self._fleet
        place = Place(fleet.directory / self.name, fleet.spool_bytes, RECEIPTS_BYTES)
        self._agent = Agent(
            self._identity,
            place,
            self._source,
            SimulatedHost(self.number),
            self._clock,
            self._boot,
            fleet.schedule,
            self._post,
            backoff=Backoff(longest_s=LONGEST_WAIT_S),
        )
        self._task = asyncio.create_task(self._agent.run())

    async def stop(self, said: bool = True) -> None:
        """End its agent: with a goodbye, or as a power failure does."""
        task, agent = self._task, self._agent
        self._task = self._agent = None
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
        """Stop, and let go of the network."""
        await self.stop()
        await self._transport.close()

    async def plant(self, fault: Fault) -> None:
        """Begin what is no matter of the devices."""
        match fault:
            case Silence():
                await self.stop(said=False)
            case NetworkCut():
                self._connected = False
            case _:
                pass

    async def lift(self, fault: Fault) -> None:
        """End it again."""
        match fault:
            case Silence():
                self.start()
            case NetworkCut():
                self._connected = True
            case _:
                pass

    async def _post(self, body: bytes) -> Answer:
        if not self._connected:
            raise OSError("the network is cut")
        return await self._transport.post_reports(body)


async def enrol_fleet(fleet: Fleet) -> list[Identity]:
    """Raises EnrolmentError when there are fewer invites than nodes, or one is refused."""
    if len(fleet.invites) < fleet.nodes:
        raise EnrolmentError(f"{len(fleet.invites)} invites for {fleet.nodes} nodes")
    turn = asyncio.Semaphore(ENROLLING_AT_ONCE)

    async def one(line: str) -> Identity:
        async with turn:
            directory = fleet.directory / read_invite(line).node
            return await enrol(line, directory, fleet.collector)

    return list(await asyncio.gather(*(one(line) for line in fleet.invites[: fleet.nodes])))


async def simulate(fleet: Fleet, seconds: float | None) -> None:
    """Until SIGTERM, SIGINT or the time is over."""
    identities = await enrol_fleet(fleet)
    clock = SystemClock()
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
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopped.wait()
    for script in scripts:
        script.cancel()
    await asyncio.gather(*scripts, return_exceptions=True)
    await asyncio.gather(*(node.close() for node in nodes))


async def _play(node: SimulatedNode, fault: Fault, fleet: Fleet, clock: Clock) -> None:
    """One fault from its beginning to its end, said when it happens."""
    await clock.sleep_until(node.started_us + int(fault.after_seconds * 1_000_000))
    await node.plant(fault)
    _say("planted", node, fault, fleet, clock)
    if fault.until_seconds is not None:
        await clock.sleep_until(node.started_us + int(fault.until_seconds * 1_000_000))
        await node.lift(fault)
        _say("lifted", node, fault, fleet, clock)


def _say(what: str, node: SimulatedNode, fault: Fault, fleet: Fleet, clock: Clock) -> None:
    for device in subjects(fault, node.number, fleet):
        line = {what: fault.kind, "node": node.name, "device": device, "at_us": clock.wall_us()}
        click.echo(json.dumps(line))


def subjects(fault: Fault, number: int, fleet: Fleet) -> Iterator[str | None]:
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
