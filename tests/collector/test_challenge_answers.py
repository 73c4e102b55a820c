"""Answers to challenges as bytes over the network: as large as the policy's arithmetic says, from whom it concerns."""

from collections.abc import Iterator
from typing import Any

import pytest
import zstandard

from agent.probe.cpu import CpuEngine
from collector.cli.challenge import described
from collector.client import CollectorError
from tests.collector.answering import POLICY, Challenged
from tests.collector.building import CONTRACT, Agent, Serving, make_store, serving, wait_for
from weighbridge.catalogue.tables import skus
from weighbridge.challenge.ceiling import ceiling_flops_per_second
from weighbridge.challenge.messages import Decline, Prepare, decode_message, encode_message
from weighbridge.challenge.policy import Policy
from weighbridge.challenge.sizes import largest_openings

MANY = {"samples": 6000}
"""Openings of over 8 MiB from matrices of 128 rows."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    agents = [Agent("n1", gpus=1)]
    directory = make_store(tmp_path_factory.mktemp("answers") / "store", agents, CONTRACT)
    with serving(directory) as running:
        running.agents = agents  # type: ignore[attr-defined]
        yield running


@pytest.fixture(scope="module")
def node(server: Serving) -> Challenged:
    return Challenged(server, server.agents[0])  # type: ignore[attr-defined]


def limit(**changes: Any) -> int:
    return largest_openings(Policy(**(POLICY | changes)), 1)


@pytest.mark.parametrize("compressed", [False, True])
def test_openings_of_more_than_a_body_of_reports_are_taken(
    node: Challenged, compressed: bool
) -> None:
    series = node.begin(**MANY)
    challenge, openings = node.to_the_openings()
    assert 8 << 20 < len(openings) <= limit(**MANY)
    if compressed:
        answer = node.post(
            challenge, "openings", zstandard.compress(openings), Content_Encoding="zstd"
        )
    else:
        answer = node.post(challenge, "openings", openings)
    assert answer.status == 200, answer.body
    assert node.ended(series)["attempts"][-1]["verdict"] == "met"


def test_one_byte_more_than_the_policy_needs_is_not_taken(node: Challenged) -> None:
    series = node.begin()
    challenge, openings = node.to_the_openings()
    too_much = b"x" * (limit() + 1)
    assert node.post(challenge, "openings", too_much).json["code"] == "too_large"
    bomb = zstandard.compress(bytes(limit() + 1))
    assert len(bomb) < 1000
    refused = node.post(challenge, "openings", bomb, Content_Encoding="zstd")
    assert refused.json["code"] == "too_large"
    chunked = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(limit() + 1))
    refused = node.post(challenge, "openings", chunked, Content_Encoding="zstd")
    assert refused.json["code"] == "too_large"
    assert node.post(challenge, "openings", openings).status == 200, "and nothing is spoilt by it"
    assert node.ended(series)["attempts"][-1]["verdict"] == "met"


@pytest.mark.parametrize(
    ("named", "holds"),
    [
        ({}, {}),
        ({"ceiling_flops_per_second": 0}, {}),
        ({"ceiling_flops_per_second": 7, "helper_cards": 0},) * 2,
    ],
)
def test_a_challenge_by_hand_has_the_ceiling_of_the_nodes_class_unless_it_names_one(
    node: Challenged, named: dict[str, int], holds: dict[str, int]
) -> None:
    """And all other GPUs of the node may help: several cards that answer for one are found by hand too. A calibration
    knows of no ceiling, which is 0."""
    series = node.begin(**named)
    command = decode_message(node.heard())
    assert isinstance(command, Prepare)
    known = ceiling_flops_per_second(skus()["H100-SXM-80GB"], "f16")
    expected = {"ceiling_flops_per_second": known, "helper_cards": 7} | holds
    assert {name: getattr(command.policy, name) for name in expected} == expected
    declined = node.sealed(encode_message(Decline(command.challenge, "no_budget")))
    assert node.post(command.challenge, "ready", declined).status == 200
    assert node.ended(series)["attempts"][-1]["verdict"] == "not assessed"


@pytest.mark.parametrize("step", ["ready", "roots", "openings"])
def test_a_body_for_a_challenge_that_does_not_exist_is_refused_before_it_comes(
    node: Challenged, step: str
) -> None:
    path = f"/v1/challenges/0123456789abcdef.1/{step}"
    with node.pouring(path, 1 << 30, 10, **node.named()) as connection:
        answer = connection.recv(1000)
    assert answer.startswith(b"HTTP/1.1 404 ")


def test_nobody_but_the_challenged_agent_gets_a_byte_in(node: Challenged) -> None:
    series = node.begin()
    challenge, openings = node.to_the_openings()
    path = f"/v1/challenges/{challenge}/openings"
    for headers in ({}, {"Weighbridge_Poll": "rubbish"}):
        with node.pouring(path, len(openings), 10, **headers) as connection:
            assert connection.recv(1000).startswith(b"HTTP/1.1 400 ")
    heard = node.named()
    stranger = Challenged.named(_Stranger(node))  # type: ignore[arg-type]
    with node.pouring(path, len(openings), 10, **stranger) as connection:
        assert connection.recv(1000).startswith(b"HTTP/1.1 401 ")
    assert node.server.request("POST", path, openings, **heard).status == 200
    assert node.server.request("POST", path, openings, **heard).json["code"] == "sequence"
    assert node.ended(series)["attempts"][-1]["verdict"] == "met"


class _Stranger:
    """Somebody whose key nobody enrolled, and who knows everything else."""

    def __init__(self, node: Challenged) -> None:
        self.agent, self.log_key, self.number = Agent("n1", gpus=1), node.log_key, node.number


def test_one_answer_of_a_challenge_comes_in_at_a_time(node: Challenged) -> None:
    series = node.begin()
    challenge, openings = node.to_the_openings()
    path = f"/v1/challenges/{challenge}/openings"
    with node.pouring(path, len(openings), 10, **node.named()):
        wait_for(lambda: node.post(challenge, "openings", b"{}").status == 503, "a refusal")
        second = node.post(challenge, "openings", openings)
        assert (second.json["code"], second.headers["Retry-After"]) == ("overloaded", "1")
    wait_for(lambda: node.post(challenge, "openings", openings).status == 200, "room for it")
    assert node.ended(series)["attempts"][-1]["verdict"] == "met"


def test_openings_that_trickle_past_the_deadline_are_none_and_hold_nothing(
    node: Challenged,
) -> None:
    series = node.begin(deadline_ms=2000, attempts_allowed=1)
    challenge, openings = node.to_the_openings()
    path = f"/v1/challenges/{challenge}/openings"
    with node.pouring(path, len(openings), 10, **node.named()) as connection:
        assert connection.recv(1000).startswith(b"HTTP/1.1 503 ")
    ended = node.ended(series)["attempts"][-1]
    assert (ended["verdict"], ended["reason"]) == ("not assessed", "no answer")


def test_a_policy_whose_answers_could_not_be_taken_is_refused_at_once(node: Challenged) -> None:
    with pytest.raises(CollectorError, match=r"of 1 GPUs would be .* fewer samples"):
        node.begin(size=32768, samples=1024, check="freivalds")


def test_a_prover_of_another_program_is_not_released_and_both_are_named(node: Challenged) -> None:
    own, other = CpuEngine().program().hex(), "ab" * 32
    series = node.begin(program=other)
    node.answered("ready")
    ended = node.ended(series)
    (attempt,) = ended["attempts"]
    assert (attempt["verdict"], attempt["series_verdict"]) == ("not assessed", "not assessed")
    assert (ended["program_asked"], attempt["program"]) == (other, own)
    assert f"another program answered: {own}; the requirements are of {other}" in described(ended)
