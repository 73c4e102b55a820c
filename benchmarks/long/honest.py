"""A thousand honest GPUs for thirty days: nothing is found against their provider that did not happen.

    python -m benchmarks.long.honest [--nodes 125] [--days 30] [--seed 1] [--json FILE]

The bytes of every report go into the fold, in the order in which they would arrive, with a tick each minute. Nodes
reboot, drivers and agents are upgraded, networks are away, clocks step, applications crash, nights are idle. It ends
with an error at a finding against the provider that nothing at the node explains.
"""

import argparse
import heapq
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.ingest import machine
from tests.weighbridge.honest import CONTRACT, Happened, HonestNode
from tests.weighbridge.scripted import START_US
from weighbridge.judge.checks import Severity
from weighbridge.judge.fleet import FleetFold
from weighbridge.judge.ledger import Finding
from weighbridge.log.entries import Assignment, ContractAdded, EntryKind, Tick, entry, payload_type
from weighbridge.wire.report import Model, WirePart, encode
from weighbridge.wire.signing import Signer

SIGNER = Signer(bytes(range(32)))
SECOND = 1_000_000
TICK_S = 60
AFTERWARDS_S = 7_200
"""A finding of an hour comes with the end of it."""
MAY_FOLLOW = {
    "reboot": {"node_silent", "gpu_unreported", "evidence_gap", "coverage_low"},
    "driver": {"node_silent", "gpu_unreported", "evidence_gap", "coverage_low"},
    "network": {"node_silent", "evidence_late", "coverage_low"},
}


class Fed:
    """A fold, and what was found."""

    def __init__(self) -> None:
        self.fold, self.entries = FleetFold(), 0
        self.findings: list[Finding] = []

    def add(self, kind: EntryKind, payload: Model | WirePart) -> None:
        self.take(kind, encode(payload))

    def take(self, kind: EntryKind, payload: bytes) -> None:
        leaf = SIGNER.seal(payload_type(kind), payload)
        said = self.fold.fold(entry(self.entries, leaf))
        self.entries += 1
        self.findings += [one for one in said if isinstance(one, Finding)]


def arrivals(nodes: Sequence[HonestNode]) -> Iterator[tuple[int, bytes]]:
    """All reports in the order of their arrival; those of one node stay in theirs."""
    streams = [_numbered(node) for node in nodes]
    for second, _, _, payload in heapq.merge(*streams):
        yield second, payload


def _numbered(node: HonestNode) -> Iterator[tuple[int, int, int, bytes]]:
    for place, (second, payload) in enumerate(node.reports()):
        yield second, node.number, place, payload


def fed(nodes: Sequence[HonestNode]) -> Fed:
    """The fold that has heard all of it."""
    told = Fed()
    told.add(EntryKind.TICK, Tick(wall_us=START_US))
    text = CONTRACT.replace("NODES", str(len(nodes)))
    told.add(EntryKind.CONTRACT, ContractAdded(contract="K1", version=1, text=text, from_us=0))
    for node in nodes:
        told.add(EntryKind.ASSIGNMENT, Assignment(contract="K1", node=node.name, devices=None))
    ticked = 0
    for second, payload in arrivals(nodes):
        while ticked + TICK_S <= second:
            ticked += TICK_S
            told.add(EntryKind.TICK, Tick(wall_us=START_US + ticked * SECOND))
        told.take(EntryKind.REPORT, payload)
    return told


def explained(finding: Finding, happened: Sequence[Happened]) -> bool:
    """Whether something happened at the node that this may follow from."""
    at_s = (finding.since_us - START_US) // SECOND
    return any(
        finding.code in MAY_FOLLOW.get(one.what, ())
        and one.from_s - TICK_S <= at_s <= one.until_s + AFTERWARDS_S
        for one in happened
    )


def accusations(told: Fed, nodes: Sequence[HonestNode]) -> list[Finding]:
    """What is found against the provider, and did not happen."""
    happened = {node.name: node.happened for node in nodes}
    return [
        finding
        for finding in told.findings
        if finding.answerable == "provider"
        and finding.severity is not Severity.INFO
        and not explained(finding, happened.get(finding.node, ()))
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=125)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    nodes = [HonestNode(number, given.days, given.seed) for number in range(given.nodes)]
    begun = time.process_time()
    told = fed(nodes)
    spent = time.process_time() - begun
    wrong = accusations(told, nodes)
    figures = {
        "machine": machine(),
        "entries": told.entries,
        "days": given.days * given.nodes,
        "happened": Counter(one.what for node in nodes for one in node.happened),
        "found": Counter(f"{one.code} {one.answerable} {one.verdict}" for one in told.findings),
        "accused": Counter(one.code for one in wrong),
        "cpu_s": round(spent, 1),
    }
    for name, value in figures.items():
        print(f"{name}: {dict(value) if isinstance(value, Counter) else value}")
    if given.json:
        given.json.write_text(json.dumps(figures))
    if wrong:
        raise SystemExit(f"accused of what did not happen: {wrong[0]}")


if __name__ == "__main__":
    main()
