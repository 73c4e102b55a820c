"""PCIe links are judged by what they give under load: width and generation fall at idle, by design."""

import random
from itertools import pairwise

import pytest

from tests.weighbridge.scripted import Log, ScriptedNode, spans
from tests.weighbridge.test_judge import GPU, feed, standing
from weighbridge.judge.links_under_load import (
    OF_LINKS,
    WORKING_PERCENT,
    LinkMeter,
    LinkUnderLoad,
    begin,
    take_in,
)

FLOORS = '{pcie_width: "16", pcie_generation: "5"}'
WIDTH, GENERATION, WORK = (
    "pcie_link_width_lanes",
    "pcie_link_generation",
    "utilization_gpu_percent",
)
Shown = dict[str, int | str]
IDLE: Shown = {WORK: 0, WIDTH: 1, GENERATION: 1}
LOADED: Shown = {WORK: 90, WIDTH: 16, GENERATION: 5}
LIMITS: Shown = {"pcie_link_max_generation": 5, "pcie_link_width_max_lanes": 16}


def told(*samples: Shown, identity: Shown | None = None) -> Log:
    """What is found of a GPU that shows these one after the other, each ten seconds."""
    log = standing(floors=FLOORS)
    node = ScriptedNode(identity={f"GPU-n1-{n}": LIMITS for n in range(2)})
    node.identity[GPU] = {**LIMITS, **(identity or {})}
    shown = {10 * place: {GPU: sample, "GPU-n1-1": LOADED} for place, sample in enumerate(samples)}
    feed(log, node, range(0, 10 * len(samples), 10), shown)
    return log


def breaches(log: Log) -> set[str]:
    return {code for (code, _), found in log.open().items() if found.verdict == "breached"}


def test_a_link_that_falls_at_idle_and_is_whole_under_load_is_found_by_nobody() -> None:
    log = told(LOADED, IDLE, LOADED, LOADED, IDLE, IDLE)
    assert log.findings() == []


def test_at_idle_a_narrow_link_that_was_never_seen_under_load_is_unknown() -> None:
    found = told(IDLE, IDLE).open()
    assert set(found) == {("pcie_narrow", GPU)}
    assert (found["pcie_narrow", GPU].verdict, found["pcie_narrow", GPU].observed) == (
        "unknown", "1 at idle",
    )  # fmt: skip


def test_a_link_that_is_narrow_and_slow_under_load_stays_found_at_idle() -> None:
    narrow: Shown = {WORK: 90, WIDTH: 8, GENERATION: 4}
    log = told(narrow, narrow, IDLE, IDLE)
    assert breaches(log) == {"pcie_narrow", "pcie_slow"}
    assert [log.open()[code, GPU].observed for code in sorted(breaches(log))] == ["8", "4"]
    assert len(log.findings()) == 2
    assert spans(log.timelines(30)["n1", 0]) == [(0, 30, "degraded", "pcie_narrow+pcie_slow")]


def test_a_single_sample_at_the_end_of_a_load_tells_nothing() -> None:
    over: Shown = {WORK: 90, WIDTH: 1, GENERATION: 1}
    assert told(LOADED, LOADED, over, IDLE, over, LOADED).findings() == []
    assert breaches(told(LOADED, LOADED, over, over)) == {"pcie_narrow", "pcie_slow"}
    assert told(over, IDLE, IDLE).open()["pcie_narrow", GPU].verdict == "unknown"


def test_short_loads_one_by_one_open_one_finding() -> None:
    short: Shown = {WORK: 90, WIDTH: 8, GENERATION: 5}
    log = told(LOADED, short, IDLE, short, IDLE)
    assert log.findings() == []
    log = told(short, IDLE, short, IDLE, short, IDLE)
    assert [found.verdict for found in log.findings("pcie_narrow") if found.until_us is None] == [
        "breached", "unknown", "breached",
    ]  # fmt: skip


def test_samples_that_are_narrow_each_alone_are_found_by_nobody_however_many() -> None:
    narrow: Shown = {**LOADED, WIDTH: 8}
    assert told(LOADED, LOADED, narrow, LOADED, narrow, LOADED, narrow, LOADED).findings() == []


def test_a_link_that_is_whole_again_under_load_is_so_at_once() -> None:
    narrow: Shown = {**LOADED, WIDTH: 8}
    log = told(narrow, narrow, LOADED)
    assert breaches(log) == set()
    assert spans(log.timelines(20)["n1", 0]) == [(0, 20, "degraded", "pcie_narrow")]


