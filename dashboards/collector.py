"""The collector itself: what it takes, how far judgement has come, its disk, its clock, its backups."""

from dashboards.panels import Look, Page, Placed, Query, dashboard, graph, heading, number

PAGE = Page(
    "weighbridge-collector",
    "Weighbridge: collector",
    "The collector itself: what it takes, how far judgement has come, its disk, its clock and its backups.",
)
ABSENT = "Prometheus sees no collector"


def build(collector: str) -> str:
    """Grafana's JSON."""
    return dashboard(PAGE, [], [*_now(), *_taken(), *_kept()], {}, collector)


def _now() -> list[Placed]:
    free = "weighbridge_store_free_bytes / weighbridge_store_size_bytes"
    return [
        number(
            "Last tick",
            [Query("time() - max(weighbridge_tick_timestamp_seconds)")],
            "Nothing is judged without ticks.",
            Look(ABSENT, "s", [(None, "green"), (60, "red")]),
        ),
        number(
            "Judge behind",
            [Query("max(weighbridge_judge_lag_seconds)")],
            "Behind the newest entry of the log.",
            Look(ABSENT, "s", [(None, "green"), (60, "red")]),
        ),
        number(
            "Quarantined",
            [Query("max(weighbridge_judge_quarantined)")],
            "Subjects that the judge fails at: their time is unknown.",
            Look(ABSENT, steps=[(None, "green"), (1, "red")]),
        ),
        number(
            "Disk free",
            [Query(f"min({free})")],
            "Of the store's file system.",
            Look(ABSENT, "percentunit", [(None, "red"), (0.05, "yellow"), (0.2, "green")]),
        ),
        number(
            "Last backup",
            [Query("time() - (max(weighbridge_backup_timestamp_seconds) > 0)")],
            "Since one was last finished.",
            Look("never", "s", [(None, "green"), (86400, "yellow"), (172800, "red")]),
        ),
        number(
            "Clock off by",
            [Query("max(weighbridge_clock_offset_seconds)")],
            "Two seconds off, it is not followed.",
            Look(ABSENT, "s", [(None, "red"), (-2, "green"), (2, "red")]),
        ),
    ]


def _taken() -> list[Placed]:
    slow = "histogram_quantile({}, sum by (le) (rate(weighbridge_ingest_seconds_bucket[$__rate_interval])))"
    return [
        heading("What it takes"),
        graph(
            "Reports",
            [
                Query(
                    "sum by (result) (rate(weighbridge_reports_total[$__rate_interval]))",
                    "{{result}}",
                )
            ],
            "Each second, by result.",
            Look("no report has come", "reqps"),
        ),
        graph(
            "From a report's last byte to its durable answer",
            [Query(slow.format(share), f"{share}") for share in ("0.5", "0.99")],
            "Half, and all but a hundredth, are faster.",
            Look("no report has come", "s"),
        ),
        graph(
            "Connections that it closed",
            [
                Query(
                    "sum by (reason) (rate(weighbridge_connections_closed_total[$__rate_interval]))",
                    "{{reason}}",
                )
            ],
            "Malformed, slow, unread or too many.",
            Look("none", "reqps"),
        ),
        graph(
            "Judge behind",
            [Query("weighbridge_judge_lag_seconds", "behind")],
            "Evidence is kept meanwhile; alerts are as late.",
            Look(ABSENT, "s", [(None, "green"), (60, "red")]),
        ),
    ]


def _kept() -> list[Placed]:
    return [
        heading("What it keeps"),
        graph(
            "Entries of the log",
            [
                Query("weighbridge_log_entries", "entries"),
                Query("weighbridge_log_cosigned_entries", "{{witness}}"),
            ],
            "And how far each witness has cosigned it.",
            Look(ABSENT),
        ),
        graph(
            "Disk",
            [
                Query("weighbridge_store_free_bytes", "free"),
                Query("weighbridge_store_size_bytes", "all"),
            ],
            "Of the store's file system.",
            Look(ABSENT, "bytes"),
        ),
        graph(
            "Figures are as of",
            [
                Query(
                    "weighbridge_tick_timestamp_seconds - on () group_right ()"
                    " (weighbridge_contract_figured_timestamp_seconds > 0)",
                    "{{contract}}",
                )
            ],
            "How old each contract's figures are.",
            Look("no contract yet", "s"),
        ),
        graph(
            "Statements that contradicted themselves",
            [Query("weighbridge_statements_broken_total", "{{contract}}")],
            "A fault of the collector; none was handed out.",
            Look("none", steps=[(None, "green"), (1, "red")]),
        ),
    ]
