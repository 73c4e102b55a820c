"""The second fold: which device was present where, over all nodes and contracts.

A UUID that two places show at the same time is found for both. Its time is contested where the other place's claim is
at least as strong: under contracts of one provider for both, for a place whose claim is weaker it alone (see Standing).
Contested time is laid over the settlement and never written into a node's own intervals. The registry also knows the
contracts whose nodes never reported.
"""

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

from weighbridge.catalogue.findings import answerable
from weighbridge.challenge.record import COMMAND
from weighbridge.challenge.verdict import ChallengeVerdict
from weighbridge.judge.alternation import (
    ALTERNATES,
    BRIEF_PATIENCES,
    HANDOVERS,
    NAMES_OF_A_MOMENT,
    Looks,
    handovers,
    wholes,
)
from weighbridge.judge.assignments import Assignments, Version
from weighbridge.judge.checks import Promise, Severity
from weighbridge.judge.copies import COPIED, Copies
from weighbridge.judge.deliveries import Due, deliveries, missing_since_us, overdue
from weighbridge.judge.ledger import BY_DEVICE, HOUR_US, OVERLAY, Finding, Row, State, mark
from weighbridge.judge.node_state import NodeState
from weighbridge.judge.snapshot import Key
from weighbridge.verdict import Verdict
from weighbridge.wire.report import DeviceState

Change = Row | Finding


STRETCHES_KEPT = 32
"""Of one device and observer, the newest: what comes later still overlaps with these."""

DEVICES_KEPT = 2048
"""Of one observer, those that it showed last: twice what one report may show."""

KEPT_US = 92 * 24 * HOUR_US
"""A device that an observer has not shown for so long is forgotten."""

LAID_KEPT = 4096
"""Of one device, the overlaps that were laid last."""

DOUBTS_KEPT = 64
"""Of one contract and node, the devices that are named as doubted at a time. Who shows more is found all the same."""

Stretch = list[int]
"""[first, last] sample of a time in which an observer showed a device without a gap."""


OVERDUE = "batch_overdue"
DUPLICATE = "duplicate_device"
"""The finding of a device that is held in two places, and the cause of its contested time."""

CLAIMED = "device_claimed"
"""The finding of a device that another place shows on a weaker claim: it is said, and no time is contested for it."""

EXPECTED = {
    ALTERNATES: "one card under one name in one place",
    COPIED: "readings of its own under load",
}
OF_MIG = "MIG-"
"""The names of slices of a card, which are made anew with each slice, begin so."""

TITLE_US = 24 * HOUR_US
"""A place that has not shown a device for so long has no title to it any more."""


class Standing(IntEnum):
    """How strong a place's claim to a device is. A key of no contract has none, and no UUID is a secret."""

    STRANGER = 0
    CONTRACTED = 1
    TITLE = 2
    PROVEN = 3


@dataclass(slots=True)
class Title:
    """The contract and node under which a device was heard of first, and when it was last shown there."""

    contract: str
    node: str
    last_us: int


