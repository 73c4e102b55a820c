"""One contract: delivered against contracted, then why, then each GPU."""

from dashboards import shown
from dashboards.panels import (
    TARGET,
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
    timeline,
)  # fmt: skip
from dashboards.shown import NOT_DELIVERED, NOTHING, UNJUDGED, per_gpu

PAGE = Page(
    "weighbridge-contract",
    "Weighbridge: contract",
    "Delivered against contracted, and every minute that was not.",
)
OF = '{contract="$contract"}'
MINE = f"and on (node, uuid) weighbridge_gpu_contract_info{OF}"
COLOURS = {"met": "green", "breached": "red", "unknown": "orange", "excluded": "#8e8e8e"}
NODE = {"node": "${collector}/nodes/${__value.text}"}
READINGS = (
    ("Power", "weighbridge_gpu_power_draw_watts", "watt", "Each GPU of the contract."),
    ("SM clock", "weighbridge_gpu_sm_clock_hertz", "hertz", "Each GPU of the contract."),
    ("Memory in use", "weighbridge_gpu_memory_used_bytes", "bytes", "Each GPU of the contract."),
    (
        "Temperature",
        "weighbridge_gpu_temperature_gpu_celsius",
        "celsius",
        "Each GPU of the contract.",
    ),
)


def build(collector: str) -> str:
    """Grafana's JSON."""
    variables = [
        ("contract", "weighbridge_contract_gpus"),
        ("objective", f"weighbridge_contract_objective_target_ratio{OF}"),
    ]
    panels = [*_counts(), *_objectives(), *_money(), *_units(), *_readings(), *_nodes()]
    mine = 'contract="$contract"'
    marked = shown.marks(f",{mine}") | shown.maintenance(mine)
    return dashboard(PAGE, variables, panels, marked, collector)


def _counts() -> list[Placed]:
    meaning = {
        "contracted": "What the contract promises.",
        "reporting": "Seen within the contract's largest gap.",
        "healthy": "Reporting, and up: no finding says that it is down or degraded.",
        "in_use": "Above the idle band of power, or memory held by a process.",
    }
    counted = [
        number(
            f"GPUs {state.replace('_', ' ')}",
            [Query(f'max(weighbridge_contract_gpus{{contract="$contract",state="{state}"}})')],
            text,
            Look(NOT_DELIVERED),
        )
        for state, text in meaning.items()
    ]
    one = 'contract="$contract",objective="$objective"'
    return [
        *counted,
        number(
            "Delivered",
            [Query(f"(count(weighbridge_contract_node_info{OF}) > bool 0) or vector(0)")],
            "Whether any node is assigned to the contract.",
            Look(NOT_DELIVERED, words={0: (NOT_DELIVERED, "orange"), 1: ("begun", "green")}),
        ),
        number(
            "Bad or unseen time",
            [
                Query(
                    f'1 - min(weighbridge_contract_availability_ratio{{{one},bound="low"}})',
                    "share",
                ),
                Query(f"1 - max(weighbridge_contract_objective_target_ratio{{{one}}})", TARGET),
            ],
            "Of the objective above, if all stays as it is now. It is red from what the contract allows on.",
            Look(NOT_DELIVERED, "percentunit"),
        ),
    ]


def _objectives() -> list[Placed]:
    ratio = "weighbridge_contract_availability_ratio"
    return [
        heading("Objectives of this period"),
        graph(
            "Availability against target",
            [
                Query(f'{ratio}{{contract="$contract",bound="low"}}', "{{objective}} at least"),
                Query(f'{ratio}{{contract="$contract",bound="high"}}', "{{objective}} at most"),
                Query(f"weighbridge_contract_objective_target_ratio{OF}", "{{objective}} target"),
            ],
            "Between the two bounds lies what nobody saw. Late data narrow it. The target is the contract's.",
            Look(NOT_DELIVERED, "percentunit"),
        ),
        stacked(
            "Time of the period by state",
            [Query(f"sum by (state) (weighbridge_contract_seconds{OF})", "{{state}}")],
            "Unit-seconds of all objectives. They add up to the period so far.",
            Look(NOT_DELIVERED, "s"),
            COLOURS,
        ),
        timeline(
            "Verdicts",
            [Query(shown.verdict(',contract="$contract"'), "{{objective}}")],
            "What the verdict on each objective was when.",
            Look(UNJUDGED, words=shown.VERDICTS),
        ),
        table(
            "Open findings",
            [
                Query(
                    f"max by (node, uuid, check, severity, verdict) (weighbridge_finding_active{OF})"
                )
            ],
            "Empty is good. The contract's page shows what was expected, observed, and who answers.",
            ["node", "uuid", "check", "severity", "verdict"],
            Look(NOTHING, links=NODE),
        ),
    ]


