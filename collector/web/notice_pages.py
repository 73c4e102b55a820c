"""What parties say: read, entered and answered on pages, each previewed with what it changes before it is said."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from aiohttp import web

from collector.api.access import GATE, Bearer, Role, viewer
from collector.api.forms import form
from collector.api.notices import NoticeAddition, described
from collector.api.routes import Access, Route, page_of
from collector.documents.formats import FORMATS
from collector.documents.layouts import UnrenderableError
from collector.documents.notice_letter import notice_letter
from collector.documents.speaker import Speaker
from collector.documents.spelling import local
from collector.judging.preview import Previews
from collector.judging.settler import Settler
from collector.judging.statements import StatementError, Statements
from collector.log.commits import Committer
from collector.web.listing import next_page
from collector.web.notice_forms import (
    FormField,
    NoticeForm,
    answers_to,
    grouped,
    labels,
    said_wrong,
)
from collector.web.notice_previews import cards, remarked
from collector.web.page_words import name, say
from collector.web.shell import HEADERS, Shell, language_of
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.log.entries import Notice
from weighbridge.notices.book import FOREVER_US, ContractRecord, LoggedNotice
from weighbridge.notices.fates import OPEN, STANDS, Fate, fates
from weighbridge.notices.fields import FieldErrors, fields_of, kinds_for, notice_of
from weighbridge.notices.rules import NoticeError, NoticeRules
from weighbridge.wire.problems import Problem
from weighbridge.wire.report import canonical

HTML = "text/html"
NOTICES_SHOWN = 50
PATH = "/contracts/{contract}/notices"
FORM_PATH = f"{PATH}/new/{{kind}}"
FILLED_IN = ("party", "period", "unit", "amount", "id", "digest", "code", "lang")
"""What a link to a form may fill in."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A form of a contract, and who has it before them. `parties`: in whose name they may speak; the first is taken
    where they do not say."""

    contract: str
    kind: str
    rules: NoticeRules
    bearer: Bearer
    parties: tuple[str, ...]
    answers: Mapping[str, str]

    @property
    def party(self) -> str:
        return self.answers.get("party") or self.parties[0]

    def notice(self) -> Notice:
        """What they say. Raises FieldErrors; Problem: forbidden, where they do not speak for that party."""
        role = self.bearer.speaks_as(self.contract, self.party)
        if role is None:
            raise Problem("forbidden", f"this login does not speak for {self.party}")
        return notice_of(self.kind, self.rules, self.party, self.answers, str(role))


class NoticePages:
    """The handlers over one book."""

    def __init__(
        self, shell: Shell, statements: Statements, settler: Settler, committer: Committer
    ) -> None:
        self._shell = shell
        self._statements = statements
        self._committer = committer
        self._previews = Previews(statements, settler)

    def routes(self) -> tuple[Route, ...]:
        """Everything that notices need."""
        listed, speak = ("after", "limit", "said", "lang"), Access.SPEAK
        letter, shown = f"{PATH}/{{entry:[0-9]+}}", ("format", "lang")
        return (
            Route("GET", PATH, self.notices, Access.READ, "What parties said.", listed, HTML),
            Route("GET", letter, self.letter, Access.READ, "A notice as a letter.", shown, HTML),
            Route("GET", FORM_PATH, self.form, speak, "Say something.", FILLED_IN, HTML),
            Route("POST", FORM_PATH, self.answer, speak, "Preview it, or say it.", ("lang",), HTML),
        )

    async def notices(self, request: web.Request) -> web.Response:
        """The newest first, each with what became of it."""
        record, language = self._record(request), language_of(request)
        heard = {(-one.index,): one for one in record.heard}
        part = page_of(request, sorted(heard), NOTICES_SHOWN)
        contract = record.newest
        speak = Speaker(language, contract.currency, contract.time_zone)
        shown = [heard[place] for place in part.items]
        parties, kinds = self._may_say(request, record)
        rows = await asyncio.to_thread(_rows, record, shown, speak)
        for row, one in zip(rows, shown, strict=True):
            waits = row["open"] and {*parties} != {one.notice.party}
            row["answers"] = list(answers_to(one.notice.said, waits, kinds, contract.time_zone))
        said = request.query.get("said", "")
        return await self._shell.page(
            request,
            "notices.html",
            zone=contract.time_zone,
            contract=contract.contract_id,
            rows=rows,
            next=next_page(part),
            groups=grouped(kinds),
            said=said if said.isascii() and said.isdigit() else "",
        )

    async def letter(self, request: web.Request) -> web.Response:
        """To be read, printed and sent, in the formats that letters have."""
        record, entry = self._record(request), request.match_info["entry"]
        found = next((one for one in record.heard if str(one.index) == entry), None)
        if found is None:
            raise Problem("not_found", f"entry {entry} is no notice of this contract")
        format_name = request.query.get("format", "html")
        if format_name not in FORMATS:
            raise Problem("malformed", f"format must be one of {', '.join(FORMATS)}")
        simulated = self._shell.simulation
        letter = notice_letter(described(found), record.versions[-1].text, simulated)
        shape, language = FORMATS[format_name], language_of(request)
        try:
            body = await asyncio.to_thread(shape.render, letter, language)
        except UnrenderableError as error:
            raise Problem("malformed", str(error)) from error
        return web.Response(body=body, headers={"Content-Type": shape.media_type})

    async def form(self, request: web.Request) -> web.Response:
        """Empty, but for what the link fills in, and the time."""
        asked = self._asked(request, request.query)
        zone = asked.rules.newest.time_zone
        now = local(self._statements.newest_s * MICROSECONDS, zone).replace(" ", "T")
        return await self._asking(request, asked, {"at": now, **asked.answers}, {})

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """What a form sent: previewed; or said, downloaded, or gone back to."""
        sent = await form(request)
        asked, wanted = self._asked(request, sent), sent.get("do", "preview")
        if wanted == "change":
            return await self._asking(request, asked, asked.answers, {})
        try:
            notice = asked.notice()
        except FieldErrors as error:
            return await self._asking(request, asked, asked.answers, error.errors)
        if wanted == "attest":
            return await self._entered(asked, notice)
        if wanted == "download":
            return _file(asked, notice)
        return await self._previewed(request, asked, notice)

    async def _entered(self, asked: Asked, notice: Notice) -> web.Response:
        """What was said before is not entered again, so a form that is sent twice says its thing once."""
        plan = NoticeAddition(self._statements.book, notice, None)
        index = (await self._committer.submit(plan)).outcome
        path = PATH.format(contract=quote(asked.contract, safe=""))
        return web.Response(status=303, headers=HEADERS | {"Location": f"{path}?said={index}"})

    async def _previewed(self, request: web.Request, asked: Asked, notice: Notice) -> web.Response:
        try:
            preview = await self._previews.of(notice)
        except StatementError as error:
            raise Problem("malformed", str(error)) from error
        contract, language = asked.rules.newest, language_of(request)
        speak = Speaker(language, contract.currency, contract.time_zone)
        before = self._statements.book.heard(notice)
        fields = list(self._form(asked, language).shown(asked.answers, {}))
        return await self._shell.page(
            request,
            "notice_preview.html",
            zone=contract.time_zone,
            resent=_again(asked, fields, "preview"),
            contract=asked.contract,
            kind=asked.kind,
            party=asked.party,
            fields=fields,
            as_of_us=self._statements.newest_s * MICROSECONDS,
            cards=await asyncio.to_thread(cards, preview, speak),
            remarks=list(remarked(preview, speak)),
            before=None if before is None else before.index,
        )

    async def _asking(
        self,
        request: web.Request,
        asked: Asked,
        answers: Mapping[str, str],
        errors: Mapping[str, NoticeError],
    ) -> web.Response:
        contract, language = asked.rules.newest, language_of(request)
        whole = [said_wrong(errors[at], language) for at in ("", "party") if at in errors]
        fields = list(self._form(asked, language).shown(answers, errors))
        shown_by = "preview" if errors else "change"
        return await self._shell.page(
            request,
            "notice_form.html",
            status=400 if errors else 200,
            zone=contract.time_zone,
            resent=_again(asked, fields, shown_by) if request.method == "POST" else None,
            contract=asked.contract,
            kind=asked.kind,
            parties=asked.parties,
            party=asked.party,
            fields=fields,
            whole=whole,
            wrong=bool(errors),
        )

    def _form(self, asked: Asked, language: Any) -> NoticeForm:
        contract = asked.rules.newest
        periods = labels(contract, self._statements.newest_s)
        issued = (self._statements.book.issued(asked.contract, one, FOREVER_US) for one in periods)
        digests = [one.digest for one in issued if one is not None]
        fields = fields_of(asked.kind, asked.rules.events)
        return NoticeForm(asked.rules, fields, language, periods, digests)

    def _asked(self, request: web.Request, answers: Mapping[str, str]) -> Asked:
        """Raises Problem: not_found, forbidden."""
        record, kind = self._record(request), request.match_info["kind"]
        rules = self._statements.book.rules(record.newest.contract_id)
        bearer = request.app[GATE].caller(request).bearer
        parties = _speaks_for(bearer, record)
        if rules is None or kind not in {
            one for party in parties for one in kinds_for(rules, party)
        }:
            raise Problem("not_found", f"there is no notice {kind} that this login may give")
        mine = tuple(party for party in parties if kind in kinds_for(rules, party))
        return Asked(record.newest.contract_id, kind, rules, bearer, mine, answers)

    def _may_say(
        self, request: web.Request, record: ContractRecord
    ) -> tuple[tuple[str, ...], list[str]]:
        """In whose name this reader may speak, and what they may say."""
        caller = request.app[GATE].who(request)
        rules = self._statements.book.rules(record.newest.contract_id)
        if caller is None or rules is None:
            return (), []
        parties = _speaks_for(caller.bearer, record)
        found = (kinds_for(rules, party) for party in parties)
        return parties, list(dict.fromkeys(kind for kinds in found for kind in kinds))

    def _record(self, request: web.Request) -> ContractRecord:
        """Of the contract, if the reader sees it. Raises Problem."""
        contract = request.match_info["contract"]
        record = self._statements.book.record(contract, FOREVER_US)
        if record is None or not viewer(request).sees(contract):
            raise Problem("not_found", f"{contract}: no such contract")
        return record


def _speaks_for(bearer: Bearer, record: ContractRecord) -> tuple[str, ...]:
    """The parties of the newest version in whose name somebody may speak; an administrator in anybody's."""
    contract = record.newest
    named = [one.id for one in contract.parties]
    if Role.ADMIN in bearer.roles:
        return tuple(named)
    return tuple(one for one in bearer.parties(contract.contract_id) if one in named)


