"""Requests that wait for commands: who may, which one is served, and when a challenge is due."""

import asyncio
import random
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agent.command_poller import seal_poll
from collector.challenges.attempts import Challenges, Subject
from collector.challenges.command_queue import CommandQueue, PollAuthenticator
from collector.challenges.exchange import GroupStart
from collector.challenges.schedule import (
    LOOK_SECONDS,
    ChallengedItem,
    begin,
    draw,
    lines,
    unfit,
)
from collector.log.keys import KeyRing, NodeKey
from tests.weighbridge.scripted import contract_text
from weighbridge.challenge.policy import Policy
from weighbridge.challenge.record import SCHEDULE
from weighbridge.contract import loaded
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


def line(
    nodes: int, mean_interval_s: int, group: int = 1, contract: str = "lease", **changes: Any
) -> ChallengedItem:
    names = [f"{contract[0]}{number}" for number in range(nodes)]
    policy = Policy(profile="f16", size=128, rounds=100, samples=8, **changes)
    terms = ChallengeTerms(group=group)
    return ChallengedItem(contract, "Borealis", names, terms, policy, mean_interval_s, nodes)


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


class Asked:
    """Challenges that are begun; of a node that shows nothing, none can be."""

    def __init__(self, *blank: str) -> None:
        self.blank = blank
        self.begun: list[list[tuple[Subject, Policy]]] = []

    def subject(self, node: str, contract: str) -> Subject:
        key = cast("NodeKey", None)
        return Subject(node, contract, key, tuple(f"{node}-GPU-{place}" for place in range(8)))

    def require_fit(self, subject: Subject, policy: Policy) -> None:
        if subject.node in self.blank:
            raise Problem("malformed", f"{subject.node}, size {policy.size}: no peer")

    def start(self, asked: list[tuple[Subject, Policy]], cause: str) -> None:
        for subject, policy in asked:
            self.require_fit(subject, policy)
        self.begun.append(asked)
        assert cause == SCHEDULE


def begun(times: int, first: ChallengedItem, *others: ChallengedItem, blank: str = "") -> Asked:
    """What is asked when a line item's turn has come so often."""
    asked, chance = Asked(blank), random.Random(7)
    for _ in range(times):
        begin(cast("Challenges", asked), first, [first, *others], chance)
    return asked


def test_a_node_that_fits_no_policy_drops_out_of_its_group_and_saves_no_other_from_it() -> None:
    (group,) = begun(1, line(3, 100, group=3), blank="l1").begun
    assert sorted(subject.node for subject, _ in group) == ["l0", "l2"]


def test_a_group_is_drawn_from_all_nodes_of_the_provider_under_the_policy_of_each() -> None:
    """A card that serves two contracts answers for both in the same seconds."""
    lease, other = line(2, 100, group=3), line(2, 100, contract="other", deadline_ms=7)
    foreign = replace(line(50, 100, contract="stranger"), provider="Another")
    groups = begun(200, lease, other, foreign).begun
    assert {len(group) for group in groups} == {3}
    nodes = {subject.node for group in groups for subject, _ in group}
    assert nodes == {"l0", "l1", "o0", "o1"}
    for group in groups:
        assert any(subject.contract == "lease" for subject, _ in group)
        for subject, policy in group:
            assert (policy.deadline_ms == 7) == (subject.contract == "other")


def test_now_one_gpu_is_asked_now_some_now_all_and_never_for_the_same_time() -> None:
    """Fewer cards than are claimed can answer for few of them; several for one exceed what one can do."""
    asked = [group[0] for group in begun(300, line(1, 100)).begun]
    counts = [len(subject.gpus) for subject, _ in asked]
    assert set(counts) == set(range(1, 9))
    assert counts.count(1) > 60
    assert counts.count(8) > 60
    alone = {subject.gpus[0] for subject, _ in asked if len(subject.gpus) == 1}
    assert alone == {f"l0-GPU-{place}" for place in range(8)}
    rounds = [policy.rounds for _, policy in asked]
    assert (min(rounds), max(rounds)) == (100, 200)
    assert len(set(rounds)) > 80


def test_where_gpus_read_each_other_all_are_asked() -> None:
    passes: dict[str, Any] = {
        "tiles": 8,
        "memory_passes": 1,
        "memory_samples": 1,
        "peer_samples": 1,
    }
    links: dict[str, Any] = {"peer_tiles": 8, "peer_passes": 7, "device_memory_bytes": 1 << 20}
    peers = line(1, 100, ceiling_flops_per_second=1 << 40, **passes, **links)
    assert {len(group[0][0].gpus) for group in begun(50, peers).begun} == {1, 8}


@pytest.mark.parametrize(
    ("terms", "lines_left"),
    [
        ('rounds: "64"', 0),
        ('ceiling_flops_per_second: "989000000000000"', 1),
        ('at_least_flops_per_second: "700000000000000"', 1),
    ],
)
def test_a_later_table_of_cards_stops_no_schedule_and_is_warned_of(
    terms: str, lines_left: int
) -> None:
    """What the contract names holds; where that leaves nothing to ask for, the others are asked all the same."""
    both = f"    challenges: [{{{terms}}}, {{profile: i8}}]\n    floors:"
    contract = loaded(contract_text().replace("    floors:", both))
    start_us, (item,) = contract.term.start_us, contract.resources
    fleet: Any = SimpleNamespace(contracts={"K1": contract}, now_us=start_us)
    fleet.assignments = lambda _name: {"n1": None}
    fleet.resource = lambda _name, _node: item
    assert len(lines(fleet)) == lines_left + 1
    assert len(unfit(fleet)) == (0 if "at_least" in terms else 1)
