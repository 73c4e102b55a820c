"""A day of a leased node of two GPUs, told by agents of both sides, and what its statement makes of it.

The day is the whole term, and so a thirty-first of the price of a month. A GPU that is down for the four hours from
FROM_H to UNTIL_H earns the lessee 25.87.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tests.weighbridge.scripted import SECOND, START_US, Log, ScriptedNode
from weighbridge.challenge.record import ChallengeOutcome, Weighed, Weighing, seal_record
from weighbridge.judge.counts import Counts, counts
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

SIGNERS = {"provider": Signer(bytes(32)), "lessee": Signer(bytes([1]) * 32)}
LOST: Mapping[str, int | str] = {"power_draw_milliwatts": "gpu_is_lost"}
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
        key = signer.public_key.hex()
        change = {"action": "enrolled", "key_id": signer.key_id, "public_key": key, "node": node}
        said = {**change, "side": side, "secret_hash": None, "reason": ""}
        self.add(EntryKind.KEY, KeyChanged.model_validate(said))

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

    def met_challenge(self, device: str, contract: str, node: str, name: str) -> None:
        """A challenge of one GPU was met by the agent of this name."""
        met = Weighed(device, "met", None, 8, 0, None, None, None, None)
        ended = ("c.1", "c", contract, node, self.signers[name].public_key)
        weighing = Weighing("met", None, (met,))
        said = ChallengeOutcome(
            *ended, weighing, (), b"", (), b"", "met", None, 1, 0, final=True, failed=(), ended_us=0
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
