"""What becomes of drafts that the spool refuses, in the agent whole but for its driver and its collector."""

import asyncio
import contextlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.clock import SystemClock
from agent.daemon import Agent, AgentStorage, Observed
from agent.enrolment import NodeIdentity
from agent.exposition import render
from agent.report.reporter import Sending
from agent.report.sampler import Schedule
from agent.report.source import IdentityTier
from agent.report.spool import SMALLEST
from agent.report.transport import HttpAnswer, Packed, Transport
from tests.agent.conftest import eventually
from weighbridge.wire.driver_words import COUNTED
from weighbridge.wire.report import Event, EventKind, Facts, Reason, digest, encode
from weighbridge.wire.signing import Signer, generate_private_key


async def unreachable(_: Packed, __: Sequence[int]) -> HttpAnswer:
    raise OSError("nobody answers")


def filling(count: int) -> list[Event]:
    """Events that no compression makes small."""
    return [
        Event(
            boottime_us=1,
            kind=EventKind.XID,
            device=None,
            code=31,
            source="kernel",
            detail=digest(b"%d" % number) * 8,
        )
        for number in range(count)
    ]


async def test_a_report_that_no_spool_can_hold_is_counted_as_lost_and_holds_up_no_other(
    enrolled: NodeIdentity, tmp_path: Path, source: Any, host: Any
) -> None:
    agent = Agent(
        enrolled,
        AgentStorage(tmp_path, SMALLEST, 1 << 20),
        Observed(source, host),
        SystemClock(),
        "boot",
        Schedule(interval_us=3_600_000_000),
        Sending(unreachable),
    )

    async def holds(reports: int) -> bool:
        return agent.facts().get("spool_pending_count", 0) >= reports

    running = asyncio.create_task(agent.run())
    await eventually(lambda: holds(1))
    await agent.sampler.add_events(filling(5000))
    assert agent.facts()["agent_lost_drafts_count"] == 1
    assert "enlarge the spool" in agent.status
    kept = agent.facts()["spool_pending_count"]
    await agent.sampler.note(EventKind.PAUSED, "another report")
    await eventually(lambda: holds(kept + 1))
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await agent.abandon()


async def test_why_nvml_counts_no_gpus_is_in_the_journal_once_and_in_the_status(
    enrolled: NodeIdentity, tmp_path: Path, source: Any, host: Any, caplog: Any
) -> None:
    """And that it counts them again."""
    caplog.set_level("INFO")
    agent = Agent(
        enrolled,
        AgentStorage(tmp_path, SMALLEST, 1 << 20),
        Observed(source, host),
        SystemClock(),
        "boot",
        Schedule(interval_us=3_600_000_000, identity_us=0),
        Sending(unreachable),
    )

    async def look(driver: Facts) -> dict[str, Any]:
        async def identify() -> IdentityTier:
            return IdentityTier([], driver)

        source.identify = identify
        for _ in range(2):
            await agent.sampler.sample(SystemClock().boottime_us())
            await agent.sampler.flush()
        return await agent.handle({"command": "status"})

    words = "the driver's library and its kernel module are of different versions"
    told = await look(Facts(readings={}, unavailable={COUNTED: Reason.VERSIONS_DIFFER}))
    assert told["driver"] == f"NVML: {words}"
    assert told["status"].endswith(f"; NVML: {words}")
    page = render(agent.facts(), agent.driver)
    assert 'weighbridge_agent_gpus_uncounted{reason="versions_differ"} 1\n' in page
    assert "weighbridge_agent_gpus " not in page
    told = await look(Facts(readings={COUNTED: 8, "driver_version": "580.95.05"}, unavailable={}))
    assert told["driver"] == "8 GPUs, driver 580.95.05"
    assert "NVML" not in told["status"]
    assert "weighbridge_agent_gpus 8\n" in render(agent.facts(), agent.driver)
    assert [
        (row.levelname, row.getMessage()) for row in caplog.records if "NVML" in row.message
    ] == [
        ("ERROR", f"NVML counts no GPUs: {words}"),
        ("INFO", "NVML counts GPUs again: 8 GPUs, driver 580.95.05"),
    ]


class Halting(Signer):
    """Seals, but for as often as it is told not to."""

    halts = 0

    def seal(self, payload_type: str, payload: bytes) -> bytes:
        if self.halts:
            self.halts -= 1
            raise OSError("the disk stops here")
        return super().seal(payload_type, payload)


async def test_a_restart_of_the_chain_that_is_interrupted_is_finished_before_the_next_report(
    enrolled: NodeIdentity, tmp_path: Path, source: Any, host: Any
) -> None:
    signer = Halting(generate_private_key())
    answered = asyncio.Event()

    async def another_history(_: Packed, __: Sequence[int]) -> HttpAnswer:
        await answered.wait()
        answered.clear()
        signer.halts = 1
        return HttpAnswer(409, json.dumps({"type": "urn:weighbridge:problem:fork"}).encode(), None)

    agent = Agent(
        replace(enrolled, signer=signer),
        AgentStorage(tmp_path, SMALLEST, 1 << 20),
        Observed(source, host),
        SystemClock(),
        "boot",
        Schedule(interval_us=3_600_000_000),
        Sending(another_history),
    )

    async def holds(reports: int) -> bool:
        return agent.facts().get("spool_pending_count", 0) >= reports

    async def interrupted() -> bool:
        return agent.facts()["agent_crashes_count"] == 1

    running = asyncio.create_task(agent.run())
    await eventually(lambda: holds(1))
    kept = agent.facts()["spool_pending_count"]
    answered.set()
    await eventually(interrupted)
    await agent.sampler.note(EventKind.PAUSED, "another report")
    assert agent.facts()["spool_pending_count"] > kept
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await agent.abandon()


async def test_a_new_chain_begins_with_the_inventory(
    enrolled: NodeIdentity, tmp_path: Path, source: Any, host: Any, collector: Any
) -> None:
    transport = Transport(enrolled.url)
    agent = Agent(
        enrolled,
        AgentStorage(tmp_path, SMALLEST, 1 << 20),
        Observed(source, host),
        SystemClock(),
        "boot",
        Schedule(interval_us=3_600_000_000),
        Sending(transport.post_reports),
    )

    async def all_sent() -> bool:
        return bool(collector.reports) and agent.facts().get("spool_pending_count") == 0

    async def another_chain() -> bool:
        return len(collector.chains) == 2

    running = asyncio.create_task(agent.run())
    await eventually(all_sent)
    collector.sick.append((409, {}, {"type": "urn:weighbridge:problem:fork"}))
    await agent.sampler.note(EventKind.PAUSED, "reported to a collector that knows another history")
    await eventually(another_chain)
    first, *_ = (one for one in collector.reports if one.chain == collector.reports[-1].chain)
    assert [event.kind for event in first.events] == [EventKind.PAUSED]
    assert first.inventory is not None
    assert digest(encode(first.inventory)) == first.inventory_digest
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await agent.abandon()
    await transport.close()
