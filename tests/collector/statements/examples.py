"""Statements to render: an ordinary one and an ugly one."""

from dataclasses import replace
from typing import Any

import yaml

from tests.weighbridge.scripted import holders
from weighbridge.codes import Note
from weighbridge.contract import load
from weighbridge.judge.assignments import Version
from weighbridge.judge.ledger import Row, State
from weighbridge.log.entries import JudgedBy, VersionSince
from weighbridge.settlement.case import Notices, case_of
from weighbridge.settlement.draft import statement_of
from weighbridge.settlement.periods import calendar_month
from weighbridge.settlement.record import Claim, ToldEvent, Window
from weighbridge.settlement.statement import (
    ClockLine,
    CreditLine,
    ExitLine,
    FloorLine,
    ProbeLine,
    SeriesLine,
    Statement,
)

SECOND, HOUR, DAY = 1_000_000, 3600, 86400
PERIOD = calendar_month("2026-05", "Asia/Shanghai")
START = PERIOD.start_s
JUDGED = JudgedBy(
    (VersionSince("judge/0"), VersionSince("judge/1", "2026-05-20T00:00:00Z")),
    (VersionSince("0" * 64),),
)
FORMULA = "=cmd|' /C calc'!A0"
MARKUP = "<script>alert(1)</script> & <b>co</b>"
LONG = "gpu-node-with-a-very-long-name-" + "x" * 60 + "-机房"
TERMS: dict[str, Any] = {
    "contract_id": "lease-7",
    "effective": "2026-01-01T00:00:00Z",
    "time_zone": "Asia/Shanghai",
    "currency": "CNY",
    "parties": [
        {"id": "P", "role": "provider", "name": "Borealis Compute GmbH", "registration": "HRB 1"},
        {"id": "L", "role": "lessee", "name": "上海云衡科技有限公司"},
    ],
    "term": {"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"},
    "resources": [
        {
            "id": "r",
            "accelerator": {"sku": "any"},
            "nodes": "2",
            "per_node": "2",
            "capacity": {"precision": "fp16", "per_gpu": "0.5"},
        }
    ],
    "pricing": [
        {"unit": "node_month", "price": "10000.00"},
        {"unit": "gpu_hour", "price": "12.50"},
    ],
    "availability": [{"id": "a", "target": "0.999"}],
    "unknown": {"policy": "hold"},
    "maintenance": {"min_notice_s": "3600"},
    "claim": {"required": "true", "deadline_days": "7"},
    "credits": [
        {
            "id": "c",
            "objective": "a",
            "kind": "tiers",
            "tiers": [
                {"at_or_above": "0.9", "below": "0.999", "pct": "10"},
                {"at_or_above": "0", "below": "0.9", "pct": "50"},
            ],
        }
    ],
}


def row(node: str, start: int, end: int, state: State, cause: str = "", slot: int = 0) -> Row:
    device = f"GPU-{node}-{slot}"
    ends = ((START + start) * SECOND, (START + end) * SECOND)
    return Row("lease-7", node, slot, device, "chain", *ends, state, cause, ends[1])


def drafted(
    nodes: list[str], rows: list[Row], notices: Notices, as_of_s: int, simulated: bool, **more: Any
) -> Statement:
    text = yaml.safe_dump(TERMS | more, allow_unicode=True)
    version = Version(load(text), text, 0, 4_000_000_000 * SECOND)
    known = holders(nodes), rows, notices
    case = case_of([version], *known, PERIOD, as_of_s * SECOND)
    return statement_of(case, simulated, judged=JUDGED)


def ups(nodes: list[str]) -> list[Row]:
    return [row(node, 0, PERIOD.seconds, State.UP, slot=slot) for node in nodes for slot in (0, 1)]


def ordinary(downtime_s: int = 3 * HOUR, *, claimed: bool = True) -> Statement:
    """Two nodes, one with an outage beside maintenance; a replaced GPU; a claim; final."""
    window = Window("m1", START + DAY, START + DAY + HOUR, START)
    swap = ToldEvent("gpu_replaced", START + 2 * DAY, "n1.0", {"new": "GPU-B", "old": "GPU-A"})
    claims = (Claim("2026-05", PERIOD.end_s),) if claimed else ()
    notices = Notices((window,), claims, (swap,))
    rows = [
        *ups(["n1", "n2"]),
        row("n1", DAY, DAY + downtime_s, State.DOWN, "xid 79"),
        row("n2", 9 * DAY, 9 * DAY + 400, State.DOWN, "node_rebooted"),
    ]
    return drafted(["n1", "n2"], rows, notices, PERIOD.end_s + 6 * DAY, simulated=False)


