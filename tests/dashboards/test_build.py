"""What `dashboards build` writes is deterministic, valid, committed, and names only metrics that exist."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dashboards import build
from dashboards.alerts import ALERTS
from weighbridge.catalogue.metrics import METRICS, Type

GENERATED = Path(build.__file__).parent / "generated"
SUFFIXES = {Type.HISTOGRAM: ("_bucket", "_sum", "_count")}


def tree(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool (Debian: prometheus) is not installed")
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60)


def expressions(dashboard: dict[str, Any]) -> list[str]:
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return queries + [variable["query"] for variable in dashboard["templating"]["list"]]


def names_in(expression: str) -> set[str]:
    return set(re.findall(r"\bweighbridge_\w+", expression))


@pytest.fixture
def dashboard() -> dict[str, Any]:
    loaded = json.loads(build.files()["grafana/dashboards/contract.json"])
    assert isinstance(loaded, dict)
    return loaded


def test_two_builds_are_equal_byte_for_byte(tmp_path: Path) -> None:
    build.build(tmp_path / "one")
    build.build(tmp_path / "two")
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_what_is_committed_is_a_fresh_build(tmp_path: Path) -> None:
    build.build(tmp_path)
    assert tree(GENERATED) == tree(tmp_path)


def test_every_metric_in_a_query_is_exported(dashboard: dict[str, Any]) -> None:
    known = {
        metric.name + suffix for metric in METRICS for suffix in SUFFIXES.get(metric.type, ("",))
    }
    asked = expressions(dashboard) + [alert.expr for alert in ALERTS]
    named = set().union(*map(names_in, asked))
    assert len(named) > 10
    assert named - known == set()


def test_every_panel_has_a_place_of_its_own_and_a_description(dashboard: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (place["x"] + column, place["y"] + line)
            for column in range(place["w"])
            for line in range(place["h"])
        }
        assert taken.isdisjoint(cells), panel["title"]
        assert place["x"] + place["w"] <= 24
        assert panel["type"] == "row" or panel["description"]
        taken |= cells


def test_every_panel_is_of_the_shape_that_grafana_reads(dashboard: dict[str, Any]) -> None:
    for panel in dashboard["panels"]:
        assert isinstance(panel["fieldConfig"]["defaults"]["thresholds"]["steps"], list)
        assert panel["span"] is None
        assert panel["type"] in {"row", "stat", "timeseries", "table"}
    identities = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(identities)) == len(identities)


def test_the_dashboard_asks_for_its_contract_in_every_query(dashboard: dict[str, Any]) -> None:
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert [query for query in queries if 'contract="$contract"' not in query] == []


def test_promtool_accepts_rules_and_configuration(tmp_path: Path) -> None:
    build.build(tmp_path)
    checked = promtool("check", "rules", str(tmp_path / "prometheus/weighbridge.rules.yaml"))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    checked = promtool("check", "config", str(tmp_path / "prometheus/prometheus.yaml"))
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_documentation_names_every_alert_and_file_and_no_other() -> None:
    page = (Path(__file__).parents[2] / "docs" / "dashboards.md").read_text(encoding="utf-8")
    told = re.findall(r"\| \[`(Weighbridge\w+)`\]\(runbooks/(\w+).md\) \| (\w+) \| (.*) \|", page)
    assert told == [(alert.name, alert.name, alert.severity, alert.when) for alert in ALERTS]
    assert set(re.findall(r"\| `(\w+/[^`]+)` \|", page)) == set(build.files())
    known = {metric.name for metric in METRICS}
    assert names_in(page) - known == set()
