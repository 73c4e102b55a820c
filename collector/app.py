"""Where the collector is put together: every object is made here and handed down. Nothing else reads a clock."""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain

from collector.api.administration import Administration, Submit
from collector.api.attestations import AttestationApi
from collector.api.bodies import Bodies
from collector.api.bundles import BundleApi
from collector.api.challenges import ChallengeApi
from collector.api.clock import ClockApi
from collector.api.contracts import Api, ContractAddition, ContractWithdrawal
from collector.api.cosigning import CosigningApi
from collector.api.doors import Doors, most_connections
from collector.api.exposition import Exposition, Sample
from collector.api.guesses import Guesses
from collector.api.health import HealthApi
from collector.api.log import LogApi
from collector.api.notices import NoticesApi
from collector.api.openid import Provider
from collector.api.retention import RetentionApi
from collector.api.routes import Route, described
from collector.api.sessions import Sessions
from collector.api.statements import SettlementApi
from collector.api.tiles import TilesApi
from collector.api.timestamps import TimestampsApi
from collector.attestation.questions import Questions
from collector.attestation.schedule import attesting
from collector.attestation.verification import verifying
from collector.background import beside
from collector.bundling.handing_out import Bundles
from collector.challenges.attempts import Challenges, challenging
from collector.challenges.command_queue import PollAuthenticator
from collector.challenges.exchange import VerifierClocks
from collector.challenges.schedule import scheduled
from collector.challenges.telemetry import linking
from collector.challenges.verification import verify_apart
from collector.config import CollectorConfig
from collector.documents.handover import Handover
from collector.judging.claimable import Accounts, accounting
from collector.judging.follower import LogFollower, own_samples
from collector.judging.live import LiveFleet
from collector.judging.portfolio import Audits
from collector.judging.recent import RecentFleet
from collector.judging.settled import Settled
from collector.judging.settler import SettlingProcess
from collector.judging.statements import Statements, load_book
from collector.judging.writer import LedgerWriter
from collector.log.anchor import AnchorFile, is_stepped, load_anchor
from collector.log.budgets import Budgets
from collector.log.commits import Committer, forget
from collector.log.ingest import Ingest
from collector.log.keys import load_keys
from collector.log.own_keys import OwnKeys, require_own_log
from collector.log.ticks import SystemClocks, TickClock
from collector.sending.queue import Queue
from collector.sending.starting import forwarders, queues
from collector.serving import (
    Served,
    certified,
    controlled,
    public_gate,
    public_url,
    published,
)
from collector.simulation import LogicalTime
from collector.storage.disk import disk_samples
from collector.storage.received import tick_before_us
from collector.storage.store import StorageError, Store
from collector.storage.stores import opened_when_free
from collector.tls import authority_hash
from collector.web.device_plots import DevicePlots
from collector.web.log_pages import LogPages, LogSource
from collector.web.login import LoginPage
from collector.web.notice_pages import NoticePages
from collector.web.pages import Pages, PageSources
from collector.web.readings import Readings
from collector.web.runbooks import Runbooks
from collector.web.shell import Shell
from collector.witnessing.rounds import Rounds, cosigning
from collector.witnessing.stamping import stamping
from weighbridge import __version__
from weighbridge.catalogue import metrics
from weighbridge.log.entries import ContractAdded
from weighbridge.process.settings import ConfigError
from weighbridge.process.system_clock import boottime_ns, boottime_us, synchronized, wall_us

START_SECONDS = 2.0
"""What a restart finds in the log is judged before the doors open, for so long; the rest beside what comes in."""


def no_routes(_: Submit) -> tuple[Route, ...]:
    """No routes: the system's clock cannot be moved."""
    return ()


@dataclass(frozen=True, slots=True)
class Clocks:
    """Where the collector's time comes from: the system, or a simulation's logical clock with its routes."""

    system: SystemClocks
    routes: Callable[[Submit], tuple[Route, ...]] = no_routes

    @classmethod
    def of(cls, store: Store) -> "Clocks":
        """A simulation goes on from its newest tick."""
        if not store.info.simulation:
            return cls(SystemClocks(wall_us, boottime_us, synchronized))
        logical = LogicalTime(tick_before_us(store.log, store.log.size))
        return cls(SystemClocks(logical.now_us, logical.now_us), logical.routes)


