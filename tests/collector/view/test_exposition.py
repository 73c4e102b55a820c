"""What Prometheus sees: equal to a golden file, accepted by promtool and by prometheus-client's own parser."""

import asyncio
import os
import shutil
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from collector.api import exposition
from collector.api.exposition import GPUS_PER_SHARD, MAX_LINES, Exposition, Families
from tests.collector.view.conftest import finding
from weighbridge.catalogue import metrics
from weighbridge.catalogue.readings import OF_GPUS, READINGS, Kind
from weighbridge.judge.ledger import State
from weighbridge.judge.node_state import NodeState
from weighbridge.wire.driver_words import COUNTED
from weighbridge.wire.report import Facts, Reason

GOLDEN = Path(__file__).with_name("golden")
HASH = "0123456789abcdef"


def own() -> list[exposition.Sample]:
    return [
        (metrics.REPORTS, ("accepted",), 12),
        (metrics.REPORTS, ("fork",), 1),
        (metrics.LOG_ENTRIES, (), 40),
        (metrics.JUDGE_LAG, (), 0.25),
    ]


@pytest.fixture
def pages(fleet: Any) -> Exposition:
    return Exposition(fleet, own)


def samples(text: str) -> list[Sample]:
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def values(text: str, name: str, *labels: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(sample.labels[label] for label in labels): sample.value
        for sample in samples(text)
        if sample.name == name
    }


def without_creation(text: str) -> str:
    """When the process began is in no golden file."""
    return "".join(line for line in text.splitlines(True) if "_created" not in line)


async def shard(pages: Exposition, number: int = 0) -> str:
    text = await pages.shard(number)
    assert text is not None
    return text


@pytest.mark.parametrize("page", ["metrics", "gpus"])
async def test_a_scripted_fleet_is_exported_exactly_so(pages: Exposition, page: str) -> None:
    text = await pages.contracts() if page == "metrics" else await shard(pages)
    golden = GOLDEN / f"{page}.txt"
    if "WEIGHBRIDGE_WRITE_GOLDEN" in os.environ:
        golden.write_text(without_creation(text))
    assert without_creation(text) == golden.read_text()


async def test_what_lasts_no_time_is_told_by_when_it_was_last_found(
    fleet: Any, pages: Exposition
) -> None:
    fleet.once = {("alpha", "a1", "chain_gap"): 7_500_000}
    found = values(await pages.contracts(), metrics.FINDING_NOTED.name, "contract", "node", "check")
    assert found == {("alpha", "a1", "chain_gap"): 7.5}


async def test_promtool_finds_nothing_to_say(pages: Exposition) -> None:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool (Debian: prometheus) is not installed")
    for text in (await pages.contracts(), await shard(pages), every_reading()):
        checking = await asyncio.create_subprocess_exec(
            program, "check", "metrics", stdin=PIPE, stdout=PIPE, stderr=STDOUT
        )
        said, _ = await asyncio.wait_for(checking.communicate(text.encode()), 60)
        assert (checking.returncode, said.decode()) == (0, "")


def every_reading() -> str:
    families = Families(metrics.GPU_METRICS)
    for exported in metrics.EXPORTED.values():
        families.add(exported.metric, ("n", "u", *exported.labels), exported.scale(7))
    return families.text()


async def test_the_client_library_writes_the_same_lines_for_the_same_families(
    pages: Exposition,
) -> None:
    class Parsed(Collector):
        def collect(self) -> Iterable[Any]:
            return text_string_to_metric_families(text)

    text = await shard(pages)
    registry = CollectorRegistry()
    registry.register(Parsed())
    assert samples(generate_latest(registry).decode()) == samples(text)


async def test_a_label_keeps_any_text(pages: Exposition) -> None:
    names = values(await shard(pages), "weighbridge_gpu_info", "name")
    assert set(names) == {('NVIDIA H100 "80GB"\\HBM3',)}


async def test_what_a_gpu_cannot_answer_is_absent(pages: Exposition) -> None:
    text = await shard(pages)
    assert values(text, "weighbridge_gpu_power_draw_watts", "uuid") == {("GPU-1",): 699.5}
    assert values(text, "weighbridge_gpu_mig_mode", "uuid") == {}
    assert "nan" not in text.lower()


async def test_zero_is_a_value_but_no_time_held_down_is_no_line(pages: Exposition) -> None:
    text = await shard(pages)
    assert values(text, "weighbridge_gpu_memory_used_bytes", "uuid") == {("GPU-1",): 0}
    held = values(text, "weighbridge_gpu_clocks_event_seconds_total", "uuid", "reason")
    assert held == {("GPU-1", "hw_thermal"): 1.5}


