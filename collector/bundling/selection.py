"""Which entries of a log a contract's statement rests on, and which are left out by hash alone.

What is another tenant's is left out: its contracts and notices, the reports of its nodes, and those of a node that the
contract shared in time while another one held it. Of ticks those stay that say when a kept entry was received or at
which something was decided, and as many between as show that the collector did not stall.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from collector.judging.resettling import Resettling
from collector.log.keys import KeyRing
from weighbridge.bundle.description import Withheld
from weighbridge.contract import loaded
from weighbridge.judge.slot_history import EVER, Stay, Times, seen_by, stays
from weighbridge.log.checkpoint import Head, read_head
from weighbridge.log.entries import (
    Assignment,
    ContractAdded,
    Contradiction,
    CosignedHead,
    Entry,
    EntryKind,
    Issued,
    KeyChanged,
    Refused,
    Removed,
    StampedHead,
)
from weighbridge.wire.report import read
from weighbridge.wire.signing import encode_envelope

SURVEYED = frozenset(EntryKind) - {
    EntryKind.REPORT,
    EntryKind.CHALLENGE,
    EntryKind.PROOF,
    EntryKind.REFUSAL,
    EntryKind.ATTESTATION,
    EntryKind.ATTESTED,
    EntryKind.TELEMETRY,
}
NAMED = frozenset({EntryKind.CONTRACT, EntryKind.INVITE, EntryKind.ASSIGNMENT, EntryKind.PARTY})
NAMED |= {EntryKind.NOTICE, EntryKind.STATEMENT, EntryKind.PROOF}
NAMED |= {EntryKind.ATTESTATION, EntryKind.ATTESTED, EntryKind.TELEMETRY}
"""Entries whose payload names their contract."""
SEEING = frozenset({EntryKind.CONTRACT, EntryKind.KEY, EntryKind.ASSIGNMENT})
"""Entries that say whose reports a contract sees."""
OF_THE_LOG = frozenset(
    {
        EntryKind.CLOCK,
        EntryKind.COSIGNED,
        EntryKind.RESTORED,
        EntryKind.SUCCESSION,
        EntryKind.TIMESTAMP,
    }
)
"""Entries about the log and its keeper, on which every contract's statements rest."""


@dataclass(slots=True)
class Sight:
    """Whose reports are a contract's to see, and when. `assigned`: by contract, with the time of receipt."""

    contract: str
    ring: KeyRing = field(default_factory=KeyRing)
    assigned: dict[str, list[tuple[int, Assignment]]] = field(default_factory=dict)
    witnesses: set[str] = field(default_factory=set)

    def fold(self, entry: Entry, at_us: int) -> None:
        """The next entry, received at `at_us`; those of other kinds than SEEING change nothing."""
        self.ring.fold(entry)
        match entry.kind:
            case EntryKind.CONTRACT:
                added = read(ContractAdded, entry.envelope.payload)
                if added.contract == self.contract:
                    self.witnesses |= set(loaded(added.text).evidence.witnesses)
            case EntryKind.ASSIGNMENT:
                one = read(Assignment, entry.envelope.payload)
                self.assigned.setdefault(one.contract, []).append((at_us, one))
            case _:
                pass

    def seen(self) -> Mapping[str, Times]:
        """By node, and by witness that the contract names, the times of receipt that are the contract's to see."""
        named = {
            key.node: EVER
            for key in self.ring
            if key.side == "witness" and not self.witnesses.isdisjoint((key.node, key.key_id))
        }
        others = [
            stay
            for contract, held in self.assigned.items()
            if contract != self.contract
            for stay in stays(held)
        ]
        return named | {
            node: _joined([one for one in others if one.node == node], times)
            for node, times in seen_by(self._mine, others).items()
        }

    def may_lack(self, one: Withheld) -> bool:
        """Whether the contract's own assignments leave this time to another: before the first, or all between two."""
        mine = [stay for stay in self._mine if stay.node == one.node]
        between = {(left.until_us, back.since_us) for left, back in pairwise(mine)}
        before = one.from_us == 0 and any(one.until_us <= stay.since_us for stay in mine[:1])
        return one.from_us < one.until_us and (before or (one.from_us, one.until_us) in between)

    @property
    def _mine(self) -> Sequence[Stay]:
        return stays(self.assigned.get(self.contract, ()))


