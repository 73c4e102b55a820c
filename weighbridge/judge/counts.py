"""A contract's GPUs at an instant: the four counts (contracted, reporting, healthy, in use), and the state of each."""

from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from weighbridge.contract import Contract
from weighbridge.judge.ledger import (
    KEY_SHARED,
    PRECEDENCE,
    SIDES_CONTRADICT,
    TOGETHER,
    Finding,
    State,
    StateSpan,
)
from weighbridge.judge.node_state import NodeState, Track
from weighbridge.judge.registry import DUPLICATE
from weighbridge.judge.track import answering, shown
from weighbridge.judge.two_sides import DOUBTS, SEEN, Shown, line_of_slot, matched
from weighbridge.judge.usage import LOADS, in_use
from weighbridge.steps import drained
from weighbridge.wire.report import DeviceState

UP = State.UP
"""A global is read faster than a member, at each slot of each node."""

STEP_NODES = 64
"""So many are counted at a time: a few milliseconds, whatever they show."""


@dataclass(frozen=True, slots=True)
class Counts:
    """GPUs of one contract. Each is part of the one before, but in_use, which is part of reporting.

    Reporting: sampled within max_gap, and answers. Healthy: its slot is up, as it is in a statement.
    """

    contracted: int
    reporting: int
    healthy: int
    in_use: int


class _Seen(NamedTuple):
    """A slot of the contract as one side's agent sees it now; `answers`: whether its device does."""

    observer: NodeState
    device: str
    answers: bool
    state: State
    cause: str


def counts(
    contract: Contract,
    nodes: Iterable[Sequence[NodeState]],
    findings: Iterable[Finding],
    now_us: int,
) -> Counts:
    """`nodes`: of each that is assigned to the contract, its observers; `findings`: of the contract, open."""
    return drained(counting(contract, nodes, findings, now_us))


def counting(
    contract: Contract,
    nodes: Iterable[Sequence[NodeState]],
    findings: Iterable[Finding],
    now_us: int,
) -> Generator[None, None, Counts]:
    """The same in small steps."""
    disputed, name = contested(findings), contract.contract_id
    doubted = {node for node, _ in disputed}
    contracted = sum(resource.nodes * resource.per_node for resource in contract.resources)
    reporting = healthy = working = 0
    for number, observers in enumerate(nodes, start=1):
        one = _at_a_glance(name, observers, doubted, now_us)
        if one is None:
            one = _one_by_one(name, observers, disputed, now_us)
        reporting += one[0]
        healthy += one[1]
        working += one[2]
        if number % STEP_NODES == 0:
            yield
    return Counts(contracted, reporting, healthy, working)


def _at_a_glance(
    contract: str, observers: Sequence[NodeState], doubted: Collection[str], now_us: int
) -> tuple[int, int, int] | None:
    """Reporting, healthy and in use of a node of which one agent tells that all its slots answer and are up; None of
    any other. How many are in use was counted with its newest sample."""
    if len(observers) != 1 or observers[0].node in doubted or observers[0].shared is not None:
        return None
    chain = observers[0].newest
    track = None if chain is None else _live(contract, observers[0], now_us)
    if chain is None or track is None:
        return 0, 0, 0
    load = track.meter.load
    if load is None or track.meter.slots != track.slots or not chain.pending.isdisjoint(LOADS):
        return None
    for segment in track.segments:
        if segment.cause or segment.state is not UP:
            return None
    return load[0], len(track.segments), load[2]


def _one_by_one(
    contract: str,
    observers: Sequence[NodeState],
    disputed: Collection[tuple[str, str]],
    now_us: int,
) -> tuple[int, int, int]:
    """The same of any node, slot by slot."""
    reporting = healthy = working = 0
    for slot in _slots(contract, observers, now_us):
        answering_now = [one for one in slot if one.answers]
        reporting += bool(answering_now)
        healthy += _state(slot, disputed, now_us) is State.UP
        working += any(in_use(one.observer.view, one.device) for one in answering_now)
    return reporting, healthy, working


def states_now(
    contract: str,
    observers: Iterable[NodeState],
    disputed: Collection[tuple[str, str]],
    now_us: int,
) -> dict[str, State]:
    """Of a node's devices that fill slots of a contract, the state that `counts` sees there: healthy is UP alone. Those
    of which nothing is known now are not named. `disputed`: what `contested` says of the contract's findings."""
    found: dict[str, State] = {}
    for slot in _slots(contract, observers, now_us):
        state = _state(slot, disputed, now_us)
        for one in slot:
            found[one.device] = min(state, found.get(one.device, state), key=TOGETHER.index)
    return found


def contested(findings: Iterable[Finding]) -> Collection[tuple[str, str]]:
    """The nodes and devices of which it is found, openly, that another place shows the device too."""
    return {(one.node, one.device) for one in findings if one.code == DUPLICATE}


