"""The doors of attestation: answers of agents, asking now, and looking at how it ended."""

from aiohttp import web

from collector.api.access import viewer
from collector.api.administration import parse
from collector.api.bodies import Bodies, read_body
from collector.api.routes import Access, Route
from collector.attestation.questions import AskedFor, Questions
from collector.challenges.attempts import Challenges
from collector.challenges.command_queue import PollAuthenticator
from collector.judging.live import LiveFleet
from collector.log.decoding import Decoder
from weighbridge.contract.attestation import AttestationTerms
from weighbridge.judge.assignments import AssignmentError
from weighbridge.wire.polling import POLL_HEADER, evidence_path
from weighbridge.wire.problems import Problem
from weighbridge.wire.report import Model, Name

MOST_BYTES = 128 << 10
"""Of one answer: a report and a chain have at most 32 KiB as text, and are base64 once more in their envelope."""

ALL_BYTES = 16 << 20
READING_SECONDS = 20.0
BY_HAND = AskedFor(AttestationTerms().valid_s, required=False)


class AttestationRequest(Model):
    """A node to ask now. `gpus` null: all that fill places of the contract."""

    node: Name
    contract: Name | None
    gpus: list[Name] | None = None


class AttestationApi:
    """`authenticator`: the one of every door to which polls come."""

    def __init__(
        self,
        questions: Questions,
        challenges: Challenges,
        fleet: LiveFleet,
        authenticator: PollAuthenticator,
    ) -> None:
        self._questions, self._challenges, self._fleet = questions, challenges, fleet
        self._authenticator = authenticator
        self._bodies = Bodies(MOST_BYTES, ALL_BYTES, 0, 0)

    def routes(self) -> tuple[Route, ...]:
        opened, one = Access.OPEN, "/v1/attestations/{id}"
        told = "A GPU's evidence. Signed by the agent's key."
        return (
            Route("POST", evidence_path("{id}"), self.answer, opened, told),
            Route("POST", "/v1/attestations", self.begin, Access.ADMIN, "Ask GPUs now."),
            Route("GET", one, self.show, Access.READ, "How an attestation stands."),
        )

    async def answer(self, request: web.Request) -> web.Response:
        """Whose question it is comes first: of nobody else a byte of the body is read."""
        key = self._authenticator.admit(request.headers.get(POLL_HEADER))
        name = request.match_info["id"]
        self._questions.waiting(name, key.key_id)
        body = await self._bodies.read(request, MOST_BYTES, READING_SECONDS, key.key_id)
        with self._bodies.held(body):
            encoding = request.headers.get("Content-Encoding")
            self._questions.take(name, key.key_id, Decoder().decoded(body, encoding, MOST_BYTES))
        return web.json_response({})

    async def begin(self, request: web.Request) -> web.Response:
        wanted = parse(AttestationRequest, await read_body(request))
        subject = self._challenges.subject(wanted.node, wanted.contract)
        gpus = subject.gpus if wanted.gpus is None else tuple(wanted.gpus)
        begun = self._questions.begin(
            subject, gpus, self._asked_for(subject.contract, subject.node)
        )
        return web.json_response(begun.document())

    def _asked_for(self, contract: str, node: str) -> AskedFor:
        try:
            terms = self._fleet.resource(contract, node).attestation
        except AssignmentError:
            terms = None
        return BY_HAND if terms is None else AskedFor(terms.valid_s, terms.required)

    async def show(self, request: web.Request) -> web.Response:
        shown = self._questions.find(request.match_info["id"])
        if not viewer(request).sees(shown.subject.contract):
            raise Problem("not_found", "there is no such attestation")
        return web.json_response(shown.document())
