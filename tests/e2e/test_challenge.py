"""Challenges over the two programs as processes, on the CPU back end: from the command to the entries of the log."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stage import AGENT, COLLECTOR, Collector, Node, Program, Stage, lease, wait_for
from tests.e2e.stage import environment as surroundings
from weighbridge.challenge.record import Commitment, payload_kind, read_commitment, read_outcome
from weighbridge.challenge.record import recheck as recheck_entries
from weighbridge.log.entries import Entry, EntryKind, entry
from weighbridge.log.succession import LogKeys

pytestmark = pytest.mark.slow
IDLE = "set * nvmlDeviceGetUtilizationRates.gpu 0"
NUMBERS = ("--size", "128", "--rounds", "4", "--samples", "24", "--deadline-ms", "20000")


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory whose path fits into the address of a socket."""
    with tempfile.TemporaryDirectory(prefix="wb-") as directory:
        yield Path(directory)


def challenged(
    stage: Stage, collector: Collector, name: str = "n1", *more: str, **settings: object
) -> Node:
    """A node whose agent may start probers on the CPU back end, enrolled and reporting; idle unless told otherwise."""
    node = stage.node(name, collector)
    node.play(*(more or (IDLE,)))
    chosen = {"probe": "spawn", "probe_backend": "cpu"} | settings
    with node.config.open("a") as file:
        file.writelines(f"{key} = {json.dumps(value)}\n" for key, value in chosen.items())
    node.enroll()
    node.start()
    wait_for(lambda: name in reporting(collector), "a report")
    return node


def reporting(collector: Collector) -> set[str]:
    """Nodes whose agents have spoken."""
    nodes = collector.get("/v1/nodes")["items"]
    return {one["node"] for one in nodes if one["last_received_us"] is not None}


def ask(collector: Collector, *nodes: str, **more: str) -> subprocess.CompletedProcess[str]:
    flags = [word for name, value in more.items() for word in (f"--{name}", value)]
    return collector.cli("challenge", *(nodes or ("n1",)), *NUMBERS, *flags)


def log_of(collector: Collector) -> list[Entry]:
    """Every entry of the log, as anybody fetches them."""
    return [entry(row["index"], row["envelope"].encode()) for row in rows_of(collector)]


def rows_of(collector: Collector) -> list[dict[str, Any]]:
    size = collector.get("/v1/log/head")["size"]
    rows: list[dict[str, Any]] = []
    while len(rows) < size:
        rows += collector.get(f"/v1/log/entries?start={len(rows)}&limit=1000")
    return rows


def said(collector: Collector, kind: str) -> list[bytes]:
    """Payloads of the challenge entries of one kind."""
    kinds = (EntryKind.CHALLENGE, EntryKind.PROOF, EntryKind.TELEMETRY)
    payloads = [payload for _, one, payload in collector.entries() if one in kinds]
    return [payload for payload in payloads if payload_kind(payload) == kind]


def commitments(collector: Collector) -> list[Commitment]:
    return [read_commitment(payload) for payload in said(collector, "commitment")]


def test_a_node_proves_its_compute_and_a_third_party_finds_the_same_offline(stage: Stage) -> None:
    collector = stage.serving()
    node = challenged(stage, collector)
    done = ask(collector)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "n1: met" in done.stdout
    assert done.stdout.count("TFLOP/s") == 2
    exported = stage.directory / "entries.json"
    exported.write_text(json.dumps(rows_of(collector)))
    log_key = collector.get("/v1/log/head")["log_key"]
    collector.stop()
    kept = node.config.parent / "state" / "challenges.jsonl"
    offline = subprocess.run(
        [COLLECTOR, "recheck", str(exported), "--log-key", log_key, "--receipts", str(kept)],
        capture_output=True,
        text=True,
        timeout=60,
        env=surroundings(),
    )
    assert offline.returncode == 0, offline.stdout + offline.stderr
    assert "n1 met, as logged" in offline.stdout
    assert "as its agent was told, 3 receipts" in offline.stdout


def test_the_commitment_is_in_the_log_before_the_release_and_the_secret_after_the_roots(
    stage: Stage,
) -> None:
    collector = stage.serving()
    node = challenged(stage, collector)
    assert ask(collector).returncode == 0
    kinds = [payload_kind(e.envelope.payload) for e in log_of(collector) if is_challenge(e)]
    words = "commitment ready release roots reveal openings outcome"
    assert [kind for kind in kinds if kind != "telemetry"] == words.split()
    met = {"contract": "lease", "node": "n1", "verdict": "met", "reason": ""}
    assert ("challenge_attempts_total", met, 1.0) in collector.gpu_metrics()
    rates = dict_of(collector, "challenge_verified_flops_per_second")
    assert rates.keys() == {node.gpu(0), node.gpu(1)}
    assert min(rates.values()) > 0


