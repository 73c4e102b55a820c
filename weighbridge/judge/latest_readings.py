"""What a node last showed: the newest value of every reading, as checks and pages read it.

Applying a piece of a report returns the names of what it changed, so that only the checks that watch them run.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from weighbridge.wire.report import Block, Device, DeviceState, Facts, Inventory, Process, Reason

INVENTORY, PROCESSES, XIDS, REASONS = "inventory", "processes", "xids", "reasons"
"""What changes beside values: the inventory, the processes, the XIDs counted, and which readings have no value."""


@dataclass(slots=True)
class LatestSample:
    """The newest sample of one tier: `rows[reading][i]` belongs to `devices[i]`; if None, `reasons` says why."""

    sampled_us: int
    devices: list[str]
    rows: dict[str, list[int | None]]
    reasons: dict[str, dict[str, Reason]]


@dataclass(slots=True)
class LatestDevice:
    """One device that was once enumerated. `xids` counts since the last boot, reset or return of the device."""

    uuid: str
    parent: str | None
    state: DeviceState
    identity: Facts
    xids: dict[int, int] = field(default_factory=dict)


NOTHING = Facts(readings={}, unavailable={})


@dataclass(slots=True)
class LatestReadings:
    """Nothing at first. `enumerated` once an inventory said which devices there are; `processes` is None while
    the node does not list them.
    """

    devices: dict[str, LatestDevice] = field(default_factory=dict)
    tiers: dict[str, LatestSample] = field(default_factory=dict)
    driver: Facts = NOTHING
    host: Facts = NOTHING
    processes: list[Process] | None = None
    enumerated: bool = False

    def value(self, device: str, reading: str) -> int | str | Reason | None:
        """The newest value, or why there is none; None where the node has not spoken of it."""
        for columns in self.tiers.values():
            if reading in columns.rows and device in columns.devices:
                value = columns.rows[reading][columns.devices.index(device)]
                return columns.reasons[reading][device] if value is None else value
        shown = self.devices.get(device)
        return None if shown is None else fact(shown.identity, reading)

    def readings(self, device: str) -> dict[str, int | Reason]:
        """Every sampled reading of one device."""
        found: dict[str, int | Reason] = {}
        for columns in self.tiers.values():
            if device not in columns.devices:
                continue
            place = columns.devices.index(device)
            for name, row in columns.rows.items():
                value = row[place]
                found[name] = columns.reasons[name][device] if value is None else value
        return found

    def wholes(self) -> Iterator[LatestDevice]:
        """The GPUs; not the MIG devices cut from them."""
        return (device for device in self.devices.values() if device.parent is None)


def fact(facts: Facts, reading: str) -> int | str | Reason | None:
    """A value, the reason why there is none, or None where nothing was said."""
    if reading in facts.readings:
        return facts.readings[reading]
    return facts.unavailable.get(reading)


def see_inventory(view: LatestReadings, inventory: Inventory) -> set[str]:
    """The devices enumerated now replace those known before; counted XIDs stay with a device that stays."""
    view.devices = {
        device.uuid: _device(view.devices.get(device.uuid), device) for device in inventory.devices
    }
    view.driver, view.host = inventory.driver, inventory.host
    view.enumerated = True
    return {INVENTORY}


def _device(known: LatestDevice | None, device: Device) -> LatestDevice:
    xids = {} if known is None else known.xids
    return LatestDevice(device.uuid, device.parent, device.state, device.identity, xids)


def see_sample(
    view: LatestReadings, block: Block, sample: int, at_us: int, watched: Collection[str] = ()
) -> set[str]:
    """One sample of one tier. Returns which readings of `watched` changed in value or reason, and REASONS.

    Where the devices are others, that is INVENTORY, and every reading.
    """
    rows = {name: samples[sample] for name, samples in block.readings.items()}
    reasons = _reasons(block, sample)
    known = view.tiers.get(block.tier)
    view.tiers[block.tier] = LatestSample(at_us, block.devices, rows, reasons)
    if known is None or known.devices != block.devices:
        return {INVENTORY, REASONS, *rows}
    changed = {name for name in watched if rows.get(name) != known.rows.get(name)}
    if reasons == known.reasons:
        return changed
    without = {name for name in watched if reasons.get(name) != known.reasons.get(name)}
    return changed | {REASONS} | without


def _reasons(block: Block, sample: int) -> dict[str, dict[str, Reason]]:
    reasons: dict[str, dict[str, Reason]] = {}
    for span in block.unavailable:
        if span.from_ <= sample < span.to:
            reasons.setdefault(span.reading, {})[span.device] = span.reason
    return reasons


def see_processes(view: LatestReadings, processes: list[Process]) -> set[str]:
    """The processes that hold device memory now; only who holds what is a change, not how much and since when."""
    known, view.processes = view.processes, processes
    return {PROCESSES} if known is None or _holders(known) != _holders(processes) else set()


def lose_processes(view: LatestReadings) -> set[str]:
    """The node was sampled and could not list its processes: what it listed before says nothing of now."""
    known, view.processes = view.processes, None
    return set() if known is None else {PROCESSES}


def _holders(processes: list[Process]) -> set[tuple[str, str, str]]:
    return {(process.device, process.owner, process.class_) for process in processes}


def see_xid(view: LatestReadings, uuid: str, code: int) -> set[str]:
    """Count an XID against its device; one of a device never enumerated is counted nowhere."""
    device = view.devices.get(uuid)
    if device is None:
        return set()
    device.xids[code] = device.xids.get(code, 0) + 1
    return {XIDS}


def forget_xids(view: LatestReadings, uuid: str | None) -> set[str]:
    """The device (all of them for None) starts afresh: after a reboot, a reset, or its return."""
    for device in view.devices.values():
        if uuid is None or device.uuid == uuid:
            device.xids = {}
    return {XIDS}
