"""What a simulated fleet is made of, and which faults are planted in it when.

docs/scenario.md has every key. Nodes and GPUs count from 0; no `gpus` means all of the node. A fault lasts from
`after_seconds` after the start of its node (default 0) to `until_seconds` (default: for ever). SILENCE, NETWORK_CUT and
the outage of a REPLACEMENT are no matter of the devices: whoever runs the fleet obeys them (`Scenario.of_node`).
"""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from weighbridge.catalogue.tables import sku
from weighbridge.wire import misfit

MICROSECONDS = 1_000_000


class ScenarioError(ValueError):
    """The file is no scenario. The message names the place."""


class ScenarioPart(BaseModel):
    """Closed: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Planted(ScenarioPart):
    """The keys that every fault has: node, beginning, end."""

    node: int = Field(ge=0)
    gpus: tuple[int, ...] | None = None
    after_seconds: float = Field(default=0.0, ge=0)
    until_seconds: float | None = None

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> "Planted":
        if self.until_seconds is not None and self.until_seconds <= self.after_seconds:
            raise ValueError("until_seconds must be after after_seconds")
        return self

    def active(self, elapsed_us: int) -> bool:
        """Whether it is in force that long after the start of the node."""
        ended = self.until_seconds is not None and elapsed_us >= self.until_seconds * MICROSECONDS
        return elapsed_us >= self.after_seconds * MICROSECONDS and not ended

    def strikes(self, gpu: int) -> bool:
        """Whether it is about this GPU of its node."""
        return self.gpus is None or gpu in self.gpus


class CheaperCard(Planted):
    """The card is another, under the contracted name."""

    kind: Literal["cheaper_card"]
    sku: str = "H100-PCIe-80GB"

    @field_validator("sku")
    @classmethod
    def _known(cls, key: str) -> str:
        return _known_card(key)


class PowerCap(Planted):
    """Somebody lowered the power limit."""

    kind: Literal["power_cap"]
    limit_milliwatts: int = Field(default=350_000, gt=0)


class FallOffBus(Planted):
    """The GPU is lost, with an XID."""

    kind: Literal["fall_off_bus"]
    xid: int = Field(default=79, gt=0)


class PcieWidth(Planted):
    """The link retrained to fewer lanes."""

    kind: Literal["pcie_width"]
    lanes: Literal[1, 2, 4, 8] = 8


class MigSlice(Planted):
    """The GPU is cut: MIG is on and one small device is all there is to use."""

    kind: Literal["mig_slice"]


class ForeignProcess(Planted):
    """A process of somebody else holds memory."""

    kind: Literal["foreign_process"]
    memory_bytes: int = Field(default=2 << 30, gt=0)


class SameUuid(Planted):
    """The GPU shows the UUID of another one."""

    kind: Literal["same_uuid"]
    of_node: int = Field(ge=0)
    of_gpu: int = Field(default=0, ge=0)


class Replacement(Planted):
    """The node is powered off, and comes back with other cards in these places."""

    kind: Literal["replacement"]

    @model_validator(mode="after")
    def _comes_back(self) -> "Replacement":
        if self.until_seconds is None:
            raise ValueError("until_seconds: say when the node comes back")
        return self

    def over(self, elapsed_us: int) -> bool:
        """Whether the new cards are in."""
        until = self.until_seconds
        return until is not None and elapsed_us >= until * MICROSECONDS


class Silence(Planted):
    """The node says nothing any more."""

    kind: Literal["silence"]


class NetworkCut(Planted):
    """The agent goes on, cut off from the collector."""

    kind: Literal["network_cut"]


Fault = Annotated[
    CheaperCard
    | PowerCap
    | FallOffBus
    | PcieWidth
    | MigSlice
    | ForeignProcess
    | SameUuid
    | Replacement
    | Silence
    | NetworkCut,
    Field(discriminator="kind"),
]


class Scenario(ScenarioPart):
    """A fleet of equal nodes and its faults."""

    version: Literal[1] = 1
    seed: int = 0
    sku: str = "H100-SXM-80GB"
    load_percent: int = Field(default=95, ge=0, le=100)
    faults: tuple[Fault, ...] = ()

    @field_validator("sku")
    @classmethod
    def _known(cls, key: str) -> str:
        return _known_card(key)

    def of_node(self, node: int) -> tuple[Fault, ...]:
        """The faults of one node, in the order of the file."""
        return tuple(fault for fault in self.faults if fault.node == node)


def load_scenario(path: Path) -> Scenario:
    """Read a scenario; `.toml` is TOML, anything else YAML. Raises ScenarioError, or OSError."""
    text = path.read_text("utf-8")
    try:
        raw = tomllib.loads(text) if path.suffix == ".toml" else yaml.safe_load(text)
        return Scenario.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = misfit.place(first) or "the file"
        raise ScenarioError(f"{path}: {place}: {misfit.reason(first)}") from error
    except (tomllib.TOMLDecodeError, yaml.YAMLError) as error:
        raise ScenarioError(f"{path}: {error}") from error


def _known_card(key: str) -> str:
    if sku(key) is None:
        raise ValueError(f"{key} is not in the SKU table")
    return key
