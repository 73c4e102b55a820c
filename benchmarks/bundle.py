"""How much memory and CPU a bundle takes to be made and verified, on a log of many nodes that report seldom.

    python -m benchmarks.bundle [--nodes N] [--hours N] [--json FILE]

What stays in memory grows with node-hours, rows and sums of use, and not with the number of reports: so a month of
1,000 GPUs (125 nodes, 744 hours) is told here by two reports an hour of each node. Each step is a process of its own;
its peak is that of resident memory. CPU for each report is that of these small reports.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from pydantic import TypeAdapter

from benchmarks.ingest import machine
from collector.bundling.making import BundleMaker, Extracting
from collector.bundling.survey import survey_log
from collector.judging.statements import instant
from collector.log.commits import CommitBatch
from collector.log.own_keys import own_keys
from collector.storage.embedded import read_info
from collector.storage.frozen import FrozenLog
from tests.collector.building import (
    CONTRACT,
    INTERVAL_US,
    SECOND_US,
    Agent,
    log_signer,
    make_store,
    opened,
    weighbridge,
)
from weighbridge.log.entries import EntryKind
from weighbridge.settlement.statement import Statement

START_US = 1_790_812_800 * SECOND_US
PERIOD = "2026-10"
STEP_SAMPLES = 180
"""Half an hour, in samples of ten seconds."""
TARGET_MEBIBYTES = 256
SAMPLING = 'sampling: {interval_s: "1800", max_gap_s: "5400"}\n'


def write_log(directory: Path, nodes: int, hours: int) -> None:
    """Reports every half hour of each node, a tick for every eight."""
    fleet = [Agent(f"node-{number}") for number in range(nodes)]
    make_store(directory, fleet, CONTRACT.replace("nodes: 1", f"nodes: {nodes}") + SAMPLING)
    signer, now_us = log_signer(directory), START_US
    with opened(directory) as store:
        for number in range(2 * hours):
            now_us = START_US + number * STEP_SAMPLES * INTERVAL_US + SECOND_US
            for first in range(0, nodes, 8):
                batch = CommitBatch(store, signer, now_us + first)
                for agent in fleet[first : first + 8]:
                    agent.start_us, agent.sampled = START_US, number * STEP_SAMPLES
                    more = {"inventory": agent.inventory()} if number == 0 else {}
                    batch.add_leaf(EntryKind.REPORT, agent.next(1, interval_ms=1_800_000, **more))
                store.log.append(batch.leaves)
        store.log.append(CommitBatch(store, signer, now_us + 40 * SECOND_US).leaves)


def make(directory: Path, file: Path) -> None:
    """A bundle of the statement that lies beside the store."""
    statement = TypeAdapter(Statement).validate_json((directory / "statement.json").read_bytes())
    info, log = read_info(directory), FrozenLog(directory / "evidence" / "segments")
    known = survey_log(log, info, "lease", PERIOD, instant(statement.as_of), _quietly)
    by = Extracting(0, "benchmark", "", "", "")
    with file.open("wb") as out:
        again = BundleMaker(info, own_keys(directory / "keys", []), known, statement, ()).make(
            log, out, by, _quietly
        )
    print("equal" if again.digest == statement.digest else "differs")


def _quietly(_come: int) -> None:
    pass


MEASURED = """
import json, sys, time
try:
    {step}
except SystemExit as ended:
    if ended.code: raise
lines = open("/proc/self/status").read().splitlines()
(kibibytes,) = (int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
print(json.dumps(dict(mebibytes=kibibytes / 1024, seconds=time.process_time())))
"""
MAKE = "from benchmarks.bundle import make; from pathlib import Path; make(*map(Path, {words}))"
VERIFY = "from collector.__main__ import main; main(['verify', *{words}])"


def measured(step: str, *words: Path) -> dict[str, float]:
    """Peak of resident memory in MiB and CPU in seconds of a process that takes a step and ends well."""
    script = MEASURED.format(step=step.format(words=list(map(str, words))))
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(nodes: int, hours: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as scratch:
        directory, file = Path(scratch) / "store", Path(scratch) / "lease.tar"
        write_log(directory, nodes, hours)
        words = ("statement", "lease", "--period", PERIOD, "--format", "json")
        weighbridge(
            *words, "-o", directory / "statement.json", "--config", directory / "config.toml"
        )
        made, verified = measured(MAKE, directory, file), measured(VERIFY, file)
        return {
            "nodes": nodes,
            "hours": hours,
            "reports": 2 * nodes * hours,
            "file_mebibytes": file.stat().st_size / 2**20,
            "make": made,
            "verify": verified,
            "target_mebibytes": TARGET_MEBIBYTES,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=125)
    parser.add_argument("--hours", type=int, default=744)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = measure(given.nodes, given.hours) | {"machine": machine()}
    text = json.dumps(found, indent=1)
    print(text)
    if given.json is not None:
        given.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
