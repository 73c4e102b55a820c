"""Invites and keys: what an operator does about who may speak, over HTTP for those who may."""

import json
import secrets
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiohttp import web

from collector.api.bodies import read_body
from collector.api.routes import Access, Route
from collector.log.keys import KeyRing, NodeKey
from weighbridge.contract.scalars import instant_text
from weighbridge.log.entries import EntryKind, InviteIssued, KeySide
from weighbridge.wire.enrolment import Invite, secret_hash
from weighbridge.wire.problems import Problem
from weighbridge.wire.report import Count, Model, Name, Text, WireError, WirePart, canonical, read

SECRET_BYTES = 24
SECOND_US = 1_000_000
MAX_LIFE_SECONDS = 366 * 86400

Submit = Callable[[EntryKind, Model | WirePart], Awaitable[int]]
Asked = TypeVar("Asked", bound=Model)


class InviteRequest(Model):
    """Who is invited, and for how long. `devices` null: all of the node's; `resource` null: the only line item."""

    contract: Name
    side: KeySide
    node: Name
    devices: list[Name] | None
    resource: Name | None = None
    life_seconds: Count


class Revocation(Model):
    """Why a key must not speak any more, and since when its word does not count, if it was in other hands before."""

    reason: Text
    from_us: Count | None = None


class NodeRelease(Model):
    """The node that is taken from a contract."""

    contract: Name
    node: Name


