"""From a fault in a device to whoever is woken: agent, collector, Prometheus and Alertmanager as processes."""

import pytest

from tests.e2e.paging import paging
from tests.e2e.stage import Stage, lease

HURRIED = {
    "scrape_interval": "1s",
    "evaluation_interval": "1s",
    "group_wait": "1s",
    "group_interval": "2s",
}


@pytest.mark.slow
def test_a_fault_wakes_somebody_and_its_repair_is_told_too(stage: Stage) -> None:
    collector = stage.serving(lease(gpus=8))
    node = stage.reporting(collector, gpus=8)
    with paging(stage.directory / "paging", collector, HURRIED) as pager:
        fault = {"alertname": "WeighbridgeGpuFault", "check": "gpu_lost", "uuid": node.gpu(1)}
        node.play("lost 1")
        _, receiver, alert = pager.webhook.first("firing", fault)
        assert receiver == "wake-somebody"
        assert alert["annotations"]["summary"] == f"lease: gpu_lost at n1 {node.gpu(1)}"
        assert "1. give the GPU no new work" in alert["annotations"]["what_to_do"]
        path = alert["annotations"]["runbook_url"].removeprefix(
            f"http://127.0.0.1:{collector.port}"
        )
        assert collector.request("GET", path).status == 200
        node.play()
        pager.webhook.first("resolved", fault)
    told = {row[2]["labels"]["alertname"] for row in pager.webhook.told}
    assert told == {"WeighbridgeGpuFault"}, "one fault, one alert"
