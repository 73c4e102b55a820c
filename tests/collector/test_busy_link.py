"""A collector links both sides' reports where somebody else's use would change what a challenge counts for."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from collector.__main__ import main
from collector.log.commits import CommitBatch
from tests.collector.answering import Challenged
from tests.collector.building import (
    CONTRACT,
    SECOND_US,
    Agent,
    Serving,
    enrolled,
    hand_out,
    log_signer,
    make_store,
    opened,
    serving,
    wait_for,
)
from weighbridge.challenge.messages import BUSY, Decline, decode_message, encode_message
from weighbridge.challenge.telemetry import Telemetry, read_telemetry
from weighbridge.log.entries import EntryKind, entry

LATER = 4
"""Samples, ten seconds apart, of which the last are behind the end."""


def of_the_lessee(directory: Path, node: str) -> Agent:
    """Another agent of the same node, which the log knows as its lessee's."""
    lessee = Agent(node, gpus=1)
    with opened(directory) as store:
        batch = CommitBatch(store, log_signer(directory), 1_700_000_001 * SECOND_US)
        batch.add_record(EntryKind.KEY, enrolled(lessee, "lessee"))
        store.log.append(batch.leaves)
        store.index.record(batch.indexed)
        hand_out(directory, store)
    return lessee


def rows(server: Serving) -> list[dict[str, Any]]:
    size = server.get("/v1/log/head").json["size"]
    found: list[dict[str, Any]] = server.get(f"/v1/log/entries?start=0&limit={size}").json
    return found


def links(server: Serving) -> list[Telemetry]:
    entries = [entry(row["index"], row["envelope"].encode()) for row in rows(server)]
    return [
        read_telemetry(one.envelope.payload) for one in entries if one.kind is EntryKind.TELEMETRY
    ]


@pytest.mark.parametrize("heard", [True, False])
def test_a_decline_for_use_is_borne_out_by_the_reports_of_both_sides(
    tmp_path: Path, heard: bool
) -> None:
    provider = Agent("n1", gpus=1)
    directory = make_store(tmp_path / "store", [provider], CONTRACT)
    lessee = of_the_lessee(directory, "n1")
    provider.start_us = lessee.start_us = time.time_ns() // 1000
    agents = [provider, lessee] if heard else [provider]
    with serving(directory) as server:
        if heard:
            assert server.report(lessee.next(inventory=lessee.inventory())).status == 200
        node = Challenged(server, provider)
        series = node.begin()
        challenge = decode_message(node.heard()).challenge
        declined = encode_message(Decline(challenge, BUSY, provider.devices[0]))
        assert node.post(challenge, "ready", node.sealed(declined)).status == 200
        assert node.ended(series)["attempts"][-1]["reason"] == "busy"
        for agent in agents:
            assert server.report(agent.next(samples=LATER)).status == 200
        (link,) = wait_for(lambda: links(server), "the link")
        file = tmp_path / "entries.json"
        file.write_text(json.dumps(rows(server)))
        key = server.get("/v1/log/head").json["log_key"]
    assert (link.both is not None) == heard
    if link.both is not None:
        assert link.both.busy_before == tuple(provider.devices)
    done = CliRunner().invoke(main, ["recheck", str(file), "--log-key", key])
    assert (done.exit_code, "not assessed: busy" in done.output) == (0, True), done.output
