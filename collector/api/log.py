"""The doors of the evidence log: reports and enrolment in; heads, entries and proofs out; and health."""

import asyncio
import json
import logging
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from aiohttp import web
from msgspec import to_builtins

from collector.api.access import client, viewer
from collector.api.bodies import read_body
from collector.api.room import site
from collector.api.routes import Access, Route, whole_number
from collector.log.commits import Committer
from collector.log.enrolment import Enrolment, parse_request
from collector.log.ingest import Ingest, Receipts
from collector.log.keys import KeyRing
from collector.storage.store import CorruptStore, EvidenceLog
from collector.tls import NEXT
from weighbridge.log.checkpoint import Head, log_key
from weighbridge.log.entries import Succession
from weighbridge.log.merkle import Node, consistency_proof, inclusion_proof
from weighbridge.log.succession import KEYS_PATH, KeysTold, LogKeys, Proven
from weighbridge.wire.enrolment import (
    AUTHORITY_PATH,
    ENROL_BYTES,
    ENROL_PATH,
    NEXT_AUTHORITY_PATH,
    Enrolled,
)
from weighbridge.wire.parts import PARTS_HEADER, PARTS_TYPE, offer
from weighbridge.wire.problems import Problem
from weighbridge.wire.receipts import KEPT_HEADER, MOST_KEPT, REPORTS_PATH

logger = logging.getLogger("weighbridge.log_api")

MAX_ENTRIES = 1000
MAX_ENTRIES_BYTES = 16 << 20
PIECE_BYTES = 256 << 10
MAX_INDEX = 2**53 - 1
SIZE = re.compile(r"[0-9]{1,16}")


