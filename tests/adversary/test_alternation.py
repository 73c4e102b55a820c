"""One pair of GPUs in two contracts, shown in turn; and cards that really move, are replaced or come back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.adversary.field import TERMS, Field
from tests.weighbridge.scripted import SECOND, START_US, ScriptedNode
from weighbridge.judge.alternation import ALTERNATES
from weighbridge.judge.fleet import FleetFold
from weighbridge.judge.registry import DOUBTS_KEPT
from weighbridge.log.entries import EntryKind

MINUTE_S = 60
REAL = ["GPU-real-0", "GPU-real-1"]
ELSEWHERE = ["GPU-b-0", "GPU-b-1"]
Names = Callable[[int], list[str]]
"""Of a minute, the names that a node shows."""


@dataclass
class Shifting(ScriptedNode):
    """A node that shows other names at its PCI addresses, at will."""

    names: list[str] = field(default_factory=list)

    @property
    def devices(self) -> list[str]:
        return self.names

    def show(self, log: "Town", second: int, names: list[str], **of_each: Any) -> None:
        """A report with the inventory and one sample; `of_each`: readings of each device, by place."""
        self.names = names
        self.identity = {
            name: {
                "pci_bus_id": f"00000000:{place:02x}:00.0",
                **of_each.get("also", {}).get(name, {}),
            }
            for place, name in enumerate(names)
        }
        told = of_each.get("told") or {}
        log.tick(second)
        log.report_of(self, second, {second: told} if told else None)


class Town(Field):
    """Two contracts of two providers, each with a node of two GPUs, whose samples may be thirty seconds apart."""

    def __init__(self) -> None:
        swap = {'interval_s: "60", max_gap_s: "180"': 'interval_s: "10", max_gap_s: "30"'}
        super().__init__(swap=swap)
        self.enrol("other", "n2")
        text = TERMS.replace("contract_id: K1", "contract_id: K2") + "unknown: {policy: hold}\n"
        text = text.replace(
            'interval_s: "60", max_gap_s: "180"', 'interval_s: "10", max_gap_s: "30"'
        )
        self.contract(text.replace("{id: P, role", "{id: Q, name: Another, role"), "K2")
        self.assign("n2", "K2")

    def report_of(self, node: Shifting, second: int, told: Mapping[int, Any] | None) -> None:
        side = "provider" if node.name == "n1" else "other"
        self.add(EntryKind.REPORT, node.report([second], told, inventory=node.inventory()), side)

    def minutes(self, count: int, first: Names, second: Names) -> "Town":
        """Both nodes report each twenty seconds."""
        nodes = {"n1": (Shifting("n1"), first), "n2": (Shifting("n2"), second)}
        for at in range(20, count * MINUTE_S, 20):
            for node, names in nodes.values():
                node.show(self, at, names(at // MINUTE_S))
        return self

    def doubted(self) -> set[tuple[str, str]]:
        return {(one.contract, one.device) for one in self.findings(ALTERNATES)}


def made_up(place: str, minute: int) -> list[str]:
    return [f"GPU-{place}-{minute}-{number}" for number in range(2)]


def in_turn(place: str, when: int) -> Names:
    return lambda minute: REAL if minute % 2 == when else made_up(place, minute)


def test_one_pair_in_two_contracts_that_comes_and_goes_is_found_for_both() -> None:
    town = Town().minutes(12, in_turn("a", 0), in_turn("b", 1))
    for contract in ("K1", "K2"):
        assert {(contract, name) for name in REAL} <= town.doubted()
    severities = {one.severity.value for one in town.findings(ALTERNATES)}
    assert severities == {"error"}
    assert "gpu_alternates" in town.statement().flags


def test_names_of_a_moment_are_found_even_if_the_real_cards_never_show_theirs() -> None:
    town = Town().minutes(5, lambda minute: made_up("a", minute), lambda _: ELSEWHERE)
    assert {contract for contract, _ in town.doubted()} == {"K1"}


@pytest.mark.parametrize(("minutes", "found"), [(12, set()), (16, {"K1", "K2"})])
def test_twice_a_card_may_change_its_place_and_not_a_third_time(
    minutes: int, found: set[str]
) -> None:
    """Every four minutes the pair is in the other place."""
    doubted = (
        Town()
        .minutes(
            minutes,
            lambda minute: REAL if minute // 4 % 2 == 0 else ["GPU-stand-in-0"],
            lambda minute: REAL if minute // 4 % 2 == 1 else ELSEWHERE,
        )
        .doubted()
    )
    assert {contract for contract, _ in doubted} == found


@pytest.mark.parametrize(
    "moves",
    [
        lambda minute: REAL if minute < 4 else ["GPU-new-0", "GPU-new-1"],
        lambda minute: REAL if minute not in (4, 5) else ["GPU-lent-0", "GPU-lent-1"],
        lambda _: REAL,
    ],
)
def test_cards_that_move_once_are_lent_and_come_back_or_stay_are_no_cheats(moves: Names) -> None:
    """A replacement, a loan of other cards while these are away, and nothing at all."""
    assert Town().minutes(12, moves, lambda _: ELSEWHERE).doubted() == set()


def told(names: list[str], millijoules: int) -> dict[str, dict[str, int]]:
    return {name: {"energy_millijoules": millijoules} for name in names}


@pytest.mark.parametrize(
    ("boot", "millijoules", "found"),
    [
        ("boot-1", 5_000_000 + 20 * 300_000, True),
        ("boot-1", 5_000_000 + 20 * 2_000_001, False),
        ("boot-1", 400, False),
        ("boot-2", 5_000_000 + 20 * 300_000, False),
    ],
)
def test_energy_that_goes_on_under_another_name_is_the_same_card(
    boot: str, millijoules: int, *, found: bool
) -> None:
    """Another card counts from elsewhere; one that was put in while the machine was off, after another boot."""
    town, node, other = Town(), Shifting("n1"), ["GPU-other-0", "GPU-other-1"]
    node.show(town, 20, REAL, told=told(REAL, 5_000_000))
    node.boot = boot
    node.show(town, 40, other, told=told(other, millijoules))
    assert bool(town.doubted()) is found


@pytest.mark.parametrize(("together", "found"), [(False, True), (True, False)])
def test_a_boards_number_under_another_name_is_found_and_a_board_of_two_gpus_is_not(
    *, together: bool, found: bool
) -> None:
    town, node = Town(), Shifting("n1")
    serial = {name: {"serial": "1650000000001"} for name in (*REAL, "GPU-other")}
    node.show(town, 20, REAL[:1], also=serial)
    node.show(town, 40, [*REAL[:1], "GPU-other"] if together else ["GPU-other"], also=serial)
    assert town.doubted() == ({("K1", "GPU-other")} if found else set())


def test_a_day_without_more_ends_the_doubt_and_a_restart_keeps_it() -> None:
    town = Town().minutes(12, in_turn("a", 0), in_turn("b", 1))
    restarted = FleetFold()
    restarted.restore(town.fold.snapshots(), town.entries)
    town.fold = restarted
    town.tick(26 * 3600)
    ended = [one for one in town.findings(ALTERNATES) if one.until_us is not None]
    assert {one.device for one in ended} >= set(REAL)
    assert all((one.until_us or 0) <= START_US + 12 * MINUTE_S * SECOND for one in ended)


def test_a_card_that_moves_to_the_other_contract_and_back_is_no_cheat() -> None:
    town = Town().minutes(
        12,
        lambda minute: ELSEWHERE if 4 <= minute < 8 else REAL,
        lambda minute: REAL if 4 <= minute < 8 else ELSEWHERE,
    )
    assert town.doubted() == set()


def test_of_a_place_that_makes_up_names_without_end_so_many_are_named_and_all_is_flagged() -> None:
    """What it costs to judge and to keep does not grow with what one key makes up."""
    field = Field()
    node = Shifting()
    for turn in range(6):
        names = [f"GPU-{turn}-{number}" for number in range(DOUBTS_KEPT)]
        node.names = names
        field.tick(MINUTE_S * (turn + 1))
        field.hear(node, 0, lambda _: {}, offset_s=MINUTE_S * turn, inventory=node.inventory())
    named = {one.device for one in field.findings(ALTERNATES) if one.until_us is None}
    assert len(named) == DOUBTS_KEPT
    assert "gpu_alternates" in field.statement().flags
