"""A key that shows made-up devices, others in each report: what is remembered of them is bounded."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.weighbridge.scripted import SECOND, Log, ScriptedNode, contract_text
from weighbridge.judge import alternation, latest_readings, node, registry, track
from weighbridge.judge.node import judge_replacement
from weighbridge.judge.node_state import NodeState

KEPT = 8
AT_A_TIME = 4
INTERVAL_S = 10
LOST_XID = 79


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few are kept, so that little shows what is forgotten."""
    for module, name in (
        (registry, "DEVICES_KEPT"),
        (registry, "LAID_KEPT"),
        (registry, "DOUBTS_KEPT"),
        (alternation, "FACES_KEPT"),
        (latest_readings, "AWAY_KEPT"),
        (node, "ANNOUNCED_KEPT"),
        (track, "TALLIES_KEPT"),
    ):
        monkeypatch.setattr(module, name, KEPT)


@dataclass
class Inventive(ScriptedNode):
    """It shows what it likes."""

    names: list[str] = field(default_factory=list)

    @property
    def devices(self) -> list[str]:
        return self.names

    def show(self, log: Log, turn: int, names: list[str], broken: tuple[str, ...] = ()) -> None:
        """A report with an inventory and a sample; `broken` devices have an XID."""
        second = turn * INTERVAL_S
        self.names = names
        self.identity = {
            name: {"pci_bus_id": f"{turn:08x}:{place:02x}:00.0", "serial": f"{turn}-{place}1"}
            for place, name in enumerate(names)
        }
        log.tick(second)
        told: dict[str, Any] = {
            "inventory": self.inventory(),
            "events": [_xid(name, second) for name in broken],
        }
        log.report(self.report([second], **told))


def _xid(device: str, second: int) -> dict[str, Any]:
    at_us = (1000 + second) * SECOND
    said = {"code": LOST_XID, "detail": "", "device": device, "kind": "xid", "source": "kernel"}
    return {"boottime_us": at_us, **said}


def made_up(turn: int) -> list[str]:
    return [f"GPU-{turn:04d}-{place}" for place in range(AT_A_TIME)]


def field_of(*nodes: str) -> Log:
    log = Log()
    log.tick(0)
    log.contract(contract_text(nodes=len(nodes)))
    for name in nodes:
        log.assign(name)
    return log


def held_bytes(log: Log) -> int:
    """What the fold remembers of everybody."""
    log.fold.touch([f"node/{name}" for name in log.fold.states])
    return sum(map(len, log.fold.snapshots().values()))


def test_what_is_remembered_does_not_grow_with_what_is_shown() -> None:
    log, one, other = field_of("n1", "n2"), Inventive("n1"), Inventive("n2")
    sizes = []
    for turn in range(120):
        for each in (one, other):
            each.show(log, turn, made_up(turn), tuple(made_up(turn)))
        sizes.append(held_bytes(log))
    # No more than numbers that became longer.
    assert max(sizes[60:]) < 1.02 * max(sizes[40:60])
    assert len(log.fold.registry.stretches) <= 2 * KEPT


def test_a_device_that_broke_is_not_mended_by_a_flood_of_names() -> None:
    log, one = field_of("n1"), Inventive("n1")
    real = ["GPU-real-0", "GPU-real-1"]
    one.show(log, 0, real)
    one.show(log, 1, real, ("GPU-real-0",))
    for turn in range(2, 20):
        one.show(log, turn, made_up(turn), tuple(made_up(turn)))
    one.show(log, 20, real)
    assert LOST_XID in log.fold.states["n1"].view.devices["GPU-real-0"].xids


def test_devices_that_are_shown_all_the_time_are_never_forgotten() -> None:
    """The honest twin: its cards are found when another place shows them, whatever is shown and goes beside them."""
    log, one = field_of("n1", "n2"), Inventive("n1")
    for turn in range(40):
        one.show(log, turn, ["GPU-real-0", *made_up(turn)[1:]])
    other = Inventive("n2")
    for turn in (40, 41):
        one.show(log, turn, ["GPU-real-0"])
        other.show(log, turn, ["GPU-real-0"])
    found = {(said.node, said.device) for said in log.findings(registry.DUPLICATE)}
    assert ("n1", "GPU-real-0") in found


def test_a_device_is_forgotten_after_its_time_and_not_before() -> None:
    log, one = field_of("n1"), Inventive("n1")
    one.show(log, 0, ["GPU-a", "GPU-b"])
    edge = registry.KEPT_US // SECOND // INTERVAL_S
    one.show(log, edge, ["GPU-b"])
    assert "GPU-a" in log.fold.registry.stretches
    one.show(log, edge + 1, ["GPU-b"])
    assert set(log.fold.registry.stretches) == {"GPU-b"}


def test_an_announcement_is_not_forgotten_while_its_device_fills_a_slot() -> None:
    log, one = field_of("n1"), Inventive("n1")
    one.show(log, 0, ["GPU-new", "GPU-b"])
    state: NodeState = log.fold.states["n1"]
    for name in ("GPU-new", *(f"GPU-{number}" for number in range(3 * KEPT))):
        judge_replacement(state, "K1", name)
    assert len(state.announced["K1"]) == KEPT
    assert "GPU-new" in state.announced["K1"]
