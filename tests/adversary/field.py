"""A day of a leased node of two GPUs, told by agents of both sides, and what its statement makes of it.

The day is the whole term, and so a thirty-first of the price of a month. A GPU that is down for the four hours from
FROM_H to UNTIL_H earns the lessee OWED. `Outage` is a shorter one: eight hours, and a dead GPU's four earn FOUR_HOURS.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tests.weighbridge.scripted import FAST, SECOND, START_US, Log, ScriptedNode
from weighbridge.challenge.record import SCHEDULE, ChallengeOutcome, Weighed, Weighing, seal_record
from weighbridge.judge.counts import Counts, counts
from weighbridge.judge.fleet import NEVER_US
from weighbridge.judge.ledger import Use
from weighbridge.log.entries import (
    CauseNotice,
    EntryKind,
    EventNotice,
    KeyChanged,
    Notice,
    entry,
    payload_type,
)
from weighbridge.notices.book import NoticeBook
from weighbridge.settlement.draft import statement_of
from weighbridge.settlement.figures import figures
from weighbridge.settlement.money import fraction_text
from weighbridge.settlement.proofs import ProvenRates
from weighbridge.settlement.results import Result
from weighbridge.settlement.statement import Statement, UnitLine
from weighbridge.wire.report import Model, WirePart, encode
from weighbridge.wire.signing import Signer

HOUR_S = 3600
DAY_H = 24
STEP_S = 60
FROM_H, UNTIL_H = 8, 12
OWED = "25.87"
BAD_S = (UNTIL_H - FROM_H) * HOUR_S
END_S, FROM_S, UNTIL_S = 8 * HOUR_S, 2 * HOUR_S, 6 * HOUR_S
FOUR_HOURS, NOTHING = "26.40", "0.00"
GPU = "GPU-n1-0"

TERMS = """\
contract_id: K1
version: "1"
effective: 2026-10-01T00:00:00Z
time_zone: UTC
currency: EUR
parties: [{id: P, role: provider}, {id: L, role: lessee}]
term: {from: 2026-10-01T00:00:00Z, to: 2026-10-02T00:00:00Z}
resources: [{id: h100, accelerator: {sku: H100-SXM-80GB}, per_node: "2", nodes: "1"}]
availability: [{id: gpus, unit: gpu, target: "0.999"}]
credits:
  - {id: c, kind: tiers, objective: gpus, base: {amount: "8019.70"},
     tiers: [{at_or_above: "0", below: "0.999", pct: "10"}]}
