"""Challenges among parties who wish them ill, and a collector that dies in the middle of one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from collector.client import CollectorError
from collector.log.commits import CommitBatch
from tests.collector.answering import POLICY, Challenged, ask
from tests.collector.building import (
    CONTRACT,
    SECOND_US,
    Agent,
    Serving,
    enrolled,
    log_signer,
    make_store,
    opened,
    serving,
    wait_for,
)
from weighbridge.challenge.messages import Decline, Prepare, decode_message, encode_message
from weighbridge.contract import load
from weighbridge.log.entries import Assignment, ContractAdded, EntryKind
from weighbridge.wire.report import Model

STEPS = ("ready", "roots")


def enter(directory: Path, *records: tuple[EntryKind, Model]) -> None:
    """More entries of a store that nobody serves."""
    with opened(directory) as store:
        batch = CommitBatch(store, log_signer(directory), 1_700_000_001 * SECOND_US)
        for kind, record in records:
            batch.add_record(kind, record)
        store.log.append(batch.leaves)
        store.index.record(batch.indexed)


def other_contract() -> ContractAdded:
    text = CONTRACT.replace("contract_id: lease", "contract_id: other")
    return ContractAdded(contract="other", version=1, text=text, from_us=load(text).effective_us)


@pytest.fixture
def agents() -> list[Agent]:
    return [Agent("n1", gpus=1), Agent("n2", gpus=1)]


@pytest.fixture
def store(tmp_path: Path, agents: list[Agent]) -> Path:
    text = CONTRACT.replace("nodes: 1}", "nodes: 2}")
    return make_store(tmp_path / "store", agents, text)


@pytest.fixture
def server(store: Path) -> Iterator[Serving]:
    with serving(store) as running:
        yield running


def begin(server: Serving, *nodes: str, contract: str | None = None, **changes: Any) -> list[Any]:
    wanted = {"nodes": list(nodes), "contract": contract, "policy": POLICY | changes}
    begun: list[Any] = ask(server, "POST", "/v1/challenges", wanted)["challenges"]
    return begun


def finished(node: Challenged, series: str) -> Any:
    challenge, openings = node.to_the_openings()
    assert node.post(challenge, "openings", openings).status == 200
    return node.ended(series)["attempts"][-1]


@pytest.mark.parametrize("answered", [0, 1, 2])
def test_a_collector_that_is_killed_at_any_step_leaves_a_void_attempt_and_a_node_to_be_challenged(
    store: Path, agents: list[Agent], answered: int
) -> None:
    with serving(store) as server:
        node = Challenged(server, agents[0])
        node.begin()
        for step in STEPS[:answered]:
            node.answered(step)
        command = node.heard()
        challenge = decode_message(command).challenge
        answer = node.sealed(node.prober.answer(command))
        server.kill()
    with serving(store) as server:
        node.server = server
        step = (*STEPS, "openings")[answered]
        late = node.post(challenge, step, answer)
        assert (late.status, late.json["code"]) == (404, "not_found")
        series = begin(server, "n1")[0]["id"]
        assert finished(node, series)["verdict"] == "met"
        metrics = server.shards()
    void = [line for line in metrics.splitlines() if "attempts_total" in line and "void" in line]
    assert [line.rsplit(" ", 1)[1] for line in void] == ["1"]


def test_a_lessees_agent_neither_hears_nor_answers_for_the_providers_node(
    store: Path, agents: list[Agent]
) -> None:
    lessee = Agent("n1", gpus=1)
    key = enrolled(lessee).model_copy(update={"side": "lessee"})
    enter(store, (EntryKind.KEY, key))
    with serving(store) as server:
        node, other = Challenged(server, agents[0]), Challenged(server, lessee)
        series = node.begin()
        challenge = node.answered("ready")
        command = node.heard()
        roots = node.prober.answer(command)
        stolen = other.post(challenge, "roots", other.sealed(roots))
        assert (stolen.status, stolen.json["code"]) == (404, "not_found")
        declined = encode_message(Decline(challenge, "busy"))
        assert other.post(challenge, "roots", other.sealed(declined)).status == 404
        forged = node.post(challenge, "roots", other.sealed(roots))
        assert (forged.status, forged.json["code"]) == (400, "bad_signature")
        assert node.post(challenge, "roots", node.sealed(roots)).status == 200
        command = node.heard()
        openings = node.sealed(node.prober.answer(command))
        assert node.post(challenge, "openings", openings).status == 200
        assert node.ended(series)["attempts"][-1]["verdict"] == "met"


def test_a_node_without_an_agent_of_its_provider_is_not_challenged(
    tmp_path: Path, agents: list[Agent]
) -> None:
    """A lessee's agent alone does not make a subject of it."""
    store = make_store(tmp_path / "store", [], CONTRACT)
    key = enrolled(agents[0]).model_copy(update={"side": "lessee"})
    assignment = Assignment(contract="lease", node="n1", devices=None)
    enter(store, (EntryKind.KEY, key), (EntryKind.ASSIGNMENT, assignment))
    with serving(store) as server:
        assert server.report(agents[0].next(inventory=agents[0].inventory())).status == 200
        with pytest.raises(CollectorError, match="no agent of its provider"):
            begin(server, "n1")


