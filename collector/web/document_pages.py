"""Statements, letters, delivery notes and certificates to read in the browser, to print, and to download."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Protocol
from urllib.parse import quote, urlencode

from aiohttp import web

from collector.documents.claim_letter import ClaimLetter
from collector.documents.formats import FORMATS
from collector.documents.layouts import layout_of
from collector.documents.words import LANGUAGES
from collector.judging.live import Fleet
from collector.web.contract_summary import contract_path
from collector.web.refusals import reason_in
from collector.web.seeing import seen
from collector.web.shell import HEADERS, Shell, language_of
from collector.web.window_form import WindowForm, window_form
from weighbridge.handover.documents import Certificate, DeliveryNote
from weighbridge.settlement.statement import Statement
from weighbridge.wire.problems import Problem

SUFFIXES = {"text": "txt"}
"""Of formats whose files do not end in their name."""

Paper = Statement | ClaimLetter | DeliveryNote | Certificate


class Papers(Protocol):
    """Makes the document that a request names, or raises Problem: `collector.api.statements.SettlementApi`."""

    async def statement_of(self, request: web.Request) -> Statement: ...

    async def letter_of(self, request: web.Request) -> ClaimLetter: ...

    async def note_of(self, request: web.Request) -> DeliveryNote: ...

    async def certificate_of(self, request: web.Request) -> Certificate: ...


class DocumentPages:
    """The handlers over one store's documents."""

    def __init__(self, shell: Shell, fleet: Fleet, papers: Papers) -> None:
        self._shell = shell
        self._fleet = fleet
        self._papers = papers

    async def statement(self, request: web.Request) -> web.Response:
        """Of a period, as of now or as of an instant."""
        return await self._shown(request, "statement", self._papers.statement_of)

    async def letter(self, request: web.Request) -> web.Response:
        """The letter that claims what a period earned."""
        return await self._shown(request, "letter", self._papers.letter_of)

    async def delivery(self, request: web.Request) -> web.Response:
        """The delivery note."""
        return await self._shown(request, "delivery", self._papers.note_of)

    async def acceptance(self, request: web.Request) -> web.Response:
        """The acceptance certificate of a window; it is asked for where none was named, or none that can be."""
        _, version = seen(self._fleet, request)
        form = window_form(request.query, version.time_zone)
        if form.errors:
            return await self._asking(request, form)
        if form.instants != form.asked:
            there = request.rel_url.update_query(form.instants)
            return web.Response(status=303, headers=HEADERS | {"Location": str(there)})
        try:
            return await self._shown(request, "acceptance", self._papers.certificate_of)
        except Problem as error:
            if error.code != "malformed":
                raise
            return await self._asking(request, form, error.detail)

    async def _asking(
        self, request: web.Request, form: WindowForm, wrong: str = ""
    ) -> web.Response:
        name, version = seen(self._fleet, request)
        language = language_of(request)
        return await self._shell.page(
            request,
            "acceptance.html",
            zone=version.time_zone,
            status=400 if form.asked else 200,
            contract=name,
            fields=list(form.fields(version, language)),
            wrong=reason_in(wrong, language) if wrong else "",
        )

    async def _shown(
        self, request: web.Request, kind: str, make: Callable[[web.Request], Awaitable[Paper]]
    ) -> web.Response:
        """The whole document, laid out in a thread; its files are as of the same instant."""
        name, version = seen(self._fleet, request)
        made = await make(request)
        asked = {
            key: request.query[key] for key in ("period", "from", "until") if key in request.query
        }
        back = {key: value for key, value in asked.items() if key == "period"}
        return await self._shell.page(
            request,
            "document.html",
            zone=version.time_zone,
            layout=await asyncio.to_thread(layout_of, made, language_of(request)),
            contract=name,
            back=contract_path(name, **back),
            downloads=list(_downloads(name, kind, asked | {"as_of": as_of(made)})),
            bundle=_bundle(name, asked | {"as_of": as_of(made)}) if kind == "statement" else None,
        )


def _bundle(contract: str, asked: Mapping[str, str]) -> tuple[str, str]:
    """The name and the address of the file that holds what a statement rests on."""
    address = f"/v1/contracts/{quote(contract, safe='')}/bundle?{urlencode(asked)}"
    return f"{contract}-{asked['period']}.tar".replace("/", "-"), address


def as_of(made: Paper) -> str:
    """The instant that a document is of."""
    match made:
        case Statement():
            return made.as_of
        case ClaimLetter():
            return made.statement.as_of
        case _:
            return made.source.as_of


def _downloads(
    contract: str, kind: str, asked: Mapping[str, str]
) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """By language the name and the address of each file."""
    path = f"/v1/contracts/{quote(contract, safe='')}/{kind}"
    stem = "-".join([kind, contract, *asked.values()]).replace("/", "-").replace(":", "")
    for tag in LANGUAGES:
        yield (
            tag,
            [
                (
                    f"{stem}-{tag}.{SUFFIXES.get(name, name)}",
                    f"{path}?{urlencode({**asked, 'format': name, 'lang': tag})}",
                )
                for name in FORMATS
            ],
        )
