"""Every metric that Weighbridge exports: name, type, help, labels. The only place that names a metric.

Names carry Prometheus base units. A reading of the catalogue becomes a metric by its unit alone (`UNITS`): the
unit's name is replaced and the integer scaled. What a device cannot answer is absent, never 0 or NaN.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from weighbridge.catalogue.readings import OF_GPUS, READINGS, UNITS, Kind, Reading, Tier, Unit

PREFIX = "weighbridge_"


class Type(StrEnum):
    """As the text exposition format spells it. Information is a gauge that is always 1."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One family. `name` is what Prometheus stores; `labels` in the order in which samples give their values."""

    name: str
    type: Type
    help: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExportedReading:
    """A catalogue row as a series: its family, the scale, and the values of labels after node and uuid."""

    reading: str
    metric: Metric
    unit: Unit
    labels: tuple[str, ...]

    def scale(self, value: int) -> int | float:
        """The value in the base unit; exact where the unit is whole."""
        if self.unit.divisor == 1:
            return value * self.unit.multiplier
        return value * self.unit.multiplier / self.unit.divisor


def _gauge(name: str, text: str, *labels: str) -> Metric:
    return Metric(PREFIX + name, Type.GAUGE, text, labels)


def _counter(name: str, text: str, *labels: str) -> Metric:
    return Metric(PREFIX + name, Type.COUNTER, text, labels)


CONTRACT_GPUS = _gauge(
    "contract_gpus",
    "GPUs of the contract: contracted, reporting, healthy, in use.",
    "contract",
    "state",
)
CONTRACT_AVAILABILITY = _gauge(
    "contract_availability_ratio",
    "Availability in the current period as its statement has it; low takes what is to come as it is now, high as up.",
    "contract",
    "objective",
    "bound",
)
CONTRACT_TARGET = _gauge(
    "contract_objective_target_ratio",
    "Availability that the objective promises.",
    "contract",
    "objective",
)
CONTRACT_VERDICT = _gauge(
    "contract_objective_verdict",
    "1; the verdict on the objective in its current period, as its statement has it now: met, breached, unknown.",
    "contract",
    "objective",
    "verdict",
)
CONTRACT_SECONDS = _gauge(
    "contract_seconds",
    "Time of all units in the current period so far by state: met, breached, unknown, excluded.",
    "contract",
    "objective",
    "state",
)
CONTRACT_FIGURED = _gauge(
    "contract_figured_timestamp_seconds",
    "As of when the figures of the current period were worked out; 0 while they are not.",
    "contract",
)
CONTRACT_CONTRACTED = _gauge(
    "contract_contracted_gpu_seconds", "GPU time that the current month promises.", "contract"
)
CONTRACT_DELIVERED = _gauge(
    "contract_delivered_gpu_seconds",
    "GPU time of the current month that was up so far.",
    "contract",
)
CONTRACT_CREDIT = _gauge(
    "contract_credit_due",
    "Credits of the current month, claimed or not; low takes time held or to come as up, high as down or as it is now.",
    "contract",
    "currency",
    "bound",
)
CONTRACT_NEXT_TIER = _gauge(
    "contract_time_to_next_tier_seconds",
    "Downtime that any unit has left in the current month before it earns a higher credit.",
    "contract",
)
CONTRACT_CLAIM_DEADLINE = _gauge(
    "contract_claim_deadline_timestamp_seconds",
    "The first instant that is too late for the oldest credit that nobody has claimed.",
    "contract",
)
CONTRACT_REPAIR = _gauge(
    "contract_repair_clock_ratio",
    "Share of the promised time that a repair or an answer has used whose clock still runs; above 1 it is late.",
    "contract",
    "objective",
    "unit",
)
CONTRACT_MAINTENANCE = _gauge(
    "contract_maintenance",
    "1 while an announced window of maintenance runs; whether it counts, the statement says.",
    "contract",
    "window",
)
CONTRACT_NODE_INFO = _gauge(
    "contract_node_info", "1 for each node assigned to the contract.", "contract", "node"
)
FINDING_ACTIVE = _gauge(
    "finding_active",
    "1 for each open finding, verdict unknown where nobody could see; uuid is empty for a node, node for a contract.",
    "contract",
    "node",
    "uuid",
    "check",
    "severity",
    "verdict",
)
FINDING_NOTED = _gauge(
    "finding_noted_timestamp_seconds",
    "When something that lasts no time, such as a lost report, was last found of the node since the collector's start.",
    "contract",
    "node",
    "check",
)
NODE_LAST_REPORT = _gauge(
    "node_last_report_timestamp_seconds", "When the collector last received a report.", "node"
)
NODE_CLOCK_SKEW = _gauge(
    "node_clock_skew_seconds", "The node's clock less the collector's, at the last report.", "node"
)
NODE_INFO = _gauge("node_info", "1; the agent's version and the boot.", "node", "agent", "boot")
NODE_DRIVER_INFO = _gauge(
    "node_driver_info",
    "1; the driver's version, and why NVML does not count the node's GPUs: empty where it does.",
    "node",
    "version",
    "reason",
)
NODE_GPUS = _gauge("node_gpus", "GPUs that NVML counts; absent where it does not.", "node")
TICK = _gauge("tick_timestamp_seconds", "The collector's newest tick: its own clock, as logged.")

