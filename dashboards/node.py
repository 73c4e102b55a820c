"""One node and its GPUs: states, readings, limits, faults."""

from dashboards import shown
from dashboards.panels import (
    Look,
    Page,
    Placed,
    Query,
    dashboard,
    graph,
    heading,
    number,
    table,
    timeline,
)
from dashboards.shown import NOTHING

PAGE = Page(
    "weighbridge-node",
    "Weighbridge: node and GPU",
    "One node and its GPUs: what they are, what they do, and what is wrong with them.",
)
NODE = 'node="$node"'
GPU = 'node="$node",uuid=~"$uuid"'
SILENT = "the node has not reported, or is silent"
READINGS = (
    ("Power", "weighbridge_gpu_power_draw_watts", "watt", "Beside it the limit in force."),
    (
        "Temperature of the core",
        "weighbridge_gpu_temperature_gpu_celsius",
        "celsius",
        "Of the die.",
    ),
    ("SM clock", "weighbridge_gpu_sm_clock_hertz", "hertz", "It falls at idle by design."),
    ("Memory in use", "weighbridge_gpu_memory_used_bytes", "bytes", "All processes together."),
    (
        "Some kernel ran",
        "weighbridge_gpu_utilization_gpu_ratio",
        "percentunit",
        "Share of the time.",
    ),
    (
        "PCIe lanes",
        "weighbridge_gpu_pcie_link_width_lanes",
        "none",
        "They may fall at idle by design.",
    ),
)


def build(collector: str) -> str:
    """Grafana's JSON."""
    variables = [
        ("node", "weighbridge_node_info"),
        ("uuid", f"weighbridge_gpu_state{{{NODE}}}"),
    ]
    panels = [*_node(), *_gpus(), *_readings(), *_faults()]
    return dashboard(PAGE, variables, panels, shown.marks(f",{NODE}"), collector)


def _node() -> list[Placed]:
    last = f"max(weighbridge_tick_timestamp_seconds) - max(weighbridge_node_last_report_timestamp_seconds{{{NODE}}})"
    return [
        number(
            "Last report",
            [Query(last)],
            "Before now, by the collector's clock.",
            Look(SILENT, "s"),
            6,
        ),
        number(
            "GPUs that NVML counts",
            [Query(f"max(weighbridge_node_gpus{{{NODE}}})")],
            "Absent where no driver counts them.",
            Look("no driver counts them"),
            6,
        ),
        number(
            "Clock skew",
            [Query(f"max(weighbridge_node_clock_skew_seconds{{{NODE}}})")],
            "The node's clock less the collector's.",
            Look(SILENT, "s", [(None, "red"), (-2, "green"), (2, "red")]),
            6,
        ),
        table(
            "Driver",
            [Query(f"max by (version, reason) (weighbridge_node_driver_info{{{NODE}}})")],
            "Why NVML does not count the GPUs: empty where it does.",
            ["version", "reason"],
            Look(SILENT),
            6,
        ),
        table(
            "Open findings of the node",
            [
                Query(
                    f"max by (contract, uuid, check, severity, verdict) (weighbridge_finding_active{{{NODE}}})"
                )
            ],
            "Empty is good. The runbook of the alert, and the node's page, say what to do.",
            ["contract", "uuid", "check", "severity", "verdict"],
            Look(NOTHING, links={"contract": "${collector}/contracts/${__value.text}"}),
        ),
    ]


def _gpus() -> list[Placed]:
    return [
        heading("GPUs"),
        timeline(
            "State of each GPU",
            [Query(f"max by (uuid) ({shown.state(GPU)})", "{{uuid}}")],
            "Unknown while the node is silent. A slot that never showed a GPU has no name.",
            Look(SILENT, words=shown.STATES),
        ),
        table(
            "What they say that they are",
            [
                Query(
                    f"max by (uuid, name, serial, pci_bus_id, vbios) (weighbridge_gpu_info{{{GPU}}})"
                )
            ],
            "As the driver tells it. Proof of it is on the integrity dashboard.",
            ["uuid", "name", "serial", "pci_bus_id", "vbios"],
            Look(SILENT),
        ),
    ]


def _readings() -> list[Placed]:
    graphs = []
    for title, name, unit, text in READINGS:
        queries = [Query(f"{name}{{{GPU}}}", "{{uuid}}")]
        if title == "Power":
            limit = f"max(weighbridge_gpu_power_limit_enforced_watts{{{GPU}}})"
            queries.append(Query(limit, "highest limit in force"))
        graphs.append(graph(title, queries, text, Look(SILENT, unit)))
    held = f"sum by (uuid, reason) (rate(weighbridge_gpu_clocks_event_seconds_total{{{GPU}}}[$__rate_interval]))"
    return [
        *graphs,
        graph(
            "Clocks held down",
            [Query(held, "{{uuid}} {{reason}}")],
            "Share of the time, by the reason that the driver gives.",
            Look("no clock was held down", "percentunit"),
            24,
        ),
    ]


def _faults() -> list[Placed]:
    ecc = "weighbridge_gpu_ecc_total_uncorrected_volatile_total"
    return [
        heading("Faults"),
        table(
            "XID errors",
            [Query(f"max by (uuid, xid) (weighbridge_gpu_xid_errors_total{{{GPU}}})", "errors")],
            "Since the node's boot, or a reset of the GPU that readings show.",
            ["uuid", "xid"],
            Look("no XID was told"),
            12,
        ),
        graph(
            "Uncorrected memory errors",
            [Query(f"{ecc}{{{GPU}}}", "{{uuid}}")],
            "Since the driver was loaded.",
            Look("the GPUs do not tell"),
        ),
    ]
