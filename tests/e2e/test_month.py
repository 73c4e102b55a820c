"""A month from a published form to a claim: six simulated nodes, thirty days, and the money worked out by hand."""

import json
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from agent.simulation.devices import gpu_uuid
from tests.e2e.stage import AGENT, COLLECTOR, Program, environment, wait_for

pytestmark = pytest.mark.slow

NODES, GPUS = 6, 2
LISTEN = ("--listen", "127.0.0.1:0", "--url", "http://127.0.0.1:1")
DAY, HOUR = 86_400, 3_600
MONTH = 30 * DAY
VALUES = {
    "contract_id": "cvm-1",
    "from": "2026-11-01T00:00:00Z",
    "to": "2027-11-01T00:00:00Z",
    "time_zone": "UTC",
    "currency": "CNY",
    "provider": "The provider",
    "lessee": "The lessee",
    "sku": "H100-SXM-80GB",
    "nodes": str(NODES),
    "per_node": str(GPUS),
    "node_month": "43200.00",
    "unknown": "down",
}
MORE_TERMS = """\
sampling: {interval_s: 300, max_gap_s: 900}
maintenance: {min_notice_s: 86400}
"""
EVIDENCE = (
    "evidence: {records_prevail: provider}",
    "evidence: {records_prevail: provider, late: counted}",
)
"""What the form says, and this lease: what a node's spool tells counts as told."""
SCENARIO = f"""\
version: 1
faults:
  - {{kind: network_cut, node: 1, after_seconds: {2 * DAY}, until_seconds: {2 * DAY + 12 * HOUR}}}
  - {{kind: fall_off_bus, node: 2, gpus: [1], after_seconds: {5 * DAY}, until_seconds: {5 * DAY + 9 * HOUR}}}
  - {{kind: fall_off_bus, node: 3, gpus: [0], after_seconds: {8 * DAY}, until_seconds: {8 * DAY + 6 * HOUR}}}
  - {{kind: replacement, node: 3, gpus: [0], after_seconds: {8 * DAY + 5 * HOUR}, until_seconds: {8 * DAY + 6 * HOUR}}}
  - {{kind: fall_off_bus, node: 4, gpus: [0, 1], after_seconds: {12 * DAY}, until_seconds: {12 * DAY + 4 * HOUR}}}
  - {{kind: fall_off_bus, node: 5, gpus: [0], after_seconds: {15 * DAY}, until_seconds: {17 * DAY}}}
"""
"""Of node 4 the outage is maintenance that was announced two days before; of node 5 it lasts two days."""


class Month:
    """A served simulation store and the commands over it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.serving = Program(directory / "serve.log")

    def run(self, *words: str, program: str = COLLECTOR, seconds: float = 60) -> str:
        where = () if program == AGENT else ("--config", str(self.directory / "store/config.toml"))
        done = subprocess.run(
            [program, *words, *where],
            capture_output=True,
            text=True,
            timeout=seconds,
            env=environment(),
            cwd=self.directory,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def statement(self) -> dict[str, Any]:
        words = ("statement", "cvm-1", "--period", "2026-11", "--format", "json")
        found: dict[str, Any] = json.loads(self.run(*words))
        return found

    def move(self, instant: str) -> None:
        """The collector's clock goes on without any agent."""
        wall_us = int(datetime.fromisoformat(instant).timestamp()) * 1_000_000
        body = json.dumps({"wall_us": wall_us}).encode()
        with urlopen(Request(f"{self.url}/v1/simulation/clock", body), timeout=20) as answer:
            assert answer.status == 200

    @property
    def url(self) -> str:
        said = self.serving.log_file.read_text()
        return said.partition("listening on ")[2].partition("\n")[0]


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Month]:
    """The whole month, up to the end of November and six days more."""
    directory = tmp_path_factory.mktemp("month")
    made = Month(directory)
    subprocess.run(
        [COLLECTOR, "init", "store", "--simulation", "--open-on-loopback", *LISTEN],
        check=True,
        cwd=directory,
        env=environment(),
        capture_output=True,
    )
    blanks = [word for item in VALUES.items() for word in ("--set", "=".join(item))]
    form = subprocess.run(
        [COLLECTOR, "contract", "new", "--form", "tencent-cvm", *blanks],
        check=True,
        capture_output=True,
        text=True,
        env=environment(),
    ).stdout
    (directory / "lease.yaml").write_text(form.replace(*EVIDENCE) + MORE_TERMS)
    (directory / "scenario.yaml").write_text(SCENARIO)
    made.serving.launch(
        [COLLECTOR, "serve", "--simulation", "--config", str(directory / "store/config.toml")],
        environment(),
    )
    try:
        wait_for(lambda: made.url, "the collector")
        play(made)
        yield made
    finally:
        made.serving.stop()