sampling: {interval_s: "60", max_gap_s: "180"}
"""
ITEM = 'resources: [{id: h100, accelerator: {sku: H100-SXM-80GB}, per_node: "2", nodes: "1"}]'
PROVEN = ITEM.replace(
    'nodes: "1"',
    'nodes: "1", challenges: [{at_least_flops_per_second: "800000000000000", unassessed: failed}]',
)

BY_THE_HOUR = {
    "2026-10-02T00:00:00Z}": "2026-10-01T08:00:00Z}",
    TERMS[TERMS.index("  - {id: c") : TERMS.index("sampling")]: (
        "  - {id: c, kind: outage_multiple, objective: gpus, multiple: '2', hour_price: '3.30', cap: {amount: '99'}}\n"
    ),
}

SIGNERS = {"provider": Signer(bytes(32)), "lessee": Signer(bytes([1]) * 32)}
LOST: Mapping[str, int | str] = {"power_draw_milliwatts": "gpu_is_lost"}
GONE = dict.fromkeys(FAST, "gpu_is_lost") | {"energy_millijoules": "gpu_is_lost"}
"""A GPU of which no reading is there."""

Said = Callable[[int], Mapping[str, Mapping[str, int | str]]]
"""Of an hour, what differs from a sound node: readings by device."""


def sound(_hour: int) -> Mapping[str, Mapping[str, int | str]]:
    """Both GPUs work."""
    return {}


def lost(hour: int) -> Mapping[str, Mapping[str, int | str]]:
    """The first GPU is lost for the four hours."""
    return {"GPU-n1-0": LOST} if FROM_H <= hour < UNTIL_H else {}


class Field(Log):
    """A log, the folds of it, and its statement."""

    def __init__(self, more: str = "", swap: Mapping[str, str] | None = None) -> None:
        """`more`: further terms of the contract; who bears time that nobody saw is held unless they say. `swap`: terms
        in the place of others."""
        super().__init__()
        self.book = NoticeBook()
        self.proven: list[ProvenRates] = []
        self.signers = dict(SIGNERS)
        self.keys: dict[str, dict[str, str | None]] = {}
        text = TERMS + (more if "unknown:" in more else f"unknown: {{policy: hold}}\n{more}")
        for old, new in (swap or {}).items():
            assert old in text
            text = text.replace(old, new)
        self.tick(0)
        for side in SIGNERS:
            self.enrol(side, "n1", side)
        self.contract(text)
        self.assign("n1")
        for side in SIGNERS:
            self.add(EntryKind.REPORT, self.introduction("n1", "chain-1", side), side)

    def enrol(self, name: str, node: str, side: str = "provider") -> None:
        """A key, under a name of the story, speaks for a node from now on."""
        signer = self.signers.setdefault(name, Signer(bytes([len(self.signers)]) * 32))
        key = {"key_id": signer.key_id, "public_key": signer.public_key.hex()}
        self.keys[name] = {**key, "node": node, "side": side, "secret_hash": None}
        self._change(name, action="enrolled", reason="")

    def revoke(self, name: str, from_h: int | None = None) -> None:
        """Its key speaks no more, nor does what it said since this hour count."""
        from_us = None if from_h is None else START_US + from_h * HOUR_S * SECOND
        self._change(name, action="revoked", reason="stolen", from_us=from_us)

    def _change(self, name: str, **said: str | int | None) -> None:
        self.add(EntryKind.KEY, KeyChanged.model_validate({**self.keys[name], **said}))

    def add(self, kind: EntryKind, payload: Model | WirePart, side: str = "provider") -> list[Any]:
        leaf = self.signers[side].seal(payload_type(kind), encode(payload))
        return self.take(leaf)

    def take(self, leaf: bytes) -> list[Any]:
        """The next entry of the log."""
        added = entry(len(self.entries), leaf)
        self.entries.append(added)
        self.leaves.append(leaf)
        said = self.fold.fold(added)
        self.book.fold(added, self.fold.watch.now_us)
        self.changes += said
        return said

    def day(
        self,
        *,
        provider: Said | None = None,
        lessee: Said | None = None,
        sent: Callable[[int], bool] = lambda _: True,
    ) -> "Field":
        """Each agent that is there reports every hour what it says of it, to the end of the term."""
        given = {"provider": provider, "lessee": lessee}
        agents = {side: said for side, said in given.items() if said is not None}
        nodes = {side: ScriptedNode() for side in agents}
        for hour in range(DAY_H + 1):
            self.tick(min((hour + 1) * HOUR_S, DAY_H * HOUR_S + 1))
            for side, said in agents.items():
                self.hear(nodes[side], hour, said, side, sent=sent)
        return self

    def hear(
        self,
        node: ScriptedNode,
        hour: int,
        said: Said,
        side: str = "provider",
        *,
        offset_s: int = 0,
        also: Mapping[int, Mapping[str, Mapping[str, int | str]]] | None = None,
        sent: Callable[[int], bool] = lambda _: True,
        **fields: Any,
    ) -> None:
        """The report of an hour; of the one after the last, its first sample. `also`: what differs at some seconds.

        `sent`: which samples are, by their second.
        """
        last = (hour + 1) * HOUR_S if hour < DAY_H else hour * HOUR_S + 1
        seconds = list(filter(sent, range(hour * HOUR_S + offset_s, last + offset_s, STEP_S)))
        told = {**dict.fromkeys(seconds, said(hour)), **(also or {})}
        report = node.report(seconds, told, **fields)
        self.add(EntryKind.REPORT, self.continued(report, side), side)

    def met_challenge(
        self, device: str, contract: str, node: str, name: str, cause: str = SCHEDULE
    ) -> None:
        """A challenge of one GPU was met by the agent of this name."""
        met = Weighed(device, "met", None, 8, 0, None, None, None, None)
        ended = ("c.1", "c", contract, node, self.signers[name].public_key)
        weighing = Weighing("met", None, (met,))
        said = ChallengeOutcome(
            *ended, weighing, (), b"", (), b"", "met", None, 1, 0, True, (), 0, cause=cause
        )
        self.take(seal_record(self.signers["provider"], said)[1])

    def told(self, party: str, said: EventNotice | CauseNotice) -> None:
        """A notice of a party."""
        notice = Notice(contract="K1", party=party, said=said, attested_for=party)
        self.add(EntryKind.NOTICE, notice)

    def counted(self) -> Counts:
        """The contract's GPUs as pages and metrics count them now."""
        contract = self.fold.assignments.contracts(self.fold.watch.now_us)["K1"].contract
        open_now = list(self.open().values())
        return counts(contract, [self.fold.observers("n1")], open_now, self.fold.watch.now_us)

    def statement(self, as_of_h: int = 24 * 45) -> Statement:
        """Of the period, by default once nothing can change it any more. What is shown live says the same."""
        as_of_us = START_US + as_of_h * HOUR_S * SECOND
        known = self.book.of_period("K1", "2026-10", as_of_us)
        assert known is not None
        record, period = replace(known[0], proven=self.proven), known[1]
        newest = {one.key: one for one in self.changes if isinstance(one, Use)}
        uses = [newest[key] for key in sorted(newest)]
        case = record.case(list(self.rows()), period, as_of_us, uses)
        found = statement_of(case, uses=uses)
        live = dict(figures(case, [one.id for one in record.newest.availability]))
        assert [_shown(one) for figure in live.values() for one in figure.results] == [
            (line.verdict, line.availability_fraction) for line in found.parts[0].units
        ]
        return found


