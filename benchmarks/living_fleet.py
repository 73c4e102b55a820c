"""A fleet as a collector holds it: contracts of 125 nodes of 8 GPUs, each node's state what the judge makes of reports.

One node's reports are judged; what the judge then remembers of it is remembered of each other node under its own name.
"""

from collections.abc import Iterator

from benchmarks.judging import Node
from collector.judging.current_figures import Current
from collector.judging.live import Judgement, LiveFleet
from tests.collector.building import INTERVAL_US, enrolled
from weighbridge.judge.fleet import NODE, WATCH, FleetFold
from weighbridge.judge.registry import Registry
from weighbridge.log.entries import (
    Assignment,
    ContractAdded,
    Entry,
    EntryKind,
    Tick,
    entry,
    payload_type,
)
from weighbridge.notices.book import NoticeBook
from weighbridge.settlement.judge_versions import Judges
from weighbridge.wire.report import Model, encode
from weighbridge.wire.signing import Signer, generate_private_key

GPUS_PER_NODE = 8
NODES_PER_CONTRACT = 125
PATTERN = "node-00000"
SAMPLES, REPORTS = 6, 12
START_US = 1_790_000_000_000_000
CONTRACT = """\
contract_id: {name}
effective: 2026-09-01T00:00:00Z
time_zone: UTC
currency: USD
parties: [{{id: P, role: provider}}, {{id: L, role: lessee}}]
term: {{from: 2026-09-01T00:00:00Z, to: 2027-09-01T00:00:00Z}}
resources: [{{id: cards, accelerator: {{sku: H100-SXM-80GB}}, per_node: 8, nodes: {nodes}}}]
availability: [{{id: node, unit: node, target: "0.995"}}]
unknown: {{policy: hold}}
"""


def named(number: int) -> str:
    return f"node-{number:05d}"


def owner(number: int, each: int = NODES_PER_CONTRACT) -> str:
    return f"contract-{number // each:03d}"


class Entries:
    """Entries of a log that nobody keeps."""

    def __init__(self) -> None:
        self._signer = Signer(generate_private_key())
        self.count = 0

    def record(self, kind: EntryKind, said: Model | Tick) -> Entry:
        return self.take(self._signer.seal(payload_type(kind), encode(said)))

    def take(self, leaf: bytes) -> Entry:
        self.count += 1
        return entry(self.count - 1, leaf)


def agreed(nodes: int, each: int, entries: Entries) -> Iterator[Entry]:
    """Contracts, and who is assigned to them."""
    for first in range(0, nodes, each):
        mine = range(first, min(nodes, first + each))
        name = owner(first, each)
        text = CONTRACT.format(name=name, nodes=len(mine))
        added = ContractAdded(contract=name, version=1, text=text, from_us=0)
        yield entries.record(EntryKind.CONTRACT, added)
        for number in mine:
            assigned = Assignment(contract=name, node=named(number), devices=None)
            yield entries.record(EntryKind.ASSIGNMENT, assigned)


def fleet_fold(nodes: int, each: int = NODES_PER_CONTRACT) -> FleetFold:
    """All of them, so many to a contract, in the state that the reports of one left it in."""
    entries, agent, one = Entries(), Node(PATTERN, "busy"), FleetFold()
    terms = list(agreed(nodes, each, entries))
    agent.start_us = START_US
    first = terms[:2]
    for said in (*first, entries.record(EntryKind.KEY, enrolled(agent))):
        one.fold(said)
    for number in range(1, REPORTS + 1):
        heard_us = START_US + (number * SAMPLES - 1) * INTERVAL_US + 100_000
        one.fold(entries.record(EntryKind.TICK, Tick(wall_us=heard_us)))
        one.fold(entries.take(agent.report(SAMPLES)))
    told = one.snapshots()
    state = told[NODE + PATTERN]
    states = {NODE + named(number): of_node(state, number, each) for number in range(nodes)}
    made = FleetFold()
    made.restore({WATCH: told[WATCH]} | states, terms)
    made.registry = registry(made)
    return made


def of_node(state: bytes, number: int, each: int) -> bytes:
    """The same of another node, in its contract."""
    told = state.replace(PATTERN.encode(), named(number).encode())
    return told.replace(owner(0).encode(), owner(number, each).encode())


def registry(fold: FleetFold) -> Registry:
    """What it remembers once each node was heard."""
    made = Registry()
    for state in fold.states.values():
        for _ in made.see(state, fold.assignments, fold.watch.now_us, 0):
            pass
    return made


def living_fleet(fold: FleetFold) -> LiveFleet:
    """What pages read of it."""
    book = NoticeBook()
    current = Current(book, lambda *_: (), lambda *_: ())
    return LiveFleet(Judgement(fold, current, Judges()))
