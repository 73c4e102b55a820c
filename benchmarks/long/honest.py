"""A thousand honest GPUs for thirty days: nothing is found against their provider that did not happen.

    python -m benchmarks.long.honest [--nodes 125] [--days 30] [--seed 1] [--json FILE]

The bytes of every report go into the fold, in the order in which they would arrive, with a tick each minute. Nodes
reboot, drivers and agents are upgraded, networks are away, clocks step, applications crash, nights are idle. It ends
with an error at a finding against the provider.
"""

import argparse
import json
import time
from collections import Counter
from pathlib import Path

from benchmarks.ingest import machine
from tests.weighbridge.honest import HonestNode, accusations, fed


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
    wrong = accusations(told)
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
