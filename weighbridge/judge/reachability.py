"""Why a node is silent, as far as witnesses can say: the quorum that a contract names reaches it, or does not.

A witness says of each node that it watches whether it reached it. Of a node that is not heard, and announced nothing,
the time in which a quorum reached it is unknown because the collector is not reached; the time in which a quorum did
not is unknown because the node is unreachable. Time of which no quorum said the same is unknown for no known cause.

Where a contract promises that a node is reachable, what each witness says of it is written down, as
`weighbridge.judge.reach_lines` has it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from weighbridge.judge.checks import Promise, Severity
from weighbridge.judge.findings import close_finding, noted, open_finding
from weighbridge.judge.ledger import COLLECTOR_UNREACHED, UNREACHABLE, Finding, Row
from weighbridge.judge.node import QUIET, Change, anchor, chain_name, end_cut, unheard
from weighbridge.judge.node_state import ChainState, Cut, NodeState, Receipt
from weighbridge.judge.reach_lines import (
    QUIET_US,
    Attempt,
    ReachLine,
    flush,
    follow,
    hear_again,
    void,
)
from weighbridge.judge.snapshot import Key
from weighbridge.judge.track import cut_rows
from weighbridge.log.entries import KeyChanged
from weighbridge.verdict import Verdict
from weighbridge.wire.bounds import bounding
from weighbridge.wire.report import Block, Inventory, Report

LAID_US = 600_000_000
"""How often the time of a node that is silent is written down."""

OBSERVED = {
    COLLECTOR_UNREACHED: "reach the node: its way to the collector is cut, or its agent does not run",
    UNREACHABLE: "do not reach the node either",
}


Promised = Callable[[str], Iterable[Promise]]
"""What is promised of a node."""


@dataclass(slots=True)
class LastWord:
    """A witness said the same of a node, without a break, of all samples in [since_us, last_us]."""

    reached: bool
    since_us: int
    last_us: int


@dataclass(slots=True)
class Witness:
    """What a witness last said: by node its word, and which node is behind each target. `lines`: by contract and node,
    what is being written down."""

    key_id: str = ""
    chain: ChainState = field(default_factory=lambda: ChainState(""))
    targets: dict[str, str] = field(default_factory=dict)
    words: dict[str, LastWord] = field(default_factory=dict)
    lines: dict[Key, ReachLine] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Told:
    """What a quorum says of a node's silence, and over which time."""

    cause: str
    since_us: int
    until_us: int
    agreeing: int


@dataclass(slots=True)
class Spoke:
    """What a key told of: by contract and node its witness, as the contract names it. `until_us`: when it was first
    revoked; None: it speaks."""

    named: dict[Key, str] = field(default_factory=dict)
    until_us: int | None = None


@dataclass(slots=True)
class Reachability:
    """What every witness last said, by its name; and by key, whatever took its place, what it told of."""

    witnesses: dict[str, Witness] = field(default_factory=dict)
    keys: dict[str, Spoke] = field(default_factory=dict)

    def hear(
        self, name: str, key_id: str, report: Report, receipt: Receipt, promised: Promised
    ) -> Iterator[Row | None]:
        """Take in a witness's report, and write down what it says of nodes that are to be reachable. It gives None
        between two steps.

        It says nothing of the time after it was received, nor of that before its chain was first heard.
        """
        told = yield from bounding(report)
        witness = self.witnesses.setdefault(name, Witness())
        witness.key_id, received_us = key_id, receipt.received_us
        if witness.chain.name != chain_name(told):
            witness.chain = ChainState(chain_name(told), received_us)
        anchor(witness.chain, told.boot, told.clock, received_us)
        hear_again(witness.lines.values(), received_us)
        if told.inventory is not None:
            yield from _watch(witness, told.inventory, received_us)
        asking = {
            node: [*_asking(promised(node), (name, key_id))]
            for node in set(witness.targets.values())
        }
        for at_us, said in _samples(witness, told, received_us):
            yield None
            for node, reached in said.items():
                if reached is not None:
                    _take(witness, node, reached, at_us, 3 * told.interval_ms * 1000)
                for promise in _in_force(asking[node], at_us):
                    late = at_us < receipt.in_time_from_us(promise.heard_within_us)
                    seen = Attempt(reached, at_us, late, received_us, receipt.entry)
                    named = name if name in promise.witnesses else key_id
                    line = witness.lines.setdefault(
                        Key((promise.contract, node)), ReachLine(promise.contract, node, named)
                    )
                    spoke = self.keys.setdefault(key_id, Spoke())
                    spoke.named[Key((promise.contract, node))] = line.witness
                    yield from follow(line, seen, promise.max_gap_us)

    def quieted(self, now_us: int) -> Iterator[Row]:
        """Of witnesses that are not heard any more, what is not written yet."""
        for witness in self.witnesses.values():
            for line in witness.lines.values():
                if now_us - line.received_us > QUIET_US:
                    yield from flush(line, now_us)

    def revoke(self, change: KeyChanged, now_us: int, entry: int) -> Iterator[Row]:
        """A witness's key is revoked: it says nothing more, nor does what it said since the instant count from which it
        is, up to when it was first revoked. Whoever speaks after that speaks with another key."""
        witness = self.witnesses.get(change.node)
        if witness is not None and witness.key_id == change.key_id:
            yield from _fall_silent(witness, now_us)
        spoke = self.keys.get(change.key_id)
        if spoke is None:
            return
        if spoke.until_us is None:
            spoke.until_us = now_us
        if change.from_us is not None and change.from_us < spoke.until_us:
            span = change.from_us, spoke.until_us
            for (contract, node), named in spoke.named.items():
                yield void((contract, node, named), span, now_us, entry)

    def lines(self, nodes: Iterable[str]) -> Iterator[ReachLine]:
        """What witnesses say now of these nodes."""
        asked = frozenset(nodes)
        for witness in self.witnesses.values():
            yield from (line for line in witness.lines.values() if line.node in asked)

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
                return _agreed(cause, agreeing, promise.quorum)
        return None


