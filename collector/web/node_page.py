"""One node and its GPUs, and one GPU: the worst first, in words and units, with the last day and month."""

import asyncio
from typing import Any

from aiohttp import web

from collector.api import status
from collector.api.access import viewer
from collector.documents.words import Language
from collector.judging.live import Fleet
from collector.storage.store import Ledger
from collector.web import timeline
from collector.web.device_plots import DevicePlots, Subject
from collector.web.glance import BRIEF, glance
from collector.web.listing import lately
from collector.web.shell import UTC_NAME, Shell, language_of
from weighbridge.judge.ledger import Row
from weighbridge.wire.problems import Problem

WORST_FIRST = (
    "lost",
    "missing",
    "down",
    "contested",
    "contradicted",
    "reset_required",
    "unreadable",
    "degraded",
    "unknown",
    "excluded",
    "unjudged",
    "ok",
)
"""States of GPUs, as a list of them goes."""

RANK = {state: place for place, state in enumerate(WORST_FIRST)}


class NodePage:
    """The handlers over one fleet."""

    def __init__(self, shell: Shell, fleet: Fleet, ledger: Ledger, plots: DevicePlots) -> None:
        self._shell = shell
        self._fleet = fleet
        self._ledger = ledger
        self._plots = plots

    async def node(self, request: web.Request) -> web.Response:
        """What it last showed of the GPUs that the reader may see."""
        shown = await self._visible(request)
        gpus = [gpu["gpu"] for gpu in shown["gpus"] if gpu["parent"] is None]
        return await self._shell.page(
            request,
            "node.html",
            zone=self._zone(shown),
            node=shown | {"gpus": await asyncio.to_thread(_listed, shown, language_of(request))},
            picture=await self._timeline(shown, language_of(request)),
            pictures=await self._plots.of(await self._subject(request, shown, gpus)),
        )

    async def gpu(self, request: web.Request) -> web.Response:
        """One GPU or MIG device of a node."""
        shown, uuid = await self._visible(request), request.match_info["gpu"]
        gpu = next((one for one in shown["gpus"] if one["gpu"] == uuid), None)
        if gpu is None:
            raise Problem("not_found", "no such GPU on this node")
        found = [row for row in shown["findings"] if row["gpu"] in ("", uuid)]
        return await self._shell.page(
            request,
            "gpu.html",
            zone=self._zone(shown),
            node=shown,
            gpu=gpu | {"glance": _glanced(gpu, language_of(request))},
            found=sorted(found, key=lambda row: row["gpu"] == ""),
            pictures=await self._plots.of(await self._subject(request, shown, [uuid])),
        )

    async def _visible(self, request: web.Request) -> status.Json:
        shown = await status.visible_node(self._fleet, viewer(request), request.match_info["node"])
        if shown is None:
            raise Problem("not_found", "no such node")
        return shown

    def _zone(self, shown: status.Json) -> str:
        """The contracts', where they have one."""
        zones = {self._fleet.contracts[one].time_zone for one in shown["contracts"]}
        return zones.pop() if len(zones) == 1 else UTC_NAME

    async def _subject(
        self, request: web.Request, shown: status.Json, devices: list[str]
    ) -> Subject:
        """Who sees every contract sees all times; a party those in which the node was its contracts'."""
        mine, node = tuple(shown["contracts"]), shown["node"]
        whole = viewer(request).contracts is None
        times = None if whole else await self._plots.times(node, mine)
        language = language_of(request)
        return Subject(node, tuple(devices), self._zone(shown), language, times, mine)

    async def _timeline(self, shown: status.Json, language: Language) -> dict[str, Any]:
        rows: list[Row] = []
        for contract in shown["contracts"]:
            rows += await lately(self._fleet, self._ledger, contract, shown["node"])
        lanes = [gpu["gpu"] for gpu in shown["gpus"]]
        cadences_us = (self._fleet.contracts[one].sampling.cadence_us for one in shown["contracts"])
        drawn = (rows, lanes, self._fleet.now_us, min(cadences_us, default=0))
        spelled = (self._zone(shown), language)
        return await asyncio.to_thread(timeline.by_device, *drawn, *spelled)


def _listed(shown: status.Json, language: Language) -> list[status.Json]:
    """The worst first, each with what a list says of it."""
    ranked = sorted(shown["gpus"], key=lambda gpu: RANK.get(gpu["state"], 0))
    return [
        gpu | {"brief": list(glance(gpu["readings"], gpu["unavailable"], language, BRIEF))}
        for gpu in ranked
    ]


def _glanced(gpu: status.Json, language: Language) -> list[Any]:
    return list(glance(gpu["readings"], gpu["unavailable"], language))
