"""What the dashboards ask Prometheus, panel by panel, with their variables filled in."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from dashboards.build import files

Json = Any
GRAFANAS = {"__rate_interval": "1m", "__interval": "1m", "__range": "1h"}


def dashboards(collector: str = "http://127.0.0.1:8470") -> dict[str, Json]:
    """By the name of their file."""
    return {
        name.removeprefix("grafana/dashboards/").removesuffix(".json"): json.loads(text)
        for name, text in files(collector).items()
        if name.startswith("grafana/dashboards/")
    }


def panels(dashboard: Json) -> list[Json]:
    """Those that show something."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def filled(expression: str, values: Mapping[str, str]) -> str:
    """With Grafana's variables, the longest name first."""
    for name, value in sorted({**GRAFANAS, **values}.items(), key=lambda one: -len(one[0])):
        expression = expression.replace(f"${name}", value)
    return expression


def asked(values: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Every expression of every dashboard: dashboard, panel or mark, and PromQL."""
    for name, dashboard in dashboards().items():
        for panel in panels(dashboard):
            for target in panel["targets"]:
                yield name, panel["title"], filled(target["expr"], values)
        for mark in dashboard["annotations"]["list"]:
            yield name, mark["name"], filled(mark["expr"], values)


def choices(values: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """The series from which each variable's values come: dashboard, variable and PromQL."""
    for name, dashboard in dashboards().items():
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                asked_for = variable["query"]["query"].removeprefix("label_values(")
                yield name, variable["name"], filled(asked_for.rpartition(",")[0], values)
