"""What PCIe links showed while their cards worked: at idle, width and generation fall by design."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

WIDTH, GENERATION = OF_LINKS = ("pcie_link_width_lanes", "pcie_link_generation")
WORK = "utilization_gpu_percent"
TRAFFIC = ("pcie_transmitted_kibibytes", "pcie_received_kibibytes")

WORKING_PERCENT = 10
"""A card whose kernels ran for this share of the last second has its link up: it falls after longer idleness."""
WORKING_KIBIBYTES_PER_SECOND = 100 * 1024
"""What a card that does not tell that share moves over its link when it works: no idle card does, and any link can."""

Column = Sequence[int | None]
Rows = Mapping[str, Column]


@dataclass(slots=True)
class LinkUnderLoad:
    """Of one device, by OF_LINKS. `last`: in the newest sample; None where that was at idle. `given`: as far as it was
    seen; it is less than the link gives where it is not `sure`.

    What is better counts at once, and what is worse than before only from the second sample under load in a row on: a
    load may be over while the mean of its second still tells of it.
    """

    last: list[int | None] = field(default_factory=lambda: [None, None])
    given: list[int | None] = field(default_factory=lambda: [None, None])
    sure: list[bool] = field(default_factory=lambda: [False, False])

    def worked(self, now: Column) -> None:
        """A sample under load."""
        for place, (value, beside, given) in enumerate(
            zip(now, self.last, self.given, strict=True)
        ):
            if value is not None and given is not None:
                self.given[place] = max(value, given if beside is None else beside)
                self.sure[place] = True
            elif value is not None:
                self.given[place] = value
        self.last = list(now)

    def rested(self) -> None:
        """A sample at idle."""
        self.last = [None, None]

    def shown(self, reading: str) -> tuple[int | None, bool]:
        """What the link gave under load, and whether it gives no more; the newest sample alone says so for now."""
        place = OF_LINKS.index(reading)
        return self.given[place], self.sure[place] or self.last[place] is not None


@dataclass(slots=True)
class LinkMeter:
    """Links by device. `seen`: the columns of the newest sample, `working`: which devices worked in it; `settled`: the
    same once more changes nothing."""

    links: dict[str, LinkUnderLoad] = field(default_factory=dict)
    devices: list[str] = field(default_factory=list)
    seen: list[list[int | None]] = field(default_factory=list)
    working: list[bool] = field(default_factory=list)
    settled: bool = False

    def shown(self, device: str, reading: str) -> tuple[int | None, bool]:
        """What a device's link gave under load, None where that was never seen; and whether it gives no more."""
        link = self.links.get(device)
        return (None, False) if link is None else link.shown(reading)


def take_in(meter: LinkMeter, devices: list[str], rows: Rows, before: Rows, passed_us: int) -> bool:
    """A sample of the tier that has the links, at every sample of every node: no more than it needs.

    `before`: the sample `passed_us` before it, of the same devices. Returns whether what any link gives has changed.
    """
    seen = [rows[name] if name in rows else [None] * len(devices) for name in OF_LINKS]
    working = [
        _moves(rows, before, place, passed_us) if share is None else share >= WORKING_PERCENT
        for place, share in enumerate(rows.get(WORK) or [None] * len(devices))
    ]
    same = meter.working == working and meter.seen == seen and meter.devices == devices
    if same and meter.settled:
        return False
    if meter.devices != devices:
        known = meter.links
        meter.links = {device: known.get(device) or LinkUnderLoad() for device in devices}
    meter.devices, meter.seen = devices, [list(column) for column in seen]
    meter.working, meter.settled = working, same
    return _took(meter)


def _took(meter: LinkMeter) -> bool:
    changed = False
    for place, device in enumerate(meter.devices):
        link = meter.links[device]
        was = [link.shown(reading) for reading in OF_LINKS]
        if meter.working[place]:
            link.worked([column[place] for column in meter.seen])
        else:
            link.rested()
        changed = changed or was != [link.shown(reading) for reading in OF_LINKS]
    return changed


def _moves(rows: Rows, before: Rows, place: int, passed_us: int) -> bool:
    """Whether a device moves much over its link. A counter that began anew says nothing."""
    moved = 0
    for name in TRAFFIC:
        now = rows[name][place] if name in rows else None
        then = before[name][place] if name in before else None
        if now is not None and then is not None:
            moved += max(0, now - then)
    return moved * 1_000_000 >= WORKING_KIBIBYTES_PER_SECOND * passed_us > 0
