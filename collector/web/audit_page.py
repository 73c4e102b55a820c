"""The audit of a reader's contracts: each red flag, what it rests on, and what else may be behind it."""

import asyncio
from collections.abc import Collection, Iterator
from typing import Any, Protocol

from aiohttp import web

from collector.api.access import viewer
from collector.documents.formats import FORMATS
from collector.documents.layouts import layout_of
from collector.documents.words import Language, name
from collector.judging.live import Fleet
from collector.judging.statements import StatementError, instant
from collector.web.shell import Shell, language_of
from weighbridge.audit.auditing import Audit, FlagLine
from weighbridge.audit.flag import flag_rows
from weighbridge.catalogue.findings import Said
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.judge.ledger import HOUR_US
from weighbridge.settlement.periods import HOUR_S
from weighbridge.wire.problems import Problem

FLAGS_SHOWN = 200
"""More than that nobody reads on a page; the document has them all."""


class Auditing(Protocol):
    """Makes audits: `collector.judging.portfolio.Audits`."""

    async def audit(self, names: Collection[str], as_of_s: int | None = None) -> Audit: ...


class AuditPage:
    """The handler over one fleet."""

    def __init__(self, shell: Shell, fleet: Fleet, audits: Auditing) -> None:
        self._shell = shell
        self._fleet = fleet
        self._audits = audits

    async def audit(self, request: web.Request) -> web.Response:
        """As of the last full hour, so that who looks again gets the same; or as of an instant. `contract`: its flags
        alone."""
        mine, as_of = viewer(request), request.query.get("as_of")
        names = [name for name in self._fleet.contracts if mine.sees(name)]
        as_of_s = self._fleet.now_us // HOUR_US * HOUR_S
        try:
            made = await self._audits.audit(names, as_of_s if as_of is None else instant(as_of))
        except StatementError as error:
            raise Problem("malformed", str(error)) from error
        language, contract = language_of(request), request.query.get("contract", "")
        chosen = [one for one in made.flags if contract in ("", *one.contracts)]
        layout = await asyncio.to_thread(layout_of, made, language)
        return await self._shell.page(
            request,
            "audit.html",
            layout=layout,
            flags=list(_told(chosen[:FLAGS_SHOWN], set(names), language)),
            count=len(chosen),
            contract=contract,
            formats=sorted(FORMATS),
            as_of=made.as_of,
            hourly=as_of is None,
        )


def _told(
    flags: Collection[FlagLine], names: Collection[str], language: Language
) -> Iterator[dict[str, Any]]:
    """Each as its document has it, with the words of its row; `names`: contracts that have a page."""
    for one in flags:
        row = flag_rows()[one.code]
        yield {
            "code": one.code,
            "level": one.level,
            "means": _in(row.means, language),
            "innocent": [_in(said, language) for said in row.innocent],
            "contracts": [(contract, contract in names) for contract in one.contracts],
            "subject": one.subject,
            "since_us": instant(one.since) * MICROSECONDS,
            "figures": [(name("figure", figure, language), value) for figure, value in one.figures],
            "entries": one.entries,
        }


def _in(said: Said, language: Language) -> str:
    return said.en if language == "en" else said.zh
