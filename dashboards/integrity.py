"""Whether what is reported is true: signals, proofs of compute, chips' own words, the evidence and its log."""

from dashboards import shown
from dashboards.alerts import ALERTS
from dashboards.panels import Look, Page, Placed, Query, dashboard, graph, heading, number, table
from dashboards.shown import NOTHING

PAGE = Page(
    "weighbridge-integrity",
    "Weighbridge: integrity",
    "Whether what is reported is true: signals, proofs of compute, chips' own words, and how good the evidence is.",
)
(_SIGNALS,) = (alert.codes for alert in ALERTS if alert.name == "WeighbridgeFraudSignal")
SIGNALS = f'check=~"{"|".join(_SIGNALS)}"'
WHERE = {
    "contract": "${collector}/contracts/${__value.text}",
    "node": "${collector}/nodes/${__value.text}",
}
UNPROVEN = "no challenge was met"


def build(collector: str) -> str:
    """Grafana's JSON."""
    panels = [*_signals(), *_proofs(), *_evidence()]
    return dashboard(PAGE, [], panels, shown.marks(""), collector)


def _signals() -> list[Placed]:
    finding = "weighbridge_finding_active"
    subject = "contract, node, uuid, check, severity"
    twice = 'check=~"duplicate_device|sides_contradict|device_differs|key_shared"'
    wrong = 'check=~"challenge_wrong_answer|log_forked|log_shrank"'
    none = Look("0", steps=[(None, "green"), (1, "red")])
    return [
        number(
            "Signals",
            [Query(f'count({finding}{{{SIGNALS},severity!="info"}}) or vector(0)')],
            "Something about a card or its readings does not fit. Each has innocent reasons.",
            Look("0", steps=[(None, "green"), (1, "yellow")]),
            8,
        ),
        number(
            "Contested",
            [Query(f"count({finding}{{{twice}}}) or vector(0)")],
            "Two places, or two sides, say different things.",
            none,
            8,
        ),
        number(
            "Proven wrong",
            [Query(f"count({finding}{{{wrong}}}) or vector(0)")],
            "By exact arithmetic, or by the log's own signature.",
            none,
            8,
        ),
        table(
            "Open signals",
            [
                Query(
                    f"max by ({subject}) ({finding}{{{SIGNALS}}} or {finding}{{{twice}}} or {finding}{{{wrong}}})"
                )
            ],
            "Keep the evidence (weighbridge bundle) before you ask.",
            subject.split(", "),
            Look(NOTHING, links=WHERE),
        ),
    ]


def _proofs() -> list[Placed]:
    last = "max by (node, uuid, contract, verdict, reason) (weighbridge_{}_result)"
    columns = ["node", "uuid", "contract", "verdict", "reason"]
    return [
        heading("Proofs"),
        table(
            "Challenges, the newest of each GPU",
            [Query(last.format("challenge"))],
            "What each GPU computed when it was asked to.",
            columns,
            Look(UNPROVEN, links=WHERE),
            12,
        ),
        table(
            "Chips' evidence, the newest of each GPU",
            [Query(last.format("attestation"))],
            "How the newest question to the chip ended.",
            columns,
            Look("no chip was asked", links=WHERE),
            12,
        ),
        graph(
            "Arithmetic that was proven",
            [Query("weighbridge_challenge_verified_flops_per_second", "{{node}} {{uuid}}")],
            "A lower bound, of the newest challenge that was met.",
            Look(UNPROVEN, "flops"),
        ),
        graph(
            "Age of the proof",
            [Query("time() - weighbridge_challenge_proven_timestamp_seconds", "{{node}} {{uuid}}")],
            "Since the GPU last met a challenge.",
            Look(UNPROVEN, "s"),
        ),
        graph(
            "Challenges that ended",
            [
                Query(
                    "sum by (verdict, reason) (increase(weighbridge_challenge_attempts_total[$__rate_interval]))",
                    "{{verdict}} {{reason}}",
                )
            ],
            "By verdict and why.",
            Look(UNPROVEN),
        ),
        graph(
            "Chips' evidence is good for",
            [
                Query(
                    "weighbridge_attestation_valid_until_timestamp_seconds - time()",
                    "{{node}} {{uuid}}",
                )
            ],
            "Below zero the GPU no longer counts as attested.",
            Look("no chip was asked", "s", [(None, "red"), (0, "green")]),
        ),
    ]


def _evidence() -> list[Placed]:
    seconds = "sum by (contract) (weighbridge_contract_seconds{})"
    unseen = seconds.format('{state="unknown"}') + " / " + seconds.format("")
    noted = "max by (contract, node, check) (weighbridge_finding_noted_timestamp_seconds)"
    return [
        heading("Evidence"),
        graph(
            "Time that nobody saw",
            [Query(unseen, "{{contract}}")],
            "Of the period so far. Late evidence fills it.",
            Look("not delivered", "percentunit", [(None, "green"), (0.01, "red")]),
        ),
        graph(
            "Clock skew",
            [Query("weighbridge_node_clock_skew_seconds", "{{node}}")],
            "A node's clock less the collector's.",
            Look("no node has reported", "s", [(None, "red"), (-2, "green"), (2, "red")]),
        ),
        table(
            "What was lost, refused or noted",
            [Query(f"time() - {noted}", "ago")],
            "The newest of each kind since the collector's start.",
            ["contract", "node", "check"],
            Look(NOTHING, "s", links=WHERE),
            12,
        ),
        graph(
            "Entries that a witness has cosigned",
            [
                Query("weighbridge_log_cosigned_entries", "{{witness}}"),
                Query("weighbridge_log_entries", "in the log"),
            ],
            "Far below the log: that witness is behind.",
            Look("no witness"),
        ),
    ]
