"""One node and its GPUs."""

import asyncio

from aiohttp import web

from collector.api import status
from collector.api.access import viewer
from collector.judging.live import Fleet
from collector.storage.store import Ledger
from collector.web import timeline
from collector.web.listing import lately
from collector.web.shell import Shell
from weighbridge.judge.ledger import Row
from weighbridge.wire.problems import Problem


class NodePage:
    """The handler over one fleet."""

    def __init__(self, shell: Shell, fleet: Fleet, ledger: Ledger) -> None:
        self._shell = shell
        self._fleet = fleet
        self._ledger = ledger

    async def node(self, request: web.Request) -> web.Response:
        """What it last showed of the GPUs that the reader may see."""
        name = request.match_info["node"]
        shown = await status.visible_node(self._fleet, viewer(request), name)
        if shown is None:
            raise Problem("not_found", "no such node")
        rows: list[Row] = []
        for contract in shown["contracts"]:
            rows += await lately(self._fleet, self._ledger, contract, name)
        lanes = [gpu["gpu"] for gpu in shown["gpus"]]
        cadences_us = (self._fleet.contracts[one].sampling.cadence_us for one in shown["contracts"])
        drawn = (rows, lanes, self._fleet.now_us, min(cadences_us, default=0))
        picture = await asyncio.to_thread(timeline.by_device, *drawn)
        return await self._shell.page(request, "node.html", node=shown, picture=picture)
