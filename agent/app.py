"""The composition of the daemon on a real node: the objects are built here and handed down."""

import asyncio
import contextlib
import logging
import os
import signal
import ssl
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import click

from agent import challenge_receipts, control, dcgm, exposition
from agent.alone import alone_in
from agent.authority import AuthorityFollower
from agent.challenge_receipts import KeptReceipts
from agent.clock import SystemClock
from agent.command_poller import CommandPoller, Probing
from agent.config import AgentConfig
from agent.daemon import NOTHING, Agent, AgentStorage, Observed
from agent.enrolment import NodeIdentity, load
from agent.host.footprint import footprint
from agent.host.kernel_log import KernelLog, XidMerger, placed
from agent.host.machine import Machine
from agent.log_keys import LogKeyFollower
from agent.nvml.attesting import Evidence, nothing, over_nvml
from agent.probe.client import over, spawn
from agent.probe.consent import DailyBudget, ProbeConsent, grants, looking_again, windows_of
from agent.report.reporter import BREATH_S, Sending
from agent.report.sampler import Schedule
from agent.report.source import DeviceSource
from agent.report.transport import Transport
from agent.running import CONTROL_SOCKET
from weighbridge.process.logs import log_to_standard_error
from weighbridge.process.service_manager import ServiceManager
from weighbridge.process.settings import ConfigError
from weighbridge.process.system_clock import boot_id
from weighbridge.wire.addresses import gpus_by_address
from weighbridge.wire.driver_words import driver_line
from weighbridge.wire.report import Event, EventKind, Facts, Reason

log = logging.getLogger(__name__)

ROOT = Path("/")


def schedule_of(config: AgentConfig) -> Schedule:
    """The sampling and reporting intervals of a configuration."""
    return Schedule(
        interval_us=config.interval_ms * 1000,
        slow_us=config.slow_interval_ms * 1000,
        identity_us=config.identity_interval_ms * 1000,
        samples=config.samples_per_report,
    )


def consent_of(config: AgentConfig) -> ProbeConsent:
    """What a configuration allows a prober."""
    return ProbeConsent(
        config.probe_backend,
        config.probe_consent,
        windows_of(config.probe_windows),
        config.probe_reserve_bytes,
    )


def introduction(identity: NodeIdentity, driver: Facts, schedule: Schedule) -> str:
    """One line of an agent that begins. A witness has no driver. Which contracts it serves only the collector knows."""
    found = "a witness" if driver == NOTHING else driver_line(driver)
    every = f"{schedule.interval_us * schedule.samples / 1_000_000:g} s"
    return (
        f"{identity.node}: {found}; reports every {every} to {identity.url}, log {identity.origin}"
    )


