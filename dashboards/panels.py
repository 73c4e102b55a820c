"""The only door to grafanalib: the few kinds of panel that the dashboards use, laid out on Grafana's 24-column grid."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Any

from grafanalib import core
from grafanalib._gen import DashboardEncoder

from dashboards.grafana import SOURCE, current

TARGET = "target"
"""The legend of a query whose value is the threshold of the others, as the contract has it."""


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression and the name of its series, in Grafana's `{{label}}` form; of a table, of its column."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """How values are shown. `none` stands where there are none, and says why that may be.

    `steps`: colours from a value on, the first from the lowest. `words`: text and colour of a value. `links`: where a
    column of a table leads.
    """

    none: str
    unit: str = "none"
    steps: Sequence[tuple[float | None, str]] = ()
    words: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Placed:
    """A panel and the room that it takes: columns of 24, rows of 30 pixels."""

    panel: core.Panel
    width: int
    height: int


def heading(title: str) -> Placed:
    """A line over the panels that follow."""
    return Placed(core.RowPanel(title=title), 24, 1)


def number(title: str, queries: Sequence[Query], text: str, look: Look, width: int = 4) -> Placed:
    """The newest value of one or a few series, large. A query whose legend is TARGET is where its colour turns."""
    judged = any(query.legend == TARGET for query in queries)
    panel = core.Stat(
        title=title,
        description=text,
        targets=_targets(queries, instant=True),
        reduceCalc="lastNotNull",
        graphMode="none",
        colorMode="value" if look.steps or look.words or judged else "none",
        noValue=look.none,
        thresholds=_steps(look.steps),
        format=look.unit,
        mappings=_words(look.words),
        transformations=[_judged_by_target()] if judged else [],
    )
    return Placed(panel, width, 4)


def graph(title: str, queries: Sequence[Query], text: str, look: Look, width: int = 12) -> Placed:
    """Lines over time. A gap in the data stays a gap; a target is a dashed line."""
    panel = core.TimeSeries(
        title=title,
        description=text,
        targets=_targets(queries, instant=False),
        unit=look.unit,
        spanNulls=False,
        tooltipMode="multi",
        tooltipSort="desc",
        thresholds=_steps(look.steps),
        thresholdsStyleMode="dashed" if look.steps else "off",
        overrides=[
            _override(query.legend, _dashed()) for query in queries if TARGET in query.legend
        ],
    )
    return _placed(panel, look, width, 8)


def stacked(
    title: str, queries: Sequence[Query], text: str, look: Look, colours: Mapping[str, str]
) -> Placed:
    """Areas on top of each other; `colours` by series name."""
    placed = graph(title, queries, text, look)
    panel = placed.panel
    panel.stacking = {"mode": "normal", "group": "A"}
    panel.fillOpacity = 60
    panel.overrides = [
        _override(name, {"color": {"mode": "fixed", "fixedColor": colour}})
        for name, colour in colours.items()
    ]
    return placed


def timeline(title: str, queries: Sequence[Query], text: str, look: Look) -> Placed:
    """A bar for each series, coloured by what it was when."""
    panel = core.StateTimeline(
        title=title,
        description=text,
        targets=_targets(queries, instant=False),
        mappings=_words(look.words),
        showValue="never",
        tooltipMode="multi",
    )
    return _placed(panel, look, 24, 9)


def table(
    title: str,
    queries: Sequence[Query],
    text: str,
    columns: Sequence[str],
    look: Look,
    width: int = 24,
) -> Placed:
    """One line for each series: its labels `columns`, and the value of each query that has a legend."""
    values = {f"Value #{letter}" if len(queries) > 1 else "Value": query.legend
              for letter, query in zip(ascii_uppercase, queries, strict=False) if query.legend}  # fmt: skip
    panel = core.Table(
        title=title,
        description=text,
        targets=_targets(queries, instant=True, table=True),
        filterable=True,
        transformations=_columns(columns, values),
        overrides=[
            *(_override(name, _of_values(look)) for name in values.values()),
            *(_override(name, {"links": _links(url)}) for name, url in look.links.items()),
        ],
    )
    return _placed(panel, look, width, 8)


@dataclass(frozen=True, slots=True)
class Page:
    """What a dashboard is called, and what it says of itself. `uid` never changes: links and bookmarks hold it."""

    uid: str
    title: str
    text: str


def dashboard(
    page: Page,
    variables: Sequence[tuple[str, str]],
    panels: Sequence[Placed],
    marks: Mapping[str, tuple[str, str]],
    collector: str,
) -> str:
    """Grafana's JSON. `variables` are (label, PromQL of the series that has it), in the order shown, each asked with
    those before it; `marks` are stretches of time by name: PromQL and colour.
    """
    made = core.Dashboard(
        uid=page.uid,
        title=page.title,
        description=page.text,
        editable=False,
        graphTooltip=core.GRAPH_TOOLTIP_MODE_SHARED_CROSSHAIR,
        tags=["weighbridge"],
        timezone="utc",
        time=core.Time("now-24h", "now"),
        refresh="30s",
        annotations=core.Annotations([_mark(name, *row) for name, row in marks.items()]),
        links=_ways(),
        templating=core.Templating(
            list=[_source(), _address(collector), *(_variable(*row) for row in variables)]
        ),
        panels=_lay_out(panels),
    ).auto_panel_ids()
    plain = json.loads(json.dumps(made.to_json_data(), cls=DashboardEncoder))
    return json.dumps(current(plain), sort_keys=True, indent=2) + "\n"


def _placed(panel: core.Panel, look: Look, width: int, height: int) -> Placed:
    """With what grafanalib leaves out: what stands where there is nothing, and the unit."""
    defaults = {"noValue": look.none, "unit": look.unit}
    panel.extraJson = {"fieldConfig": {"defaults": defaults}}
    return Placed(panel, width, height)


def _ways() -> list[dict[str, Any]]:
    """To the collector's pages, and to the other dashboards."""
    shown = {"tooltip": "", "includeVars": False, "keepTime": True, "targetBlank": False}
    out = {"type": "link", "icon": "external link", "url": "${collector}/", "tags": []}
    across = {"type": "dashboards", "icon": "", "tags": ["weighbridge"]}
    return [
        {"title": "Collector", **shown, **out, "asDropdown": False},
        {"title": "Weighbridge", **shown, **across, "asDropdown": True},
    ]


