"""The report that an agent signs, and the one way to spell it.

A report's payload is JSON in one spelling: keys sorted, no white space, UTF-8, integers below 2**53, no float, no NaN.
`decode` refuses any bytes that differ from their own re-encoding, so that no two readers can read one signature two
ways. For this subset the spelling is that of RFC 8785.

Times are integer microseconds. `boottime_us` is CLOCK_BOOTTIME of the node, which no clock step moves; `wall_us` is the
node's belief about UTC.
"""

import hashlib
import json
from enum import StrEnum
from functools import cache
from itertools import pairwise
from operator import attrgetter
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from weighbridge.wire import misfit
from weighbridge.wire.misfit import HASH, NAME

VERSION = 1
MAX_INTEGER = 2**53 - 1

MAX_DEVICES = 1024
MAX_BLOCKS = 16
MAX_SAMPLES = 8192
MAX_EVENTS = 16_384
MAX_GAPS = 4096
MAX_PROCESSES = 8192
MAX_READINGS = 256
MAX_FACTS = 512
MAX_SPANS = 65_536
MAX_VALUES = 1 << 20
ROW_VALUES = 8
"""What one report may hold of each: what it costs to read and to judge it stays in proportion to its bytes.

`MAX_VALUES` are those of all blocks, each row counted as `ROW_VALUES` more: sixteen GPUs, each cut in seven, fill it
with three hundred samples.
"""

BEFORE_BOOT, SIMULATED = 2, 4
"""NVML_OPERATIONAL_EVENT_GROUP_ATTR_PREVERR and _SIMULATED: bits of `group_attributes` (nvml.h, R615)."""

# Each bound is said to both libraries that read JSON here: pydantic by a Field, whose `$` is the end, and msgspec by a
# Meta, whose `$` would be the end or a line feed before it.
Integer = Annotated[
    int,
    Field(ge=-MAX_INTEGER, le=MAX_INTEGER, strict=True),
    Meta(ge=-MAX_INTEGER, le=MAX_INTEGER),
]
Count = Annotated[int, Field(ge=0, le=MAX_INTEGER, strict=True), Meta(ge=0, le=MAX_INTEGER)]
Positive = Annotated[int, Meta(ge=1, le=MAX_INTEGER)]
Name = Annotated[
    str,
    Field(min_length=1, max_length=128, pattern=NAME + "$"),
    Meta(min_length=1, max_length=128, pattern=NAME + r"\Z"),
]
Text = Annotated[str, Field(max_length=512), Meta(max_length=512)]
Hash = Annotated[str, Field(pattern=HASH + "$"), Meta(pattern=HASH + r"\Z")]


class WireError(ValueError):
    """These bytes are not a report. The message names the place."""


class NotCanonical(WireError):
    """Valid JSON, but not spelled canonically."""


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
    LIBRARY_NOT_FOUND = "library_not_found"
    VERSIONS_DIFFER = "versions_differ"
    NOT_READY = "not_ready"
    TIMEOUT = "timeout"
    QUARANTINED = "quarantined"
    CORRUPTED = "corrupted"
    PAUSED = "paused"
    NOT_FOUND = "not_found"
    OUT_OF_RANGE = "out_of_range"
    ERROR = "error"


class Model(BaseModel):
    """Strict and closed: an unknown key is an error, and nothing is coerced."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True)


class WirePart(msgspec.Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True):
    """What comes most: a report, each part of it, a tick. As strict and closed as a Model once read, and read faster.

    Its fields stand in the order of the wire, which is that of the alphabet. The types and bounds of one that is put
    together here are looked at by `encode`. A part whose fields have defaults leaves them out (`omit_defaults`), so
    that each value has one spelling.
    """


AnyPart = TypeVar("AnyPart", bound=WirePart)
Read = TypeVar("Read", bound=Model | WirePart)


class Facts(WirePart, frozen=True):
    """Named readings of one thing at one instant: a value or the reason why there is none."""

    readings: Annotated[dict[Name, Integer | Text], Meta(max_length=MAX_FACTS)]
    unavailable: Annotated[dict[Name, Reason], Meta(max_length=MAX_FACTS)]


class DeviceState(StrEnum):
    """What became of a device that was once enumerated. A lost GPU keeps its place."""

    OK = "ok"
    LOST = "lost"
    RESET_REQUIRED = "reset_required"
    UNREADABLE = "unreadable"


class Device(WirePart, frozen=True):
    """One GPU or MIG device. `parent` is the UUID of the GPU that a MIG device is cut from."""

    identity: Facts
    parent: Name | None
    state: DeviceState
    uuid: Name


class Inventory(WirePart, frozen=True):
    """Everything of the identity tier. `driver` is about the node's driver, `host` about the node without NVML."""

    devices: Annotated[list[Device], Meta(max_length=MAX_DEVICES)]
    driver: Facts
    host: Facts


