"""This machine as a node: a contract drawn from what its GPUs show first, and an agent that reports on it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from demo.plan import contract_text
from demo.programs import run
from weighbridge.catalogue.tables import sku_by_pci
from weighbridge.judge.checks.virtualization import MODES

Row = dict[str, Any]
CONTRACT = "K-THIS-MACHINE"
NODE = "this-machine"
FLOORS = {
    "power_limit_enforced_milliwatts": "power_limit_milliwatts",
    "sm_clock_max_megahertz": "sm_clock_max_megahertz",
    "memory_clock_max_megahertz": "memory_clock_max_megahertz",
    "pcie_link_width_lanes": "pcie_width",
    "pcie_link_max_generation": "pcie_generation",
}
"""Reading -> the floor of the contract that it becomes."""


async def snapshot(agent: str, environment: dict[str, str]) -> list[Row]:
    """Every reading of this machine's GPUs, each once. Raises DemoError."""
    rows: list[Row] = json.loads(await run([agent, "snapshot", "--json"], environment))
    return rows


def contract_of(rows: Sequence[Row], now_s: int) -> str | None:
    """A contract that promises what the GPUs show now: the least of each reading; None without a GPU."""
    devices = [row["device"] for row in rows if row["reading"] == "pci_bus_id"]
    if not devices:
        return None
    floors = [
        f'{floor}: "{least}"'
        for reading, floor in FLOORS.items()
        if (least := _least(rows, reading)) is not None
    ]
    floors += ["ecc: on"] if _least(rows, "ecc_mode_code") == 1 else []
    floors += ["mig: off"] if _values(rows, "mig_mode_code") in ([], [0] * len(devices)) else []
    text = "{" + ", ".join(floors) + "}"
    return contract_text(CONTRACT, _card(rows), 1, len(devices), text, now_s, _form(rows))


def _values(rows: Sequence[Row], reading: str) -> list[Any]:
    found = [row["value"] for row in rows if row["reading"] == reading]
    return [value for value in found if value is not None]


def _least(rows: Sequence[Row], reading: str) -> int | None:
    return min(_values(rows, reading), default=None)


def _form(rows: Sequence[Row]) -> str:
    """Of delivery, as the driver tells it; none is promised where it does not."""
    shown = _least(rows, "virtualization_mode_code")
    return next((form for form, modes in MODES.items() if shown in modes), "none")


def _card(rows: Sequence[Row]) -> str:
    """The key of the first GPU's card, or its name where the table does not know it: then it is judged unknown."""
    board, subsystem, memory = (
        next(iter(_values(rows, name)), None)
        for name in ("pci_device_id", "pci_subsystem_id", "memory_total_bytes")
    )
    known = None if board is None else sku_by_pci(board, subsystem, memory)
    names = [json.dumps(name) for name in _values(rows, "name")]
    return known.key if known is not None else (names or ["unknown"])[0]


async def enrolled(
    agent: str, invite: Path, directory: Path, environment: dict[str, str]
) -> list[str]:
    """Enrol this machine with the invite in a file; the command that then runs its agent. Raises DemoError."""
    state = ["--state-directory", str(directory)]
    await run([agent, "enroll", *state, str(invite)], environment)
    return [agent, "run", *state, "--runtime-directory", str(directory), "--interval-ms", "1000"]
