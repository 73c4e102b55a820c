"""Gossip: heads that agents were shown, held against the collector's own log and found for every contract."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.collector.building import (
    CONTRACT,
    Agent,
    Serving,
    log_signer,
    make_store,
    serving,
    wait_for,
)
from weighbridge.log.checkpoint import Head, open_head, seen_head, sign_head
from weighbridge.log.entries import Contradiction, EntryKind, entry
from weighbridge.log.succession import LogKeys
from weighbridge.log.witnessing import spell_evidence
from weighbridge.wire.report import read


@pytest.fixture(scope="module")
def agents() -> list[Agent]:
    return [Agent(f"node-{number}", gpus=1) for number in range(12)]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, agents: list[Agent]) -> Iterator[Serving]:
    directory = make_store(tmp_path_factory.mktemp("house") / "store", agents, CONTRACT)
    with serving(directory) as running:
        yield running


@pytest.fixture
def agent(agents: list[Agent]) -> Agent:
    return agents.pop()


def contradictions(server: Serving, agent: Agent) -> list[Contradiction]:
    rows = server.get("/v1/log/entries?limit=1000").json
    found = [entry(row["index"], row["envelope"].encode()) for row in rows]
    said = [
        read(Contradiction, one.envelope.payload)
        for one in found
        if one.kind is EntryKind.CONTRADICTION
    ]
    return [one for one in said if one.key_id == agent.signer.key_id]


def shown(answer: Any) -> dict[str, Any]:
    seen = seen_head(answer.json["head"])
    return {"root": seen.root, "size": seen.size}


def test_heads_that_it_signed_are_no_contradiction(house: Serving, agent: Agent) -> None:
    first = shown(house.report(agent.next()))
    second = shown(house.report(agent.next(seen=first)))
    house.report(agent.next(seen=first))
    house.report(agent.next(seen=second))
    house.report(agent.next(seen="0" * 64))
    assert contradictions(house, agent) == []


@pytest.mark.parametrize("further", [0, 1_000_000])
def test_a_head_that_it_never_was_at_is_entered_once_as_an_agents_word(
    house: Serving, agent: Agent, further: int
) -> None:
    true = shown(house.report(agent.next()))
    made_up = {"root": "ab" * 32, "size": true["size"] + further}
    house.report(agent.next(seen=made_up))
    house.report(agent.next(seen=made_up | {"root": "cd" * 32}))
    (said,) = contradictions(house, agent)
    ours = None if further else true["root"]
    assert (said.size, said.root, said.ours) == (made_up["size"], "ab" * 32, ours)
    assert (said.proven, said.node) == (False, agent.node)
    code = "log_shrank_said" if further else "log_forked_said"
    (found,) = wait_for(lambda: findings(house, code), code)
    assert (found["severity"], found["level"], found["node"]) == ("warning", "E0", "")
    assert agent.node not in str(found)


def findings(server: Serving, code: str) -> list[Any]:
    rows = server.get("/v1/contracts/lease/findings").json["items"]
    return [row for row in rows if row["code"] == code]


def evidence(server: Serving, *heads: Head) -> list[dict[str, Any]]:
    detail = spell_evidence(heads, LogKeys(log_signer(server.directory).public_key))
    event = {"boottime_us": 1, "code": None, "detail": detail, "device": None}
    return [event | {"kind": "log_forked", "source": "agent"}]


def test_a_head_under_its_own_signature_is_proof_for_everybody(
    house: Serving, agent: Agent
) -> None:
    signer = log_signer(house.directory)
    true = open_head(house.report(agent.next()).json["head"], signer.public_key)
    forked = sign_head(true.origin, true.size, b"f" * 32, signer)
    house.report(agent.next(events=evidence(house, true, true)))
    assert contradictions(house, agent) == []
    house.report(agent.next(events=evidence(house, true, forked)))
    (said,) = contradictions(house, agent)
    assert (said.proven, said.root, said.ours) == (True, forked.root.hex(), true.root.hex())
    (found,) = wait_for(
        lambda: [row for row in findings(house, "log_forked") if row["node"] == ""], "the finding"
    )
    assert (found["severity"], found["level"]) == ("error", "E1")
    assert found["until_us"] is None
