"""What a report says within the bounds of its readings, in text that shows.

The report stays as it was signed. Whoever judges by it reads it through `within_bounds`: a value that no such reading
can have is then none, for the reason `out_of_range`, and of text what steers a terminal is written out.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from copy import copy
from functools import lru_cache
from itertools import chain, groupby
from typing import Any, TypeVar

from msgspec.structs import force_setattr, replace

from weighbridge.catalogue.readings import READING, Bounds
from weighbridge.steps import drained
from weighbridge.wire.report import (
    Block,
    Device,
    Event,
    Facts,
    Gap,
    Inventory,
    OperationalEvent,
    Reason,
    Report,
    UnavailableSpan,
)
from weighbridge.wire.visible import visible

STEP_VALUES, STEP_PARTS = 4096, 16
Part = TypeVar("Part")
Rows = Sequence[Sequence[int | None]]


def within_bounds(report: Report) -> Report:
    """The report with what lies beyond the bounds of the catalogue left out; itself where nothing does."""
    return drained(bounding(report))


def bounding(report: Report) -> Generator[None, None, Report]:
    """The same in small steps: it returns the report."""
    blocks = []
    for block in report.blocks:
        blocks.append((yield from _bounding(block)))  # noqa: PERF401
    inventory = None if report.inventory is None else (yield from _inventory(report.inventory))
    host = None if report.host is None else _facts(report.host)
    events = yield from _each(report.events, _told)
    gaps = yield from _each(report.gaps, _told_gap)
    parts = (*blocks, inventory, host, *events, *gaps)
    said = (*report.blocks, report.inventory, report.host, *report.events, *report.gaps)
    if all(map(_is, parts, said)):
        return report
    return replace(report, blocks=blocks, inventory=inventory, host=host, events=events, gaps=gaps)


def _each(parts: Sequence[Part], told: Callable[[Part], Part]) -> Generator[None, None, list[Part]]:
    found: list[Part] = []
    for number, part in enumerate(parts):
        found.append(told(part))
        if number % STEP_PARTS == 0:
            yield
    return found


def _told(event: Event) -> Event:
    shown, operational = visible(event.detail), event.operational
    if operational is not None:
        operational = _operational(operational)
    if shown == event.detail and operational is event.operational:
        return event
    return replace(event, detail=shown, operational=operational)


def _operational(event: OperationalEvent) -> OperationalEvent:
    module, driver = visible(event.module), visible(event.driver)
    same = (module, driver) == (event.module, event.driver)
    return event if same else replace(event, module=module, driver=driver)


def _told_gap(gap: Gap) -> Gap:
    shown = visible(gap.reason)
    return gap if shown == gap.reason else replace(gap, reason=shown)


def _bounding(block: Block) -> Generator[None, None, Block]:
    """The same of one block."""
    wild: dict[str, Bounds] = {}
    each, looked = len(block.boottime_us) * len(block.devices), 0
    for bounds, names in _bounded(tuple(block.readings)):
        size = each * len(names)
        if looked + size > STEP_VALUES:
            looked = 0
            yield
        looked += size
        if size > STEP_VALUES or not _holds(_rows(block, names), bounds):
            for name in names:
                if not (yield from _fits(block.readings[name], bounds)):
                    wild[name] = bounds
    if not wild:
        return block
    spans, readings = list(block.unavailable), dict(block.readings)
    for name, bounds in wild.items():
        spans += yield from _spans(block, name, bounds)
        readings[name] = yield from _kept(block.readings[name], bounds)
    return _with(block, readings, spans)


@lru_cache(maxsize=64)
def _bounded(names: tuple[str, ...]) -> tuple[tuple[Bounds, tuple[str, ...]], ...]:
    """Those of them that have bounds, by their bounds. Nearly all reports tell of the same readings."""
    found: dict[Bounds, tuple[str, ...]] = {}
    for name in names:
        bounds = READING[name].bounds if name in READING else None
        if bounds is not None:
            found[bounds] = (*found.get(bounds, ()), name)
    return tuple(found.items())


def _rows(block: Block, names: Iterable[str]) -> Iterable[Sequence[int | None]]:
    return chain.from_iterable(block.readings[name] for name in names)


def _with(
    block: Block, readings: Mapping[str, Rows], unavailable: Sequence[UnavailableSpan]
) -> Block:
    """What fitted together still does: to look at each value once more would be one long step."""
    bounded = copy(block)
    force_setattr(bounded, "readings", readings)
    force_setattr(bounded, "unavailable", unavailable)
    return bounded


def _is(one: object, other: object) -> bool:
    return one is other


def _some(rows: Rows) -> Iterator[Rows]:
    """All of them, a few thousand values at a time."""
    size = max(1, STEP_VALUES // max(1, len(rows[0])))
    return (rows[start : start + size] for start in range(0, len(rows), size))


def _fits(rows: Rows, bounds: Bounds) -> Generator[None, None, bool]:
    fits = True
    for some in _some(rows):
        fits = fits and _holds(some, bounds)
        yield
    return fits


def _holds(rows: Iterable[Sequence[int | None]], bounds: Bounds) -> bool:
    """A row that says what the one before it says is looked at once: most do."""
    values: list[Any] = []
    last: Sequence[int | None] = ()
    for row in rows:
        if row != last:
            values += row
            last = row
    try:
        fits: bool = bounds.least <= min(values) and max(values) <= bounds.most
    except (TypeError, ValueError):  # Some are None, or there is none.
        fits = not any(_wild(value, bounds) for value in values)
    return fits


def _kept(rows: Rows, bounds: Bounds) -> Generator[None, None, list[list[int | None]]]:
    kept: list[list[int | None]] = []
    for some in _some(rows):
        kept += [[None if _wild(value, bounds) else value for value in row] for row in some]
        yield
    return kept


def _wild(value: int | None, bounds: Bounds) -> bool:
    return value is not None and not bounds.least <= value <= bounds.most


def _spans(block: Block, name: str, bounds: Bounds) -> Generator[None, None, list[UnavailableSpan]]:
    """Neighbouring samples of a device that lie beyond are one span."""
    found: list[UnavailableSpan] = []
    for column, device in enumerate(block.devices):
        told = enumerate(_wild(row[column], bounds) for row in block.readings[name])
        for wild, samples in groupby(told, key=lambda sample: sample[1]):
            if wild:
                places = [place for place, _ in samples]
                span = UnavailableSpan(
                    device=device,
                    from_=places[0],
                    reading=name,
                    reason=Reason.OUT_OF_RANGE,
                    to=places[-1] + 1,
                )
                found.append(span)
        yield
    return found


def _inventory(inventory: Inventory) -> Generator[None, None, Inventory]:
    devices = yield from _each(inventory.devices, _device)
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
    shown = {name: _shown(value) for name, value in facts.readings.items()}
    if not wild and shown == facts.readings:
        return facts
    kept = {name: value for name, value in shown.items() if name not in wild}
    return Facts(
        readings=kept,
        unavailable=facts.unavailable | dict.fromkeys(sorted(wild), Reason.OUT_OF_RANGE),
    )


def _shown(value: int | str) -> int | str:
    return visible(value) if isinstance(value, str) else value


def _beyond(name: str, value: int | str) -> bool:
    """Whether no reading of this name has such a value: it is of the other type, or out of bounds."""
    row = READING.get(name)
    if row is None:
        return False
    if row.bounds is None or isinstance(value, str):
        return isinstance(value, str) != (row.bounds is None)
    return _wild(value, row.bounds)
