"""Why a node is silent, as far as witnesses can say: the quorum that a contract names reaches it, or does not.

A witness says of each node that it watches whether it reached it. Of a node that is not heard, and announced nothing,
the time in which a quorum reached it is unknown because the collector is not reached; the time in which a quorum did
not is unknown because the node is unreachable. Time of which no quorum said the same is unknown for no known cause.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from weighbridge.judge.checks import Promise, Severity
from weighbridge.judge.findings import close_finding, noted, open_finding
from weighbridge.judge.ledger import COLLECTOR_UNREACHED, UNREACHABLE, Finding
from weighbridge.judge.node import QUIET, Change, anchor, end_cut, unheard
from weighbridge.judge.node_state import ChainState, Cut, NodeState
from weighbridge.judge.track import cut_rows
from weighbridge.verdict import Verdict
from weighbridge.wire.bounds import within_bounds
from weighbridge.wire.report import Block, Inventory, Report

LAID_US = 600_000_000
"""How often the time of a node that is silent is written down."""

OBSERVED = {
    COLLECTOR_UNREACHED: "reach the node: its way to the collector is cut, or its agent does not run",
    UNREACHABLE: "do not reach the node either",
}


@dataclass(slots=True)
class Word:
    """A witness said the same of a node, without a break, of all samples in [since_us, last_us]."""

    reached: bool
    since_us: int
    last_us: int


@dataclass(slots=True)
class Witness:
    """What a witness last said: by node its word, and which node is behind each target."""

    key_id: str = ""
    chain: ChainState = field(default_factory=lambda: ChainState("witness"))
    targets: dict[str, str] = field(default_factory=dict)
    words: dict[str, Word] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Told:
    """What a quorum says of a node's silence, and over which time."""

    cause: str
    since_us: int
    until_us: int
    agreeing: int


@dataclass(slots=True)
class Reachability:
    """What every witness last said, by its name."""

    witnesses: dict[str, Witness] = field(default_factory=dict)

    def hear(self, name: str, key_id: str, report: Report, received_us: int) -> None:
        """Take in a witness's report. It says nothing of the time after it was received."""
        told, witness = within_bounds(report), self.witnesses.setdefault(name, Witness())
        witness.key_id = key_id
        anchor(witness.chain, told.boot, told.clock, received_us)
        if told.inventory is not None:
            witness.targets = _targets(told.inventory)
            watched = set(witness.targets.values())
            witness.words = {node: one for node, one in witness.words.items() if node in watched}
        made_us = told.clock.boottime_us
        for block in told.blocks:
            for sample, at_us in enumerate(block.boottime_us) if block.tier == "fast" else ():
                if at_us <= made_us:
                    instant_us = min(witness.chain.offset_us + at_us, received_us)
                    _take(witness, block, sample, instant_us, 3 * told.interval_ms * 1000)

    def told(self, promise: Promise, node: str, now_us: int) -> Told | None:
        """What the quorum of a promise says now; a word holds for `max_gap`. One that reaches outweighs one that does
        not."""
        words = [
            word
            for name, witness in self.witnesses.items()
            if not promise.witnesses.isdisjoint((name, witness.key_id))
            if (word := witness.words.get(node)) is not None
            and now_us - word.last_us <= promise.max_gap_us
        ]
        for cause, reached in ((COLLECTOR_UNREACHED, True), (UNREACHABLE, False)):
            agreeing = [word for word in words if word.reached is reached]
            if len(agreeing) >= promise.quorum:
                return _quorate(cause, agreeing, promise.quorum)
        return None


def _targets(inventory: Inventory) -> dict[str, str]:
    named = ((one.uuid, one.identity.readings.get("target_node_name")) for one in inventory.devices)
    return {uuid: node for uuid, node in named if isinstance(node, str)}


def _take(witness: Witness, block: Block, sample: int, at_us: int, gap_us: int) -> None:
    """A node is reached where one of its targets is; where none gave an answer nothing is said of it."""
    said: dict[str, bool] = {}
    row = block.readings.get("reached_code", ())
    for device, value in zip(block.devices, row[sample] if row else (), strict=False):
        node = witness.targets.get(device)
        if node is not None and value is not None:
            said[node] = said.get(node, False) or value == 1
    for node, reached in said.items():
        word = witness.words.get(node)
        if word is None or word.reached is not reached or not 0 <= at_us - word.last_us <= gap_us:
            word = witness.words[node] = Word(reached, at_us, at_us)
        word.last_us = at_us


def _quorate(cause: str, agreeing: Sequence[Word], quorum: int) -> Told:
    since_us = sorted(word.since_us for word in agreeing)[quorum - 1]
    until_us = sorted((word.last_us for word in agreeing), reverse=True)[quorum - 1]
    return Told(cause, min(since_us, until_us), until_us, len(agreeing))


def look(
    state: NodeState, promises: Sequence[Promise], reach: Reachability, now_us: int, entry: int
) -> Iterator[Change]:
    """Of an observer that is silent: what witnesses say of it now, where it announced no silence."""
    chain = state.newest
    if chain is None or chain.last_us is None or chain.quiet_cause in QUIET:
        return
    in_force = {one.contract: one for one in promises if one.from_us <= now_us < one.until_us}
    for contract in [name for name in state.cuts if name not in in_force]:
        yield from end_cut(state, contract, now_us)
    for contract, promise in in_force.items():
        told = reach.told(promise, state.node, now_us) if promise.witnesses else None
        known = state.cuts.get(contract)
        if known is not None and (told is None or told.cause != known.cause):
            yield from end_cut(state, contract, now_us)
            yield open_finding(state, unheard(state, contract, "node_silent", known.until_us))
        if told is not None:
            yield from _go_on(state, promise, told, now_us, entry)


def _go_on(
    state: NodeState, promise: Promise, told: Told, now_us: int, entry: int
) -> Iterator[Change]:
    cut, chain = state.cuts.get(promise.contract), state.newest
    if cut is None and chain is not None:
        from_us = max(told.since_us, chain.last_us or 0, promise.from_us)
        cut = state.cuts[promise.contract] = Cut(told.cause, from_us, from_us, entry)
        track = chain.tracks.get(promise.contract)
        cut.slots = [""] * promise.resource.per_node if track is None else list(track.slots)
        yield from close_finding(state, promise.contract, "node_silent", "", now_us)
        yield open_finding(state, _finding(state, promise, told, from_us))
    if cut is not None:
        cut.until_us = max(cut.until_us, min(told.until_us, promise.until_us))
        if cut.until_us - cut.laid_us >= LAID_US:
            yield from cut_rows(state, promise.contract, cut, now_us)
            cut.laid_us = cut.until_us


def _finding(state: NodeState, promise: Promise, told: Told, since_us: int) -> Finding:
    return noted(
        state,
        promise.contract,
        told.cause,
        since_us,
        expected="a sample within max_gap",
        observed=f"none; {told.agreeing} of {len(promise.witnesses)} witnesses {OBSERVED[told.cause]}",
        severity=Severity.ERROR,
        verdict=Verdict.UNKNOWN,
    )
