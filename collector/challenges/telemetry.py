"""Links a challenge that has run to the node's reports of that time, once they are here or are not awaited any more."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from collector.background import beside
from collector.judging.live import LiveFleet
from collector.log.commits import Committer, Leaf
from collector.storage.store import EvidenceLog, StorageError
from weighbridge.challenge.record import ChallengeOutcome, read_outcome
from weighbridge.challenge.telemetry import (
    BothSides,
    SidesSeen,
    Telemetry,
    both_sides,
    link,
    may_be_rebooted,
    may_be_unmade,
    seal_telemetry,
    shows_reboot,
)
from weighbridge.challenge.work import MARGIN_US
from weighbridge.judge.node_state import AwaitedTelemetry, NodeState
from weighbridge.judge.usage import idle_top
from weighbridge.log.entries import Entry
from weighbridge.wire.problems import Problem
from weighbridge.wire.signing import Signer, key_id

logger = logging.getLogger("weighbridge.challenges")

LOOK_SECONDS = 1.0
PATIENCE_US = 120_000_000
"""Reports of a node that is slow to speak are awaited at least so long; then what is here is linked."""

REBOOT_US = 1800_000_000
"""The same of a node that gave no answer: as long as a large server may take to start."""


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
            if not _due(fleet.observers(state.node), unlinked, fleet.now_us):
                continue
            try:
                await _link(committer, fleet, state, unlinked, signer, log)
            except Problem as problem:
                logger.warning("%s is not linked yet: %s", challenge, problem.detail)
            except StorageError as error:
                logger.warning("%s is not linked yet: %s", challenge, error)


def _due(sides: Sequence[NodeState], unlinked: AwaitedTelemetry, now_us: int) -> bool:
    """Samples of the whole time and a little more are here, or would be by now: of both sides, and from behind the end,
    where that may change what it counts for."""
    ended = read_outcome(unlinked.outcome.encode())
    rebooted = may_be_rebooted(ended)
    excusable = rebooted or may_be_unmade(ended)
    until_us = ended.ended_us + MARGIN_US if excusable else ended.until_us
    awaited = sides if excusable else sides[:1]
    covered = all((one.last_sample_us or 0) > until_us + MARGIN_US for one in awaited)
    least_us = REBOOT_US if rebooted else PATIENCE_US
    patience_us = max(least_us, *(2 * one.patience_us for one in awaited))
    return covered or now_us > until_us + patience_us


async def _link(
    committer: Committer,
    fleet: LiveFleet,
    state: NodeState,
    unlinked: AwaitedTelemetry,
    signer: Signer,
    log: EvidenceLog,
) -> None:
    ended, now_us = read_outcome(unlinked.outcome.encode()), fleet.now_us
    idle = {gpu.gpu: idle_top(state.view, gpu.gpu) for gpu in ended.weighing.gpus}
    reports, skew_us = list(unlinked.reports), state.clock_skew_us
    lessee = _lessee(committer, fleet, state.node, ended)
    linked = await asyncio.to_thread(
        lambda: _linked(log, ended, reports, idle, skew_us, now_us, unlinked, lessee)
    )
    await committer.submit(Leaf(*seal_telemetry(signer, linked)))


def _lessee(
    committer: Committer, fleet: LiveFleet, node: str, ended: ChallengeOutcome
) -> tuple[bytes, list[int]] | None:
    """The key of the lessee's agent, and its reports since the attempt began; None where none would change anything."""
    keys = list(committer.ring.speaking(node, "lessee"))
    sides = [one for one in fleet.observers(node) if one.side == "lessee"]
    if not keys or not sides or not (may_be_unmade(ended) or may_be_rebooted(ended)):
        return None
    heard = sides[0].unlinked.get(ended.challenge)
    return keys[-1].public_key, [] if heard is None else list(heard.reports)


def _linked(
    log: EvidenceLog,
    ended: ChallengeOutcome,
    reports: Sequence[int],
    idle: Mapping[str, int | None],
    skew_us: int | None,
    now_us: int,
    unlinked: AwaitedTelemetry,
    lessee: tuple[bytes, list[int]] | None,
) -> Telemetry:
    mine = _read(log, reports)
    both = None if lessee is None else _both(log, ended, mine, idle, unlinked, *lessee)
    theirs = () if both is None or both.before[1] < 0 else (both.before[1], *both.reports)
    rebooted = shows_reboot(ended, mine, _read(log, theirs))
    return link(ended, mine, idle, skew_us, now_us, both, rebooted=rebooted)


def _both(
    log: EvidenceLog,
    ended: ChallengeOutcome,
    mine: Sequence[Entry],
    idle: Mapping[str, int | None],
    unlinked: AwaitedTelemetry,
    key: bytes,
    heard: Sequence[int],
) -> BothSides:
    start, names = unlinked.start, (key_id(ended.agent_key), key_id(key))
    first, second = (
        _own(_read(log, [index] if index >= 0 else []), name)
        for index, name in zip(start.before, names, strict=True)
    )
    seen = SidesSeen(
        key,
        (next(iter(first), None), next(iter(second), None)),
        mine,
        _own(_read(log, heard), names[1]),
        start.begun_us,
        start.free_from_us,
        unlinked.free_until_us,
    )
    return both_sides(ended, seen, idle)


def _own(entries: Sequence[Entry], name: str) -> list[Entry]:
    """Those that one key signed: what an agent said under another is not compared."""
    return [entry for entry in entries if entry.envelope.key_id == name]


def _read(log: EvidenceLog, indexes: Sequence[int]) -> list[Entry]:
    return [next(iter(log.read(index, 1))) for index in indexes]
