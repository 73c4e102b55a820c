"""The pages: contracts, one contract, one node. What they say is what `collector.api.status` says."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from collector.api import status
from collector.api.access import viewer
from collector.api.routes import Access, ListPage, Route, page, page_of
from collector.documents.layouts import layout_of
from collector.documents.spelling import percent, span, utc
from collector.documents.words import Language
from collector.judging.live import Fleet
from collector.judging.statements import StatementError, instant
from collector.storage.store import Ledger, StoreInfo
from collector.web import timeline
from weighbridge.audit.auditing import Audit
from weighbridge.catalogue.spoken import spoken
from weighbridge.judge.ledger import HOUR_US, Finding, Row
from weighbridge.settlement.periods import HOUR_S
from weighbridge.verdict import WORST_FIRST, Verdict
from weighbridge.wire.problems import Problem

HERE = Path(__file__).parent
CONTRACTS_SHOWN, NODES_SHOWN, FINDINGS_SHOWN = 50, 32, 50
MARKS = {"met": "✓", "ok": "✓", "up": "✓", "breached": "✕", "unknown": "?"}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def segment(name: str) -> str:
    """A name as one segment of a path, whatever is in it."""
    return quote(name, safe="")


def tera(rate: int) -> str:
    """A rate a second in units of 10^12."""
    return f"{rate / 10**12:.6g}"


def environment() -> Environment:
    """Templates in which everything is escaped, and a name that is not there is an error."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"percent": percent, "utc": utc, "span": span, "segment": segment}
    made.filters["tera"] = tera
    made.globals |= {"marks": MARKS, "spoken": spoken}
    return made


class Auditing(Protocol):
    """Makes audits: `collector.judging.portfolio.Audits`."""

    async def audit(self, names: Collection[str], as_of_s: int | None = None) -> Audit: ...