GPU_INFO = _gauge(
    "gpu_info",
    "1; what the GPU says that it is.",
    "node",
    "uuid",
    "name",
    "serial",
    "pci_bus_id",
    "vbios",
    "parent",
)
GPU_CONTRACT_INFO = _gauge(
    "gpu_contract_info", "1 for each contract of the GPU.", "node", "uuid", "contract"
)
GPU_STATE = _gauge(
    "gpu_state",
    "1 for the GPU's current state alone, contradicted where the agents of both sides differ; where uuid is empty, "
    "how many slots never showed a GPU.",
    "node",
    "uuid",
    "state",
)
GPU_XID_ERRORS = _counter(
    "gpu_xid_errors_total",
    "XID errors since the node's boot, or a reset of the GPU that readings show.",
    "node",
    "uuid",
    "xid",
)
GPU_CLOCKS_EVENT = _counter(
    "gpu_clocks_event_seconds_total",
    "Time for which the driver held the clocks down, by reason; absent until it is above zero.",
    "node",
    "uuid",
    "reason",
)

CHALLENGE_ATTEMPTS = _counter(
    "challenge_attempts_total",
    "Challenges of the node that have ended, by verdict and why.",
    "contract",
    "node",
    "verdict",
    "reason",
)
CHALLENGE_EXCHANGE = _gauge(
    "challenge_exchange_seconds",
    "Time that the node's newest challenge took on the collector's clock, from releases to roots.",
    "node",
)
CHALLENGE_RESULT = _gauge(
    "challenge_result",
    "1; the newest verdict of a challenge on the GPU, and why.",
    "node",
    "uuid",
    "contract",
    "verdict",
    "reason",
)
CHALLENGE_FLOPS = _gauge(
    "challenge_verified_flops_per_second",
    "Arithmetic that the GPU proved in the newest challenge that it met: a lower bound.",
    "node",
    "uuid",
)
CHALLENGE_MEMORY = _gauge(
    "challenge_verified_memory_bytes",
    "Memory that the GPU proved to hold: a lower bound.",
    "node",
    "uuid",
)
CHALLENGE_MEMORY_RATE = _gauge(
    "challenge_verified_memory_bytes_per_second",
    "Memory bandwidth that the GPU proved: a lower bound.",
    "node",
    "uuid",
)
CHALLENGE_PEER_RATE = _gauge(
    "challenge_verified_peer_bytes_per_second",
    "Bandwidth from other GPUs of the node that the GPU proved: a lower bound.",
    "node",
    "uuid",
)
CHALLENGE_PROVEN = _gauge(
    "challenge_proven_timestamp_seconds", "When the GPU last met a challenge.", "node", "uuid"
)
ATTESTATION_RESULT = _gauge(
    "attestation_result",
    "1; how the newest question to the GPU for its chip's evidence ended, and why.",
    "node",
    "uuid",
    "contract",
    "verdict",
    "reason",
)
ATTESTATION_VALID = _gauge(
    "attestation_valid_until_timestamp_seconds",
    "Until when the GPU counts as attested (level E3); later than now, or it does not.",
    "node",
    "uuid",
)