def _fall_silent(witness: Witness, now_us: int) -> Iterator[Row]:
    witness.words.clear()
    for line in witness.lines.values():
        yield from flush(line, now_us)
    witness.lines.clear()


def _targets(inventory: Inventory) -> dict[str, str]:
    named = ((one.uuid, one.identity.readings.get("target_node_name")) for one in inventory.devices)
    return {uuid: node for uuid, node in named if isinstance(node, str)}


def _watch(witness: Witness, inventory: Inventory, now_us: int) -> Iterator[Row]:
    """From now on these targets; of nodes that are watched no more, what is not written yet."""
    witness.targets = _targets(inventory)
    watched = set(witness.targets.values())
    witness.words = {node: one for node, one in witness.words.items() if node in watched}
    for line in witness.lines.values():
        if line.node not in watched:
            yield from flush(line, now_us)


def _samples(
    witness: Witness, told: Report, received_us: int
) -> Iterator[tuple[int, dict[str, bool | None]]]:
    """Each sample's instant, and what it says of each node, if it may say something."""
    for block in told.blocks:
        for sample, at_us in enumerate(block.boottime_us) if block.tier == "fast" else ():
            instant_us = min(witness.chain.offset_us + at_us, received_us)
            if at_us <= told.clock.boottime_us and instant_us >= witness.chain.heard_us:
                yield instant_us, _said(witness, block, sample)


def _said(witness: Witness, block: Block, sample: int) -> dict[str, bool | None]:
    """A node is reached where one of its targets is; where none gave an answer nothing is said of it."""
    said: dict[str, bool | None] = {}
    row = block.readings.get("reached_code", ())
    for device, value in zip(block.devices, row[sample] if row else (), strict=False):
        node = witness.targets.get(device)
        if node is not None:
            known = said.get(node)
            said[node] = known if value is None else bool(known) or value == 1
    return said


def _asking(promises: Iterable[Promise], names: tuple[str, str]) -> Iterable[Promise]:
    """Those that the node is reachable, and of which this witness is asked."""
    return (one for one in promises if one.reachable and not one.witnesses.isdisjoint(names))


def _in_force(promises: Iterable[Promise], at_us: int) -> Iterable[Promise]:
    """Of each contract the version that is in force, or ended no longer ago than a sample may be awaited."""
    return {
        one.contract: one
        for one in promises
        if one.from_us <= at_us < one.until_us + one.max_gap_us
    }.values()


def _take(witness: Witness, node: str, reached: bool, at_us: int, gap_us: int) -> None:
    word = witness.words.get(node)
    if word is None or word.reached is not reached or not 0 <= at_us - word.last_us <= gap_us:
        word = witness.words[node] = LastWord(reached, at_us, at_us)
    word.last_us = at_us


def _agreed(cause: str, agreeing: Sequence[LastWord], quorum: int) -> Told:
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
