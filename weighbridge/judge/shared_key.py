"""Two agents with one key: of one observer two chains of reports go on side by side.

The chains of one agent follow each other. A request that was under way may come after a newer chain has begun, and a
machine that went back to a snapshot may take up its old chain: once each. Where two chains go on to speak in turn there
are two agents, and what the observer says is in doubt from when the second began until a key of the two is revoked. Who
shared the key answers for it: its word against its own side stands.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from weighbridge.judge.checks import Severity
from weighbridge.judge.findings import close_finding, is_open, noted, open_finding
from weighbridge.judge.ledger import BY_DEVICE, KEY_SHARED, Finding, Row, State
from weighbridge.judge.node import chain_name
from weighbridge.judge.node_state import NodeState, SharedKey, Voice
from weighbridge.judge.two_sides import DOUBTS
from weighbridge.wire.report import Report

TIMES_IN_TURN = 3
"""So often one chain has spoken after the other, and that one after it again."""

VOICES_KEPT = 8
"""Of the chains of one observer, those that spoke last."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A report as it came: by which key, at which tick, in which entry, and which contracts its node is under."""

    report: Report
    key_id: str
    received_us: int
    entry: int
    contracts: list[str]


def hear(state: NodeState, heard: Heard) -> Iterator[Row | Finding]:
    """Take in that a chain goes on; say so where another one does too, and lay the time that is in doubt."""
    other = _follow(state, heard)
    if other is not None and state.shared is None:
        since_us = max(one.began_us for one in (other, state.voices[chain_name(heard.report)]))
        state.shared = SharedKey([heard.key_id, other.key_id], since_us, since_us)
    shared = state.shared
    if shared is None:
        return
    for contract in heard.contracts:
        if not is_open(state, contract, KEY_SHARED):
            yield open_finding(state, _finding(state, contract, shared.since_us))
    end_us = min(state.last_sample_us or 0, heard.received_us)
    yield from _lay(state, shared, end_us, heard.received_us, heard.entry)


def revoke(state: NodeState, key_id: str, now_us: int, entry: int) -> Iterator[Row | Finding]:
    """A key speaks no more. Where it was one of two agents', the doubt ends."""
    state.voices = {name: one for name, one in state.voices.items() if one.key_id != key_id}
    if state.shared is None or key_id not in state.shared.keys:
        return
    yield from _lay(state, state.shared, now_us, now_us, entry)
    state.shared = None
    for finding in [one for one in state.open.values() if one.code == KEY_SHARED]:
        yield from close_finding(state, finding.contract, KEY_SHARED, "", now_us)


def _follow(state: NodeState, heard: Heard) -> Voice | None:
    """The chain with which this one speaks in turn; if there is one."""
    name = chain_name(heard.report)
    mine = state.voices.pop(name, None)
    if mine is None:
        mine = Voice(heard.key_id, state.turns, heard.received_us, heard.report.stream)
        state.turns += 1
    state.voices[name] = mine
    mine.key_id = heard.key_id
    if len(state.voices) > VOICES_KEPT:
        del state.voices[next(iter(state.voices))]
    later = [one for one in state.voices.items() if one[1].turn > mine.turn]
    for other_name, other in later:
        if other.stream == mine.stream:
            mine.times = other.times + 1 if other.over == name else 1
            mine.turn, mine.over = state.turns, other_name
            state.turns += 1
            return other if mine.times >= TIMES_IN_TURN else None
    return None


def _finding(state: NodeState, contract: str, since_us: int) -> Finding:
    return noted(
        state,
        contract,
        KEY_SHARED,
        since_us,
        expected="one agent, whose chains follow each other",
        observed="two chains go on side by side; until a key is revoked nobody can tell whose word is whose",
        severity=Severity.ERROR,
    )


def _lay(
    state: NodeState, shared: SharedKey, end_us: int, now_us: int, entry: int
) -> Iterator[Row]:
    if end_us <= shared.laid_us:
        return
    said = (State.CONTESTED, KEY_SHARED)
    yield from in_doubt(state, said, (shared.laid_us, end_us), now_us, entry)
    shared.laid_us = end_us


def in_doubt(
    state: NodeState, said: tuple[State, str], span_us: tuple[int, int], now_us: int, entry: int
) -> Iterator[Row]:
    """Lay a state and its cause over what the observer says for its own side of each device in [from, until)."""
    devices = {
        (contract, device)
        for chain in state.chains.values()
        for contract, track in chain.tracks.items()
        for device in track.slots
        if device
    }
    for contract, device in sorted(devices):
        place = (contract, state.node, BY_DEVICE, device, DOUBTS[state.side])
        yield Row(*place, *span_us, *said, now_us, entry, entry)
