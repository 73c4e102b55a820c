"""Requests that wait for commands: who may, which one is served, and when a challenge is due."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest

from agent.command_poller import seal_poll
from collector.challenges.command_queue import CommandQueue, PollAuthenticator
from collector.challenges.exchange import GroupStart
from collector.challenges.schedule import LOOK_SECONDS, ChallengedItem, begin, draw
from collector.log.keys import KeyRing
from weighbridge.challenge.policy import Policy
from weighbridge.contract.challenge import ChallengeTerms
from weighbridge.log.entries import EntryKind, KeyChanged, entry, payload_type
from weighbridge.wire.problems import Problem
from weighbridge.wire.report import encode
from weighbridge.wire.signing import Signer, generate_private_key

LOG = Signer(bytes(range(32)))
AGENT = Signer(bytes(range(1, 33)))


def ring(*actions: str) -> KeyRing:
    """The key of n1 after these changes."""
    made = KeyRing()
    for index, action in enumerate(actions):
        change = KeyChanged(
            action=action,  # type: ignore[arg-type]
            key_id=AGENT.key_id,
            public_key=AGENT.public_key.hex(),
            node="n1",
            side="provider",
            secret_hash=None,
            reason="",
        )
        made.fold(entry(index, LOG.seal(payload_type(EntryKind.KEY), encode(change))))
    return made


def poll(number: int, node: str = "n1", log: Signer = LOG, signer: Signer = AGENT) -> str:
    return seal_poll(signer, node, log.public_key, number)


def refusal(authenticator: PollAuthenticator, header: str | None) -> Problem:
    with pytest.raises(Problem) as caught:
        authenticator.admit(header)
    return caught.value


def test_an_enrolled_key_is_admitted_once_for_each_number() -> None:
    authenticator = PollAuthenticator(ring("enrolled"), [LOG.public_key])
    assert authenticator.admit(poll(7)).node == "n1"
    again = refusal(authenticator, poll(7))
    assert (again.code, again.members) == ("sequence", {"expected": 8})
    assert authenticator.admit(poll(8)).node == "n1"


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "bad_signature"),
        ("rubbish \udcff", "bad_signature"),
        (poll(1, signer=Signer(generate_private_key())), "unknown_key"),
        (poll(1, node="n2"), "wrong_node"),
        (poll(1, log=AGENT), "malformed"),
        (poll(1).replace('"sig":"', '"sig":"AA'), "bad_signature"),
    ],
)
def test_whoever_is_not_the_agent_of_a_node_gets_no_command(header: str | None, code: str) -> None:
    assert refusal(PollAuthenticator(ring("enrolled"), [LOG.public_key]), header).code == code


def test_a_revoked_key_gets_no_command() -> None:
    authenticator = PollAuthenticator(ring("enrolled", "revoked"), [LOG.public_key])
    assert refusal(authenticator, poll(1)).code == "revoked_key"


async def test_the_newest_request_of_a_key_gets_the_command() -> None:
    commands = CommandQueue()
    first = asyncio.create_task(commands.wait("k", 60, lambda: True))
    await asyncio.sleep(0)
    second = asyncio.create_task(commands.wait("k", 60, lambda: True))
    assert await first is None
    assert commands.give("k", lambda: b"command")
    assert await second == b"command"
    assert len(commands) == 0


async def test_nothing_is_said_to_a_connection_that_has_gone() -> None:
    commands = CommandQueue()
    waiting = asyncio.create_task(commands.wait("k", 60, lambda: False))
    await asyncio.sleep(0)

    def speak() -> bytes:
        raise AssertionError("nobody hears it")

    assert not commands.give("k", speak)
    commands.close()
    assert await waiting is None
    with pytest.raises(Problem):
        await commands.wait("k", 60, lambda: True)


async def test_an_agent_that_comes_in_time_is_waited_for() -> None:
    commands = CommandQueue()
    present = asyncio.create_task(commands.present("k", 60))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(commands.wait("k", 60, lambda: True))
    assert await present
    assert not await commands.present("other", 0)
    commands.close()
    assert await waiting is None


async def test_a_group_starts_when_each_member_is_ready_or_has_dropped_out() -> None:
    start = GroupStart(3)
    ready = [asyncio.create_task(start.together()) for _ in range(2)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in ready)
    start.drop()
    await asyncio.gather(*ready)


def line(nodes: int, mean_interval_s: int, group: int = 1) -> ChallengedItem:
    names = [f"n{number}" for number in range(nodes)]
    policy = Policy(profile="f16", size=128, rounds=2, samples=8)
    return ChallengedItem("lease", names, ChallengeTerms(group=group), policy, mean_interval_s)


def test_each_node_comes_up_once_in_the_mean_interval_on_average() -> None:
    """10 nodes in groups of 2, each once in 100 s: a group every 20 s."""
    chance = random.Random(7)
    known, passed, groups = [line(10, 100, group=2)], 0.0, 0
    while groups < 2000:
        wait, due = draw(known, chance)
        assert wait <= LOOK_SECONDS
        passed += wait
        groups += due is not None
    assert passed / groups == pytest.approx(20, rel=0.1)


def test_lines_are_drawn_by_their_rates_and_nothing_is_due_where_there_is_none() -> None:
    chance = random.Random(7)
    often, seldom = line(90, 1), line(10, 1)
    drawn = [due for _, due in (draw([often, seldom], chance) for _ in range(2000))]
    assert drawn.count(often) / len(drawn) == pytest.approx(0.9, abs=0.03)
    assert draw([], chance) == (LOOK_SECONDS, None)


class Misfit:
    """Challenges in which one node shows GPUs that no policy fits."""

    def __init__(self) -> None:
        self.started: list[str] = []

    def subject(self, node: str, contract: str) -> Any:
        return f"{node} of {contract}"

    def require_fit(self, subject: str, policy: Policy) -> None:
        if subject.startswith("n1 "):
            raise Problem("malformed", f"{subject}, size {policy.size}: no peer")

    def start(self, subjects: Sequence[str], policy: Policy, cause: str) -> None:
        for subject in subjects:
            self.require_fit(subject, policy)
        self.started += subjects
        assert cause == "schedule"


def test_a_node_that_fits_no_policy_drops_out_of_its_group_and_saves_no_other_from_it() -> None:
    challenges = Misfit()
    fixed: Any = challenges
    begin(fixed, line(3, 100, group=3), random.Random(7))
    assert sorted(challenges.started) == ["n0 of lease", "n2 of lease"]
