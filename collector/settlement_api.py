"""Statements over HTTP. A viewer sees those of the contracts that are theirs."""

import asyncio

from aiohttp import web

from collector.access import viewer
from collector.administration import Submit
from collector.claimable import Accounts, described
from collector.formats import FORMATS, UnrenderableError
from collector.problems import Problem
from collector.routes import Access, Route
from collector.settling import Settling, SettlingError, instant, statement_digest
from collector.statements.words import LANGUAGES, Language
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.evidence import EntryKind, Issued
from weighbridge.settlement.statement import Statement

PERIOD_QUERY = ("period", "as_of")


class SettlementApi:
    """The handlers over one `Settling`."""

    def __init__(self, settling: Settling, accounts: Accounts, submit: Submit) -> None:
        self._accounts = accounts
        self._settling = settling
        self._submit = submit

    def routes(self) -> tuple[Route, ...]:
        """Everything that this module serves."""
        query = (*PERIOD_QUERY, "format", "lang")
        return (
            Route(
                "GET",
                "/v1/contracts/{contract}/statement",
                self.statement,
                Access.READ,
                "The statement of a period, as known at an instant.",
                query,
            ),
            Route(
                "POST",
                "/v1/contracts/{contract}/statement",
                self.issue,
                Access.ADMIN,
                "Hand the statement out: later ones say what they say otherwise.",
                query,
            ),
            Route(
                "GET",
                "/v1/contracts/{contract}/claims",
                self.claims,
                Access.READ,
                "What was earned in the periods that ended lately, and until when it can be claimed.",
            ),
        )

    async def claims(self, request: web.Request) -> web.Response:
        """Worked out now."""
        contract = request.match_info["contract"]
        if not viewer(request).sees(contract) or contract not in self._settling.book.contracts:
            raise Problem("not_found", "no such contract")
        try:
            found = await self._accounts.claims(contract)
        except SettlingError as error:
            raise Problem("malformed", str(error)) from error
        return web.json_response({"items": [described(one) for one in found], "after": None})

    async def statement(self, request: web.Request) -> web.Response:
        name = request.query.get("format", "json")
        if name not in FORMATS:
            raise Problem("malformed", f"format must be one of {', '.join(FORMATS)}")
        language = _language(request)
        return await self._rendered(name, await self._drafted(request), language)

    async def issue(self, request: web.Request) -> web.Response:
        """The same answer as without issuing it; entered in the log first."""
        statement = await self._drafted(request)
        issued = Issued(
            contract=statement.contract,
            period=statement.period,
            as_of_us=instant(statement.as_of) * MICROSECONDS,
            engine=statement.engine,
            judge=statement.judged.judge,
            tables=statement.judged.tables,
            lowest=statement.lowest,
            highest=statement.highest,
            digest=statement_digest(statement),
        )
        await self._submit(EntryKind.STATEMENT, issued)
        return await self._rendered("json", statement)

    async def _rendered(
        self, name: str, statement: Statement, language: Language = "en"
    ) -> web.Response:
        try:
            body = await asyncio.to_thread(FORMATS[name].render, statement, language)
        except UnrenderableError as error:
            raise Problem("malformed", str(error)) from error
        return web.Response(body=body, headers={"Content-Type": FORMATS[name].media_type})

    async def _drafted(self, request: web.Request) -> Statement:
        contract = request.match_info["contract"]
        if not viewer(request).sees(contract) or contract not in self._settling.book.contracts:
            raise Problem("not_found", "no such contract")
        label, as_of = request.query.get("period"), request.query.get("as_of")
        if label is None:
            raise Problem("malformed", "period is missing: a month such as 2026-10")
        try:
            as_of_s = None if as_of is None else instant(as_of)
            asked = self._settling.ask(contract, label, as_of_s)
        except SettlingError as error:
            raise Problem("malformed", str(error)) from error
        return await asyncio.to_thread(asked.statement)


def _language(request: web.Request) -> Language:
    asked = request.query.get("lang", "en")
    for language in LANGUAGES:
        if asked == language:
            return language
    raise Problem("malformed", f"lang must be one of {', '.join(LANGUAGES)}")
