"""Places of a contract: taken in the order of assignments, refused when there is none, free again after a release."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.collector.building import CONTRACT as ONE_ITEM
from tests.collector.building import (
    Agent,
    Serving,
    make_store,
    opened_invite,
    serving,
    set_config,
    weighbridge,
)
from tests.collector.test_enrolment import enroll, request

CONTRACT = ONE_ITEM.replace(
    "availability:",
    """\
  - {id: spared, accelerator: {sku: H100-SXM-80GB}, per_node: 8, nodes: 1, spare_nodes: 1}
availability:""",
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Serving]:
    """Two line items and no node."""
    directory = make_store(tmp_path / "store", contract=CONTRACT)
    set_config(directory, url='"http://127.0.0.1:1"')
    with serving(directory) as server:
        yield server


Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def command(server: Serving) -> Command:
    """`weighbridge NAME lease`, which may fail."""

    def run(name: str, *options: str) -> subprocess.CompletedProcess[str]:
        config = server.directory / "config.toml"
        return weighbridge(name, "lease", *options, "--config", config, check=False)

    return run


def enrolled(server: Serving, command: Command, node: str, resource: str) -> None:
    options = ("--side", "provider", "--node", node, "--resource", resource)
    made = command("invite", *options)
    assert made.returncode == 0, made.stderr
    assert enroll(server, request(Agent(node), opened_invite(made.stdout)["secret"])).status == 200


def assigned(server: Serving) -> list[str]:
    nodes = server.get("/v1/contracts/lease/status").json["nodes"]
    return [node["node"] for node in nodes]


def test_an_invite_names_its_line_item_where_there_are_several(command: Command) -> None:
    options = ("--side", "provider", "--node", "n")
    assert "name one of the resources of lease: h100, spared" in command("invite", *options).stderr
    assert command("invite", *options, "--resource", "spared").returncode == 0


def test_there_is_no_invite_for_a_node_without_a_place_until_one_is_released(
    server: Serving, command: Command
) -> None:
    enrolled(server, command, "z", "spared")
    enrolled(server, command, "y", "spared")
    wanted = ("--side", "provider", "--node", "a", "--resource", "spared")
    refused = command("invite", *wanted)
    assert refused.returncode == 2
    assert "places for 2 nodes of spared, spares included, and holds z, y" in refused.stderr
    again = ("--side", "lessee", "--node", "z", "--resource", "spared")
    assert command("invite", *again).returncode == 0
    enrolled(server, command, "x", "h100")
    released = command("release", "--node", "z")
    assert "lease holds z no more" in released.stdout
    enrolled(server, command, "a", "spared")
    assert assigned(server) == ["a", "x", "y"]
    assert "holds no node z" in command("release", "--node", "z").stderr


def test_only_the_one_who_runs_the_collector_releases(server: Serving) -> None:
    content = json.dumps({"contract": "lease", "node": "n"}).encode()
    assert server.request("POST", "/v1/claims/release", content).status in (401, 403)
