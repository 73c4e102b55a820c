"""What a check answers of one node, shown once, under terms of a line item."""

import json
from collections.abc import Mapping
from typing import Any

from tests.weighbridge.scripted import FAST, IDENTITY
from weighbridge.contract import Contract, load
from weighbridge.judge.checks import CHECKS, Answer, CheckContext, Promise
from weighbridge.judge.checks.check import HourSeries
from weighbridge.judge.latest_readings import LatestDevice, LatestReadings, LatestSample
from weighbridge.wire.report import DeviceState, Facts, OwnerClass, Process, Reason

DEVICE = "GPU-1"
Value = int | str | Reason


def contract(item: Mapping[str, Any]) -> Contract:
    """A contract of one line item of one node with one H100, as far as `item` does not say otherwise."""
    document = {
        "contract_id": "K",
        "effective": "2026-01-01T00:00:00Z",
        "time_zone": "UTC",
        "currency": "CNY",
        "parties": [{"id": "P", "role": "provider"}, {"id": "L", "role": "lessee"}],
        "term": {"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"},
        "resources": [
            {
                "id": "r",
                "accelerator": {"sku": "H100-SXM-80GB"},
                "nodes": "1",
                "per_node": "1",
            }
            | dict(item)
        ],
        "unknown": {"policy": "hold"},
    }
    return load(json.dumps(document))


def promise(item: Mapping[str, Any]) -> Promise:
    """Of the one node."""
    resource = contract(item).resources[0]
    return Promise("K", 1, resource, None, 0, 2**53 - 1, 10_000_000, 30_000_000, 0, 0)


def facts(told: Mapping[str, Value]) -> Facts:
    """Values, and the reasons why there are none."""
    return Facts(
        readings={name: value for name, value in told.items() if not isinstance(value, Reason)},
        unavailable={name: value for name, value in told.items() if isinstance(value, Reason)},
    )


def view(
    shown: Mapping[str, Value] | None = None,
    *,
    driver: Mapping[str, Value] | None = None,
    host: Mapping[str, Value] | None = None,
    ports: Mapping[str, Value] | None = None,
    owners: tuple[str, ...] = (),
) -> LatestReadings:
    """A node with one healthy H100; `shown` is what it shows otherwise, identity and samples alike."""
    told: dict[str, Value] = {**FAST, **(shown or {})}
    rows: dict[str, list[int | None]] = {
        name: [value if isinstance(value, int) else None] for name, value in told.items()
    }
    reasons = {name: {DEVICE: value} for name, value in told.items() if isinstance(value, Reason)}
    told_once = {name for name, value in told.items() if isinstance(value, str)} | set(IDENTITY)
    sampled = {
        name: row
        for name, row in rows.items()
        if name not in told_once or isinstance(told[name], Reason)
    }
    identity = facts({**IDENTITY, **{n: v for n, v in told.items() if isinstance(v, int | str)}})
    return LatestReadings(
        devices={DEVICE: LatestDevice(DEVICE, None, DeviceState.OK, identity)},
        tiers={"fast": LatestSample(0, [DEVICE], sampled, reasons)},
        driver=facts(driver or {}),
        host=facts(host or {}),
        host_now=facts(ports or {}),
        processes=[
            Process(
                boottime_us=0,
                class_=OwnerClass.CONTAINER,
                device=DEVICE,
                memory_bytes=1,
                owner=owner,
            )
            for owner in owners
        ],
        enumerated=True,
    )


def answers(
    item: Mapping[str, Any],
    seen: LatestReadings,
    series: Mapping[str, HourSeries] | None = None,
) -> dict[str, Answer]:
    """By code; a check that says nothing is not among them. `series`: what the last hour showed."""
    context = CheckContext(promise(item), seen, series=series or {})
    return {check.code: answer for check in CHECKS for answer in check.judge(context)}
