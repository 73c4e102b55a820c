"""What a node last showed: the newest value of every reading, as checks and pages read it.

Applying a piece of a report returns the names of what it changed, so that only the checks that watch them run.
"""

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from sys import intern
from typing import TypeVar

from weighbridge.catalogue.tables import xid
from weighbridge.judge.links_under_load import WIDTH, LinkMeter, begin, take_in
from weighbridge.judge.told_faults import ToldFaults
from weighbridge.wire.addresses import address_of, gpus_by_address
from weighbridge.wire.driver_words import uncounted
from weighbridge.wire.pci_address import normal_address
from weighbridge.wire.report import (
    Block,
    DeviceState,
    Event,
    EventKind,
    Facts,
    Inventory,
    Process,
    Reason,
    UnavailableSpan,
)

INVENTORY, PROCESSES, XIDS, REASONS = "inventory", "processes", "xids", "reasons"
LINKS, HOST = "links", "host"
"""What changes beside values: the inventory, the processes, the XIDs counted, which readings have no value, what PCIe
links give under load, and the ports of the host."""

PORTS = ("infiniband.", "ethernet.", "rdma_ports_count", "ethernet_ports_count")
"""How the facts of a host begin that tell of its ports."""
DOWNS = (".link_downed_count", ".carrier_down_count")
"""How those of them end that count how often a port went down."""

BEGIN_ANEW = (
    "energy_millijoules",
    "clocks_event_sw_power_cap_microseconds",
    "clocks_event_sync_boost_microseconds",
    "clocks_event_sw_thermal_microseconds",
    "clocks_event_hw_thermal_microseconds",
    "clocks_event_hw_power_brake_microseconds",
)
"""Counters that only rise until the driver or the device is started anew. No user of a card can set them back."""

Told = TypeVar("Told")

RECOVERY = "recovery_action_code"
"""Falls back to 0 when what the driver asked for was done."""

SHOWS_RESET = (*BEGIN_ANEW, RECOVERY)

AWAY_KEPT, CODES_KEPT = 1024, 1024
"""Devices with XIDs that the inventory does not show, and codes of one device: what one boot of a node has no more of.
A code that the table of XIDs knows is always kept."""


@dataclass(slots=True)
class LatestSample:
    """The newest sample of one tier: `rows[reading][i]` belongs to `devices[i]`; if None, `reasons` says why."""

    sampled_us: int
    devices: list[str]
    rows: dict[str, list[int | None]]
    reasons: dict[str, dict[str, Reason]]


@dataclass(slots=True)
class LatestDevice:
    """One device that was once enumerated. `xids` counts since the last boot, or reset that readings show."""

    uuid: str
    parent: str | None
    state: DeviceState
    identity: Facts
    xids: dict[int, int] = field(default_factory=dict)


NOTHING = Facts(readings={}, unavailable={})

WithoutValue = dict[str, dict[str, Reason]]
"""By reading and device, why there is no value."""


class Reasons:
    """Why readings of one report have no value. Of each block, its samples are asked for in their order."""

    def __init__(self) -> None:
        self._blocks: dict[int, _Spans] = {}

    def at(self, block: Block, sample: int) -> WithoutValue:
        """Of one sample."""
        known = self._blocks.get(id(block))
        if known is None:
            known = self._blocks[id(block)] = _Spans(block)
        return known.at(sample)


class _Spans:
    """Goes through the spans of a block once, however many samples and spans there are."""

    def __init__(self, block: Block) -> None:
        self._coming = deque(sorted(block.unavailable, key=lambda span: span.from_))
        self._over: list[UnavailableSpan] = []

    def at(self, sample: int) -> WithoutValue:
        while self._coming and self._coming[0].from_ <= sample:
            self._over.append(self._coming.popleft())
        self._over = [span for span in self._over if sample < span.to]
        reasons: WithoutValue = {}
        for span in self._over:
            reasons.setdefault(span.reading, {})[span.device] = span.reason
        return reasons


