"""Writes everything that Grafana and Prometheus need. Two builds are equal byte for byte."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dashboards import (
    alertmanager,
    contract,
    fleet,
    integrity,
    node,
    portfolio,
    rules,
)
from dashboards import (
    collector as own,
)

COLLECTOR = "http://127.0.0.1:8470"


@dataclass(frozen=True, slots=True)
class Access:
    """What a collector wants of whoever scrapes it: files on the machine of Prometheus. Empty: nothing."""

    token_file: str = ""
    ca_file: str = ""

    def keys(self) -> dict[str, Any]:
        """Those of a job, and of its discovery: Prometheus shows neither the other's."""
        found: dict[str, Any] = {}
        if self.token_file:
            found["authorization"] = {"credentials_file": self.token_file}
        if self.ca_file:
            found["tls_config"] = {"ca_file": self.ca_file}
        return found


OPEN = Access()
DASHBOARDS = {
    "portfolio": portfolio.build,
    "contract": contract.build,
    "node": node.build,
    "integrity": integrity.build,
    "fleet": fleet.build,
    "collector": own.build,
}


def files(collector: str = COLLECTOR, access: Access = OPEN) -> Mapping[str, str]:
    """Path below the target directory -> text; `collector` is where people and Prometheus reach it."""
    return {
        "alertmanager/alertmanager.yaml": _yaml(alertmanager.configuration()),
        **{f"grafana/dashboards/{name}.json": made(collector) for name, made in DASHBOARDS.items()},
        "grafana/provisioning/dashboards/weighbridge.yaml": _yaml(_dashboard_provider()),
        "grafana/provisioning/datasources/prometheus.yaml": _yaml(_datasource()),
        "prometheus/weighbridge.rules.yaml": rules.build(collector),
        "prometheus/prometheus.yaml": _yaml(_prometheus(collector, access)),
    }


def build(target: Path, collector: str = COLLECTOR, access: Access = OPEN) -> list[Path]:
    """Write `files` below `target`, and say which. Raises OSError."""
    written = []
    for name, text in files(collector, access).items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


class _Plain(yaml.SafeDumper):
    """Says everything where it stands: no names for what is said twice."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _yaml(value: Any) -> str:
    return str(yaml.dump(value, Dumper=_Plain, sort_keys=False, width=1000))


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


def _prometheus(collector: str, access: Access) -> dict[str, Any]:
    """What is found every five seconds, the readings of GPUs every fifteen: a fleet has many of these.

    Discovery lists both, `/metrics` and the shards: each job leaves to the other what is not its own.
    """
    return {
        "global": {"scrape_interval": "15s", "evaluation_interval": "5s"},
        "rule_files": ["weighbridge.rules.yaml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": ["127.0.0.1:9093"]}]}]},
        "scrape_configs": [
            {"scrape_interval": "5s", **_job("weighbridge", collector, access, "keep")},
            _job("weighbridge-gpus", collector, access, "drop"),
        ],
    }


def _job(name: str, collector: str, access: Access, action: str) -> dict[str, Any]:
    only = {"source_labels": ["shard"], "regex": "metrics", "action": action}
    return {
        "job_name": name,
        "honor_labels": False,
        "http_sd_configs": [{"url": f"{collector}/v1/sd/prometheus", **access.keys()}],
        **access.keys(),
        "relabel_configs": [only],
    }