class Outage(Field):
    """Eight hours, told minute by minute by the provider's agent; each hour of a dead GPU is worth 6.60."""

    def __init__(self, unknown: str = "down", more: str = "") -> None:
        super().__init__(f"unknown: {{policy: {unknown}}}\n{more}", BY_THE_HOUR)
        self.fold.stall_us = NEVER_US
        self.node = ScriptedNode()
        self.energy = 1_000_000

    def minutes(self, from_s: int, until_s: int, **shown: Any) -> dict[int, Mapping[str, Any]]:
        """A sample each minute. Energy goes on where the first GPU is not lost; `shown` replaces its readings."""
        found: dict[int, Mapping[str, Any]] = {}
        for second in range(from_s, until_s, STEP_S):
            self.energy += 18_000_000
            found[second] = {GPU: {"energy_millijoules": self.energy} | shown}
        return found

    def live(self, from_s: int, until_s: int, *events: dict[str, Any], **shown: Any) -> "Outage":
        """A report each minute, heard as it is made; the events come with the first."""
        for second, said in self.minutes(from_s, until_s, **shown).items():
            self.tick(second)
            first = list(events) if second == from_s else []
            self.report(self.node.report([second], {second: said}, events=first))
        return self

    def silent(self, from_s: int, until_s: int) -> "Outage":
        """Nobody hears the node."""
        for second in range(from_s, until_s, STEP_S):
            self.tick(second)
        return self

    def spooled(self, from_s: int, until_s: int, **shown: Any) -> "Outage":
        """What the node's chain tells of this time, heard at its end."""
        self.tick(until_s)
        for second, said in self.minutes(from_s, until_s, **shown).items():
            self.report(self.node.report([second], {second: said}))
        return self

    def again(self, **fields: Any) -> "Outage":
        """An agent that begins anew: another chain, of the same boot unless told."""
        self.node = ScriptedNode(chain=f"{self.node.chain}-again", **fields)
        return self


def event(second: int, kind: str, code: int | None = None) -> dict[str, Any]:
    """What happened to the first GPU, or to the node."""
    at_us = (1000 + second) * SECOND
    device = GPU if code is not None else None
    told = {"device": device, "code": code, "source": "agent", "detail": ""}
    return {"boottime_us": at_us, "kind": kind} | told


def _shown(result: Result) -> tuple[str, tuple[str, ...]]:
    shares = (one.outcome.availability for one in result.by_share)
    return result.verdict.name, tuple(map(fraction_text, shares))


def amounts(statement: Statement) -> tuple[str | None, str | None]:
    """Lowest and highest."""
    return statement.lowest, statement.highest


def unit(statement: Statement, name: str = "n1.0") -> UnitLine:
    """Of the GPU that the stories are about, by default."""
    return next(one for one in statement.parts[0].units if one.unit == name)


def seconds(statement: Statement, name: str = "n1.0") -> dict[str, Any]:
    """Whose agents saw a GPU, but what is nothing."""
    line = next(one for one in statement.parts[0].evidence if one.unit == name)
    told = {
        "agreed": line.agreed_seconds,
        "provider": line.provider_seconds,
        "lessee": line.lessee_seconds,
        **line.contradicted,
        "contested": line.contested_seconds,
        "unknown": line.unknown_seconds,
    }
    return {name: value for name, value in told.items() if value}
