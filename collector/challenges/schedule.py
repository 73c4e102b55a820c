"""When nodes are challenged: a Poisson process for each line item, so that no time is likelier than another.

The process has no memory, so nothing is kept: a collector that starts again draws again, and no interval is lost.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace

from collector.background import beside
from collector.challenges.attempts import Challenges, Subject
from collector.judging.live import LiveFleet
from weighbridge.challenge.policy import Policy, PolicyError
from weighbridge.challenge.record import SCHEDULE
from weighbridge.contract import Resource
from weighbridge.contract.challenge import ChallengeTerms
from weighbridge.contract.coherence import unfit_challenges
from weighbridge.judge.assignments import AssignmentError
from weighbridge.wire.problems import Problem

logger = logging.getLogger("weighbridge.challenges")

LOOK_SECONDS = 5.0
"""Seconds after which contracts and assignments are read anew, at most."""


@dataclass(frozen=True, slots=True)
class ChallengedItem:
    """A line item that is challenged at random. `provider` is its provider's legal name, `pool` how many nodes of all
    its items are challenged."""

    contract: str
    provider: str
    nodes: Sequence[str]
    terms: ChallengeTerms
    policy: Policy
    mean_interval_s: int
    pool: int = 0

    @property
    def rate(self) -> float:
        """Of groups, per second: each node comes up once in the mean interval, on average, if all of the provider's
        are asked as often."""
        together = min(self.terms.group, max(self.pool, len(self.nodes)))
        return len(self.nodes) / (together * self.mean_interval_s)


def lines(fleet: LiveFleet) -> list[ChallengedItem]:
    """Every line item with a mean interval, in the contracts that are in force now."""
    found = list(_lines(fleet))
    pools: dict[str, set[str]] = {}
    for one in found:
        pools.setdefault(one.provider, set()).update(one.nodes)
    return [replace(one, pool=len(pools[one.provider])) for one in found]


def _lines(fleet: LiveFleet) -> Iterator[ChallengedItem]:
    for name, contract in fleet.contracts.items():
        if not contract.term.start_us <= fleet.now_us < contract.term.end_us:
            continue
        assigned = _by_item(fleet, name)
        provider = next(party.name for party in contract.parties if party.role == "provider")
        for resource in contract.resources:
            if resource.id not in assigned:
                continue
            for terms in resource.challenges:
                policy, mean_s = _policy(resource, terms), terms.mean_interval_s
                if policy is not None and mean_s is not None:
                    nodes = assigned[resource.id]
                    yield ChallengedItem(name, provider, nodes, terms, policy, mean_s)


def _policy(resource: Resource, terms: ChallengeTerms) -> Policy | None:
    """None where the table of cards, as it is now, leaves nothing to ask for: that undoes no contract."""
    try:
        return terms.policy(resource.card, resource.per_node)
    except PolicyError:
        return None


def unfit(fleet: LiveFleet) -> set[str]:
    """What the table of cards, as it is now, says against the challenges of contracts in force."""
    return {
        f"{name}: {path}: {why}"
        for name, contract in fleet.contracts.items()
        for path, why in unfit_challenges(contract)
    }


def _by_item(fleet: LiveFleet, contract: str) -> dict[str, list[str]]:
    """The nodes of each line item. An assignment from before the contract had several names none, and nobody
    guesses."""
    assigned: dict[str, list[str]] = {}
    for node in fleet.assignments(contract):
        try:
            assigned.setdefault(fleet.resource(contract, node).id, []).append(node)
        except AssignmentError as error:
            logger.debug("%s is not challenged: %s", node, error)
    return assigned


def draw(
    known: Sequence[ChallengedItem], chance: random.Random
) -> tuple[float, ChallengedItem | None]:
    """Seconds until something is due, and what: nothing where the wait is cut to look again."""
    total = sum(line.rate for line in known)
    if total == 0:
        return LOOK_SECONDS, None
    wait = chance.expovariate(total)
    if wait > LOOK_SECONDS:
        return LOOK_SECONDS, None
    return wait, chance.choices(known, [line.rate for line in known])[0]


def group_of(
    line: ChallengedItem, known: Sequence[ChallengedItem], chance: random.Random
) -> list[tuple[str, ChallengedItem]]:
    """Nodes to challenge together, each with its line item: one of this item, the others of all of its provider's.

    A card that answers for two of them answers for both in the same seconds, whichever contracts they serve.
    """
    first = chance.choice(line.nodes)
    others = [
        (node, other)
        for other in known
        if other.provider == line.provider
        for node in other.nodes
        if node != first
    ]
    drawn = chance.sample(others, min(len(others), line.terms.group - 1))
    return list({node: (node, other) for node, other in [(first, line), *drawn]}.values())


def some_of(gpus: Sequence[str], policy: Policy, chance: random.Random) -> tuple[str, ...]:
    """Now one GPU, now some, now all: who answers for all with fewer cards, or for one with more, is found by one of
    them. All, where the policy asks for what so few cannot show."""
    count = chance.choice((1, chance.randint(1, len(gpus)), len(gpus)))
    try:
        policy.require_fit(count)
    except PolicyError:
        return tuple(gpus)
    chosen = set(chance.sample(range(len(gpus)), count))
    return tuple(gpu for place, gpu in enumerate(gpus) if place in chosen)


def asked_of(
    subject: Subject, line: ChallengedItem, chance: random.Random
) -> tuple[Subject, Policy]:
    """Which GPUs are asked this time, and for how long."""
    rounds = chance.randint(line.policy.rounds, line.policy.rounds * line.terms.longest_times)
    policy = replace(line.policy, rounds=rounds)
    if line.terms.subsets:
        subject = replace(subject, gpus=some_of(subject.gpus, policy, chance))
    return subject, policy


def begin(
    challenges: Challenges,
    line: ChallengedItem,
    known: Sequence[ChallengedItem],
    chance: random.Random,
) -> None:
    """Challenge a random group. A node that cannot be challenged now drops out; the others go on."""
    asked: list[tuple[Subject, Policy]] = []
    for node, item in group_of(line, known, chance):
        try:
            subject, policy = asked_of(challenges.subject(node, item.contract), item, chance)
            challenges.require_fit(subject, policy)
        except Problem as problem:
            logger.warning("not challenged: %s", problem.detail)
            continue
        asked.append((subject, policy))
    if asked:
        try:
            challenges.start(asked, SCHEDULE)
        except Problem as problem:
            logger.warning("not challenged: %s", problem.detail)


async def keep_challenging(
    challenges: Challenges,
    fleet: LiveFleet,
    chance: random.Random,
    judged: Callable[[], Awaitable[None]],
) -> None:
    """Starts challenges at random, once the log is `judged`, until it is cancelled."""
    await judged()
    told: set[str] = set()
    while True:
        for one in unfit(fleet) - told:
            logger.warning("what the contract names holds, but: %s", one)
            told.add(one)
        known = lines(fleet)
        wait, line = draw(known, chance)
        await asyncio.sleep(wait)
        if line is not None:
            begin(challenges, line, known, chance)


def scheduled(
    challenges: Challenges, fleet: LiveFleet, judged: Callable[[], Awaitable[None]]
) -> AbstractAsyncContextManager[None]:
    """Runs the schedule in the background while the collector serves."""
    work = keep_challenging(challenges, fleet, random.SystemRandom(), judged)
    return beside(work, "no challenge is begun any more")
