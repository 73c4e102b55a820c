"""Whatever one side's agents say: what is true stays within the amounts if the other side's agent tells it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from tests.adversary.field import DAY_H, HOUR_S, LOST, TERMS, Field
from tests.weighbridge.scripted import SECOND, START_US, ScriptedNode
from weighbridge.log.entries import EventNotice

SLOTS = ("GPU-n1-0", "GPU-n1-1")
TIERS = TERMS[TERMS.index("  - {id: c, kind: tiers") : TERMS.index("sampling:")]
BY_THE_HOUR = """\
  - {id: c, kind: outage_multiple, objective: gpus, multiple: "1", hour_price: "1.00", cap: {amount: "1000"}}
"""
"""What is owed is the hours for which a GPU was dead."""
EVENTS = (("xid", 79), ("xid", 13), ("paused", None), ("resumed", None), ("device_returned", None))


@dataclass
class Liar(ScriptedNode):
    """An agent that shows strangers in the place of its devices, at will."""

    strangers: dict[int, str] = field(default_factory=dict)

    @property
    def devices(self) -> list[str]:
        return [self.strangers.get(place, uuid) for place, uuid in enumerate(super().devices)]


@dataclass
class LyingSide:
    """Says at random that GPUs are dead or well, late, with samples left out, by old and new chains and several agents
    at a time, of strangers, faults, replacements, and on another node."""

    side: str
    draw: Random
    waiting: list[int] = field(default_factory=list)
    agents: list[Liar] = field(default_factory=lambda: [Liar()])
    dead: tuple[str, ...] = ()
    silent_until: int = 0
    elsewhere: Liar = field(default_factory=lambda: Liar("n2", strangers=dict(enumerate(SLOTS))))

    def often(self, share: float) -> bool:
        return self.draw.random() < share

    def hour(self, log: Field, hour: int) -> None:
        """What it has to say at the end of this hour, of it and of those before that it kept to itself."""
        self.waiting.append(hour)
        if hour < self.silent_until:
            return
        if self.often(0.2):
            self.silent_until = hour + self.draw.randrange(2, 6)
        if self.often(0.1):
            boot = self.draw.choice(["boot-1", f"boot-{hour}"])
            self.agents.append(Liar(chain=f"chain-{self.side}-{hour}", boot=boot))
            self.waiting = [hour]
        for one in self.waiting:
            self.tell(log, one)
        self.waiting = []
        self.say_more(log, hour)

    def tell(self, log: Field, hour: int) -> None:
        agent = self.draw.choice(self.agents) if self.often(0.3) else self.agents[-1]
        if self.often(0.3):
            self.dead = tuple(uuid for uuid in SLOTS if self.often(0.4))
        said = {uuid: LOST for uuid in self.dead if uuid in agent.devices}
        thin = self.often(0.15)
        more = self.shown(agent, hour) | self.events(hour)
        log.hear(
            agent,
            hour,
            lambda _: {uuid: told for uuid, told in said.items() if uuid in agent.devices},
            self.side,
            sent=lambda second: not thin or second % 180 == 0,
            **more,
        )

    def shown(self, agent: Liar, hour: int) -> dict[str, Any]:
        if not self.often(0.15):
            return {}
        stranger = {self.draw.randrange(2): f"GPU-made-up-{hour}"}
        agent.strangers = stranger if self.often(0.6) else {}
        return {"inventory": agent.inventory()}

    def events(self, hour: int) -> dict[str, Any]:
        if not self.often(0.15):
            return {}
        kind, code = self.draw.choice(EVENTS)
        device = self.draw.choice(SLOTS) if code else None
        at_us = (1000 + hour * HOUR_S + self.draw.randrange(HOUR_S)) * SECOND
        told = {"device": device, "code": code, "source": "agent", "detail": ""}
        return {"events": [{"boottime_us": at_us, "kind": kind} | told]}

    def say_more(self, log: Field, hour: int) -> None:
        if self.often(0.1):
            new = self.draw.choice([*SLOTS, *self.agents[-1].devices])
            at_us = START_US + hour * HOUR_S * SECOND
            said = EventNotice(
                kind="event",
                event="gpu_replaced",
                at_us=at_us,
                since_us=None,
                unit=f"n1.{self.draw.randrange(2)}",
                details={"new": new},
            )
            log.told({"provider": "P", "lessee": "L"}[self.side], said)
        if self.often(0.1):
            if "elsewhere" not in log.signers:
                log.enrol("elsewhere", "n2", self.side)
            log.hear(self.elsewhere, hour, lambda _: {}, "elsewhere")


def terms(draw: Random) -> str:
    """Whatever the contract makes of silence, of what is late and of samples that were left out."""
    late = draw.choice(["held", "counted", "refused"])
    below = draw.choice(["held", "unknown", "noted"])
    evidence = f"evidence: {{late: {late}, below_coverage: {below}}}\n"
    return f"unknown: {{policy: {draw.choice(['hold', 'up', 'down'])}}}\n{evidence}"


def dead_hours(draw: Random) -> frozenset[tuple[int, str]]:
    """Of each GPU none, or some in a row."""
    found: set[tuple[int, str]] = set()
    for uuid in SLOTS:
        first, count = draw.randrange(DAY_H), draw.randrange(1, 8)
        if draw.random() < 0.6:
            found |= {(hour, uuid) for hour in range(first, min(DAY_H, first + count))}
    return frozenset(found)


@pytest.mark.parametrize("honest", ["provider", "lessee"])
@pytest.mark.parametrize("seed", range(8))
def test_what_is_true_stays_within_the_amounts_whatever_the_other_side_says(
    seed: int, honest: str
) -> None:
    """And the lowest is no more than the highest, and what is shown live the same as the statement (see `Field`)."""
    draw = Random(f"{seed} {honest}")
    dead, log, agent = dead_hours(draw), Field(terms(draw), {TIERS: BY_THE_HOUR}), ScriptedNode()
    liar = LyingSide("lessee" if honest == "provider" else "provider", draw)

    def true(hour: int) -> Mapping[str, Mapping[str, int | str]]:
        return {uuid: LOST for uuid in SLOTS if (hour, uuid) in dead}

    for hour in range(DAY_H + 1):
        log.tick(min((hour + 1) * HOUR_S, DAY_H * HOUR_S + 1))
        lies_first = draw.random() < 0.5
        if lies_first:
            liar.hour(log, hour)
        log.hear(agent, hour, true, honest)
        if not lies_first:
            liar.hour(log, hour)
    found = log.statement()
    assert found.lowest is not None
    assert found.highest is not None
    assert Decimal(found.lowest) <= len(dead) <= Decimal(found.highest)
    assert found.flags or found.lowest == found.highest
