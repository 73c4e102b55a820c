"""Each alert fires when it should and only then, has a runbook, and is told once by Alertmanager."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards import alertmanager, build, rules, runbooks
from dashboards.alerts import ALERTS
from weighbridge.catalogue.findings import meanings
from weighbridge.judge.node import QUIET

COLLECTOR = "https://collector.example"
CASES: list[dict[str, Any]] = tomllib.loads(
    Path(__file__).with_name("alert_cases.toml").read_text(encoding="utf-8")
)["case"]
BY_NAME = {alert.name: alert for alert in ALERTS}


def program(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} (Debian: {package}) is not installed")
    return found


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, capture_output=True, text=True, timeout=60)


def said_of(name: str, labels: dict[str, str]) -> dict[str, Any]:
    """What promtool is to find: the labels of the case, and all that the row says."""
    alert, summary = BY_NAME[name], labels["summary"]
    shown = {key: value for key, value in labels.items() if key != "summary"}
    return {
        "exp_labels": {"severity": alert.severity, **shown},
        "exp_annotations": {
            "summary": summary,
            "description": alert.text,
            "what_to_do": alert.steps()[labels.get("check", "")],
            "runbook_url": f"{COLLECTOR}/runbooks/{name}",
        },
    }


def scripted(case: dict[str, Any]) -> dict[str, Any]:
    """One test of promtool's."""
    fires = [said_of(case["alert"], labels) for labels in case.get("fires", [])]
    told = {"eval_time": f"{case['at']}m", "alertname": case["alert"], "exp_alerts": fires}
    series = [{"series": one, "values": values} for one, values in case["series"].items()]
    return {"interval": "1m", "input_series": series, "alert_rule_test": [told]}


def scripts(directory: Path) -> list[str]:
    """One for each alert, with its rule alone: promtool works out all rules of a script each minute."""
    written = []
    for rule in yaml.safe_load(rules.build(COLLECTOR))["groups"][0]["rules"]:
        name = rule["alert"]
        group = {"groups": [{"name": "one", "rules": [rule]}]}
        (directory / f"{name}.rules.yaml").write_text(yaml.safe_dump(group))
        script = {
            "rule_files": [f"{name}.rules.yaml"],
            "evaluation_interval": "1m",
            "tests": [scripted(case) for case in CASES if case["alert"] == name],
        }
        path = directory / f"{name}.yaml"
        path.write_text(yaml.safe_dump(script))
        written.append(str(path))
    return written


def test_each_alert_fires_when_it_should_and_only_then(tmp_path: Path) -> None:
    tested = run(program("promtool", "prometheus"), "test", "rules", *scripts(tmp_path))
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    assert {case["alert"] for case in CASES if "fires" in case} == BY_NAME.keys()
    assert {case["alert"] for case in CASES if "fires" not in case} == BY_NAME.keys()


def test_every_kind_of_silence_is_alerted_as_silence_and_as_nothing_else() -> None:
    silent = BY_NAME["WeighbridgeNodeSilent"]
    assert {"node_silent", "collector_unreached", "unreachable", *QUIET} == set(silent.codes)
    for name in ("WeighbridgeBreach", "WeighbridgeErrorInDoubt"):
        left_out = re.search(r'check!~"([^"]+)"', BY_NAME[name].expr)
        assert left_out is not None
        assert set(silent.codes) <= set(left_out[1].split("|"))
        assert "power_capped" not in left_out[1].split("|")


def test_what_nobody_could_see_is_told_with_the_steps_by_which_to_see() -> None:
    told = BY_NAME["WeighbridgeErrorInDoubt"].steps()
    assert told["gpu_missing"].startswith(
        "gpu_missing: nobody could see whether the node has fewer"
    )
    assert "replace the card" not in told["gpu_missing"]
    assert "ask the lessee" in told["xid_open"]


