"""The second fold: which device was present where, over all nodes and contracts.

A UUID that two nodes, or two exclusive contracts, show at the same time is contested for both: picking the second could
be farmed. Contested time is laid over the settlement and never written into a node's own intervals. The registry also
knows the contracts whose nodes never reported.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from weighbridge.judge.assignments import Assignments, Version
from weighbridge.judge.checks import Promise, Severity
from weighbridge.judge.ledger import BY_DEVICE, OVERLAY, Finding, Row, State
from weighbridge.judge.node_state import NodeState
from weighbridge.judge.snapshot import Key
from weighbridge.verdict import Verdict
from weighbridge.wire.report import DeviceState

Change = Row | Finding


STRETCHES_KEPT = 32
"""Of one device and observer, the newest: what comes later still overlaps with these."""

Stretch = list[int]
"""[first, last] sample of a time in which an observer showed a device without a gap."""


DUPLICATE = "duplicate_device"
"""The finding of a device that is held in two places, and the cause of its contested time."""


@dataclass(slots=True)
class Registry:
    """Who showed which device when.

    `showing` are the devices of each observer's newest report, `stretches` those of each device by observer. An
    observer is a node and a side. `written` says up to when contested time was laid, by pair of places and the start of
    their overlap.
    """

    showing: dict[Key, list[str]] = field(default_factory=dict)
    stretches: dict[str, dict[Key, list[Stretch]]] = field(default_factory=dict)
    reported: dict[str, list[str]] = field(default_factory=dict)
    open: dict[Key, Finding] = field(default_factory=dict)
    written: dict[Key, int] = field(default_factory=dict)

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
        left = [device for device in self.showing.get(observer, ()) if device not in devices]
        self.showing[observer] = devices
        for device in devices:
            self._extend(device, observer, state.last_sample_us, state.patience_us)
        alone = len(_exclusive(promises)) < 2
        for device in devices:
            if not alone or len(self.stretches[device]) > 1:
                for change in self._contest(device, observer, assignments, now_us):
                    yield _told(change, entry)
            yield None
        for device in left:
            yield from self._part(device, assignments, state.last_sample_us)
            yield None

    def hear(self, node: str, promises: Sequence[Promise]) -> None:
        """The node reports, whatever it says."""
        for promise in promises:
            reporting = self.reported.setdefault(promise.contract, [])
            if node not in reporting:
                reporting.append(node)

    def tick(self, assignments: Assignments, now_us: int) -> list[Change]:
        """Contracts whose time to report first is over."""
        return [
            change
            for name, version in assignments.contracts(now_us).items()
            for change in self._absence(name, version, now_us)
        ]

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
        for key, finding in list(self.open.items()):
            here = (finding.contract, finding.node) in held
            if finding.device == device and not (here and len(held) > 1):
                yield replace(self.open.pop(key), until_us=max(at_us, finding.since_us))

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
                    yield from self._lay(device, holding, rival, start_us, end_us, now_us)
                    yield from self._lay(device, rival, holding, start_us, end_us, now_us)

    def _lay(
        self,
        device: str,
        holding: "Holding",
        rival: "Holding",
        start_us: int,
        end_us: int,
        now_us: int,
    ) -> Iterator[Change]:
        """Contested time of one place, one row up to now at most: a node says what it likes of past and future.

        Who the rival is stays with the auditor: it may be another tenant.
        """
        key = Key((holding.contract, holding.node, device))
        pair = Key((*key, rival.contract, rival.node, start_us))
        written_us = self.written.get(pair, start_us)
        if written_us >= end_us:
            return
        yield _overlay(holding, device, written_us, end_us, now_us)
        self.written[pair] = end_us
        if key not in self.open:
            self.open[key] = _finding(
                holding.contract,
                holding.node,
                device,
                DUPLICATE,
                "one place at a time",
                "held in another place too",
                start_us,
            )
            yield self.open[key]

    def _absence(self, name: str, version: Version, now_us: int) -> Iterator[Finding]:
        contract = version.contract
        due_us = version.from_us + contract.sampling.first_report_within_us
        promised = sum(resource.nodes for resource in contract.resources)
        seen = len(self.reported.get(name, []))
        code = "never_reported" if seen == 0 else "under_reported"
        for other in ("never_reported", "under_reported"):
            key = Key((name, "", other))
            if key in self.open and (other != code or seen >= promised):
                yield replace(self.open.pop(key), until_us=now_us)
        if now_us >= due_us and seen < promised and Key((name, "", code)) not in self.open:
            expected, observed = f"{promised} nodes that report", f"{seen}"
            finding = _finding(name, "", "", code, expected, observed, due_us)
            self.open[Key((name, "", code))] = finding
            yield finding


@dataclass(frozen=True, slots=True)
class Holding:
    """A device on a node under one promise, while both last."""

    contract: str
    node: str
    since_us: int
    until_us: int


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


def _overlay(holding: Holding, device: str, start_us: int, end_us: int, now_us: int) -> Row:
    place = (holding.contract, holding.node, BY_DEVICE, device, OVERLAY)
    return Row(*place, start_us, end_us, State.CONTESTED, DUPLICATE, now_us)


def _finding(
    contract: str, node: str, device: str, code: str, expected: str, observed: str, since_us: int
) -> Finding:
    told = (contract, node, device, code, Severity.ERROR, Verdict.BREACHED, "E1")
    return Finding(*told, expected, observed, "open", since_us, None)
