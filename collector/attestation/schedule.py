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
from weighbridge.judge.assignments import AssignmentError
from weighbridge.judge.node_state import NodeState
from weighbridge.wire.problems import Problem

logger = logging.getLogger("weighbridge.attestation")

LOOK_SECONDS = 30.0


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
        for node in fleet.assignments(name):
            with contextlib.suppress(AssignmentError):
                terms = fleet.resource(name, node).attestation
                if terms is not None:
                    yield name, node, terms


def ask(
    questions: Questions, challenges: Challenges, fleet: LiveFleet, chance: random.Random
) -> None:
    """Whatever is due now."""
    for contract, node, terms in list(demanded(fleet)):
        state = fleet.nodes.get(node)
        if state is None or state.silent:
            continue
        try:
            subject = challenges.subject(node, contract)
            now_us = fleet.now_us
            gpus = [one for one in subject.gpus if chance.random() < due(state, one, terms, now_us)]
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
        while True:
            ask(questions, challenges, fleet, random.SystemRandom())
            await asyncio.sleep(LOOK_SECONDS)

    async with beside(keep_asking(), "no GPU is asked to attest itself any more"):
        yield
