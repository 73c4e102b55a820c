"""What parties say enters the log: signed with a key of theirs, or attested by the collector for somebody it knows."""

from dataclasses import asdict
from typing import Any, Literal

from aiohttp import web
from pydantic import Field

from collector.api.access import ADMITTED, GATE, Bearer, viewer
from collector.api.administration import parse
from collector.api.bodies import read_body
from collector.api.routes import Access, Route, page_of
from collector.log.commits import CommitBatch, Committer
from weighbridge.log.entries import EntryKind, Notice, PartyKey, payload_type
from weighbridge.notices.book import FOREVER_US, LoggedNotice, NoticeBook
from weighbridge.notices.rules import NoticeError, role_of
from weighbridge.wire.problems import Problem
from weighbridge.wire.report import Hash, Model, Name, WireError, canonical, encode, read
from weighbridge.wire.signing import (
    Envelope,
    SignatureError,
    encode_envelope,
    key_id,
    open_envelope,
    verify,
)

ENVELOPE_START = b'{"payload":'
NOTICE_TYPE = payload_type(EntryKind.NOTICE)
MAX_NOTICE_BYTES = 64 * 1024


class UnsignedNotice(Model):
    """A notice that nobody signed: the collector adds who is known to have said it."""

    contract: Name
    party: Name
    said: dict[str, Any] = Field(max_length=16)


class KeyRequest(Model):
    """A key of a party begins or ceases to speak."""

    action: Literal["enrolled", "revoked"]
    party: Name
    public_key: Hash


class NoticeAddition:
    """The plan that enters a notice. Its outcome is the entry's index; what was said before is not entered again."""

    closes = True

    def __init__(self, book: NoticeBook, notice: Notice, envelope: Envelope | None) -> None:
        self.size_bytes = len(encode(notice))
        self._book = book
        self._notice = notice
        self._envelope = envelope

    def enter(self, batch: CommitBatch) -> int:
        before = self._book.heard(self._notice)
        if before is not None:
            return before.index
        rules = self._book.rules(self._notice.contract)
        if rules is None:
            raise Problem("not_found", f"there is no contract {self._notice.contract}")
        try:
            rules.check(self._notice)
        except NoticeError as error:
            raise Problem("malformed", str(error)) from error
        if self._envelope is None:
            return batch.add_record(EntryKind.NOTICE, self._notice)
        return batch.add_leaf(EntryKind.NOTICE, encode_envelope(self._envelope))


class NoticesApi:
    """The handlers over one book."""

    def __init__(self, book: NoticeBook, committer: Committer) -> None:
        self._book = book
        self._committer = committer

    def routes(self) -> tuple[Route, ...]:
        """Everything that this module serves."""
        parties = "/v1/contracts/{contract}/parties"
        pages = ("after", "limit")
        return (
            Route("POST", "/v1/notices", self.add, Access.OPEN, "Say something as a party."),
            Route(
                "GET",
                "/v1/contracts/{contract}/notices",
                self.notices,
                Access.READ,
                "What the parties said.",
                pages,
            ),
            Route("GET", parties, self.parties, Access.READ, "Keys of the parties."),
            Route(
                "POST", parties, self.change_key, Access.ADMIN, "A party's key speaks, or no more."
            ),
        )

    async def add(self, request: web.Request) -> web.Response:
        """Open to all, because an envelope speaks for itself; anything else needs a token."""
        data = await read_body(request, MAX_NOTICE_BYTES)
        if data.startswith(ENVELOPE_START):
            envelope = _opened(data.strip())
            notice = self._signed(envelope)
            plan = NoticeAddition(self._book, notice, envelope)
        else:
            bearer = await request.app[GATE].admitted(request, ADMITTED[Access.SPEAK])
            plan = NoticeAddition(self._book, self._attested(bearer, data), None)
        return web.json_response({"index": (await self._committer.submit(plan)).outcome})

    def _signed(self, envelope: Envelope) -> Notice:
        notice = _notice(envelope.payload)
        key = self._book.party_key(notice.contract, envelope.key_id)
        if key is None:
            raise Problem("unknown_key", "this key speaks for no party of the contract")
        try:
            verify(envelope, bytes.fromhex(key.public_key))
        except SignatureError as error:
            raise Problem("bad_signature", str(error)) from error
        if notice.party != key.party or notice.attested_for is not None:
            raise Problem("forbidden", f"this key speaks for {key.party}, in its own name")
        return notice

    def _attested(self, bearer: Bearer, data: bytes) -> Notice:
        said = parse(UnsignedNotice, data)
        role = bearer.speaks_as(said.contract, said.party)
        if role is None:
            raise Problem("forbidden", "the token is for another party")
        return parse(Notice, canonical(said.model_dump() | {"attested_for": str(role)}))

    async def notices(self, request: web.Request) -> web.Response:
        contract = self._visible(request)
        contract_record = self._book.record(contract, FOREVER_US)
        heard = {
            (one.index,): one for one in (() if contract_record is None else contract_record.heard)
        }
        part = page_of(request, sorted(heard))
        items = [described(heard[place]) for place in part.items]
        return web.json_response({"items": items, "after": part.after})

    async def parties(self, request: web.Request) -> web.Response:
        keys = self._book.party_keys(self._visible(request))
        return web.json_response({"items": [key.model_dump() for key in keys], "after": None})

    async def change_key(self, request: web.Request) -> web.Response:
        contract = self._visible(request)
        wanted = parse(KeyRequest, await read_body(request))
        contract_record = self._book.record(contract, FOREVER_US)
        if contract_record is None:
            raise Problem("not_found", f"{contract}: no such contract")
        try:
            role_of(contract_record.newest, wanted.party)
        except NoticeError as error:
            raise Problem("malformed", str(error)) from error
        name = key_id(bytes.fromhex(wanted.public_key))
        speaks = self._book.party_key(contract, name)
        if (speaks is None) != (wanted.action == "enrolled"):
            raise Problem("conflict", "the key speaks already, or does not speak")
        change = PartyKey(contract=contract, **wanted.model_dump())
        index = await self._committer.enter(EntryKind.PARTY, change)
        return web.json_response({"index": index, "key_id": name})

    def _visible(self, request: web.Request) -> str:
        contract = request.match_info["contract"]
        if contract not in self._book.contracts or not viewer(request).sees(contract):
            raise Problem("not_found", f"{contract}: no such contract")
        return contract


def described(heard: LoggedNotice) -> dict[str, Any]:
    """A notice as it is listed."""
    facts = {"index": heard.index, "received_us": heard.received_us}
    return facts | {"authority": asdict(heard.authority)} | heard.notice.model_dump()


def _opened(data: bytes) -> Envelope:
    try:
        envelope = open_envelope(data)
    except SignatureError as error:
        raise Problem("malformed", str(error)) from error
    if envelope.payload_type != NOTICE_TYPE:
        raise Problem("malformed", f"the payload is no {NOTICE_TYPE}")
    return envelope


def _notice(payload: bytes) -> Notice:
    try:
        return read(Notice, payload)
    except WireError as error:
        raise Problem("malformed", str(error)) from error