@dataclass(frozen=True, slots=True)
class Collector:
    """A running collector. `url` is where it listens, empty where only the control socket is open."""

    config: CollectorConfig
    store: Store
    committer: Committer
    url: str
    committing: asyncio.Task[None]


@dataclass(frozen=True, slots=True)
class Components:
    """What serves and judges over one store. Each is made once, in `_components`, after those that it needs."""

    config: CollectorConfig
    store: Store
    own: OwnKeys
    clocks: Clocks
    fleet: LiveFleet
    judging: LogFollower
    committer: Committer
    committing: asyncio.Task[None]
    challenges: Challenges
    questions: Questions
    settler: SettlingProcess
    statements: Statements
    accounts: Accounts
    audits: Audits
    settled: Settled
    rounds: Rounds
    budgets: Budgets
    waiting: Mapping[str, Queue]
    doors: Doors
    sessions: Sessions


@asynccontextmanager
async def running(
    config: CollectorConfig,
    public: bool,
    simulation: bool = False,
    waiting: Callable[[str], None] | None = None,
) -> AsyncIterator[Collector]:
    """A collector with its control socket open, and its public address if wanted; drained at the end.

    A simulation store is published only as such. Where another collector holds the store, `waiting` is told why,
    each second, until that one has ended; without it that is an error.

    Raises ConfigError, StorageError.
    """
    async with AsyncExitStack() as stack:
        store = await opened_when_free(config.store, waiting)
        stack.callback(store.close)
        if public:
            require_kind(config, store, simulation)
        patience = START_SECONDS if public else math.inf
        components = await stack.enter_async_context(_components(config, store, patience))
        shell = Shell(store.info, lambda: components.fleet.now_us)
        ingest, exposition = _exposed(components)
        routes, limits = _routes(components, shell, ingest, exposition), config.limits
        bodies = Bodies(
            limits.body_bytes,
            limits.reading_bytes,
            limits.reading_seconds,
            limits.stranger_seconds,
        )
        served = Served(routes, bodies, components.doors)
        await stack.enter_async_context(controlled(config, served))
        url = ""
        if public:
            certificate = await stack.enter_async_context(certified(config, _now))
            gate = public_gate(config, components.sessions)
            opened = published(config, served, gate, certificate, shell.refusals)
            url = await stack.enter_async_context(opened)
            doors = components.doors
            await stack.enter_async_context(beside(doors.watch(), "slow connections stay open"))
            for work in chain(_sending(components, exposition), _work(components)):
                await stack.enter_async_context(work)
        # First of all at the end: requests that wait for commands would hold up the rest.
        for end in (components.challenges.commands.close, bodies.close, components.doors.close):
            stack.callback(end)
        yield Collector(config, store, components.committer, url, components.committing)


@asynccontextmanager
async def _components(
    config: CollectorConfig, store: Store, patience: float
) -> AsyncIterator[Components]:
    clocks, own = Clocks.of(store), require_own_log(config.keys, store)
    budgets = Budgets(config.limits.hourly, time.monotonic)
    writer = LedgerWriter(store, budgets.found)
    fleet = LiveFleet(writer.judgement)
    async with (
        _judging(writer, store, patience) as judging,
        _committing(config, store, own, judging, clocks) as (committer, committing),
    ):
        challenges = Challenges(
            committer,
            fleet,
            own.signer,
            verify_apart,
            VerifierClocks(boottime_ns, clocks.system.wall_us),
            lambda index: next(iter(store.log.leaves(index, 1))),
        )
        questions = Questions(
            committer, fleet, own.signer, challenges, verifying(config.attestation)
        )
        settler = SettlingProcess(config.store)
        statements = Statements(fleet, load_book(store.log, store.index))
        committer.follow(statements.follow)
        accounts = Accounts(statements, settler, lambda: fleet.contracts)
        settled = Settled(statements, settler)
        rounds = Rounds(
            committer,
            config.directory / "published-head",
            config.witnesses,
            config.witness_seconds,
        )
        made = (
            fleet,
            judging,
            committer,
            committing,
            challenges,
            questions,
            settler,
            statements,
            accounts,
            Audits(store, statements, settler, fleet),
            settled,
            rounds,
            budgets,
            queues(config.directory, config.receivers),
        )
        async with (
            challenging(challenges, judging.caught_up),
            contextlib.aclosing(questions),
            contextlib.AsyncExitStack() as stack,
        ):
            stack.callback(settler.close)
            stack.callback(settled.close)
            doors = Doors(most_connections(), time.monotonic)
            yield Components(config, store, own, clocks, *made, doors, Sessions(time.monotonic))


