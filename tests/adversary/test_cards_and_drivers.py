"""Attacks by cards, drivers, links and processes: which finding tells of each, at which level, and after how long.

Each is played from an hour on in which the node was honest, or from its first report on where it is delivered so. The
table of docs/threat-model.md is held against what is played here; the honest twin of each finds nothing new.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.adversary.test_lying_driver import HOUR, LIMITS, OTHER, idling, noise, working
from tests.adversary.test_second_source import BUS, DRIVER, function
from tests.weighbridge.scripted import SECOND, Log, ScriptedNode, contract_text
from weighbridge.judge.ledger import Finding

PAGE = Path(__file__).parents[2] / "docs" / "threat-model.md"
SECTION = "## Cards, drivers, links and processes"
GPU = "GPU-n1-0"
STEP = 60
Readings = Mapping[str, int | str]
Shown = Callable[[int, int], Mapping[str, int | str]]


@dataclass(frozen=True)
class Story:
    """What a node shows from `begins` on: what its GPUs are, what they read, and what its machine shows."""

    identity: Readings = field(default_factory=dict)
    other: Readings = field(default_factory=dict)
    shown: Shown = working
    slow: Shown | None = None
    host: Readings = field(default_factory=lambda: BUS)
    driver: Readings = field(default_factory=lambda: DRIVER)
    processes: tuple[Any, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    begins: int = HOUR
    card: str = "H100-SXM-80GB"
    links: bool = False


class Node(ScriptedNode):
    """A node whose second GPU may be exchanged."""

    names: Mapping[str, str] = {}

    @property
    def devices(self) -> list[str]:
        return [self.names.get(uuid, uuid) for uuid in super().devices]


def _identity(uuid: str, place: int) -> dict[str, int | str]:
    address = ("00000000:3b:00.0", "00000000:86:00.0")[place]
    own: dict[str, int | str] = {
        "serial": f"165492301347{place}",
        "board_number": place,
        "persistence_mode_code": 1,
    }
    return {**LIMITS, **own, "pci_bus_id": address, "kernel_uuid": uuid}


def _set(node: Node, story: Story, begun: bool) -> None:
    node.names = story.names if begun else {}
    node.identity = {
        uuid: _identity(uuid, place) | (dict(story.identity) if begun else {})
        for place, uuid in enumerate(node.devices)
    }
    if begun:
        node.identity[node.devices[1]] |= dict(story.other)
    node.host = {"readings": dict(story.host if begun else BUS), "unavailable": {}}
    node.driver = {"readings": dict(story.driver if begun else DRIVER), "unavailable": {}}


def reports(story: Story, until: int) -> Any:
    """The seconds of each report, and the log up to it: one a minute, of six samples."""
    text = contract_text()
    if story.links:
        text = text.replace("    floors:", '    interconnect: {nvlink_links: "18"}\n    floors:')
    log = Log()
    log.tick(0)
    log.contract(text.replace("H100-SXM-80GB", story.card))
    log.assign("n1")
    log.introduce()
    node = Node()
    for first in range(0, until, STEP):
        begun = first >= story.begins
        _set(node, story, begun)
        shown, seconds = (story.shown if begun else working), range(first, first + STEP, 10)
        told = {
            second: {uuid: dict(shown(gpu, second)) for gpu, uuid in enumerate(node.devices)}
            for second in seconds
        }
        slow = story.slow or (lambda *_: {"remapped_correctable_rows": 7})
        once = {uuid: dict(slow(gpu, first)) for gpu, uuid in enumerate(node.devices)}
        log.tick(first + 50)
        held = list(story.processes) if begun else []
        inventory = node.inventory() if first in (0, story.begins) else None
        log.report(node.report(seconds, told, once, processes=held, inventory=inventory))
        yield first + 50, log


def found(story: Story, code: str) -> tuple[int, Finding]:
    """Minutes from when it began until it was found, and as what."""
    for second, log in reports(story, story.begins + 2 * HOUR):
        odd = [one for (named, _), one in log.open().items() if named == code]
        if odd:
            return -(-(second - story.begins) // 60), odd[0]
    raise AssertionError(f"{code} was not found")


def holding(owner: str, *devices: str) -> tuple[Any, ...]:
    return tuple(
        {
            "boottime_us": 1000 * SECOND,
            "class": "container",
            "device": device,
            "memory_bytes": 1 << 30,
            "owner": owner * 16,
        }
        for device in devices
    )


def but(shown: Shown = working, **readings: int | str) -> Shown:
    return lambda gpu, second: {**shown(gpu, second), **readings}


def still(gpu: int, second: int) -> Readings:
    return {**working(gpu, second), "power_draw_milliwatts": 650_000 + gpu}


def waits(gpu: int, second: int) -> Readings:
    moved = {"power_draw_milliwatts": 69_800 + noise(gpu, second) // 10}
    return {**idling(gpu, second), **moved, "utilization_gpu_percent": 100}


def spent(gpu: int, second: int) -> Readings:
    counted = 90_000_000_000 + HOUR * 650_000 + (second - HOUR) * 90_000
    return {**working(gpu, second), "energy_millijoules": counted}


ONE_ON_THE_BUS: Readings = {
    **{name: value for name, value in BUS.items() if not name.startswith("pci.0000:86")},
    "nvidia_pci_functions_count": 1,
}
A100: Readings = {"pci_device_id": "10de:20b2", "pci_subsystem_id": "10de:1463", "gpu_cores": 6912}
PCIE: Readings = {"pci_device_id": "10de:2331", "pci_subsystem_id": "10de:1626", "gpu_cores": 14592}
H800: Readings = {"pci_device_id": "10de:2324", "pci_subsystem_id": "10de:17a6"}
REBUILT: dict[str, int | str] = {
    "pci_device_id": "10de:2684",
    "pci_subsystem_id": "1043:889d",
    "gpu_cores": 16384,
}
REBUILT |= {"memory_total_bytes": 49_140 << 20}

ATTACKS: Mapping[str, tuple[Story, str]] = {
    "a made-up library on a machine whose bus has other cards": (
        Story(host={**BUS, **function("0000:3b:00.0", device_id="0x20b2")}, begins=0),
        "sources_disagree",
    ),
    "a library of another version than the module": (
        Story(host={**BUS, "nvidia_module_sysfs_version": "550.54.15"}, begins=0),
        "sources_disagree",
    ),
    "made-up readings that stand still under load": (Story(shown=still), "readings_constant"),
    "made-up readings of one card for two": (
        Story(shown=lambda _, second: working(0, second)),
        "readings_copied",
    ),
    "made-up use without power": (Story(shown=waits), "readings_discordant"),
    "made-up energy": (Story(shown=spent), "energy_implausible"),
    "counters of another card, which are lower": (
        Story(
            slow=lambda _, second: {"remapped_correctable_rows": 7 if second < HOUR + 600 else 0}
        ),
        "counters_backwards",
    ),
    "an A100 for an H100, by its ids": (Story(identity=A100, begins=0), "sku_mismatch"),
    "an A100 with the ids of an H100": (
        Story(identity={"cuda_compute_capability": "8.0"}, begins=0),
        "card_inconsistent",
    ),
    "an H100 PCIe for an H100 SXM": (Story(identity=PCIE, begins=0), "sku_mismatch"),
    "an H800 for an H100": (Story(identity=H800, begins=0), "sku_mismatch"),
    "fewer links than contracted": (
        Story(slow=lambda *_: {"nvlink_active_links": 8}, links=True, begins=0),
        "nvlink_down",
    ),
    "an H100 for an H200": (Story(card="H200-SXM-141GB", begins=0), "memory_short"),
    "a board rebuilt to another memory": (
        Story(identity=REBUILT, card="RTX4090-24GB", begins=0),
        "sku_mismatch",
    ),
    "a slice for the whole": (Story(identity={"mig_mode_code": 1}), "mig_on"),
    "a card that is shown twice": (
        Story(other={"serial": "1654923013470", "pci_bus_id": "00000000:3b:00.0"}, begins=0),
        "identity_shared",
    ),
    "fewer cards on the bus than are shown": (
        Story(host=ONE_ON_THE_BUS, begins=0),
        "sources_disagree",
    ),
    "power that is capped": (
        Story(shown=but(power_limit_enforced_milliwatts=350_000)),
        "power_capped",
    ),
    "a second tenant": (
        Story(processes=(*holding("a", GPU), *holding("b", GPU))),
        "foreign_process",
    ),
    "a hidden tenant": (
        Story(shown=but(idling, memory_used_bytes=80_000 << 20)),
        "memory_unaccounted",
    ),
    "another card in mid-lease": (Story(names={OTHER: "GPU-other"}), "device_exchanged"),
}
"""By what the table calls it: the story, and the code that tells of it."""

TWINS: Mapping[str, Story] = {
    "the same machine, working": Story(),
    "cards that idle alike": Story(shown=lambda _, second: idling(0, second), begins=0),
    "a driver that was upgraded": Story(
        host={**BUS, "nvidia_module_sysfs_version": "610.43.03"},
        driver={"driver_version": "610.43.03", "kernel_module_version": "610.43.03"},
    ),
    "a container that is shown neither bus nor module": Story(host={}),
    "a guest whose cards have addresses of its own": Story(
        host={"nvidia_pci_functions_count": 2, **function("0000:00:05.0")}
    ),
    "a new video BIOS": Story(identity={"vbios_version": "96.00.A5.00.03"}),
    "kernels that finish between two samples": Story(
        shown=lambda gpu, second: {**working(gpu, second), "utilization_gpu_percent": second % 100}
    ),
    "a tenant of one owner on every card": Story(processes=holding("a", GPU, OTHER)),
    "rows that are remapped one after the other": Story(
        slow=lambda _, second: {"remapped_correctable_rows": 7 + second // HOUR}
    ),
}


class TableRow(NamedTuple):
    """A row of the section, as it stands there."""

    number: str
    attack: str
    code: str
    level: str
    after: str
    left: str


def rows() -> list[TableRow]:
    lines = PAGE.read_text().partition(SECTION)[2].partition("\n## ")[0].splitlines()
    cells = [[cell.strip() for cell in line[1:-1].split("|")] for line in lines if line[:2] == "| "]
    return [TableRow(*row) for row in cells if len(row) == 6 and row[0] != "#"]


@pytest.mark.parametrize("attack", ATTACKS)
def test_each_attack_is_found_as_the_table_says(attack: str) -> None:
    (row,) = [row for row in rows() if row.attack == attack]
    story, code = ATTACKS[attack]
    minutes, finding = found(story, code)
    assert (row.code, row.level) == (f"`{code}`", finding.level)
    assert row.after == f"{minutes} min"
    assert re.fullmatch(r"[\d, ]+", row.number)
    assert row.left
    if finding.level == "E1":
        assert (finding.verdict, finding.answerable) == ("unknown", "open")


def test_the_table_has_each_attack_that_is_played_and_no_other() -> None:
    assert [row.attack for row in rows()] == list(ATTACKS)


@pytest.mark.parametrize("twin", TWINS)
def test_an_honest_twin_is_not_named(twin: str) -> None:
    codes = [set(log.open()) for _, log in reports(TWINS[twin], 2 * HOUR + STEP)]
    assert codes == [set()] * len(codes)