class Daemon:
    """The agent of one real node, from its state directory to its signals."""

    def __init__(
        self,
        config: AgentConfig,
        reload: Callable[[], AgentConfig],
        source: DeviceSource,
        environment: dict[str, str],
    ) -> None:
        self._config, self._reload, self._source = config, reload, source
        self._identity: NodeIdentity = load(config.state_directory)
        self._boot = boot_id(ROOT)
        self._manager = ServiceManager(environment)
        self._kernel: KernelLog | None = None
        if config.kernel_log == "on":
            state = config.state_directory / "kernel_log.json"
            self._kernel = KernelLog(config.kernel_log_path, state, self._boot)
        self._merger = XidMerger()
        self._said = ""
        self._xids: dict[str, int] = {}
        self._introduced = False
        on = config.attestation == "on"
        self._attest = over_nvml(environment) if on else nothing

    async def run(self) -> None:
        """Runs the agent until SIGTERM or SIGINT. Raises AnotherAgentError before it touches anything of another's."""
        with alone_in(self._config.state_directory), _alone_at_the_door(self._config):
            await self._run()

    async def _run(self) -> None:
        self._transport = transport = Transport(self._identity.url, self._identity.trust)
        self._agent = Agent(
            self._identity,
            AgentStorage(
                self._config.state_directory, self._config.spool_bytes, self._config.receipts_bytes
            ),
            Observed(
                self._source, Machine(ROOT, self._identity.salt), self._events, self._footprint
            ),
            SystemClock(),
            self._boot,
            schedule_of(self._config),
            Sending(
                transport.post_reports,
                alive=self._alive,
                breath_s=self._manager.between_signs_s(BREATH_S),
            ),
        )
        self._command_poller = self._polling(transport)
        stopped = self._watch_signals()
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(transport.close)
            await self._open_doors(stack)
            await self._run_until(stopped)
            self._manager.stopping()
            await self._agent.stop("the service was told to stop")

    def _polling(self, transport: Transport) -> CommandPoller:
        config, clock = self._config, SystemClock()
        openings = {"off": None, "socket": over(config.probe_socket), "spawn": spawn}
        budget = DailyBudget(config.state_directory / "probe_spent.json", config.probe_budget_ms)
        probing = Probing(
            grants(consent_of(config), self._agent.sampler, clock),
            budget,
            openings[config.probe],
            looking_again(self._agent.sampler, clock),
        )
        return CommandPoller(
            self._identity,
            transport.request,
            probing,
            clock.wall_us,
            KeptReceipts(config.state_directory / challenge_receipts.NAME),
            attest=self._evidence,
        )

    async def _evidence(self, uuid: str, nonce: str) -> Evidence:
        """While the agent is paused it opens the driver for nobody: a reset must find it closed."""
        if self._agent.sampler.paused:
            return Evidence(reason=Reason.PAUSED.value)
        return await self._attest(uuid, nonce)

    async def _obey(self) -> None:
        """Whatever goes wrong with commands, the weighing goes on."""
        while True:
            try:
                await self._command_poller.run()
            except Exception:
                log.exception("commands failed and begin again")
                await asyncio.sleep(BREATH_S)

    async def _follow_log(self) -> None:
        """The keys of the log, whatever happens to one try."""
        await LogKeyFollower(self._identity.log, self._agent.doubt, self._transport.request).run()

    async def _open_doors(self, stack: contextlib.AsyncExitStack) -> None:
        """The control socket and the metrics port. One that cannot be opened is logged, and the agent goes on without
        it."""
        path = self._config.runtime_directory / CONTROL_SOCKET
        await _try_door(stack, str(path), lambda: control.serve(path, self._agent.handle))
        listen = self._config.metrics_listen
        if listen:
            await _try_door(stack, listen, lambda: exposition.serve(listen, self._page))
        named = self._config.dcgm_listen
        if named:
            page = dcgm.Page(self._seen, self._identity.node, self._config.dcgm_host_label)
            await _try_door(stack, named, lambda: exposition.serve(named, page.text))

    def _page(self) -> str:
        return exposition.render(self._agent.facts(), self._agent.driver)

    def _seen(self) -> dcgm.Seen:
        sampler = self._agent.sampler
        return dcgm.Seen(
            sampler.devices, self._agent.driver, sampler.newest, sampler.newest_slow, self._xids
        )

    async def _run_until(self, stopped: asyncio.Event) -> None:
        tasks = [
            asyncio.ensure_future(work)
            for work in (self._agent.run(), stopped.wait(), self._obey(), self._follow_log())
        ]
        trust = self._identity.trust
        if isinstance(trust, ssl.SSLContext):
            file = self._config.state_directory / "ca.pem"
            follower = AuthorityFollower(file, trust, self._transport.request)
            tasks.append(asyncio.ensure_future(follower.run()))
        if self._kernel is not None:
            tasks.append(asyncio.ensure_future(self._kernel.follow()))
        self._manager.ready(self._agent.status)
        done, running = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for task in done:
            task.result()

    def _events(self) -> Sequence[Event]:
        known = gpus_by_address(self._agent.sampler.devices)
        found = [] if self._kernel is None else self._kernel.take()
        kernel = [placed(event, known) for event in found]
        merged = self._merger.merge([*self._source.events(), *kernel])
        self._xids |= {
            event.device: event.code
            for event in merged
            if event.kind is EventKind.XID and event.device and event.code is not None
        }
        return merged

    def _footprint(self) -> dict[str, int]:
        cost = footprint(ROOT, os.getpid())
        return {"agent_cpu_microseconds": cost.cpu_us, "agent_pss_bytes": cost.pss_bytes}

    def _alive(self) -> None:
        self._manager.alive()
        self._introduce()
        if self._agent.status != self._said:
            self._said = self._agent.status
            self._manager.status(self._said)

    def _introduce(self) -> None:
        """Once, on standard output: what was found, and where it is reported. Nobody need read it."""
        if self._introduced or self._agent.sampler.inventory is None:
            return
        self._introduced = True
        with contextlib.suppress(OSError):
            click.echo(introduction(self._identity, self._agent.driver, schedule_of(self._config)))

    def _watch_signals(self) -> asyncio.Event:
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        loop.add_signal_handler(signal.SIGHUP, self._reread)
        return stopped

    def _reread(self) -> None:
        """Pace and log level change at once; the rest at the next start."""
        try:
            fresh = self._reload()
        except ConfigError as error:
            log.error("the configuration is not reloaded: %s", error)
            return
        log_to_standard_error(fresh.log_level)
        self._agent.reschedule(schedule_of(fresh))
        paced = {"interval_ms", "slow_interval_ms", "identity_interval_ms", "samples_per_report"}
        later = {
            name
            for name, value in fresh
            if value != getattr(self._config, name) and name not in paced | {"log_level"}
        }
        log.info(
            "configuration reloaded%s", f"; at the next start: {sorted(later)}" if later else ""
        )


@contextlib.contextmanager
def _alone_at_the_door(config: AgentConfig) -> Iterator[None]:
    """Only a socket that a dead agent left is replaced. Where there can be no door, there is none to guard; where it is
    in the directory of the state, that one is held already."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            if config.runtime_directory.resolve() != config.state_directory.resolve():
                stack.enter_context(alone_in(config.runtime_directory))
        yield


async def _try_door(
    stack: contextlib.AsyncExitStack, name: str, opening: Callable[[], Awaitable[asyncio.Server]]
) -> None:
    try:
        server = await opening()
    except OSError as error:
        log.error("%s does not open: %s", name, error.strerror)
        return
    stack.callback(server.close)
