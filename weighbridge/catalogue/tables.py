"""What is known of cards and of XIDs: versioned data, each row with its source.

A card or a code that no row knows is unknown and says so; it never passes for a known one.
"""

import hashlib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Literal

from weighbridge.catalogue.findings import meanings

MEBIBYTE = 1 << 20
SKUS, XIDS = "skus.toml", "xids.toml"

FormFactor = Literal["SXM", "PCIe", "NVL", "superchip"]


class XidAction(StrEnum):
    """What an XID asks for, from the harmless to the worst."""

    IGNORE = "I"
    APPLICATION = "A"
    DEGRADED = "D"
    RESET = "R"
    HARDWARE = "H"


UNUSABLE = (XidAction.RESET, XidAction.HARDWARE)


class Fault(StrEnum):
    """Who is answerable for what an XID costs, unless evidence says otherwise."""

    LESSEE = "lessee"
    PROVIDER = "provider"
    NOBODY = "nobody"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class ValueRange:
    """Both ends are inside."""

    low: int
    high: int

    def __contains__(self, value: int) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Sku:
    """One card. None is unknown. PCI ids are "vendor:device" in lower-case hexadecimal, as the readings have them.

    `memory_bytes` is the window of NVML totals, `idle_power_milliwatts` the band in which the card does nothing.
    `dense_*_teraops`: what the tensor cores reach by the data sheet, in 10^12 operations a second.
    """

    key: str
    name: str
    form_factor: FormFactor
    architecture: str
    compute_capability: str | None
    pci_device_ids: tuple[str, ...]
    pci_subsystem_ids: tuple[str, ...]
    memory_bytes: ValueRange | None
    cores: int | None
    memory_bus_width_bits: int | None
    nvlink_links: int | None
    pcie_generation: int | None
    pcie_width_lanes: int | None
    sm_clock_max_megahertz: int | None
    memory_clock_max_megahertz: int | None
    power_limit_default_milliwatts: int | None
    power_limit_min_milliwatts: int | None
    power_limit_max_milliwatts: int | None
    idle_power_milliwatts: ValueRange | None
    board_part_prefixes: tuple[str, ...]
    memory_sensor: bool | None
    dense_f16_teraops: int | None
    dense_i8_teraops: int | None
    dense_i4_teraops: int | None
    source: str
    version: int


@dataclass(frozen=True, slots=True)
class Xid:
    """One code. `known` is False for a code that no row has: degraded, cause open. `escalated` is for a repeat.

    `said` by the severity that its text names, `actions` by the recovery action that the device has from it on.
    """

    code: int
    text: str
    severity: XidAction
    escalated: XidAction
    fault: Fault
    known: bool
    source: str
    version: int
    said: Mapping[str, XidAction] = field(default_factory=dict)
    actions: Mapping[int, XidAction] = field(default_factory=dict)


def sku(key: str) -> Sku | None:
    """The card of a key, None for one that the table does not know."""
    return skus().get(key)


def sku_by_pci(
    device_id: str, subsystem_id: str | None, memory_bytes: int | None = None
) -> Sku | None:
    """The one card of a PCI device id, None for an unknown one.

    A subsystem id that the row does not list makes the card unknown too, where the row lists any and the caller has
    one. Memory tells apart the rows of one device id, where there are several; it unmakes no card that has its own.
    """
    matches = of_board(device_id, subsystem_id)
    if len(matches) > 1 and memory_bytes is not None:
        matches = [
            row for row in matches if row.memory_bytes is None or memory_bytes in row.memory_bytes
        ]
    return matches[0] if len(matches) == 1 else None


def of_board(device_id: str, subsystem_id: str | None) -> list[Sku]:
    """Every card that a board with these ids may be: boards that were rebuilt to more memory keep theirs."""
    return [
        row
        for row in skus().values()
        if device_id in row.pci_device_ids
        and (
            subsystem_id is None
            or not row.pci_subsystem_ids
            or subsystem_id in row.pci_subsystem_ids
        )
    ]


