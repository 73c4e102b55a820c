"""The same two programs on a real GPU: the agent reads the real driver, and the prober runs on the real device.

Skipped without one. Nothing here changes a setting of the device; memory is taken only while it is idle.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent.probe.cards import NO_GPU
from tests.e2e.stage import AGENT, Collector, Node, Program, Stage, command, lease, wait_for
from tests.e2e.test_challenge import said
from weighbridge.challenge.telemetry import read_telemetry

pytestmark = [
    pytest.mark.slow,
    pytest.mark.gpu,
    NO_GPU,
]
NUMBERS = ("--size", "8192", "--samples", "64")
WINDOW_S = 4.0
Done = subprocess.CompletedProcess[str]


class Card(Node):
    """This machine's own GPUs and driver, as a node."""

    def environment(self, **more: str) -> dict[str, str]:
        path = os.environ.get("LD_LIBRARY_PATH", "")
        return super().environment() | {"LD_LIBRARY_PATH": path} | more

    def snapshot(self) -> list[dict[str, Any]]:
        done = command([AGENT, "snapshot", "--json"], self.environment())
        assert done.returncode == 0, done.stderr
        rows: list[dict[str, Any]] = json.loads(done.stdout)
        return rows

    def uuids(self) -> list[str]:
        return [row["device"] for row in self.snapshot() if row["reading"] == "pci_bus_id"]

    def used_bytes(self) -> list[int]:
        rows = self.snapshot()
        return [row["value"] for row in rows if row["reading"] == "memory_used_bytes"]


@pytest.fixture
def card(stage: Stage, tmp_path: Path, library: Path) -> Iterator[Card]:
    """Enrolled and reporting; its prober may run in an idle window."""
    collector = stage.serving(lease(gpus=1))
    node = Card(tmp_path / "card", "n1", collector, library, 1)
    with node.config.open("a") as file:
        file.write('probe = "spawn"\nprobe_backend = "cuda"\nprobe_consent = "idle_window"\n')
    node.enroll()
    node.start()
    wait_for(lambda: is_reporting(collector), "a report of the card")
    yield node
    node.stop()


def is_reporting(collector: Collector) -> bool:
    return any(one["last_received_us"] is not None for one in collector.get("/v1/nodes")["items"])


def ask(node: Card, *, rounds: int = 64, deadline_ms: int = 60_000) -> Done:
    limits = ("--rounds", str(rounds), "--deadline-ms", str(deadline_ms), "--attempts", "1")
    return node.collector.cli("challenge", "n1", *NUMBERS, *limits)


def test_an_idle_gpu_proves_its_compute_and_has_its_memory_back_afterwards(card: Card) -> None:
    before = card.used_bytes()
    done = ask(card)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "n1: met" in done.stdout
    assert done.stdout.count("TFLOP/s") == len(card.uuids())
    wait_for(lambda: card.used_bytes() == before, "the memory to be free again")


def test_the_cards_own_telemetry_shows_the_load_of_the_challenge_that_it_met(card: Card) -> None:
    done = ask(card, rounds=4_000)
    assert done.returncode == 0, done.stdout + done.stderr
    linked = wait_for(lambda: said(card.collector, "telemetry"), "the link", 60)
    loads = [gpu.shown for gpu in read_telemetry(linked[0]).gpus]
    assert loads == ["load"] * len(card.uuids())
    assert "challenge_idle" not in {code for code, _ in card.collector.breaches()}


def test_a_run_that_outlasts_its_deadline_is_ended_and_gives_the_memory_back(card: Card) -> None:
    before = card.used_bytes()
    done = ask(card, rounds=60_000, deadline_ms=3_000)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "failed: late" in done.stdout
    wait_for(lambda: card.used_bytes() == before, "the memory to be free again")


@pytest.fixture
def tenant(card: Card) -> Iterator[Program]:
    program = Program(card.directory / "tenant-log")
    script = str(Path(__file__).with_name("tenant.py"))
    program.launch([sys.executable, script, card.uuids()[0]], dict(os.environ))
    wait_for(lambda: products(program) > 0, "the tenant's first product")
    yield program
    program.kill()


def products(tenant: Program) -> int:
    return tenant.log_file.read_text().count("product")


def rate(tenant: Program, during: Any) -> float:
    """Products a second while something happens, and for a fixed time if that takes less."""
    began, first = time.monotonic(), products(tenant)
    during()
    wait_for(lambda: time.monotonic() > began + WINDOW_S, "the window to end")
    return (products(tenant) - first) / (time.monotonic() - began)


def test_a_tenant_at_work_is_left_alone_and_loses_nothing(card: Card, tenant: Program) -> None:
    said: list[Done] = []
    alone = rate(tenant, lambda: None)
    challenged = rate(tenant, lambda: said.append(ask(card)))
    assert said[0].returncode == 4, said[0].stdout + said[0].stderr
    assert "not assessed: busy" in said[0].stdout
    assert tenant.alive, "the tenant ends when anybody takes memory on its device"
    assert challenged > 0.9 * alone
