"""One contract: what was promised and what came."""

import asyncio
from collections import Counter

from aiohttp import web

from collector.api import status
from collector.api.access import viewer
from collector.api.routes import page
from collector.judging.live import Fleet
from collector.storage.store import Ledger
from collector.web import timeline
from collector.web.listing import FINDINGS_SHOWN, NODES_SHOWN, lately, next_page, worst_first
from collector.web.shell import Shell
from weighbridge.wire.problems import Problem


class ContractPage:
    """The handler over one fleet."""

    def __init__(self, shell: Shell, fleet: Fleet, ledger: Ledger) -> None:
        self._shell = shell
        self._fleet = fleet
        self._ledger = ledger

    async def contract(self, request: web.Request) -> web.Response:
        """Delivered against contracted, objectives, findings, the picture, and every GPU."""
        name, mine = request.match_info["contract"], viewer(request)
        if name not in self._fleet.contracts or not mine.sees(name):
            raise Problem("not_found", f"{name}: no such contract")
        part = page(request, sorted(self._fleet.assignments(name)), NODES_SHOWN)
        nodes = await status.assigned_nodes(self._fleet, name, part.items)
        states = Counter[str]()
        for node in nodes:
            for gpu in node["gpus"]:
                states[gpu["state"]] += gpu.get("slots", 1)
        rows = await lately(self._fleet, self._ledger, name, None)
        version = self._fleet.contracts[name]
        drawn = (rows, part.items, self._fleet.now_us, version.sampling.cadence_us)
        picture = await asyncio.to_thread(timeline.by_node, *drawn, zone=version.time_zone)
        found = await worst_first(self._fleet.findings(name))
        return await self._shell.page(
            request,
            "contract.html",
            zone=version.time_zone,
            contract=status.contract(self._fleet, name),
            max_gap_us=version.sampling.max_gap_us,
            found=[status.finding(row) for row in found[:FINDINGS_SHOWN]],
            shown=min(len(found), FINDINGS_SHOWN),
            open=len(found),
            nodes=nodes,
            states=states.most_common(),
            picture=picture,
            next=next_page(part),
        )
