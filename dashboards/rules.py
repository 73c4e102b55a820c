"""Alert rules for Prometheus, as the table of alerts says them."""

from collections.abc import Mapping
from typing import Any

import yaml

from dashboards.alerts import ALERTS, Alert


def build(collector: str) -> str:
    """The rule file's YAML; `collector` is the address at which people open the collector's pages."""
    rules = [_rule(alert, collector) for alert in ALERTS]
    groups = {"groups": [{"name": "weighbridge", "rules": rules}]}
    return yaml.safe_dump(groups, sort_keys=False, width=1000)


def _rule(alert: Alert, collector: str) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": alert.expr,
        "for": alert.hold,
        "labels": {"severity": alert.severity},
        "annotations": {
            "summary": alert.title,
            "description": alert.text,
            "what_to_do": _advice(alert.steps()),
            "runbook_url": f"{collector}/runbooks/{alert.name}",
        },
    }


def _advice(steps: Mapping[str, str]) -> str:
    """By Prometheus' template where it depends on the finding."""
    if len(steps) == 1:
        (only,) = steps.values()
        return only
    branches = (f'if eq $labels.check "{code}" }}}}{said}' for code, said in steps.items())
    return "{{ " + "{{ else ".join(branches) + "{{ end }}"
