"""The schedule, the columns, and what makes a report."""

from itertools import pairwise
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given
from msgspec.structs import replace

from agent.clock import ticks_us
from agent.report.sampler import Draft, Sampler, Schedule, assemble
from agent.report.source import RawProcess, Sweep
from weighbridge.catalogue.readings import Tier
from weighbridge.wire.report import Event, EventKind, Reason

SECOND = 1_000_000


EACH_TIME = Schedule(identity_us=1)
"""The identity is looked at with every sample."""


class Bench:
    def __init__(self, source: Any, host: Any, clock: Any) -> None:
        self.source, self.clock = source, clock
        self.drafts: list[Draft] = []
        self.sampler = Sampler(source, host, clock, Schedule(), self._keep)

    async def _keep(self, draft: Draft) -> None:
        self.drafts.append(draft)

    async def samples(self, count: int) -> list[Draft]:
        """Run `count` samples on schedule; return the drafts that they made."""
        before = len(self.drafts)
        taken = 0
        async for due in ticks_us(self.clock, self.sampler.schedule.interval_us):
            if taken == count:
                break
            await self.sampler.sample(due)
            taken += 1
        return self.drafts[before:]


@pytest.fixture
def bench(source: Any, host: Any, clock: Any) -> Bench:
    return Bench(source, host, clock)


def xid(code: int = 31) -> Event:
    return Event(
        boottime_us=1, kind=EventKind.XID, device="GPU-1", code=code, source="nvml", detail=""
    )


async def test_samples_are_exactly_an_interval_apart_however_long_one_takes(bench: Bench) -> None:
    bench.source.cost_us = 300_000
    bench.clock.late_us = 4000
    drafts = await bench.samples(20)
    times = [draft.blocks[0].boottime_us[0] for draft in drafts]
    starts = {(time - times[0]) % (10 * SECOND) for time in times[1:]}
    assert starts == {0}
    assert times[-1] - times[0] == 190 * SECOND


async def test_a_sample_is_not_late_because_the_devices_are_enumerated_with_it(
    bench: Bench,
) -> None:
    bench.source.identity_cost_us = 700_000
    drafts = await bench.samples(61)
    times = [draft.blocks[0].boottime_us[0] for draft in drafts]
    assert bench.source.calls.count("identify") == 2
    assert {after - before for before, after in pairwise(times)} == {10 * SECOND}


async def test_a_missed_sample_is_left_out_and_the_rest_stay_on_the_grid(bench: Bench) -> None:
    bench.source.cost_us = 25 * SECOND
    drafts = await bench.samples(3)
    times = [draft.blocks[0].boottime_us[0] for draft in drafts]
    assert times[1] - times[0] in (30 * SECOND, 60 * SECOND)
    assert (times[2] - times[0]) % (10 * SECOND) == 0


async def test_each_tier_keeps_its_own_pace(bench: Bench) -> None:
    await bench.samples(61)
    calls = bench.source.calls
    assert calls.count(Tier.FAST) == 61
    assert calls.count(Tier.SLOW) == 11
    assert calls.count("identify") == 2


async def test_a_report_may_carry_several_samples(bench: Bench) -> None:
    bench.sampler.schedule = Schedule(samples=6)
    drafts = await bench.samples(12)
    assert [len(draft.blocks[0].boottime_us) for draft in drafts] == [6, 6]
    assert drafts[0].blocks[0].readings == {"power_draw_milliwatts": [[70_000, 71_000]] * 6}


@pytest.mark.parametrize("lacking", [Reason.NOT_SUPPORTED, Reason.FUNCTION_NOT_FOUND])
async def test_what_few_cards_have_is_not_spoken_of_where_none_of_the_node_has_it(
    bench: Bench, lacking: Reason
) -> None:
    """What every card has is: that it is not supported is news. So is any other reason."""
    slow = bench.source.readings[Tier.SLOW]
    bench.sampler.schedule = Schedule(slow_us=SECOND)

    async def told(first: int | Reason, second: int | Reason) -> set[str]:
        slow.clear()
        slow.update(
            {"bank_remap_pending_code": [first, second], "fan_speed_percent": [lacking] * 2}
        )
        (draft,) = await bench.samples(1)
        (block,) = (block for block in draft.blocks if block.tier == "slow")
        assert {span.reading for span in block.unavailable} <= set(block.readings)
        return set(block.readings)

    assert await told(lacking, lacking) == {"fan_speed_percent"}
    for one in (0, Reason.ERROR, Reason.NO_PERMISSION, Reason.GPU_IS_LOST, Reason.PAUSED):
        assert await told(lacking, one) == {"fan_speed_percent", "bank_remap_pending_code"}


