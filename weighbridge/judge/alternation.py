"""Devices that are not what their names say: shown in turn in two places, under names of a moment, or under a new name.

A UUID is what an agent says. What it cannot invent at once is a history that goes on: the board's serial number, and at
one PCI address of one boot the energy that a card has used. No money moves by this; the statement is flagged.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from weighbridge.judge.node_state import NodeState
from weighbridge.judge.snapshot import Key
from weighbridge.wire.report import DeviceState

ALTERNATES = "device_alternates"

HANDOVERS = 3
"""A card that is lent and comes back changes its place twice."""

NAMES_OF_A_MOMENT = 3
BRIEF_PATIENCES = 5
"""A name that was shown for less than so many times the node's patience, and never again, was of a moment."""

GOES_ON_US = 3_600_000_000
MOST_MILLIJOULES_PER_US = 2
"""Two kilowatts, which no card uses. Over more than GOES_ON_US any count could be reached."""

FACES_KEPT = 2048
"""Of one observer, the PCI addresses at which it showed something last."""

Stretch = Sequence[int]


@dataclass(slots=True)
class Face:
    """What was last shown at a PCI address: the device, in which boot, its energy, and when."""

    device: str
    boot: str
    millijoules: int
    at_us: int


@dataclass(slots=True)
class Looks:
    """What devices looked like: `faces` by observer and PCI address, `brief` by observer; `serials` are the devices by
    the number of their board, `numbers` the other way round, one of each device."""

    faces: dict[Key, dict[str, Face]] = field(default_factory=dict)
    serials: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, str] = field(default_factory=dict)
    brief: dict[Key, list[str]] = field(default_factory=dict)

    def face(self, state: NodeState, device: str) -> bool:
        """Takes in a device as it is now. Whether what it counts goes on from another name at its address."""
        address = state.view.value(device, "pci_bus_id")
        energy = state.view.value(device, "energy_millijoules")
        chain, now_us = state.newest, state.last_sample_us or 0
        if not isinstance(address, str) or not isinstance(energy, int) or chain is None:
            return False
        faces = self.faces.setdefault(Key((state.node, state.side)), {})
        before = faces.pop(address, None)
        faces[address] = Face(device, chain.boot, energy, now_us)
        if len(faces) > FACES_KEPT:
            del faces[next(iter(faces))]
        if before is None or before.device == device or before.boot != chain.boot:
            return False
        passed_us, used = now_us - before.at_us, energy - before.millijoules
        return passed_us <= GOES_ON_US and 0 <= used <= MOST_MILLIJOULES_PER_US * passed_us

    def serial(self, state: NodeState, device: str) -> str:
        """The name under which a device's board was known first; empty: none, or this one."""
        serial = state.view.value(device, "serial")
        if not isinstance(serial, str) or not serial.strip("0"):
            return ""
        known = self.serials.get(serial)
        if known is None and device not in self.numbers:
            self.serials[serial], self.numbers[device] = device, serial
        return "" if known in (None, device) else str(known)

    def forget(self, device: str) -> None:
        """Nobody remembers the device."""
        number = self.numbers.pop(device, None)
        if number is not None:
            del self.serials[number]

    def left(self, observer: Key, device: str, stretches: Sequence[Stretch], brief_us: int) -> bool:
        """A device is shown no more. Whether it was the latest of too many that were shown for a moment only."""
        if len(stretches) > 1 or stretches[0][1] - stretches[0][0] > brief_us:
            return False
        names = self.brief.setdefault(observer, [])
        names.append(device)
        del names[:-NAMES_OF_A_MOMENT]
        return len(names) == NAMES_OF_A_MOMENT

    def came(self, observer: Key, device: str) -> None:
        """A device is shown: its name is none of a moment if it was shown before."""
        if device in self.brief.get(observer, ()):
            self.brief[observer].remove(device)


def wholes(state: NodeState) -> Iterator[str]:
    """The GPUs that answer."""
    for device in state.view.wholes():
        if device.state is not DeviceState.LOST:
            yield device.uuid


def handovers(stretches: Mapping[Key, Sequence[Stretch]]) -> int:
    """How often a device went from one node to another, by when each began to show it."""
    begun = sorted((one[0], observer[0]) for observer, held in stretches.items() for one in held)
    return sum(before[1] != after[1] for before, after in pairwise(begun))
