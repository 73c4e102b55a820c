"""Brings grafanalib's output to what a current Grafana takes: schema 41, that of Grafana 11.6.

grafanalib 0.7 writes schema 12, data sources as strings, nulls, and fields that are long gone. What is kept is named
here; the shape is Grafana's published one, and a test holds it to Grafana's own `grafana-foundation-sdk`.
"""

from collections.abc import Mapping
from typing import Any

SCHEMA = 41
SOURCE = {"type": "prometheus", "uid": "${datasource}"}

DASHBOARD = frozenset(
    {
        *("annotations", "description", "editable", "graphTooltip", "links", "refresh", "tags"),
        *("templating", "time", "timezone", "title", "uid"),
    }
)
PANEL = frozenset(
    {
        *("description", "fieldConfig", "gridPos", "id", "options", "title", "transformations"),
        *("transparent", "type"),
    }
)
ROW = frozenset(["collapsed", "gridPos", "id", "panels", "title", "type"])
TARGET = frozenset(["expr", "format", "instant", "legendFormat", "refId"])
VARIABLE = frozenset(
    ["hide", "includeAll", "label", "multi", "name", "query", "refresh", "sort", "type"]
)

Json = dict[str, Any]


def current(made: Mapping[str, Any]) -> Json:
    """The dashboard that grafanalib made, as Grafana reads it today."""
    kept = _kept(made, DASHBOARD)
    kept["schemaVersion"] = SCHEMA
    kept["panels"] = [_panel(panel) for panel in made["panels"]]
    kept["templating"] = {"list": [_variable(one) for one in made["templating"]["list"]]}
    found: Json = without_nulls(kept)
    return found


def _kept(made: Mapping[str, Any], names: frozenset[str]) -> Json:
    return {name: made[name] for name in sorted(names & made.keys())}


def _panel(made: Mapping[str, Any]) -> Json:
    if made["type"] == "row":
        return _kept(made, ROW)
    kept = _kept(made, PANEL) | {"datasource": SOURCE}
    kept["targets"] = [_target(target) for target in made["targets"]]
    custom = kept["fieldConfig"]["defaults"].get("custom", {})
    if "displayMode" in custom:
        custom["cellOptions"] = {"type": custom.pop("displayMode")}
    return kept


def _target(made: Mapping[str, Any]) -> Json:
    return _kept(made, TARGET) | {"datasource": SOURCE, "range": not made["instant"]}


def _variable(made: Mapping[str, Any]) -> Json:
    """The data source is chosen from those of its type; what is asked of it is a query of a kind of its own."""
    kept = _kept(made, VARIABLE)
    if made["type"] == "constant":
        return kept | {"current": {"text": made["query"], "value": made["query"]}}
    if made["type"] != "query":
        return kept
    asked = {"qryType": 1, "query": made["query"], "refId": f"variable-{made['name']}"}
    every = {"allValue": ".*"} if made["includeAll"] else {}
    return kept | {"datasource": SOURCE, "query": asked, **every}


def without_nulls(value: Any) -> Any:
    """The same without any null: Grafana's own default stands in its place."""
    if isinstance(value, Mapping):
        return {name: without_nulls(one) for name, one in value.items() if one is not None}
    if isinstance(value, list | tuple):
        return [without_nulls(one) for one in value]
    return value