def test_which_gpus_a_node_has_is_not_for_the_lessees_agent_to_say(
    store: Path, agents: list[Agent]
) -> None:
    """A provider that has not spoken yet is not asked for GPUs that its lessee made up."""
    lessee = Agent("n1", gpus=1)
    key = enrolled(lessee).model_copy(update={"side": "lessee"})
    enter(store, (EntryKind.KEY, key))
    with serving(store) as server:
        assert server.report(lessee.next(inventory=lessee.inventory())).status == 200
        wait_for(lambda: server.get("/v1/nodes").json["items"], "the lessee's view")
        with pytest.raises(CollectorError, match="no agent of its provider has spoken"):
            begin(server, "n1")
        series = Challenged(server, agents[0]).begin()
        assert series


def test_two_contracts_on_one_node_are_challenged_one_after_the_other(
    store: Path, agents: list[Agent]
) -> None:
    """Its GPUs can answer for one of them at a time, and neither is failed for the other's sake."""
    assignment = Assignment(contract="other", node="n1", devices=None)
    enter(store, (EntryKind.CONTRACT, other_contract()), (EntryKind.ASSIGNMENT, assignment))
    with serving(store) as server:
        node = Challenged(server, agents[0])
        wait_for(lambda: server.get("/readyz").status == 200, "it to be ready")
        with pytest.raises(CollectorError, match="several contracts hold it"):
            begin(server, "n1")
        for contract, waiting in (("lease", "other"), ("other", "lease")):
            series = begin(server, "n1", contract=contract)[0]["id"]
            with pytest.raises(CollectorError, match="under way"):
                begin(server, "n1", contract=waiting)
            assert finished(node, series)["verdict"] == "met"


def test_one_slow_host_of_a_group_holds_up_the_others_and_fails_none(
    server: Serving, agents: list[Agent]
) -> None:
    quick, slow = (Challenged(server, agent) for agent in agents)
    wait_for(lambda: server.get("/readyz").status == 200, "it to be ready")
    first, second = begin(server, "n1", "n2", deadline_ms=4000)
    quick.answered("ready")
    slow.heard()
    assert finished_after_ready(quick, first["id"])["verdict"] == "met"
    ended = slow.ended(second["id"])["attempts"][-1]
    assert (ended["verdict"], ended["reason"]) == ("not assessed", "no answer")


def finished_after_ready(node: Challenged, series: str) -> Any:
    node.answered("roots")
    command = node.heard()
    challenge = decode_message(command).challenge
    openings = node.sealed(node.prober.answer(command))
    assert node.post(challenge, "openings", openings).status == 200
    return node.ended(series)["attempts"][-1]


def test_a_slice_of_a_gpu_is_not_challenged_in_the_name_of_the_whole(
    tmp_path: Path, agents: list[Agent]
) -> None:
    """The GPU that a MIG device was cut from belongs to others too; a prober on the slice would prove the slice."""
    agent = agents[0]
    store = make_store(tmp_path / "store", [agent], CONTRACT)
    slice_ = "MIG-" + agent.devices[0]
    assignment = Assignment(contract="lease", node="n1", devices=[slice_])
    enter(store, (EntryKind.ASSIGNMENT, assignment))
    inventory = agent.inventory()
    inventory["devices"].append(
        inventory["devices"][0] | {"uuid": slice_, "parent": agent.devices[0]}
    )
    with serving(store) as server:
        assert server.report(agent.next(inventory=inventory)).status == 200
        wait_for(lambda: server.get("/v1/nodes").json["items"], "the node")
        with pytest.raises(CollectorError, match="has shown no GPU of lease"):
            begin(server, "n1")


def test_an_amendment_that_leaves_a_node_without_a_line_item_stops_no_other_challenge(
    tmp_path: Path, agents: list[Agent]
) -> None:
    """Whoever could stop the schedule by an assignment that fits nothing any more would not be challenged again."""
    often = CONTRACT.replace(
        "per_node: 8, nodes: 1}",
        'per_node: 8, nodes: 1, challenges: [{size: "128", rounds: "2", samples: "8", mean_interval_s: "1",'
        ' at_least_flops_per_second: "100000"}]}',
    )
    store = make_store(tmp_path / "store", agents[:1], often)
    item = "  - {id: more, accelerator: {sku: H100-SXM-80GB}, per_node: 8, nodes: 1}\n"
    two = other_contract().text.replace("availability:", item + "availability:")
    vague = ContractAdded(contract="other", version=1, text=two, from_us=load(two).effective_us)
    assignment = Assignment(contract="other", node="n1", devices=None)
    enter(store, (EntryKind.CONTRACT, vague), (EntryKind.ASSIGNMENT, assignment))
    with serving(store) as server:
        node = Challenged(server, agents[0])
        assert node.answered("ready")
        with pytest.raises(
            CollectorError, match="n1: name one of the resources of other: h100, more"
        ):
            ask(
                server,
                "POST",
                "/v1/challenges",
                {"nodes": ["n1"], "contract": "other", "policy": None},
            )


def test_gpus_that_a_node_shows_beside_the_contracts_are_not_asked(tmp_path: Path) -> None:
    """Whoever shows enough of them would be challenged by no policy any more."""
    agent = Agent("n1", gpus=3)
    text = CONTRACT.replace("per_node: 8", "per_node: 2")
    with serving(make_store(tmp_path / "store", [agent], text, heard=True)) as server:
        node = Challenged(server, agent)
        node.begin()
        asked = decode_message(node.heard())
    assert isinstance(asked, Prepare)
    assert list(asked.gpus) == agent.devices[:2]
