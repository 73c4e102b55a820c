"""What `dashboards build` writes is deterministic, valid, committed, and names only metrics that exist."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from dashboards import build
from dashboards.alerts import ALERTS
from tests.collector.building import weighbridge
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


def names_in(expression: str) -> set[str]:
    return set(re.findall(r"\bweighbridge_\w+", expression))


def test_two_builds_are_equal_byte_for_byte(tmp_path: Path) -> None:
    build.build(tmp_path / "one")
    build.build(tmp_path / "two")
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_what_is_committed_is_a_fresh_build(tmp_path: Path) -> None:
    build.build(tmp_path)
    assert tree(GENERATED) == tree(tmp_path)


def test_every_metric_in_a_rule_is_exported() -> None:
    known = {
        metric.name + suffix for metric in METRICS for suffix in SUFFIXES.get(metric.type, ("",))
    }
    assert set().union(*(names_in(alert.expr) for alert in ALERTS)) - known == set()


def test_promtool_accepts_rules_and_configuration(tmp_path: Path) -> None:
    build.build(tmp_path)
    checked = promtool("check", "rules", str(tmp_path / "prometheus/weighbridge.rules.yaml"))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    checked = promtool("check", "config", str(tmp_path / "prometheus/prometheus.yaml"))
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_collector_that_wants_a_token_is_shown_it_by_jobs_and_discovery(tmp_path: Path) -> None:
    options = ("--collector", "https://c.example/", "--token-file", "/t", "--ca", "/ca.pem")
    done = weighbridge("dashboards", "build", tmp_path, *options)
    file = tmp_path / "prometheus" / "prometheus.yaml"
    assert str(file) in done.stdout
    shown = {"authorization": {"credentials_file": "/t"}, "tls_config": {"ca_file": "/ca.pem"}}
    for job in yaml.safe_load(file.read_text())["scrape_configs"]:
        (found,) = job["http_sd_configs"]
        assert found == {"url": "https://c.example/v1/sd/prometheus", **shown}
        assert shown.items() <= job.items()
        assert len(job["relabel_configs"]) == 1
    assert "&id" not in file.read_text()


def test_the_documentation_names_every_alert_and_file_and_no_other() -> None:
    page = (Path(__file__).parents[2] / "docs" / "dashboards.md").read_text(encoding="utf-8")
    told = re.findall(r"\| \[`(Weighbridge\w+)`\]\(runbooks/(\w+).md\) \| (\w+) \| (.*) \|", page)
    assert told == [(alert.name, alert.name, alert.severity, alert.when) for alert in ALERTS]
    assert set(re.findall(r"\| `(\w+/[^`]+)` \|", page)) == set(build.files())
    known = {metric.name for metric in METRICS}
    assert names_in(page) - known == set()
