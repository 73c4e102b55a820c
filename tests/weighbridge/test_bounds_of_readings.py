"""Values that no reading can have are none, whoever signed them."""

import json

import pytest

from tests.weighbridge.scripted import FAST, Log, ScriptedNode, contract_text
from weighbridge.catalogue.readings import READINGS, Kind
from weighbridge.judge.ledger import Use
from weighbridge.wire.bounds import within_bounds
from weighbridge.wire.report import MAX_INTEGER, Reason, decode, encode

GPU = "GPU-n1-0"
NUMBERS = [row for row in READINGS if row.kind is not Kind.TEXT]
LEDGER_MOST = 2**63 - 1


def test_every_reading_that_is_a_number_has_bounds_with_their_source() -> None:
    for row in NUMBERS:
        assert row.bounds is not None, row.name
        assert -MAX_INTEGER < row.bounds.least <= 0 < row.bounds.most <= MAX_INTEGER
        assert row.bounds.source


@pytest.mark.parametrize("wild", [-MAX_INTEGER, MAX_INTEGER])
def test_a_sample_beyond_its_bounds_is_out_of_range_and_the_report_stays_as_it_came(
    wild: int,
) -> None:
    node = ScriptedNode(gpus=2)
    report = node.report([0, 10, 20], {10: {GPU: {"power_draw_milliwatts": wild}}})
    signed = encode(report)
    block = within_bounds(report).blocks[0]
    usual = FAST["power_draw_milliwatts"]
    assert block.readings["power_draw_milliwatts"] == [[usual] * 2, [None, usual], [usual] * 2]
    (span,) = block.unavailable
    assert (span.device, span.from_, span.to, span.reason) == (GPU, 1, 2, Reason.OUT_OF_RANGE)
    assert encode(report) == signed
    assert decode(encode(within_bounds(report))) == within_bounds(report)


def test_what_is_within_the_bounds_is_the_same_report() -> None:
    report = ScriptedNode().report([0, 10])
    assert within_bounds(report) is report


@pytest.mark.parametrize("told", [MAX_INTEGER, -1, "much"])
def test_a_fact_beyond_its_bounds_or_of_another_type_is_out_of_range(told: int | str) -> None:
    node = ScriptedNode(gpus=1, identity={GPU: {"memory_total_bytes": told}})
    inventory = within_bounds(node.report([0])).inventory
    assert inventory is not None
    identity = inventory.devices[0].identity
    assert "memory_total_bytes" not in identity.readings
    assert identity.unavailable["memory_total_bytes"] is Reason.OUT_OF_RANGE


@pytest.mark.parametrize("wild", [-MAX_INTEGER, MAX_INTEGER])
def test_a_node_that_says_absurd_numbers_of_everything_makes_rows_that_a_ledger_can_hold(
    wild: int,
) -> None:
    """All that it adds up, and remembers, keeps within 64 bits: the judging of all others goes on."""
    node, log = ScriptedNode(gpus=1), Log()
    log.tick(0)
    log.contract(contract_text(per_node=1))
    log.assign(node.name)
    log.introduce()
    log.tick(100)
    everything = {row.name: wild for row in NUMBERS}
    wilder = {second: {GPU: everything} for second in range(0, 100, 2)}
    log.report(node.report(range(100), wilder))
    log.assign("n1", devices=[])
    state = log.fold.states["n1"]
    told = {name: state.view.value(GPU, name) for name in ("energy_millijoules", "nvlink_links")}
    assert set(map(type, told.values())) == {Reason}
    held = [use for use in log.changes if isinstance(use, Use)]
    numbers = [n for use in held for n in (use.busy, use.energy_millijoules, use.until_us)]
    assert numbers
    assert max(map(abs, numbers)) <= LEDGER_MOST
    assert json.loads(log.fold.snapshots()["node/n1"])["node"] == "n1"