@dataclass(slots=True)
class LatestReadings:
    """Nothing at first. `enumerated` once an inventory said which devices there are; `processes` is None while
    the node does not list them.

    `xids_away`: the XIDs of devices that the inventory does not show, and by PCI address those of which nobody knew the
    device; the first that is shown there bears them. `counters`: of each device with XIDs what was last read of what a
    reset sets back. `xids_forgotten`: the XIDs of devices that were away and of which there were more than are kept,
    whichever they were; a device that comes anew bears them. `faults`: what was told beside. `places`: the GPUs by
    their PCI address. `links`: what PCIe links of this boot gave under load. `host_now`: the ports of the host, as
    reports last told of them.
    """

    devices: dict[str, LatestDevice] = field(default_factory=dict)
    tiers: dict[str, LatestSample] = field(default_factory=dict)
    driver: Facts = NOTHING
    host: Facts = NOTHING
    host_now: Facts = NOTHING
    processes: list[Process] | None = None
    enumerated: bool = False
    xids_away: dict[str, dict[int, int]] = field(default_factory=dict)
    counters: dict[str, dict[str, int]] = field(default_factory=dict)
    xids_forgotten: dict[int, int] = field(default_factory=dict)
    links: LinkMeter = field(default_factory=LinkMeter)
    faults: ToldFaults = field(default_factory=ToldFaults)
    places: dict[str, str] = field(default_factory=dict)

    def value(self, device: str, reading: str) -> int | str | Reason | None:
        """The newest value, or why there is none; None where the node has not spoken of it."""
        for columns in self.tiers.values():
            if reading in columns.rows and device in columns.devices:
                value = columns.rows[reading][columns.devices.index(device)]
                return columns.reasons[reading][device] if value is None else value
        shown = self.devices.get(device)
        return None if shown is None else fact(shown.identity, reading)

    def text(self, device: str, reading: str) -> str | None:
        """A text of a device's identity; None where there is none."""
        shown = self.devices.get(device)
        value = None if shown is None else shown.identity.readings.get(reading)
        return value if isinstance(value, str) else None

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
    """The devices enumerated now replace those known before; counted XIDs stay with a device, wherever it was.

    A driver that was not loaded and now counts devices was loaded anew, and so was one of another version.
    """
    if _loaded_anew(view.driver, inventory.driver):
        forget_xids(view, None)
    view.places = gpus_by_address(inventory.devices)
    xids = _every_xid(view)
    for address in xids.keys() & view.places.keys():
        _place(view, xids, address)
    unharmed: dict[str, dict[int, int]] = {uuid: {} for uuid in view.devices}
    forgotten = view.xids_forgotten
    view.devices = {
        device.uuid: LatestDevice(
            device.uuid,
            device.parent,
            device.state,
            device.identity,
            xids.pop(device.uuid, {}) or unharmed.get(device.uuid, dict(forgotten)),
        )
        for device in inventory.devices
    }
    view.xids_away = xids
    _forget_away(view)
    view.driver, view.host = inventory.driver, inventory.host
    view.enumerated = True
    for address in view.faults.names:
        _learn_place(view, address)
    return {INVENTORY}


def see_host(view: LatestReadings, host: Facts) -> set[str]:
    """The ports of the host as they are now."""
    now = Facts(readings=_of_ports(host.readings), unavailable=_of_ports(host.unavailable))
    known, view.host_now = view.host_now, now
    return set() if known == now else {HOST}


def _of_ports(told: Mapping[str, Told]) -> dict[str, Told]:
    return {name: value for name, value in told.items() if name.startswith(PORTS)}


def falls(view: LatestReadings) -> dict[str, int]:
    """How often each port went down since its counter began, by the port."""
    told = view.host_now.readings
    return {
        name.partition(".")[2].rpartition(".")[0]: value
        for name, value in told.items()
        if name.endswith(DOWNS) and isinstance(value, int)
    }


def _learn_place(view: LatestReadings, address: str) -> None:
    """The kernel's word stands where the driver library says no address of a device."""
    uuid, _ = view.faults.names.get(address, ("", ""))
    device = view.devices.get(uuid)
    if device is not None and address_of(device.identity) is None:
        view.places.setdefault(address, uuid)


def _place(view: LatestReadings, xids: dict[str, dict[int, int]], address: str) -> None:
    """What was told of an address was told of the device that is shown there."""
    uuid = view.places[address]
    borne = xids.setdefault(uuid, {})
    for code, count in xids.pop(address).items():
        borne[code] = borne.get(code, 0) + count
    view.faults.move(address, uuid)
    view.counters.setdefault(uuid, {})


def _forget_away(view: LatestReadings) -> None:
    """Those that went first: that they had XIDs is kept, not which of them had which."""
    away = view.xids_away
    while len(away) > AWAY_KEPT:
        uuid = next(iter(away))
        for code, count in away.pop(uuid).items():
            if _has_room(view.xids_forgotten, code):
                view.xids_forgotten[code] = count
        view.counters.pop(uuid, None)
        view.faults.move(uuid, "")


def inherit(view: LatestReadings, before: LatestReadings) -> None:
    """What a sequence of reports showed of a boot holds for the next one of that boot."""
    view.xids_away = {uuid: dict(counted) for uuid, counted in _every_xid(before).items()}
    view.counters = {uuid: dict(last) for uuid, last in before.counters.items()}
    view.xids_forgotten = dict(before.xids_forgotten)
    view.faults = deepcopy(before.faults)
    _forget_away(view)


def _every_xid(view: LatestReadings) -> dict[str, dict[int, int]]:
    shown = {device.uuid: device.xids for device in view.devices.values() if device.xids}
    return {uuid: xids for uuid, xids in view.xids_away.items() if uuid not in shown} | shown


def _loaded_anew(before: Facts, now: Facts) -> bool:
    versions = {facts.readings.get("driver_version") for facts in (before, now)}
    another = None not in versions and len(versions) > 1
    return another or (_not_loaded(before) and not _not_loaded(now))


def _not_loaded(driver: Facts) -> bool:
    return uncounted(driver) is Reason.DRIVER_NOT_LOADED


