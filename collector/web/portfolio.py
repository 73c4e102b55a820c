"""The first page: all contracts that a reader may see, worst first; and the audit of them."""

import asyncio
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Protocol

from aiohttp import web

from collector.api import status
from collector.api.access import viewer
from collector.api.routes import page_of
from collector.documents.layouts import layout_of
from collector.judging.live import Fleet
from collector.judging.statements import StatementError, instant
from collector.web.listing import FINDINGS_SHOWN, next_page, worst_first
from collector.web.shell import Shell, language_of
from weighbridge.audit.auditing import Audit
from weighbridge.judge.ledger import HOUR_US
from weighbridge.settlement.periods import HOUR_S
from weighbridge.verdict import WORST_FIRST, Verdict
from weighbridge.wire.problems import Problem

CONTRACTS_SHOWN = 50


class Auditing(Protocol):
    """Makes audits: `collector.judging.portfolio.Audits`."""

    async def audit(self, names: Collection[str], as_of_s: int | None = None) -> Audit: ...


class Failing(Protocol):
    """Says why nothing is judged any more, or None."""

    def __call__(self) -> str | None: ...


class PortfolioPage:
    """The handlers over one fleet."""

    def __init__(self, shell: Shell, fleet: Fleet, audits: Auditing, stopped: Failing) -> None:
        self._shell = shell
        self._fleet = fleet
        self._audits = audits
        self._stopped = stopped

    async def index(self, request: web.Request) -> web.Response:
        """Every contract of the reader, worst first."""
        mine = viewer(request)
        names = sorted(name for name in self._fleet.contracts if mine.sees(name))
        everything = [status.contract(self._fleet, name) for name in names]
        by_rank = {_rank(row): row for row in everything}
        part = page_of(request, sorted(by_rank), CONTRACTS_SHOWN)
        found = await worst_first(status.findings(self._fleet, mine))
        return await self._shell.page(
            request,
            "index.html",
            stopped=self._stopped(),
            total=_total(everything),
            contracts=[await self._card(by_rank[rank]) for rank in part.items],
            next=next_page(part),
            found=[status.finding(row) for row in found[:FINDINGS_SHOWN]],
            shown=min(len(found), FINDINGS_SHOWN),
            open=len(found),
        )

    async def _card(self, row: status.Json) -> status.Json:
        found = await worst_first(self._fleet.findings(row["contract"]))
        return row | {"worst": status.finding(found[0]) if found else None, "open": len(found)}

    async def audit(self, request: web.Request) -> web.Response:
        """As of the last full hour, so that who looks again gets the same; or as of an instant."""
        mine, as_of = viewer(request), request.query.get("as_of")
        names = [name for name in self._fleet.contracts if mine.sees(name)]
        as_of_s = self._fleet.now_us // HOUR_US * HOUR_S
        try:
            made = await self._audits.audit(names, as_of_s if as_of is None else instant(as_of))
        except StatementError as error:
            raise Problem("malformed", str(error)) from error
        layout = await asyncio.to_thread(layout_of, made, language_of(request))
        return await self._shell.page(request, "audit.html", layout=layout)


def _rank(row: status.Json) -> tuple[int, str]:
    """Sorts contracts worst first, then by name."""
    return WORST_FIRST.index(row["verdict"]), row["contract"]


def _total(rows: Sequence[status.Json]) -> status.Json:
    verdicts = Counter(row["verdict"] for row in rows)
    gpus = {state: sum(row["gpus"][state] for row in rows) for state in status.COUNTS}
    counted = {verdict.value: verdicts[verdict] for verdict in Verdict}
    return counted | {"contracts": len(rows), "gpus": gpus}