class LogApi:
    """`authority` is the file of the CA certificate.

    `timed` makes a context that times one request with reports.
    """

    def __init__(
        self,
        log: EvidenceLog,
        committer: Committer,
        ring: KeyRing,
        ingest: Ingest,
        authority: Path,
        timed: Callable[[], AbstractContextManager[object]],
    ) -> None:
        self._log = log
        self._committer = committer
        self._ring = ring
        self._ingest = ingest
        self._authority = authority
        self._timed = timed

    def routes(self) -> tuple[Route, ...]:
        opened, read = Access.OPEN, Access.READ
        proof = ("index", "size", "from", "to")
        text = "text/plain"
        return (
            Route("POST", REPORTS_PATH, self.reports, opened, "Signed reports of one chain."),
            Route("POST", ENROL_PATH, self.enroll, opened, "A key for a node, by an invite."),
            Route("GET", AUTHORITY_PATH, self.authority, opened, "The CA's certificate.", (), text),
            Route(
                "GET",
                NEXT_AUTHORITY_PATH,
                self.next_authority,
                opened,
                "The certificate of the CA that follows.",
                (),
                text,
            ),
            Route("GET", "/v1/log/head", self.head, read, "The newest signed head."),
            Route(
                "GET", KEYS_PATH, self.keys, opened, "The log's keys, each announced by the last."
            ),
            Route("GET", "/v1/log/entries", self.entries, read, "Entries.", ("start", "limit")),
            Route("GET", "/v1/log/proof", self.proof, read, "Inclusion or consistency.", proof),
        )

    async def reports(self, request: web.Request) -> web.Response:
        encoding = request.headers.get("Content-Encoding")
        if encoding is None and request.content_type == PARTS_TYPE:
            encoding = PARTS_TYPE
        body = await read_body(request, prove=lambda data: self._ingest.speaker(data, encoding))
        with self._timed():
            receipts = await self._accepted(request, body, encoding)
        answer = {
            "receipts": to_builtins(receipts.placed),
            "head": receipts.head.note,
            "want_inventory": receipts.want_inventory,
        }
        answer |= self._consistency(request, receipts.head)
        return web.json_response(answer, headers={PARTS_HEADER: offer(receipts.base)})

    async def _accepted(self, request: web.Request, body: bytes, encoding: str | None) -> Receipts:
        """A key that is not known may have been known to a longer log: who holds its head is shown this one's."""
        try:
            return await self._ingest.accept(body, encoding, site(client(request)))
        except Problem as problem:
            if problem.code == "unknown_key":
                head = self._committer.head
                problem.members |= {"head": head.note, **self._consistency(request, head)}
            raise

    def _consistency(self, request: web.Request, head: Head) -> dict[str, Any]:
        """From the sizes that the agent was shown to the head of this answer, where it asks. A damaged tree proves
        nothing, and holds up no receipt."""
        asked = request.headers.get(KEPT_HEADER, "").split(",")[:MOST_KEPT]
        sizes = [int(size) for size in asked if SIZE.fullmatch(size)]
        if not sizes:
            return {}
        try:
            node = self._log.proven()
            proofs = {
                str(size): [one.hex() for one in consistency_proof(size, head.size, node)]
                for size in sizes
                if 0 < size <= head.size
            }
        except CorruptStore:
            return {}
        return {"consistency": proofs} if proofs else {}

    async def enroll(self, request: web.Request) -> web.Response:
        asked = parse_request(await read_body(request, ENROL_BYTES))
        answer = await self._committer.submit(Enrolment(asked, self._ring))
        key_id, origin = answer.outcome, answer.head.origin
        logger.info("key %s speaks for %s, enrolled from %s", key_id, asked.node, client(request))
        enrolled = Enrolled(
            node=asked.node, key_id=key_id, origin=origin, log_key=self._keys.newest.hex()
        )
        return web.json_response(enrolled.model_dump())

    async def authority(self, _: web.Request) -> web.Response:
        return await _certificate(self._authority)

    async def next_authority(self, _: web.Request) -> web.Response:
        return await _certificate(self._authority.with_name(f"{NEXT}.pem"))

    async def head(self, _: web.Request) -> web.Response:
        head = self._committer.head
        answer: dict[str, Any] = {"size": head.size, "root": head.root.hex(), "head": head.note}
        key = self._keys.newest
        answer |= {"log_key": key.hex(), "vkey": str(log_key(head.origin, key))}
        return web.json_response(answer)

    @property
    def _keys(self) -> LogKeys:
        return self._committer.own.keys

    async def keys(self, _: web.Request) -> web.Response:
        """What leads whoever knows one of the keys to the newest, each step proven."""
        head, keys = self._committer.head, self._keys
        announced = list(zip(keys.successions, keys.leaves, strict=True))
        node = self._log.proven()
        told = KeysTold(
            first=keys.first.hex(),
            successions=[_proven(said, leaf, head.size, node) for said, leaf in announced],
            head=head.note,
        )
        return web.json_response(told.model_dump())

    async def entries(self, request: web.Request) -> web.StreamResponse:
        """Exact envelopes, as text: only their very bytes hash to the leaf. They are of every tenant.

        Read as they are taken: whoever does not read holds one piece.
        """
        if viewer(request).contracts is not None:
            raise Problem("forbidden", "entries are of every contract; the token is for one")
        start = whole_number(request, "start", 0, 0, MAX_INDEX)
        end = start + whole_number(request, "limit", 100, 1, MAX_ENTRIES)
        answer = web.StreamResponse(headers={"Content-Type": "application/json; charset=utf-8"})
        await answer.prepare(request)
        left, separator = MAX_ENTRIES_BYTES, "["
        while start < end and left > 0:
            leaves = await asyncio.to_thread(self._some, start, end - start, min(left, PIECE_BYTES))
            if not leaves:
                break
            rows = [_row(index, leaf) for index, leaf in enumerate(leaves, start)]
            await answer.write((separator + ",".join(rows)).encode())
            left, start = left - sum(map(len, leaves)), start + len(leaves)
            separator = ","
        await answer.write_eof(b"]" if separator == "," else b"[]")
        return answer

    def _some(self, start: int, limit: int, size_bytes: int) -> list[bytes]:
        """At most `limit` leaves, and at least one if there is one, but no more than so many bytes."""
        leaves: list[bytes] = []
        for leaf in self._log.leaves(start, limit):
            size_bytes -= len(leaf)
            if leaves and size_bytes < 0:
                break
            leaves.append(leaf)
        return leaves

    async def proof(self, request: web.Request) -> web.Response:
        """`index` and `size` ask for inclusion, `from` and `to` for consistency; sizes default to the head's."""
        size = self._committer.head.size
        if "index" in request.query:
            index = whole_number(request, "index", 0, 0, MAX_INDEX)
            upto = whole_number(request, "size", size, 0, size)
            return _hashes(lambda: inclusion_proof(index, upto, self._log.proven()))
        if "from" in request.query:
            old = whole_number(request, "from", 0, 0, MAX_INDEX)
            upto = whole_number(request, "to", size, 0, size)
            return _hashes(lambda: consistency_proof(old, upto, self._log.proven()))
        raise Problem("malformed", "name index and size, or from and to")


def _row(index: int, leaf: bytes) -> str:
    return json.dumps({"index": index, "envelope": leaf.decode()})


def _proven(said: Succession, leaf: bytes, size: int, node: Node) -> Proven:
    proof = inclusion_proof(said.index, size, node)
    return Proven(envelope=leaf.decode(), proof=[one.hex() for one in proof])


def _hashes(proof: Callable[[], list[bytes]]) -> web.Response:
    try:
        hashes = proof()
    except ValueError as error:
        raise Problem("malformed", str(error)) from error
    return web.json_response({"hashes": [one.hex() for one in hashes]})


async def _certificate(file: Path) -> web.Response:
    try:
        pem = await asyncio.to_thread(file.read_bytes)
    except FileNotFoundError as error:
        raise Problem("not_found", f"this collector has no {file.stem} certificate") from error
    return web.Response(body=pem, content_type="application/x-pem-file")
