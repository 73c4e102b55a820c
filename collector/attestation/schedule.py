"""When GPUs are asked: well before an attestation is over, at times that nobody can foresee."""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from collector.attestation.questions import AskedFor, Questions
from collector.background import beside
from collector.challenges.attempts import Challenges
from collector.judging.live import LiveFleet
from weighbridge.contract.attestation import AttestationTerms
from weighbridge.judge.node_state import NodeState
from weighbridge.wire.problems import Problem

logger = logging.getLogger("weighbridge.attestation")

LOOK_SECONDS = 5.0
MOST_AT_ONCE = 64
"""Nodes that are asked at a time: what waits for the verifier is held in memory."""

SLICE = 64
"""Nodes that are looked at before the event loop gets its turn."""


def due(state: NodeState, gpu: str, terms: AttestationTerms, now_us: int) -> float:
    """How likely it is to be asked now: never in the first quarter of the time, surely once half of it is over."""
    known = state.attested.get(gpu)
    if known is None:
        return 1.0
    whole_us = terms.valid_s * 1_000_000
    left_us = known.judged_us + whole_us // 2 - now_us
    if left_us <= 0:
        return 1.0
    return LOOK_SECONDS * 1_000_000 / left_us if left_us <= whole_us // 4 else 0.0


def demanded(fleet: LiveFleet) -> Iterator[tuple[str, str, AttestationTerms]]:
    """(contract, node, terms) for each node of the contracts in force whose line item speaks of attestation."""
    for name, contract in fleet.contracts.items():
        spoken_of = any(resource.attestation is not None for resource in contract.resources)
        if not spoken_of or not contract.term.start_us <= fleet.now_us < contract.term.end_us:
            continue
        for node, resource in fleet.resources(name):
            if resource.attestation is not None:
                yield name, node, resource.attestation


async def look(
    questions: Questions, challenges: Challenges, fleet: LiveFleet, chance: random.Random
) -> None:
    """Asks whatever is due now, and lets others run in between."""
    nodes = fleet.nodes
    for number, (contract, node, terms) in enumerate(list(demanded(fleet))):
        if number % SLICE == 0:
            await asyncio.sleep(0)
        state = nodes.get(node)
        if state is None or state.silent:
            continue
        drawn = [
            device.uuid
            for device in state.view.wholes()
            if chance.random() < due(state, device.uuid, terms, fleet.now_us)
        ]
        if drawn and questions.under_way < MOST_AT_ONCE:
            ask(questions, challenges, (node, contract), set(drawn), terms)


def ask(
    questions: Questions,
    challenges: Challenges,
    place: tuple[str, str],
    drawn: set[str],
    terms: AttestationTerms,
) -> None:
    """Those of the drawn GPUs that fill places of the contract."""
    try:
        subject = challenges.subject(*place)
        gpus = [gpu for gpu in subject.gpus if gpu in drawn]
        if gpus:
            questions.begin(subject, gpus, AskedFor(terms.valid_s, terms.required))
    except Problem as problem:
        logger.info("not asked: %s", problem.detail)


@contextlib.asynccontextmanager
async def attesting(
    questions: Questions,
    challenges: Challenges,
    fleet: LiveFleet,
    judged: Callable[[], Awaitable[None]],
) -> AsyncIterator[None]:
    """Asks while the collector serves, once the log is `judged`."""

    async def keep_asking() -> None:
        await judged()
        chance = random.SystemRandom()
        while True:
            await look(questions, challenges, fleet, chance)
            await asyncio.sleep(LOOK_SECONDS)

    async with beside(keep_asking(), "no GPU is asked to attest itself any more"):
        yield
