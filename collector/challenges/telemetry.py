"""Links a challenge that has run to the node's reports of that time, once they are here or are not awaited any more."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager

from collector.background import beside
from collector.judging.live import LiveFleet
from collector.log.commits import Committer, Leaf
from collector.storage.store import EvidenceLog, StorageError
from weighbridge.challenge.record import read_outcome
from weighbridge.challenge.telemetry import MARGIN_US, link, seal_telemetry
from weighbridge.judge.node_state import AwaitedTelemetry, NodeState
from weighbridge.judge.usage import idle_top
from weighbridge.log.entries import Entry
from weighbridge.wire.problems import Problem
from weighbridge.wire.signing import Signer

logger = logging.getLogger("weighbridge.challenges")

LOOK_SECONDS = 1.0
PATIENCE_US = 120_000_000
"""Reports of a node that is slow to speak are awaited at least so long; then what is here is linked."""


def linking(
    committer: Committer,
    fleet: LiveFleet,
    signer: Signer,
    log: EvidenceLog,
    judged: Callable[[], Awaitable[None]],
) -> AbstractAsyncContextManager[None]:
    """While this collector serves the public, once the log is `judged`. What an earlier run left is linked too."""
    work = _keep_linking(committer, fleet, signer, log, judged)
    return beside(work, "no telemetry is linked any more")


async def _keep_linking(
    committer: Committer,
    fleet: LiveFleet,
    signer: Signer,
    log: EvidenceLog,
    judged: Callable[[], Awaitable[None]],
) -> None:
    await judged()
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        for state, challenge, unlinked in list(fleet.unlinked()):
            if not _due(state, unlinked, fleet.now_us):
                continue
            try:
                await _link(committer, state, unlinked, signer, log, fleet.now_us)
            except Problem as problem:
                logger.warning("%s is not linked yet: %s", challenge, problem.detail)
            except StorageError as error:
                logger.warning("%s is not linked yet: %s", challenge, error)


def _due(state: NodeState, unlinked: AwaitedTelemetry, now_us: int) -> bool:
    """Samples of the whole time and a little more are here, or would be by now."""
    ended = read_outcome(unlinked.outcome.encode())
    covered = (state.last_sample_us or 0) > ended.until_us + MARGIN_US
    return covered or now_us > ended.until_us + max(PATIENCE_US, 2 * state.patience_us)


async def _link(
    committer: Committer,
    state: NodeState,
    unlinked: AwaitedTelemetry,
    signer: Signer,
    log: EvidenceLog,
    now_us: int,
) -> None:
    ended = read_outcome(unlinked.outcome.encode())
    idle = {gpu.gpu: idle_top(state.view, gpu.gpu) for gpu in ended.weighing.gpus}
    reports, skew_us = list(unlinked.reports), state.clock_skew_us
    linked = await asyncio.to_thread(
        lambda: link(ended, _read(log, reports), idle, skew_us, now_us)
    )
    await committer.submit(Leaf(*seal_telemetry(signer, linked)))


def _read(log: EvidenceLog, indexes: Sequence[int]) -> list[Entry]:
    return [next(iter(log.read(index, 1))) for index in indexes]