def _again(asked: Asked, fields: Sequence[FormField], do: str) -> dict[str, str]:
    """What a form sends to be shown again as it was filled in: nothing is said by it."""
    return {"party": asked.party, **{one.name: one.value for one in fields}, "do": do}


def _file(asked: Asked, notice: Notice) -> web.Response:
    """What is to be signed by whoever holds the party's key."""
    said = notice.model_dump(mode="json", include={"contract", "party", "said"})
    disposition = f'attachment; filename="notice-{asked.kind}.json"'
    headers = HEADERS | {"Content-Disposition": disposition}
    return web.Response(body=canonical(said), content_type="application/json", headers=headers)


def _rows(
    record: ContractRecord, shown: list[LoggedNotice], speak: Speaker
) -> list[dict[str, Any]]:
    became = fates(record, {one.index for one in shown})
    return [_row(one, became.get(one.index, STANDS), speak) for one in shown]


def _row(heard: LoggedNotice, fate: Fate, speak: Speaker) -> dict[str, Any]:
    said = heard.notice.said.model_dump()
    kind = said.get("event", said["kind"])
    named = [said[key] for key in ("id", "code", "period") if key in said]
    units = said.get("units", [said.get("unit") or ""])
    details = said.get("details", {})
    return {
        "index": heard.index,
        "received_us": heard.received_us,
        "party": heard.notice.party,
        "what": name("event", kind, speak.language),
        "named": " ".join(named),
        "unit": " ".join(units),
        "times": list(_times_us(said)),
        "details": [(speak.name("detail", key), text) for key, text in details.items()],
        "authority": speak.told(heard.authority),
        "fate": _fate(fate, speak),
        "by": fate.entry,
        "open": fate.code in OPEN,
    }


def _fate(fate: Fate, speak: Speaker) -> str:
    kind, sign, code = fate.code.partition(".")
    return speak.name(kind, code) if sign else say(f"fate.{kind}", speak.language)


def _times_us(said: Mapping[str, Any]) -> Iterator[int]:
    for key in ("from_us", "until_us", "since_us", "at_us"):
        if said.get(key) is not None:
            yield said[key]