CONNECTIONS_CLOSED = _counter(
    "connections_closed_total",
    "Connections that the collector closed: malformed, slow (no request came), unread (no answer was taken), crowded.",
    "reason",
)
REPORTS = _counter("reports_total", "Reports received, by result of ingest.", "result")
INGEST_SECONDS = Metric(
    PREFIX + "ingest_seconds",
    Type.HISTOGRAM,
    "From a request's last byte to its durable answer.",
    (),
)
STATEMENTS_BROKEN = _counter(
    "statements_broken_total",
    "Statements that contradicted themselves and were not handed out: a fault of the collector.",
    "contract",
)
CLOCK_OFFSET = _gauge(
    "clock_offset_seconds",
    "How far the collector's system clock is ahead of where it must be; two seconds off, it was stepped and is not"
    " followed.",
)
LOG_ENTRIES = _gauge("log_entries", "Entries of the evidence log.")
LOG_COSIGNED = _gauge(
    "log_cosigned_entries",
    "Entries under the newest head that a witness has cosigned since the start; 0: none yet.",
    "witness",
)
STORE_FREE = _gauge("store_free_bytes", "Room that the collector has left on its store's disk.")
STORE_SIZE = _gauge("store_size_bytes", "Size of the file system that the store lies on.")
BACKUP = _gauge(
    "backup_timestamp_seconds",
    "When a backup of the store was last finished; 0: never.",
)
REMOTE_WAITING = _gauge(
    "remote_write_waiting_bytes", "Requests of remote write that wait on the disk for the receiver."
)
REMOTE_REQUESTS = _counter(
    "remote_write_requests_total",
    "Requests of remote write since the start, by what became of them: sent, refused, dropped (no room), lost.",
    "result",
)
OTLP_WAITING = _gauge(
    "otlp_waiting_bytes", "Requests of OTLP that wait on the disk for the receiver."
)
OTLP_REQUESTS = _counter(
    "otlp_requests_total",
    "Requests of OTLP since the start, by what became of them: sent, refused, dropped (no room), lost.",
    "result",
)
JUDGE_QUARANTINED = _gauge(
    "judge_quarantined",
    "Observers, and other subjects of entries, that this judge fails at; their time is unknown.",
)
JUDGE_LAG = _gauge(
    "judge_lag_seconds", "Age of the newest entry that was judged, behind the newest logged."
)

_CLOCKS_EVENT = "clocks_event_"
_IDENTITY_EXPORTED = frozenset(
    {
        "memory_total_bytes",
        "sm_clock_max_megahertz",
        "memory_clock_max_megahertz",
        "power_limit_default_milliwatts",
        "pcie_link_width_max_lanes",
        "ecc_mode_code",
        "mig_mode_code",
        "nvlink_links",
    }
)
_UNSPOKEN_UNITS = frozenset({"code", "count", "number"})


def _is_exported(reading: Reading) -> bool:
    if reading.tier is Tier.IDENTITY:
        return reading.name in _IDENTITY_EXPORTED
    return reading.kind is not Kind.FLAGS and reading.scope in OF_GPUS


def _base_name(reading: Reading) -> str:
    stem = reading.name.removesuffix(f"_{reading.unit}")
    if reading.unit in _UNSPOKEN_UNITS:
        return stem
    return f"{stem}_{UNITS[reading.unit].base or reading.unit}"


def _reading_metric(reading: Reading) -> Metric:
    if reading.kind is Kind.COUNTER:
        return _counter(f"gpu_{_base_name(reading)}_total", f"{reading.help}.", "node", "uuid")
    return _gauge(f"gpu_{_base_name(reading)}", f"{reading.help}.", "node", "uuid")


def _export(reading: Reading) -> ExportedReading:
    unit = UNITS[reading.unit]
    if reading.kind is Kind.COUNTER and reading.name.startswith(_CLOCKS_EVENT):
        reason = reading.name.removeprefix(_CLOCKS_EVENT).removesuffix(f"_{reading.unit}")
        return ExportedReading(reading.name, GPU_CLOCKS_EVENT, unit, (reason,))
    return ExportedReading(reading.name, _reading_metric(reading), unit, ())


EXPORTED: Mapping[str, ExportedReading] = MappingProxyType(
    {reading.name: _export(reading) for reading in READINGS if _is_exported(reading)}
)
"""The catalogue rows that become series, by the reading's name."""

