"""Who may speak for a node: invites, enrolment, revocation and rotation, by the commands and over HTTP."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from collector import control
from collector.client import CollectorError
from tests.collector.building import (
    CONTRACT,
    Agent,
    Answered,
    Serving,
    enrolled,
    log_signer,
    make_store,
    opened,
    opened_invite,
    serving,
    set_config,
    weighbridge,
)
from weighbridge.contract.scalars import instant_text
from weighbridge.log.entries import EntryKind, payload_type
from weighbridge.wire.report import canonical
from weighbridge.wire.signing import key_id, open_envelope

URL = "http://collector.example:8470"


def request(agent: Agent, secret: str, **changes: str) -> bytes:
    key = agent.signer.public_key
    message = b"\n".join([b"weighbridge-enroll", secret.encode(), agent.node.encode(), key])
    signature = agent.signer.sign_bytes(message).hex()
    content = {
        "secret": secret,
        "node": agent.node,
        "public_key": key.hex(),
        "signature": signature,
    }
    return canonical(content | changes)


def add_wide_contract(directory: Path, scratch: Path) -> None:
    """The contract `lease`, with places for every node here."""
    file = scratch / "wide.yaml"
    file.write_text(CONTRACT.replace("nodes: 1", "nodes: 40"))
    weighbridge("contract", "add", file, "--config", directory / "config.toml")


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    scratch = tmp_path_factory.mktemp("collector")
    directory = make_store(scratch / "store")
    set_config(directory, url=f'"{URL}"')
    add_wide_contract(directory, scratch)
    with serving(directory) as server:
        yield server


Invite = Callable[..., str]


@pytest.fixture
def invite(collector: Serving) -> Invite:
    """Invites by the command, while the collector runs; answers with the secret."""

    def invited(node: str, *options: str) -> str:
        config = collector.directory / "config.toml"
        arguments = ("invite", "lease", "--side", "provider", "--node", node, "--config", config)
        content = opened_invite(weighbridge(*arguments, *options).stdout)
        assert (content["url"], content["ca"], content["node"]) == (URL, None, node)
        assert content["log_key"] == log_signer(collector.directory).public_key.hex()
        return str(content["secret"])

    return invited


def enroll(collector: Serving, content: bytes) -> Answered:
    return collector.request("POST", "/v1/enroll", content)


def assigned(collector: Serving) -> list[dict[str, Any]]:
    """The payloads of all assignments in the log."""
    found = [
        open_envelope(entry["envelope"].encode())
        for entry in collector.get("/v1/log/entries?limit=1000").json
    ]
    kind = payload_type(EntryKind.ASSIGNMENT)
    return [json.loads(one.payload) for one in found if one.payload_type == kind]


def code(answer: Answered) -> tuple[int, str]:
    return answer.status, answer.json["code"]


def keys(collector: Serving, *arguments: str) -> str:
    config = collector.directory / "config.toml"
    return weighbridge("key", *arguments, "--config", config).stdout


def test_an_invited_agent_enrolls_and_reports(collector: Serving, invite: Invite) -> None:
    agent = Agent("invited", gpus=1)
    assert code(collector.report(agent.seal(agent.payload()))) == (401, "unknown_key")
    answer = enroll(collector, request(agent, invite("invited")))
    assert answer.status == 200, answer.body
    origin = json.loads((collector.directory / "store.json").read_text())["origin"]
    assert answer.json == {
        "node": "invited",
        "key_id": key_id(agent.signer.public_key),
        "origin": origin,
        "log_key": log_signer(collector.directory).public_key.hex(),
    }
    assert collector.report(agent.next()).status == 200
    assert collector.get("/v1/contracts/lease/status").json["gpus"]["reporting"] >= 0


def test_a_witness_speaks_and_is_assigned_to_nothing(collector: Serving, invite: Invite) -> None:
    agent = Agent("berlin", gpus=1)
    before = assigned(collector)
    secret = invite("berlin", "--side", "witness")
    assert enroll(collector, request(agent, secret)).status == 200
    assert collector.report(agent.next()).status == 200
    assert assigned(collector) == before
    assert collector.request("GET", "/v1/nodes/berlin", b"").status == 404


def test_enrolling_again_with_the_same_key_gets_the_same_answer(
    collector: Serving, invite: Invite
) -> None:
    agent = Agent("again")
    content = request(agent, invite("again"))
    first = enroll(collector, content)
    size = collector.get("/v1/log/head").json["size"]
    assert enroll(collector, content).json == first.json
    kinds = [
        json.loads(row["envelope"])["payloadType"]
        for row in collector.get(f"/v1/log/entries?start={size}").json
    ]
    assert {kind for kind in kinds if "tick" not in kind} == set()


def test_an_invite_names_the_line_item_that_the_node_serves(
    collector: Serving, tmp_path: Path
) -> None:
    item = next(line for line in CONTRACT.splitlines() if "id: h100" in line)
    both = CONTRACT.replace("contract_id: lease", "contract_id: two-items")
    file = tmp_path / "two.yaml"
    file.write_text(both.replace(item, f"{item}\n{item.replace('h100', 'second')}"))
    weighbridge("contract", "add", file, "--config", collector.directory / "config.toml")

    def invited(resource: str | None) -> str:
        wanted: dict[str, Any] = {"contract": "two-items", "side": "provider", "node": "n-two"}
        wanted |= {"devices": None, "resource": resource, "life_seconds": 60}
        said = control.request(collector.directory, "POST", "/v1/invites", wanted)
        return str(opened_invite(said["invite"])["secret"])

    with pytest.raises(
        CollectorError, match="name one of the resources of two-items: h100, second"
    ):
        invited(None)
    with pytest.raises(CollectorError, match="no resource third"):
        invited("third")
    assert enroll(collector, request(Agent("n-two"), invited("second"))).status == 200
    assignments = [entry for entry in assigned(collector) if entry["contract"] == "two-items"]
    assert [assignment["resource"] for assignment in assignments] == ["second"]


def test_an_invite_is_for_one_key(collector: Serving, invite: Invite) -> None:
    secret = invite("once")
    assert enroll(collector, request(Agent("once"), secret)).status == 200
    assert code(enroll(collector, request(Agent("once"), secret))) == (409, "invite_used")


def test_an_invite_is_for_one_node(collector: Serving, invite: Invite) -> None:
    answer = enroll(collector, request(Agent("elsewhere"), invite("here")))
    assert code(answer) == (404, "invite_unknown")
    assert code(enroll(collector, request(Agent("here"), "guess"))) == (404, "invite_unknown")


def test_a_request_that_its_key_did_not_sign_is_refused(collector: Serving, invite: Invite) -> None:
    agent, other = Agent("signed"), Agent("signed")
    secret = invite("signed")
    stolen = request(agent, secret, public_key=other.signer.public_key.hex())
    assert code(enroll(collector, stolen)) == (400, "bad_signature")
    assert code(enroll(collector, request(agent, secret, signature="zz"))) == (400, "bad_signature")
    assert code(enroll(collector, request(agent, secret) + b" ")) == (400, "not_canonical")
    assert code(enroll(collector, b"{}")) == (400, "malformed")


def test_a_second_invite_adds_an_assignment_and_keeps_the_key(
    collector: Serving, invite: Invite
) -> None:
    agent = Agent("twice")
    for _ in range(2):
        assert enroll(collector, request(agent, invite("twice"))).status == 200
    listed = keys(collector, "list")
    assert listed.count("twice") == 1
    assert collector.report(agent.next()).status == 200


def test_a_new_key_for_a_node_replaces_the_old_one(collector: Serving, invite: Invite) -> None:
    old, new = Agent("reimaged"), Agent("reimaged")
    assert enroll(collector, request(old, invite("reimaged"))).status == 200
    assert collector.report(old.next()).status == 200
    assert enroll(collector, request(new, invite("reimaged"))).status == 200
    assert code(collector.report(old.next())) == (403, "revoked_key")
    assert collector.report(new.next()).status == 200


def test_a_key_is_revoked_from_no_instant_at_which_it_did_not_speak(
    collector: Serving, invite: Invite
) -> None:
    agent = Agent("stolen")
    assert enroll(collector, request(agent, invite("stolen"))).status == 200
    config = collector.directory / "config.toml"
    words = ("key", "revoke", agent.signer.key_id, "--reason", "stolen", "--config", config)
    for since, said in {
        "2020-01-01T00:00:00Z": "began to speak after that instant",
        "2199-01-01T00:00:00Z": "lies ahead",
        "yesterday": "--from: ",
    }.items():
        done = weighbridge(*words, "--from", since, check=False)
        assert done.returncode == 2
        assert said in done.stderr


def test_a_revoked_key_speaks_no_more_and_never_again(collector: Serving, invite: Invite) -> None:
    agent = Agent("revoked")
    assert enroll(collector, request(agent, invite("revoked"))).status == 200
    assert collector.report(agent.next()).status == 200
    beginning = agent.signer.key_id[:12]
    assert "is revoked by entry" in keys(collector, "revoke", beginning, "--reason", "stolen")
    assert code(collector.report(agent.next())) == (403, "revoked_key")
    assert code(enroll(collector, request(agent, invite("revoked")))) == (403, "revoked_key")
    line = next(row for row in keys(collector, "list").splitlines() if beginning in row)
    assert "revoked at" in line
    assert "stolen" in line


def test_the_instant_from_which_a_revoked_key_does_not_count_moves_back_alone(
    collector: Serving, invite: Invite
) -> None:
    agent = Agent("moved")
    assert enroll(collector, request(agent, invite("moved"))).status == 200
    path, us = f"/v1/keys/{agent.signer.key_id}/revoke", time.time_ns() // 1000 + 1

    def revoked(from_us: int | None) -> None:
        wanted = {"reason": "stolen", "from_us": from_us}
        control.request(collector.directory, "POST", path, wanted)

    revoked(None)
    for refused in (None, us + 10**12):
        with pytest.raises(CollectorError, match="only be moved earlier"):
            revoked(refused)
    revoked(us + 1)
    for refused in (us + 1, us + 2, None):
        earlier = f"only be moved earlier than {instant_text(us + 1)}"
        with pytest.raises(CollectorError, match=earlier):
            revoked(refused)
    revoked(us)
    with pytest.raises(CollectorError, match="began to speak after that instant"):
        revoked(0)
    listed = [
        row for row in keys(collector, "list").splitlines() if agent.signer.key_id[:16] in row
    ]
    assert len(listed) == 1
    assert listed[0].endswith(f"its word does not count since {instant_text(us)}")


def test_a_rotated_key_speaks_until_its_successor_enrolls(
    collector: Serving, invite: Invite
) -> None:
    old, new = Agent("rotated"), Agent("rotated")
    assert enroll(collector, request(old, invite("rotated"))).status == 200
    secret = opened_invite(keys(collector, "rotate", old.signer.key_id))["secret"]
    assert collector.report(old.next()).status == 200
    assert enroll(collector, request(new, secret)).status == 200
    assert code(collector.report(old.next())) == (403, "revoked_key")
    assert collector.report(new.next()).status == 200


def test_an_unknown_contract_or_key_is_an_error_in_one_line(collector: Serving) -> None:
    config = collector.directory / "config.toml"
    arguments = ("invite", "nothing", "--side", "provider", "--node", "n", "--config", config)
    failed = weighbridge(*arguments, check=False)
    assert (failed.returncode, failed.stderr.strip()) == (
        2,
        "weighbridge: there is no contract nothing",
    )
    revoke = ("key", "revoke", "ffff", "--reason", "x", "--config", config)
    assert "0 keys begin with" in weighbridge(*revoke, check=False).stderr


def test_the_commands_work_while_no_collector_runs(tmp_path: Path) -> None:
    agent = Agent("n1", gpus=1)
    directory = make_store(tmp_path / "store", [agent])
    set_config(directory, url=f'"{URL}"')
    add_wide_contract(directory, tmp_path)
    config = directory / "config.toml"
    line = weighbridge("invite", "lease", "--side", "lessee", "--node", "n2", "--config", config)
    guest = Agent("n2")
    weighbridge("key", "revoke", agent.signer.key_id, "--reason", "x", "--config", config)
    with serving(directory) as server:
        assert code(server.report(agent.next())) == (403, "revoked_key")
        assert enroll(server, request(guest, opened_invite(line.stdout)["secret"])).status == 200


@pytest.mark.parametrize(
    ("trusted", "named"), [("127.0.0.0/8", "198.51.100.7"), ("10.0.0.0/8", "127.0.0.1")]
)
def test_a_forwarded_address_is_believed_from_a_trusted_proxy_alone(
    tmp_path: Path, trusted: str, named: str
) -> None:
    directory = make_store(tmp_path / "store", contract=CONTRACT)
    set_config(directory, url=f'"{URL}"', trusted_proxies=f'["{trusted}"]')
    options = ("--side", "provider", "--node", "n1", "--config", directory / "config.toml")
    with serving(directory) as server:
        secret = opened_invite(weighbridge("invite", "lease", *options).stdout)["secret"]
        forwarded = {"X_Forwarded_For": "203.0.113.9, 198.51.100.7"}
        content = request(Agent("n1"), secret)
        assert server.request("POST", "/v1/enroll", content, **forwarded).status == 200
        server.stop()
    assert f"speaks for n1, enrolled from {named}\n" in (directory / "serve.stderr").read_text()


@pytest.mark.parametrize("hours", ["0", "-1", "8785"])
def test_an_invite_is_good_for_an_hour_to_a_year(tmp_path: Path, hours: str) -> None:
    config = make_store(tmp_path / "store", contract=CONTRACT) / "config.toml"
    options = ("--side", "provider", "--node", "n", "--hours", hours, "--config", config)
    failed = weighbridge("invite", "lease", *options, check=False)
    assert (failed.returncode, "--hours" in failed.stderr) == (2, True)


def test_a_name_that_no_node_can_have_is_refused_with_what_one_is(tmp_path: Path) -> None:
    config = make_store(tmp_path / "store", contract=CONTRACT) / "config.toml"
    options = ("--side", "provider", "--node", "node 1", "--config", config)
    failed = weighbridge("invite", "lease", *options, check=False)
    wanted = "node: must be letters, digits and . _ : / -, a letter or digit first"
    assert (failed.returncode, failed.stderr) == (2, f"weighbridge: {wanted}\n")


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "0.0.0.0:8470", "[::]:8470"])
def test_no_invite_leads_nowhere_and_none_is_entered_that_does(tmp_path: Path, listen: str) -> None:
    directory = make_store(tmp_path / "store", contract=CONTRACT)
    set_config(directory, listen=f'"{listen}"')
    options = ("--side", "provider", "--node", "n", "--config", directory / "config.toml")
    failed = weighbridge("invite", "lease", *options, check=False)
    assert failed.returncode == 2
    assert "url: say how agents reach this collector" in failed.stderr
    assert "Traceback" not in failed.stderr
    with opened(directory) as store:
        kinds = {entry.kind for entry in store.log.read(0, 1000)}
    assert EntryKind.INVITE not in kinds


def test_no_secret_stands_in_the_log_or_in_messages(collector: Serving, invite: Invite) -> None:
    secret = invite("secretive")
    enroll(collector, request(Agent("secretive"), secret))
    for file in collector.directory.rglob("*"):
        if file.is_file():
            assert secret.encode() not in file.read_bytes(), file
    assert enrolled(Agent("x")).secret_hash is None
