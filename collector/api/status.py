"""What is said of a contract, a node or a GPU: plain values for JSON and for the pages, from the same functions.

Times are integer microseconds of UTC, shares are exact fractions as text (`719/720`).
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from collector.api.routes import Viewer
from collector.judging.live import Fleet
from weighbridge.catalogue.findings import Said, meaning, reason_said
from weighbridge.contract import Contract, expanded, explain
from weighbridge.judge.attestation_findings import LEVEL
from weighbridge.judge.checks import Severity
from weighbridge.judge.counts import (
    OK,
    contested,
    contradicted,
    gpu_state,
    states_now,
    unheard,
)
from weighbridge.judge.latest_readings import LatestReadings
from weighbridge.judge.ledger import TOGETHER, Finding, State
from weighbridge.judge.node_state import NodeState
from weighbridge.settlement.figures import Figure, verdict_now
from weighbridge.verdict import WORST_FIRST, Verdict
from weighbridge.wire.driver_words import uncounted, uncounted_in_words
from weighbridge.wire.report import Reason

Json = dict[str, Any]
SLICE = 64
"""GPUs that are told of before the event loop gets its turn."""

COUNTS = ("contracted", "reporting", "healthy", "in_use")


@dataclass(frozen=True, slots=True)
class JudgedGpus:
    """Of one node: its `observers`, the devices of which these contradict each other, and how each contract sees its
    slots."""

    observers: Sequence[NodeState]
    contradicted: Collection[str]
    slots: Sequence[Mapping[str, State]]

    def state(self, uuid: str) -> str:
        """`ok` only where it is healthy as the counts have it, so that what is found of its node counts too."""
        told = gpu_state(self.observers, uuid, self.contradicted)
        if told != OK:
            return told
        seen = [states[uuid] for states in self.slots if uuid in states]
        worst = min(seen, key=TOGETHER.index, default=State.UP)
        return OK if worst is State.UP else worst.value


def findings(fleet: Fleet, viewer: Viewer) -> list[Finding]:
    """All open findings that a viewer may see; those of nodes under no contract only for who sees all."""
    whole = viewer.contracts is None
    return [row for row in fleet.findings() if whole or viewer.sees(row.contract)]


def finding(row: Finding) -> Json:
    """Names as in the log, `gpu` for the device's UUID; both subjects empty where it is about the contract.

    With what it means and what to do next, in each language: null and no steps for a code of another version. `reason`:
    what was observed in words, where it is why there is no value.
    """
    return {
        "contract": row.contract,
        "node": row.node,
        "gpu": row.device,
        "code": row.code,
        "severity": row.severity.value,
        "verdict": row.verdict.value,
        "level": row.level,
        "expected": row.expected,
        "observed": row.observed,
        "reason": _said(reason_said(row.observed)),
        "answerable": row.answerable,
        "since_us": row.since_us,
        "until_us": row.until_us,
        **advice(row.code, row.verdict),
    }


@cache
def advice(code: str, verdict: Verdict) -> Mapping[str, Any]:
    """Of a finding: `means`, `cannot_see`, `innocent`, and the `steps` to take in their order."""
    row = meaning(code)
    if row is None:
        return {"means": None, "cannot_see": None, "innocent": None, "steps": []}
    return {
        "means": _said(row.says(verdict)),
        "cannot_see": _said(row.cannot_see),
        "innocent": _said(row.innocent),
        "steps": [{"code": step.code} | step.says._asdict() for step in row.next_steps(verdict)],
    }


def _said(said: Said | None) -> Json | None:
    return None if said is None else said._asdict()


def objective(name: str, figure: Figure) -> Json:
    """One availability objective in its period under way, as its statement has it."""
    return {
        "objective": name,
        "unit": figure.unit,
        "target": str(figure.target),
        "low": str(figure.low),
        "high": str(figure.high),
        "verdict": figure.verdict.value,
        "seconds": dict(figure.seconds),
    }


def contract(fleet: Fleet, name: str) -> Json:
    """One line of the list of contracts. Its verdict is about now and the current period together."""
    version = fleet.contracts[name]
    counts = fleet.counts(name)
    found = fleet.findings(name)
    figures = fleet.figures(name)
    verdict = verdict_now(figures.values(), found, counts)
    return {
        "contract": name,
        "version": version.version,
        "provider": party(version, "provider"),
        "lessee": party(version, "lessee"),
        "cards": [
            f"{row.nodes} × {row.per_node} {row.accelerator.sku}" for row in version.resources
        ],
        "start_us": version.term.start_us,
        "end_us": version.term.end_us,
        "verdict": verdict.value,
        "gpus": {state: getattr(counts, state) for state in COUNTS},
        "findings": severities(found),
        "objectives": [objective(*item) for item in figures.items()],
        "objectives_as_of_us": fleet.figured_us(name) or None,
    }


def party(version: Contract, role: str) -> str:
    """The first party in a role, by name."""
    return next(party.name for party in version.parties if party.role == role)


def severities(found: Iterable[Finding]) -> dict[str, int]:
    """How many of each severity, zeros included."""
    counted = Counter(row.severity for row in found)
    return {severity.value: counted[severity] for severity in reversed(Severity)}


def worst_first(found: Iterable[Finding]) -> list[Finding]:
    """By severity, then breaches before what could not be seen, then the oldest."""
    order = list(Severity)
    return sorted(
        found,
        key=lambda row: (
            -order.index(row.severity),
            WORST_FIRST.index(row.verdict),
            row.since_us,
            row.contract,
            row.node,
            row.device,
            row.code,
        ),
    )


def by_place(found: Iterable[Finding]) -> dict[tuple[str | int, ...], Finding]:
    """Findings of one contract by a key that pages can go on from: node, code, device, since."""
    return {(row.node, row.code, row.device, row.since_us): row for row in found}


def document(version: Contract) -> Json:
    """A contract with every default: as YAML text, and the same as a tree of strings."""
    return {
        "contract": version.contract_id,
        "version": version.version,
        "terms": expanded(version),
        "text": explain(version),
    }


def assigned_gpus(
    version: Contract, node: NodeState | None, devices: frozenset[str] | None
) -> list[str]:
    """The GPUs of a node that are assigned to a contract, and an empty name for each slot that never showed one."""
    shown = [] if node is None else [device.uuid for device in node.view.wholes()]
    uuids = shown if devices is None else sorted(devices)
    return uuids + [""] * max(slots(version) - len(uuids), 0)


def slots(version: Contract) -> int:
    """GPUs that a node of the contract has; the least of its line items where they differ."""
    return min(resource.per_node for resource in version.resources)


def assigned_node(fleet: Fleet, contract_name: str, node_name: str) -> Json:
    """A node as one contract sees it: when it was heard, and its assigned GPUs alone."""
    node = fleet.nodes.get(node_name)
    devices = fleet.assignments(contract_name)[node_name]
    uuids = assigned_gpus(fleet.contracts[contract_name], node, devices)
    judged = judged_gpus(fleet, node_name)
    known = [gpu(fleet, node_name, uuid, judged) for uuid in uuids if uuid]
    vacant = uuids.count("")
    if vacant:
        known.append({"gpu": "", "state": "missing", "slots": vacant, "name": None})
    return _node_line(node, node_name) | {"gpus": known}


async def assigned_nodes(fleet: Fleet, contract_name: str, names: Sequence[str]) -> list[Json]:
    """These nodes, those that are assigned by the time their turn comes; everything else gets its turn in between."""
    found = []
    for name in names:
        if name in fleet.assignments(contract_name):
            found.append(assigned_node(fleet, contract_name, name))
        await asyncio.sleep(0)
    return found


def gpu(fleet: Fleet, node_name: str, uuid: str, judged: JudgedGpus) -> Json:
    """A GPU in a list. `judged`: of its node."""
    node = fleet.nodes.get(node_name)
    device = None if node is None else node.view.devices.get(uuid)
    name = None if device is None else device.identity.readings.get("name")
    return {"gpu": uuid, "state": judged.state(uuid), "name": name}


def judged_gpus(fleet: Fleet, node_name: str) -> JudgedGpus:
    """How the GPUs of a node are judged now, for who asks of many of them."""
    observers, now_us = fleet.observers(node_name), fleet.now_us
    slots: dict[str, dict[str, State]] = {}
    for chain in (observer.newest for observer in observers):
        for name, track in () if chain is None else chain.tracks.items():
            slots.setdefault(name, {}).update(dict.fromkeys(track.slots, State.UNKNOWN))
    for name, filled in slots.items():
        disputed = contested(fleet.findings(name, node_name))
        filled.update(states_now(name, observers, disputed, now_us))
    return JudgedGpus(observers, contradicted(observers), list(slots.values()))


def node(fleet: Fleet, name: str) -> Json:
    """A node in a list."""
    return _node_line(fleet.nodes.get(name), name)


def _node_line(state: NodeState | None, name: str) -> Json:
    newest = None if state is None else state.newest
    return {
        "node": name,
        "silent": state is None or state.silent or state.last_received_us is None,
        "judged": state is None or state.quarantine is None,
        "last_received_us": None if state is None else state.last_received_us,
        "last_sample_us": None if state is None else state.last_sample_us,
        "clock_skew_us": None if state is None else state.clock_skew_us,
        "agent": None if state is None else state.agent_version or None,
        "boot": None if newest is None else newest.boot or None,
        "driver": None if state is None else driver(state.view),
    }


def driver(view: LatestReadings) -> Json | None:
    """The node's driver, and why NVML counts no GPUs where it does not; None: it was not heard of.

    How many it counts is left out: they may be others'.
    """
    if not view.enumerated:
        return None
    return {
        "version": view.driver.readings.get("driver_version"),
        "reason": uncounted(view.driver),
        "says": uncounted_in_words(view.driver),
    }


def visible_nodes(fleet: Fleet, viewer: Viewer) -> list[str]:
    """The nodes that are assigned to a viewer's contracts; for who sees all, every node."""
    mine = (name for name in fleet.contracts if viewer.sees(name))
    names = {node for name in mine for node in fleet.assignments(name)}
    return sorted(names | fleet.nodes.keys() if viewer.contracts is None else names)