def _slots(contract: str, observers: Iterable[NodeState], now_us: int) -> Iterable[list[_Seen]]:
    """The contract's slots of a node of which an agent was heard, each with what every side's agent sees there."""
    found = [one for observer in observers for one in _present(contract, observer, now_us)]
    shown = (Shown(one.observer.node, one.observer.side, slot, one.device) for slot, one in found)
    places = matched(shown)
    slots: dict[int, list[_Seen]] = {}
    for slot, seen in found:
        of_lessee = seen.observer.side == "lessee"
        place = places[seen.observer.node, slot] if of_lessee else slot
        slots.setdefault(place, []).append(seen)
    return slots.values()


def _state(slot: list[_Seen], elsewhere: Collection[tuple[str, str]], now_us: int) -> State:
    """What the words of the sides come to, by the rule of statements; a word alone, in no doubt, is that."""
    disputed = bool(elsewhere) and any((one.observer.node, one.device) in elsewhere for one in slot)
    if len(slot) == 1 and not disputed and slot[0].observer.shared is None:
        return slot[0].state
    instant = (now_us - 1, now_us)
    told = {one.observer.side: [StateSpan(*instant, one.state, one.cause)] for one in slot}
    for one in slot:
        if one.observer.shared is not None:
            doubt = StateSpan(*instant, State.CONTESTED, KEY_SHARED)
            told[DOUBTS[one.observer.side]] = [doubt]
    if disputed:
        told[""] = [StateSpan(*instant, State.CONTESTED, DUPLICATE)]
    return line_of_slot(told, *instant, cadence_us=0)[-1].state


def _live(contract: str, node: NodeState, now_us: int) -> Track | None:
    """The contract's slots of a node whose last sample is no older than it is waited for; None of another."""
    chain = node.newest
    track = None if chain is None else chain.tracks.get(contract)
    if track is None or node.last_sample_us is None or unheard(node):
        return None
    return None if now_us - node.last_sample_us > node.patience_us else track


def _present(contract: str, node: NodeState, now_us: int) -> Iterator[tuple[int, _Seen]]:
    """What is seen in each of them."""
    track = _live(contract, node, now_us)
    if track is None:
        return
    told = zip(track.slots, answering(track), track.segments, strict=True)
    for slot, (device, answers, segment) in enumerate(told):
        yield slot, _Seen(node, device, bool(answers), shown(segment), segment.cause)


def unheard(node: NodeState) -> bool:
    """Whether nothing is known of the node now: it is silent, or this judge cannot judge it."""
    return node.silent or node.quarantine is not None


OK = "ok"
"""The state of a GPU that every contract finds up."""

CONTRADICTED = "contradicted"
"""The state of a GPU of which the agents of both sides say different things: neither's word alone is shown."""

UNSEEN = ("missing", State.UNKNOWN.value)


def contradicted(observers: Iterable[NodeState]) -> frozenset[str]:
    """The GPUs of a node of which it is found that its sides contradict each other."""
    return frozenset(
        one.device
        for observer in observers
        for one in observer.open.values()
        if one.code == SIDES_CONTRADICT
    )


def gpu_state(
    observers: Sequence[NodeState], uuid: str, found: Collection[str] | None = None
) -> str:
    """What became of the GPU, or else how it is judged: `ok` only where every contract finds it up. `observers`: of its
    node, the provider's first.

    `missing` where it is not shown, `unknown` while its node is silent or not judged, `unjudged` where it fills no
    contract's slot. Of what one side alone sees, its word. `found`: what `contradicted` says of the node, for who asks
    of many of its GPUs.
    """
    found = contradicted(observers) if found is None else found
    if uuid in found or _unlike(observers, uuid):
        return CONTRADICTED
    told = [_told(one, uuid) for one in observers]
    return next((one for one in told if one not in UNSEEN), told[0] if told else UNSEEN[0])


def _unlike(observers: Sequence[NodeState], uuid: str) -> bool:
    """Whether what both sides see of a slot that it fills is now not the same."""
    if len(observers) < 2:
        return False
    words: dict[str, set[State]] = {}
    for observer in observers:
        for contract, state in slot_states(observer, uuid) if not unheard(observer) else ():
            words.setdefault(contract, set()).update({state} & set(SEEN))
    return any(len(said) > 1 for said in words.values())


def _told(node: NodeState, uuid: str) -> str:
    """What one side's agent says of it."""
    if uuid not in node.view.devices:
        return "missing"
    if unheard(node):
        return State.UNKNOWN.value
    device = node.view.devices[uuid]
    if device.state is not DeviceState.OK:
        return device.state.value
    judged = min(
        (state for _, state in slot_states(node, uuid)), key=PRECEDENCE.index, default=None
    )
    if judged is None:
        return "unjudged"
    return OK if judged is State.UP else judged.value


def slot_states(node: NodeState, uuid: str) -> Iterator[tuple[str, State]]:
    """The states of the slots that the GPU fills, with the contract that it is assigned to."""
    tracks = {} if node.newest is None else node.newest.tracks
    for contract, track in tracks.items():
        for slot, segment in zip(track.slots, track.segments, strict=True):
            if slot == uuid:
                yield contract, shown(segment)