@dataclass(slots=True)
class Registry:
    """Who showed which device when.

    `showing` are the devices of each observer's newest report, `known` all that are remembered of it, with when each
    was shown last, in that order; `stretches` those of each device by observer. An observer is a node and a side.
    `laid` says up to when time was laid, by device, pair of places and the start of their overlap. `titles` are by
    device; `proven` says when a challenge was met, by contract, node and device. `doubted` says when a device of a
    place was last found to be another than its name says.
    """

    showing: dict[Key, list[str]] = field(default_factory=dict)
    stretches: dict[str, dict[Key, list[Stretch]]] = field(default_factory=dict)
    reported: dict[str, dict[str, None]] = field(default_factory=dict)
    open: dict[Key, Finding] = field(default_factory=dict)
    known: dict[Key, dict[str, int]] = field(default_factory=dict)
    laid: dict[str, dict[Key, int]] = field(default_factory=dict)
    titles: dict[str, Title] = field(default_factory=dict)
    proven: dict[Key, int] = field(default_factory=dict)
    looks: Looks = field(default_factory=Looks)
    copies: Copies = field(default_factory=Copies)
    doubted: dict[Key, int] = field(default_factory=dict)
    doubts: dict[Key, int] = field(default_factory=dict)
    twice: dict[str, dict[Key, int]] = field(default_factory=dict)

    def prove(self, state: NodeState) -> None:
        """Take in which devices have met a challenge on a node. What somebody asked for by hand gives no title."""
        for device, proof in state.proofs.items():
            if proof.cause == COMMAND:
                continue
            if proof.verdict == ChallengeVerdict.MET and proof.proven_us is not None:
                self.proven[Key((proof.contract, state.node, device))] = proof.proven_us

    def see(
        self, state: NodeState, assignments: Assignments, now_us: int, entry: int
    ) -> Iterator[Change | None]:
        """Fold what a node showed with its last report. It gives None between two devices."""
        if state.last_sample_us is None or not state.view.enumerated:
            return
        promises = assignments.promises(state.node)
        self.hear(state.node, promises)
        observer = Key((state.node, state.side))
        devices = _shown(state)
        before = self.showing.get(observer, [])
        here = set(devices)
        left = [device for device in before if device not in here]
        self.showing[observer] = devices
        known = self.known.setdefault(observer, {})
        for device in devices:
            known[device] = max(known.pop(device, 0), state.last_sample_us)
            self._extend(device, observer, state.last_sample_us, state.patience_us)
            self._entitle(device, observer, assignments, now_us)
        alone = len(_exclusive(promises)) < 2
        for device in devices:
            if not alone or len(self.stretches[device]) > 1:
                for change in self._contest(device, observer, assignments, now_us):
                    yield _told(change, entry)
            yield None
        for device in left:
            yield from self._part(device, assignments, state.last_sample_us)
            yield None
        doubts: dict[str, str] = {}
        for found in self._doubts(state, observer, left, here - set(before)):
            doubts.update(found)
            yield None
        yield from self._doubt(ALTERNATES, doubts, assignments, now_us)
        for copied in self.copies.found(state):
            yield from self._doubt(COPIED, copied, assignments, now_us)
        yield from self._forget(observer, state.last_sample_us)

    def _forget(self, observer: Key, at_us: int) -> Iterator[None]:
        """What the observer showed longest ago is forgotten, by number and by age; never what it shows now."""
        known = self.known[observer]
        for device, shown_us in list(known.items()):
            if len(known) <= DEVICES_KEPT and at_us - shown_us <= KEPT_US:
                return
            del known[device], self.stretches[device][observer]
            if not self.stretches[device]:
                self._forget_device(device)
            yield None

    def _forget_device(self, device: str) -> None:
        del self.stretches[device]
        self.titles.pop(device, None)
        self.laid.pop(device, None)
        self.looks.forget(device)

    def hear(self, node: str, promises: Sequence[Promise]) -> None:
        """The node reports, whatever it says."""
        for promise in promises:
            self.reported.setdefault(promise.contract, {})[node] = None

    def _doubts(
        self, state: NodeState, observer: Key, left: Sequence[str], came: Set[str]
    ) -> Iterator[dict[str, str]]:
        """Devices of a report that are others than their names say, with what shows it; one step a device."""
        for device in wholes(state):
            goes_on = self.looks.face(state, device)
            yield (
                {device: "its energy goes on at one PCI address under another name"}
                if goes_on
                else {}
            )
        brief_us = BRIEF_PATIENCES * state.patience_us
        for device in left:
            gone = device not in state.view.devices and not device.startswith(OF_MIG)
            stretches = self.stretches[device][observer]
            if gone and self.looks.left(observer, device, stretches, brief_us):
                yield {device: f"{NAMES_OF_A_MOMENT} names were shown for a moment and never again"}
        for device in sorted(came):
            self.looks.came(observer, device)
            known = self.looks.serial(state, device)
            if known and self._never_before(device) and not self._is_shown(known):
                yield {device: "its board's serial number was shown under another name"}
            if handovers(self.stretches[device]) >= HANDOVERS:
                yield {device: "it comes and goes in turn with another place"}
            yield {}

    def _never_before(self, device: str) -> bool:
        """Whether this is its first report; boards of several GPUs have one serial number for all that are there."""
        stretches = [one for held in self.stretches[device].values() for one in held]
        return len(stretches) == 1 and stretches[0][0] == stretches[0][1]

    def _is_shown(self, device: str) -> bool:
        return any(device in self.showing[observer] for observer in self.stretches.get(device, ()))

    def _doubt(
        self, code: str, doubts: Mapping[str, str], assignments: Assignments, now_us: int
    ) -> Iterator[Change | None]:
        """A finding for every place that showed the device within a day, and a flag where its name is in doubt."""
        for device, observed in doubts.items():
            places = [
                holding
                for other, stretches in self.stretches.get(device, {}).items()
                for holding in _holdings(other, device, stretches[-1:], assignments)
                if now_us - holding.until_us <= TITLE_US
            ]
            for contract, node in dict.fromkeys((one.contract, one.node) for one in places):
                key = Key((contract, node, device, code))
                yield from self._say_doubt(key, observed, now_us)
            yield None

    def _say_doubt(self, key: Key, observed: str, now_us: int) -> Iterator[Change]:
        contract, node, device, code = key
        place = Key((contract, node))
        if key not in self.doubted:
            if self.doubts.get(place, 0) >= DOUBTS_KEPT:
                return
            self.doubts[place] = self.doubts.get(place, 0) + 1
        known_us, self.doubted[key] = self.doubted.get(key), now_us
        if key not in self.open:
            told = _finding(contract, node, device, code, EXPECTED[code], observed, now_us)
            self.open[key] = told if code == ALTERNATES else _hint(told)
            yield self.open[key]
        if code == ALTERNATES and (known_us is None or now_us - known_us >= HOUR_US):
            yield mark(contract, node, device, ALTERNATES, now_us)

    def quieted(self, now_us: int) -> Iterator[Finding]:
        """A day in which nothing more was found ends a doubt."""
        for key in [key for key, at_us in self.doubted.items() if now_us - at_us > TITLE_US]:
            self.doubts[Key(key[:2])] -= 1
            yield replace(self.open.pop(key), until_us=self.doubted.pop(key))

    def _extend(self, device: str, observer: Key, at_us: int, patience_us: int) -> None:
        """The observer shows the device at this instant; over a longer gap than its patience nobody knows."""
        stretches = self.stretches.setdefault(device, {}).setdefault(observer, [])
        if stretches and at_us - stretches[-1][1] <= patience_us:
            stretches[-1][1] = max(stretches[-1][1], at_us)
        else:
            stretches.append([at_us, at_us])
            del stretches[:-STRETCHES_KEPT]

    def _part(self, device: str, assignments: Assignments, at_us: int) -> Iterator[Finding]:
        """A device left a place: what was open against it closes there, and where it is alone from now on."""
        held = {
            (holding.contract, holding.node)
            for observer, stretches in self.stretches[device].items()
            if device in self.showing[observer]
            for holding in _holdings(observer, device, stretches[-1:], assignments)
        }
        for key in list(self.twice.get(device, ())):
            finding = self.open[key]
            if (finding.contract, finding.node) not in held or len(held) < 2:
                self._part_from(device, key)
                yield replace(finding, until_us=max(at_us, finding.since_us))

    def _part_from(self, device: str, key: Key) -> None:
        del self.open[key], self.twice[device][key]
        if not self.twice[device]:
            del self.twice[device]

    def _entitle(self, device: str, observer: Key, assignments: Assignments, now_us: int) -> None:
        """Title goes by the order in which the collector heard: what is told of the past gains none."""
        title = self.titles.get(device)
        held = _holdings(observer, device, self.stretches[device][observer][-1:], assignments)
        places = [(one.contract, one.node) for one in held if one.contract]
        if title is not None and (title.contract, title.node) in places:
            title.last_us = now_us
        elif places and not _stands(title, assignments, now_us):
            self.titles[device] = Title(*places[0], now_us)

    def _standing(self, device: str, holding: "Holding") -> Standing:
        title = self.titles.get(device)
        if not holding.contract:
            return Standing.STRANGER
        if self._proven_us(device, holding) >= holding.since_us:
            return Standing.PROVEN
        if title is not None and (title.contract, title.node) == (holding.contract, holding.node):
            return Standing.TITLE
        return Standing.CONTRACTED

    def _proven_us(self, device: str, holding: "Holding") -> int:
        return self.proven.get(Key((holding.contract, holding.node, device)), -1)

    def _contest(
        self, device: str, observer: Key, assignments: Assignments, now_us: int
    ) -> Iterator[Change]:
        """The stretch that the observer has just made longer, against all others of the device."""
        known = self.stretches[device]
        mine = _holdings(observer, device, known[observer][-1:], assignments)
        others = [
            holding
            for other, stretches in known.items()
            for holding in _holdings(other, device, stretches, assignments)
        ]
        for holding in mine:
            for rival in others:
                start_us = max(holding.since_us, rival.since_us)
                end_us = min(holding.until_us, rival.until_us, now_us)
                if (holding.contract, holding.node) != (rival.contract, rival.node):
                    for one, other in ((holding, rival), (rival, holding)):
                        over = Overlap(device, one, other, start_us, end_us, now_us)
                        yield from self._weigh(over, assignments)

    def _weigh(self, over: "Overlap", assignments: Assignments) -> Iterator[Change]:
        """What the rival's claim does to a place: contests its time, or is only said."""
        mine = self._standing(over.device, over.holding)
        theirs = self._standing(over.device, over.rival)
        since_us = over.start_us
        if _one_provider(over.holding, over.rival, assignments):
            state = State.CONTESTED
        else:
            state = State.CONTESTED if theirs >= mine else State.UP
            if mine >= Standing.TITLE and theirs is Standing.PROVEN:
                since_us = max(since_us, self._proven_us(over.device, over.rival))
        yield from self._lay(over, state, since_us)

    def _lay(self, over: "Overlap", state: State, since_us: int) -> Iterator[Change]:
        """Overlaid time of one place, one row up to now at most: a node says what it likes of past and future.

        Who the rival is stays with the auditor: it may be another tenant.
        """
        holding, rival = over.holding, over.rival
        code = DUPLICATE if state is State.CONTESTED else CLAIMED
        places = (holding.contract, holding.node, over.device, rival.contract, rival.node)
        pair = Key((*places, code, over.start_us))
        laid = self.laid.setdefault(over.device, {})
        written_us = max(laid.get(pair, over.start_us), since_us)
        if written_us >= over.end_us:
            return
        place = (holding.contract, holding.node, BY_DEVICE, over.device, OVERLAY)
        yield Row(*place, written_us, over.end_us, state, code, over.now_us)
        laid.pop(pair, None)
        laid[pair] = over.end_us
        if len(laid) > LAID_KEPT:
            del laid[next(iter(laid))]
        key = Key((holding.contract, holding.node, over.device, code))
        if key not in self.open:
            self.open[key] = _shown_twice(over, code)
            self.twice.setdefault(over.device, {})[key] = over.now_us
            yield self.open[key]

    def absences(
        self, name: str, version: Version, assignments: Assignments, now_us: int
    ) -> Iterator[Finding]:
        """Whether nodes are due to have reported, by the contract's schedule, and have not."""
        dues = [due for due in deliveries(version) if due.at_us <= now_us]
        nodes = self.reported.get(name, {})
        since_us = missing_since_us(dues, len(nodes))
        code = "never_reported" if not nodes else "under_reported"
        for other in ("never_reported", "under_reported"):
            if other != code or since_us is None:
                yield from self._closed(Key((name, "", other)), now_us)
        if since_us is not None:
            expected = f"{sum(due.nodes for due in dues)} nodes that report"
            yield from self._opened((name, "", code), expected, f"{len(nodes)}", since_us)
        yield from self._overdue(name, dues, _by_item(name, nodes, assignments), now_us)

    def forgotten(self, contracts: Container[str], now_us: int) -> Iterator[Finding]:
        """The end of what was missing of contracts that are there no more."""
        for key in [key for key in self.open if key[0] not in contracts]:
            yield from self._closed(key, now_us)

    def _overdue(
        self, name: str, dues: Sequence[Due], reported: Mapping[str, int], now_us: int
    ) -> Iterator[Finding]:
        """A finding for all batches of one day."""
        late = {one.at_us: one for one in overdue(dues, reported)}
        for key in [key for key in self.open if key[:3] == (name, "", OVERDUE)]:
            if key[3] not in late:
                yield from self._closed(key, now_us)
        for at_us, one in late.items():
            expected = f"{', '.join(one.batches)}: {one.due} nodes that report"
            yield from self._opened((name, "", OVERDUE, at_us), expected, f"{one.reported}", at_us)

    def _opened(
        self, place: tuple[Any, ...], expected: str, observed: str, since_us: int
    ) -> Iterator[Finding]:
        if Key(place) not in self.open:
            name, _, code, *_ = place
            finding = _finding(name, "", "", code, expected, observed, since_us)
            self.open[Key(place)] = finding
            yield finding

    def _closed(self, key: Key, now_us: int) -> Iterator[Finding]:
        if key in self.open:
            yield replace(self.open.pop(key), until_us=now_us)


