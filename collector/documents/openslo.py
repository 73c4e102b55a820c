"""The availability objectives of a contract as OpenSLO documents (github.com/OpenSLO/OpenSLO, openslo/v1).

What OpenSLO cannot say (exclusions, unknown time, counting, money) stays in the contract, which every document names.
The indicator is what this collector exports: time that met the objective against all time that is not excluded, so that
unknown time counts as bad.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import yaml

from weighbridge.catalogue import metrics
from weighbridge.contract import Availability, Contract
from weighbridge.contract.objectives import MONTHS
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.contract.zone_data import time_zone

API_VERSION = "openslo/v1"
DURATIONS = {1: "1M", 3: "1Q", 12: "1Y"}
PLACES = Decimal(1).scaleb(-12)
UNSAFE = re.compile(r"[^a-z0-9]+")


class SpelledNumber(str):
    """A number as it is spelled: YAML would make a float of it."""

    __slots__ = ()


class Dumper(yaml.SafeDumper):
    """A YAML dumper that writes `SpelledNumber` as it is spelled."""


Dumper.add_representer(
    SpelledNumber,
    lambda dumper, number: dumper.represent_scalar("tag:yaml.org,2002:float", str(number)),
)


def openslo(contract: Contract) -> str:
    """A stream of YAML documents: the service, and one for each objective."""
    documents = [_service(contract), *(_slo(contract, one) for one in contract.availability)]
    return yaml.dump_all(documents, Dumper=Dumper, sort_keys=False, allow_unicode=True)


def _service(contract: Contract) -> dict[str, Any]:
    provider = next(party.name for party in contract.parties if party.role == "provider")
    said = f"Leased by {provider}; contract {contract.contract_id}, version {contract.version}"
    return _document("Service", contract.contract_id, contract.contract_id, {"description": said})


def _slo(contract: Contract, promise: Availability) -> dict[str, Any]:
    name = f"{contract.contract_id}-{promise.id}"
    spec = {
        "description": f"Availability, unit {promise.unit}, {promise.scope}; terms: {contract.contract_id}"
        f" version {contract.version}",
        "service": _label(contract.contract_id),
        "indicator": {
            "metadata": {"name": _label(f"{name}-time")},
            "spec": {"ratioMetric": _ratio(contract, promise)},
        },
        "timeWindow": [_window(contract, promise)],
        "budgetingMethod": "Occurrences",
        "objectives": [{"displayName": promise.id, "target": _target(promise)}],
    }
    return _document("SLO", name, f"{contract.contract_id} / {promise.id}", spec)


def _ratio(contract: Contract, promise: Availability) -> dict[str, Any]:
    """The ratio metric of an objective, from the gauges of its current period."""
    labels = f'contract="{contract.contract_id}",objective="{promise.id}"'
    name = metrics.CONTRACT_SECONDS.name
    return {
        "counter": False,
        "good": _source(f'{name}{{{labels},state="met"}}'),
        "total": _source(f'sum({name}{{{labels},state!="excluded"}})'),
    }


def _source(query: str) -> dict[str, Any]:
    return {"metricSource": {"type": "Prometheus", "spec": {"query": query}}}


def _window(contract: Contract, promise: Availability) -> Mapping[str, Any]:
    if promise.window_s is not None:
        return {"duration": f"{promise.window_s // 60}m", "isRolling": True}
    start = datetime.fromtimestamp(contract.term.start_us // MICROSECONDS, UTC)
    local = start.astimezone(time_zone(contract.time_zone))
    months = MONTHS[promise.period]
    if promise.period.startswith("calendar"):
        first = (local.month - 1) // months * months + 1
        local = local.replace(month=first, day=1, hour=0, minute=0, second=0)
    calendar = {"startTime": f"{local:%Y-%m-%d %H:%M:%S}", "timeZone": contract.time_zone}
    return {"duration": DURATIONS[months], "isRolling": False, "calendar": calendar}


def _target(promise: Availability) -> SpelledNumber:
    """To twelve places, rounded up: never less than was promised."""
    exact = Decimal(promise.target.numerator) / Decimal(promise.target.denominator)
    shown = exact.quantize(PLACES, rounding="ROUND_CEILING").normalize()
    return SpelledNumber(f"{shown:f}" if "." in f"{shown:f}" else f"{shown:f}.0")


def _document(kind: str, name: str, title: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {"name": _label(name), "displayName": title}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": dict(spec)}


def _label(text: str) -> str:
    """RFC 1123: what OpenSLO takes for a name."""
    return UNSAFE.sub("-", text.lower()).strip("-")[:63]
