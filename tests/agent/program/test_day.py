"""A day without a collector, at the default size and pace, of a node with eight GPUs; and an eighth of both.

Reports take whole sectors of a ring: how many fit grows with its size, and what does not follow the ring in size counts
against the smaller one.
"""

from pathlib import Path
from typing import Any

import pytest

from agent.clock import ticks_us
from agent.config import AgentConfig
from agent.daemon import write_report
from agent.report.sampler import Draft, Sampler, Schedule
from agent.report.spool import Spool
from agent.simulation.devices import SimulatedHost, SimulatedSource
from agent.simulation.scenario import Scenario
from weighbridge.wire.signing import Signer, generate_private_key

SHARE = 8
REPORTS = 8640 // SHARE
"""Of three hours."""
ROOM = 10**9


@pytest.mark.slow
async def test_an_outage_of_a_day_loses_nothing_at_the_default_size(
    tmp_path: Path, clock: Any
) -> None:
    spool = Spool(tmp_path / "spool", AgentConfig().spool_bytes // SHARE)
    signer = Signer(generate_private_key())

    async def keep(draft: Draft) -> None:
        slot = spool.next_slot()
        spool.append(slot, *write_report(draft, slot, "node-1", "boot-1", None, signer))

    source = SimulatedSource(clock.boottime_us, Scenario(), 0, 8)
    sampler = Sampler(source, SimulatedHost(0), clock, Schedule(), keep)
    async for due in ticks_us(clock, sampler.schedule.interval_us):
        if spool.dropped or spool.pending_count == REPORTS:
            break
        await sampler.sample(due)
    assert spool.dropped == 0
    assert drained(spool) == list(range(REPORTS))


def drained(spool: Spool) -> list[int]:
    """The numbers in the order in which they are sent, each batch acknowledged."""
    numbers: list[int] = []
    while batch := spool.pending(64, ROOM):
        numbers += [held.seq for held in batch]
        spool.acknowledge(spool.current_chain, numbers[-1])
    return numbers
