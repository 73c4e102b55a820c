"""One outage: when, how much of it counts, what it came from, the evidence, and the readings around it."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from aiohttp import web

from collector.api import status
from collector.documents.speaker import Speaker
from collector.judging.live import Fleet
from collector.storage.store import Ledger
from collector.web import contract_periods, contract_time
from collector.web.contract_periods import Settling
from collector.web.contract_summary import contract_path
from collector.web.contract_time import OutageRow
from collector.web.device_plots import DevicePlots, Picture, Subject
from collector.web.plots import Band
from collector.web.seeing import seen
from collector.web.shell import Shell, language_of
from weighbridge.catalogue.findings import meaning
from weighbridge.contract.condition import JOINED
from weighbridge.contract.scalars import read_instant_us
from weighbridge.judge.ledger import Row
from weighbridge.settlement.claims import TOGETHER
from weighbridge.settlement.statement import Outage, UnitLine
from weighbridge.verdict import Verdict
from weighbridge.wire.problems import Problem

LEAST_MARGIN_US = 30 * 60 * 1_000_000
"""Before and after an outage: so long, or a quarter of its length."""


BEING_SETTLED = "the period is being settled: load the page again in a moment"


class OutagePage:
    """The handler over one fleet."""

    def __init__(
        self, shell: Shell, fleet: Fleet, ledger: Ledger, settled: Settling, plots: DevicePlots
    ) -> None:
        self._shell = shell
        self._fleet = fleet
        self._ledger = ledger
        self._settled = settled
        self._plots = plots

    async def outage(self, request: web.Request) -> web.Response:
        """That of a unit which starts at an instant, as the statement of its period has it."""
        name, version = seen(self._fleet, request)
        speak = Speaker(language_of(request), version.currency, version.time_zone)
        periods = contract_periods.begun(version, self._fleet.now_us)
        period = contract_periods.chosen(request, periods)
        told = await contract_periods.told(self._settled, name, period)
        if period is not None and told is None:
            raise Problem("overloaded", BEING_SETTLED, retry_after_seconds=5)
        found = None if told is None else contract_time.found_outage(told.statement, request.query)
        if told is None or found is None:
            raise Problem("not_found", "the statement of this period has no such outage")
        row = contract_time.outage_row(told.statement, *found, speak)
        return await self._shell.page(
            request,
            "outage.html",
            zone=version.time_zone,
            contract=name,
            period=told.brief.label,
            as_of=told.brief.as_of,
            outage=row,
            held=found[1].held,
            node=node_of(row.unit),
            causes=list(_causes(found[1])),
            back=contract_path(name, period=told.brief.label),
            explain=_explain(name, found[0]),
            picture=await self._readings(name, version.time_zone, row, speak),
        )

    async def _readings(
        self, contract: str, zone: str, row: OutageRow, speak: Speaker
    ) -> Picture | None:
        """Those of its devices around it, as far as they are the contract's to see; None of several places together."""
        node = node_of(row.unit)
        if node is None:
            return None
        start_us, end_us = read_instant_us(row.start), read_instant_us(row.end)
        margin_us = max(LEAST_MARGIN_US, (end_us - start_us) // 4)
        ends_us = (start_us - margin_us, min(end_us + margin_us, self._fleet.now_us))
        growing = self._fleet.open_rows(contract, node)
        held = await asyncio.to_thread(
            lambda: devices(
                (*self._ledger.rows(contract, *ends_us, None, node), *growing), row.unit, ends_us
            )
        )
        times = await self._plots.times(node, [contract])
        subject = Subject(node, held, zone, speak.language, times)
        band = Band(start_us, end_us, row.state, row.causes)
        return await self._plots.around(subject, *ends_us, [band])


def devices(rows: Iterable[Row], unit: str, ends_us: tuple[int, int]) -> tuple[str, ...]:
    """What filled a node or a slot of it in this time, in their order."""
    start_us, end_us = ends_us
    mine = (
        row for row in rows if row.of_a_slot and row.start_us < end_us and row.end_us > start_us
    )
    named = [row for row in mine if unit in (row.node, f"{row.node}.{row.slot}") and row.device]
    return tuple(dict.fromkeys(row.device for row in sorted(named, key=lambda row: row.slot)))


def node_of(unit: str) -> str | None:
    """The node that a unit is or lies on; None of several that are judged together."""
    if unit in TOGETHER:
        return None
    node, _, slot = unit.rpartition(".")
    return node if slot.isdecimal() else unit


def _causes(outage: Outage) -> Iterator[Mapping[str, Any]]:
    """Each code that the table of findings knows: what it means, who is answerable, and the steps to take."""
    codes = (code for cause in outage.causes for code in cause.cause.split(JOINED))
    for code in dict.fromkeys(codes):
        row = meaning(code)
        if row is not None:
            told = status.advice(code, Verdict.BREACHED)
            yield {"code": code, "answerable": row.answerable.value, **told}


def _explain(contract: str, unit: UnitLine) -> str:
    """The form that says what an outage came from."""
    named = {} if unit.unit in TOGETHER else {"unit": unit.unit}
    return contract_path(contract, "notices", "new", "cause", **named)
