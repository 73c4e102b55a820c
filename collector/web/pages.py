"""The pages and their addresses. What they say is what `collector.api.status` and the documents say."""

from dataclasses import dataclass

from collector.api.routes import Access, Handler, Route
from collector.judging.live import Fleet
from collector.storage.store import Ledger
from collector.web.audit_page import Auditing, AuditPage
from collector.web.contract_page import ContractPage
from collector.web.contract_periods import Settling
from collector.web.device_plots import DevicePlots
from collector.web.document_pages import DocumentPages, Papers
from collector.web.node_page import NodePage
from collector.web.outages_page import OutagePage
from collector.web.portfolio import Accounting, Failing, PortfolioPage
from collector.web.shell import Shell

HTML = "text/html"
LIST = ("after", "limit", "lang")
FOUND = ("q", "sort", *LIST)
PERIOD = ("period", "lane", "outage", *LIST)


@dataclass(frozen=True, slots=True)
class PageSources:
    """What pages are drawn from. `stopped` says why nothing is judged any more, or None."""

    fleet: Fleet
    ledger: Ledger
    audits: Auditing
    stopped: Failing
    settled: Settling
    papers: Papers
    plots: DevicePlots
    accounts: Accounting


class Pages:
    """Every page of one store."""

    def __init__(self, shell: Shell, drawn: PageSources) -> None:
        fleet, ledger, settled = drawn.fleet, drawn.ledger, drawn.settled
        self._shell = shell
        self._portfolio = PortfolioPage(shell, fleet, drawn.stopped, drawn.accounts)
        self._audit = AuditPage(shell, fleet, drawn.audits)
        self._contract = ContractPage(shell, fleet, ledger, settled)
        self._outage = OutagePage(shell, fleet, ledger, settled, drawn.plots)
        self._documents = DocumentPages(shell, fleet, drawn.papers)
        self._node = NodePage(shell, fleet, ledger, drawn.plots)

    def routes(self) -> tuple[Route, ...]:
        """Everything that people open."""
        read, audit = Access.READ, self._audit.audit
        one, node = "/contracts/{contract}", "/nodes/{node}"
        gpu = f"{node}/gpus/{{gpu}}"
        return (
            Route("GET", "/", self._portfolio.index, read, "All contracts.", FOUND, HTML),
            Route("GET", one, self._contract.contract, read, "One contract.", PERIOD, HTML),
            *self._of_contract(one),
            Route("GET", "/audit", audit, read, "Red flags.", ("contract", "as_of", "lang"), HTML),
            Route("GET", node, self._node.node, read, "One node.", ("lang",), HTML),
            Route("GET", gpu, self._node.gpu, read, "One GPU of a node.", ("lang",), HTML),
            Route(
                "GET",
                "/static/{file}",
                self._shell.static,
                Access.OPEN,
                "How pages look and move.",
                (),
                "text/css",
            ),
        )

    def _of_contract(self, one: str) -> tuple[Route, ...]:
        read, pages = Access.READ, self._documents
        dated = ("as_of", "lang")
        outage = ("period", "objective", "unit", "start")
        rows: tuple[tuple[str, Handler, str, tuple[str, ...]], ...] = (
            ("statement", pages.statement, "The statement of a period, to read.", ("period",)),
            ("outage", self._outage.outage, "One outage.", outage),
            ("letter", pages.letter, "The letter that claims a period's credits.", ("period",)),
            ("delivery", pages.delivery, "The delivery note, to read.", ()),
            ("acceptance", pages.acceptance, "An acceptance certificate.", ("from", "until")),
        )
        return tuple(
            Route("GET", f"{one}/{path}", handler, read, summary, (*query, *dated), HTML)
            for path, handler, summary, query in rows
        )