class ReportClocks(WirePart, frozen=True):
    """Both clocks, read together when the report was made. `synchronized` is the kernel's word, or null."""

    boottime_us: Count
    synchronized: bool | None
    wall_us: Count


class UnavailableSpan(WirePart, frozen=True):
    """Samples [from, to) of one reading of one device have no value.

    Both are names of the block that it is of, which is looked at there: there are many rows, and few names.
    """

    device: str
    from_: Count = msgspec.field(name="from")
    reading: str
    reason: Reason
    to: Count


FROM = attrgetter("from_")


class Block(WirePart, frozen=True):
    """Samples in columns: `readings[name][sample][device]`, in the order of `boottime_us` and `devices`."""

    boottime_us: Annotated[list[Count], Meta(min_length=1, max_length=MAX_SAMPLES)]
    devices: Annotated[list[Name], Meta(max_length=MAX_DEVICES)]
    readings: Annotated[dict[Name, list[list[Integer | None]]], Meta(max_length=MAX_READINGS)]
    tier: Literal["fast", "slow"]
    unavailable: Annotated[list[UnavailableSpan], Meta(max_length=MAX_SPANS)]

    def __post_init__(self) -> None:
        if any(later <= earlier for earlier, later in pairwise(self.boottime_us)):
            raise ValueError("boottime_us does not rise strictly")
        if len(set(self.devices)) != len(self.devices):
            raise ValueError("a device stands twice in devices")
        samples, width = len(self.boottime_us), len(self.devices)
        shape = [width] * samples
        for name, rows in self.readings.items():
            if list(map(len, rows)) != shape:
                raise ValueError(f"{name} is not {samples} samples of {width} devices")
        nulls = sum(row.count(None) for rows in self.readings.values() for row in rows)
        spans = self.unavailable
        # Counted first: else rows that overlap would be gone through at the cost of many nulls.
        if any(not span.from_ < span.to <= samples for span in spans):
            raise ValueError("a row in unavailable lies outside the samples")
        explained = sum(span.to - span.from_ for span in spans)
        if explained != nulls or not self._explained():
            raise ValueError("nulls and their rows in unavailable differ")

    def _explained(self) -> bool:
        """Whether the rows in unavailable name nothing but nulls, and none twice."""
        columns = {device: column for column, device in enumerate(self.devices)}
        ends: dict[tuple[str, str], int] = {}
        for span in sorted(self.unavailable, key=FROM):
            rows, column = self.readings.get(span.reading), columns.get(span.device)
            named = (span.reading, span.device)
            if rows is None or column is None or span.from_ < ends.get(named, 0):
                return False
            for row in rows[span.from_ : span.to]:
                if row[column] is not None:
                    return False
            ends[named] = span.to
        return True


class OwnerClass(StrEnum):
    """What kind of owner a process has: SYSTEM is a service of the node, and UNKNOWN is one whom nobody could read."""

    CONTAINER = "container"
    USER = "user"
    SYSTEM = "system"
    UNKNOWN = "unknown"


class Process(WirePart, frozen=True):
    """A process that holds GPU memory. `owner` is a salted hash, or of class SYSTEM the name of a known service.

    No other name leaves the node, and no command line. Older agents hash the owner of a service too.
    """

    boottime_us: Count
    class_: OwnerClass = msgspec.field(name="class")
    device: Name
    memory_bytes: Count | None
    owner: Name


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
    LOG_FORKED = "log_forked"
    LOG_SHRANK = "log_shrank"
    SXID = "sxid"
    GPU_EVENT = "gpu_event"
    KERNEL_IDENTITY = "kernel_identity"
    KERNEL_LOG_OVERRUN = "kernel_log_overrun"


