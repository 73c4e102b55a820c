"""Bad luck between real processes: nobody is accused for it, and no cheat is met by it.

The arithmetic of it is in `tests/weighbridge/challenge/test_unlucky.py`.
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.collector.answering import Challenged, ask
from tests.collector.building import CONTRACT, Agent, Serving, make_store, serving, wait_for
from weighbridge.challenge.messages import Decline, Reveal, decode_message, encode_message
from weighbridge.challenge.work import MARGIN_US
from weighbridge.log.entries import EntryKind, payload_type
from weighbridge.wire.report import canonical
from weighbridge.wire.signing import open_envelope

DEADLINE_MS = 1500
PASSES: dict[str, Any] = {
    "rounds": 4,
    "tiles": 3,
    "memory_passes": 3,
    "memory_samples": 8,
    "ceiling_flops_per_second": 1_000_000,
}


@pytest.fixture
def agents() -> list[Agent]:
    return [Agent("n1", gpus=1), Agent("n2", gpus=1)]


@pytest.fixture
def store(tmp_path: Path, agents: list[Agent]) -> Path:
    return make_store(tmp_path / "store", agents, CONTRACT.replace("nodes: 1}", "nodes: 2}"))


@pytest.fixture
def server(store: Path) -> Iterator[Serving]:
    with serving(store) as running:
        yield running


@pytest.fixture
def node(server: Serving, agents: list[Agent]) -> Challenged:
    return Challenged(server, agents[0])


def accused(server: Serving) -> list[str]:
    """Findings of challenges that are breached."""
    lines = server.get("/metrics").body.decode().splitlines()
    return [
        line
        for line in lines
        if line.startswith("weighbridge_finding_active")
        and 'check="challenge' in line
        and 'verdict="breached"' in line
    ]


def finished(node: Challenged, series: str, roots: int = 1) -> Any:
    """The attempt is answered honestly from the release on."""
    for _ in range(roots):
        node.answered("roots")
    node.answered("openings")
    return node.ended(series)["attempts"]


def passed(since: float, seconds: float) -> bool:
    return time.monotonic() - since > seconds


@pytest.mark.parametrize("computed", [True, False], ids=["honest", "a card that is not there"])
def test_a_verifier_that_is_stopped_for_longer_than_a_deadline_voids_the_attempt(
    node: Challenged, computed: bool
) -> None:
    """And asks anew at once: the honest prover is met, and one that has no answer is not assessed."""
    series = node.begin(deadline_ms=DEADLINE_MS)
    node.answered("ready")
    command = node.heard()
    server = node.server
    os.kill(server.process.pid, signal.SIGSTOP)
    stopped = time.monotonic()
    try:
        wait_for(lambda: passed(stopped, 2 * DEADLINE_MS / 1000), "longer than the deadline")
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    challenge = decode_message(command).challenge
    node.post(challenge, "roots", node.sealed(node.prober.answer(command)))
    node.answered("ready")
    if computed:
        attempts = finished(node, series)
    else:
        node.heard()
        attempts = node.ended(series)["attempts"]
    first, second = ((one["verdict"], one["reason"]) for one in attempts)
    assert first == ("void", "verifier stood still")
    assert second == (("met", None) if computed else ("not assessed", "no answer"))
    assert accused(server) == []


def test_a_connection_lost_after_ready_costs_the_time_until_it_is_asked_again(
    node: Challenged,
) -> None:
    series = node.begin()
    node.answered("ready")
    lost = node.heard()
    again = node.heard()
    assert again == lost, "the same release, whose time runs on"
    challenge = decode_message(again).challenge
    assert node.post(challenge, "roots", node.sealed(node.prober.answer(again))).status == 200
    node.answered("openings")
    (attempt,) = node.ended(series)["attempts"]
    assert attempt["verdict"] == "met"


def test_a_reply_with_the_next_command_that_is_lost_is_asked_for_again(node: Challenged) -> None:
    """And an answer whose receipt was lost is brought again, and counts once."""
    series = node.begin()
    node.answered("ready")
    command = node.heard()
    challenge = decode_message(command).challenge
    roots = node.sealed(node.prober.answer(command))
    reply = node.post(challenge, "roots", roots)
    assert reply.status == 200
    assert reply.json["command"] is not None
    assert node.post(challenge, "roots", roots).status != 200
    reveal = node.heard()
    assert isinstance(decode_message(reveal), Reveal)
    openings = node.sealed(node.prober.answer(reveal))
    assert node.post(challenge, "openings", openings).status == 200
    (attempt,) = node.ended(series)["attempts"]
    assert (attempt["verdict"], accused(node.server)) == ("met", [])


def test_an_answer_after_the_reveal_that_comes_again_later_is_taken(node: Challenged) -> None:
    """The openings are not timed but by the deadline."""
    series = node.begin()
    challenge, openings = node.to_the_openings()
    path = f"/v1/challenges/{challenge}/openings"
    node.pouring(path, len(openings), 100, **node.named()).close()
    answered = wait_for(
        lambda: node.post(challenge, "openings", openings).status == 200, "it to be taken"
    )
    (attempt,) = node.ended(series)["attempts"]
    assert (answered, attempt["verdict"]) == (True, "met")


def links(server: Serving) -> list[Any]:
    """What telemetry entries say."""
    rows = server.get("/v1/log/entries?limit=1000").json
    envelopes = [open_envelope(row["envelope"].encode()) for row in rows]
    kind = payload_type(EntryKind.TELEMETRY)
    return [json.loads(one.payload) for one in envelopes if one.payload_type == kind]


def started_anew(agent: Agent) -> bytes:
    """Its first report of another boot, which began a second ago."""
    told = json.loads(agent.payload(inventory=agent.inventory(), boot="another"))
    told["clock"] |= {"wall_us": time.time_ns() // 1000, "boottime_us": 1_000_000}
    told["blocks"][0]["boottime_us"] = [1_000_000]
    return agent.seal(canonical(told))


def test_a_reboot_in_the_run_is_void_once_its_reports_show_it_and_the_next_challenge_is_met(
    node: Challenged, agents: list[Agent]
) -> None:
    series = node.begin(deadline_ms=DEADLINE_MS)
    node.answered("ready")
    node.heard()
    (attempt,) = node.ended(series)["attempts"]
    assert (attempt["verdict"], attempt["reason"]) == ("not assessed", "no answer")
    since = time.monotonic()
    wait_for(lambda: passed(since, 2 * MARGIN_US / 1e6), "samples to be behind the end for sure")
    booted = Agent("n1", gpus=1)
    booted.signer = agents[0].signer
    assert node.server.report(started_anew(booted)).status == 200
    wait_for(lambda: links(node.server), "its reports to be linked")
    assert [one["rebooted"] for one in links(node.server)] == [True]
    series = node.begin()
    node.answered("ready")
    (attempt,) = finished(node, series)
    assert (attempt["verdict"], accused(node.server)) == ("met", [])


def test_who_declines_again_and_again_is_never_met_and_never_failed(node: Challenged) -> None:
    """Budget, a tenant, an NVML that is paused: whoever says so on purpose has no proof, and is counted."""
    for reason in ("no_budget", "busy", "interrupted"):
        series = node.begin()
        challenge = decode_message(node.heard()).challenge
        declined = node.sealed(encode_message(Decline(challenge, reason)))
        assert node.post(challenge, "ready", declined).status == 200
        (attempt,) = node.ended(series)["attempts"]
        assert attempt["verdict"] == "not assessed"
    assert accused(node.server) == []


def test_a_group_waits_for_its_slowest_member_and_times_nobody_meanwhile(
    server: Serving, agents: list[Agent]
) -> None:
    quick, slow = (Challenged(server, agent) for agent in agents)
    wait_for(lambda: server.get("/readyz").status == 200, "it to be ready")
    wanted = {
        "nodes": ["n1", "n2"],
        "contract": None,
        "policy": {"profile": "f16", "size": 128, "rounds": 2, "samples": 8},
    }
    first, second = ask(server, "POST", "/v1/challenges", wanted)["challenges"]
    quick.answered("ready")
    began = time.monotonic()
    wait_for(lambda: passed(began, 1.0), "the slow member to make ready")
    slow.answered("ready")
    waited_ns = (time.monotonic() - began) * 1e9
    for node, series in ((quick, first["id"]), (slow, second["id"])):
        (attempt,) = finished(node, series)
        assert attempt["verdict"] == "met"
        assert attempt["elapsed_ns"][0] < waited_ns
    assert accused(server) == []


def test_a_prover_that_pauses_between_two_phases_pays_for_the_pause(node: Challenged) -> None:
    """The next release is due when the roots of the last one are here, wherever the prover is."""
    series = node.begin(**PASSES)
    node.answered("ready")
    node.answered("roots")
    began = time.monotonic()
    wait_for(lambda: passed(began, 1.0), "the other half of a card that is sold twice to be done")
    paused_ns = (time.monotonic() - began) * 1e9
    node.answered("roots")
    node.answered("openings")
    (attempt,) = node.ended(series)["attempts"]
    assert attempt["elapsed_ns"][1] > paused_ns