def _work(components: Components) -> Iterator[AbstractAsyncContextManager[None]]:
    """What a published collector does by itself."""
    judged = components.judging.caught_up
    yield scheduled(components.challenges, components.fleet, judged)
    asking = (components.questions, components.challenges, components.fleet)
    yield attesting(*asking, judged)
    linked = (components.committer, components.fleet, components.own.signer, components.store.log)
    yield linking(*linked, judged)
    yield accounting(components.accounts)
    yield cosigning(components.rounds, components.store.log)
    yield stamping(components.committer, components.config.timestamps)


def require_kind(config: CollectorConfig, store: Store, simulation: bool) -> None:
    """Raises ConfigError for a simulation that is to be served as real, and the other way round."""
    if store.info.simulation != simulation:
        kind, how = ("simulation", "with") if store.info.simulation else ("real", "without")
        raise ConfigError(
            f"{config.directory} is a {kind} store, and is served as nothing else:"
            f" `weighbridge serve` {how} --simulation"
        )


@asynccontextmanager
async def _committing(
    config: CollectorConfig, store: Store, own: OwnKeys, judging: LogFollower, clocks: Clocks
) -> AsyncIterator[tuple[Committer, asyncio.Task[None]]]:
    file = config.directory / "clock"
    simulation = store.info.simulation
    anchor, keep = (None, forget) if simulation else (load_anchor(file), AnchorFile(file).keep)
    clock = TickClock(clocks.system, anchor, stepped=is_stepped(store))
    clock.not_before(tick_before_us(store.log, store.log.size))
    keep(clock.anchor)
    ring = load_keys(store.log, store.index)
    paced = config.tick_seconds, config.queue_bytes
    committer = Committer(store, own, ring, clock, *paced, keep)
    committer.follow(judging.follow)
    task = asyncio.create_task(committer.run())
    try:
        yield committer, task
    finally:
        committer.close()
        await task


@asynccontextmanager
async def _judging(
    writer: LedgerWriter, store: Store, patience: float
) -> AsyncIterator[LogFollower]:
    """At the log's end, or as far as it came in so many seconds; and the ledger written at the end."""
    judging = LogFollower(writer, store)
    await judging.catch_up(patience)
    if math.isinf(patience) and judging.failure is not None:
        raise StorageError(judging.failure)
    task = asyncio.create_task(judging.run())
    try:
        yield judging
    finally:
        judging.close()
        await task


def _exposed(components: Components) -> tuple[Ingest, Exposition]:
    """What takes reports, and what is told on the pages of metrics."""
    committer = components.committer
    ingest = Ingest(committer, committer.ring, components.config.limits, components.budgets)
    recent = RecentFleet(components.fleet)
    return ingest, Exposition(recent, lambda: _own(components, ingest))


def _sending(
    components: Components, exposition: Exposition
) -> Iterator[AbstractAsyncContextManager[None]]:
    for one in forwarders(components.config.receivers, components.waiting, exposition):
        yield beside(one.run(), "metrics are sent to a receiver no more")