async def test_an_event_is_reported_at_once_with_the_samples_that_wait(bench: Bench) -> None:
    bench.sampler.schedule = Schedule(samples=6)
    await bench.samples(2)
    assert bench.drafts == []
    await bench.sampler.add_events([xid()])
    (draft,) = bench.drafts
    assert [event.code for event in draft.events] == [31]
    assert len(draft.blocks[0].boottime_us) == 2


async def test_the_inventory_goes_with_the_first_report_and_then_once_a_day(bench: Bench) -> None:
    bench.sampler.schedule = Schedule(interval_us=3600 * SECOND)
    drafts = await bench.samples(50)
    with_inventory = [place for place, draft in enumerate(drafts) if draft.inventory is not None]
    assert with_inventory == [0, 24, 48]
    assert len({draft.inventory_digest for draft in drafts}) == 1


async def test_the_inventory_goes_again_when_asked_for(bench: Bench) -> None:
    await bench.samples(1)
    bench.sampler.want_inventory()
    drafts = await bench.samples(2)
    assert [draft.inventory is not None for draft in drafts] == [True, False]


async def test_a_swapped_board_goes_with_a_new_inventory(bench: Bench) -> None:
    bench.sampler.schedule = EACH_TIME
    (before,) = await bench.samples(1)
    bench.source.identity["GPU-2"] = {"serial": "another"}
    (after,) = await bench.samples(1)
    assert after.inventory is not None
    assert after.inventory.devices[1].identity.readings["serial"] == "another"
    assert after.inventory_digest != before.inventory_digest


async def test_a_new_driver_is_an_event(bench: Bench) -> None:
    bench.sampler.schedule = EACH_TIME
    await bench.samples(1)
    bench.source.driver = {"driver_version": "600.1"}
    (draft,) = await bench.samples(1)
    assert [event.kind for event in draft.events] == [EventKind.DRIVER_CHANGED]


async def test_a_new_driver_that_the_source_tells_of_is_one_event(bench: Bench) -> None:
    bench.sampler.schedule = EACH_TIME
    await bench.samples(1)
    bench.source.driver = {"driver_version": "600.1"}
    told = replace(xid(), kind=EventKind.DRIVER_CHANGED, code=None)
    bench.source.happened = [told]
    (draft,) = await bench.samples(1)
    assert draft.events == [told]


async def test_a_lost_device_is_looked_at_again_before_the_report(bench: Bench) -> None:
    await bench.samples(1)
    bench.source.happened = [replace(xid(), kind=EventKind.DEVICE_LOST, code=None)]
    bench.source.identity["GPU-1"] = {"serial": "lost"}
    (draft,) = await bench.samples(1)
    assert draft.inventory is not None
    assert draft.inventory.devices[0].identity.readings["serial"] == "lost"
    assert [event.kind for event in draft.events] == [EventKind.DEVICE_LOST]


async def test_a_stepped_wall_clock_is_an_event_and_moves_no_sample(bench: Bench) -> None:
    before = await bench.samples(2)
    bench.clock.wall_ahead_us -= 3600 * SECOND
    after = await bench.samples(2)
    assert [event.kind for event in after[0].events] == [EventKind.CLOCK_STEPPED]
    assert after[0].events[0].detail == "by -3600000000 microseconds"
    assert after[1].events == []
    boottimes = [draft.blocks[0].boottime_us[0] for draft in before + after]
    assert boottimes == sorted(boottimes)


@pytest.mark.parametrize("halts_s", [[5, 0, 0], [0, 5, 0], [0, 0, 5], [5, 5, 0]])
async def test_an_agent_that_is_halted_between_its_clocks_tells_of_no_step(
    bench: Bench, halts_s: list[int]
) -> None:
    await bench.samples(1)
    bench.clock.halts_us = [seconds * SECOND for seconds in halts_s]
    (halted,) = await bench.samples(1)
    assert bench.clock.halts_us == []
    assert halted.events == []
    assert halted.clock.wall_us - halted.clock.boottime_us == bench.clock.wall_ahead_us


