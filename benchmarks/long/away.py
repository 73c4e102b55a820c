"""Agents that were away for a day come back: nothing is lost, and what they tell is late as the contract says.

    python -m benchmarks.long.away [--backlog 864] [--json FILE]

First in simulated time: a node has no network from noon to noon, and loses a GPU meanwhile. At midnight every agent
ends; the collector is away, lets the reports of a contract leave that is over, and makes another CA; the key of a
node that does not come back is revoked from an instant. Then the fleet boots again, and at noon the node hands over
its spool.

Then in real time and over TLS: an agent that knows of the next CA is away for so many reports, and the CA is finished
and its neighbour's key revoked meanwhile.
"""

import argparse
import json
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.ingest import machine
from tests.agent.fake_nvml.fixture import build
from tests.collector.killed_commands import append
from tests.e2e.stage import (
    ADMIN,
    AGENT,
    Collector,
    Json,
    Stage,
    assert_kept,
    assert_unbroken,
    environment,
    lease,
    wait_for,
)
from weighbridge.log.entries import EntryKind, Tick

HOUR, GPUS = 3_600, 2
START_S: Final = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp())
CUT_H, LOST_H, STOLEN_H, FOUND_H, ENDED_H, BACK_H, END_H = 12, 14, 16, 17, 24, 36, 40
HEARD_WITHIN_S: Final = 1200
INTERVAL_S, SAMPLES = 60, 5
PATIENCE_S: Final = 1200.0
TERMS: Final = f"""\
sampling: {{interval_s: "{INTERVAL_S}", max_gap_s: "300", heard_within_s: "{HEARD_WITHIN_S}"}}
evidence: {{late: counted}}
"""


def instant(hour: float) -> str:
    return datetime.fromtimestamp(START_S + hour * HOUR, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def fault(kind: str, node: int, after_h: int, until_h: int | None = None, more: str = "") -> str:
    until = "" if until_h is None else f", until_seconds: {until_h * HOUR}"
    return f"  - {{kind: {kind}, node: {node}, after_seconds: {after_h * HOUR}{until}{more}}}\n"


FIRST_DAY: Final = (
    fault("network_cut", 1, CUT_H)
    + fault("fall_off_bus", 1, LOST_H, FOUND_H, ", gpus: [1]")
    + fault("silence", 3, 6)
)
SECOND_DAY: Final = fault("network_cut", 1, 0, BACK_H - ENDED_H)


def contracts() -> tuple[str, str]:
    """`lease` of three nodes, and `over`, which ended before the day and is kept for one more."""
    over = terms(lease("over", start_s=START_S - 3 * HOUR))
    ended = over.replace(f"to: {instant(365 * 24 - 3)}", f"to: {instant(-1)}")
    kept = ended.replace("late: counted", "late: counted, retention_days: 1")
    return terms(lease(start_s=START_S, nodes=3)), kept


def terms(text: str) -> str:
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("sampling")) + TERMS