def see_sample(
    view: LatestReadings,
    block: Block,
    sample: int,
    at_us: int,
    reasons: WithoutValue,
    watched: Collection[str] = (),
) -> set[str]:
    """One sample of one tier; `reasons`: what has no value in it, and why.

    Returns which readings of `watched` changed in value or reason, and REASONS.

    Where the devices are others, that is INVENTORY, and every reading.
    """
    # A long name is a text of its own in each report that is read: interned, all nodes hold one.
    rows = {intern(name): samples[sample] for name, samples in block.readings.items()}
    known = view.tiers.get(block.tier)
    view.tiers[block.tier] = LatestSample(at_us, block.devices, rows, reasons)
    begun = _begun_anew(view, block.devices, rows) if view.counters else set()
    if known is None or known.devices != block.devices:
        if WIDTH in rows:
            begin(view.links, block.devices)
            take_in(view.links, block.devices, rows, {}, 0)
        return {INVENTORY, REASONS, LINKS, *rows} | begun
    before = known.rows
    changed = {name for name in watched if rows.get(name) != before.get(name)}
    changed |= begun
    passed_us = at_us - known.sampled_us
    if WIDTH in rows and take_in(view.links, block.devices, rows, before, passed_us):
        changed.add(LINKS)
    if reasons == known.reasons:
        return changed
    without = {name for name in watched if reasons.get(name) != known.reasons.get(name)}
    return changed | {REASONS} | without


def _begun_anew(
    view: LatestReadings, devices: list[str], rows: dict[str, list[int | None]]
) -> set[str]:
    """A device that readings show to have been reset is without fault. Returns XIDS if there is one."""
    told = {name: rows[name] for name in SHOWS_RESET if name in rows}
    reset = False
    for uuid in [uuid for uuid in view.counters if uuid in devices]:
        place, last = devices.index(uuid), view.counters[uuid]
        now = {name: row[place] for name, row in told.items()}
        read = {name: value for name, value in now.items() if value is not None}
        if _shows_reset(last, read):
            forget_xids(view, uuid)
            reset = True
        else:
            last.update(read)
    return {XIDS} if reset else set()


def _shows_reset(last: Mapping[str, int], now: Mapping[str, int]) -> bool:
    """A counter begins anew, or no recovery is asked for any more."""
    fell = (name for name, value in now.items() if value < last.get(name, 0))
    return any(name != RECOVERY or now[name] == 0 for name in fell)


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


def see_event(view: LatestReadings, event: Event) -> set[str]:
    """What an event says of cards and switches. What was injected, or was before this boot, is none of them."""
    match event.kind:
        case EventKind.XID if event.happened:
            return _see_xid(view, event)
        case EventKind.GPU_EVENT if not event.happened:
            return _take_back(view, event)
        case EventKind.SXID:
            view.faults.see_sxid(event)
            return {XIDS}
        case EventKind.KERNEL_IDENTITY:
            view.faults.see_name(event)
            _learn_place(view, event.address or "")
            return {INVENTORY}
        case _:
            return set()


def _see_xid(view: LatestReadings, event: Event) -> set[str]:
    """Count an XID against its device, or against its address until a device is shown there."""
    where = event.device or _where(view, event)
    if where is None or event.code is None:
        return set()
    device = view.devices.get(where)
    counted = view.xids_away.setdefault(where, {}) if device is None else device.xids
    if not _has_room(counted, event.code):
        return set()
    counted[event.code] = counted.get(event.code, 0) + event.count
    view.faults.see_xid(where, event)
    if device is None:
        _forget_away(view)
    elif where not in view.counters:
        now = {name: view.value(where, name) for name in SHOWS_RESET}
        view.counters[where] = {
            name: value for name, value in now.items() if isinstance(value, int)
        }
    return {XIDS}


def _where(view: LatestReadings, event: Event) -> str | None:
    """The device at its address, or the address. Older agents wrote it into the text."""
    address = normal_address(event.address or event.detail.removeprefix("PCI "))
    return view.places.get(address or "", address)


def _has_room(counted: Mapping[int, int], code: int) -> bool:
    return len(counted) < CODES_KEPT or code in counted or xid(code).known


def _take_back(view: LatestReadings, event: Event) -> set[str]:
    """An XID was counted, and then the driver said that it never happened."""
    device = view.devices.get(event.device or "")
    if device is None or event.code not in device.xids:
        return set()
    left = device.xids.pop(event.code) - event.count
    if left > 0:
        device.xids[event.code] = left
    else:
        view.faults.drop(device.uuid, event.code)
    return {XIDS}


def forget_xids(view: LatestReadings, uuid: str | None) -> set[str]:
    """The device (all of them for None) starts afresh: after a boot, a reset, or another start of the driver."""
    for device in view.devices.values():
        if uuid is None or device.uuid == uuid:
            device.xids = {}
    if uuid is None:
        view.xids_forgotten = {}
        view.faults.end_all()
    else:
        view.faults.end([uuid])
    for held in (view.xids_away, view.counters):
        for name in [name for name in held if uuid in (None, name)]:
            del held[name]
    return {XIDS}