async def test_a_gpu_of_which_the_sides_say_different_things_is_shown_by_neither_word(
    fleet: Any, pages: Exposition
) -> None:
    lessee = fleet.lessees["a1"] = deepcopy(fleet.nodes["a1"])
    lessee.newest.tracks["alpha"].segments[0].state = State.DOWN
    states = values(await shard(pages), "weighbridge_gpu_state", "node", "uuid", "state")
    assert {key for key in states if key[0] == "a1"} == {
        ("a1", "GPU-1", "contradicted"),
        ("a1", "GPU-2", "lost"),
        ("a1", "", "missing"),
    }


async def test_the_state_of_a_gpu_is_that_of_the_counts_and_the_pages(
    fleet: Any, pages: Exposition
) -> None:
    """A device that another place shows too is healthy in neither."""
    fleet.found = [finding("alpha", "a1", "GPU-1", "duplicate_device")]
    states = values(await shard(pages), "weighbridge_gpu_state", "node", "uuid", "state")
    assert ("a1", "GPU-1", "contested") in states


async def test_every_gpu_has_one_state_and_a_missing_one_too(pages: Exposition) -> None:
    states = values(await shard(pages), "weighbridge_gpu_state", "node", "uuid", "state")
    assert states == {
        ("a1", "GPU-1", "ok"): 1,
        ("a1", "GPU-2", "lost"): 1,
        ("a1", "", "missing"): 1,
        ("a2", "GPU-3", "unknown"): 1,
        ("a2", "GPU-4", "missing"): 1,
        ("a2", "", "missing"): 1,
    }


async def test_a_node_has_a_count_of_gpus_or_why_there_is_none(
    pages: Exposition, fleet: Any
) -> None:
    first, second = fleet.nodes["a1"].view, fleet.nodes["a2"].view
    first.enumerated = second.enumerated = True
    first.driver = Facts(readings={COUNTED: 0, "driver_version": "580.95.05"}, unavailable={})
    second.driver = Facts(readings={}, unavailable={COUNTED: Reason.LIBRARY_NOT_FOUND})
    text = await shard(pages)
    assert values(text, "weighbridge_node_gpus", "node") == {("a1",): 0}
    assert values(text, "weighbridge_node_driver_info", "node", "version", "reason") == {
        ("a1", "580.95.05", ""): 1,
        ("a2", "", "library_not_found"): 1,
    }


async def test_readings_of_a_silent_node_are_no_longer_exported(
    pages: Exposition, fleet: Any
) -> None:
    def powered(text: str) -> set[str]:
        return {uuid for (uuid,) in values(text, "weighbridge_gpu_power_draw_watts", "uuid")}

    assert powered(await shard(pages)) == {"GPU-1"}
    fleet.nodes["a2"].silent = False
    assert powered(await shard(pages)) == {"GPU-1", "GPU-3"}
    assert values(await shard(pages), "weighbridge_node_last_report_timestamp_seconds", "node")


async def test_xids_are_counted_by_code_and_never_without_bound(
    pages: Exposition, fleet: Any
) -> None:
    device = fleet.nodes["a1"].view.devices["GPU-1"]
    name = "weighbridge_gpu_xid_errors_total"
    assert values(await shard(pages), name, "uuid", "xid")[("GPU-1", "31")] == 2
    device.xids.update(dict.fromkeys(range(1000, 9000), 1))
    assert len(values(await shard(pages), name, "uuid", "xid")) <= 2 * exposition.MAX_XIDS
    assert ("GPU-1", "31") in values(await shard(pages), name, "uuid", "xid")


async def test_a_gpu_stays_on_its_shard_and_every_gpu_is_on_one(
    pages: Exposition, fleet: Any
) -> None:
    crowd(fleet, 3 * GPUS_PER_SHARD)
    before = await placed(pages)
    assert len(before) == len(set(before)) == 3 * GPUS_PER_SHARD + 6
    del fleet.assigned["alpha"]["a1"], fleet.nodes["a1"]
    fleet.assigned["alpha"]["new"] = frozenset({f"GPU-new-{number}" for number in range(9)})
    fleet.now_us += exposition.REFRESH_US
    after = await placed(pages)
    assert {uuid: after[uuid] for uuid in after if uuid in before} == {
        uuid: place for uuid, place in before.items() if uuid in after
    }
    assert len(after) == len(before) - 3 + 9


async def test_the_room_of_gpus_that_left_is_used_again(pages: Exposition, fleet: Any) -> None:
    crowd(fleet, 3 * GPUS_PER_SHARD)
    before = await pages.paths()
    for number in range(3):
        gone = sorted(fleet.assigned["beta"]["b1"])[:50]
        fresh = {f"GPU-fresh-{number}-{place}" for place in range(50)}
        fleet.assigned["beta"]["b1"] = (fleet.assigned["beta"]["b1"] - set(gone)) | fresh
        fleet.now_us += exposition.REFRESH_US
        assert await pages.paths() == before