class SimulatedDays:
    """A simulation store, its collector, and fleets in processes of their own, one after the other."""

    def __init__(self, stage: Stage) -> None:
        self._place = stage.directory
        self.collector = stage.collector("simulated", flags=["--simulation"])

    def play(self) -> dict[str, int]:
        self.collector.start()
        self._move(-24)
        for text in contracts():
            self.collector.add(text)
        held = {"n0": "lease", "n1": "lease", "n2": "lease", "n3": "over"}
        invites = [self.collector.invite(node, contract) for node, contract in held.items()]
        self._fleet(FIRST_DAY, invites, 0, ENDED_H)
        self._keep_house()
        self._fleet(SECOND_DAY, invites[:2], ENDED_H, END_H)
        return self._found()

    def _move(self, hour: int) -> None:
        body = json.dumps({"wall_us": (START_S + hour * HOUR) * 1_000_000}).encode()
        assert self.collector.request("POST", "/v1/simulation/clock", body).status == 200

    def _fleet(self, faults: str, invites: Sequence[str], from_h: int, until_h: int) -> None:
        (self._place / "scenario.yaml").write_text(f"version: 1\nfaults:\n{faults}")
        (self._place / "invites").write_text("\n".join(invites))
        words = {
            "nodes": len(invites), "gpus": GPUS, "invites": self._place / "invites",
            "scenario": self._place / "scenario.yaml", "interval-ms": INTERVAL_S * 1000,
            "identity-interval-ms": HOUR * 1000, "samples-per-report": SAMPLES,
            "state-directory": self._place / "fleet", "from": instant(from_h), "until": instant(until_h),
        }  # fmt: skip
        flags = [word for name, value in words.items() for word in (f"--{name}", str(value))]
        done = subprocess.run(
            [AGENT, "simulate", *flags],
            check=False,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            env=environment(),
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def _keep_house(self) -> None:
        """What the keeper does at midnight. The segment that grows is sealed, so that reports can leave it."""
        stolen = key_of(self.collector, "n2")
        self._done("key", "revoke", stolen, "--from", instant(STOLEN_H), "--reason", "stolen")
        for words in (("ca", "rotate"), ("ca", "finish"), ("backup", str(self._place / "backup"))):
            self._done(*words)
        self.collector.stop()
        append(self.collector.directory, [Tick(wall_us=(START_S + ENDED_H * HOUR) * 1_000_000)])
        assert self._done("retain").startswith("kept by no contract any longer: n3\n")
        self.collector.start()

    def _done(self, *words: str) -> str:
        done = self.collector.cli(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _found(self) -> dict[str, int]:
        for node in ("n0", "n1", "n2"):
            assert_unbroken(self.collector.reports(node))
        kinds = [kind for _, kind, _ in self.collector.entries()]
        words = ("lease", "--period", "2026-11")
        assert_as_agreed(json.loads(self._done("statement", *words, "--format", "json")))
        assert "equal to the byte" in self._done("replay", *words)
        return {
            "simulated: reports of the node that was away": len(self.collector.reports("n1")),
            "simulated: reports that left": kinds.count(EntryKind.REMOVED),
        }


def assert_as_agreed(statement: Json) -> None:
    """To the second: the outage that was told late, none beside it, and nobody knows what a stolen key said."""
    late_s = GPUS * ((BACK_H - CUT_H) * HOUR - HEARD_WITHIN_S)
    assert (statement["late"]["term"], statement["late"]["gpu_seconds"]) == ("counted", late_s)
    (part,) = statement["parts"]
    seconds = {unit["unit"]: unit["seconds"] for unit in part["units"]}
    down_s = {unit: spent["down"] for unit, spent in seconds.items() if spent["down"]}
    unknown = {unit for unit, spent in seconds.items() if spent["unknown"]}
    assert down_s == {"n1.1": (FOUND_H - LOST_H) * HOUR}
    assert unknown == {"n2.0", "n2.1"}
    assert {seconds[unit]["up"] for unit in unknown} == {STOLEN_H * HOUR}


def key_of(collector: Collector, node: str) -> str:
    rows: Json = collector.request("GET", "/v1/keys", None, ADMIN).json["keys"]
    (key,) = [row["key_id"] for row in rows if row["node"] == node]
    return str(key)


def really(stage: Stage, backlog: int) -> dict[str, int]:
    """One that was there when the next CA was made, and away while it was finished."""
    collector = stage.serving(lease(nodes=2), settings=["tls = true"], scheme="https")
    away, other = (stage.node(name, collector, interval_ms=100) for name in ("away", "other"))
    for node in (away, other):
        node.enroll()
        node.start()
    collector.healthy(2 * GPUS)
    assert collector.cli("ca", "rotate").returncode == 0
    for node in (away, other):
        node.stop()
        node.start()
    knows = "next CA is trusted too"
    wait_for(lambda: knows in away.log() and knows in other.log(), "both CAs to be trusted")
    stolen = key_of(collector, "other")
    collector.kill()
    for words in (("ca", "finish"), ("key", "revoke", stolen, "--reason", "stolen")):
        assert collector.cli(*words).returncode == 0
    wait_for(lambda: away.pending() >= backlog, "reports that are kept back", PATIENCE_S)
    collector.start()
    wait_for(lambda: away.pending() == 0, "the backlog to be handed over", PATIENCE_S)
    assert_unbroken(collector.reports(away.name))
    assert_kept(away, collector)
    wait_for(lambda: "revoked_key" in other.log(), "the refusal of the key that is revoked")
    return {"real: reports kept back": backlog, "real: acknowledged": len(away.receipts())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--backlog", type=int, default=864)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "nvml").mkdir()
        with closing(Stage(Path(scratch), build(Path(scratch) / "nvml"))) as stage:
            found = SimulatedDays(stage).play() | really(stage, options.backlog)
    for name, count in found.items():
        print(f"{count:>8} {name}")
    if options.json is not None:
        result = json.dumps({"machine": machine()} | found, indent=2)
        options.json.write_text(result + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
