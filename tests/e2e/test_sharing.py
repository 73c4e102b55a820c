"""Several contracts on one collector: a node divided by devices, a GPU sold twice, and what a tenant may read."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.stage import Collector, Node, Stage, lease, wait_for
from weighbridge.wire.report import digest

TENANTS = {"north": "the token of north's lessee", "south": "the token of south's provider"}
ROLES = {"north": "lessee:lessee/north", "south": "provider:provider/south"}


@pytest.fixture(scope="module")
def divided(
    tmp_path_factory: pytest.TempPathFactory, library: Path
) -> Iterator[tuple[Collector, Node]]:
    """One node of four GPUs: two are leased to north, two to south, by their UUIDs."""
    stage = Stage(tmp_path_factory.mktemp("divided"), library)
    tokens = [
        line
        for name, token in TENANTS.items()
        for line in (
            "[[tokens]]",
            f'sha256 = "{digest(token.encode())}"',
            f'role = "{ROLES[name]}"',
        )
    ]
    collector = stage.serving(lease("north"), lease("south"), settings=tokens)
    node = stage.node("shared", collector, 4)
    for name, places in (("north", (0, 1)), ("south", (2, 3))):
        node.enroll(collector.invite("shared", name, [node.gpu(place) for place in places]))
    node.start()
    collector.healthy(2, "north")
    collector.healthy(2, "south")
    yield collector, node
    stage.close()


def test_a_fault_of_one_tenants_gpu_is_not_the_others(divided: tuple[Collector, Node]) -> None:
    collector, node = divided
    node.play("lost 3", "set 0 nvmlDeviceGetCurrPcieLinkWidth 8")
    wait_for(lambda: collector.breaches("south"), "the lost GPU")
    wait_for(lambda: collector.breaches("north"), "the narrow link")
    assert collector.breaches("south") == {("gpu_lost", node.gpu(3))}
    assert collector.breaches("north") == {("pcie_narrow", node.gpu(0))}
    node.play()
    collector.healthy(2, "north")
    collector.healthy(2, "south")
    assert not {"duplicate_device", "gpu_missing"} & set(
        collector.codes("north") + collector.codes("south")
    )
    states = {row["state"] for rows in collector.timeline("north").values() for row in rows}
    assert states == {"up", "degraded"}


def status_of(collector: Collector, path: str, tenant: str) -> int:
    return collector.request("GET", path, token=TENANTS[tenant]).status


def test_a_tenant_reads_their_contract_and_nothing_of_another(
    divided: tuple[Collector, Node], stage: Stage
) -> None:
    collector, node = divided
    collector.add(lease("east"))
    other = stage.reporting(collector, "east-node", 2, "east")
    mine, others = [node.gpu(0), node.gpu(1)], [node.gpu(2), node.gpu(3), other.gpu(0)]
    for path in ("", "/status", "/findings", "/history", "/timeline"):
        assert status_of(collector, f"/v1/contracts/north{path}", "north") == 200
        assert status_of(collector, f"/v1/contracts/south{path}", "north") == 404
        assert status_of(collector, f"/v1/contracts/north{path}", "south") == 404
        assert status_of(collector, f"/v1/contracts/absent{path}", "north") == 404
    assert [status_of(collector, f"/v1/gpus/{uuid}", "north") for uuid in mine] == [200, 200]
    assert [status_of(collector, f"/v1/gpus/{uuid}", "north") for uuid in others] == [404] * 3
    assert status_of(collector, "/v1/nodes/east-node", "north") == 404
    assert status_of(collector, "/nodes/east-node", "north") == 404
    assert status_of(collector, "/contracts/south", "north") == 404
    for path in ("/", "/v1/contracts", "/v1/nodes", "/v1/nodes/shared", "/nodes/shared"):
        said = collector.request("GET", path, token=TENANTS["north"])
        assert said.status == 200
        assert not [word for word in ("south", "east", *others) if word.encode() in said.body]


def test_a_tenant_reads_heads_of_the_log_but_no_entry_and_changes_nothing(
    divided: tuple[Collector, Node],
) -> None:
    collector, _ = divided
    assert status_of(collector, "/v1/log/head", "north") == 200
    assert status_of(collector, "/v1/log/proof?index=0", "north") == 200
    forbidden = ("/v1/log/entries?start=0&limit=10", "/metrics", "/metrics/gpus/0", "/v1/keys")
    assert [status_of(collector, path, "north") for path in forbidden] == [403] * 4
    token = TENANTS["north"]
    for path, body in (("/v1/contracts", lease("mine").encode()), ("/v1/invites", b"{}")):
        assert collector.request("POST", path, body, token).status == 403
    assert collector.request("GET", "/v1/contracts", token="a guess").status == 401


def test_a_uuid_under_two_exclusive_contracts_is_contested_for_both(
    stage: Stage, collector: Collector
) -> None:
    collector.add(lease("first"))
    collector.add(lease("second"))
    one = stage.reporting(collector, "first-node", 2, "first")
    other = stage.node("second-node", collector)
    other.play(f"set 0 nvmlDeviceGetUUID {one.gpu(0)}")
    other.enroll(collector.invite(other.name, "second"))
    other.start()
    sold_twice = {("duplicate_device", one.gpu(0))}
    for contract in ("first", "second"):
        wait_for(lambda: collector.breaches(contract) == sold_twice, "the GPU sold twice")  # noqa: B023
        wait_for(lambda: contested(collector, contract), "contested time")  # noqa: B023
        assert contested(collector, contract) == {one.gpu(0)}
        assert collector.counts(contract)["healthy"] == 1


def contested(collector: Collector, contract: str) -> set[str]:
    rows = collector.pages(f"/v1/contracts/{contract}/timeline")
    return {row["device"] for row in rows if row["state"] == "contested"}
