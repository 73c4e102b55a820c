"""The pages and their addresses. What they say is what `collector.api.status` and the documents say."""

from collector.api.routes import Access, Route
from collector.judging.live import Fleet
from collector.storage.store import Ledger
from collector.web.contract_page import ContractPage
from collector.web.device_plots import DevicePlots
from collector.web.node_page import NodePage
from collector.web.portfolio import Accounting, Auditing, Failing, PortfolioPage
from collector.web.shell import Shell

HTML = "text/html"
LIST = ("after", "limit", "lang")
FOUND = ("q", "sort", *LIST)


class Pages:
    """Every page of one store. `stopped` says why nothing is judged any more, or None."""

    def __init__(
        self,
        shell: Shell,
        fleet: Fleet,
        ledger: Ledger,
        audits: Auditing,
        stopped: Failing,
        plots: DevicePlots,
        accounts: Accounting,
    ) -> None:
        self._shell = shell
        self._portfolio = PortfolioPage(shell, fleet, audits, stopped, accounts)
        self._contract = ContractPage(shell, fleet, ledger)
        self._node = NodePage(shell, fleet, ledger, plots)

    def routes(self) -> tuple[Route, ...]:
        """Everything that people open."""
        read, audit = Access.READ, self._portfolio.audit
        one, node = "/contracts/{contract}", "/nodes/{node}"
        gpu = f"{node}/gpus/{{gpu}}"
        return (
            Route("GET", "/", self._portfolio.index, read, "All contracts.", FOUND, HTML),
            Route("GET", one, self._contract.contract, read, "One contract.", LIST, HTML),
            Route("GET", "/audit", audit, read, "Red flags.", ("as_of", "lang"), HTML),
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