def test_whatever_is_found_an_alert_that_fires_for_it_says_what_to_do() -> None:
    assert {code for alert in ALERTS for code in alert.codes} == meanings().keys()
    for alert in ALERTS:
        assert alert.codes or alert.first, alert.name


def test_no_code_has_two_alerts_that_fire_for_one_finding() -> None:
    faults, breach = BY_NAME["WeighbridgeGpuFault"], BY_NAME["WeighbridgeBreach"]
    assert set(faults.codes).isdisjoint(breach.codes)
    for alert in ALERTS:
        if alert.apart:
            assert set(alert.codes).isdisjoint(breach.codes), alert.name
            assert set(alert.codes).isdisjoint(faults.codes), alert.name


def test_each_alert_has_a_runbook_as_it_is_committed(tmp_path: Path) -> None:
    runbooks.build(tmp_path)
    committed = Path(build.__file__).parents[1] / "docs" / "runbooks"
    shown = {path.name: path.read_text() for path in committed.iterdir()}
    assert shown == {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert shown.keys() == {f"{name}.md" for name in BY_NAME}
    for code in BY_NAME["WeighbridgeGpuFault"].codes:
        assert f"**`{code}`**" in shown["WeighbridgeGpuFault.md"]


def test_a_runbook_of_an_alert_that_is_gone_is_removed(tmp_path: Path) -> None:
    (tmp_path / "WeighbridgeOld.md").write_text("old")
    runbooks.build(tmp_path)
    assert not (tmp_path / "WeighbridgeOld.md").exists()


def test_alertmanager_takes_the_example(tmp_path: Path) -> None:
    build.build(tmp_path)
    amtool = program("amtool", "prometheus-alertmanager")
    path = str(tmp_path / "alertmanager" / "alertmanager.yaml")
    checked = run(amtool, "check-config", path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    for severity, receiver in (("critical", "wake-somebody"), ("warning", "in-the-morning")):
        routed = run(
            amtool, "config", "routes", "test", f"--config.file={path}", f"severity={severity}"
        )
        assert routed.stdout.strip() == receiver


def quieted(told: list[dict[str, str]]) -> list[dict[str, str]]:
    """What Alertmanager would still say: by its rule, a target with a source of equal labels is not told."""

    def matches(matcher: str, labels: dict[str, str]) -> bool:
        names = re.fullmatch(r'alertname=~"(.*)"', matcher)
        assert names is not None
        return labels["alertname"] in names[1].split("|")

    def silenced(one: dict[str, str]) -> bool:
        return any(
            matches(rule["target_matchers"][0], one)
            and matches(rule["source_matchers"][0], other)
            and all(one.get(label, "") == other.get(label, "") for label in rule["equal"])
            for rule in alertmanager.configuration()["inhibit_rules"]
            for other in told
        )

    return [one for one in told if not silenced(one)]


def test_a_silent_node_does_not_also_page_for_its_eight_gpus() -> None:
    silent = {"alertname": "WeighbridgeNodeSilent", "contract": "A", "node": "n1"}
    gpus = [
        {"alertname": "WeighbridgeGpuFault", "contract": "A", "node": "n1", "uuid": f"GPU-{number}"}
        for number in range(8)
    ]
    other = gpus[0] | {"node": "n2"}
    few = {"alertname": "WeighbridgeCapacityNotReporting", "contract": "A"}
    assert quieted([silent, *gpus, other, few]) == [silent, other]
    assert quieted([*gpus, other]) == [*gpus, other]


def test_while_nothing_is_judged_nothing_else_is_told() -> None:
    stalled = {"alertname": "WeighbridgeCollectorStalled"}
    assert quieted([stalled, {"alertname": "WeighbridgeBreach", "contract": "A"}]) == [stalled]


def test_no_alert_is_quieted_by_itself_or_by_one_that_it_quiets() -> None:
    for louder, quieter, _ in alertmanager.QUIETS:
        assert {*louder, *quieter} <= BY_NAME.keys()
        assert set(louder).isdisjoint(quieter)