def gpus_by_contract(fleet: Fleet, viewer: Viewer, node_name: str) -> dict[str, set[str]]:
    """The viewer's contracts that the node is assigned to, and which of its GPUs."""
    found = {}
    for name in sorted(name for name in fleet.contracts if viewer.sees(name)):
        assignments = fleet.assignments(name)
        if node_name in assignments:
            version, node = fleet.contracts[name], fleet.nodes.get(node_name)
            found[name] = set(assigned_gpus(version, node, assignments[node_name])) - {""}
    return found


async def visible_node(fleet: Fleet, viewer: Viewer, name: str) -> Json | None:
    """A node with everything that it last showed of the GPUs that the viewer may see; None: not for this viewer.

    The event loop gets its turn in between: a node may show a thousand.
    """
    contracts = gpus_by_contract(fleet, viewer, name)
    state = fleet.nodes.get(name)
    if not contracts and (viewer.contracts is not None or state is None):
        return None
    uuids = set().union(*contracts.values())
    if viewer.contracts is None and state is not None:
        uuids |= state.view.devices.keys()
    owners = (*contracts, "") if viewer.contracts is None else contracts
    found = [row for owner in owners for row in fleet.findings(owner, name)]
    return _node_line(state, name) | {
        "contracts": list(contracts),
        "findings": [finding(row) for row in worst_first(found)],
        "gpus": [one async for one in _shown(fleet, name, state, _in_order(state, uuids))],
    }


