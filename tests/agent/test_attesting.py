"""Evidence of a GPU's chip, from a driver that gives it, does not know it, refuses it, or hangs."""

import base64
import os
import sys
from pathlib import Path

from agent.nvml.attesting import Evidence, over_nvml
from tests.agent.conftest import MakeDriver
from tests.agent.fake_nvml.fixture import FakeDriver, uuid
from weighbridge.judge.attestation_findings import nonce_of

NONCE = "0123456789abcdef" * 4
COMMAND = (sys.executable, "-m", "agent.nvml.attestation")
REPORT = "nvmlDeviceGetConfComputeGpuAttestationReport"
CHAIN = "nvmlDeviceGetConfComputeGpuCertificate"
GIVEN = (f"set 1 {REPORT} signed by chip 7", f"set 1 {CHAIN} the chain of chip 7")


async def asked(driver: FakeDriver, gpu: str = uuid(1), longest_s: float = 30) -> Evidence:
    checkout = str(Path(__file__).parents[2])
    environment = driver.environment() | {"PYTHONPATH": checkout, "PATH": os.environ["PATH"]}
    return await over_nvml(environment, COMMAND, longest_s)(gpu, NONCE)


async def test_the_chip_signs_the_nonce_that_it_was_asked_with(driver: FakeDriver) -> None:
    driver.play_node(2, *GIVEN)
    evidence = await asked(driver)
    assert (evidence.architecture, evidence.chain, evidence.reason) == (
        9,
        "the chain of chip 7",
        "",
    )
    assert nonce_of(evidence.report) == NONCE
    assert base64.b64decode(evidence.report).endswith(b"signed by chip 7")


async def test_a_card_without_confidential_computing_does_not_support_it(
    driver: FakeDriver,
) -> None:
    driver.play_node(2, *GIVEN)
    assert await asked(driver, uuid(0)) == Evidence(reason="not_supported")


async def test_a_driver_that_is_older_has_no_such_function(make_driver: MakeDriver) -> None:
    old = make_driver(470)
    old.play_node(2, *GIVEN)
    assert await asked(old) == Evidence(reason="function_not_found")


async def test_a_gpu_that_is_not_there_is_not_found(driver: FakeDriver) -> None:
    assert await asked(driver, uuid(9)) == Evidence(reason="not_found")


async def test_a_driver_that_hangs_is_left_alone_in_time(driver: FakeDriver) -> None:
    driver.play_node(2, *GIVEN, f"hang 1 {REPORT}")
    assert await asked(driver, longest_s=1) == Evidence(reason="timeout")


async def test_a_child_that_crashes_in_the_driver_gives_no_evidence(driver: FakeDriver) -> None:
    driver.play_node(2, *GIVEN, f"crash 1 {REPORT} abort")
    assert await asked(driver) == Evidence(reason="error")
