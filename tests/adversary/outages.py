"""Eight hours of a leased node of two GPUs, heard once a minute, and what their statement makes of them.

The first GPU is dead from FROM_S to UNTIL_S: four hours, of which each is worth 6.60, and so OWED.
"""

from collections.abc import Mapping
from typing import Any

from tests.weighbridge.scripted import FAST, SECOND, START_US, Log, ScriptedNode
from weighbridge.judge.fleet import NEVER_US
from weighbridge.settlement.case import Notices
from weighbridge.settlement.draft import draft
from weighbridge.settlement.periods import calendar_month
from weighbridge.settlement.statement import Statement

HOUR = 3600
MINUTE = 60
END_S = 8 * HOUR
FROM_S, UNTIL_S = 2 * HOUR, 6 * HOUR
OWED, NOTHING = "26.40", "0.00"
PERIOD = calendar_month("2026-10", "UTC")
GPU = "GPU-n1-0"
TERMS = """\
contract_id: K1
version: "1"
effective: 2026-10-01T00:00:00Z
time_zone: UTC
currency: EUR
parties: [{{id: P, role: provider}}, {{id: L, role: lessee}}]
term: {{from: 2026-10-01T00:00:00Z, to: 2026-10-01T08:00:00Z}}
resources: [{{id: h100, accelerator: {{sku: H100-SXM-80GB}}, per_node: "2", nodes: "1"}}]
availability: [{{id: gpus, unit: gpu, target: "0.999"}}]
credits:
  - {{id: c, kind: outage_multiple, objective: gpus, multiple: "2", hour_price: "3.30", cap: {{amount: "1000"}}}}
unknown: {{policy: {unknown}}}
sampling: {{interval_s: "60", max_gap_s: "180"}}
{more}"""

LOST = dict.fromkeys(FAST, "gpu_is_lost") | {"energy_millijoules": "gpu_is_lost"}


class Outage(Log):
    """A node that is judged from the first minute on."""

    def __init__(self, unknown: str = "down", more: str = "") -> None:
        super().__init__()
        self.fold.stall_us = NEVER_US
        self.tick(0)
        self.contract(TERMS.format(unknown=unknown, more=more))
        self.assign("n1")
        self.node = ScriptedNode()
        self.energy = 1_000_000

    def told(self, from_s: int, until_s: int, **shown: Any) -> dict[int, Mapping[str, Any]]:
        """A sample each minute. Energy goes on where the first GPU is not lost; `shown` replaces its readings."""
        found: dict[int, Mapping[str, Any]] = {}
        for second in range(from_s, until_s, MINUTE):
            self.energy += 18_000_000
            found[second] = {GPU: {"energy_millijoules": self.energy} | shown}
        return found

    def live(self, from_s: int, until_s: int, *events: dict[str, Any], **shown: Any) -> "Outage":
        """A report each minute, heard as it is made; the events come with the first."""
        for second, said in self.told(from_s, until_s, **shown).items():
            self.tick(second)
            first = list(events) if second == from_s else []
            self.report(self.node.report([second], {second: said}, events=first))
        return self

    def silent(self, from_s: int, until_s: int) -> "Outage":
        """Nobody hears the node."""
        for second in range(from_s, until_s, MINUTE):
            self.tick(second)
        return self

    def spooled(self, from_s: int, until_s: int, **shown: Any) -> "Outage":
        """What the node's chain tells of this time, heard at its end."""
        self.tick(until_s)
        for second, said in self.told(from_s, until_s, **shown).items():
            self.report(self.node.report([second], {second: said}))
        return self

    def again(self, **fields: Any) -> "Outage":
        """An agent that begins anew: another chain, of the same boot unless told."""
        self.node = ScriptedNode(chain=f"{self.node.chain}-again", **fields)
        return self

    def statement(self) -> Statement:
        """Once nothing can change it any more; the term was reported to its end."""
        as_of_us = (PERIOD.end_s + 86_400 * 30) * SECOND
        versions = self.fold.assignments.versions("K1")
        holders = self.fold.assignments.holders("K1", START_US, as_of_us)
        return draft(versions, holders, self.rows(), Notices(), PERIOD, as_of_us)


def owed(statement: Statement) -> tuple[str | None, str | None]:
    """At best and at worst for the provider."""
    return statement.lowest, statement.highest


def event(second: int, kind: str, code: int | None = None) -> dict[str, Any]:
    """What happened to the first GPU, or to the node."""
    at_us = (1000 + second) * SECOND
    device = GPU if code is not None else None
    told = {"device": device, "code": code, "source": "agent", "detail": ""}
    return {"boottime_us": at_us, "kind": kind} | told
