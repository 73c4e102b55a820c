"""What a report says within the bounds of its readings.

The report stays as it was signed. Whoever judges by it reads it through `within_bounds`: a value that no such reading
can have is then none, for the reason `out_of_range`.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

from msgspec.structs import replace

from weighbridge.catalogue.readings import READING, Bounds
from weighbridge.wire.report import Block, Device, Facts, Inventory, Reason, Report, UnavailableSpan

Rows = Sequence[Sequence[int | None]]


def within_bounds(report: Report) -> Report:
    """The report with what lies beyond the bounds of the catalogue left out; itself where nothing does."""
    blocks = [block_within_bounds(block) for block in report.blocks]
    inventory = None if report.inventory is None else _inventory(report.inventory)
    host = None if report.host is None else _facts(report.host)
    if all(map(_is, (*blocks, inventory, host), (*report.blocks, report.inventory, report.host))):
        return report
    return replace(report, blocks=blocks, inventory=inventory, host=host)


def block_within_bounds(block: Block) -> Block:
    """The same of one block."""
    wild = {
        name: bounds
        for name, rows in block.readings.items()
        if name in READING and (bounds := READING[name].bounds) and not _fits(rows, bounds)
    }
    if not wild:
        return block
    spans = [span for name, bounds in wild.items() for span in _spans(block, name, bounds)]
    readings = block.readings | {
        name: [[_value(value, bounds) for value in row] for row in block.readings[name]]
        for name, bounds in wild.items()
    }
    return replace(block, readings=readings, unavailable=[*block.unavailable, *spans])


def _is(one: object, other: object) -> bool:
    return one is other


def _fits(rows: Rows, bounds: Bounds) -> bool:
    values = [value for row in rows for value in row if value is not None]
    return not values or (bounds.least <= min(values) and max(values) <= bounds.most)


def _value(value: int | None, bounds: Bounds) -> int | None:
    return None if _wild(value, bounds) else value


def _wild(value: int | None, bounds: Bounds) -> bool:
    return value is not None and not bounds.least <= value <= bounds.most


def _spans(block: Block, name: str, bounds: Bounds) -> Iterator[UnavailableSpan]:
    """Neighbouring samples of a device that lie beyond are one span."""
    for column, device in enumerate(block.devices):
        told = enumerate(_wild(row[column], bounds) for row in block.readings[name])
        for wild, samples in groupby(told, key=lambda sample: sample[1]):
            if wild:
                places = [place for place, _ in samples]
                yield UnavailableSpan(
                    device=device,
                    from_=places[0],
                    reading=name,
                    reason=Reason.OUT_OF_RANGE,
                    to=places[-1] + 1,
                )


def _inventory(inventory: Inventory) -> Inventory:
    devices = [_device(device) for device in inventory.devices]
    driver, host = _facts(inventory.driver), _facts(inventory.host)
    if all(
        map(_is, (*devices, driver, host), (*inventory.devices, inventory.driver, inventory.host))
    ):
        return inventory
    return Inventory(devices=devices, driver=driver, host=host)


def _device(device: Device) -> Device:
    identity = _facts(device.identity)
    return device if identity is device.identity else replace(device, identity=identity)


def _facts(facts: Facts) -> Facts:
    wild = {name for name, value in facts.readings.items() if _beyond(name, value)}
    if not wild:
        return facts
    kept = {name: value for name, value in facts.readings.items() if name not in wild}
    return Facts(
        readings=kept,
        unavailable=facts.unavailable | dict.fromkeys(sorted(wild), Reason.OUT_OF_RANGE),
    )


def _beyond(name: str, value: int | str) -> bool:
    """Whether no reading of this name has such a value: it is of the other type, or out of bounds."""
    row = READING.get(name)
    if row is None:
        return False
    if row.bounds is None or isinstance(value, str):
        return isinstance(value, str) != (row.bounds is None)
    return _wild(value, row.bounds)