def test_openings_larger_than_any_batch_of_reports_go_all_the_way(stage: Stage) -> None:
    collector = stage.serving()
    challenged(stage, collector)
    done = ask(collector, samples="800")
    assert done.returncode == 0, done.stdout + done.stderr
    (openings,) = said(collector, "openings")
    assert len(openings) > 16 << 20


@pytest.mark.parametrize("milliwatts", [90_000, 600_000])
def test_a_pass_is_linked_to_the_telemetry_of_its_time_which_shows_whether_the_card_was_at_work(
    stage: Stage, dishonest: "Dishonest", milliwatts: int
) -> None:
    """A relay answers rightly and takes its time; what the local card draws meanwhile tells it from an honest one."""
    collector = stage.serving()
    power = f"set * nvmlDeviceGetPowerUsage {milliwatts}"
    relay = {"probe": "socket", "probe_socket": str(dishonest.play("relay").socket)}
    node = challenged(stage, collector, "n1", IDLE, power, **relay)
    done = ask(collector)
    assert done.returncode == 0, done.stdout + done.stderr
    wait_for(lambda: said(collector, "telemetry"), "the link", 60)
    exported = stage.directory / "entries.json"
    exported.write_text(json.dumps(rows_of(collector)))
    log_key = collector.get("/v1/log/head")["log_key"]
    offline = collector.cli("recheck", str(exported), "--log-key", log_key)
    assert offline.returncode == 0, offline.stdout + offline.stderr
    shown = "idle" if milliwatts == 90_000 else "load"
    assert offline.stdout.count(f"its telemetry shows {shown}: ") == 2
    idle = {("challenge_idle", node.gpu(0)), ("challenge_idle", node.gpu(1))}
    if shown == "idle":
        wait_for(lambda: idle <= collector.breaches(), "the findings")
    else:
        assert not idle & collector.breaches()


def is_challenge(one: Entry) -> bool:
    return one.kind in (EntryKind.CHALLENGE, EntryKind.PROOF)


def dict_of(collector: Collector, name: str) -> dict[str, float]:
    samples = collector.gpu_metrics()
    return {labels["uuid"]: value for known, labels, value in samples if known == name}