class Administration:
    """`address` is how agents reach this collector: its URL, the hash of its CA (or None), and its log's key.

    It raises Problem: conflict, where the configuration does not say.
    """

    def __init__(
        self,
        ring: KeyRing,
        submit: Submit,
        wall_us: Callable[[], int],
        address: Callable[[], tuple[str, str | None, str]],
        received_us: Callable[[int], int],
    ) -> None:
        """`received_us`: when an entry of the log was received, by its index."""
        self._ring = ring
        self._submit = submit
        self._wall_us = wall_us
        self._address = address
        self._received_us = received_us

    def routes(self) -> tuple[Route, ...]:
        admin = Access.ADMIN
        one = "/v1/keys/{key_id}"
        return (
            Route("POST", "/v1/invites", self.invite, admin, "Invite an agent: one use, expires."),
            Route(
                "POST", "/v1/claims/release", self.release, admin, "Take a node from a contract."
            ),
            Route("GET", "/v1/keys", self.keys, admin, "Every key that was ever enrolled."),
            Route("POST", f"{one}/revoke", self.revoke, admin, "Let a key speak no more."),
            Route("POST", f"{one}/rotate", self.rotate, admin, "Invite a key's successor."),
        )

    async def invite(self, request: web.Request) -> web.Response:
        wanted = parse(InviteRequest, await read_body(request))
        return await self._invite(wanted)

    async def _invite(self, wanted: InviteRequest) -> web.Response:
        if wanted.side != "witness":
            self._check_resource(wanted.contract, wanted.resource)
            self._check_place(wanted)
        elif wanted.contract not in self._ring.contracts:
            raise Problem("not_found", f"there is no contract {wanted.contract}")
        if wanted.devices == []:
            raise Problem("malformed", "devices: name some, or null for all of the node's")
        if not 0 < wanted.life_seconds <= MAX_LIFE_SECONDS:
            raise Problem("malformed", f"life_seconds must be from 1 to {MAX_LIFE_SECONDS}")
        url, authority, log_key = self._address()
        secret = secrets.token_urlsafe(SECRET_BYTES)
        expires_us = self._wall_us() + wanted.life_seconds * SECOND_US
        issued = InviteIssued(
            secret_hash=secret_hash(secret),
            contract=wanted.contract,
            node=wanted.node,
            side=wanted.side,
            devices=wanted.devices,
            resource=wanted.resource,
            expires_us=expires_us,
        )
        index = await self._submit(EntryKind.INVITE, issued)
        invite = Invite(url=url, ca=authority, secret=secret, node=wanted.node, log_key=log_key)
        answer = {"invite": invite.line(), "expires_us": expires_us, "index": index}
        return web.json_response(answer)

    def _check_resource(self, contract: str, resource: str | None) -> None:
        """A node serves one line item, and where there are several it has to be said which. Raises Problem."""
        items = self._ring.contracts.get(contract)
        if items is None:
            raise Problem("not_found", f"there is no contract {contract}")
        if resource is None and len(items) > 1:
            raise Problem(
                "malformed", f"name one of the resources of {contract}: {', '.join(items)}"
            )
        if resource is not None and resource not in items:
            raise Problem("not_found", f"{contract} has no resource {resource}: {', '.join(items)}")

    def _check_place(self, wanted: InviteRequest) -> None:
        """A new node needs a place of the line item that nobody holds. Raises Problem: conflict."""
        items, assignments = (
            self._ring.contracts[wanted.contract],
            self._ring.assigned(wanted.contract),
        )
        item = wanted.resource or next(iter(items))
        holding = [
            name
            for name, assignment in assignments.items()
            if (assignment.resource or item) == item
        ]
        if wanted.node not in holding and len(holding) >= items[item]:
            raise Problem(
                "conflict",
                f"{wanted.contract} has places for {items[item]} nodes of {item}, spares included, and holds "
                f"{', '.join(holding)}: release one of them first",
            )

    async def release(self, request: web.Request) -> web.Response:
        """Its key goes on speaking: revoke it where it shall not."""
        wanted = parse(NodeRelease, await read_body(request))
        held = self._ring.assigned(wanted.contract).get(wanted.node)
        if held is None:
            raise Problem("not_found", f"{wanted.contract} holds no node {wanted.node}")
        assignment = held.model_copy(update={"devices": []})
        index = await self._submit(EntryKind.ASSIGNMENT, assignment)
        return web.json_response(
            {"contract": assignment.contract, "node": assignment.node, "index": index}
        )

    async def keys(self, _: web.Request) -> web.Response:
        return web.json_response({"keys": [described(key) for key in self._ring]})

    async def revoke(self, request: web.Request) -> web.Response:
        key = self._named(request)
        revocation = parse(Revocation, await read_body(request))
        since_us = revocation.from_us
        if key.revoked_index is not None:
            self._require_earlier(key, key.revoked_index, since_us)
        if since_us is not None and since_us < self._received_us(key.enrolled_index):
            raise Problem("conflict", f"key {key.key_id} began to speak after that instant")
        if since_us is not None and since_us > self._wall_us():
            raise Problem("conflict", "the instant from which on a key is revoked lies ahead")
        index = await self._submit(EntryKind.KEY, key.revocation(revocation.reason, since_us))
        return web.json_response({"key_id": key.key_id, "index": index})

    def _require_earlier(self, key: NodeKey, revoked_index: int, since_us: int | None) -> None:
        """Of a key that is revoked the instant moves back alone: what does not count is never made to count again."""
        held_us = self._received_us(revoked_index) if key.void_us is None else key.void_us
        if since_us is None or since_us >= held_us:
            raise Problem(
                "conflict",
                f"key {key.key_id} is revoked already; since when its word does not count can only be moved earlier"
                f" than {instant_text(held_us)}",
            )

    async def rotate(self, request: web.Request) -> web.Response:
        """The successor replaces the key at its enrolment, so that no report falls between them."""
        key = self._speaking(request)
        if key.invite is None:
            raise Problem("conflict", f"key {key.key_id} was not enrolled by an invite")
        wanted = InviteRequest(
            contract=key.invite.contract,
            side=key.invite.side,
            node=key.node,
            devices=key.invite.devices,
            resource=key.invite.resource,
            life_seconds=3 * 86400,
        )
        return await self._invite(wanted)

    def _speaking(self, request: web.Request) -> NodeKey:
        """The key that the path names. Raises Problem: conflict, where it is revoked."""
        key = self._named(request)
        if key.revoked_index is not None:
            raise Problem("conflict", f"key {key.key_id} is revoked already")
        return key

    def _named(self, request: web.Request) -> NodeKey:
        """The key that the path names, by its id or the unique beginning of it."""
        beginning = request.match_info["key_id"]
        found = [key for key in self._ring if key.key_id.startswith(beginning)]
        if len(found) != 1:
            raise Problem("not_found", f"{len(found)} keys begin with {beginning[:64]!r}")
        return found[0]


def parse(model: type[Asked], body: bytes) -> Asked:
    """A request's JSON, in any spelling. Raises Problem: malformed."""
    try:
        return read(model, canonical(json.loads(body)))
    except (WireError, ValueError, RecursionError) as error:
        raise Problem("malformed", str(error)) from error


def described(key: NodeKey) -> dict[str, object]:
    """A key as it is listed."""
    return {
        "key_id": key.key_id,
        "node": key.node,
        "side": key.side,
        "contract": None if key.invite is None else key.invite.contract,
        "enrolled_index": key.enrolled_index,
        "revoked_index": key.revoked_index,
        "reason": key.reason,
        "from_us": key.void_us,
    }
