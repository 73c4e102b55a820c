"""The doors of challenges: commands and answers for agents, beginning one and looking at it for whoever may."""

import asyncio
from collections.abc import Coroutine
from dataclasses import MISSING, fields

from aiohttp import web

from collector.api.access import viewer
from collector.api.administration import parse
from collector.api.bodies import Bodies, NoRoom, read_body
from collector.api.doors import known
from collector.api.routes import Access, Route
from collector.challenges.attempts import Challenges, ShownSeries
from collector.challenges.command_queue import PollAuthenticator
from collector.challenges.exchange import AT_ONCE_BYTES, Exchange
from collector.judging.live import LiveFleet
from collector.log.decoding import Decoder
from weighbridge.challenge.ceiling import ceiling_flops_per_second
from weighbridge.challenge.codec import Malformed, shaped
from weighbridge.challenge.messages import PAYLOAD_TYPE
from weighbridge.challenge.policy import Policy, PolicyError
from weighbridge.challenge.record import COMMAND
from weighbridge.challenge.sizes import LARGEST_ANSWER_BYTES
from weighbridge.judge.assignments import AssignmentError
from weighbridge.wire.polling import POLL_HEADER, POLL_PATH, answer_path
from weighbridge.wire.problems import Problem
from weighbridge.wire.report import Count, Model, Name, Text
from weighbridge.wire.signing import SignatureError

POLL_SECONDS = 50.0
FOLLOWING_SECONDS = 10.0
"""How long an answer's own reply waits for the command that follows it; then the agent asks."""
ANSWERS = {
    "ready": "Ready or declined.",
    "roots": "Roots of a phase.",
    "openings": "Sampled openings.",
}
"""How long a request for commands waits. Proxies cut what is silent for a minute."""

ANSWERS_BYTES = 2 * LARGEST_ANSWER_BYTES
"""What may be held of all large answers that are coming or wait to be read, and again of all small ones: those that are
timed do not wait behind what another tenant lets trickle in.
"""

DEFAULTS = {one.name: one.default for one in fields(Policy) if one.default is not MISSING}


class ChallengeRequest(Model):
    """Nodes that are challenged at the same moment. `policy` null: the numbers of the contract."""

    nodes: list[Name]
    contract: Name | None
    policy: dict[Name, Count | Text] | None