class SaidSeverity(StrEnum):
    """What the text of an XID or SXID says of itself, where the code alone does not."""

    FATAL = "fatal"
    NONFATAL = "nonfatal"
    CONTAINED = "contained"
    UNCONTAINED = "uncontained"


class OperationalEvent(WirePart, frozen=True):
    """A GPU operational event of NVML, its numbers as they came: they are preview, and mean what the release of
    `driver` says. `trace` is the trace id in hexadecimal; `module` the signature of the module that reports."""

    attributes: Count
    category: Count
    chiplet: Count
    driver: Text
    group_attributes: Count
    group_index: Count
    group_size: Count
    log_level: Count
    module: Text
    module_code: Count
    module_instance: Count
    originator: Count
    scope: Count
    severity: Count
    trace: Name

    @property
    def happened(self) -> bool:
        """Whether it happened in this boot: it was neither injected nor is it told of afterwards."""
        return not self.group_attributes & (SIMULATED | BEFORE_BOOT)


class Event(WirePart, frozen=True, kw_only=True, omit_defaults=True):
    """`code` is the XID for XID, the SXID for SXID; `source` says who saw it; `detail` is about the node, never a
    tenant. What stands at its default is not spelled, as agents before did not know it.

    `address` is the PCI address of what no UUID is known of, and of a switch. `count`: how often the same was said,
    first at `boottime_us`. `caused_by`: the XID that an XID of a removed channel names. `gpu_instance` and
    `compute_instance`: of MIG. `link`: an NVLink. `recovery_action` came after `recovery_action_before`.
    For KERNEL_IDENTITY `device` is the kernel's word for what is at `address`, and `detail` its serial.
    For KERNEL_LOG_OVERRUN `count` records were lost, by what `detail` names.
    """

    address: Name | None = None
    boottime_us: Count
    caused_by: Count | None = None
    code: Integer | None
    compute_instance: Count | None = None
    count: Positive = 1
    detail: Text
    device: Name | None
    gpu_instance: Count | None = None
    kind: EventKind
    link: Count | None = None
    operational: OperationalEvent | None = None
    recovery_action: Count | None = None
    recovery_action_before: Count | None = None
    severity: SaidSeverity | None = None
    source: Literal["nvml", "kernel", "agent"]

    @property
    def happened(self) -> bool:
        """False where the driver says that it was injected, or was before this boot."""
        return self.operational is None or self.operational.happened


class Gap(WirePart, frozen=True):
    """Reports [first_seq, last_seq] are gone from the spool. `last_hash` is the payload hash of the last of them."""

    first_seq: Count
    last_hash: Hash
    last_seq: Count
    reason: Text


class SeenHead(WirePart, frozen=True):
    """A head of the log: so many entries, and the root over them."""

    root: Hash
    size: Count


class Report(WirePart, frozen=True):
    """One signed message. `prev` is the payload hash of seq - 1 in (key, chain, stream), null at seq 0.

    `seen` is the newest head that the agent was handed: the report was not made before it. Older agents said
    only the SHA-256 of its text, with which nothing can be compared.
    A null in a block has its row in `unavailable`; times in a block rise strictly.
    """

    agent: Name
    blocks: Annotated[list[Block], Meta(max_length=MAX_BLOCKS)]
    boot: Name
    chain: Name
    clock: ReportClocks
    events: Annotated[list[Event], Meta(max_length=MAX_EVENTS)]
    gaps: Annotated[list[Gap], Meta(max_length=MAX_GAPS)]
    host: Facts | None
    interval_ms: Count
    inventory: Inventory | None
    inventory_digest: Hash
    node: Name
    prev: Hash | None
    processes: Annotated[list[Process], Meta(max_length=MAX_PROCESSES)] | None
    seen: SeenHead | Hash | None
    seq: Count
    stream: Name
    version: Literal[1]

    def __post_init__(self) -> None:
        if (self.prev is None) != (self.seq == 0):
            raise ValueError("prev is null at seq 0, and only there")
        if sum(len(block.boottime_us) for block in self.blocks) > MAX_SAMPLES:
            raise ValueError(f"blocks hold more than {MAX_SAMPLES} samples")
        if sum(map(_values, self.blocks)) > MAX_VALUES:
            raise ValueError(f"blocks hold more than {MAX_VALUES} values")


