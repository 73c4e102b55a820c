"""The report that an agent signs, and the one way to spell it.

A report's payload is JSON in one spelling: keys sorted, no white space, UTF-8, integers below 2**53, no float, no NaN.
`decode` refuses any bytes that differ from their own re-encoding, so that no two readers can read one signature two
ways. For this subset the spelling is that of RFC 8785.

Times are integer microseconds. `boottime_us` is CLOCK_BOOTTIME of the node, which no clock step moves; `wall_us` is the
node's belief about UTC.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

VERSION = 1
MAX_INTEGER = 2**53 - 1

Integer = Annotated[int, Field(ge=-MAX_INTEGER, le=MAX_INTEGER, strict=True)]
Count = Annotated[int, Field(ge=0, le=MAX_INTEGER, strict=True)]
Name = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$")]
Text = Annotated[str, Field(max_length=512)]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class WireError(ValueError):
    """These bytes are not a report. The message names the place."""


class FutureVersion(WireError):
    """A well-spelled payload whose `version` this code does not know."""


class Reason(StrEnum):
    """Why there is no value. Never a number in disguise."""

    NOT_SUPPORTED = "not_supported"
    NO_PERMISSION = "no_permission"
    FUNCTION_NOT_FOUND = "function_not_found"
    GPU_IS_LOST = "gpu_is_lost"
    RESET_REQUIRED = "reset_required"
    DRIVER_NOT_LOADED = "driver_not_loaded"
    NOT_READY = "not_ready"
    TIMEOUT = "timeout"
    QUARANTINED = "quarantined"
    CORRUPTED = "corrupted"
    PAUSED = "paused"
    NOT_FOUND = "not_found"
    ERROR = "error"


class Model(BaseModel):
    """Strict and closed: an unknown key is an error, and nothing is coerced."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Facts(Model):
    """Named readings of one thing at one instant: a value or the reason why there is none."""

    readings: dict[Name, Integer | Text]
    unavailable: dict[Name, Reason]


class DeviceState(StrEnum):
    """What became of a device that was once enumerated. A lost GPU keeps its place."""

    OK = "ok"
    LOST = "lost"
    RESET_REQUIRED = "reset_required"
    UNREADABLE = "unreadable"


class Device(Model):
    """One GPU or MIG device. `parent` is the UUID of the GPU that a MIG device is cut from."""

    uuid: Name
    parent: Name | None
    state: DeviceState
    identity: Facts


class Inventory(Model):
    """Everything of the identity tier. `driver` is about the node's driver, `host` about the node without NVML."""

    devices: list[Device]
    driver: Facts
    host: Facts


class Clock(Model):
    """Both clocks, read together when the report was made. `synchronized` is the kernel's word, null where it has none."""

    wall_us: Count
    boottime_us: Count
    synchronized: bool | None


class UnavailableSpan(Model):
    """Samples [from, to) of one reading of one device have no value."""

    device: Name
    reading: Name
    from_: Count = Field(alias="from")
    to: Count
    reason: Reason


class Block(Model):
    """Samples in columns: `readings[name][sample][device]`, in the order of `boottime_us` and `devices`."""

    tier: Literal["fast", "slow"]
    boottime_us: list[Count]
    devices: list[Name]
    readings: dict[Name, list[list[Integer | None]]]
    unavailable: list[UnavailableSpan]


class OwnerClass(StrEnum):
    """What kind of owner a process has, as far as its control group tells."""

    CONTAINER = "container"
    USER = "user"
    SYSTEM = "system"
    UNKNOWN = "unknown"


class Process(Model):
    """A process that holds GPU memory. No name and no command line leaves the node; `owner` is a salted hash."""

    boottime_us: Count
    device: Name
    memory_bytes: Count | None
    owner: Name
    class_: OwnerClass = Field(alias="class")


class EventKind(StrEnum):
    """What happened at an instant, as opposed to what is."""

    AGENT_STARTED = "agent_started"
    AGENT_STOPPED = "agent_stopped"
    PAUSED = "paused"
    RESUMED = "resumed"
    XID = "xid"
    DEVICE_LOST = "device_lost"
    DEVICE_RETURNED = "device_returned"
    IDENTITY_CHANGED = "identity_changed"
    DRIVER_CHANGED = "driver_changed"
    NVML_STALLED = "nvml_stalled"
    NVML_CRASHED = "nvml_crashed"
    NVML_RESTARTED = "nvml_restarted"
    CALL_QUARANTINED = "call_quarantined"
    CLOCK_STEPPED = "clock_stepped"


class Event(Model):
    """`code` is the XID for XID; `source` says who saw it; `detail` is free text about the node, never about a tenant."""

    boottime_us: Count
    kind: EventKind
    device: Name | None
    code: Integer | None
    source: Literal["nvml", "kernel", "agent"]
    detail: Text


class Gap(Model):
    """Reports [first_seq, last_seq] are gone from the spool. `last_hash` is the payload hash of the last of them."""

    first_seq: Count
    last_seq: Count
    last_hash: Hash
    reason: Text


class Report(Model):
    """One signed message. `prev` is the payload hash of seq - 1 in (key, chain, stream), null at seq 0.

    `seen` is the hash of the newest head the agent knows: the report was not made before that head.
    A null in a block has its row in `unavailable`; times in a block rise strictly.
    """

    version: Literal[1]
    node: Name
    chain: Name
    stream: Name
    seq: Count
    prev: Hash | None
    boot: Name
    seen: Hash | None
    clock: Clock
    interval_ms: Count
    agent: Name
    inventory_digest: Hash
    inventory: Inventory | None
    blocks: list[Block]
    processes: list[Process] | None
    host: Facts | None
    events: list[Event]
    gaps: list[Gap]


def canonical(value: Any) -> bytes:  # noqa: ANN401
    """The one spelling of a JSON value without floats."""
    ...


def parse(payload: bytes) -> Any:  # noqa: ANN401
    """The JSON value of canonical bytes. Raises WireError for any other bytes."""
    ...


def encode(report: Report) -> bytes:
    """The payload to sign."""
    ...


def decode(payload: bytes) -> Report:
    """The report in a payload. Raises FutureVersion, or WireError naming the place. Never anything else."""
    ...


def digest(payload: bytes) -> str:
    """Lower-case hexadecimal SHA-256: what `prev`, `last_hash` and `inventory_digest` hold."""
    ...
