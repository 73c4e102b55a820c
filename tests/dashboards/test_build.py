"""What `dashboards build` writes is deterministic, valid, committed, and names only metrics that exist."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards import build, rules
from weighbridge.catalogue.findings import meanings
from weighbridge.catalogue.metrics import METRICS, Type
from weighbridge.judge.node import QUIET

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
    asked = expressions(dashboard) + [alert.expr for alert in rules.ALERTS]
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


def test_each_alert_fires_when_it_should_and_only_then(tmp_path: Path) -> None:
    build.build(tmp_path)
    cases = Path(__file__).with_name("rules_test.yaml").read_text()
    script = tmp_path / "prometheus" / "rules_test.yaml"
    script.write_text(cases)
    tested = promtool("test", "rules", str(script))
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    script = yaml.safe_load(Path(__file__).with_name("rules_test.yaml").read_text())
    cases = [case for test in script["tests"] for case in test["alert_rule_test"]]
    names = {alert.name for alert in rules.ALERTS}
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == names
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == names


def test_the_documentation_names_every_alert_and_file_and_no_other() -> None:
    page = (Path(__file__).parents[2] / "docs" / "dashboards.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\| `(Weighbridge\w+)` \|", page)) == {
        alert.name for alert in rules.ALERTS
    }
    assert set(re.findall(r"\| `(\w+/[^`]+)` \|", page)) == set(build.files())
    known = {metric.name for metric in METRICS}
    assert names_in(page) - known == set()


def test_every_kind_of_silence_is_alerted_as_silence_and_as_nothing_else() -> None:
    expressions = {alert.name: alert.expr for alert in rules.ALERTS}
    silent, breach = (
        re.search(r'check(?:=~|!~)"([^"]+)"', expressions[name])
        for name in ("WeighbridgeNodeSilent", "WeighbridgeBreach")
    )
    assert silent is not None
    assert breach is not None
    for code in ("node_silent", "collector_unreached", "unreachable", *QUIET):
        assert re.fullmatch(silent[1], code)
        assert re.fullmatch(breach[1], code)
    assert not re.fullmatch(breach[1], "power_capped")


def test_an_alert_about_findings_says_of_each_what_to_do() -> None:
    breach = rules.ALERTS[0]
    (written,) = (
        rule["annotations"]["what_to_do"]
        for rule in yaml.safe_load(rules.build())["groups"][0]["rules"]
        if rule["alert"] == breach.name
    )
    told = dict(re.findall(r'if eq \$labels\.check "(\w+)" \}\}(.*?)\{\{', written))
    assert told.keys() == set(breach.codes)
    for code, said in told.items():
        row = meanings()[code]
        assert said.startswith(f"{code}: {row.means.en}. 1. {row.steps[0].says.en}")


def test_what_nobody_could_see_is_alerted_as_that_and_as_no_breach() -> None:
    breach, doubt = rules.ALERTS[:2]
    assert 'verdict!="unknown"' in breach.expr
    assert 'verdict="unknown"' in doubt.expr
    (written,) = (
        rule["annotations"]["what_to_do"]
        for rule in yaml.safe_load(rules.build())["groups"][0]["rules"]
        if rule["alert"] == doubt.name
    )
    told = dict(re.findall(r'if eq \$labels\.check "(\w+)" \}\}(.*?)\{\{', written))
    assert told["gpu_missing"].startswith(
        "gpu_missing: nobody could see whether the node has fewer"
    )
    assert "replace the card" not in told["gpu_missing"]
    assert "ask the lessee" in told["xid_open"]


def test_whatever_is_found_an_alert_that_fires_for_it_says_what_to_do() -> None:
    told = {code for alert in rules.ALERTS for code in alert.codes}
    assert told == meanings().keys()
