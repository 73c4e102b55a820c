"""What steers a terminal, or makes text read otherwise than it is, leaves no fold."""

import logging
from typing import Any

import pytest

from tests.weighbridge.scripted import Log, ScriptedNode, contract_text
from weighbridge.log.entries import EntryKind, Refused
from weighbridge.process.logs import OneLine
from weighbridge.wire.report import encode
from weighbridge.wire.visible import INVISIBLE, visible

HOSTILE = "a\x1b[2J\r\nb\x9b\u202ec\u2066d\u200fe\x07\x00"
GPU = "GPU-n1-0"


@pytest.mark.parametrize(
    "text", ["", "NVIDIA H100 80GB HBM3", "节点 é 'quoted' 100 %", "עברית", "😀 \\u001b"]
)
def test_what_shows_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


def test_what_does_not_show_is_written_out() -> None:
    assert visible("a\x1b[31m\u202eb") == "a\\u001b[31m\\u202eb"
    assert visible(visible(HOSTILE)) == visible(HOSTILE)


def test_nothing_that_a_node_says_shows_otherwise_than_it_is() -> None:
    event = {
        "boottime_us": 1000,
        "code": None,
        "detail": HOSTILE,
        "device": None,
        "kind": "nvml_stalled",
        "source": "agent",
    }
    gap = {"first_seq": 0, "last_hash": "0" * 64, "last_seq": 1, "reason": HOSTILE}
    node = ScriptedNode(gpus=1, identity={GPU: {"name": HOSTILE, "serial": HOSTILE}})
    node.driver = {"readings": {"driver_version": HOSTILE}, "unavailable": {}}
    log = Log()
    log.tick(0)
    log.contract(contract_text(per_node=1))
    log.assign(node.name)
    report = node.report([0], events=[event], gaps=[gap])
    log.report(report)
    refused: dict[str, Any] = {
        "code": "malformed",
        "key_id": "0" * 64,
        "node": "n1",
        "chain": None,
        "seq": None,
    }
    more: dict[str, Any] = {"stream": None, "payload_hash": "0" * 64, "detail": HOSTILE}
    log.add(EntryKind.REFUSAL, Refused(**refused, **more))
    view = log.fold.states["n1"].view
    shown = [*view.devices[GPU].identity.readings.values(), *view.driver.readings.values()]
    told = [finding.observed for finding in log.findings()]
    assert any("\\u001b[2J" in text for text in told)
    assert not any(INVISIBLE.search(str(text)) for text in [*shown, *told])
    assert HOSTILE.encode()[:1] in encode(report)


def test_what_others_sent_begins_no_line_of_a_log_of_its_own() -> None:
    said = "denied\nCRITICAL weighbridge: all is lost\x1b[2J"
    record = logging.LogRecord("weighbridge", logging.WARNING, "", 0, "it says %s", (said,), None)
    told = OneLine("%(levelname)s %(name)s: %(message)s").format(record)
    assert told == (
        "WARNING weighbridge: it says denied\\u000aCRITICAL weighbridge: all is lost\\u001b[2J"
    )
