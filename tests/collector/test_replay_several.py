"""Replay of a store in which several contracts share nodes, and several parties speak of each."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from collector.log.commits import CommitBatch
from tests.collector.building import (
    Agent,
    Serving,
    enrolled,
    introduce,
    log_signer,
    make_store,
    opened,
    serving,
    wait_for,
    weighbridge,
)
from tests.collector.test_statement import CONFIG, HOUR, MONTH, START_US, TERMS, at
from weighbridge.contract import load
from weighbridge.log.entries import Assignment, ContractAdded, EntryKind
from weighbridge.settlement.draft import ENGINE

pytestmark = pytest.mark.slow

NORTH = TERMS.replace("contract_id: lease", "contract_id: north").replace(
    "per_node: 2", "per_node: 1"
)
PARTIES = "parties: [{id: P, role: provider}, {id: L, role: lessee}, {id: O, role: operator}]"
SOUTH = (
    NORTH.replace("contract_id: north", "contract_id: south")
    .replace("parties: [{id: P, role: provider}, {id: L, role: lessee}]", PARTIES)
    .replace("time_zone: UTC", "time_zone: Asia/Shanghai")
    .replace("per_node: 1, nodes: 1", "per_node: 1, nodes: 2")
    + "exit_rights: [{objective: gpus, missed: 1, of_periods: 2}]\n"
)
AMENDED = SOUTH.replace(f"effective: {at(0)}", f"version: 2\nsupersedes: 1\neffective: {at(1)}")


@dataclass
class ServedStore:
    """A served store of the contracts north and south; the agents of the nodes n1, which both lease, and n2 and n3."""

    server: Serving
    store: Path

    def run(self, *words: str | Path, check: bool = True) -> Any:
        return weighbridge(*words, "--config", self.store / CONFIG, check=check)

    def statement(self, contract: str) -> dict[str, Any]:
        path = f"/v1/contracts/{contract}/statement?period={MONTH}"
        shown: dict[str, Any] = self.server.get(path).json
        return shown


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ServedStore]:
    agents = [Agent("n1", gpus=2), Agent("n2", gpus=1), Agent("n3", gpus=1)]
    for agent in agents:
        agent.start_us = START_US
    store = make_store(tmp_path / "store")
    first, second = agents[0].devices
    with opened(store) as opened_store:
        batch = CommitBatch(opened_store, log_signer(store), START_US - 10**9)
        for text, version in ((NORTH, 1), (SOUTH, 1), (AMENDED, 2)):
            contract = load(text)
            name, from_us = contract.contract_id, contract.effective_us
            added = ContractAdded(contract=name, version=version, text=text, from_us=from_us)
            batch.add_record(EntryKind.CONTRACT, added)
        for agent in agents:
            batch.add_record(EntryKind.KEY, enrolled(agent))
        for name, node, devices in (
            ("north", "n1", [first]),
            ("south", "n1", [second]),
            ("south", "n2", None),
            ("south", "n2", []),
            ("south", "n3", None),
        ):
            assignment = Assignment(contract=name, node=node, devices=devices)
            batch.add_record(EntryKind.ASSIGNMENT, assignment)
        for agent in agents:
            introduce(batch, agent)
        opened_store.log.append(batch.leaves)
        opened_store.index.record(batch.indexed)
    with serving(store) as server:
        for agent in agents:
            begun = agent.next(360, inventory=agent.inventory())
            assert server.report(begun, agent.next(360), agent.next()).status == 200
        yield ServedStore(server, store)


def delivered(served: ServedStore, contract: str) -> int:
    parts = served.statement(contract)["parts"]
    return sum(line["healthy_gpu_seconds"] for part in parts for line in part["delivery"])


def test_each_contract_replays_to_the_byte_with_what_its_own_parties_said(
    served: ServedStore, tmp_path: Path
) -> None:
    wait_for(lambda: delivered(served, "north") == 2 * HOUR, "the evidence of north")
    wait_for(lambda: delivered(served, "south") == 4 * HOUR, "the evidence of south")
    for contract, party in (("north", "L"), ("south", "L"), ("south", "O")):
        key = tmp_path / f"{contract}-{party}.key"
        public = weighbridge("party", "key", key).stdout.strip()
        served.run("party", "add", contract, party, public)
    hour = ("--from", at(24), "--until", at(25))
    south, north = tmp_path / "south-O.key", tmp_path / "north-L.key"
    served.run(
        "notice", "maintenance", "south", "--id", "M1", *hour, "--party", "O", "--key", south
    )
    said = ("notice", "cause", "north", "--code", "lessee_fault", *hour, "--party", "L")
    served.run(*said, "--key", north)
    foreign = served.run(
        *said[:2], "south", *said[3:], "--key", north, check=False
    )  # north's lessee speaks for nobody in south, though the parties have the same id
    assert foreign.returncode == 2
    filing = ("claim", "south", "--period", MONTH, "--party", "L")
    served.run("notice", *filing, "--key", tmp_path / "south-L.key")
    issued = served.run(
        "statement", "south", "--period", MONTH, "--issue", "--format", "json"
    ).stdout
    digest = hashlib.sha256(issued.encode()).hexdigest()

    def issued_before() -> bool:
        return any(digest in str(note) for note in served.statement("south")["notes"])

    wait_for(issued_before, "a statement after the one that was issued")
    told = {name: served.statement(name) for name in ("north", "south")}
    assert [part["version"] for part in told["south"]["parts"]] == [1, 2]
    assert told["south"]["exits"][0]["standing"] == "met"
    assert told["north"]["parts"][0]["delivery"][0]["energy_joules"] is not None
    assert not any("M1" in str(note) for note in told["north"]["notes"])
    served.server.stop()
    for name, statement in told.items():
        state = ("--state", tmp_path / f"state-{name}")
        done = served.run(
            "replay", name, "--period", MONTH, "--as-of", statement["as_of"], *state, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"equal to the byte: {name}, {MONTH}")
        held = tmp_path / f"{name}.json"
        held.write_bytes(
            json.dumps(statement | {"highest": "1.00", "engine": "settlement/0"}).encode()
        )
        differs = served.run(
            "replay", name, "--period", MONTH, "--issued", held, *state, check=False
        )
        assert differs.returncode == 1
        assert f"engine settlement/0 -> {ENGINE}\n" in differs.stderr
        assert f"highest: 1.00 -> {statement['highest']}\n" in differs.stderr
        shown = served.run(
            "statement", name, "--period", MONTH, "--as-of", statement["as_of"], "--format", "json"
        )
        held.write_text(shown.stdout)
        again = served.run("replay", name, "--period", MONTH, "--issued", held, *state)
        assert again.stdout == done.stdout
