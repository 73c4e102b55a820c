"""The only door to grafanalib: the few kinds of panel that the dashboards use, laid out on Grafana's 24-column grid."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from grafanalib import core
from grafanalib._gen import DashboardEncoder

DATASOURCE = "${datasource}"


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression and the name of its series, in Grafana's `{{label}}` form."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Placed:
    """A panel and the room that it takes: columns of 24, rows of 30 pixels."""

    panel: core.Panel
    width: int
    height: int


def heading(title: str) -> Placed:
    """A line over the panels that follow."""
    return Placed(core.RowPanel(title=title), 24, 1)


def number(title: str, query: Query, text: str, *, unit: str = "none", width: int = 6) -> Placed:
    """The newest value of one or a few series, large; no data says so instead of showing a number."""
    panel = core.Stat(
        title=title,
        description=text,
        dataSource=DATASOURCE,
        targets=_targets([query], instant=True),
        reduceCalc="lastNotNull",
        graphMode="none",
        colorMode="none",
        noValue="no data",
        thresholds=[],
        format=unit,
    )
    return Placed(panel, width, 4)


def graph(
    title: str, queries: Sequence[Query], text: str, *, unit: str = "none", width: int = 12
) -> Placed:
    """Lines over time. A gap in the data stays a gap."""
    panel = core.TimeSeries(
        title=title,
        description=text,
        dataSource=DATASOURCE,
        targets=_targets(queries, instant=False),
        unit=unit,
        spanNulls=False,
        tooltipMode="multi",
        tooltipSort="desc",
    )
    return Placed(panel, width, 8)


def stacked(
    title: str, queries: Sequence[Query], text: str, colours: Mapping[str, str], *, unit: str
) -> Placed:
    """Areas on top of each other; `colours` by series name."""
    placed = graph(title, queries, text, unit=unit)
    panel = placed.panel
    panel.stacking = {"mode": "normal", "group": "A"}
    panel.fillOpacity = 60
    panel.overrides = [
        _override(name, [_property("color", {"mode": "fixed", "fixedColor": colour})])
        for name, colour in colours.items()
    ]
    return placed


def table(
    title: str,
    query: Query,
    text: str,
    columns: Sequence[str],
    *,
    value: str | None = None,
    unit: str = "none",
    width: int = 24,
) -> Placed:
    """One line for each series: its labels `columns`, and its value under the heading `value` (None: left out)."""
    shown = [*columns, *([] if value is None else ["Value"])]
    panel = core.Table(
        title=title,
        description=text,
        dataSource=DATASOURCE,
        targets=_targets([query], instant=True, table=True),
        filterable=True,
        span=None,
        transformations=[
            {"id": "filterFieldsByName", "options": {"include": {"names": shown}}},
            {
                "id": "organize",
                "options": {
                    "indexByName": {name: place for place, name in enumerate(shown)},
                    "renameByName": {} if value is None else {"Value": value},
                },
            },
        ],
        overrides=[] if value is None else [_override(value, [_property("unit", unit)])],
    )
    return Placed(panel, width, 8)


def dashboard(
    uid: str, title: str, text: str, variables: Sequence[tuple[str, str]], panels: Sequence[Placed]
) -> str:
    """Grafana's JSON. `variables` are (label, PromQL of the series that has it), in the order shown."""
    made = core.Dashboard(
        uid=uid,
        title=title,
        description=text,
        editable=False,
        graphTooltip=core.GRAPH_TOOLTIP_MODE_SHARED_CROSSHAIR,
        tags=["weighbridge"],
        timezone="utc",
        time=core.Time("now-24h", "now"),
        refresh="30s",
        templating=core.Templating(list=[_datasource(), *(_variable(*row) for row in variables)]),
        panels=_lay_out(panels),
    ).auto_panel_ids()
    return json.dumps(made.to_json_data(), sort_keys=True, indent=2, cls=DashboardEncoder) + "\n"


def _datasource() -> core.Template:
    return core.Template(
        name="datasource", label="Prometheus", type="datasource", query="prometheus"
    )


def _variable(label: str, expr: str) -> core.Template:
    return core.Template(
        name=label,
        label=label,
        query=f"label_values({expr}, {label})",
        dataSource=DATASOURCE,
        refresh=core.REFRESH_ON_TIME_RANGE_CHANGE,
    )


def _targets(queries: Sequence[Query], *, instant: bool, table: bool = False) -> list[core.Target]:
    return [
        core.Target(
            expr=query.expr,
            legendFormat=query.legend,
            refId=letter,
            instant=instant,
            intervalFactor=1,
            format="table" if table else "time_series",
        )
        for query, letter in zip(queries, ascii_uppercase, strict=False)
    ]


def _lay_out(panels: Sequence[Placed]) -> list[core.Panel]:
    """Left to right, top to bottom, a new line when the next panel does not fit."""
    left, top, line = 0, 0, 0
    done = []
    for placed in panels:
        if left + placed.width > 24:
            left, top, line = 0, top + line, 0
        placed.panel.gridPos = core.GridPos(h=placed.height, w=placed.width, x=left, y=top)
        done.append(placed.panel)
        left, line = left + placed.width, max(line, placed.height)
    return done


def _property(name: str, value: Any) -> dict[str, Any]:
    return {"id": name, "value": value}


def _override(series: str, properties: list[dict[str, Any]]) -> dict[str, Any]:
    return {"matcher": {"id": "byName", "options": series}, "properties": properties}
