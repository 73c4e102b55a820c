"""A scripted fleet: every state that a GPU or a node can be in, in memory, read as the pages read the real one."""

import asyncio
import time
from collections.abc import (
    AsyncIterator,
    Callable,
    Collection,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Literal

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from collector.api.access import GATE, Gate, granted, token_hash
from collector.api.bodies import BODIES, Bodies
from collector.api.contracts import Api
from collector.api.exposition import Exposition, Sample
from collector.api.guesses import Guesses
from collector.api.routes import described
from collector.api.sessions import Sessions
from collector.judging.claimable import Account
from collector.judging.current_figures import Figures
from collector.serving import problems
from collector.storage.store import FindingPage, StoreInfo
from collector.web.device_plots import DevicePlots
from collector.web.login import LoginPage
from collector.web.pages import Pages, PageSources
from collector.web.plots import Point
from collector.web.readings import Shown
from collector.web.runbooks import Runbooks
from collector.web.shell import Shell
from tests.collector.statements.handovers import certificate, note
from weighbridge.audit.auditing import Audit, FlagLine, audit
from weighbridge.audit.portfolio import Lease, Portfolio
from weighbridge.catalogue.readings import Tier
from weighbridge.contract import Contract, load
from weighbridge.handover.documents import Certificate, DeliveryNote
from weighbridge.judge.assignments import Version
from weighbridge.judge.checks import Severity
from weighbridge.judge.counts import Counts
from weighbridge.judge.latest_readings import LatestDevice, LatestReadings, LatestSample
from weighbridge.judge.ledger import Finding, Row, State
from weighbridge.judge.node_state import ChainState, NodeState, OpenInterval, Track
from weighbridge.judge.slot_history import Times
from weighbridge.log.checkpoint import SIMULATED
from weighbridge.log.entries import ContractAdded
from weighbridge.settlement.figures import Figure
from weighbridge.verdict import Verdict
from weighbridge.wire.report import DeviceState, Facts, Reason

NOW_US = 1_790_000_000_000_000
HOUR_US = 3_600_000_000

CONTRACT = """\
contract_id: {name}
effective: 2026-09-01T00:00:00Z
time_zone: UTC
currency: USD
parties: [{{id: P, name: "{provider}", role: provider}}, {{id: L, name: Lessee & Sons, role: lessee}}]
term: {{from: 2026-09-01T00:00:00Z, to: 2027-09-01T00:00:00Z}}
resources:
  - {{id: cards, accelerator: {{sku: H100-SXM-80GB}}, per_node: {per_node}, nodes: {nodes}}}
availability:
  - {{id: nodes-up, unit: node, target: "0.995"}}
unknown: {{policy: hold}}
"""


def contract(name: str, nodes: int, per_node: int, provider: str = "Provider") -> Contract:
    return load(CONTRACT.format(name=name, nodes=nodes, per_node=per_node, provider=provider))


def gpu(uuid: str, state: DeviceState = DeviceState.OK, **xids: int) -> LatestDevice:
    identity = Facts(
        readings={
            "name": 'NVIDIA H100 "80GB"\\HBM3',
            "serial": "165",
            "pci_bus_id": "00000000:1B:00.0",
            "vbios_version": "96.00",
            "memory_total_bytes": 85_520_809_984,
            "ecc_mode_code": 1,
        },
        unavailable={"mig_mode_code": Reason.NOT_SUPPORTED},
    )
    counted = {int(code.removeprefix("xid")): count for code, count in xids.items()}
    return LatestDevice(uuid, None, state, identity, counted)


def columns(devices: list[str], **rows: list[int | None]) -> LatestSample:
    reasons = {
        name: {
            device: Reason.GPU_IS_LOST
            for device, value in zip(devices, row, strict=True)
            if value is None
        }
        for name, row in rows.items()
    }
    return LatestSample(NOW_US, devices, rows, reasons)


def node(
    name: str,
    devices: Sequence[LatestDevice],
    tiers: Mapping[str, LatestSample],
    states: Mapping[str, Sequence[tuple[str, State]]],
    *,
    silent: bool = False,
) -> NodeState:
    """`states` are the slots of each contract: what fills them, and how they are judged."""
    chain = ChainState(f"{name}-chain/node")
    chain.boot = f"{name}-boot"
    chain.view = LatestReadings({device.uuid: device for device in devices}, dict(tiers))
    for owner, slots in states.items():
        segments = [OpenInterval(NOW_US - HOUR_US, state, "") for _, state in slots]
        chain.tracks[owner] = Track(1, [uuid for uuid, _ in slots], segments)
    made = NodeState(
        name,
        agent_version="0.1.0",
        patience_us=30_000_000,
        silent=silent,
        chains={chain.name: chain},
    )
    made.last_received_us = NOW_US - (900_000_000 if silent else 2_500_000)
    made.last_sample_us = made.last_received_us - 100_000
    made.lags_us = [-250_000]
    return made


def finding(owner: str, where: str, device: str, code: str, **more: str) -> Finding:
    return Finding(
        owner,
        where,
        device,
        code,
        Severity(more.get("severity", "error")),
        Verdict(more.get("verdict", "breached")),
        "E0",
        more.get("expected", "what was promised"),
        more.get("observed", "something else"),
        "provider",
        NOW_US - HOUR_US,
        None,
    )


@dataclass
class ScriptedFleet:
    """`collector.judging.live.Fleet` from what the test says."""

    now_us: int = NOW_US
    contracts: dict[str, Contract] = field(default_factory=dict)
    nodes: dict[str, NodeState] = field(default_factory=dict)
    lessees: dict[str, NodeState] = field(default_factory=dict)
    assigned: dict[str, dict[str, frozenset[str] | None]] = field(default_factory=dict)
    found: list[Finding] = field(default_factory=list)
    late: list[Finding] = field(default_factory=list)
    once: dict[tuple[str, str, str], int] = field(default_factory=dict)
    counted: dict[str, Counts] = field(default_factory=dict)
    bounds: dict[str, tuple[Fraction, Fraction]] = field(default_factory=dict)
    verdicts: dict[str, Literal["MET", "BREACHED", "UNKNOWN"]] = field(default_factory=dict)
    spent: dict[str, dict[str, int]] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    worked: dict[str, Account] = field(default_factory=dict)
    flags: list[FlagLine] = field(default_factory=list)

    def observers(self, node: str) -> Sequence[NodeState]:
        sides = (self.nodes.get(node), self.lessees.get(node))
        return [state for state in sides if state is not None]

    def assignments(self, contract: str) -> Mapping[str, frozenset[str] | None]:
        return self.assigned.get(contract, {})

    def findings(self, contract: str | None = None, node: str | None = None) -> Sequence[Finding]:
        mine = (row for row in self.found if contract in (None, row.contract))
        return [row for row in mine if node in (None, row.node)]

    def unwritten(self, contract: str) -> Sequence[Finding]:
        return [row for row in self.late if row.contract == contract]

    def noted(self) -> Mapping[tuple[str, str, str], int]:
        return self.once

    def counts(self, contract: str) -> Counts:
        return self.counted[contract]

    def counting(self, contract: str) -> Generator[None, None, Counts]:
        yield
        return self.counts(contract)

    def figured_us(self, _contract: str) -> int:
        return self.now_us

    def reading(self, _contract: str) -> Callable[[], None] | None:
        return None

    def take_over(self, _contract: str) -> None:
        """Nothing is ever read."""

    def weight(self, _contract: str) -> int:
        return 0

    def prepared(self, contract: str) -> Callable[[], Figures]:
        return lambda: self.figures(contract)

    def figures(self, contract: str) -> Figures:
        verdict = self.verdicts.get(contract, "UNKNOWN")
        target = self.contracts[contract].availability[0].target
        bounds, spent = self.bounds[contract], self.spent[contract]
        return {"nodes-up": Figure("node", Verdict[verdict], target, *bounds, spent)}

    def open_rows(self, contract: str, node: str | None = None) -> Sequence[Row]:
        return [row for row in self.rows if row.contract == contract and node in (None, row.node)]


def row(
    owner: str, where: str, uuid: str, start: int, end: int, state: State, slot: int = 0
) -> Row:
    """An interval in minutes before now."""
    minute = 60_000_000
    cause = "" if state is State.UP else "gpu_lost"
    start_us, end_us = NOW_US - start * minute, NOW_US - end * minute
    return Row(owner, where, slot, uuid, "chain", start_us, end_us, state, cause, end_us)


@dataclass
class ScriptedLedger:
    """`collector.storage.Ledger`, as far as pages read it."""

    written: list[Row] = field(default_factory=list)
    told: list[Finding] = field(default_factory=list)

    def weight(self, contract: str, start_us: int, end_us: int, most: int) -> int:
        begun = (row for row in self.written if start_us <= row.start_us < end_us)
        return min(most, sum(row.contract == contract for row in begun))

    def findings(
        self,
        contract: str | None = None,
        open_only: bool = False,
        after: int | None = None,
        limit: int = 100,
    ) -> FindingPage:
        assert not open_only
        mine = [row for row in self.told if row.contract == contract]
        start = after or 0
        rest = start + limit if start + limit < len(mine) else None
        return FindingPage(mine[start : start + limit], rest)

    def rows(
        self,
        contract: str,
        start_us: int,
        end_us: int,
        as_of_us: int | None = None,
        node: str | None = None,
    ) -> Sequence[Row]:
        del as_of_us
        return [
            row
            for row in self.written
            if row.contract == contract
            and node in (None, row.node)
            and row.start_us < end_us
            and row.end_us > start_us
        ]


class ReadApart:
    """A ledger whose rows no event loop reads: of a large contract that takes long."""

    def __init__(self, ledger: Any) -> None:
        self._ledger = ledger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def rows(self, *asked: Any) -> Iterator[Row]:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        yield from self._ledger.rows(*asked)


@pytest.fixture
def ledger() -> ScriptedLedger:
    up, down = State.UP, State.DOWN
    return ScriptedLedger(
        [
            row("alpha", "a1", "GPU-1", 60, 30, up),
            row("alpha", "a1", "GPU-1", 30, 0, up),
            row("alpha", "a1", "GPU-2", 60, 20, up, slot=1),
            row("alpha", "a1", "GPU-2", 20, 0, down, slot=1),
        ]
    )


class ScriptedAudits:
    """`collector.judging.portfolio.Audits`, of contracts of which nothing was ever seen; with the script's flags."""

    def __init__(self, flags: Sequence[FlagLine]) -> None:
        self._flags = flags

    async def audit(self, names: Collection[str], as_of_s: int | None = None) -> Audit:
        asked = {name: Lease([Version(contract(name, 1, 8), "", 0, 1)]) for name in names}
        made = audit(Portfolio((as_of_s or 0) * 1_000_000, asked), simulated=False)
        return replace(made, flags=tuple(self._flags)) if self._flags else made


class ScriptedAccounts:
    """`collector.judging.claimable.Accounts`, as the fleet's script has them."""

    def __init__(self, worked: Mapping[str, Account]) -> None:
        self._worked = worked

    def known(self, name: str) -> Account | None:
        return self._worked.get(name)


class ScriptedReadings:
    """`collector.web.readings.Readings`: 100 to 300 watts on each device, hour by hour, and nothing in every sixth."""

    def times(self, node: str, contracts: Collection[str]) -> Times:
        return ((NOW_US - 30 * HOUR_US, NOW_US),) if contracts and node else ()

    def over(
        self,
        node: str,
        devices: Collection[str],
        readings: Collection[str],
        start_us: int,
        end_us: int,
        times: Times | None = None,
    ) -> Shown:
        assert node
        assert set(DRAWN) <= set(readings)
        points = [
            Point(at_us, *((None, None, "gpu_is_lost") if hour % 6 == 5 else (100_000, 300_000)))
            for hour, at_us in enumerate(range(start_us, end_us, HOUR_US))
            if times is None or any(first <= at_us < last for first, last in times)
        ]
        missing = [Point(start_us, None, None, "not_supported")]
        told = {(device, DRAWN[0]): points for device in devices}
        told |= {(device, DRAWN[1]): missing for device in devices}
        return Shown(told, {Tier.FAST: HOUR_US, Tier.SLOW: 4 * HOUR_US}, len(points), HOUR_US)


DRAWN = ("power_draw_milliwatts", "temperature_memory_celsius")


class NothingSettled:
    """`collector.judging.settled.Settled` while nothing is ready."""

    async def told(self, contract: str, label: str) -> None:
        del contract, label

    async def briefs(self, contract: str, labels: Iterable[str]) -> Mapping[str, Any]:
        del contract, labels
        return {}


class ScriptedPapers:
    """`collector.api.statements.SettlementApi`, of a delivery note and a certificate."""

    async def note_of(self, _: web.Request) -> DeliveryNote:
        return note()

    async def certificate_of(self, _: web.Request) -> Certificate:
        return certificate()


Submitted = list[ContractAdded]
TOKENS = {
    "alphas": granted(["lessee:L/alpha"]),
    "betas": granted(["lessee:L/beta"]),
    "brokers": granted(["lessee:L/alpha", "provider:P/beta"]),
    "prometheus": granted(["ops"]),
    "root": granted(["admin"]),
}


@asynccontextmanager
async def served(
    fleet: Any,
    ledger: Any,
    submitted: Submitted,
    *,
    simulation: bool = False,
    stopped: str | None = None,
    own: Callable[[], Sequence[Sample]] = tuple,
    settled: Any = None,
    papers: Any = None,
    plots: Any = None,
) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    async def add_contract(added: ContractAdded) -> tuple[int, int]:
        submitted.append(added)
        return 7, added.from_us

    async def withdraw_contract(_name: str, _reason: str) -> int:
        raise AssertionError("no test of pages withdraws a contract")

    ledger = ReadApart(ledger)
    tokens = {token_hash(token): bearer for token, bearer in TOKENS.items()}
    sessions = Sessions(time.monotonic)
    gate = Gate(tokens, True, sessions=sessions)
    api = Api(fleet, ledger, Exposition(fleet, own), add_contract, withdraw_contract)
    info = StoreInfo(f"{SIMULATED if simulation else 'weighbridge/'}test")
    shell = Shell(info, lambda: fleet.now_us)
    handed: Any = papers or ScriptedPapers()
    sources = PageSources(
        fleet,
        ledger,
        ScriptedAudits(getattr(fleet, "flags", ())),
        lambda: stopped,
        settled or NothingSettled(),
        handed,
        plots or DevicePlots(ScriptedReadings(), fleet, ledger),
        ScriptedAccounts(getattr(fleet, "worked", {})),
    )
    pages = Pages(shell, sources)
    application = web.Application(middlewares=[shell.refusals, problems])
    application[GATE] = gate
    application[BODIES] = Bodies(1 << 20, 8 << 20, 20, 20)
    login = LoginPage(shell, sessions, Guesses(time.monotonic))
    served = (*api.routes(), *pages.routes(), *login.routes(), *Runbooks().routes())
    for route in described(served, "1.2.3"):
        application.router.add_route(route.method, route.path, gate.guard(route))
    async with TestClient(TestServer(application)) as client:
        yield client


@pytest.fixture
def submitted() -> Submitted:
    return []


@pytest.fixture
async def client(
    fleet: Any, ledger: Any, submitted: Submitted
) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    async with served(fleet, ledger, submitted) as made:
        yield made


@pytest.fixture
def simulated(fleet: Any, ledger: Any) -> Callable[[], Any]:
    """The same fleet, served from a simulation store."""
    return lambda: served(fleet, ledger, [], simulation=True)


@pytest.fixture
def unjudged(fleet: Any, ledger: Any) -> Callable[[], Any]:
    """The same fleet, whose judge has stopped."""
    return lambda: served(fleet, ledger, [], stopped="judging stopped at entry 7: KeyError: <x>")


@pytest.fixture
def fleet() -> ScriptedFleet:
    """Contract alpha: a healthy, a lost and a never seen GPU on a1, a silent a2. Contract beta: never reported."""
    made = ScriptedFleet()
    made.contracts = {
        "alpha": contract("alpha", 2, 3, provider="<script>alert(1)</script>"),
        "beta": contract("beta", 1, 8),
    }
    tiers = {
        "fast": columns(
            ["GPU-1", "GPU-2"],
            power_draw_milliwatts=[699_500, None],
            sm_clock_megahertz=[1980, None],
            memory_used_bytes=[0, None],
            energy_millijoules=[1_234_567, None],
            clocks_event_hw_thermal_microseconds=[1_500_000, None],
            clocks_event_sw_power_cap_microseconds=[0, None],
            clocks_event_reasons_flags=[4, None],
        ),
        "slow": columns(["GPU-1", "GPU-2"], performance_state_code=[0, None]),
    }
    up, down = State.UP, State.DOWN
    made.nodes = {
        "a1": node(
            "a1",
            [gpu("GPU-1", xid31=2), gpu("GPU-2", DeviceState.LOST, xid79=1)],
            tiers,
            {"alpha": [("GPU-1", up), ("GPU-2", down), ("", down)]},
        ),
        "a2": node(
            "a2",
            [gpu("GPU-3")],
            {"fast": columns(["GPU-3"], power_draw_milliwatts=[70_000])},
            {"alpha": [("GPU-3", up)]},
            silent=True,
        ),
    }
    made.assigned = {"alpha": {"a1": None, "a2": frozenset({"GPU-3", "GPU-4"})}, "beta": {}}
    made.found = [
        finding("alpha", "a1", "GPU-2", "gpu_lost", observed="<b>lost</b>"),
        finding("alpha", "a2", "", "node_silent"),
        finding("alpha", "a1", "GPU-1", "mig_on", severity="info", verdict="unknown"),
        finding("beta", "", "", "never_reported"),
    ]
    made.counted = {"alpha": Counts(6, 2, 1, 1), "beta": Counts(8, 0, 0, 0)}
    made.bounds = {
        "alpha": (Fraction(1, 2), Fraction(719, 720)),
        "beta": (Fraction(0), Fraction(1)),
    }
    made.spent = {
        "alpha": {"met": 3600, "breached": 5, "unknown": 3595, "excluded": 0},
        "beta": {"met": 0, "breached": 0, "unknown": 7200, "excluded": 0},
    }
    return made
