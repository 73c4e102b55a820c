"""The first page: the contracts that a reader may see, searched and sorted, the worst first."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from collector.api import status
from collector.api.access import viewer
from collector.api.routes import Key, Viewer, page_of
from collector.documents.words import Language
from collector.judging.claimable import Account
from collector.judging.live import Fleet
from collector.web.listing import FINDINGS_SHOWN, next_page, worst_first
from collector.web.money import CreditSums, together, told, worth_of
from collector.web.shell import Shell, language_of
from weighbridge.verdict import WORST_FIRST, Verdict
from weighbridge.wire.problems import Problem

CONTRACTS_SHOWN = 50
NEVER_US = 1 << 53


class Accounting(Protocol):
    """What contracts are worth, as it was worked out last: `collector.judging.claimable.Accounts`."""

    def known(self, name: str) -> Account | None: ...


class Failing(Protocol):
    """Says why nothing is judged any more, or None."""

    def __call__(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Line:
    """A contract as `status` tells it, and what it is worth."""

    row: status.Json
    worth: CreditSums | None

    @property
    def name(self) -> str:
        return str(self.row["contract"])

    def missing(self) -> int:
        """GPUs that are promised and not healthy."""
        return int(self.row["gpus"]["contracted"] - self.row["gpus"]["healthy"])


SORTS: Mapping[str, Callable[[Line], Key]] = {
    "worst": lambda one: (WORST_FIRST.index(one.row["verdict"]), one.name),
    "name": lambda one: (one.name,),
    "gpus": lambda one: (-one.row["gpus"]["contracted"], one.name),
    "unhealthy": lambda one: (-one.missing(), one.name),
    "credit": lambda one: (0 if one.worth is None else -int(one.worth.highest * 100), one.name),
    "deadline": lambda one: (_deadline_us(one.worth), one.name),
}
"""Each puts first what somebody who chose it looks for: a list goes on behind the key that it gives."""


def _deadline_us(worth: CreditSums | None) -> int:
    return NEVER_US if worth is None or worth.deadline_us is None else worth.deadline_us


class PortfolioPage:
    """The handlers over one fleet."""

    def __init__(
        self,
        shell: Shell,
        fleet: Fleet,
        stopped: Failing,
        accounts: Accounting,
    ) -> None:
        self._shell = shell
        self._fleet = fleet
        self._stopped = stopped
        self._accounts = accounts

    async def index(self, request: web.Request) -> web.Response:
        """Every contract of the reader that is asked for. Counts and money are of all of the reader's."""
        mine, language = viewer(request), language_of(request)
        text, sort = request.query.get("q", "").strip(), request.query.get("sort", "worst")
        if sort not in SORTS:
            raise Problem("malformed", f"sort is one of {', '.join(SORTS)}")
        everything = await self._lines(mine)
        chosen = [one for one in everything if self._has(one, text.casefold())]
        by_key = {SORTS[sort](one): one for one in chosen}
        part = page_of(request, sorted(by_key), CONTRACTS_SHOWN)
        found = await worst_first(status.findings(self._fleet, mine))
        return await self._shell.page(
            request,
            "index.html",
            stopped=self._stopped(),
            total=_total([one.row for one in everything]),
            money=_money(everything, language),
            asked={"q": text, "sort": sort},
            sorts=list(SORTS),
            count=len(chosen),
            contracts=[await self._card(by_key[key], language) for key in part.items],
            next=next_page(part, q=text, sort="" if sort == "worst" else sort),
            found=[status.finding(row) for row in found[:FINDINGS_SHOWN]],
            shown=min(len(found), FINDINGS_SHOWN),
            open=len(found),
        )

    async def _lines(self, mine: Viewer) -> list[Line]:
        """Everything else gets its turn in between."""
        found = []
        for name in sorted(name for name in self._fleet.contracts if mine.sees(name)):
            if name in self._fleet.contracts:
                row = status.contract(self._fleet, name)
                found.append(Line(row, worth_of(self._accounts.known(name))))
            await asyncio.sleep(0)
        return found

    def _has(self, one: Line, text: str) -> bool:
        """Whether it stands in the contract's name, parties, cards or nodes, in whatever case."""
        row = one.row
        told = (one.name, row["provider"], row["lessee"], *row["cards"])
        places = self._fleet.assignments(one.name) if text else ()
        return any(text in word.casefold() for word in (*told, *places))

    async def _card(self, one: Line, language: Language) -> status.Json:
        found = await worst_first(self._fleet.findings(one.name))
        return one.row | {
            "worst": status.finding(found[0]) if found else None,
            "open": len(found),
            "worth": None if one.worth is None else _worth(one.worth, language),
        }


def _money(lines: Iterable[Line], language: Language) -> list[status.Json]:
    return [_worth(one, language) for one in together(one.worth for one in lines if one.worth)]


def _worth(worth: CreditSums, language: Language) -> status.Json:
    return {
        "period": worth.period,
        "currency": worth.currency,
        "claimable": worth.open > 0,
        "deadline_us": worth.deadline_us,
        "as_of_us": worth.as_of_us,
        **told(worth, language),
    }


def _total(rows: Sequence[status.Json]) -> status.Json:
    verdicts = Counter(row["verdict"] for row in rows)
    gpus = {state: sum(row["gpus"][state] for row in rows) for state in status.COUNTS}
    counted = {verdict.value: verdicts[verdict] for verdict in Verdict}
    return counted | {"contracts": len(rows), "gpus": gpus}
