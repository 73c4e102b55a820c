"""One outage: when, how much of it counts, what it came from, the evidence, and the readings around it."""

from collections.abc import Iterator, Mapping
from typing import Any

from aiohttp import web

from collector.api import status
from collector.documents.speaker import Speaker
from collector.judging.live import Fleet
from collector.web import contract_periods, contract_time
from collector.web.contract_periods import Settling
from collector.web.contract_summary import contract_path
from collector.web.seeing import seen
from collector.web.shell import Shell, language_of
from weighbridge.catalogue.findings import meaning
from weighbridge.contract.condition import JOINED
from weighbridge.settlement.claims import TOGETHER
from weighbridge.settlement.statement import Outage, UnitLine
from weighbridge.verdict import Verdict
from weighbridge.wire.problems import Problem


class OutagePage:
    """The handler over one fleet."""

    def __init__(self, shell: Shell, fleet: Fleet, settled: Settling) -> None:
        self._shell = shell
        self._fleet = fleet
        self._settled = settled

    async def outage(self, request: web.Request) -> web.Response:
        """That of a unit which starts at an instant, as the statement of its period has it."""
        name, version = seen(self._fleet, request)
        speak = Speaker(language_of(request), version.currency, version.time_zone)
        periods = contract_periods.begun(version, self._fleet.now_us)
        period = contract_periods.chosen(request, periods)
        told = await contract_periods.told(self._settled, name, period)
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
            node=node_of(found[0]),
            causes=list(_causes(found[1])),
            back=contract_path(name, period=told.brief.label),
            explain=_explain(name, found[0]),
        )


def node_of(unit: UnitLine) -> str | None:
    """The node that a unit is or lies on; None of several that are judged together."""
    if unit.unit in TOGETHER:
        return None
    node, _, slot = unit.unit.rpartition(".")
    return node if slot.isdecimal() else unit.unit


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