def _routes(
    components: Components, shell: Shell, ingest: Ingest, exposition: Exposition
) -> tuple[Route, ...]:
    """Every route of the collector. Each module that serves something adds its own here."""
    store, fleet, committer = components.store, components.fleet, components.committer
    recent, clocks = exposition.fleet, components.clocks
    polls = PollAuthenticator(committer.ring, components.own.keys.every)
    settlement = _settlement_api(components)
    served = (
        _log_api(components, ingest, exposition),
        HealthApi(store.log, committer, components.judging, lambda: fleet.now_us),
        CosigningApi(components.rounds),
        TimestampsApi(store.log, store.index),
        TilesApi(store.log),
        Administration(
            committer.ring,
            committer.enter,
            clocks.system.wall_us,
            lambda: _address(components),
            lambda index: tick_before_us(store.log, index),
        ),
        RetentionApi(store, lambda: committer.own.signer),
        ClockApi(committer),
        Api(
            recent,
            store.ledger,
            exposition,
            lambda added: _add_contract(components, added),
            lambda contract, reason: _withdraw_contract(components, contract, reason),
        ),
        settlement,
        BundleApi(components.statements, Bundles(components.config.file)),
        NoticesApi(components.statements.book, committer),
        ChallengeApi(components.challenges, fleet, polls),
        AttestationApi(components.questions, components.challenges, fleet, polls),
        Pages(
            shell,
            PageSources(
                recent,
                store.ledger,
                components.audits,
                lambda: components.judging.failure,
                components.settled,
                settlement,
                DevicePlots(Readings(store.log, store.index, committer.ring), recent, store.ledger),
                components.accounts,
            ),
        ),
        Runbooks(),
        NoticePages(shell, components.statements, components.settler, committer),
        LoginPage(
            shell, components.sessions, Guesses(time.monotonic), _provider(components.config)
        ),
        LogPages(shell, _log_source(components)),
    )
    routes = [route for one in served for route in one.routes()]
    return described([*routes, *clocks.routes(committer.enter)], __version__)


def _provider(config: CollectorConfig) -> Provider | None:
    if config.openid is None:
        return None
    return Provider(config.openid, lambda: wall_us() // 1_000_000, time.monotonic)


def _own(components: Components, ingest: Ingest) -> Iterator[Sample]:
    """Of the collector itself and of the accounts."""
    yield from own_samples(
        components.store, ingest, components.judging, components.committer.newest_us
    )
    if not components.config.in_server:
        yield from disk_samples(components.config.directory)
    for waiting in components.waiting.values():
        yield from waiting.samples()
    yield metrics.CLOCK_OFFSET, (), components.committer.clock.off_us / 1_000_000
    for contract, count in sorted(components.settler.broken.items()):
        yield metrics.STATEMENTS_BROKEN, (contract,), count
    for name, size in components.rounds.reached():
        yield metrics.LOG_COSIGNED, (name,), size
    yield from components.accounts.samples()
    for reason, count in sorted(components.doors.counts.items()):
        yield metrics.CONNECTIONS_CLOSED, (reason,), count


def _address(components: Components) -> tuple[str, str | None, str]:
    """What an invite says: the URL, the hash of the authority where there is one, the log's key."""
    url = public_url(components.config)
    authority = authority_hash(components.config.keys) if url.startswith("https:") else None
    return url, authority, components.own.keys.newest.hex()


async def _add_contract(components: Components, added: ContractAdded) -> tuple[int, int]:
    addition = ContractAddition(added, components.fleet, components.judging)
    return (await components.committer.submit(addition)).outcome


async def _withdraw_contract(components: Components, contract: str, reason: str) -> int:
    gone = ContractWithdrawal(contract, reason, components.fleet, components.judging)
    return (await components.committer.submit(gone)).outcome


def _log_api(components: Components, ingest: Ingest, exposition: Exposition) -> LogApi:
    return LogApi(
        components.store.log,
        components.committer,
        components.committer.ring,
        ingest,
        components.config.keys / "ca.pem",
        exposition.ingest.time,
    )


def _log_source(components: Components) -> LogSource:
    store, committer = components.store, components.committer
    return LogSource(
        store.log,
        store.index,
        committer.ring,
        lambda: committer.head,
        lambda: components.own.keys.newest,
        components.rounds,
    )


def _settlement_api(components: Components) -> SettlementApi:
    statements, ring = components.statements, components.committer.ring
    handover = Handover(
        components.store,
        components.config.store,
        statements,
        components.settler,
        components.fleet,
        ring,
    )
    return SettlementApi(
        statements,
        components.settler,
        components.accounts,
        handover,
        components.audits,
        components.committer.enter,
        lambda: (components.committer.head.note, components.own.keys.newest.hex()),
    )


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251