async def _shown(
    fleet: Fleet, name: str, state: NodeState | None, uuids: Sequence[str]
) -> AsyncIterator[Json]:
    judged = judged_gpus(fleet, name)
    for number, uuid in enumerate(uuids, start=1):
        yield (
            gpu(fleet, name, uuid, judged)
            | last_shown(state, uuid)
            | {"attestation": attestation(fleet, state, uuid), "proof": proof(state, uuid)}
        )
        if number % SLICE == 0:
            await asyncio.sleep(0)


def _in_order(state: NodeState | None, uuids: set[str]) -> Sequence[str]:
    """As the node enumerates them, those that it does not show last."""
    shown = [] if state is None else [uuid for uuid in state.view.devices if uuid in uuids]
    return [*shown, *sorted(uuids - set(shown))]


def attestation(fleet: Fleet, state: NodeState | None, uuid: str) -> Json | None:
    """Whether the GPU is attested now (level E3), and how the newest question to it ended; None: it was not asked."""
    told = None if state is None else state.attested.get(uuid)
    if told is None:
        return None
    return {
        "level": LEVEL if fleet.now_us < told.valid_until_us else None,
        "contract": told.contract,
        "verdict": told.verdict,
        "reason": told.reason,
        "judged_us": told.judged_us,
        "since_us": told.since_us or None,
        "valid_until_us": told.valid_until_us or None,
        "chip": told.chip or None,
        "online": told.online,
        "verifier": told.verifier or None,
    }


