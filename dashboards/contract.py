"""The dashboard of one contract: delivered against contracted, then why, then each GPU."""

from dashboards import panels
from dashboards.panels import Placed, Query
from weighbridge.catalogue import metrics
from weighbridge.catalogue.metrics import Metric

UID = "weighbridge-contract"
COLOURS = {"met": "green", "breached": "red", "unknown": "orange", "excluded": "#8e8e8e"}
READINGS = (
    ("Power", "power_draw_milliwatts", "watt"),
    ("SM clock", "sm_clock_megahertz", "hertz"),
    ("Memory in use", "memory_used_bytes", "bytes"),
    ("Temperature", "temperature_gpu_celsius", "celsius"),
)


def build() -> str:
    """Grafana's JSON."""
    return panels.dashboard(
        UID,
        "Weighbridge: contract",
        "Delivered against contracted, and every minute that was not.",
        [("contract", metrics.CONTRACT_GPUS.name)],
        [*_counts(), *_objectives(), *_findings(), *_gpus(), *_nodes()],
    )


def _of_contract(metric: Metric, **labels: str) -> str:
    matchers = "".join(f',{name}="{value}"' for name, value in labels.items())
    return f'{metric.name}{{contract="$contract"{matchers}}}'


def _on_gpus(expr: str) -> str:
    """Only of the GPUs that are assigned to the contract; a GPU under two contracts is shown under both."""
    return f"{expr} and on (node, uuid) {_of_contract(metrics.GPU_CONTRACT_INFO)}"


def _on_nodes(expr: str) -> str:
    return f"{expr} and on (node) {_of_contract(metrics.CONTRACT_NODE_INFO)}"


def _counts() -> list[Placed]:
    meaning = {
        "contracted": "What the contract promises.",
        "reporting": "Seen within the contract's largest gap.",
        "healthy": "Reporting, and up: no finding says that it is down or degraded.",
        "in_use": "Above the idle band of power, or memory held by a process.",
    }
    return [
        panels.number(
            f"GPUs {state.replace('_', ' ')}",
            Query(f"max({_of_contract(metrics.CONTRACT_GPUS, state=state)})"),
            text,
        )
        for state, text in meaning.items()
    ]


def _objectives() -> list[Placed]:
    availability = metrics.CONTRACT_AVAILABILITY
    return [
        panels.heading("Objectives of this period"),
        panels.graph(
            "Availability against target",
            [
                Query(_of_contract(availability, bound="low"), "{{objective}} at least"),
                Query(_of_contract(availability, bound="high"), "{{objective}} at most"),
                Query(_of_contract(metrics.CONTRACT_TARGET), "{{objective}} target"),
            ],
            "Between the two bounds lies what nobody saw. Late data narrow it.",
            unit="percentunit",
        ),
        panels.stacked(
            "Time of the period by state",
            [Query(f"sum by (state) ({_of_contract(metrics.CONTRACT_SECONDS)})", "{{state}}")],
            "Unit-seconds of all objectives. They add up to the period so far.",
            COLOURS,
            unit="s",
        ),
    ]


def _findings() -> list[Placed]:
    labels = metrics.FINDING_ACTIVE.labels
    return [
        panels.heading("What is wrong now"),
        panels.table(
            "Open findings",
            Query(f"max by ({', '.join(labels)}) ({_of_contract(metrics.FINDING_ACTIVE)})"),
            "Empty is good. The contract's page shows what was expected, observed, and who answers.",
            [label for label in labels if label != "contract"],
        ),
    ]


def _gpus() -> list[Placed]:
    graphs = [
        panels.graph(
            title,
            [Query(_on_gpus(metrics.EXPORTED[name].metric.name), "{{node}} {{uuid}}")],
            "Each GPU of the contract. A line ends where the node fell silent.",
            unit=unit,
        )
        for title, name, unit in READINGS
    ]
    tables = [
        panels.table(
            "State of each GPU",
            Query(_on_gpus(metrics.GPU_STATE.name)),
            "A missing GPU has a line too: the contract says that it should be there.",
            metrics.GPU_STATE.labels,
            width=12,
        ),
        panels.table(
            "XID errors",
            Query(_on_gpus(metrics.GPU_XID_ERRORS.name)),
            "Since the node's boot, or a reset of the GPU that readings show.",
            metrics.GPU_XID_ERRORS.labels,
            value="errors",
            width=12,
        ),
    ]
    return [panels.heading("GPUs"), *graphs, *tables]


def _nodes() -> list[Placed]:
    age = f"{metrics.TICK.name} - on () group_right {metrics.NODE_LAST_REPORT.name}"
    return [
        panels.heading("Nodes"),
        panels.graph(
            "Age of the last report",
            [Query(_on_nodes(f"({age})"), "{{node}}")],
            "By the collector's clock.",
            unit="s",
        ),
        panels.graph(
            "Clock skew",
            [Query(_on_nodes(metrics.NODE_CLOCK_SKEW.name), "{{node}}")],
            "The node's clock less the collector's.",
            unit="s",
        ),
    ]
