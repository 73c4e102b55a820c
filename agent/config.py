"""The agent's configuration: a TOML file, then `WEIGHBRIDGE_*` in the environment, then flags. All has defaults."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from agent.running import DEFAULT_FILE, RUNTIME_DIRECTORY
from weighbridge.process.settings import load_settings

_TIME = r"([01]\d|2[0-3]):[0-5]\d"
WINDOWS = rf"^({_TIME}-{_TIME}(,{_TIME}-{_TIME})*)?$"


class AgentConfig(BaseModel):
    """What the agent is told. Sizes in bytes, times in milliseconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    state_directory: Path = Path("/var/lib/weighbridge-agent")
    runtime_directory: Path = Path(RUNTIME_DIRECTORY)
    interval_ms: int = Field(10_000, ge=100, le=3_600_000)
    samples_per_report: int = Field(1, ge=1, le=3600)
    slow_interval_ms: int = Field(60_000, ge=1000, le=3_600_000)
    identity_interval_ms: int = Field(600_000, ge=1000, le=86_400_000)
    spool_bytes: int = Field(96 << 20, ge=64 << 10, le=1 << 40)
    receipts_bytes: int = Field(32 << 20, ge=64 << 10, le=1 << 40)
    kernel_log: Literal["on", "off"] = "on"
    kernel_log_path: Path = Path("/dev/kmsg")
    metrics_listen: str = Field(
        "", pattern=r"^(127\.0\.0\.1:\d{1,5})?$", description="127.0.0.1:PORT"
    )
    dcgm_listen: str = Field(
        "",
        pattern=r"^([\w.\-]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5})?$",
        description="ADDRESS:PORT or [IPV6]:PORT",
    )
    dcgm_host_label: Literal["hostname", "Hostname"] = "hostname"
    probe: Literal["off", "socket", "spawn"] = "off"
    probe_socket: Path = Path("/run/weighbridge-probe.sock")
    probe_backend: Literal["cuda", "cpu"] = "cuda"
    probe_consent: Literal["nobody", "idle_window", "lessee"] = "idle_window"
    probe_windows: str = Field(
        "", pattern=WINDOWS, description="times of the UTC day, such as 22:00-06:00,12:00-13:00"
    )
    probe_budget_ms: int = Field(1_800_000, ge=0, le=86_400_000)
    probe_reserve_bytes: int = Field(1 << 30, ge=0, le=1 << 40)
    attestation: Literal["on", "off"] = "on"
    log_level: Literal["debug", "info", "warning", "error"] = "info"


def load_config(
    file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any] | None = None
) -> AgentConfig:
    """The configuration in force; no file named means the default one, if it is there. Raises ConfigError."""
    default = DEFAULT_FILE if DEFAULT_FILE.exists() else None
    return load_settings(
        AgentConfig, file or default, environment, flags, named=file or DEFAULT_FILE
    )