def _mark(name: str, expr: str, colour: str) -> dict[str, Any]:
    return {"name": name, "datasource": SOURCE, "enable": True, "expr": expr, "iconColor": colour}


def _source() -> core.Template:
    return core.Template(
        name="datasource", label="Prometheus", type="datasource", query="prometheus"
    )


def _address(collector: str) -> core.Template:
    """Where links lead; hidden."""
    return core.Template(
        name="collector",
        label="Collector",
        type="constant",
        query=collector,
        default=collector,
        hide=2,
    )


def _variable(label: str, expr: str) -> core.Template:
    return core.Template(
        name=label,
        label=label,
        query=f"label_values({expr}, {label})",
        refresh=core.REFRESH_ON_TIME_RANGE_CHANGE,
    )


def _targets(queries: Sequence[Query], *, instant: bool, table: bool = False) -> list[core.Target]:
    return [
        core.Target(
            expr=query.expr,
            legendFormat="" if table else query.legend,
            refId=letter,
            instant=instant,
            format="table" if table else "time_series",
        )
        for query, letter in zip(queries, ascii_uppercase, strict=False)
    ]


def _columns(columns: Sequence[str], values: Mapping[str, str]) -> list[dict[str, Any]]:
    """The frames of all queries as one, with these columns in this order."""
    shown = [*columns, *values]
    return [
        {"id": "merge", "options": {}},
        {"id": "filterFieldsByName", "options": {"include": {"names": shown}}},
        {
            "id": "organize",
            "options": {
                "indexByName": {name: place for place, name in enumerate(shown)},
                "renameByName": dict(values),
            },
        },
    ]


def _of_values(look: Look) -> dict[str, Any]:
    found: dict[str, Any] = {"unit": look.unit}
    if look.words:
        found |= {"mappings": _words(look.words)}
    if look.words or look.steps:
        found |= {"custom.cellOptions": {"type": "color-text"}}
    if look.steps:
        found |= {"thresholds": {"mode": "absolute", "steps": _steps(look.steps)}}
    return found


def _links(url: str) -> list[dict[str, Any]]:
    return [{"title": "Collector", "url": url, "targetBlank": False}]


def _steps(steps: Iterable[tuple[float | None, str]]) -> list[dict[str, Any]]:
    return [{"value": value, "color": colour} for value, colour in steps]


def _words(words: Mapping[int, tuple[str, str]]) -> list[dict[str, Any]]:
    if not words:
        return []
    options = {
        str(value): {"text": text, "color": colour, "index": place}
        for place, (value, (text, colour)) in enumerate(words.items())
    }
    return [{"type": "value", "options": options}]


def _judged_by_target() -> dict[str, Any]:
    """Green below what the query TARGET says, red from it on: Grafana lets neither be chosen."""
    mapped = [
        {"fieldName": "Time", "handlerKey": "__ignore"},
        {"fieldName": TARGET, "handlerKey": "threshold1"},
    ]
    return {"id": "configFromData", "options": {"configRefId": "B", "mappings": mapped}}


def _dashed() -> dict[str, Any]:
    return {"custom.lineStyle": {"fill": "dash", "dash": [8, 8]}, "custom.fillOpacity": 0}


def _override(series: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    matcher = "byRegexp" if "{{" in series else "byName"
    named = ".*" + series.split("}}")[-1] + "$" if "{{" in series else series
    return {
        "matcher": {"id": matcher, "options": named},
        "properties": [{"id": name, "value": value} for name, value in properties.items()],
    }


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
