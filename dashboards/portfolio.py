"""All contracts: what is delivered of what was promised, what it is worth, and which to open first."""

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
from dashboards.shown import NOT_DELIVERED, NOTHING, UNJUDGED

PAGE = Page(
    "weighbridge-portfolio",
    "Weighbridge: portfolio",
    "All contracts: what is delivered of what was promised, what it is worth, and which to open first.",
)
CONTRACT = {"contract": "${collector}/contracts/${__value.text}"}


def build(collector: str) -> str:
    """Grafana's JSON."""
    panels = [*_counts(), *_contracts(), *_money(), *_findings()]
    return dashboard(PAGE, [], panels, shown.marks("") | shown.maintenance(""), collector)


def _counts() -> list[Placed]:
    meaning = {
        "contracted": "What all contracts promise.",
        "reporting": "Seen within their contract's largest gap.",
        "healthy": "Reporting, and no finding says that they are down or degraded.",
        "in_use": "Above the idle band of power, or memory held by a process.",
    }
    counted = [
        number(
            f"GPUs {state.replace('_', ' ')}",
            [Query(f'sum(max by (contract) (weighbridge_contract_gpus{{state="{state}"}}))')],
            text,
            Look("no contract yet"),
        )
        for state, text in meaning.items()
    ]
    missed = 'count(weighbridge_contract_objective_verdict{verdict="breached"} == 1) or vector(0)'
    contracts = "count(count by (contract) (weighbridge_contract_gpus)) or vector(0)"
    return [
        number("Contracts", [Query(contracts)], "In force now.", Look("no contract yet")),
        *counted,
        number(
            "Objectives missed",
            [Query(missed)],
            "In their periods under way, and no later time alone can undo it.",
            Look("0", steps=[(None, "green"), (1, "red")]),
        ),
    ]


def _contracts() -> list[Placed]:
    gpus = 'max by (contract) (weighbridge_contract_gpus{{state="{}"}})'
    return [
        heading("Contracts"),
        table(
            "GPUs of each contract",
            [Query(gpus.format(state), state) for state in ("contracted", "reporting", "healthy")],
            "Fewer reporting than contracted: not delivered, or silent. The contract's page says which.",
            ["contract"],
            Look("no contract yet", links=CONTRACT),
            12,
        ),
        table(
            "Objectives of each contract",
            [
                Query(shown.verdict(""), "verdict"),
                Query("max by (contract, objective) (weighbridge_contract_objective_target_ratio)"),
            ],
            "As the statement of the period under way has it.",
            ["contract", "objective"],
            Look(UNJUDGED, words=shown.VERDICTS, links=CONTRACT),
            12,
        ),
        timeline(
            "Verdicts",
            [Query(shown.verdict(""), "{{contract}} {{objective}}")],
            "What the verdict on each objective was when.",
            Look(UNJUDGED, words=shown.VERDICTS),
        ),
    ]


def _money() -> list[Placed]:
    credit = 'max by (contract, currency) (weighbridge_contract_credit_due{{bound="{}"}})'
    return [
        heading("Money and deadlines"),
        table(
            "Credits of the current month",
            [Query(credit.format("low"), "at least"), Query(credit.format("high"), "at most")],
            "Claimed or not. Between the two lies what is unknown or to come.",
            ["contract", "currency"],
            Look(UNJUDGED, links=CONTRACT),
            12,
        ),
        table(
            "Claims that lapse",
            [
                Query(
                    "min by (contract) (weighbridge_contract_claim_deadline_timestamp_seconds) - time()",
                    "time left",
                )
            ],
            "Until the oldest credit that nobody has claimed is too late to claim.",
            ["contract"],
            Look(
                "no credit waits for a claim",
                "s",
                [(None, "red"), (259200, "yellow"), (604800, "green")],
                links=CONTRACT,
            ),
            6,
        ),
        table(
            "Downtime left before a higher credit",
            [Query("min by (contract) (weighbridge_contract_time_to_next_tier_seconds)", "left")],
            "Of the unit that is nearest to it; unseen time counts as bad.",
            ["contract"],
            Look(
                "no tier lies below",
                "s",
                [(None, "red"), (3600, "yellow"), (86400, "green")],
                links=CONTRACT,
            ),
            6,
        ),
        graph(
            "GPU time delivered of that promised this month",
            [
                Query(
                    "sum by (contract) (weighbridge_contract_delivered_gpu_seconds)"
                    " / (sum by (contract) (weighbridge_contract_contracted_gpu_seconds) > 0)",
                    "{{contract}}",
                )
            ],
            "Over the whole month: it rises as long as GPUs are up.",
            Look(NOT_DELIVERED, "percentunit"),
            24,
        ),
    ]


def _findings() -> list[Placed]:
    by = "contract, severity, verdict"
    return [
        heading("What is wrong now"),
        table(
            "Open findings by contract",
            [
                Query(
                    f'count by ({by}) (weighbridge_finding_active{{severity!="info"}})', "findings"
                )
            ],
            "Empty is good.",
            by.split(", "),
            Look(NOTHING, links=CONTRACT),
        ),
    ]
