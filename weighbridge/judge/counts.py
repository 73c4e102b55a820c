"""The four counts of a contract's GPUs at an instant: contracted, reporting, healthy, in use."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from weighbridge.contract import Contract
from weighbridge.judge.ledger import Finding, State
from weighbridge.judge.node_state import NodeState
from weighbridge.judge.registry import DUPLICATE
from weighbridge.judge.track import answering
from weighbridge.judge.usage import in_use


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
    if track is None or node.last_sample_us is None or node.silent:
        return
    if now_us - node.last_sample_us > node.patience_us:
        return
    for device, segment in zip(answering(track), track.segments, strict=True):
        if device:
            yield device, segment.state