class ChallengeApi:
    """`authenticator`: the one of every door to which polls come."""

    def __init__(
        self, challenges: Challenges, fleet: LiveFleet, authenticator: PollAuthenticator
    ) -> None:
        self._challenges = challenges
        self._fleet = fleet
        self._authenticator = authenticator
        self._large = Bodies(LARGEST_ANSWER_BYTES, ANSWERS_BYTES, 0, 0)
        self._small = Bodies(AT_ONCE_BYTES, ANSWERS_BYTES, 0, 0)

    def routes(self) -> tuple[Route, ...]:
        opened, one = Access.OPEN, "/v1/challenges/{id}"
        told = "Signed by the agent's key."
        return (
            Route(
                "GET", POLL_PATH, self.commands, opened, "Waits for a command.", (), PAYLOAD_TYPE
            ),
            *(
                Route("POST", answer_path("{id}", step), self.answer, opened, f"{said} {told}")
                for step, said in ANSWERS.items()
            ),
            Route("POST", "/v1/challenges", self.begin, Access.ADMIN, "Challenge nodes now."),
            Route("GET", one, self.show, Access.READ, "How a challenge stands."),
        )

    async def commands(self, request: web.Request) -> web.Response:
        """204 when the time is up: ask again."""
        key = self._authenticator.admit(request.headers.get(POLL_HEADER))
        known(request, key.key_id)

        self._challenges.polled(key.key_id)
        command = await self._command(request, key.key_id, POLL_SECONDS)
        if command is None:
            return web.Response(status=204)
        return web.Response(body=command, content_type=PAYLOAD_TYPE)

    def _command(
        self, request: web.Request, key: str, seconds: float
    ) -> Coroutine[None, None, bytes | None]:
        """What waits for the next command: of every agent one does, so it is no more than the wait itself."""

        def alive() -> bool:
            return request.transport is not None and not request.transport.is_closing()

        return self._challenges.commands.wait(key, seconds, alive)

    async def answer(self, request: web.Request) -> web.Response:
        """Whose exchange it is comes first: of nobody else a byte of the body is read."""
        key = self._authenticator.admit(request.headers.get(POLL_HEADER))
        exchange = self._challenges.exchange(request.match_info["id"], key.key_id)
        if exchange.taking:
            raise Problem(
                "overloaded",
                "an answer in this challenge is coming in already",
                retry_after_seconds=1,
            )
        exchange.taking = True
        try:
            receipt = await self._take(request, exchange, key.key_id)
        except NoRoom:
            exchange.crowded_out = True
            raise
        except SignatureError as error:
            raise Problem("bad_signature", str(error)) from error
        except Malformed as error:
            raise Problem("malformed", str(error)) from error
        finally:
            exchange.taking = False
        return await self._acknowledged(request, exchange, receipt)

    async def _acknowledged(
        self, request: web.Request, exchange: Exchange, receipt: "asyncio.Future[bytes]"
    ) -> web.Response:
        """The receipt, and what comes next where that follows at once."""
        following = None
        if exchange.goes_on:
            coming = self._command(request, exchange.key_id, FOLLOWING_SECONDS)
            following = asyncio.create_task(coming)
        try:
            entered = await asyncio.shield(receipt)
            command = None if following is None else await following
        finally:
            if following is not None:
                following.cancel()
        exchange.told(self._challenges.clocks.clock_ns())
        text = None if command is None else command.decode("ascii")
        return web.json_response({"receipt": entered.decode("ascii"), "command": text})

    async def _take(
        self, request: web.Request, exchange: Exchange, key: str
    ) -> "asyncio.Future[bytes]":
        """The clock is read when the last byte is here. The answer's receipt."""
        most_bytes = exchange.largest_answer
        if most_bytes == 0:
            raise Malformed("no answer is expected")
        bodies = self._small if most_bytes <= AT_ONCE_BYTES else self._large
        body = await bodies.read(request, most_bytes, exchange.patience_seconds, key)
        now_ns = self._challenges.clocks.clock_ns()
        encoding = request.headers.get("Content-Encoding")
        with bodies.held(body):
            return await exchange.receive(
                lambda: Decoder().decoded(body, encoding, most_bytes), now_ns
            )

    async def begin(self, request: web.Request) -> web.Response:
        wanted = parse(ChallengeRequest, await read_body(request))
        if not wanted.nodes:
            raise Problem("malformed", "name a node")
        subjects = [self._challenges.subject(node, wanted.contract) for node in wanted.nodes]
        asked = [(one, self._policy(wanted, one.contract, one.node)) for one in subjects]
        begun = self._challenges.start(asked, COMMAND)
        return web.json_response({"challenges": [shown.document() for shown in begun]})

    def _policy(self, wanted: ChallengeRequest, contract: str, node: str) -> Policy:
        if wanted.policy is None:
            return self._contracted(contract, node)
        try:
            return shaped(Policy, DEFAULTS | self._of_class(wanted.policy, contract, node))
        except Malformed as error:
            raise Problem("malformed", f"policy: {error}") from error

    def _of_class(
        self, named: dict[str, int | str], contract: str, node: str
    ) -> dict[str, int | str]:
        """A policy by hand, with what holds of the cards of the node's line item where it does not name it."""
        try:
            item = self._fleet.resource(contract, node)
        except AssignmentError:
            return named
        profile, ceiling = str(named.get("profile")), named.get("ceiling_flops_per_second")
        if not ceiling:
            known = None if item.card is None else ceiling_flops_per_second(item.card, profile)
            ceiling = known or 0
        helping = {"helper_cards": item.per_node - 1}
        return helping | named | {"ceiling_flops_per_second": ceiling}

    def _contracted(self, contract: str, node: str) -> Policy:
        try:
            policies = self._fleet.resource(contract, node).challenge_policies()
        except (AssignmentError, PolicyError) as error:
            raise Problem("conflict", f"{node}: {error}") from error
        if not policies:
            raise Problem(
                "conflict",
                f"{contract} has no numbers for a challenge: give a policy, such as its size, rounds and samples",
            )
        return policies[0]

    async def show(self, request: web.Request) -> web.Response:
        shown: ShownSeries = self._challenges.find(request.match_info["id"])
        if not viewer(request).sees(shown.subject.contract):
            raise Problem("not_found", "there is no such challenge")
        return web.json_response(shown.document())
