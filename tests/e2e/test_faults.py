"""A change that is planted in the driver is found on `/metrics`, and no longer once it is taken back."""

import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e.stage import Collector, Stage, lease, wait_for
from weighbridge.wire.report import Event, EventKind

FELL_OFF = 79
STOPPED = 43
BUS_OF_GPU_2 = "0000:ee:00"


def test_planted_changes_are_found_on_the_gpu_that_they_are_in_and_close_when_taken_back(
    stage: Stage, collector: Collector
) -> None:
    collector.add(lease("faults", gpus=8))
    node = stage.reporting(collector, "faulty", 8, "faults")
    assert collector.breaches("faults") == set()
    node.play(
        "set 0 nvmlDeviceGetEnforcedPowerLimit 350000",
        "set 1 nvmlDeviceGetCurrPcieLinkWidth 8",
        "lost 2",
        "set 3 nvmlDeviceGetMigMode.0 1",
        "set 3 nvmlDeviceGetMigMode.1 1",
    )
    planted = {
        ("power_capped", node.gpu(0)),
        ("pcie_narrow", node.gpu(1)),
        ("gpu_lost", node.gpu(2)),
        ("mig_on", node.gpu(3)),
    }
    wait_for(lambda: collector.breaches("faults") == planted, "what was planted, and nothing else")
    assert collector.counts("faults") == {
        "contracted": 8,
        "reporting": 7,
        "healthy": 4,
        "in_use": 0,
    }
    node.play()
    wait_for(lambda: collector.breaches("faults") == set(), "all of it to close")
    collector.healthy(8, "faults")
    closed = {(row["code"], row["gpu"]) for row in collector.history("faults") if row["until_us"]}
    assert closed >= planted


def test_an_xid_that_nvml_and_the_kernel_log_tell_of_is_counted_once(
    stage: Stage, collector: Collector
) -> None:
    collector.add(lease("xids", gpus=3))
    node = stage.reporting(collector, "xid-node", 3, "xids")
    node.play(f"xid 2 {FELL_OFF}")
    (seen,) = wait_for(lambda: xids(collector, FELL_OFF), "the XID that NVML tells of")
    assert (seen.source, seen.device) == ("nvml", node.gpu(2))
    line = f"NVRM: Xid (PCI:{BUS_OF_GPU_2}): {{}}, pid=1234, name=python3, what the tenant ran"
    node.write_kernel_log(line.format(FELL_OFF), seen.boottime_us)
    node.write_kernel_log("usb 1-1: new high-speed USB device number 2")
    node.write_kernel_log(line.format(STOPPED))
    (only_the_kernel,) = wait_for(
        lambda: xids(collector, STOPPED), "the XID of the kernel log alone"
    )
    assert (only_the_kernel.source, only_the_kernel.device) == ("kernel", node.gpu(2))
    assert xids(collector, FELL_OFF) == [seen]
    wait_for(lambda: len(counted(collector, node.gpu(2))) == 2, "both on a shard of the metrics")
    assert counted(collector, node.gpu(2)) == {str(FELL_OFF): 1, str(STOPPED): 1}
    assert ("xid_fatal", node.gpu(2)) in collector.breaches("xids")
    assert not any("python3" in str(report) for report in collector.reports("xid-node"))


def xids(collector: Collector, code: int) -> list[Event]:
    """XID events of the node with that code, as they were reported."""
    return [
        event
        for report in collector.reports("xid-node")
        for event in report.events
        if (event.kind, event.code) == (EventKind.XID, code)
    ]


def counted(collector: Collector, uuid: str) -> dict[str, float]:
    """How often each XID was, by the GPU's shard of the metrics."""
    return {
        labels["xid"]: value
        for name, labels, value in collector.gpu_metrics()
        if name == "gpu_xid_errors_total" and labels["uuid"] == uuid
    }


@pytest.fixture
def tenants() -> Iterator[list[int]]:
    """Processes of two users."""
    if os.geteuid() != 0:
        pytest.skip("processes of two users need root")
    idle = ["sleep", "600"]
    processes = [subprocess.Popen(idle, user=user, group=user) for user in (60_001, 60_002)]
    yield [process.pid for process in processes]
    for process in processes:
        process.kill()
        process.wait()


def test_a_second_tenants_process_is_found_and_goes_with_the_process(
    stage: Stage, collector: Collector, tenants: list[int]
) -> None:
    collector.add(lease("shared"))
    node = stage.reporting(collector, "two-tenants", 2, "shared")
    first, second = (f"process {place} {pid} 1073741824" for place, pid in enumerate(tenants))
    node.play(first)
    wait_for(lambda: collector.counts("shared")["in_use"] == 1, "the first tenant at work")
    assert collector.breaches("shared") == set()
    node.play(first, second)
    wait_for(lambda: collector.breaches("shared") == {("foreign_process", "")}, "the second tenant")
    (found,) = collector.get("/v1/contracts/shared/findings")["items"]
    assert not any(str(pid) in found["observed"].split() for pid in tenants)
    node.play(first)
    wait_for(lambda: collector.breaches("shared") == set(), "the second tenant to be gone")
