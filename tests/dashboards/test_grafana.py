"""What Grafana is given: of the shape that it takes today, and telling why whenever it shows nothing."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards import shown
from dashboards.grafana import current, without_nulls
from tests.dashboards.asking import asked, dashboards, panels
from tests.dashboards.test_alerts import program, run
from tests.dashboards.test_build import SUFFIXES, names_in
from weighbridge.catalogue.metrics import METRICS
from weighbridge.judge.counts import CONTRADICTED, UNSEEN
from weighbridge.judge.ledger import State
from weighbridge.wire.report import DeviceState

Json = Any
ALL = dashboards("https://collector.example")
each = pytest.mark.parametrize("name", ALL)
VALUES = {"contract": "alpha", "objective": "nodes-up", "node": "a1", "uuid": "GPU-1"}
UIDS = {
    "portfolio": "weighbridge-portfolio",
    "contract": "weighbridge-contract",
    "node": "weighbridge-node",
    "integrity": "weighbridge-integrity",
    "fleet": "weighbridge-fleet",
    "collector": "weighbridge-collector",
}


def lost(given: Json, back: Json, where: str = "") -> Iterator[str]:
    """What of the first is not in the second, by its place."""
    if isinstance(given, dict) and isinstance(back, dict):
        for key, value in given.items():
            yield from lost(value, back.get(key), f"{where}.{key}")
    elif isinstance(given, list) and isinstance(back, list) and len(given) == len(back):
        for place, (one, other) in enumerate(zip(given, back, strict=True)):
            yield from lost(one, other, f"{where}[{place}]")
    elif given != back:
        yield f"{where}: {given!r} -> {back!r}"


@each
def test_grafanas_own_sdk_reads_it_and_gives_all_of_it_back(name: str) -> None:
    register_default_plugins()
    read = Dashboard.from_json(ALL[name])
    back = json.loads(json.dumps(read, cls=JSONEncoder))
    assert list(lost(ALL[name], back)) == []
    assert back["schemaVersion"] == ALL[name]["schemaVersion"]


def test_what_the_sdk_does_not_know_would_be_seen_as_lost() -> None:
    register_default_plugins()
    spoiled = {**ALL["contract"], "sharedCrosshair": False}
    back = json.loads(json.dumps(Dashboard.from_json(spoiled), cls=JSONEncoder))
    assert list(lost(spoiled, back)) == [".sharedCrosshair: False -> None"]


def test_links_and_bookmarks_hold_for_ever() -> None:
    assert {name: dashboard["uid"] for name, dashboard in ALL.items()} == UIDS


def nulls(value: Json, where: str = "") -> Iterator[str]:
    if value is None:
        yield where
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from nulls(one, f"{where}.{key}")
    elif isinstance(value, list):
        for place, one in enumerate(value):
            yield from nulls(one, f"{where}[{place}]")


@each
def test_nothing_is_null_and_every_data_source_is_an_object(name: str) -> None:
    assert list(nulls(ALL[name])) == []
    source = {"type": "prometheus", "uid": "${datasource}"}
    for panel in panels(ALL[name]):
        assert [panel["datasource"], *(one["datasource"] for one in panel["targets"])] == [
            source
        ] * (len(panel["targets"]) + 1)


def test_a_zero_is_no_null() -> None:
    assert without_nulls({"a": 0, "b": [None, False], "c": ""}) == {
        "a": 0,
        "b": [None, False],
        "c": "",
    }
    assert without_nulls({"a": None}) == {}


@each
def test_every_panel_says_what_it_shows_and_why_it_shows_nothing(name: str) -> None:
    for panel in panels(ALL[name]):
        assert panel["description"].endswith("."), panel["title"]
        none = panel["fieldConfig"]["defaults"]["noValue"]
        assert none, panel["title"]
        assert "no data" not in none.lower(), panel["title"]


@each
def test_every_panel_has_a_place_and_an_identity_of_its_own(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in ALL[name]["panels"]:
        place = panel["gridPos"]
        cells = {
            (place["x"] + column, place["y"] + line)
            for column in range(place["w"])
            for line in range(place["h"])
        }
        assert taken.isdisjoint(cells), panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    identities = [panel["id"] for panel in ALL[name]["panels"]]
    assert len(set(identities)) == len(identities)


@each
def test_it_leads_to_the_collectors_pages_and_to_the_other_dashboards(name: str) -> None:
    variables = {one["name"]: one for one in ALL[name]["templating"]["list"]}
    assert variables["collector"]["query"] == "https://collector.example"
    assert {link["type"] for link in ALL[name]["links"]} == {"link", "dashboards"}


def test_a_contract_and_a_node_in_a_table_lead_to_their_pages() -> None:
    urls = re.findall(r'"url": "([^"]+)"', json.dumps(ALL))
    assert {
        "${collector}/",
        "${collector}/contracts/${__value.text}",
        "${collector}/nodes/${__value.text}",
    } == set(urls)


def test_outages_and_maintenance_are_marked_over_every_graph_of_a_contract() -> None:
    marks = {one["name"] for one in ALL["contract"]["annotations"]["list"]}
    assert {"Outages (an error is breached)", "Silence (nobody sees)", "Maintenance"} == marks


def test_the_dashboard_of_a_contract_asks_for_it_in_every_query() -> None:
    queries = [one["expr"] for panel in panels(ALL["contract"]) for one in panel["targets"]]
    assert [query for query in queries if 'contract="$contract"' not in query] == []


def test_a_threshold_comes_from_the_contract() -> None:
    (panel,) = (one for one in panels(ALL["contract"]) if one["title"] == "Bad or unseen time")
    (found,) = panel["transformations"]
    assert (found["id"], found["options"]["configRefId"]) == ("configFromData", "B")
    assert "target_ratio" in panel["targets"][1]["expr"]


def test_every_state_of_a_gpu_has_a_colour() -> None:
    known = {*map(str, State), *map(str, DeviceState), CONTRADICTED, *UNSEEN} - {"up"}
    down = known - shown.OF_STATE.keys()
    assert down == {"down", "lost", "reset_required", "unreadable", "missing"}
    assert set(shown.OF_STATE.values()) | {3} == shown.STATES.keys()


def test_every_expression_names_only_metrics_of_the_catalogue() -> None:
    known = {
        metric.name + suffix for metric in METRICS for suffix in SUFFIXES.get(metric.type, ("",))
    }
    named = set().union(*(names_in(expression) for _, _, expression in asked(VALUES)))
    assert len(named) > 40
    assert named - known == set()


def test_promtool_parses_every_expression(tmp_path: Path) -> None:
    rules = [
        {"record": f"asked:{number}", "expr": expression}
        for number, (_, _, expression) in enumerate(asked(VALUES))
    ]
    path = tmp_path / "asked.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": rules}]}))
    checked = run(program("promtool", "prometheus"), "check", "rules", str(path))
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_what_grafanalib_adds_and_nobody_reads_any_more_is_left_out() -> None:
    made = {"title": "t", "rows": [], "sharedCrosshair": False, "panels": [], "schemaVersion": 12}
    assert current({**made, "templating": {"list": []}}) == {
        "title": "t",
        "panels": [],
        "schemaVersion": 41,
        "templating": {"list": []},
    }
