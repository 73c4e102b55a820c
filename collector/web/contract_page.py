"""One contract: what was promised and what came, what that is worth, and what is to be done."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from collector.api import status
from collector.api.routes import ListPage, page, whole_number
from collector.documents.speaker import Speaker
from collector.documents.words import Language
from collector.judging.live import Fleet
from collector.judging.settled import Told
from collector.storage.store import Ledger
from collector.web import contract_periods, contract_summary, contract_time, timeline
from collector.web.contract_periods import Settling
from collector.web.listing import (
    FINDINGS_SHOWN,
    NODES_SHOWN,
    lately,
    next_page,
    worst_first,
)
from collector.web.page_words import say
from collector.web.seeing import seen
from collector.web.shell import Shell, language_of
from weighbridge.contract import Contract
from weighbridge.judge.ledger import Finding
from weighbridge.verdict import WORST_FIRST

STATES = ("met", "breached", "unknown", "excluded")
VERDICTS = tuple(one.value for one in WORST_FIRST)


def _in_time(request: web.Request, this: Told | None, speak: Speaker) -> dict[str, Any]:
    """How the units of a period went, and their outages: of each the part of the list that is asked for."""
    if this is None:
        return {"pictures": [], "lanes": None, "outages": [], "of_outages": None}
    places = (whole_number(request, name, 0, 0, 2**31) for name in ("lane", "outage"))
    lane, outage = places
    called = say("hour_under_way", speak.language)
    pictures, lanes = contract_time.lanes(this.statement, speak, lane, called)
    outages, of_outages = contract_time.outages(this.statement, speak, outage)
    return {"pictures": pictures, "lanes": lanes, "outages": outages, "of_outages": of_outages}


class ContractPage:
    """The handler over one fleet."""

    def __init__(self, shell: Shell, fleet: Fleet, ledger: Ledger, settled: Settling) -> None:
        self._shell = shell
        self._fleet = fleet
        self._ledger = ledger
        self._settled = settled

    async def contract(self, request: web.Request) -> web.Response:
        """The period that is asked for, or the one under way; then what is open, and every GPU."""
        name, version = seen(self._fleet, request)
        part = page(request, sorted(self._fleet.assignments(name)), NODES_SHOWN)
        found = await worst_first(self._fleet.findings(name))
        shown = status.contract(self._fleet, name)
        return await self._shell.page(
            request,
            "contract.html",
            zone=version.time_zone,
            contract=shown,
            found=[status.finding(row) for row in found[:FINDINGS_SHOWN]],
            shown=min(len(found), FINDINGS_SHOWN),
            open=len(found),
            **await self._money(request, version, found, shown["objectives"]),
            **await self._gpus(name, part, language_of(request)),
        )

    async def _money(
        self,
        request: web.Request,
        version: Contract,
        found: Sequence[Finding],
        live: Sequence[status.Json],
    ) -> dict[str, Any]:
        """What hangs on statements; objectives of the period under way are `live`."""
        now_us, name = self._fleet.now_us, request.match_info["contract"]
        speak = Speaker(language_of(request), version.currency, version.time_zone)
        periods = contract_periods.begun(version, now_us)
        period = contract_periods.chosen(request, periods)
        is_now = period is None or period is periods[0]
        this = await contract_periods.told(self._settled, name, period)
        listed = [one.label for one in periods[: contract_periods.LISTED]]
        briefs = await self._settled.briefs(name, listed)
        running = this.statement if this is not None and is_now else None
        things = contract_summary.to_do(name, briefs.values(), running, found, speak)
        before = [] if this is None else contract_summary.promised(this)
        return {
            "period": period,
            "is_now": is_now,
            "periods": contract_periods.rows(periods, briefs, now_us, speak),
            "goals": live if is_now else before,
            "states_told": STATES if is_now else VERDICTS,
            "money": [] if this is None else contract_summary.money(this.brief, speak),
            "hours": [] if this is None else contract_summary.hours(this.statement),
            "told": None if this is None else this.brief,
            "things": things,
            "settling": any(label not in briefs for label in listed),
            "claims": contract_periods.claims(briefs.values(), speak),
            **await asyncio.to_thread(_in_time, request, this, speak),
            "sides": contract_summary.answerable(version, found, things),
            "max_gap_us": version.sampling.max_gap_us,
        }

    async def _gpus(self, name: str, part: ListPage, language: Language) -> dict[str, Any]:
        """The nodes of a page, and how the last hours of these went."""
        version = self._fleet.contracts[name]
        nodes = await status.assigned_nodes(self._fleet, name, part.items)
        states = Counter[str]()
        for node in nodes:
            for gpu in node["gpus"]:
                states[gpu["state"]] += gpu.get("slots", 1)
        mine = frozenset(part.items)
        every = await lately(self._fleet, self._ledger, name, None)
        rows = [row for row in every if row.node in mine]
        drawn = (rows, part.items, self._fleet.now_us, version.sampling.cadence_us)
        picture = await asyncio.to_thread(timeline.by_node, *drawn, version.time_zone, language)
        return {
            "nodes": nodes,
            "states": states.most_common(),
            "picture": picture,
            "next": next_page(part),
        }
