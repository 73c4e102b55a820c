"""The delivery note: what was first seen in each slot, how it differs, and what never came."""

from dataclasses import replace

import pytest
from msgspec import to_builtins

from tests.weighbridge.handover.building import Story, at
from tests.weighbridge.scripted import SECOND, START_US, ScriptedNode, contract_text
from weighbridge.judge.slot_history import NEVER_US

DAY = 86400
BATCHES = (
    "delivery: [{id: late, nodes: 1, due: 2026-10-02, value: '10'},"
    " {id: soon, nodes: 1, due: 2026-10-01, value: '10'}]\n    floors:"
)


def told(story: Story | None = None, **node: object) -> Story:
    """One node of two GPUs that reports from second 100 on."""
    story = story or Story()
    story.assign("n1")
    made = replace(ScriptedNode(), **node)  # type: ignore[arg-type]
    story.tell(made, [100, 110, 120])
    return story


def test_each_slot_names_the_device_that_was_first_seen_at_work_in_it_and_when() -> None:
    note = told().note()
    assert note.standing == "complete"
    assert [(one.unit, one.uuid, one.first_seen, one.entry) for one in note.slots] == [
        ("n1.0", "GPU-n1-0", at(100), 1),
        ("n1.1", "GPU-n1-1", at(100), 1),
    ]
    (slot, _) = note.slots
    assert (slot.model, slot.memory_bytes, slot.serial, slot.side) == (
        "NVIDIA H100 80GB HBM3", 81559 << 20, None, "provider",
    )  # fmt: skip
    (item,) = note.items
    assert (item.gpus, item.gpus_seen, item.nodes_seen_whole) == (2, 2, 1)
    assert (note.differences, note.missing, note.flags) == ((), (), ())


def test_a_slot_keeps_its_first_device_when_another_one_follows() -> None:
    story, node = Story(), ScriptedNode()
    story.assign("n1")
    lost = {100: {"GPU-n1-1": dict.fromkeys(FAST, "gpu_is_lost")}}
    story.tell(node, [100], lost)
    story.tell(node, [110])
    assert [one.first_seen for one in story.note().slots] == [at(100), at(110)]
    story.tell(ScriptedNode(gpus=3, chain="chain-2"), [200])
    assert [one.uuid for one in story.note().slots] == ["GPU-n1-0", "GPU-n1-1"]


FAST = (
    "power_draw_milliwatts",
    "memory_used_bytes",
    "temperature_gpu_celsius",
    "power_limit_enforced_milliwatts",
    "pcie_link_width_lanes",
    "utilization_gpu_percent",
    "sm_clock_megahertz",
)


def test_a_cheaper_card_and_a_power_cap_are_differences_and_the_delivery_is_not_complete() -> None:
    story = Story()
    story.assign("n1")
    node = ScriptedNode(identity={"GPU-n1-0": {"pci_device_id": "10de:2331"}})
    story.tell(node, [100], {100: {"GPU-n1-1": {"power_limit_enforced_milliwatts": 350_000}}})
    note = story.note()
    assert [(one.unit, one.code, one.verdict, one.observed) for one in note.differences] == [
        ("n1.0", "sku_mismatch", "BREACHED", "NVIDIA H100 80GB HBM3 (10de:2331)"),
        ("n1.1", "power_capped", "BREACHED", "350000"),
    ]
    assert note.standing == "incomplete"
    assert note.flags == ("impossible_identity",)


def test_what_a_node_does_not_tell_is_unknown_and_listed() -> None:
    story = Story()
    story.assign("n1")
    story.tell(ScriptedNode(), [100], {100: {"GPU-n1-0": {"pcie_link_width_lanes": "error"}}})
    (difference,) = story.note().differences
    assert (difference.code, difference.verdict, difference.observed) == (
        "pcie_narrow", "UNKNOWN", "error",
    )  # fmt: skip
    assert story.note().standing == "complete"


def test_another_device_than_the_contract_names_is_a_difference() -> None:
    slots = "slots: [{id: n1.0, uuid: GPU-x, serial: '17', host_serial: H9}]\n    floors:"
    note = told(Story(contract_text().replace("floors:", slots))).note()
    assert [(one.code, one.verdict, one.expected) for one in note.differences] == [
        ("other_uuid", "BREACHED", "GPU-x"),
        ("other_serial", "UNKNOWN", "17"),
    ]
    assert [one.host_serial for one in note.slots] == ["H9", None]


def test_what_was_contracted_and_never_seen_is_listed_by_slot_and_by_node() -> None:
    story = Story(contract_text(nodes=3, per_node=4))
    story.assign("n1", "n2")
    story.tell(ScriptedNode(), [100])
    note = story.note()
    assert [(one.node, one.gpus, one.slots) for one in note.missing] == [
        ("n1", 2, ("n1.2", "n1.3")),
        ("n2", 4, ("n2.0", "n2.1", "n2.2", "n2.3")),
        (None, 4, ()),
    ]
    assert note.standing == "incomplete"


