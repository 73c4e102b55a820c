"""The second fold: which device was present where, over all nodes and contracts.

A UUID that two nodes, or two exclusive contracts, show at the same time is contested for both: picking the second could
be farmed. Contested time is laid over the settlement and never written into a node's own intervals. The registry also
knows the contracts whose nodes never reported.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from pydantic import TypeAdapter

from weighbridge.checks import Promise, Severity, Verdict
from weighbridge.claims import Claims, Version
from weighbridge.ledger import BY_DEVICE, OVERLAY, Finding, Row, State
from weighbridge.node import NodeState
from weighbridge.wire import DeviceState

Change = Row | Finding


@dataclass(slots=True)
class Presence:
    """A node shows these devices, each since an instant, up to `last_us`."""

    since_us: dict[str, int]
    last_us: int


@dataclass(slots=True)
class Registry:
    """Presence of devices. `written` says up to when contested time was laid, by place."""

    present: dict[str, Presence] = field(default_factory=dict)
    holders: dict[str, list[str]] = field(default_factory=dict)
    reported: dict[str, list[str]] = field(default_factory=dict)
    open: dict[str, Finding] = field(default_factory=dict)
    written: dict[str, int] = field(default_factory=dict)

    def see(self, state: NodeState, claims: Claims, now_us: int) -> list[Change]:
        """Fold what a node showed with its last report."""
        if state.last_sample_us is None or not state.view.enumerated:
            return []
        for promise in claims.promises(state.node):
            reporting = self.reported.setdefault(promise.contract, [])
            if state.node not in reporting:
                reporting.append(state.node)
        devices = _shown(state)
        left = self._appear(state.node, devices, state.last_sample_us)
        alone = len(_exclusive(claims.promises(state.node))) < 2
        contested = [
            change
            for device in devices
            if not alone or len(self.holders[device]) > 1
            for change in self._contest(device, claims, now_us)
        ]
        parted = [
            change for device in left for change in self._part(device, claims, state.last_sample_us)
        ]
        return contested + parted

    def tick(self, claims: Claims, now_us: int) -> list[Change]:
        """Contracts whose time to report first is over."""
        return [
            change
            for name, version in claims.contracts().items()
            for change in self._absence(name, version, now_us)
        ]

    def _appear(self, node: str, devices: Sequence[str], at_us: int) -> list[str]:
        """The node shows these devices now. Returns those that it showed before, and no more."""
        presence = self.present.setdefault(node, Presence({}, at_us))
        presence.last_us = max(presence.last_us, at_us)
        left = [device for device in presence.since_us if device not in devices]
        for device in left:
            del presence.since_us[device]
            self.holders[device].remove(node)
        for device in devices:
            if device not in presence.since_us:
                presence.since_us[device] = at_us
                self.holders.setdefault(device, []).append(node)
        return left

    def _part(self, device: str, claims: Claims, at_us: int) -> Iterator[Finding]:
        """A device left a place: what was open against it closes there, and where it is alone from now on."""
        held = {(place.contract, place.node) for place in self._places(device, claims)}
        for key, finding in list(self.open.items()):
            here = (finding.contract, finding.node) in held
            if finding.device == device and not (here and len(held) > 1):
                yield replace(self.open.pop(key), until_us=max(at_us, finding.since_us))

    def _contest(self, device: str, claims: Claims, now_us: int) -> Iterator[Change]:
        places = self._places(device, claims)
        for place in places:
            for rival in places:
                start_us = max(place.since_us, rival.since_us)
                end_us = min(place.until_us, rival.until_us, now_us)
                if rival != place and start_us < end_us:
                    yield from self._lay(device, place, rival, start_us, end_us, now_us)

    def _places(self, device: str, claims: Claims) -> list["Place"]:
        """Where the device is held: every (node, exclusive contract) that shows it."""
        return [
            place
            for node in self.holders[device]
            for place in _claimed(node, device, self.present[node], claims.promises(node))
        ]

    def _lay(
        self, device: str, place: "Place", rival: "Place", start_us: int, end_us: int, now_us: int
    ) -> Iterator[Change]:
        """Contested time of one place, one row up to now at most: a node says what it likes of past and future.

        Who the rival is stays with the auditor: it may be another tenant.
        """
        key = f"{place.contract}|{place.node}|{device}"
        pair = f"{key}|{rival.contract}|{rival.node}"
        written_us = max(self.written.get(pair, start_us), start_us)
        if written_us < end_us:
            yield _overlay(place, device, written_us, end_us, now_us)
        self.written[pair] = max(written_us, end_us)
        if key not in self.open:
            self.open[key] = _finding(
                place.contract,
                place.node,
                device,
                "duplicate_device",
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
            key = f"{name}||{other}"
            if key in self.open and (other != code or seen >= promised):
                yield replace(self.open.pop(key), until_us=now_us)
        if now_us >= due_us and seen < promised and f"{name}||{code}" not in self.open:
            expected, observed = f"{promised} nodes that report", f"{seen}"
            finding = _finding(name, "", "", code, expected, observed, due_us)
            self.open[f"{name}||{code}"] = finding
            yield finding


@dataclass(frozen=True, slots=True)
class Place:
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


def _claimed(
    node: str, device: str, presence: Presence, promises: Sequence[Promise]
) -> Iterator[Place]:
    shown_us = presence.since_us[device]
    claiming = [
        promise
        for promise in promises
        if promise.contract in _exclusive(promises)
        and (promise.devices is None or device in promise.devices)
        and promise.from_us < presence.last_us
        and shown_us < promise.until_us
    ]
    for promise in claiming:
        since_us = max(shown_us, promise.from_us)
        yield Place(promise.contract, node, since_us, min(presence.last_us, promise.until_us))
    if not claiming:
        yield Place("", node, shown_us, presence.last_us)


def _overlay(place: Place, device: str, start_us: int, end_us: int, now_us: int) -> Row:
    return Row(
        place.contract,
        place.node,
        BY_DEVICE,
        device,
        OVERLAY,
        start_us,
        end_us,
        State.CONTESTED,
        "duplicate_device",
        now_us,
    )


def _finding(
    contract: str, node: str, device: str, code: str, expected: str, observed: str, since_us: int
) -> Finding:
    return Finding(
        contract,
        node,
        device,
        code,
        Severity.ERROR,
        Verdict.BREACHED,
        "E1",
        expected,
        observed,
        "open",
        since_us,
        None,
    )


_REGISTRY = TypeAdapter(Registry)


def dump(registry: Registry) -> bytes:
    """The registry as JSON."""
    return _REGISTRY.dump_json(registry)


def restore(data: bytes) -> Registry:
    """The registry that `dump` wrote."""
    return _REGISTRY.validate_json(data)
