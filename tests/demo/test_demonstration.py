"""What the demonstration makes of a machine that cannot be weighed."""

import contextlib
import io
from pathlib import Path

import pytest
from rich.console import Console

from demo.plan import HONEST, LEASES, contract
from demo.programs import DemoError
from demo.real_node import contract_of
from demo.run import Demonstration, Wanted
from demo.show import Screen
from weighbridge.contract import load


async def test_a_machine_whose_readings_fail_does_not_end_the_demonstration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "weighbridge-agent"
    broken.write_text("#!/bin/sh\necho 'no library' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr("demo.run.program", lambda _: str(broken))
    said = io.StringIO()
    demonstration = Demonstration(
        Wanted(1.0, 0, tmp_path, frozenset()), Screen(Console(file=said, width=400))
    )
    async with contextlib.AsyncExitStack() as stack:
        await demonstration.start_real_node(stack)
    assert "this machine is not weighed, only the fleet: " in said.getvalue()
    assert "no library" in said.getvalue()


async def test_it_says_what_it_does_before_it_waits_for_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = io.StringIO()
    demonstration = Demonstration(Wanted(1.0, 0, tmp_path, frozenset()), Screen(Console(file=said)))

    async def ends(*_: object) -> str:
        raise DemoError(said.getvalue())

    monkeypatch.setattr("demo.run.run", ends)
    async with contextlib.AsyncExitStack() as stack:
        with pytest.raises(DemoError, match="starting the collector"):
            await demonstration.begin(stack)


def test_no_honest_node_is_accused_for_agents_that_start_slowly() -> None:
    """A machine eight times as busy took a minute for what took eight seconds here."""
    for lease in LEASES:
        sampling = load(contract(lease, 1_790_000_000)).sampling
        assert not lease.nodes or sampling.first_report_within_us >= 300_000_000
        assert lease.contract != HONEST or sampling.heard_within_us >= 60_000_000


H200_IN_A_VIRTUAL_MACHINE = {
    "pci_bus_id": "00000000:00:06.0",
    "pci_device_id": "10de:2335",
    "pci_subsystem_id": "10de:18bf",
    "virtualization_mode_code": 1,
    "power_limit_enforced_milliwatts": 700000,
    "ecc_mode_code": 1,
    "mig_mode_code": 0,
}
"""As an agent read it, driver 580.159.04."""


def test_the_contract_of_this_machine_promises_the_card_and_the_form_that_it_shows() -> None:
    shown = H200_IN_A_VIRTUAL_MACHINE.items()
    rows = [{"device": "GPU-a", "reading": reading, "value": value} for reading, value in shown]
    text = contract_of(rows, 1_790_000_000)
    assert text is not None
    (resource,) = load(text).resources
    assert resource.accelerator.sku == "H200-SXM-141GB"
    assert resource.virtualization == "vm_passthrough"
    assert resource.floors.power_limit_milliwatts == 700000
