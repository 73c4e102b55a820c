"""Statements, delivery notes and certificates over HTTP. A viewer sees those of the contracts that are theirs."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial

from aiohttp import web

from collector.api.access import viewer
from collector.api.administration import Submit
from collector.api.routes import Access, Handler, Route
from collector.documents.claim_letter import ClaimLetter, letter_of
from collector.documents.formats import FORMATS, made_and_rendered
from collector.documents.handover import Handover
from collector.documents.layouts import Document, UnrenderableError
from collector.documents.words import LANGUAGES, Language
from collector.judging.claimable import Accounts
from collector.judging.portfolio import Audits
from collector.judging.settler import Job, Settler
from collector.judging.statements import (
    StatementError,
    StatementRequest,
    Statements,
    instant,
    refuse_nothing,
)
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.handover.documents import Certificate, DeliveryNote
from weighbridge.log.entries import EntryKind, Issued
from weighbridge.settlement.statement import Statement
from weighbridge.wire.problems import Problem

PERIOD_QUERY = ("period", "as_of", "format", "lang")
HANDOVER_QUERY = ("as_of", "format", "lang")


class SettlementApi:
    """The handlers over one store's documents."""

    def __init__(
        self,
        statements: Statements,
        settler: Settler,
        accounts: Accounts,
        handover: Handover,
        audits: Audits,
        submit: Submit,
        head: Callable[[], tuple[str, str]],
    ) -> None:
        """`head`: the log's, as a checkpoint, and the key that signs it, in hex."""
        self._audits = audits
        self._head = head
        self._accounts = accounts
        self._handover = handover
        self._statements = statements
        self._settler = settler
        self._submit = submit

    def routes(self) -> tuple[Route, ...]:
        """Everything that this module serves."""
        one, period, document = "/v1/contracts/{contract}", PERIOD_QUERY, HANDOVER_QUERY
        rows: tuple[tuple[str, Handler, str, tuple[str, ...]], ...] = (
            (
                "statement",
                self.statement,
                "The statement of a period, as known at an instant.",
                period,
            ),
            (
                "delivery",
                self.delivery,
                "The delivery note: what was first seen in each slot, as known at an instant.",
                document,
            ),
            (
                "acceptance",
                self.acceptance,
                "The acceptance certificate of a window: tests, telemetry, and whether load ran.",
                ("from", "until", *document),
            ),
            (
                "letter",
                self.letter,
                "The letter that claims a period's credits, as known at an instant.",
                period,
            ),
            (
                "contested",
                self.contested,
                "Time of its devices that another place held too, as known at an instant.",
                ("from", "as_of"),
            ),
            (
                "claims",
                self.claims,
                "What was earned in the periods that ended lately, and until when it can be claimed.",
                (),
            ),
        )
        issued = "Hand the statement out: later ones say what they say otherwise."
        audited = (
            "Red flags over all contracts, and what was recognised against what was delivered."
        )
        return (
            *(
                Route("GET", f"{one}/{path}", handler, Access.READ, told, query)
                for path, handler, told, query in rows
            ),
            Route("POST", f"{one}/statement", self.issue, Access.ADMIN, issued, period),
            Route("GET", "/v1/audit", self.audit, Access.READ, audited, document),
        )

    async def contested(self, request: web.Request) -> web.Response:
        """Answers with rows; who held the device besides is not said."""
        contract = self._seen(request)
        try:
            start_s, as_of_s = instant(request.query["from"]), instant(request.query["as_of"])
        except KeyError as error:
            raise Problem("malformed", "from and as_of are needed") from error
        except StatementError as error:
            raise Problem("malformed", str(error)) from error
        times = (start_s * MICROSECONDS, as_of_s * MICROSECONDS)
        rows = await self._settler.made(self._statements.contested(contract, *times))
        return web.json_response({"items": [asdict(row) for row in rows], "after": None})

    async def claims(self, request: web.Request) -> web.Response:
        """Answers with the credits that can still be claimed, worked out now."""
        contract = self._seen(request)
        try:
            found = await self._accounts.claims(contract)
        except StatementError as error:
            raise Problem("malformed", str(error)) from error
        return web.json_response({"items": [asdict(one) for one in found], "after": None})

    async def statement(self, request: web.Request) -> web.Response:
        """Settled and rendered apart, so that the collector never holds the whole of a large one."""
        return await self._settled(request, self._asked(request).statement)

    async def letter(self, request: web.Request) -> web.Response:
        """Answers with the claim, to be signed and sent; filing it is a notice."""
        return await self._settled(request, partial(letter_of, self._asked(request), *self._head()))

    async def delivery(self, request: web.Request) -> web.Response:
        """Made from the log by a process apart, one at a time."""
        return await self._answered(request, self.note_of)

    async def acceptance(self, request: web.Request) -> web.Response:
        """Answers with the acceptance certificate of a window."""
        return await self._answered(request, self.certificate_of)

    async def statement_of(self, request: web.Request) -> Statement:
        """The statement that a request names. Raises Problem."""
        return await self._settler.made(self._asked(request).statement)

    async def letter_of(self, request: web.Request) -> ClaimLetter:
        """The letter that a request names. Raises Problem."""
        return await self._settler.made(partial(letter_of, self._asked(request), *self._head()))

    async def note_of(self, request: web.Request) -> DeliveryNote:
        """The delivery note that a request names. Raises Problem."""
        contract = self._seen(request)
        with _refusals():
            return await self._handover.delivery(contract, _as_of_s(request))

    async def certificate_of(self, request: web.Request) -> Certificate:
        """The certificate that a request names. Raises Problem."""
        contract = self._seen(request)
        ends = [request.query.get(name) for name in ("from", "until")]
        with _refusals():
            start, end = (instant(text) if text else None for text in ends)
            if start is None or end is None:
                raise StatementError("from and until are needed: instants of the window")
            return await self._handover.acceptance(contract, (start, end), _as_of_s(request))

    async def audit(self, request: web.Request) -> web.Response:
        """Answers with the audit of the contracts that whoever asks may see: of no other is anything said."""
        name, language, as_of = _format(request), _language(request), request.query.get("as_of")
        mine = viewer(request)
        names = [one for one in self._statements.book.contracts if mine.sees(one)]
        try:
            made = await self._audits.audit(names, None if as_of is None else instant(as_of))
        except StatementError as error:
            raise Problem("malformed", str(error)) from error
        return await _rendered(name, made, language)

    async def _answered(
        self,
        request: web.Request,
        make: Callable[[web.Request], Awaitable[Document]],
    ) -> web.Response:
        name, language = _format(request), _language(request)
        return await _rendered(name, await make(request), language)

    async def _settled(self, request: web.Request, make: Job[Document]) -> web.Response:
        name, language = _format(request), _language(request)
        try:
            body = await self._settler.made(partial(made_and_rendered, make, name, language))
        except UnrenderableError as error:
            raise Problem("malformed", str(error)) from error
        return _file(name, body)

    def _seen(self, request: web.Request) -> str:
        """The contract, if whoever asks may see it. Raises Problem."""
        contract = request.match_info["contract"]
        if not viewer(request).sees(contract) or contract not in self._statements.book.contracts:
            raise Problem("not_found", f"{contract}: no such contract")
        return contract

    async def issue(self, request: web.Request) -> web.Response:
        """Enters the statement in the log as issued, then answers with it."""
        asked = self._asked(request)
        statement = await self._settler.made(asked.statement)
        issued = Issued(
            contract=statement.contract,
            period=statement.period,
            as_of_us=instant(statement.as_of) * MICROSECONDS,
            engine=statement.engine,
            judged=statement.judged,
            lowest=statement.lowest,
            highest=statement.highest,
            digest=statement.digest,
            reached=asked.reached,
            zone_data=statement.zone_data,
            calendars=statement.calendars,
        )
        await self._submit(EntryKind.STATEMENT, issued)
        return await _rendered("json", statement)

    def _asked(self, request: web.Request) -> StatementRequest:
        """The statement that a request names, not yet settled. Raises Problem."""
        contract, label = self._seen(request), request.query.get("period")
        if label is None:
            raise Problem("malformed", "period is missing: a month such as 2026-10")
        with _refusals():
            asked = self._statements.ask(contract, label, _as_of_s(request))
            refuse_nothing(asked)
        return asked


@contextmanager
def _refusals() -> Iterator[None]:
    """What cannot be made, as a Problem."""
    try:
        yield
    except StatementError as error:
        raise Problem("malformed", str(error)) from error


def _as_of_s(request: web.Request) -> int | None:
    as_of = request.query.get("as_of")
    return None if as_of is None else instant(as_of)


async def _rendered(name: str, document: Document, language: Language = "en") -> web.Response:
    try:
        body = await asyncio.to_thread(FORMATS[name].render, document, language)
    except UnrenderableError as error:
        raise Problem("malformed", str(error)) from error
    return _file(name, body)


def _file(name: str, body: bytes) -> web.Response:
    return web.Response(body=body, headers={"Content-Type": FORMATS[name].media_type})


def _format(request: web.Request) -> str:
    name = request.query.get("format", "json")
    if name not in FORMATS:
        raise Problem("malformed", f"format must be one of {', '.join(FORMATS)}")
    return name


def _language(request: web.Request) -> Language:
    asked = request.query.get("lang", "en")
    for language in LANGUAGES:
        if asked == language:
            return language
    raise Problem("malformed", f"lang must be one of {', '.join(LANGUAGES)}")
