"""`up_when`: a closed grammar over the states that are watched."""

import json
from typing import Any

import pytest

from weighbridge.contract import Contract, ContractError, explain, load
from weighbridge.contract.condition import STATES, is_up
from weighbridge.judge.checks import CHECKS
from weighbridge.judge.ledger import State
from weighbridge.settlement.periods import calendar_month
from weighbridge.settlement.record import Record, Span
from weighbridge.settlement.settle import settle

JUNE = calendar_month("2026-06", "UTC")
LATER = 4_000_000_000


def contract(**promise: Any) -> Contract:
    document = {
        "contract_id": "K",
        "effective": "2026-01-01T00:00:00Z",
        "time_zone": "UTC",
        "currency": "CNY",
        "parties": [{"id": "P", "role": "provider"}, {"id": "L", "role": "lessee"}],
        "term": {"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"},
        "resources": [{"id": "r", "accelerator": {"sku": "any"}, "nodes": "1", "per_node": "8"}],
        "availability": [{"id": "a", "target": "0.99"} | promise],
        "unknown": {"policy": "hold"},
    }
    return load(json.dumps(document, indent=1))


def counted(cause: str, state: State = State.DOWN, **promise: Any) -> int:
    record = Record((Span("n1", state, JUNE.start_s, JUNE.start_s + 100, cause),))
    settled = settle(contract(**promise), record, JUNE, {"a": ["n1"]}, LATER)
    return settled.results[0].worst.outcome.downtime_s


@pytest.mark.parametrize(
    ("condition", "causes", "up"),
    [
        ("no_fatal_xid", "xid_fatal", False),
        ("no_fatal_xid", "nvlink_down", True),
        ("no_fatal_xid", "nvlink_down+xid_fatal", False),
        ("nvlink_ok or fabric_ok", "nvlink_down", True),
        ("nvlink_ok or fabric_ok", "fabric_down+nvlink_down", False),
        ("reachable and gpu_count == 8", "gpu_lost", False),
        ("not not_throttled", "power_capped", True),
        ("ecc_ok and nvlink_ok or storage_ok", "ecc_off", True),
        ("ecc_ok and (nvlink_ok or storage_ok)", "ecc_off", False),
        ("no_fatal_xid", "sku_mismatch", None),
        ("no_fatal_xid", "nvlink_down+sku_mismatch", None),
    ],
)
def test_a_condition_holds_or_not_for_the_causes_that_were_seen(
    condition: str, causes: str, up: bool | None
) -> None:
    assert is_up(condition, causes) is up


def test_what_the_condition_leaves_out_is_not_counted_and_the_rest_is() -> None:
    assert counted("nvlink_down", up_when="reachable and no_fatal_xid") == 0
    assert counted("xid_fatal", up_when="reachable and no_fatal_xid") == 100
    assert counted("nvlink_down") == 100


def test_what_the_condition_asks_for_is_down_even_where_it_was_only_degraded() -> None:
    capped = ("power_capped", State.DEGRADED)
    assert counted(*capped, up_when="not_throttled", degraded="up") == 100
    assert counted(*capped, degraded="up") == 0


def test_a_cause_that_no_state_knows_counts_as_without_the_condition() -> None:
    assert counted("sku_mismatch", up_when="reachable") == 100


def test_every_cause_of_a_check_that_is_named_exists() -> None:
    said_by_people = {"unreachable", "fabric_down", "storage_down"}
    codes = {check.code for check in CHECKS}
    assert set().union(*STATES.values()) - said_by_people <= codes


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ("reachable and", "`the end` is no state"),
        ("healthy", "`healthy` is no state; there are reachable"),
        ("(reachable", r"`\)` is missing"),
        ("reachable ecc_ok", "`ecc_ok` is one word too many"),
        ("gpu_count > 7", "cannot be read from `> 7` on"),
        ("gpu_count == ecc_ok", "compared with a number"),
        ("gpu_count == 7", "not all GPUs of a node"),
        ("not " * 50 + "reachable", "nested too deeply"),
    ],
)
def test_what_is_no_condition_is_an_error_with_its_line(condition: str, reason: str) -> None:
    with pytest.raises(ContractError, match=reason) as caught:
        contract(up_when=condition)
    assert "availability[0].up_when" in str(caught.value)


def test_a_condition_prints_as_it_loads() -> None:
    terms = contract(up_when="reachable and gpu_count == 8")
    assert load(explain(terms)) == terms