@dataclass(slots=True)
class Survey:
    """What the first reading of a log finds out. `settling` has folded what is no report.

    `seeing`: what a sight is made of, with its time of receipt; `announced`: the log's keys; `gone`: nodes of
    which reports have left the store.
    """

    contract: str
    settling: Resettling
    issued: dict[int, Issued] = field(default_factory=dict)
    cosigned: list[tuple[int, Head]] = field(default_factory=list)
    stamped: list[tuple[int, StampedHead]] = field(default_factory=list)
    seeing: list[tuple[int, Entry]] = field(default_factory=list)
    announced: list[bytes] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)

    def take(self, entry: Entry) -> None:
        """The next entry of the log."""
        if entry.kind not in SURVEYED:
            return
        self.settling.fold(entry)
        payload = entry.envelope.payload
        match entry.kind:
            case EntryKind.STATEMENT:
                self.issued[entry.index] = read(Issued, payload)
            case EntryKind.COSIGNED:
                head = read_head(read(CosignedHead, payload).note)
                self.cosigned.append((self.settling.now_us, head))
            case EntryKind.REMOVED:
                self.gone.add(read(Removed, payload).node)
            case EntryKind.SUCCESSION:
                self.announced.append(encode_envelope(entry.envelope))
            case EntryKind.TIMESTAMP:
                self.stamped.append((self.settling.now_us, read(StampedHead, payload)))
            case kind if kind in SEEING:
                self.seeing.append((self.settling.now_us, entry))
            case _:
                pass

    def sight(self, until_us: int) -> Sight:
        """By what was received up to then: whoever verifies has no more."""
        sight = Sight(self.contract)
        for at_us, entry in self.seeing:
            if at_us <= until_us:
                sight.fold(entry, at_us)
        return sight


def _joined(others: Sequence[Stay], times: Times) -> Times:
    """Times between which nobody else held the node are one."""
    found = [times[0]]
    for start_us, end_us in times[1:]:
        last_us = found[-1][1]
        if any(one.since_us < start_us and one.until_us > last_us for one in others):
            found.append((start_us, end_us))
        else:
            found[-1] = (found[-1][0], end_us)
    return tuple(found)


def withheld(seen: Mapping[str, Times]) -> list[Withheld]:
    """The times of these nodes that are not in the bundle, though they lie before its last entry of the node."""
    return [
        Withheld(node=node, from_us=start_us, until_us=end_us)
        for node in sorted(seen)
        for start_us, end_us in _between(seen[node])
    ]


def _between(times: Times) -> Iterable[tuple[int, int]]:
    edges = [0, *(edge for span in times for edge in span)][:-1]
    for start_us, end_us in zip(edges[::2], edges[1::2], strict=True):
        if start_us < end_us:
            yield start_us, end_us


@dataclass(frozen=True, slots=True)
class Selection:
    """Which entries are kept. `nodes`: by key, the node that it speaks for; `seen`: as the survey has it."""

    contract: str
    nodes: Mapping[str, str]
    seen: Mapping[str, Times]
    challenges: set[str] = field(default_factory=set)

    def keeps(self, entry: Entry, now_us: int) -> bool:
        """Whether an entry that is no tick, received at `now_us`, is kept. Called in the log's order."""
        match entry.kind:
            case EntryKind.REPORT:
                return self._sees(self.nodes.get(entry.envelope.key_id), now_us)
            case EntryKind.REFUSAL:
                return self._sees(read(Refused, entry.envelope.payload).node, now_us)
            case EntryKind.KEY:
                return read(KeyChanged, entry.envelope.payload).node in self.seen
            case EntryKind.CONTRADICTION:
                return read(Contradiction, entry.envelope.payload).node in self.seen
            case EntryKind.CHALLENGE:
                return self._challenged(json.loads(entry.envelope.payload))
            case kind if kind in NAMED:
                return bool(json.loads(entry.envelope.payload)["contract"] == self.contract)
            case kind:
                return kind in OF_THE_LOG

    def _sees(self, node: str | None, now_us: int) -> bool:
        times = self.seen.get(node, ()) if node is not None else ()
        return any(start_us <= now_us < end_us for start_us, end_us in times)

    def _challenged(self, said: Mapping[str, object]) -> bool:
        """A commitment names the contract, all that follows the challenge."""
        name = str(said.get("challenge"))
        if said.get("contract") == self.contract:
            self.challenges.add(name)
        return name in self.challenges
