"""Runs the demonstration: the collector, the fleet, the real node if there is one, and the comparison at the end."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from collector import control
from collector.client import CollectorError
from demo import real_node
from demo.plan import FAULTS, GPUS, LEASES, NODES, Fault, contract, scenario
from demo.programs import DemoError, events, first_line, messages, program, run, running
from demo.show import Screen, told
from demo.verdicts import Outcome, against_the_honest, compare
from weighbridge.process.terminal import progress

Json = Mapping[str, Any]
POLL_SECONDS = 0.5
TABLE_SECONDS = 8.0
LONGER = 6
"""So many times its time it watches at most."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """`port` 0: any. `without`: names of faults that are not planted."""

    seconds: float
    port: int
    directory: Path
    without: frozenset[str]

    @property
    def faults(self) -> list[Fault]:
        return [fault for fault in FAULTS if fault.name not in self.without]


@dataclass(slots=True)
class Heard:
    """What was planted and what was found, as it came."""

    planted: list[Json] = field(default_factory=list)
    findings: dict[tuple[str, ...], Json] = field(default_factory=dict)


async def demonstrate(wanted: Wanted, screen: Screen) -> bool:
    """Whether everything planted was found, and nothing against the honest contract. Raises DemoError."""
    demonstration = Demonstration(wanted, screen)
    async with contextlib.AsyncExitStack() as stack:
        await demonstration.begin(stack)
        await demonstration.watch()
        outcomes = compare(
            wanted.faults, demonstration.heard.planted, list(demonstration.heard.findings.values())
        )
        honest = against_the_honest(demonstration.heard.findings.values())
    screen.summary(outcomes, honest)
    return _conclude(screen, outcomes, honest)


def _conclude(screen: Screen, outcomes: Sequence[Outcome], honest: Sequence[Json]) -> bool:
    missed = [outcome.fault.name for outcome in outcomes if not outcome.is_found]
    if missed:
        screen.note(f"NOT FOUND: {', '.join(missed)}")
    if honest:
        screen.note(f"{len(honest)} findings against the honest contract")
    if not missed and not honest:
        screen.note(
            f"all {len(outcomes)} planted faults were found; nothing against the honest contract"
        )
    return not missed and not honest


class Demonstration:
    """One run."""

    def __init__(self, wanted: Wanted, screen: Screen) -> None:
        self._wanted, self._screen = wanted, screen
        self._store = wanted.directory / "collector"
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith("WEIGHBRIDGE_")
        }
        self._started = time.monotonic()
        self._url = ""
        self._late = False
        self.heard = Heard()

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._started

    async def begin(self, stack: contextlib.AsyncExitStack) -> None:
        """Everything is running and enrolled when it returns."""
        await self._start_collector(stack)
        self._client = await stack.enter_async_context(aiohttp.ClientSession(self._url))
        for lease in self._leases():
            await self._add(contract(lease, int(time.time())))  # noqa: TID251
            self._screen.note(f"contract {lease.contract}: {lease.promised} nodes of {GPUS} GPUs")
        await self.start_real_node(stack)
        self._screen.note(f"inviting {len(NODES)} nodes and starting their agents")
        invites = self._wanted.directory / "invites"
        with progress("inviting"):
            lines = [
                await self._invite(lease.contract, node) for lease in LEASES for node in lease.nodes
            ]
        invites.write_text("\n".join(lines) + "\n", encoding="ascii")
        await self._start_fleet(stack, invites)

    def _leases(self) -> list[Any]:
        paper = "never_reports" in self._wanted.without
        return [lease for lease in LEASES if lease.nodes or not paper]

    async def _start_collector(self, stack: contextlib.AsyncExitStack) -> None:
        self._screen.note("starting the collector, on a store of its own")
        listen = f"127.0.0.1:{_free_port(self._wanted.port)}"
        weighbridge = program("weighbridge")
        store = str(self._store)
        # Anybody on the machine may watch a demonstration: no token is asked for.
        made = [weighbridge, "init", store, "--listen", listen, "--open-on-loopback"]
        with progress("starting the collector"):
            await run(made, self._environment)
        log = self._wanted.directory / "collector.log"
        serve = [weighbridge, "serve", "--config", str(self._store / "config.toml")]
        process = await stack.enter_async_context(running(serve, log, self._environment))
        with progress("starting the collector"):
            said = await first_line(process, log)
        self._url = said.removeprefix("listening on ")
        self._screen.note(f"collector: {self._url}/ (evidence in {self._store})")

    async def _start_fleet(self, stack: contextlib.AsyncExitStack, invites: Path) -> None:
        told_to_fleet = self._wanted.directory / "fleet.yaml"
        told_to_fleet.write_text(scenario(self._wanted.faults), encoding="utf-8")
        command = [program("weighbridge-agent"), "simulate", "--nodes", str(len(NODES))]
        command += ["--gpus", str(GPUS), "--scenario", str(told_to_fleet)]
        command += ["--invites", str(invites), "--interval-ms", "1000"]
        command += ["--state-directory", str(self._wanted.directory / "agents")]
        log = self._wanted.directory / "agents.log"
        fleet = await stack.enter_async_context(running(command, log, self._environment))
        listening = asyncio.create_task(self._listen(fleet))
        stack.callback(listening.cancel)
        self._fleet, self._fleet_log = fleet, log
        self._screen.note(f"fleet: {len(NODES)} agents, each of {GPUS} simulated GPUs, reporting")

    async def start_real_node(self, stack: contextlib.AsyncExitStack) -> None:
        """This machine, if it can be weighed: what fails on it does not end the demonstration."""
        try:
            await self._weigh_this_machine(stack)
        except DemoError as error:
            self._screen.note(f"this machine is not weighed, only the fleet: {error}")

    async def _weigh_this_machine(self, stack: contextlib.AsyncExitStack) -> None:
        """The GPUs of this machine, if it has any, against a contract drawn from what they show first."""
        self._screen.note("looking for GPUs of this machine")
        agent = program("weighbridge-agent")
        text = real_node.contract_of(
            await real_node.snapshot(agent, self._environment),
            int(time.time()),  # noqa: TID251
        )
        if text is None:
            self._screen.note(
                "this machine: no NVIDIA GPU that can be read, so only the fleet is weighed"
            )
            return
        await self._add(text)
        invite = self._wanted.directory / "this-machine.invite"
        line = await self._invite(real_node.CONTRACT, real_node.NODE)
        invite.write_text(line + "\n", encoding="ascii")
        directory = self._wanted.directory / "this-machine"
        command = await real_node.enrolled(agent, invite, directory, self._environment)
        log = self._wanted.directory / "this-machine.log"
        await stack.enter_async_context(running(command, log, self._environment))
        self._screen.note("this machine: its own GPUs are weighed too, as K-THIS-MACHINE")

    async def _listen(self, fleet: asyncio.subprocess.Process) -> None:
        told_of = {fault.name: fault.told for fault in self._wanted.faults}
        async for event in events(fleet):
            if "planted" in event:
                self.heard.planted.append(event)
                self._screen.say(
                    self._elapsed, "planted", told_of.get(event["planted"], str(event)), "magenta"
                )

    async def watch(self) -> None:
        """Poll the collector until the time is over, and on while a slow machine has not shown everything."""
        shown = 0.0
        self._started = time.monotonic()
        while self._is_watched():
            if self._fleet.returncode is not None:
                raise DemoError(messages(self._fleet_log) or "the fleet ended by itself")
            rows = (await self._get("/v1/contracts"))["items"]
            for row in rows:
                await self._hear(row["contract"])
            if self._elapsed - shown >= TABLE_SECONDS:
                shown = self._elapsed
                self._screen.table(shown, rows)
            await asyncio.sleep(POLL_SECONDS)
        rows = (await self._get("/v1/contracts"))["items"]
        self._screen.table(self._elapsed, rows)

    def _is_watched(self) -> bool:
        if self._elapsed < self._wanted.seconds:
            return True
        found = list(self.heard.findings.values())
        outcomes = compare(self._wanted.faults, self.heard.planted, found)
        missed = [outcome for outcome in outcomes if not outcome.is_found]
        if missed and not self._late:
            self._late = True
            self._screen.note(
                "this machine is slow: watching on until all that was planted is found"
            )
        return bool(missed) and self._elapsed < LONGER * self._wanted.seconds

    async def _hear(self, name: str) -> None:
        """Findings of one contract that are new, the closed ones too."""
        after: str | None = "0"
        while after is not None:
            page = await self._get(f"/v1/contracts/{quote(name)}/history?after={after}")
            for finding in page["items"]:
                self._note(finding)
            after = page["after"]

    def _note(self, finding: Json) -> None:
        place = tuple(str(finding[key]) for key in ("contract", "node", "gpu", "code", "since_us"))
        known = place in self.heard.findings
        self.heard.findings[place] = finding
        if not known and (finding["verdict"] == "breached" or finding["severity"] == "error"):
            self._screen.say(self._elapsed, "found", told(finding), "bold red")

    async def _get(self, path: str) -> Any:
        async with self._client.get(path) as response:
            answer = await response.json(content_type=None)
            if response.status >= 400:
                raise DemoError(f"{path}: {answer['detail']}")
            return answer

    async def _add(self, text: str) -> None:
        await self._ask("/v1/contracts", text.encode())

    async def _invite(self, contract_id: str, node: str) -> str:
        wanted = {"contract": contract_id, "side": "provider", "node": node, "devices": None}
        answer = await self._ask("/v1/invites", wanted | {"life_seconds": 600})
        return str(answer["invite"])

    async def _ask(self, path: str, body: dict[str, Any] | bytes) -> Any:
        """As an administrator, over the store's own socket."""
        try:
            return await asyncio.to_thread(control.request, self._store, "POST", path, body)
        except CollectorError as error:
            raise DemoError(f"{path}: {error}") from error


def _free_port(port: int) -> int:
    """The port, or any free one for 0. Raises DemoError where somebody listens already."""
    with socket.socket() as probe:
        if port and probe.connect_ex(("127.0.0.1", port)) == 0:
            raise DemoError(f"port {port} of this machine is in use; choose another with --port")
        if port:
            return port
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
