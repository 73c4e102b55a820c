"""For whoever runs the machines: what fails, what will, what is due."""

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
    stacked,
    table,
)
from dashboards.shown import NOTHING

PAGE = Page(
    "weighbridge-fleet",
    "Weighbridge: fleet operations",
    "For whoever runs the machines: what fails, what will, and what is due.",
)
WHERE = {"node": "${collector}/nodes/${__value.text}"}
UNHEARD = "no node has reported"
ACTIONS = {
    0: ("none", "green"),
    1: ("reset", "yellow"),
    2: ("reboot", "orange"),
    3: ("drain", "yellow"),
    4: ("drain and reset", "orange"),
    5: ("recover IMEX domain", "orange"),
    6: ("bus reset", "orange"),
    7: ("system reboot", "red"),
}


def build(collector: str) -> str:
    """Grafana's JSON."""
    panels = [*_now(), *_faults(), *_wear(), *_versions()]
    return dashboard(PAGE, [], panels, shown.marks(""), collector)


def _now() -> list[Placed]:
    silent = f'count(count by (node) (weighbridge_finding_active{{check=~"{shown.SILENCE}"}})) or vector(0)'
    blind = 'count(weighbridge_node_driver_info{reason!=""}) or vector(0)'
    clocks = "count(weighbridge_contract_repair_clock_ratio) or vector(0)"
    bad = Look("0", steps=[(None, "green"), (1, "red")])
    states = dict(shown.STATES.values())
    parts = {
        text: f"count({shown.state()} == {number}) or vector(0)"
        for number, (text, _) in shown.STATES.items()
    }
    return [
        number(
            "Nodes",
            [Query("count(weighbridge_node_info) or vector(0)")],
            "That ever reported.",
            Look(UNHEARD),
            6,
        ),
        number(
            "Silent nodes", [Query(silent)], "No sample within a contract's largest gap.", bad, 6
        ),
        number("Nodes without a driver", [Query(blind)], "NVML does not count their GPUs.", bad, 6),
        number("Repair clocks", [Query(clocks)], "That run.", Look("0"), 6),
        stacked(
            "GPUs by state",
            [Query(expr, text) for text, expr in parts.items()],
            "All GPUs that are shown or assigned.",
            Look(UNHEARD),
            states,
        ),
        table(
            "Repair clocks that run",
            [
                Query(
                    "max by (contract, objective, unit) (weighbridge_contract_repair_clock_ratio)",
                    "used",
                )
            ],
            "Share of the promised time that is used. Once it is mended, say so by a notice: the clock ends with it.",
            ["contract", "objective", "unit"],
            Look(
                "no clock runs",
                "percentunit",
                [(None, "green"), (0.5, "yellow"), (0.8, "orange"), (1, "red")],
            ),
            12,
        ),
    ]


def _faults() -> list[Placed]:
    by = "check, severity"
    return [
        heading("Faults"),
        table(
            "Open findings by kind",
            [Query(f"count by ({by}) (weighbridge_finding_active)", "findings")],
            "Empty is good. The runbook of the alert has the steps for each.",
            by.split(", "),
            Look(NOTHING),
            12,
        ),
        table(
            "XID errors",
            [
                Query(
                    "topk(50, max by (node, uuid, xid) (weighbridge_gpu_xid_errors_total))",
                    "errors",
                )
            ],
            "Since each node's boot, the most first.",
            ["node", "uuid", "xid"],
            Look("no XID was told", links=WHERE),
            12,
        ),
        table(
            "What drivers ask for",
            [Query("weighbridge_gpu_recovery_action > 0", "action")],
            "Before a GPU is sound again. Empty is good.",
            ["node", "uuid"],
            Look(NOTHING, words=ACTIONS, links=WHERE),
            12,
        ),
        graph(
            "Clocks held down",
            [
                Query(
                    "topk(20, sum by (node, reason)"
                    " (rate(weighbridge_gpu_clocks_event_seconds_total[$__rate_interval])))",
                    "{{node}} {{reason}}",
                )
            ],
            "GPUs' time by the reason that the driver gives; the most first. Idle clocks are no fault.",
            Look("no clock was held down"),
        ),
    ]


def _wear() -> list[Placed]:
    hot = "topk(20, max by (node) (weighbridge_gpu_temperature_gpu_celsius))"
    return [
        heading("Wear"),
        graph(
            "Hottest GPU of each node",
            [Query(hot, "{{node}}")],
            "The hottest twenty nodes.",
            Look(UNHEARD, "celsius"),
        ),
        graph(
            "Power",
            [Query("sum by (node) (weighbridge_gpu_power_draw_watts)", "{{node}}")],
            "All GPUs of each node.",
            Look(UNHEARD, "watt"),
        ),
        graph(
            "Uncorrected memory errors",
            [
                Query(
                    "topk(20, weighbridge_gpu_ecc_total_uncorrected_volatile_total)",
                    "{{node}} {{uuid}}",
                )
            ],
            "Since the driver was loaded, the most first.",
            Look("none"),
        ),
        graph(
            "PCIe replays",
            [
                Query(
                    "topk(20, rate(weighbridge_gpu_pcie_replay_total[$__rate_interval]))",
                    "{{node}} {{uuid}}",
                )
            ],
            "Packets that were sent anew each second: a link that is going bad.",
            Look("none"),
        ),
    ]


def _versions() -> list[Placed]:
    return [
        heading("Versions"),
        table(
            "Drivers",
            [Query("count by (version) (weighbridge_node_driver_info)", "nodes")],
            "Nodes by version.",
            ["version"],
            Look(UNHEARD),
            12,
        ),
        table(
            "Agents",
            [Query("count by (agent) (weighbridge_node_info)", "nodes")],
            "Nodes by version.",
            ["agent"],
            Look(UNHEARD),
            12,
        ),
    ]
