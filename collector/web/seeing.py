"""Which contract a reader looks at."""

from aiohttp import web

from collector.api.access import viewer
from collector.judging.live import Fleet
from weighbridge.contract import Contract
from weighbridge.wire.problems import Problem


def seen(fleet: Fleet, request: web.Request) -> tuple[str, Contract]:
    """The contract of the address and its version in force, if the reader may see it. Raises Problem."""
    name = request.match_info["contract"]
    if name not in fleet.contracts or not viewer(request).sees(name):
        raise Problem("not_found", f"{name}: no such contract")
    return name, fleet.contracts[name]
