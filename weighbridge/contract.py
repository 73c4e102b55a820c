"""The contract: a strict, immutable, versioned document, and how it is loaded from YAML.

Every scalar in the file is a string (YAML would read `12.50` as a float and `NO` as false); the model gives it its type.
Duplicate keys, aliases, unknown keys and failed conditions are errors that name line and reason; all are reported at
once. After loading every switch has a value.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a contract file: line (from 1), path (`resources[0].per_node`) and reason."""

    line: int
    path: str
    reason: str


class ContractError(ValueError):
    """The file is no contract. `problems` lists every reason, in the order of the lines."""

    problems: tuple[Problem, ...]


class Party:
    id: str
    name: str
    role: Literal["provider", "lessee", "operator", "owner", "guarantor", "auditor"]


class Term:
    """Half-open, UTC, integer microseconds."""

    start_us: int
    end_us: int


class Accelerator:
    """`sku` is a key of the SKU table; what is None is not promised beyond what the SKU's row says."""

    sku: str
    form_factor: Literal["SXM", "PCIe", "NVL"] | None
    memory_bytes: int | None


class Interconnect:
    nvlink_links: int | None


class Floors:
    """Lowest acceptable values; None is no promise."""

    power_limit_milliwatts: int | None
    sm_clock_max_megahertz: int | None
    memory_clock_max_megahertz: int | None
    pcie_generation: int | None
    pcie_width: int | None
    ecc: Literal["on"] | None
    mig: Literal["off"] | None


class Exclusivity:
    """`owners`: salted hashes that may hold memory; empty: whoever comes, but `max_owners` at a time."""

    mode: Literal["exclusive", "shared"]
    max_owners: int
    owners: tuple[str, ...]


class Bound:
    """A bound on an existing reading: data, not a new check."""

    reading: str
    at_least: int | None
    at_most: int | None
    while_: Literal["always", "busy"]
    for_share: Fraction


class Resource:
    id: str
    accelerator: Accelerator
    nodes: int
    per_node: int
    interconnect: Interconnect
    floors: Floors
    exclusivity: Exclusivity
    virtualization: Literal["bare_metal", "vm_passthrough", "vgpu", "mig", "container"]
    bounds: tuple[Bound, ...]


class Availability:
    """An objective: each unit's share of up time over the period is at least `target`."""

    id: str
    unit: Literal["gpu", "node"]
    target: Fraction
    period: Literal["calendar_month"]
    degraded: Literal["down", "up"]


class Unknown:
    """Who bears time that nobody saw."""

    policy: Literal["down", "up", "excluded", "hold"]
    by_cause: Mapping[str, Literal["down", "up", "excluded", "hold"]]


class Sampling:
    """A sample covers the time to the next one if that comes within max_gap."""

    interval_us: int
    max_gap_us: int
    first_report_within_us: int


class Contract:
    contract_id: str
    version: int
    supersedes: int | None
    effective_us: int
    parties: tuple[Party, ...]
    term: Term
    time_zone: str
    resources: tuple[Resource, ...]
    availability: tuple[Availability, ...]
    unknown: Unknown
    sampling: Sampling


def load(text: str) -> Contract:
    """Raises ContractError."""
    ...


def explain(contract: Contract) -> str:
    """The contract as YAML with every default expanded; loads to an equal contract."""
    ...