def proof(state: NodeState | None, uuid: str) -> Json | None:
    """What challenges last said of the GPU, and who asked; None: it was not asked. The bounds are of the newest that it
    met: `flops_per_second` is its rate of exact products."""
    told = None if state is None else state.proofs.get(uuid)
    if told is None:
        return None
    return {
        "contract": told.contract,
        "cause": told.cause or None,
        "verdict": told.verdict,
        "reason": told.reason or None,
        "judged_us": told.judged_us,
        "proven_us": told.proven_us,
        "flops_per_second": told.flops_per_second,
        "memory_bytes": told.memory_bytes,
        "memory_bytes_per_second": told.memory_bytes_per_second,
        "peer_bytes_per_second": told.peer_bytes_per_second,
    }


def last_shown(state: NodeState | None, uuid: str) -> Json:
    """The newest readings of a GPU, and why others have no value. Nothing while its node is silent."""
    device = None if state is None else state.view.devices.get(uuid)
    if state is None or device is None:
        return {"parent": None, "readings": {}, "unavailable": {}, "xids": {}}
    values = dict(device.identity.readings) | dict(device.identity.unavailable)
    if not unheard(state):
        values |= state.view.readings(uuid)
    return {
        "parent": device.parent,
        "readings": {name: value for name, value in values.items() if not is_reason(value)},
        "unavailable": {name: value for name, value in values.items() if is_reason(value)},
        "xids": {str(code): count for code, count in sorted(device.xids.items())},
    }


def is_reason(value: object) -> bool:
    return isinstance(value, Reason)


def visible_gpu(fleet: Fleet, viewer: Viewer, uuid: str) -> list[Json]:
    """Every node on which the viewer may see this GPU: more than one is a finding of the registry."""
    places = []
    for name, state in fleet.nodes.items():
        if uuid in state.view.devices:
            mine = gpus_by_contract(fleet, viewer, name)
            owners = [owner for owner, gpus in mine.items() if uuid in gpus]
            if owners or viewer.contracts is None:
                shown = gpu(fleet, name, uuid, judged_gpus(fleet, name)) | last_shown(state, uuid)
                shown |= {"attestation": attestation(fleet, state, uuid)}
                shown |= {"proof": proof(state, uuid)}
                places.append({"node": name, "contracts": owners} | shown)
    return places
