"""A lease of two months by a simulated clock: nothing happened in October; November is short, and has to be claimed."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from collector.api.access import token_hash
from tests.collector.building import (
    HOUR_US,
    Agent,
    Serving,
    admit,
    serving,
    set_config,
    weighbridge,
)
from tests.weighbridge.scripted import FAST, FLOORS

EAST: Final = timedelta(hours=8)
BEGIN: Final = datetime(2026, 10, 1, tzinfo=UTC) - EAST
"""The first of October in Shanghai."""

NOW: Final = datetime(2026, 12, 3, 9, 30, tzinfo=UTC) - EAST
SAMPLE_MS: Final = 1_800_000
SAMPLE: Final = timedelta(milliseconds=SAMPLE_MS)
LEASE: Final = "/contracts/lease"
NOVEMBER: Final = "period=2026-11"
OUTAGE: Final = "objective=gpus&unit=n1.1&start=2026-11-18T02:00:00Z"
LESSEE: Final = "the token of a lessee"
TERMS: Final = f"""\
contract_id: lease
effective: {BEGIN:%Y-%m-%dT%H:%M:%SZ}
time_zone: Asia/Shanghai
currency: CNY
parties:
  - {{id: P, name: 东方算力有限公司, role: provider}}
  - {{id: L, name: Lin & Söhne <Research>, role: lessee}}
term: {{from: {BEGIN:%Y-%m-%dT%H:%M:%SZ}, to: 2027-09-30T16:00:00Z}}
resources:
  - {{id: h100, accelerator: {{sku: H100-SXM-80GB}}, per_node: 2, nodes: 1, floors: {FLOORS}}}
pricing: [{{unit: node_month, price: "74400.00"}}]
availability: [{{id: gpus, unit: gpu, target: "0.99"}}]
repair: [{{id: mend, objective_s: 14400, clock_from: report, unit: gpu}}]
credits:
  - id: voucher
    objective: gpus
    kind: tiers
    base: {{proration: days}}
    tiers: [{{at_or_above: "0.95", below: "0.99", pct: 10}}, {{at_or_above: "0", below: "0.95", pct: 25}}]
exclusions: {{causes: [{{code: lessee_fault}}]}}
maintenance: {{min_notice_s: 3600, emergency: excluded}}
claim: {{required: true, deadline_days: 20}}
payment: {{due_days: 5}}
unknown: {{policy: hold}}
sampling: {{interval_s: 1800, max_gap_s: 5400, heard_within_s: 864000}}
evidence: {{correction_window_s: 3153600}}
"""


def local(month: int, day: int, hour: int = 0) -> datetime:
    """What clocks in Shanghai show, as an instant."""
    return datetime(2026, month, day, hour, tzinfo=UTC) - EAST


CAPPED: Final = (local(11, 9, 2), local(11, 10, 8))
LOST: Final = (local(11, 18, 10), local(11, 20))
"""Until the node is started anew."""

SILENT: Final = (local(11, 24), local(11, 24, 6))
BOOTS: Final = (BEGIN, LOST[1])
STEPS: Final = [
    BEGIN,
    local(10, 1, 2),
    *(BEGIN + timedelta(days=day) for day in range(5, 35, 5)),
    *(BEGIN + timedelta(days=day) for day in (36, *range(38, 42), 45, *range(47, 52), 54, 55, 60)),
    NOW,
]
"""When the node reports."""


def within(when: datetime, window: tuple[datetime, datetime]) -> bool:
    return window[0] <= when < window[1]


def boottime_us(when: datetime, boot: datetime) -> int:
    return HOUR_US + (when - boot) // timedelta(microseconds=1)


def told(when: datetime, gpu: int) -> Mapping[str, int | None]:
    """What a GPU reads then: the first is capped for a while, the second lost."""
    if gpu == 1 and within(when, LOST):
        return dict.fromkeys(FAST)
    hour = (when + EAST).hour
    moved = {
        "temperature_gpu_celsius": 48 + hour // 2,
        "power_draw_milliwatts": 500_000 + 9000 * hour,
    }
    if gpu == 0 and within(when, CAPPED):
        return {**FAST, **moved, "power_limit_enforced_milliwatts": 400_000}
    return {**FAST, **moved}


def block(agent: Agent, times: list[datetime], boot: datetime) -> dict[str, Any]:
    gpus = range(len(agent.devices))
    rows = [[told(when, gpu) for gpu in gpus] for when in times]
    lost = [
        {"device": uuid, "reading": name, "from": at, "to": at + 1, "reason": "gpu_is_lost"}
        for at, row in enumerate(rows)
        for uuid, values in zip(agent.devices, row, strict=True)
        for name, value in values.items()
        if value is None
    ]
    return {
        "tier": "fast",
        "boottime_us": [boottime_us(when, boot) for when in times],
        "devices": agent.devices,
        "readings": {name: [[one[name] for one in row] for row in rows] for name in FAST},
        "unavailable": lost,
    }


def said(agent: Agent, when: datetime, boot: datetime, **more: Any) -> bytes:
    """The envelope of a report that the node sends then."""
    clock = {"wall_us": int(when.timestamp()) * 1_000_000, "boottime_us": boottime_us(when, boot)}
    more |= {"clock": clock | {"synchronized": True}, "boot": f"{boot:%d}", "processes": []}
    payload = agent.payload(interval_ms=SAMPLE_MS, **more)
    agent.moved_past(payload)
    return agent.seal(payload)


def seen(agent: Agent, start: datetime, end: datetime, boot: datetime) -> bytes:
    """What was sampled in [start, end)."""
    times = [start + SAMPLE * number for number in range((end - start) // SAMPLE)]
    told = [when for when in times if not within(when, SILENT)]
    events = [fallen(agent)] if within(LOST[0], (start, end)) else []
    return said(agent, end, boot, blocks=[block(agent, told, boot)], events=events)


def fallen(agent: Agent) -> dict[str, Any]:
    """The kernel says that the second GPU has fallen off the bus."""
    event = {"boottime_us": boottime_us(LOST[0], BEGIN), "code": 79, "device": agent.devices[1]}
    return event | {"kind": "xid", "detail": "GPU has fallen off the bus.", "source": "kernel"}


def moved_to(server: Serving, when: datetime) -> None:
    content = json.dumps({"wall_us": int(when.timestamp()) * 1_000_000}).encode()
    answer = server.request("POST", "/v1/simulation/clock", content)
    assert answer.status == 200, answer.body


@contextmanager
def lived(directory: Path) -> Iterator[Serving]:
    """A collector to which both months, and what there is of December, were reported five days at a time."""
    agent, boot = Agent("n1", gpus=2), BEGIN
    weighbridge("init", directory, "--simulation", "--listen", "127.0.0.1:0")
    admit(directory, [agent], TERMS)
    token = f'{{sha256 = "{token_hash(LESSEE)}", role = "lessee:L/lease", name = "Lin Mei"}}'
    set_config(directory, open_on_loopback="false", tokens=f"[{token}]")
    with serving(directory, arguments=["--simulation"]) as server:
        for start, end in pairwise(STEPS):
            moved_to(server, start)
            if start in BOOTS:
                agent.start_chain()
                boot, there = start, agent.inventory()
                assert (
                    server.report(said(agent, boot, boot, blocks=[], inventory=there)).status == 200
                )
            moved_to(server, end)
            assert server.report(seen(agent, start, end, boot)).status == 200
        moved_to(server, NOW + timedelta(minutes=1))
        yield server