def test_of_a_node_only_the_devices_that_are_assigned_are_delivered() -> None:
    story = Story(contract_text(per_node=1))
    story.assign("n1", devices=["GPU-n1-1"])
    story.tell(ScriptedNode(), [100])
    assert [(one.unit, one.uuid) for one in story.note().slots] == [("n1.0", "GPU-n1-1")]


def test_nodes_fill_the_batches_as_they_are_seen_and_each_is_in_time_or_late() -> None:
    text = contract_text(nodes=2).replace("floors:", BATCHES)
    story = Story(text)
    story.assign("n1", "n2")
    story.tell(ScriptedNode("n2"), [DAY + 5])
    assert [(one.batch, one.standing, one.nodes_seen) for one in story.note(DAY - 1).batches] == [
        ("soon", "late", 1),
        ("late", "open", 0),
    ]
    story.tell(ScriptedNode("n1"), [DAY + 100])
    note = story.note(3 * DAY)
    assert [(one.batch, one.standing, one.complete) for one in note.batches] == [
        ("soon", "late", at(DAY + 5)),
        ("late", "in_time", at(DAY + 100)),
    ]
    assert {one.unit: one.batch for one in note.slots} == {
        "n1.0": "late", "n1.1": "late", "n2.0": "soon", "n2.1": "soon",
    }  # fmt: skip


@pytest.mark.parametrize(("accepted", "flags"), [(100, ()), (99, ("late_birth",))])
def test_a_node_of_a_later_batch_is_born_late_by_the_acceptance_of_its_own(
    accepted: int, flags: tuple[str, ...]
) -> None:
    story = Story(contract_text(nodes=2).replace("floors:", BATCHES))
    story.assign("n1", "n2")
    story.tell(ScriptedNode("n2"), [5])
    story.tell(ScriptedNode("n1"), [DAY + 100])
    story.say("batch_accepted", 6, "soon", party="L")
    story.say("batch_accepted", DAY + accepted, "late", party="L")
    assert story.note(3 * DAY).flags == flags


def test_a_batch_that_is_not_whole_is_overdue_from_the_end_of_its_day_on() -> None:
    story = Story(contract_text(nodes=2).replace("floors:", BATCHES))
    story.assign("n1")
    assert [one.standing for one in story.note(DAY - 1).batches] == ["open", "open"]
    assert [one.standing for one in story.note(DAY).batches] == ["overdue", "open"]


def test_nothing_at_all_by_the_first_due_day_is_flagged_and_before_it_is_not() -> None:
    story = Story(contract_text(nodes=2).replace("floors:", BATCHES))
    assert (story.note(DAY - 1).standing, story.note(DAY - 1).flags) == ("nothing", ())
    assert story.note(DAY).flags == ("zero_delivery",)


def test_service_starts_with_the_event_that_the_contract_names_and_a_late_birth_is_flagged() -> (
    None
):
    story = told()
    assert (story.note().start.at, story.note().start.event) == (None, "acceptance_signed")
    story.say("delivered", 50)
    assert story.note().start.at is None
    story.say("acceptance_signed", 100, party="L")
    assert (story.note().start.at, story.note().flags) == (at(100), ())
    assert [(one.event, one.party) for one in story.note().said] == [
        ("delivered", "P"),
        ("acceptance_signed", "L"),
    ]
    early = told()
    early.say("acceptance_signed", 99, party="L")
    assert early.note().flags == ("late_birth",)


def test_a_note_reads_no_further_than_it_must_and_says_how_far_it_read() -> None:
    story, node = Story(), ScriptedNode()
    story.assign("n1")
    (fast,) = to_builtins(node.report([100]))["blocks"]
    links = {"readings": {"nvlink_active_links": [[18, 18]]}, "tier": "slow"}
    story.tell(ScriptedNode(), [100], blocks=[fast, {**fast, **links}])
    short = story.note()
    story.tell(ScriptedNode(chain="chain-2"), [200])
    again = story.note()
    assert again.source.entries == short.source.entries == (0, 1)
    assert again.source.reports == 1


def test_the_same_evidence_gives_the_same_bytes_and_any_change_another_digest() -> None:
    story = told()
    assert story.note().json() == told().note().json()
    digests = {story.note(as_of).source.inputs_digest for as_of in (DAY, DAY + 1)}
    story.say("delivered", 50)
    assert len({*digests, story.note().source.inputs_digest}) == 3


def test_what_was_seen_while_somebody_else_had_the_node_is_no_delivery() -> None:
    """Neither is another tenant's time shown, nor can it be passed off as an earlier delivery."""
    since = START_US + 105 * SECOND
    made = told().note(seen={"n1": ((since, NEVER_US),)})
    assert [one.first_seen for one in made.slots] == [at(110), at(110)]
