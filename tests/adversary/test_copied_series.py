"""One recorded series for cards of several nodes, or for another hour; and honest cards that do the same work."""

from collections.abc import Callable, Mapping
from random import Random

import pytest

from tests.adversary.test_lying_driver import HOUR, idling
from tests.weighbridge.scripted import Log, ScriptedNode, contract_text
from weighbridge.judge.copies import ALIKE, COPIED
from weighbridge.judge.fleet import FleetFold
from weighbridge.judge.ledger import State

Shown = Callable[[str, int], Mapping[str, int | str]]


def of(seed: int, second: int) -> int:
    """Power under load, whose last digits are noise."""
    return 640_000 + Random(seed * 1_000_003 + second).randrange(20_000)


def work(seed: int, second: int) -> dict[str, int | str]:
    return {
        "power_draw_milliwatts": of(seed, second),
        "energy_millijoules": 90_000_000_000 + second * 650_000,
        "utilization_gpu_percent": 99,
        "temperature_gpu_celsius": 60 + of(seed, second) % 3,
    }


def own(device: str, second: int) -> dict[str, int | str]:
    """Noise of each card's own."""
    return work(sum(map(ord, device)), second)


def played(shown: Shown, until: int = HOUR + 120, nodes: tuple[str, ...] = ("n1", "n2")) -> Log:
    """Two nodes of one GPU each, of one contract."""
    log = Log()
    log.tick(0)
    log.contract(contract_text(nodes=len(nodes), per_node=1))
    for name in nodes:
        log.assign(name)
        log.introduce(name)
    scripted = [ScriptedNode(name, gpus=1) for name in nodes]
    for first in range(0, until, 60):
        log.tick(first + 50)
        for node in scripted:
            (device,) = node.devices
            told = {
                second: {device: shown(device, second)} for second in range(first, first + 60, 10)
            }
            log.report(node.report(list(told), told))
    return log


def copied(log: Log) -> set[str]:
    """The devices that are named, as a hint and no more."""
    found = [one for (code, _), one in log.open().items() if code == COPIED]
    assert {(one.verdict, one.level, one.answerable) for one in found} <= {
        ("unknown", "E1", "open")
    }
    assert {row.state for row in log.rows()} == {State.UP}
    return {one.device for one in found}


def test_one_series_on_two_nodes_is_found_for_both() -> None:
    log = played(lambda _, second: work(7, second))
    assert copied(log) == {"GPU-n1-0", "GPU-n2-0"}
    assert "GPU-n2-0 on n2" in log.open()[COPIED, "GPU-n1-0"].observed


def test_a_series_that_is_shown_a_minute_later_elsewhere_is_found() -> None:
    def late(device: str, second: int) -> dict[str, int | str]:
        return work(7, second - (60 if device == "GPU-n2-0" else 0))

    assert copied(played(late)) == {"GPU-n1-0", "GPU-n2-0"}


def test_an_hour_that_is_played_again_is_found() -> None:
    log = played(lambda device, second: own(device, second % HOUR), 2 * HOUR + 120, ("n1",))
    assert copied(log) == {"GPU-n1-0"}
    assert log.open()[COPIED, "GPU-n1-0"].observed.endswith("its own of another hour")


@pytest.mark.parametrize(
    "shown",
    [
        own,
        lambda _, second: dict(idling(0, second)),
        lambda _, second: work(7, second) | {"power_draw_milliwatts": 700_000},
        lambda _, second: work(7, second) | {"power_draw_milliwatts": 700_000 + second // 10 % 2},
        lambda _, second: work(7, second) | {"utilization_gpu_percent": "not_supported"},
    ],
    ids=["noise of their own", "idle alike", "at the limit", "between two values", "MIG"],
)
def test_cards_that_do_the_same_work_are_no_copies(shown: Shown) -> None:
    assert copied(played(shown, 2 * HOUR + 120)) == set()


@pytest.mark.parametrize(("same", "found"), [(ALIKE, True), (ALIKE - 1, False)])
def test_series_are_alike_from_three_of_four_marks_on(same: int, found: bool) -> None:
    log = played(own)
    for state in log.fold.states.values():
        track = next(iter(state.newest.tracks.values())) if state.newest else None
        assert track is not None
        (series,) = track.series.last_hour.values()
        series.marks = [
            *range(same),
            *(1000 * (1 + int(state.node[1:])) + n for n in range(4 - same)),
        ]
    log.fold.registry.copies.hours.clear()
    copies, states = log.fold.registry.copies, log.fold.states
    assert copies.marks
    doubts = [one for name in ("n1", "n2") for one in copies.found(states[name])]
    assert any(doubts) is found


def test_marks_are_kept_over_a_restart() -> None:
    log = played(own)
    again = FleetFold()
    again.restore(log.fold.snapshots(), [])
    assert again.registry.copies == log.fold.registry.copies
    assert again.registry.copies.marks