@dataclass(frozen=True, slots=True)
class Holding:
    """A device on a node under one promise, while both last."""

    contract: str
    node: str
    since_us: int
    until_us: int


@dataclass(frozen=True, slots=True)
class Overlap:
    """The time over which a place and a rival both show a device, as the collector knows it now."""

    device: str
    holding: Holding
    rival: Holding
    start_us: int
    end_us: int
    now_us: int


def _by_item(contract: str, nodes: Iterable[str], assignments: Assignments) -> Mapping[str, int]:
    """How many of these nodes each line item has now."""
    items = (
        promise.resource.id
        for node in nodes
        for promise in assignments.promises(node)
        if promise.contract == contract
    )
    return Counter(items)


def _stands(title: Title | None, assignments: Assignments, now_us: int) -> bool:
    """Whether it is still worth something: its contract holds the node, and the device was shown there lately."""
    if title is None or now_us - title.last_us > TITLE_US:
        return False
    promises = assignments.promises(title.node)
    return any(
        one.contract == title.contract and one.from_us <= now_us < one.until_us for one in promises
    )


def _one_provider(one: Holding, other: Holding, assignments: Assignments) -> bool:
    """Whether one party answers for both places: who sells a device twice may not choose for whom it counts.

    One node is one provider's, and what no contract holds is nobody's.
    """
    if not (one.contract and other.contract):
        return one.contract == other.contract
    providers = (_providers(holding.contract, assignments) for holding in (one, other))
    return one.node == other.node or not set(next(providers)).isdisjoint(next(providers))