async def test_no_processes_is_not_the_same_as_unseen_processes(bench: Bench) -> None:
    (none_there,) = await bench.samples(1)
    bench.source.holding = Reason.NO_PERMISSION
    (unseen,) = await bench.samples(1)
    bench.source.holding = [RawProcess("GPU-1", 4711, None)]
    (one,) = await bench.samples(1)
    assert none_there.processes == []
    assert unseen.processes is None
    assert one.processes is not None
    assert [(row.owner, row.memory_bytes) for row in one.processes] == [("owner-of-4711", None)]


async def test_a_paused_source_keeps_the_identity_that_it_had(bench: Bench) -> None:
    bench.sampler.schedule = EACH_TIME
    (first,) = await bench.samples(1)
    bench.sampler.paused = True
    bench.source.identity = {}
    bench.source.readings[Tier.FAST] = {}
    (paused,) = await bench.samples(1)
    assert paused.inventory_digest == first.inventory_digest


VALUES = st.one_of(st.integers(0, 3), st.sampled_from([Reason.TIMEOUT, Reason.NOT_SUPPORTED]))
SAMPLES = st.lists(st.tuples(st.tuples(VALUES, VALUES), st.tuples(VALUES, VALUES)), min_size=1)


@given(SAMPLES, st.lists(st.booleans(), min_size=50, max_size=50))
def test_columns_lose_nothing_that_sweeps_say(
    samples: list[tuple[tuple[int | Reason, ...], tuple[int | Reason, ...]]], swap: list[bool]
) -> None:
    sweeps = [
        Sweep(at, ("GPU-2", "GPU-1") if swap[at % 50] else ("GPU-1", "GPU-2"), {"a": a, "b": b})
        for at, (a, b) in enumerate(samples)
    ]
    unpacked = []
    for block in assemble(sweeps, "fast"):
        for place, at in enumerate(block.boottime_us):
            reasons = {
                (span.reading, span.device): span.reason
                for span in block.unavailable
                if span.from_ <= place < span.to
            }
            rows = {
                name: tuple(
                    reasons[name, device] if value is None else value
                    for device, value in zip(block.devices, rows[place], strict=True)
                )
                for name, rows in block.readings.items()
            }
            unpacked.append(Sweep(at, tuple(block.devices), rows))
    assert unpacked == sweeps


def test_a_lasting_reason_is_one_row() -> None:
    sweeps = [Sweep(at, ["GPU-1"], {"a": [Reason.TIMEOUT if at < 6 else 0]}) for at in range(9)]
    (block,) = assemble(sweeps, "slow")
    assert [(span.from_, span.to) for span in block.unavailable] == [(0, 6)]
    assert block.readings["a"][6:] == [[0], [0], [0]]


async def test_an_event_between_sample_and_processes_parts_them_not(bench: Bench) -> None:
    listed = bench.source.processes

    async def interrupted() -> Any:
        await bench.sampler.add_events([xid()])
        return await listed()

    bench.source.processes = interrupted
    drafts = await bench.samples(2)
    sampled = [draft for draft in drafts if any(block.tier == "fast" for block in draft.blocks)]
    assert len(sampled) == 2
    assert all(draft.processes is not None for draft in sampled)


@pytest.mark.parametrize(
    "kind", [EventKind.NVML_STALLED, EventKind.NVML_CRASHED, EventKind.NVML_RESTARTED]
)
async def test_that_a_driver_hangs_is_told_before_it_is_asked_again(
    bench: Bench, kind: EventKind
) -> None:
    await bench.samples(1)
    identify = bench.source.identify
    told: list[int] = []

    async def slow() -> Any:
        told.append(len(bench.drafts))
        return await identify()

    bench.source.identify = slow
    hung = Event(boottime_us=1, kind=kind, device=None, code=None, source="agent", detail="")
    restarted = Event(
        boottime_us=2,
        kind=EventKind.NVML_RESTARTED,
        device=None,
        code=None,
        source="agent",
        detail="",
    )
    before = len(bench.drafts)
    await bench.sampler.add_events([hung, restarted])
    assert told == [before + 1]
    assert [event.kind for event in bench.drafts[before].events] == [kind, EventKind.NVML_RESTARTED]
    assert len(bench.drafts) == before + 1