def _money() -> list[Placed]:
    credit = (
        'max by (currency) (weighbridge_contract_credit_due{{contract="$contract",bound="{}"}})'
    )
    return [
        heading("Money and deadlines"),
        number(
            "Credit, at least",
            [Query(credit.format("low"), "{{currency}}")],
            "Of the current month, whatever comes.",
            Look(UNJUDGED),
        ),
        number(
            "Credit, at most",
            [Query(credit.format("high"), "{{currency}}")],
            "Of the current month, if all that is unknown or to come is bad.",
            Look(UNJUDGED),
        ),
        number(
            "Left before a higher credit",
            [Query(f"min(weighbridge_contract_time_to_next_tier_seconds{OF})")],
            "Downtime of the unit that is nearest to the next tier.",
            Look("no tier lies below", "s", [(None, "red"), (3600, "yellow"), (86400, "green")]),
        ),
        number(
            "A credit lapses in",
            [Query(f"min(weighbridge_contract_claim_deadline_timestamp_seconds{OF}) - time()")],
            "The oldest that nobody has claimed.",
            Look("no credit waits", "s", [(None, "red"), (259200, "yellow"), (604800, "green")]),
        ),
        number(
            "GPU time delivered this month",
            [
                Query(
                    f"max(weighbridge_contract_delivered_gpu_seconds{OF})"
                    f" / (max(weighbridge_contract_contracted_gpu_seconds{OF}) > 0)"
                )
            ],
            "Of what the whole month promises.",
            Look(NOT_DELIVERED, "percentunit"),
        ),
        number(
            "Longest repair clock",
            [Query(f"max(weighbridge_contract_repair_clock_ratio{OF})")],
            "Share of the promised time that is used.",
            Look(
                "no clock runs",
                "percentunit",
                [(None, "green"), (0.5, "yellow"), (0.8, "orange"), (1, "red")],
            ),
        ),
    ]


def _units() -> list[Placed]:
    return [
        heading("GPUs"),
        timeline(
            "State of each GPU",
            [Query(f"max by (node, uuid) (({shown.state()}) {MINE})", "{{node}} {{uuid}}")],
            "A missing GPU has a line too: the contract says that it should be there.",
            Look(NOT_DELIVERED, words=shown.STATES),
        ),
        table(
            "XID errors",
            [
                Query(
                    f"max by (node, uuid, xid) (weighbridge_gpu_xid_errors_total {MINE})", "errors"
                )
            ],
            "Since the node's boot, or a reset of the GPU that readings show.",
            ["node", "uuid", "xid"],
            Look("no XID was told", links=NODE),
        ),
    ]


def _readings() -> list[Placed]:
    return [
        graph(*per_gpu(title, f"{name} {MINE}", unit, text)) for title, name, unit, text in READINGS
    ]


def _nodes() -> list[Placed]:
    mine = f"and on (node) weighbridge_contract_node_info{OF}"
    age = "weighbridge_tick_timestamp_seconds - on () group_right weighbridge_node_last_report_timestamp_seconds"
    return [
        heading("Nodes"),
        graph(
            "Age of the last report",
            [Query(f"({age}) {mine}", "{{node}}")],
            "By the collector's clock.",
            Look(NOT_DELIVERED, "s"),
        ),
        graph(
            "Clock skew",
            [Query(f"weighbridge_node_clock_skew_seconds {mine}", "{{node}}")],
            "The node's clock less the collector's. Beyond two seconds its evidence is weaker.",
            Look(NOT_DELIVERED, "s", [(None, "red"), (-2, "green"), (2, "red")]),
        ),
    ]