class Pages:
    """The handlers over one fleet. `stopped` says why nothing is judged any more, or None."""

    def __init__(
        self,
        fleet: Fleet,
        ledger: Ledger,
        info: StoreInfo,
        audits: Auditing,
        stopped: Callable[[], str | None],
    ) -> None:
        self._audits = audits
        self._fleet = fleet
        self._ledger = ledger
        self._info = info
        self._stopped = stopped
        self._environment = environment()
        self._style = (HERE / "static" / "style.css").read_bytes()
        self._environment.globals["style"] = sha256(self._style).hexdigest()[:12]

    def routes(self) -> tuple[Route, ...]:
        """Everything that people open."""
        read, html = Access.READ, "text/html"
        pages = ("after", "limit")
        one = "/contracts/{contract}"
        return (
            Route("GET", "/", self.index, read, "All contracts.", pages, html),
            Route("GET", one, self.contract, read, "One contract.", pages, html),
            Route("GET", "/audit", self.audit, read, "Red flags.", ("as_of", "lang"), html),
            Route("GET", "/nodes/{node}", self.node, read, "One node.", (), html),
            Route(
                "GET", "/static/style.css", self.style, Access.OPEN, "How it looks.", (), "text/css"
            ),
        )

    async def index(self, request: web.Request) -> web.Response:
        mine = viewer(request)
        names = sorted(name for name in self._fleet.contracts if mine.sees(name))
        everything = [status.contract(self._fleet, name) for name in names]
        by_rank = {_rank(row): row for row in everything}
        part = page_of(request, sorted(by_rank), CONTRACTS_SHOWN)
        found = await _worst_first(status.findings(self._fleet, mine))
        return await self._render(
            "index.html",
            stopped=self._stopped(),
            total=_total(everything),
            contracts=[await self._card(by_rank[rank]) for rank in part.items],
            next=_next(part),
            found=[status.finding(row) for row in found[:FINDINGS_SHOWN]],
            shown=min(len(found), FINDINGS_SHOWN),
            open=len(found),
        )

    async def _card(self, row: status.Json) -> status.Json:
        found = await _worst_first(self._fleet.findings(row["contract"]))
        return row | {
            "worst": status.finding(found[0]) if found else None,
            "open": len(found),
        }

    async def contract(self, request: web.Request) -> web.Response:
        name, mine = request.match_info["contract"], viewer(request)
        if name not in self._fleet.contracts or not mine.sees(name):
            raise Problem("not_found", f"{name}: no such contract")
        part = page(request, sorted(self._fleet.assignments(name)), NODES_SHOWN)
        nodes = await status.assigned_nodes(self._fleet, name, part.items)
        states = Counter[str]()
        for node in nodes:
            for gpu in node["gpus"]:
                states[gpu["state"]] += gpu.get("slots", 1)
        rows = await self._rows(name, None)
        cadence_us = self._fleet.contracts[name].sampling.cadence_us
        drawn = (rows, part.items, self._fleet.now_us, cadence_us)
        picture = await asyncio.to_thread(timeline.by_node, *drawn)
        found = await _worst_first(self._fleet.findings(name))
        return await self._render(
            "contract.html",
            contract=status.contract(self._fleet, name),
            max_gap_us=self._fleet.contracts[name].sampling.max_gap_us,
            found=[status.finding(row) for row in found[:FINDINGS_SHOWN]],
            shown=min(len(found), FINDINGS_SHOWN),
            open=len(found),
            nodes=nodes,
            states=states.most_common(),
            picture=picture,
            next=_next(part),
        )

    async def node(self, request: web.Request) -> web.Response:
        name = request.match_info["node"]
        shown = await status.visible_node(self._fleet, viewer(request), name)
        if shown is None:
            raise Problem("not_found", "no such node")
        rows: list[Row] = []
        for contract in shown["contracts"]:
            rows += await self._rows(contract, name)
        lanes = [gpu["gpu"] for gpu in shown["gpus"]]
        cadences_us = (self._fleet.contracts[one].sampling.cadence_us for one in shown["contracts"])
        drawn = (rows, lanes, self._fleet.now_us, min(cadences_us, default=0))
        picture = await asyncio.to_thread(timeline.by_device, *drawn)
        return await self._render("node.html", node=shown, found=shown["findings"], picture=picture)

    async def audit(self, request: web.Request) -> web.Response:
        """As of the last full hour, so that who looks again gets the same; or as of an instant."""
        mine, as_of = viewer(request), request.query.get("as_of")
        language: Language = "zh" if request.query.get("lang") == "zh" else "en"
        names = [name for name in self._fleet.contracts if mine.sees(name)]
        as_of_s = self._fleet.now_us // HOUR_US * HOUR_S
        try:
            made = await self._audits.audit(names, as_of_s if as_of is None else instant(as_of))
        except StatementError as error:
            raise Problem("malformed", str(error)) from error
        layout = await asyncio.to_thread(layout_of, made, language)
        return await self._render("audit.html", layout=layout)

    async def style(self, request: web.Request) -> web.Response:
        del request
        headers = {"Content-Type": "text/css; charset=utf-8", "Cache-Control": "max-age=86400"}
        return web.Response(body=self._style, headers=headers)

    async def _rows(self, contract: str, node: str | None) -> list[Row]:
        end_us = self._fleet.now_us
        start_us = max(end_us - timeline.WINDOWS_US[-1], 0)
        written = await asyncio.to_thread(self._ledger.rows, contract, start_us, end_us, None, node)
        return [*written, *self._fleet.open_rows(contract, node)]

    async def _render(self, template: str, **context: Any) -> web.Response:
        """In a thread: a node may have a thousand devices. What it is given must not change any more."""
        text = await asyncio.to_thread(
            self._environment.get_template(template).render,
            origin=self._info.origin,
            simulation=self._info.simulation,
            now_us=self._fleet.now_us,
            **context,
        )
        return web.Response(text=text, content_type="text/html", headers=HEADERS)


async def _worst_first(found: Sequence[Finding]) -> list[Finding]:
    """In a thread: there may be many thousands."""
    return await asyncio.to_thread(status.worst_first, found)


def _rank(row: status.Json) -> tuple[int, str]:
    """Sorts contracts worst first, then by name."""
    return WORST_FIRST.index(row["verdict"]), row["contract"]


def _total(rows: list[status.Json]) -> status.Json:
    verdicts = Counter(row["verdict"] for row in rows)
    gpus = {state: sum(row["gpus"][state] for row in rows) for state in status.COUNTS}
    counted = {verdict.value: verdicts[verdict] for verdict in Verdict}
    return counted | {"contracts": len(rows), "gpus": gpus}


def _next(part: ListPage) -> str | None:
    return None if part.after is None else "?" + urlencode({"after": part.after})