def ugly() -> Statement:
    """Many units, long names, causes that are markup and formulas, held time, a cap hit, SIMULATED, provisional."""
    nodes = [LONG, *(f"n{number}" for number in range(1, 25))]
    rows = ups(nodes[:-1])
    for number, node in enumerate(nodes[:-1]):
        for place, cause in enumerate((FORMULA, MARKUP, "缺少样本", "")):
            start = (number * 7 + place * 50) * HOUR
            state = (State.DOWN, State.CONTESTED, State.UNKNOWN, State.DEGRADED)[place]
            rows.append(row(node, start, start + (place + 1) * 3000, state, cause))
    rows.append(replace(row("n1", 700 * HOUR, 700 * HOUR + 4321, State.DOWN, "xid 79"), late=True))
    windows = tuple(
        Window(f"维护-{number}", START + number * DAY, START + number * DAY + 2 * HOUR, START)
        for number in range(4)
    )
    notices = Notices(windows, (Claim("2026-05", PERIOD.end_s, LONG),))
    made = drafted(
        nodes,
        rows,
        notices,
        PERIOD.end_s + DAY,
        simulated=True,
        resources=[{**TERMS["resources"][0], "nodes": "25"}],
        parties=[
            {"id": "P", "role": "provider", "name": MARKUP},
            {
                "id": "L",
                "role": "lessee",
                "name": "内蒙古自治区和林格尔新区某某算力科技发展有限责任公司",
            },
            {"id": "O", "role": "operator"},
        ],
        maintenance={"min_notice_s": "3600", "max_s_per_period": "9000"},
        credits=[{**TERMS["credits"][0], "cap": {"pct": "30"}}],
    )
    return with_the_rest(made)


def with_the_rest(statement: Statement) -> Statement:
    """Lines of every other kind that a statement can have."""
    (part,) = statement.parts
    formula = Note("repair_steps", {"pct": "0", "late_seconds": 61})
    credit = CreditLine("repairs", formula, "7777", "8765.43", "1234.56", None, ("cap_applied",))
    late = replace(credit, credit="late", form="voucher", expires="2026-09-01T00:00:00Z")
    unit = replace(
        part.units[0],
        window=("2026-05-03T00:00:01Z", "2026-05-04T00:00:02Z"),
        breaches=(("2026-05-05T00:00:03.5Z", "2026-05-06T00:00:04Z"),),
        outages=tuple(replace(one, entries=(90210, 90313)) for one in part.units[0].outages),
    )
    delivery = replace(
        part.delivery[0], in_use_gpu_seconds=7654321, energy_joules=13579, utilization="0.4321"
    )
    rest = replace(
        part,
        units=(unit, *part.units[1:]),
        delivery=(delivery,),
        others=(credit,),
        by_lessee=(late,),
        floors=(FloorLine("P", "12.5", "UNKNOWN", ("11.25", "12.75"), ("0.0625", "3.1875")),),
        clocks=(
            ClockLine("fix", "n1", "2026-05-07T00:00:05Z", None, 4567, 3456, "BREACHED"),
            ClockLine("fix", "n2", "2026-05-07T00:00:06Z", "2026-05-07T00:00:07Z", 1, 3456, "MET"),
        ),
        series=(
            SeriesLine("2026-05-07T00:00:08Z", "n1", "schedule", "failed", 8, 4321, True),
            SeriesLine("2026-05-07T00:00:09Z", "n2", "command", "not assessed", 1, None, False),
        ),
        probes=(ProbeLine("gemm", "MET", "0.91", 8928, 8900, "8899", "0.999887640", "8899/8900"),),
    )
    exits = (ExitLine("a", "lessee", 3, 6, "leaves", "open", ("2026-03",), ("2026-05",)),)
    return replace(statement, parts=(rest,), exits=exits)
