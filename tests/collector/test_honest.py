"""Honest nodes over HTTP: a real collector, whose clock goes with theirs, finds nothing that did not happen."""

import json
from pathlib import Path

from tests.collector.building import Agent, Serving, admit, serving, weighbridge
from tests.weighbridge.honest import CONTRACT, SECOND, HonestNode, arrivals
from tests.weighbridge.scripted import START_US

SEEN_HAPPEN = {"chain_started", "evidence_late", "node_silent"}


def test_an_honest_fleet_over_http_is_accused_of_nothing(tmp_path: Path) -> None:
    store = tmp_path / "s"
    weighbridge("init", store, "--simulation", "--listen", "127.0.0.1:0", "--open-on-loopback")
    nodes = [HonestNode(number, days=1, seed=3) for number in range(2)]
    keys = {node.name: Agent(node.name) for node in nodes}
    text = CONTRACT.replace("NODES", "2").replace("contract_id: K1", "contract_id: lease")
    admit(store, list(keys.values()), text)
    with serving(store, arguments=["--simulation"]) as server:
        move(server, 0)
        for second, payload in arrivals(nodes):
            move(server, second)
            sent = server.report(keys[json.loads(payload)["node"]].seal(payload))
            assert sent.status == 200
        found = server.get("/v1/contracts/lease/history").json["items"]
    assert len(found) > len(nodes)
    assert {finding["code"] for finding in found} <= SEEN_HAPPEN


def move(server: Serving, second: int) -> None:
    """The collector's clock; it never goes back."""
    wanted = json.dumps({"wall_us": START_US + second * SECOND})
    assert server.request("POST", "/v1/simulation/clock", wanted.encode()).status == 200