def xid(code: int) -> Xid:
    """What a code means. A code outside the table is degraded, cause open, and not `known`."""
    row = xids().get(code)
    if row is not None:
        return row
    return Xid(
        code, "unknown XID", XidAction.DEGRADED, XidAction.DEGRADED, Fault.OPEN, False, "none", 0
    )


def severity_of(
    code: int, said: str | None, action: int | None, *, repeated: bool = False
) -> XidAction:
    """What one occurrence asks for: its own text outranks the table, and the table knows what a repeat asks for.

    A severity or an action that the row does not list changes nothing. `repeated`: the same GPU had it before a reset.
    """
    row = xid(code)
    told = row.said.get(said or "") or row.actions.get(-1 if action is None else action)
    worse = repeated and row.severity is not XidAction.APPLICATION
    return told or (row.escalated if worse else row.severity)


@cache
def skus() -> Mapping[str, Sku]:
    """Every card by its key."""
    return MappingProxyType({row["key"]: _sku(row) for row in _rows(SKUS, "sku")})


@cache
def xids() -> Mapping[int, Xid]:
    """Every known XID by its code."""
    return MappingProxyType(
        {code: _xid(code, row) for row in _rows(XIDS, "xid") for code in row["codes"]}
    )


@cache
def digest() -> str:
    """The SHA-256 of the tables that judgement reads; of that of findings, who answers for each."""
    named = "".join(f"{row.code} {row.answerable}\n" for row in meanings().values())
    return hashlib.sha256(b"".join([*map(_content, (SKUS, XIDS)), named.encode()])).hexdigest()


def _content(file: str) -> bytes:
    return files("weighbridge").joinpath("data", file).read_bytes()


def _rows(file: str, kind: str) -> Iterator[dict[str, Any]]:
    yield from tomllib.loads(_content(file).decode())[kind]


def _window(row: dict[str, Any], key: str, unit: int = 1) -> ValueRange | None:
    ends = row.get(key)
    return None if ends is None else ValueRange(ends[0] * unit, ends[1] * unit)


def _sku(row: dict[str, Any]) -> Sku:
    return Sku(
        key=row["key"],
        name=row["name"],
        form_factor=row["form_factor"],
        architecture=row["architecture"],
        compute_capability=row.get("compute_capability"),
        pci_device_ids=tuple(row["pci_device_ids"]),
        pci_subsystem_ids=tuple(row["pci_subsystem_ids"]),
        memory_bytes=_window(row, "memory_mebibytes", MEBIBYTE),
        cores=row.get("cores"),
        memory_bus_width_bits=row.get("memory_bus_width_bits"),
        nvlink_links=row.get("nvlink_links"),
        pcie_generation=row.get("pcie_generation"),
        pcie_width_lanes=row.get("pcie_width_lanes"),
        sm_clock_max_megahertz=row.get("sm_clock_max_megahertz"),
        memory_clock_max_megahertz=row.get("memory_clock_max_megahertz"),
        power_limit_default_milliwatts=row.get("power_limit_default_milliwatts"),
        power_limit_min_milliwatts=row.get("power_limit_min_milliwatts"),
        power_limit_max_milliwatts=row.get("power_limit_max_milliwatts"),
        idle_power_milliwatts=_window(row, "idle_power_milliwatts"),
        board_part_prefixes=tuple(row.get("board_part_prefixes", ())),
        memory_sensor=row.get("memory_sensor"),
        dense_f16_teraops=row.get("dense_f16_teraops"),
        dense_i8_teraops=row.get("dense_i8_teraops"),
        dense_i4_teraops=row.get("dense_i4_teraops"),
        source=row["source"],
        version=row["version"],
    )


def _xid(code: int, row: dict[str, Any]) -> Xid:
    severity = XidAction(row["severity"])
    return Xid(
        code=code,
        text=row["text"],
        severity=severity,
        escalated=XidAction(row.get("escalated", severity)),
        fault=Fault(row["fault"]),
        known=True,
        source=row["source"],
        version=row["version"],
        said={word: XidAction(action) for word, action in row.get("said", {}).items()},
        actions={int(code): XidAction(action) for code, action in row.get("actions", {}).items()},
    )