def _providers(contract: str, assignments: Assignments) -> Iterator[str]:
    """By legal name and by registration; the id of a party means something in its own contract alone."""
    for party in assignments.versions(contract)[-1].contract.parties:
        if party.role == "provider":
            yield from filter(None, (party.name, party.registration))


def _shown(state: NodeState) -> list[str]:
    """The devices that are there. One that is lost keeps its place in the inventory, and may by now be elsewhere."""
    known = state.view.devices.values()
    return sorted(device.uuid for device in known if device.state is not DeviceState.LOST)


def _exclusive(promises: Sequence[Promise]) -> set[str]:
    return {p.contract for p in promises if p.resource.exclusivity.mode == "exclusive"}


def _holdings(
    observer: Key, device: str, stretches: Sequence[Stretch], assignments: Assignments
) -> list[Holding]:
    """Where the device was held in these stretches: under each exclusive contract that it is assigned to, or under
    none."""
    node = observer[0]
    promises = assignments.promises(node)
    exclusive = _exclusive(promises)
    return [
        holding
        for first_us, last_us in stretches
        for holding in _assigned(
            Holding("", node, first_us, last_us),
            [
                promise
                for promise in promises
                if promise.contract in exclusive
                and (promise.devices is None or device in promise.devices)
            ],
        )
    ]