@pytest.mark.parametrize(
    ("scenario", "settings", "reason"),
    [
        (("set * nvmlDeviceGetUtilizationRates.gpu 37",), {}, "busy"),
        ((IDLE,), {"probe": "off"}, "no consent"),
        ((IDLE,), {"probe_consent": "nobody"}, "no consent"),
        ((IDLE,), {"probe_budget_ms": 1000}, "no budget"),
        ((IDLE,), {"probe_reserve_bytes": 1 << 40}, "memory in use"),
        ((IDLE,), {"probe": "socket", "probe_socket": "/nonexistent"}, "unsupported"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_may_not_be_asked_of_a_node_is_not_assessed_and_never_failed(
    stage: Stage, scenario: tuple[str, ...], settings: dict[str, object], reason: str
) -> None:
    collector = stage.serving()
    challenged(stage, collector, "n1", *scenario, **settings)
    done = ask(collector)
    assert done.returncode == 4, done.stdout + done.stderr
    assert f"not assessed: {reason}" in done.stdout
    assert not [code for code, _ in collector.breaches() if code == "challenge_failed"]


@pytest.fixture
def dishonest(short: Path) -> Iterator["Dishonest"]:
    made = Dishonest(short)
    yield made
    if made.alive:
        made.kill()


class Dishonest(Program):
    """A prober that cheats, behind a socket."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "log")
        self.socket = directory / "probe.sock"

    def play(self, way: str) -> "Dishonest":
        program = Path(__file__).with_name("dishonest.py")
        self.launch([sys.executable, str(program), str(self.socket), way], dict(os.environ))
        wait_for(self.socket.exists, "the prober's socket")
        return self


def behind(stage: Stage, collector: Collector, prober: Dishonest) -> Node:
    return challenged(stage, collector, "n1", probe="socket", probe_socket=str(prober.socket))


def test_a_prober_that_skips_rows_has_failed_for_good_and_is_found(
    stage: Stage, dishonest: Dishonest
) -> None:
    collector = stage.serving()
    node = behind(stage, collector, dishonest.play("skip"))
    done = ask(collector, attempts="2")
    assert done.returncode == 3, done.stdout + done.stderr
    assert done.stdout.count("failed: wrong answer") == 3, "one attempt, and two GPUs in it"
    found = {("challenge_wrong_answer", node.gpu(gpu)) for gpu in (0, 1)}
    wait_for(lambda: found <= collector.breaches(), "the findings")
    rows = [row for row in collector.history() if row["gpu"] == node.gpu(0)]
    assert sorted((row["code"], row["level"], row["severity"]) for row in rows) == [
        ("challenge_failed_by_hand", "E2", "warning"),
        ("challenge_wrong_answer", "E2", "error"),
    ], "exact proof counts by hand too, and nothing else does"


def test_what_is_not_answered_in_time_by_the_collectors_clock_is_not_assessed(
    stage: Stage, dishonest: Dishonest
) -> None:
    collector = stage.serving()
    behind(stage, collector, dishonest.play("late"))
    done = collector.cli("challenge", "n1", *NUMBERS[:-1], "2000", "--attempts", "1")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "not assessed: no answer" in done.stdout


def probers(node: Node) -> list[str]:
    """Command lines of the prober and its workers, as long as they are there."""
    found = []
    for status in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = status.read_bytes().split(b"\0")
            if b"agent.probe.worker" in words and node.gpu(0).encode() in words:
                found.append(str(words))
    return found


def test_a_prober_that_outlasts_its_deadline_is_ended_with_its_workers(stage: Stage) -> None:
    collector = stage.serving()
    node = challenged(stage, collector)
    words = ("--size", "2048", "--rounds", "4000", "--samples", "8", "--deadline-ms", "4000")
    done = collector.cli("challenge", "n1", *words, "--attempts", "1")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "not assessed: no answer" in done.stdout
    wait_for(lambda: not probers(node), "the workers to be ended")


def test_a_collector_that_is_killed_in_the_middle_leaves_a_void_challenge(
    stage: Stage, dishonest: Dishonest
) -> None:
    collector = stage.serving()
    behind(stage, collector, dishonest.play("hang"))
    policy = {"profile": "f16", "size": 128, "rounds": 2, "samples": 8}
    wanted = {"nodes": ["n1"], "contract": None, "policy": policy}
    collector.post("/v1/challenges", json.dumps(wanted).encode())
    wait_for(lambda: said(collector, "release"), "the release")
    collector.kill()
    collector.start()
    (outcome,) = map(read_outcome, wait_for(lambda: said(collector, "outcome"), "the outcome"))
    assert outcome.weighing.verdict == "void"
    assert collector.history() == [] or "challenge_failed" not in collector.codes()
    keys = LogKeys(bytes.fromhex(collector.get("/v1/log/head")["log_key"]))
    _, weighing = recheck_entries(log_of(collector), outcome.challenge, keys)
    assert weighing.verdict == "void"


def test_nodes_of_a_group_are_released_in_the_same_second(stage: Stage) -> None:
    collector = stage.serving(lease(nodes=2))
    for name in ("n1", "n2"):
        challenged(stage, collector, name)
    done = ask(collector, "n1", "n2")
    assert done.returncode == 0, done.stdout + done.stderr
    first, second = [read_outcome(payload).times[0] for payload in said(collector, "outcome")]
    assert first.released_ns is not None
    assert second.released_ns is not None
    assert abs(first.released_ns - second.released_ns) < 1_000_000_000
    assert len({one.group for one in commitments(collector)}) == 1


def test_a_simulated_node_takes_challenges_too(stage: Stage, short: Path) -> None:
    collector = stage.serving()
    invites = short / "invites"
    invites.write_text(collector.invite("n1") + "\n")
    fleet = Program(short / "log")
    words = ["simulate", "--probe", "--gpus", "2", "--invites", str(invites), "--seconds", "120"]
    fleet.launch([AGENT, *words], surroundings())
    try:
        wait_for(lambda: "n1" in reporting(collector), "a report")
        done = ask(collector)
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        fleet.stop()


def test_the_contracts_schedule_challenges_without_being_asked(stage: Stage) -> None:
    slow = 'at_least_flops_per_second: "800000"'
    terms = (
        f'size: "128", rounds: "2", samples: "16", deadline_s: "30", mean_interval_s: "1", {slow}'
    )
    text = lease().replace("    exclusivity:", f"    challenges: [{{{terms}}}]\n    exclusivity:")
    collector = stage.serving(text)
    challenged(stage, collector)

    def met() -> bool:
        outcomes = map(read_outcome, said(collector, "outcome"))
        return [one.series_verdict for one in outcomes].count("met") >= 2

    wait_for(met, "two challenges that are met")
    assert {one.cause for one in commitments(collector)} == {"schedule"}
