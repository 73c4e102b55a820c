"""How long it takes from a fault in a device to the webhook, and from its repair to the word that it is over.

    python -m benchmarks.paging [--rounds N] [--json FILE]

Agent, collector, Prometheus and Alertmanager are processes of this machine with the intervals that are shipped, over a
fake driver. A round takes about two minutes, nearly all of it waiting.
"""

import argparse
import json
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path
from statistics import median

from tests.agent.fake_nvml.fixture import build
from tests.e2e.paging import Pager, paging
from tests.e2e.stage import Collector, Node, Stage, lease, wait_for

PATIENCE_S = 180.0
FAULT = {"alertname": "WeighbridgeGpuFault"}
STEPS = ("seen", "scraped", "told", "closed", "over")


def firing(pager: Pager) -> bool:
    """Whether Prometheus has it."""
    query = urllib.parse.urlencode({"query": f'ALERTS{{alertname="{FAULT["alertname"]}"}}'})
    with urllib.request.urlopen(f"{pager.prometheus}/query?{query}") as answer:
        return bool(json.load(answer)["data"]["result"])


def round_of(node: Node, collector: Collector, pager: Pager) -> dict[str, float]:
    """Seconds from the fault to each step, and from the repair to its being told."""
    lost = ("gpu_lost", node.gpu(1))
    pager.webhook.told.clear()
    node.play("lost 1")
    begun = time.monotonic()
    wait_for(lambda: lost in collector.breaches(), "the finding", PATIENCE_S)
    seen = time.monotonic()
    wait_for(lambda: firing(pager), "the alert", PATIENCE_S)
    scraped = time.monotonic()
    told = pager.webhook.first("firing", FAULT, PATIENCE_S)
    node.play()
    mended = time.monotonic()
    wait_for(lambda: lost not in collector.breaches(), "the finding to close", PATIENCE_S)
    closed = time.monotonic()
    over = pager.webhook.first("resolved", FAULT, PATIENCE_S)
    ends = (seen - begun, scraped - begun, told[0] - begun, closed - mended, over[0] - mended)
    return dict(zip(STEPS, ends, strict=True))


def measure(directory: Path, rounds: int) -> list[dict[str, float]]:
    """All rounds, on one node."""
    stage = Stage(directory, build(directory / "nvml"))
    text = lease(gpus=8, max_gap_s=30).replace('interval_s: "1"', 'interval_s: "10"')
    try:
        collector = stage.serving(text)
        node = stage.reporting(
            collector,
            gpus=8,
            interval_ms=10_000,
            slow_interval_ms=60_000,
            identity_interval_ms=600_000,
        )
        with paging(directory / "paging", collector, {}) as pager:
            return [round_of(node, collector, pager) for _ in range(rounds)]
    finally:
        stage.close()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--json", type=Path)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "nvml").mkdir()
        found = measure(Path(directory), chosen.rounds)
    for step in STEPS:
        values = [one[step] for one in found]
        print(f"{step:8} median {median(values):5.1f} s   most {max(values):5.1f} s")
    if chosen.json:
        chosen.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