def _assigned(held: Holding, promises: Sequence[Promise]) -> list[Holding]:
    found = [
        Holding(
            promise.contract,
            held.node,
            max(held.since_us, promise.from_us),
            min(held.until_us, promise.until_us),
        )
        for promise in promises
        if promise.from_us < held.until_us and held.since_us < promise.until_us
    ]
    return found or [held]


def _told(change: Change, entry: int) -> Change:
    """A row of what the report in this entry shows."""
    return (
        replace(change, first_entry=entry, last_entry=entry) if isinstance(change, Row) else change
    )


def _shown_twice(over: Overlap, code: str) -> Finding:
    place = (over.holding.contract, over.holding.node, over.device)
    if code == DUPLICATE:
        observed = "held in another place too"
        return _finding(*place, code, "one place at a time", observed, over.start_us)
    observed = "shown in another place too, on a weaker claim"
    said = _finding(*place, code, "one place at a time", observed, over.start_us)
    return replace(said, severity=Severity.WARNING)


def _hint(finding: Finding) -> Finding:
    """It breaches nothing: which of two series is false nobody can tell."""
    return replace(finding, severity=Severity.WARNING, verdict=Verdict.UNKNOWN)


def _finding(
    contract: str, node: str, device: str, code: str, expected: str, observed: str, since_us: int
) -> Finding:
    told = (contract, node, device, code, Severity.ERROR, Verdict.BREACHED, "E1")
    return Finding(*told, expected, observed, answerable(code), since_us, None)
