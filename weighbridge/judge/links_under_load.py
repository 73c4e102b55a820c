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

    def see(self, now: Column, *, working: bool) -> bool:
        """A sample, under load or at idle. Returns whether what it has shown is another thing now."""
        was = self.all_shown
        if working:
            self._see(now)
        else:
            self.last = [None, None]
        return was != self.all_shown

    def _see(self, now: Column) -> None:
        for place, (value, beside, given) in enumerate(
            zip(now, self.last, self.given, strict=True)
        ):
            if value is not None and given is not None:
                self.given[place] = max(value, given if beside is None else beside)
                self.sure[place] = True
            elif value is not None:
                self.given[place] = value
        self.last = list(now)

    def gives(self, now: Column) -> bool:
        """Whether under any load such a sample would say nothing new."""
        told = zip(now, self.given, self.sure, strict=True)
        return all(value is None or (sure and value == given) for value, given, sure in told)

    @property
    def all_shown(self) -> list[tuple[int | None, bool]]:
        """What `shown` says of each reading."""
        return list(map(self.shown, OF_LINKS))

    def shown(self, reading: str) -> tuple[int | None, bool]:
        """What the link gave under load, and whether it gives no more; the newest sample alone says so for now."""
        place = OF_LINKS.index(reading)
        return self.given[place], self.sure[place] or self.last[place] is not None


@dataclass(slots=True)
class LinkMeter:
    """Links by device. `working`: which devices were under load in the newest sample; `settled`: whether that sample
    once more would say nothing new of any; `whole`: whether it would not under any load."""

    links: dict[str, LinkUnderLoad] = field(default_factory=dict)
    working: list[bool] = field(default_factory=list)
    settled: bool = False
    whole: bool = False

    def shown(self, device: str, reading: str) -> tuple[int | None, bool]:
        """What a device's link gave under load, None where that was never seen; and whether it gives no more."""
        link = self.links.get(device)
        return (None, False) if link is None else link.shown(reading)


def begin(meter: LinkMeter, devices: Sequence[str]) -> None:
    """The samples are of these devices from now on."""
    meter.links = {device: meter.links.get(device) or LinkUnderLoad() for device in devices}
    meter.working, meter.settled, meter.whole = [], False, False


def take_in(
    meter: LinkMeter, devices: Sequence[str], rows: Rows, before: Rows, passed_us: int
) -> bool:
    """A sample of the devices of `begin`, at every sample of every node: no more than it needs.

    `before`: the sample `passed_us` before it. Returns whether what any link gives has changed.
    """
    told = [rows.get(name) for name in OF_LINKS]
    same = told == [before.get(name) for name in OF_LINKS]
    meter.whole = meter.whole and same
    if meter.whole:
        return False
    shares = rows.get(WORK) or [None] * len(devices)
    working = [
        _moves(rows, before, place, passed_us) if share is None else share >= WORKING_PERCENT
        for place, share in enumerate(shares)
    ]
    if working == meter.working and (True not in working or (meter.settled and same)):
        return False
    links = [meter.links.setdefault(device, LinkUnderLoad()) for device in devices]
    now = [[None if row is None else row[place] for row in told] for place in range(len(links))]
    changed = [
        link.see(one, working=works) for link, one, works in zip(links, now, working, strict=True)
    ]
    meter.working, meter.settled = working, all(link.gives(link.last) for link in links)
    meter.whole = all(map(LinkUnderLoad.gives, links, now))
    return any(changed)


def _moves(rows: Rows, before: Rows, place: int, passed_us: int) -> bool:
    """Whether a device moves much over its link. A counter that began anew says nothing."""
    moved = 0
    for name in TRAFFIC:
        now = rows[name][place] if name in rows else None
        then = before[name][place] if name in before else None
        if now is not None and then is not None:
            moved += max(0, now - then)
    return moved * 1_000_000 >= WORKING_KIBIBYTES_PER_SECOND * passed_us > 0