CONTRACT_METRICS: tuple[Metric, ...] = (
    CONTRACT_GPUS,
    CONTRACT_AVAILABILITY,
    CONTRACT_TARGET,
    CONTRACT_VERDICT,
    CONTRACT_SECONDS,
    CONTRACT_FIGURED,
    CONTRACT_CONTRACTED,
    CONTRACT_DELIVERED,
    CONTRACT_CREDIT,
    CONTRACT_NEXT_TIER,
    CONTRACT_CLAIM_DEADLINE,
    CONTRACT_REPAIR,
    CONTRACT_MAINTENANCE,
    FINDING_ACTIVE,
    FINDING_NOTED,
    TICK,
)
"""Exported on `/metrics`."""

NODE_METRICS: tuple[Metric, ...] = (
    CONTRACT_NODE_INFO,
    NODE_LAST_REPORT,
    NODE_CLOCK_SKEW,
    NODE_INFO,
    NODE_DRIVER_INFO,
    NODE_GPUS,
    CHALLENGE_ATTEMPTS,
    CHALLENGE_EXCHANGE,
)
"""Exported of each node on one of the shards `/metrics/gpus/N`."""

CHALLENGE_METRICS: tuple[Metric, ...] = (
    CHALLENGE_RESULT,
    CHALLENGE_FLOPS,
    CHALLENGE_MEMORY,
    CHALLENGE_MEMORY_RATE,
    CHALLENGE_PEER_RATE,
    CHALLENGE_PROVEN,
    ATTESTATION_RESULT,
    ATTESTATION_VALID,
)
"""Of a GPU that was challenged or asked for its chip's evidence, at most one series of each."""

GPU_METRICS: tuple[Metric, ...] = (
    GPU_INFO,
    GPU_CONTRACT_INFO,
    GPU_STATE,
    GPU_XID_ERRORS,
    *CHALLENGE_METRICS,
    *dict.fromkeys(exported.metric for exported in EXPORTED.values()),
)
"""Exported on the shards `/metrics/gpus/N`."""

COLLECTOR_METRICS: tuple[Metric, ...] = (
    REPORTS,
    CONNECTIONS_CLOSED,
    INGEST_SECONDS,
    STATEMENTS_BROKEN,
    CLOCK_OFFSET,
    LOG_ENTRIES,
    LOG_COSIGNED,
    JUDGE_LAG,
    JUDGE_QUARANTINED,
    STORE_FREE,
    STORE_SIZE,
    BACKUP,
    REMOTE_WAITING,
    REMOTE_REQUESTS,
    OTLP_WAITING,
    OTLP_REQUESTS,
)
"""The collector about itself, on `/metrics`."""

METRICS: tuple[Metric, ...] = (
    *CONTRACT_METRICS,
    *COLLECTOR_METRICS,
    *NODE_METRICS,
    *GPU_METRICS,
)


def document() -> str:
    """The text of `docs/metrics.md`."""
    sections = (
        ("Contracts", "On `/metrics`, always.", CONTRACT_METRICS),
        ("The collector", "On `/metrics`.", COLLECTOR_METRICS),
        ("Nodes", f"{_SHARDS} Those of a node are on one of them.", NODE_METRICS),
        ("GPUs", _SHARDS, GPU_METRICS),
    )
    return _INTRODUCTION + "".join(_section(*section) for section in sections)


_SHARDS = "On the shards that `/v1/sd/prometheus` lists, `/metrics/gpus/N`."
_INTRODUCTION = """# Metrics

Every name below is declared in `weighbridge/catalogue/metrics.py`, and this page is generated from it
(`python -m weighbridge.catalogue.metrics`). Units are Prometheus base units. What a device cannot answer is absent,
never 0 or NaN; the readings of a node that fell silent are no longer exported.
"""


def _section(title: str, where: str, metrics: tuple[Metric, ...]) -> str:
    head = "| name | type | labels | help |\n|---|---|---|---|\n"
    return f"\n## {title}\n\n{where}\n\n{head}" + "".join(_line(metric) for metric in metrics)


def _line(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.type} | {labels} | {metric.help} |\n"


if __name__ == "__main__":
    sys.stdout.write(document())
