"""A contract's GPUs at an instant: the four counts (contracted, reporting, healthy, in use), and the state of each."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from weighbridge.contract import Contract
from weighbridge.judge.ledger import PRECEDENCE, Finding, State
from weighbridge.judge.node_state import NodeState
from weighbridge.judge.registry import DUPLICATE
from weighbridge.judge.track import answering, shown
from weighbridge.judge.usage import in_use
from weighbridge.wire.report import DeviceState


@dataclass(frozen=True, slots=True)
class Counts:
    """GPUs of one contract. Each is part of the one before, but in_use, which is part of reporting.

    Reporting: sampled within max_gap, and answers. Healthy: its slot is up, as it is in a statement.
    """

    contracted: int
    reporting: int
    healthy: int
    in_use: int


def counts(
    contract: Contract, nodes: Iterable[NodeState], findings: Iterable[Finding], now_us: int
) -> Counts:
    """`nodes`: those assigned to the contract; `findings`: of the contract, open."""
    contested = {(one.node, one.device) for one in findings if one.code == DUPLICATE}
    contracted = sum(resource.nodes * resource.per_node for resource in contract.resources)
    reporting = healthy = working = 0
    for node in nodes:
        for device, state in _present(contract.contract_id, node, now_us):
            reporting += 1
            healthy += state is State.UP and (node.node, device) not in contested
            working += bool(in_use(node.view, device))
    return Counts(contracted, reporting, healthy, working)


def _present(contract: str, node: NodeState, now_us: int) -> Iterator[tuple[str, State]]:
    """The devices in the contract's slots of a node that were sampled within max_gap and answered."""
    chain = node.newest
    track = None if chain is None else chain.tracks.get(contract)
    if track is None or node.last_sample_us is None or unheard(node):
        return
    if now_us - node.last_sample_us > node.patience_us:
        return
    for device, segment in zip(answering(track), track.segments, strict=True):
        if device:
            yield device, shown(segment)


def unheard(node: NodeState) -> bool:
    """Whether nothing is known of the node now: it is silent, or this judge cannot judge it."""
    return node.silent or node.quarantine is not None


def gpu_state(node: NodeState | None, uuid: str) -> str:
    """What became of the GPU, or else how it is judged: `ok` only where every contract finds it up.

    `missing` where it is not shown, `unknown` while its node is silent or not judged, `unjudged` where it fills no
    contract's slot.
    """
    if node is None or uuid not in node.view.devices:
        return "missing"
    if unheard(node):
        return State.UNKNOWN.value
    device = node.view.devices[uuid]
    if device.state is not DeviceState.OK:
        return device.state.value
    judged = min(slot_states(node, uuid), key=PRECEDENCE.index, default=None)
    if judged is None:
        return "unjudged"
    return "ok" if judged is State.UP else judged.value


def slot_states(node: NodeState, uuid: str) -> Iterator[State]:
    """The states of the slots that the GPU fills, one for each contract that it is assigned to."""
    tracks = {} if node.newest is None else node.newest.tracks
    for track in tracks.values():
        for slot, segment in zip(track.slots, track.segments, strict=True):
            if slot == uuid:
                yield shown(segment)
