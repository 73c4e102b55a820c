"""What is counted of a node at a glance is what slot by slot comes to, whatever its reports tell."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.weighbridge.scripted import SECOND, START_US, Log, ScriptedNode, contract_text
from weighbridge.contract import load
from weighbridge.judge import counts
from weighbridge.judge.counts import Counts
from weighbridge.log.entries import EntryKind, Tick

STEPS = st.lists(
    st.fixed_dictionaries(
        {
            "after": st.sampled_from([10, 20, 45, 3601]),
            "samples": st.integers(0, 3),
            "power": st.sampled_from([70_000, 300_000, "gpu_is_lost"]),
            "slow": st.booleans(),
            "processes": st.sampled_from([None, [], ["GPU-n1-0"]]),
            "lost": st.booleans(),
            "xid": st.booleans(),
        }
    ),
    min_size=1,
    max_size=8,
)
TERMS = load(contract_text())


@settings(max_examples=40, deadline=None)
@given(steps=STEPS, waited=st.sampled_from([0, 29, 31]))
def test_at_a_glance_is_slot_by_slot(steps: Sequence[Mapping[str, Any]], waited: int) -> None:
    log, node, second = Log(), ScriptedNode(), 0
    log.contract(contract_text())
    log.assign("n1")
    log.tick(0)
    log.introduce()
    for step in steps:
        second += step["after"]
        told(log, node, step, second)
    log.tick(second + waited)
    assert counted(log) == one_by_one(log)


def told(log: Log, node: ScriptedNode, step: Mapping[str, Any], second: int) -> None:
    first, *_ = node.devices
    seconds = range(second, second + step["samples"] * 10, 10)
    node.states[first] = "lost" if step["lost"] else "ok"
    changes = {at: {first: {"power_draw_milliwatts": step["power"]}} for at in seconds}
    slow: dict[str, dict[str, int | str]] = {
        uuid: {"performance_state_code": 0} for uuid in node.devices
    }
    boottime_us = (1000 + second) * 1_000_000
    event = {"kind": "xid", "device": first, "code": 31, "boottime_us": boottime_us}
    fields = {
        "inventory": node.inventory(),
        "events": [event | EVENT] if step["xid"] else [],
        "processes": step["processes"]
        and [process | {"boottime_us": boottime_us} for process in held(step["processes"])],
    }
    log.tick(second + step["samples"] * 10)
    log.report(node.report(seconds, changes, slow if step["slow"] and seconds else None, **fields))


EVENT = {"detail": "", "source": "nvml"}


def held(devices: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"class": "container", "device": one, "memory_bytes": 1 << 30, "owner": "a" * 64}
        for one in devices
    ]


def counted(log: Log) -> Counts:
    return counts.counts(TERMS, [log.fold.observers("n1")], (), log.fold.watch.now_us)


def one_by_one(log: Log) -> Counts:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counts, "_at_a_glance", lambda *_: None)
        return counted(log)


def test_most_nodes_are_counted_at_a_glance(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that works is not looked at slot by slot: the count of a hundred thousand GPUs is part of each scrape."""
    log, node = Log(), ScriptedNode()
    log.contract(contract_text())
    log.assign("n1")
    log.tick(0)
    log.introduce()
    log.tick(20)
    log.report(node.report([0, 10, 20], inventory=node.inventory()))
    monkeypatch.setattr(counts, "_slots", None)
    assert counted(log) == Counts(2, 2, 2, 2)
    assert log.fold.watch.now_us == START_US + 20_000_000


@pytest.mark.parametrize(("late_us", "reporting"), [(0, 2), (1, 0)])
def test_a_node_counts_as_long_as_its_last_sample_is_no_older_than_it_is_waited_for(
    late_us: int, reporting: int
) -> None:
    """By its sample: it was heard since."""
    log, node = Log(), ScriptedNode()
    log.contract(contract_text())
    log.assign("n1")
    log.tick(0)
    log.introduce()
    log.tick(40)
    log.report(node.report([0, 10, 20], inventory=node.inventory()))
    state = log.fold.nodes["n1"]
    log.add(EntryKind.TICK, Tick(wall_us=START_US + 20 * SECOND + state.patience_us + late_us))
    assert not state.silent
    assert counted(log) == Counts(2, reporting, reporting, reporting)
    assert counted(log) == one_by_one(log)
