"""A contract that was added by mistake is taken out, and one that somebody may owe for is not."""

import pytest

from tests.weighbridge.scripted import Log, contract_text
from weighbridge.judge.assignments import WITHDRAWN_WITHIN_US, AssignmentError, Assignments
from weighbridge.judge.ledger import Finding
from weighbridge.log.entries import Assignment, ContractAdded, EntryKind


def added() -> ContractAdded:
    return ContractAdded(contract="K1", version=1, text=contract_text("K1"), from_us=0)


@pytest.fixture
def assignments() -> Assignments:
    assignments = Assignments()
    assignments.add(added())
    return assignments


def test_a_withdrawn_contract_is_there_no_more_and_its_name_is_free() -> None:
    log = Log()
    log.contract(contract_text("K1"))
    log.tick(3600)
    known, now_us = log.fold.assignments, log.fold.watch.now_us
    (missing,) = [one for one in log.changes if isinstance(one, Finding)]
    assert (missing.code, missing.until_us) == ("never_reported", None)
    log.add(EntryKind.CONTRACT, known.withdrawal("K1", "the draft of another deal", now_us))
    log.tick(3700)
    ended = [one for one in log.changes if isinstance(one, Finding)][-1]
    assert (ended.code, ended.until_us) == ("never_reported", log.fold.watch.now_us)
    assert (dict(known.contracts(now_us)), dict(log.fold.registry.open)) == ({}, {})
    with pytest.raises(AssignmentError, match="no contract K1"):
        known.withdrawal("K1", "again", now_us)
    known.check_addition(added(), now_us)


def test_it_is_withdrawn_within_a_day_and_not_once_the_day_is_over(
    assignments: Assignments,
) -> None:
    end_us = assignments.versions("K1")[0].from_us + WITHDRAWN_WITHIN_US
    assert assignments.withdrawal("K1", "a mistake", end_us - 1).withdrawn == "a mistake"
    with pytest.raises(AssignmentError, match="judged for a day"):
        assignments.withdrawal("K1", "a mistake", end_us)


@pytest.mark.parametrize("devices", [None, []])
def test_one_that_had_a_node_is_not_withdrawn_be_it_released(
    assignments: Assignments, devices: list[str] | None
) -> None:
    assignments.assign(Assignment(contract="K1", node="n1", devices=None), 1)
    assignments.assign(Assignment(contract="K1", node="n1", devices=devices), 2)
    with pytest.raises(AssignmentError, match="has had nodes"):
        assignments.withdrawal("K1", "a mistake", 3)


def test_a_contract_is_spelled_as_it_was_before_there_was_a_withdrawal() -> None:
    assert "withdrawn" not in added().model_dump(mode="json")