@pytest.mark.parametrize(
    ("percent", "expected"),
    [(WORKING_PERCENT, {"pcie_narrow"}), (WORKING_PERCENT - 1, set())],
)
def test_a_load_begins_at_a_tenth_of_a_second_s_kernels(percent: int, expected: set[str]) -> None:
    narrow: Shown = {**LOADED, WIDTH: 8, WORK: percent}
    assert breaches(told(narrow, narrow)) == expected


@pytest.mark.parametrize(
    ("kibibytes", "expected"), [(1_024_000, {"pcie_narrow"}), (1_023_999, set())]
)
def test_a_card_that_tells_no_utilization_works_when_its_link_does(
    kibibytes: int, expected: set[str]
) -> None:
    def sample(place: int) -> Shown:
        sent: Shown = {
            "pcie_transmitted_kibibytes": place * kibibytes,
            "pcie_received_kibibytes": 7,
        }
        return {**LOADED, WORK: "not_supported", WIDTH: 8, **sent}

    assert breaches(told(*map(sample, range(4)))) == expected


def test_a_counter_of_traffic_that_begins_anew_is_no_load() -> None:
    counts = (9_000_000, 5, 5)
    samples: list[Shown] = [
        {**LOADED, WORK: "not_supported", WIDTH: 8, "pcie_received_kibibytes": count}
        for count in counts
    ]
    assert breaches(told(*samples)) == set()


@pytest.mark.parametrize(
    ("mode", "code", "verdict"),
    [(0, "pcie_slow", "breached"), (1, "pcie_slow", "unknown"), (2, "pcie_slow", "unknown")],
)
def test_a_slot_that_cannot_reach_the_promise_is_found_at_idle_but_not_one_that_is_made_up(
    mode: int, code: str, verdict: str
) -> None:
    log = told(IDLE, identity={"pcie_link_max_generation": 4, "virtualization_mode_code": mode})
    assert log.open()[code, GPU].verdict == verdict


def test_an_agent_that_reads_no_generation_is_judged_by_what_card_and_slot_reach() -> None:
    log = standing(floors='{pcie_generation: "5"}')
    slow: Shown = {"pcie_link_max_generation": 4}
    node = ScriptedNode(identity={"GPU-n1-0": slow, "GPU-n1-1": LIMITS})
    feed(log, node, range(0, 11, 10))
    assert {device for _, device in log.open()} == {GPU}


def test_a_node_that_was_booted_anew_is_judged_by_what_its_links_give_now() -> None:
    narrow: Shown = {**LOADED, WIDTH: 8}
    log = told(narrow, narrow)
    after = ScriptedNode(boot="boot-2", chain="chain-1", identity={"GPU-n1-0": LIMITS})
    after.seq, after.prev = 2, "0" * 64
    feed(log, after, range(20, 41, 10), {20: {GPU: IDLE}, 30: {GPU: IDLE}, 40: {GPU: IDLE}})
    assert log.open()["pcie_narrow", GPU].verdict == "unknown"


@pytest.mark.parametrize("seed", range(50))
def test_what_is_passed_over_says_nothing_new(seed: int) -> None:
    chance = random.Random(seed)
    devices = ["a", "b", "c"]
    choices: dict[str, list[int | None]] = {
        WORK: [0, 9, 10, 90],
        WIDTH: [8, 16, None],
        GENERATION: [1, 4, 5, None],
    }
    samples: list[dict[str, list[int | None]]] = [{}]
    for _ in range(60):
        again = {name for name in choices if chance.random() < 0.7 and name in samples[-1]}
        more = {name: [chance.choice(of) for _ in devices] for name, of in choices.items()}
        samples.append(more | {name: samples[-1][name] for name in again})
    meter, links = LinkMeter(), {device: LinkUnderLoad() for device in devices}
    begin(meter, devices)
    for before, rows in pairwise(samples):
        changed = [
            link.see([rows[name][place] for name in OF_LINKS], working=(rows[WORK][place] or 0) > 9)
            for place, link in enumerate(links.values())
        ]
        assert take_in(meter, devices, rows, before, 10_000_000) is any(changed)
        for name in OF_LINKS:
            assert [meter.shown(one, name) for one in devices] == [
                link.shown(name) for link in links.values()
            ]
