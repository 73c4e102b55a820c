"""`snapshot` and `record`: everything the driver answers, once, with its return codes and the time each call took."""

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click
from msgspec import to_builtins

from agent.nvml.client import CallAnswer, NvmlSource
from agent.nvml.frames import GPM_APART_SECONDS
from agent.report.source import IdentityTier, Sweep
from weighbridge import __version__
from weighbridge.catalogue.readings import Tier
from weighbridge.wire.report import Facts, Reason
from weighbridge.wire.visible import visible

PRIVATE = frozenset(
    {
        "serial",
        "pdi",
        "kernel_uuid",
        "fabric_cluster_uuid",
        "platform_ib_guid",
        "platform_chassis_serial",
    }
)
"""Readings that name one piece of hardware in the world; device UUIDs do too."""

PLACES = frozenset({"nvml_library_path"})
"""Readings that name a place on the machine; its last part alone is told."""

Row = dict[str, Any]


async def take_snapshot(source: NvmlSource) -> list[Row]:
    """Every reading of every device and of the node: value or reason, and nanoseconds where a call was made for it."""
    identity = await source.identify()
    fast, slow = await source.sweep(Tier.FAST), await _sweep_slow(source)
    recorded = await source.record()
    await source.close()
    answers = [] if isinstance(recorded, Reason) else recorded
    spent = _spent_ns(answers)
    rows = [*_identity_rows(identity), *_sweep_rows(fast), *_sweep_rows(slow)]
    return [row | {"nanoseconds": spent.get((row["device"], row["reading"]))} for row in rows]


async def _sweep_slow(source: NvmlSource) -> Sweep:
    """The slow tier, a second time where a reading is a mean since the look before."""
    sweep = await source.sweep(Tier.SLOW)
    if not any(Reason.NOT_READY in row for row in sweep.readings.values()):
        return sweep
    await asyncio.sleep(GPM_APART_SECONDS)
    return await source.sweep(Tier.SLOW)


def _spent_ns(answers: Iterable[CallAnswer]) -> dict[tuple[str, str], int]:
    """Nanoseconds of the call that gave each reading its value; of the first one where none did."""
    spent: dict[tuple[str, str], int] = {}
    for answer in sorted(answers, key=lambda answer: answer.code != 0):
        spent.setdefault((answer.device, answer.reading), answer.nanoseconds)
    return spent


def _identity_rows(identity: IdentityTier) -> Iterable[Row]:
    yield from _fact_rows("node", identity.driver)
    for device in identity.devices:
        yield {"device": device.uuid, "reading": "state", "value": device.state, "reason": None}
        yield from _fact_rows(device.uuid, device.identity)


def _fact_rows(device: str, facts: Facts) -> Iterable[Row]:
    values: Mapping[str, int | str | Reason] = {**facts.readings, **facts.unavailable}
    for name, value in sorted(values.items()):
        yield _row(device, name, value)


def _sweep_rows(sweep: Sweep) -> Iterable[Row]:
    for column, device in enumerate(sweep.devices):
        for name, values in sorted(sweep.readings.items()):
            yield _row(device, name, values[column])


def _row(device: str, reading: str, value: int | str | Reason) -> Row:
    missing = isinstance(value, Reason)
    return {
        "device": device,
        "reading": reading,
        "value": None if missing else value,
        "reason": value if missing else None,
    }


def show_snapshot(rows: Sequence[Row], as_json: bool) -> None:
    """A table for people, or JSON."""
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    for row in rows:
        value = f"({row['reason']})" if row["reason"] is not None else visible(str(row["value"]))
        spent = "" if row["nanoseconds"] is None else f"{row['nanoseconds'] / 1000:.1f} us"
        click.echo(f"{row['device']:42}{row['reading']:44}{value:40}{spent}")


async def take_record(source: NvmlSource, redact: bool) -> Row:
    """A capture: every raw answer with its NVML return code and time."""
    identity = await source.identify()
    recorded = await source.record()
    await source.close()
    answers = [] if isinstance(recorded, Reason) else recorded
    devices = [device.uuid for device in identity.devices]
    return {
        "capture": 1,
        "agent": __version__,
        "redacted": redact,
        "driver": _driver(identity.driver, redact),
        "unavailable": recorded if isinstance(recorded, Reason) else None,
        "answers": [_captured(answer, devices, redact) for answer in answers],
    }


def _driver(driver: Facts, redact: bool) -> Row:
    told: Row = to_builtins(driver)
    if redact:
        readings = told["readings"]
        places = PLACES & readings.keys()
        readings |= {name: str(readings[name]).rpartition("/")[2] for name in places}
    return told


def _captured(answer: CallAnswer, devices: Sequence[str], redact: bool) -> Row:
    device, value = answer.device, answer.value
    if redact and device in devices:
        device = f"device-{devices.index(device)}"
    if redact and answer.reading in PRIVATE and value is not None:
        value = "redacted"
    return {
        "device": device,
        "reading": answer.reading,
        "call": answer.call,
        "code": answer.code,
        "value": value,
        "nanoseconds": answer.nanoseconds,
    }