def _values(block: Block) -> int:
    return len(block.readings) * len(block.boottime_us) * (len(block.devices) + ROW_VALUES)


def weight(report: Report) -> int:
    """What it costs to judge a report, in samples of single devices; each other part counts as one."""
    inventory = 0 if report.inventory is None else len(report.inventory.devices)
    parts = len(report.events) + len(report.gaps) + len(report.processes or ()) + inventory
    return parts + sum(_sampled(block) for block in report.blocks)


def _sampled(block: Block) -> int:
    return len(block.boottime_us) * max(len(block.devices), len(block.readings) // 8, 1)


def canonical(value: Any) -> bytes:
    """The one spelling of a JSON value without floats."""
    text = json.dumps(
        value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
    )
    return text.encode()


def parse(payload: bytes) -> Any:
    """The JSON value of canonical bytes. Raises WireError for any other bytes."""
    try:
        value = json.loads(payload, parse_float=_no_float, parse_constant=_no_float)
        respelled = canonical(value)
    except (ValueError, RecursionError) as error:
        raise WireError(f"not JSON of this protocol: {error}") from error
    if respelled != payload:
        raise NotCanonical("not spelled canonically: its own re-encoding differs")
    return value


class ChainPosition(msgspec.Struct, frozen=True):
    """Where a report stands in its chain. The rest of it is passed over."""

    chain: str
    seq: int
    stream: str


def read_position(payload: bytes) -> ChainPosition:
    """Of a report that was accepted, at a tenth of what `decode` takes. Raises WireError."""
    try:
        return _POSITION.decode(payload)
    except msgspec.DecodeError as error:
        raise WireError(str(error)) from error


_POSITION = msgspec.json.Decoder(ChainPosition)
_SPELLED = msgspec.json.Encoder(order="sorted")
"""Writes a Part as `canonical` would: sorted, no white space, UTF-8, the same escapes."""


def encode(model: Model | WirePart) -> bytes:
    """The payload to sign. Raises WireError for a Part that nobody could read."""
    if isinstance(model, Model):
        return canonical(model.model_dump(mode="json", by_alias=True))
    try:
        payload = _SPELLED.encode(model)
        _decoder(type(model)).decode(payload)
    except (msgspec.ValidationError, OverflowError) as error:
        raise WireError(f"not to be read: {error}") from error
    return payload


def decode(payload: bytes) -> Report:
    """The report in a payload. Raises FutureVersion, or WireError naming the place. Never anything else."""
    try:
        return read(Report, payload)
    except WireError as error:
        value = parse(payload)
        version = value.get("version") if isinstance(value, dict) else None
        if type(version) is int and version > VERSION:
            newer = f"version {version} is newer than {VERSION}, the newest known here"
            raise FutureVersion(newer) from error
        raise


def read(model: type[Read], payload: bytes) -> Read:
    """A model or part from canonical bytes. Raises WireError naming the place."""
    if issubclass(model, WirePart):
        return _read_part(model, payload)
    parse(payload)
    try:
        return model.model_validate_json(payload)
    except ValidationError as error:
        raise _misfit(error) from error


def _read_part(part: type[AnyPart], payload: bytes) -> AnyPart:
    """What `parse` says of the spelling is seen at a glance where it is the one. No default is spelled."""
    try:
        found: AnyPart = _decoder(part).decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        parse(payload)
        raise WireError(str(error)) from error
    if _SPELLED.encode(found) != payload:
        parse(payload)
        raise NotCanonical("a field is spelled that stands at its default")
    return found


@cache
def _decoder(part: type[AnyPart]) -> "msgspec.json.Decoder[AnyPart]":
    return msgspec.json.Decoder(part)


def _misfit(error: ValidationError) -> WireError:
    first = error.errors(include_url=False, include_input=False)[0]
    return WireError(f"{misfit.place(first) or 'payload'}: {misfit.reason(first)}")


def digest(payload: bytes) -> str:
    """Lower-case hexadecimal SHA-256: what `prev`, `last_hash` and `inventory_digest` hold."""
    return hashlib.sha256(payload).hexdigest()


def _no_float(text: str) -> None:
    raise ValueError(f"{text} is not an integer")
