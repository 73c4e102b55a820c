"""GPU operational events in the judge: what no XID says is found, what was injected never, and availability stays."""

from typing import Any

import pytest

from tests.weighbridge.scripted import SECOND, Log, ScriptedNode, spans
from tests.weighbridge.test_judge import GPU, feed, standing
from weighbridge.judge.checks import Severity

OPERATIONAL = {
    "attributes": 33,
    "category": 2,
    "chiplet": 0,
    "driver": "615.71",
    "group_attributes": 0,
    "group_index": 0,
    "group_size": 1,
    "log_level": 50,
    "module": "GPU-RAS",
    "module_code": 61,
    "module_instance": 0,
    "originator": 3,
    "scope": 1,
    "severity": 40,
    "trace": "3000000000000001",
}


def gpu_event(code: int | None = None, **changes: Any) -> dict[str, Any]:
    more = {} if code is None else {"code": code}
    return {
        "boottime_us": 1015 * SECOND,
        "code": None,
        "detail": "",
        "device": GPU,
        "kind": "gpu_event",
        "operational": OPERATIONAL | changes,
        "source": "nvml",
    } | more


def judged(event: dict[str, Any]) -> Log:
    log, node = standing(), ScriptedNode()
    feed(log, node, range(0, 11, 10))
    log.tick(30)
    log.report(node.report([20], events=[event]))
    log.tick(60)
    log.report(node.report([30]))
    return log


def test_a_fatal_event_without_an_xid_is_an_error_and_moves_no_availability() -> None:
    log = judged(gpu_event())
    (found,) = log.findings("gpu_event_fatal")
    assert (found.severity, found.answerable) == (Severity.ERROR, "open")
    assert found.observed == (
        f"{GPU}: GPU-RAS 0x003d, memory integrity error (category 2), fatal (severity 40), "
        "uncontained, primary; driver 615.71"
    )
    assert spans(log.timelines(30)["n1", 0])[-1] == (0, 30, "up", "")


def test_numbers_that_no_table_knows_are_shown_as_they_came_and_are_not_fatal() -> None:
    log = judged(gpu_event(category=99, severity=50, attributes=256, group_attributes=1))
    (found,) = log.findings("gpu_event")
    assert found.severity is Severity.INFO
    assert found.observed.startswith(
        f"{GPU}: GPU-RAS 0x003d, category 99, severity 50, bit 0x100, recovered"
    )
    assert log.findings("gpu_event_fatal") == []


@pytest.mark.parametrize(
    "event",
    [
        gpu_event(group_attributes=4),
        gpu_event(group_attributes=2),
        gpu_event(severity=10),
        gpu_event(severity=20),
        gpu_event(79),
    ],
    ids=["simulated", "before this boot", "informational", "corrected", "an XID speaks for it"],
)
def test_what_was_injected_or_is_over_or_is_nothing_or_has_an_xid_is_not_found(
    event: dict[str, Any],
) -> None:
    assert judged(event).findings("gpu_event", "gpu_event_fatal") == []


@pytest.mark.parametrize(
    ("severity", "found"), [(29, "gpu_event"), (40, "gpu_event_fatal"), (41, "gpu_event")]
)
def test_only_what_the_driver_calls_fatal_is_an_error(severity: int, found: str) -> None:
    codes = {
        finding.code
        for finding in judged(gpu_event(severity=severity)).findings("gpu_event", "gpu_event_fatal")
    }
    assert codes == {found}