def play(month: Month) -> None:
    month.run("contract", "add", "lease.yaml")
    lines = [
        month.run("invite", "cvm-1", "--side", "provider", "--node", f"n{number}")
        for number in range(NODES)
    ]
    (month.directory / "invites").write_text("".join(lines))
    announced = ("--from", "2026-11-13T00:00:00Z", "--until", "2026-11-13T04:00:00Z")
    month.run(
        "notice", "maintenance", "cvm-1", "--id", "M1", *announced, "--unit", "n4",
        "--party", "provider",
    )  # fmt: skip
    month.run(
        "notice", "event", "cvm-1", "gpu_replaced", "--at", "2026-11-09T05:00:00Z",
        "--unit", "n3.0", "--detail", f"new={gpu_uuid(0, 3, 0, 1)}", "--party", "provider",
    )  # fmt: skip
    month.run(
        "simulate", "--nodes", str(NODES), "--gpus", str(GPUS), "--scenario", "scenario.yaml",
        "--invites", "invites", "--collector", month.url, "--interval-ms", "300000",
        "--identity-interval-ms", str(HOUR * 1000), "--samples-per-report", "12",
        "--from", "2026-11-01T00:00:00Z", "--until", "2026-12-01T01:00:00Z",
        "--then", "2026-12-06T00:00:01Z", program=AGENT, seconds=170,
    )  # fmt: skip


def test_thirty_days_are_worth_what_they_are_worth_by_hand(month: Month) -> None:
    """99.95 % a month; below it 10 %, below 99 % 25 %, below 95 % all. A node-month is 43 200.00 CNY, 1 000 a minute.

    n1: twelve hours without a network, and nothing lost: the spool came late. No credit.
    n2: a GPU lost for 9 h of 720 h: 711/720 = 98.75 %, below 99 %: 25 % of 43 200 = 10 800.
    n3: a GPU lost for 6 h and replaced, as the provider says: 714/720 = 99.1667 %: 10 % = 4 320.
    n4: 4 h of maintenance, announced in time: nothing.
    n5: a GPU lost for 48 h: 672/720 = 93.33 %: 100 % = 43 200.
    Together 58 320.00.
    """
    statement = month.statement()
    assert statement["simulated"] is True
    assert statement["final"] is True
    (part,) = statement["parts"]
    units = {unit["unit"]: unit for unit in part["units"]}
    assert {name: unit["availability_fraction"][0] for name, unit in units.items()} == {
        "n0": "1/1", "n1": "1/1", "n2": "79/80", "n3": "119/120", "n4": "1/1", "n5": "14/15",
    }  # fmt: skip
    earned = {name: unit["credits"][0]["highest"] for name, unit in units.items()}
    assert earned == {
        "n0": "0.00", "n1": "0.00", "n2": "10800.00", "n3": "4320.00", "n4": "0.00",
        "n5": "43200.00",
    }  # fmt: skip
    assert [(swap["event"], swap["unit"]) for swap in statement["swaps"]] == [
        ("gpu_replaced", "n3.0")
    ]
    assert statement["late"] == {
        "term": "counted", "gpu_seconds": GPUS * 11 * HOUR,
        "counted": ["58320.00", "58320.00"], "refused": ["69120.00", "69120.00"],
    }  # fmt: skip
    (window,) = part["maintenance"]
    assert (window["ruling"], window["excluded_seconds"]) == ("excluded", 4 * HOUR)


def test_every_page_of_it_says_that_it_is_simulated(month: Month) -> None:
    for page in ("/", "/contracts/cvm-1", "/nodes/n1"):
        with urlopen(f"{month.url}{page}", timeout=20) as answer:
            assert "SIMULATED" in answer.read().decode()


def test_the_claim_makes_it_due_and_replay_says_the_same(month: Month) -> None:
    """The form takes claims from the fifth working day on: Monday 7 December."""
    assert month.statement()["highest"] == "0.00"
    month.move("2026-12-07T00:00:02Z")
    month.run("notice", "claim", "cvm-1", "--period", "2026-11", "--party", "lessee")
    assert month.statement()["highest"] == "0.00"
    month.move("2026-12-07T00:00:05Z")
    assert month.statement()["highest"] == "58320.00"
    assert "equal to the byte" in month.run("replay", "cvm-1", "--period", "2026-11")
