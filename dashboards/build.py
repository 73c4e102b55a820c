"""Writes everything that Grafana and Prometheus need. Two builds are equal byte for byte."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from dashboards import contract, rules


def files() -> Mapping[str, str]:
    """Path below the target directory -> text."""
    return {
        "grafana/dashboards/contract.json": contract.build(),
        "grafana/provisioning/dashboards/weighbridge.yaml": _yaml(_dashboard_provider()),
        "grafana/provisioning/datasources/prometheus.yaml": _yaml(_datasource()),
        "prometheus/weighbridge.rules.yaml": rules.build(),
        "prometheus/prometheus.yaml": _yaml(_prometheus()),
    }


def build(target: Path) -> list[Path]:
    """Write `files` below `target`, and say which. Raises OSError."""
    written = []
    for name, text in files().items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, width=1000)


def _dashboard_provider() -> dict[str, Any]:
    provider = {
        "name": "weighbridge",
        "folder": "Weighbridge",
        "type": "file",
        "allowUiUpdates": False,
        "options": {"path": "/var/lib/grafana/dashboards/weighbridge"},
    }
    return {"apiVersion": 1, "providers": [provider]}


def _datasource() -> dict[str, Any]:
    source = {
        "name": "Prometheus",
        "type": "prometheus",
        "access": "proxy",
        "url": "http://127.0.0.1:9090",
        "isDefault": True,
    }
    return {"apiVersion": 1, "datasources": [source]}


def _prometheus() -> dict[str, Any]:
    """Two jobs would scrape twice: service discovery lists /metrics itself beside the shards."""
    job = {
        "job_name": "weighbridge",
        "honor_labels": False,
        "http_sd_configs": [{"url": "http://127.0.0.1:8470/v1/sd/prometheus"}],
    }
    return {
        "global": {"scrape_interval": "15s", "evaluation_interval": "15s"},
        "rule_files": ["weighbridge.rules.yaml"],
        "scrape_configs": [job],
    }
