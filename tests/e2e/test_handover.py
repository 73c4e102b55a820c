"""A delivery and its acceptance: real agents over simulated GPUs, one hour under load and one at rest."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stage import AGENT, COLLECTOR, Program, environment, wait_for

pytestmark = pytest.mark.slow

NODES, GPUS = 2, 4
LEASE = """\
contract_id: lease
effective: 2026-11-01T00:00:00Z
time_zone: Europe/Berlin
currency: EUR
parties:
  - {id: P, role: provider, name: The provider}
  - {id: L, role: lessee, name: The lessee}
  - {id: O, role: operator, name: The operator}
term: {from: 2026-11-01T00:00:00Z, to: 2027-11-01T00:00:00Z}
resources:
  - id: nodes
    accelerator: {sku: H100-SXM-80GB}
    nodes: "3"
    per_node: "4"
    floors: {power_limit_milliwatts: "700000", pcie_width: "16", ecc: on, mig: off}
    interconnect: {nvlink_links: "18"}
    delivery:
      - {id: first, nodes: "2", due: 2026-11-02, value: "100.00"}
      - {id: second, nodes: "1", due: 2026-11-02, value: "100.00"}
availability:
  - {id: gpus, unit: gpu, target: "0.99"}
unknown: {policy: hold}
sampling: {interval_s: 60, max_gap_s: 180}
acceptance:
  tests: [{probe: sm_clock_megahertz, version: "1", threshold: "1500", quantile: "0.05", duration_s: 3000}]
"""
CAPPED = "{kind: power_cap, node: 1, gpus: [2], limit_milliwatts: 650000}"


class Lease:
    """A served simulation store, and the commands over it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.serving = Program(directory / "serve.log")

    def run(self, *words: str) -> str:
        where = ("--config", str(self.directory / "store/config.toml"))
        return self.done(COLLECTOR, *words, *where)

    def done(self, *words: str) -> str:
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            timeout=120,
            env=environment(),
            cwd=self.directory,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def url(self) -> str:
        said = self.serving.log()
        return said.partition("listening on ")[2].partition("\n")[0]

    def simulate(self, scenario: str) -> None:
        (self.directory / "scenario.yaml").write_text(f"version: 1\n{scenario}\n")
        self.done(
            AGENT, "simulate", "--nodes", str(NODES), "--gpus", str(GPUS), "--scenario",
            "scenario.yaml", "--invites", "invites", "--collector", self.url, "--interval-ms",
            "60000", "--identity-interval-ms", "600000",
            "--from", "2026-11-02T06:00:00Z", "--until", "2026-11-02T07:05:00Z",
        )  # fmt: skip

    def document(self, *words: str) -> dict[str, Any]:
        made: dict[str, Any] = json.loads(self.run(*words, "--format", "json"))
        return made

    def certificate(self) -> dict[str, Any]:
        window = ("--from", "2026-11-02T06:05:00Z", "--until", "2026-11-02T07:00:00Z")
        return self.document("acceptance", "lease", *window)


@contextmanager
def played(directory: Path, scenario: str) -> Iterator[Lease]:
    """From six to five past seven."""
    listen = ("--listen", "127.0.0.1:0", "--url", "http://127.0.0.1:1")
    made = Lease(directory)
    made.done(COLLECTOR, "init", "store", "--simulation", *listen)
    (directory / "lease.yaml").write_text(LEASE)
    serve = (COLLECTOR, "serve", "--simulation", "--config", str(directory / "store/config.toml"))
    made.serving.launch(serve, environment())
    try:
        wait_for(lambda: made.url, "the collector")
        made.run("contract", "add", "lease.yaml")
        invites = [
            made.run("invite", "lease", "--side", "provider", "--node", f"n{number}")
            for number in range(NODES)
        ]
        (directory / "invites").write_text("".join(invites))
        made.simulate(scenario)
        yield made
    finally:
        made.serving.stop()


@pytest.fixture(scope="module")
def lease(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lease]:
    """Every GPU at work, one under a power cap."""
    with played(tmp_path_factory.mktemp("work"), f"faults: [{CAPPED}]") as made:
        yield made


@pytest.fixture(scope="module")
def at_rest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lease]:
    """No GPU at work."""
    with played(tmp_path_factory.mktemp("rest"), "load_percent: 0") as made:
        yield made


def test_the_delivery_note_tells_each_gpu_its_differences_and_what_never_came(lease: Lease) -> None:
    note = lease.document("delivery", "lease")
    units = [f"n{node}.{slot}" for node in range(NODES) for slot in range(GPUS)]
    assert [one["unit"] for one in note["slots"]] == units
    (slot, *_) = note["slots"]
    assert slot["serial"] == "1600000000000"
    assert (slot["pci_bus_id"], slot["vbios"], slot["driver"]) == (
        "00000000:18:00.0", "96.00.A5.00.01", "580.95.05",
    )  # fmt: skip
    assert [(one["unit"], one["code"], one["observed"]) for one in note["differences"]] == [
        ("n1.2", "power_capped", "650000")
    ]
    assert [(one["batch"], one["standing"]) for one in note["batches"]] == [
        ("first", "in_time"),
        ("second", "open"),
    ]
    assert [(one["node"], one["gpus"]) for one in note["missing"]] == [(None, GPUS)]
    assert note["source"]["simulated"] is True
    assert note["source"]["reports"] < 10
    assert "SIMULATED" in lease.run("delivery", "lease")


def test_an_hour_under_load_is_proven(lease: Lease) -> None:
    made = lease.certificate()
    assert {line["verdict"] for line in made["gpus"]} == {"MET"}
    assert made["flags"] == ["certificate_without_evidence"], "of the node that nobody enrolled"
    (trial,) = made["trials"]
    assert trial["verdict"] == "MET"
    power = {one["reading"]: one for one in made["gpus"][0]["readings"]}["power_draw_milliwatts"]
    assert 600_000 < power["least"] <= power["most"] < 700_000


def test_an_hour_at_rest_is_flagged(at_rest: Lease) -> None:
    made = at_rest.certificate()
    assert {line["verdict"] for line in made["gpus"]} == {"BREACHED"}
    assert made["flags"] == ["certificate_without_evidence", "certificate_without_load"]
    assert (made["verdict"], made["trials"][0]["verdict"]) == ("BREACHED", "BREACHED")


def test_energy_agrees_with_power_over_the_time_in_which_both_were_seen(lease: Lease) -> None:
    """The counter of a simulated GPU adds its power at each instant at which it is asked."""
    work = lease.certificate()
    for line in work["gpus"]:
        power = {one["reading"]: one for one in line["readings"]}["power_draw_milliwatts"]
        low, high = (power[end] * line["energy_seen_us"] // 10**6 for end in ("least", "most"))
        assert low <= line["energy_millijoules"] <= high
        assert line["energy_seen_us"] == work["window_us"] == 55 * 60 * 10**6