def crowd(fleet: Any, size: int) -> None:
    uuids = frozenset(f"GPU-{HASH}-{number}" for number in range(size))
    fleet.assigned["beta"] = {"b1": uuids}


async def placed(pages: Exposition) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in (await pages.paths())[1:]:
        text = await shard(pages, int(path.rpartition("/")[2]))
        for node, uuid in values(text, "weighbridge_gpu_state", "node", "uuid"):
            assert (node + uuid) not in found
            found[node + uuid] = path
    return found


async def test_no_shard_passes_its_limit_even_if_every_gpu_answers_everything(
    fleet: Any, pages: Exposition
) -> None:
    uuids = [f"GPU-{number}" for number in range(2 * GPUS_PER_SHARD)]
    full(fleet, uuids)
    sizes = [len((await shard(pages, number)).splitlines()) for number in range(3)]
    assert max(sizes) <= MAX_LINES
    assert sizes[0] > MAX_LINES * 0.9
    assert await pages.shard(3) is None


def full(fleet: Any, uuids: list[str]) -> None:
    """A node whose GPUs answer every row of the catalogue, with every XID and four contracts."""
    state = fleet.nodes["a1"]
    view = state.view
    template = next(iter(view.devices.values()))
    rows = {
        row.name: [7] * len(uuids)
        for row in READINGS
        if row.kind is not Kind.TEXT and row.scope in OF_GPUS
    }
    columns = view.tiers["fast"]
    columns.devices, columns.rows, columns.reasons = uuids, rows, {}
    view.tiers = {"fast": columns}
    view.devices = {
        uuid: type(template)(
            uuid,
            None,
            template.state,
            replace(template.identity, readings={}),
            dict.fromkeys(range(100), 1),
        )
        for uuid in uuids
    }
    for name in ("alpha", "beta", "gamma", "delta", "epsilon"):
        fleet.contracts[name] = fleet.contracts["alpha"]
        fleet.assigned[name] = {"a1": None}


async def test_rendering_lets_the_event_loop_run(pages: Exposition, fleet: Any) -> None:
    template = fleet.nodes["a1"]
    names = [f"n{number}" for number in range(20 * exposition.NODES_SLICE)]
    fleet.nodes = dict.fromkeys(names, template)
    fleet.found = [finding("alpha", name, "", "node_silent") for name in names]
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count())
    await pages.contracts()
    assert turns >= 19
    turns = 0
    await pages.paths()
    assert turns >= 19
    counting.cancel()


async def test_a_gpu_that_is_assigned_to_two_contracts_belongs_to_both(
    pages: Exposition, fleet: Any
) -> None:
    fleet.assigned["beta"] = {"a1": frozenset({"GPU-1"})}
    owners = values(await shard(pages), "weighbridge_gpu_contract_info", "uuid", "contract")
    assert {contract for uuid, contract in owners if uuid == "GPU-1"} == {"alpha", "beta"}


async def test_a_node_without_a_gpu_is_on_a_shard_and_stays_there(
    pages: Exposition, fleet: Any
) -> None:
    """Its series are told once, with the contracts that it is assigned to, and no GPU is made up for it."""
    fleet.nodes["bare"] = NodeState("bare", last_received_us=5_000_000)
    fleet.assigned["beta"] = {"late": frozenset()}
    text = await shard(pages)
    heard = values(text, "weighbridge_node_last_report_timestamp_seconds", "node")
    assert heard["bare",] == 5
    leased = values(text, "weighbridge_contract_node_info", "contract", "node")
    assert set(leased) == {("alpha", "a1"), ("alpha", "a2"), ("beta", "late")}
    states = values(text, "weighbridge_gpu_state", "node", "uuid", "state")
    assert {key for key in states if key[0] in ("bare", "late")} == {("late", "", "missing")}


async def test_discovery_looks_again_only_at_nodes_that_are_other_than_they_were(
    pages: Exposition, fleet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []

    def noted(node: str, *told: Any) -> Any:
        looked.append(node)
        return seat(node, *told)

    seat = exposition._seat
    monkeypatch.setattr(exposition, "_seat", noted)
    await pages.paths()
    assert sorted(looked) == ["a1", "a2"]
    looked.clear()
    fleet.now_us += exposition.REFRESH_US
    await pages.paths()
    assert looked == []
    view = fleet.nodes["a2"].view
    view.devices = {"GPU-9": view.devices["GPU-3"]}
    fleet.now_us += exposition.REFRESH_US
    await pages.paths()
    assert looked == ["a2"]
    assert ("a2", "GPU-9") in values(await shard(pages), "weighbridge_gpu_state", "node", "uuid")
