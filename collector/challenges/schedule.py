"""When nodes are challenged: a Poisson process for each line item, so that no time is likelier than another.

The process has no memory, so nothing is kept: a collector that starts again draws again, and no interval is lost.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from collector.background import beside
from collector.challenges.attempts import SCHEDULE, Challenges, Subject
from collector.judging.live import LiveFleet
from weighbridge.challenge.policy import Policy
from weighbridge.contract.challenge import ChallengeTerms
from weighbridge.judge.assignments import AssignmentError
from weighbridge.wire.problems import Problem

logger = logging.getLogger("weighbridge.challenges")

LOOK_SECONDS = 5.0
"""Seconds after which contracts and assignments are read anew, at most."""


@dataclass(frozen=True, slots=True)
class ChallengedItem:
    """A line item that is challenged at random. `rate` is of groups, per second."""

    contract: str
    nodes: Sequence[str]
    terms: ChallengeTerms
    policy: Policy
    mean_interval_s: int

    @property
    def rate(self) -> float:
        """So that each node comes up once in the mean interval, on average."""
        return len(self.nodes) / (self.size * self.mean_interval_s)

    @property
    def size(self) -> int:
        """How many nodes are challenged together."""
        return min(self.terms.group, len(self.nodes))


def lines(fleet: LiveFleet) -> Iterator[ChallengedItem]:
    """Every line item with a mean interval, in the contracts that are in force now."""
    for name, contract in fleet.contracts.items():
        if not contract.term.start_us <= fleet.now_us < contract.term.end_us:
            continue
        assigned = _by_item(fleet, name)
        for resource in contract.resources:
            if resource.id not in assigned:
                continue
            for terms, policy in zip(
                resource.challenges, resource.challenge_policies(), strict=True
            ):
                if terms.mean_interval_s is not None:
                    nodes, mean_s = assigned[resource.id], terms.mean_interval_s
                    yield ChallengedItem(name, nodes, terms, policy, mean_s)


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


def begin(challenges: Challenges, line: ChallengedItem, chance: random.Random) -> None:
    """Challenge a random group. A node that cannot be challenged now drops out; the others go on."""
    subjects: list[Subject] = []
    for node in chance.sample(list(line.nodes), line.size):
        try:
            subject = challenges.subject(node, line.contract)
            challenges.require_fit(subject, line.policy)
        except Problem as problem:
            logger.warning("not challenged: %s", problem.detail)
            continue
        subjects.append(subject)
    if subjects:
        try:
            challenges.start(subjects, line.policy, SCHEDULE)
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
    while True:
        wait, line = draw(list(lines(fleet)), chance)
        await asyncio.sleep(wait)
        if line is not None:
            begin(challenges, line, chance)


def scheduled(
    challenges: Challenges, fleet: LiveFleet, judged: Callable[[], Awaitable[None]]
) -> AbstractAsyncContextManager[None]:
    """Runs the schedule in the background while the collector serves."""
    work = keep_challenging(challenges, fleet, random.SystemRandom(), judged)
    return beside(work, "no challenge is begun any more")
