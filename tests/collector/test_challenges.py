"""Challenges in a collector that cannot take everything: a full log, a torn one, too many answers at once."""

import asyncio
import io
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from agent.command_poller import seal_poll
from agent.probe.cpu import CpuEngine
from collector.api.access import GATE, Gate
from collector.api.challenges import ANSWERS_BYTES, ChallengeApi
from collector.challenges.attempts import Challenges, Subject
from collector.challenges.command_queue import PollAuthenticator
from collector.challenges.exchange import VerifierClocks
from collector.log.commits import overloaded
from collector.log.keys import KeyRing, NodeKey
from collector.serving import problems
from collector.storage.store import CorruptStore
from tests.collector.answering import Prober
from tests.collector.building import Agent, enrolled
from weighbridge.challenge.messages import PAYLOAD_TYPE, decode_message
from weighbridge.challenge.policy import Policy
from weighbridge.challenge.prover import InProcessGpuProver, Prover
from weighbridge.challenge.record import COMMAND, payload_kind
from weighbridge.challenge.transcript import Transcript
from weighbridge.log.entries import EntryKind, entry, payload_type
from weighbridge.wire.polling import POLL_HEADER, POLL_PATH
from weighbridge.wire.report import encode
from weighbridge.wire.signing import Signer, open_envelope

LOG, AGENT = Signer(os.urandom(32)), Signer(os.urandom(32))
CLOCKS = VerifierClocks(time.monotonic_ns, lambda: 7)
POLICY = Policy(profile="f16", size=128, rounds=2, samples=8, deadline_ms=20_000)


class Log:
    """Keeps leaves, but takes none while it is full: from the first leaf of some kind on, for so many times."""

    def __init__(self, full_at: str, refusals: int) -> None:
        self.kinds: list[str] = []
        self.full_at, self.refusals = full_at, refusals

    async def submit(self, plan: Any) -> Any:
        kind = payload_kind(open_envelope(plan._leaf).payload)
        full = kind == self.full_at or self.full_at in self.kinds
        if full and self.refusals > 0:
            self.refusals -= 1
            raise overloaded("no room")
        self.kinds.append(kind)
        return type("Answer", (), {"outcome": len(self.kinds) - 1})


async def never(transcript: Transcript) -> Any:
    raise AssertionError(f"nothing is weighed of {transcript.challenge}")


async def answering(challenges: Challenges, steps: int) -> None:
    """The agent: hears so many commands and answers them."""
    prover = Prover([InProcessGpuProver("GPU-0", CpuEngine(), lambda: None)], time.monotonic_ns)
    for _ in range(steps):
        command = await challenges.commands.wait(AGENT.key_id, 20, lambda: True)
        if command is None:
            return
        answer = AGENT.seal(PAYLOAD_TYPE, prover.answer(open_envelope(command).payload))
        (exchange,) = challenges._exchanges.values()
        await exchange.receive(lambda: answer, time.monotonic_ns())  # noqa: B023


@pytest.mark.parametrize(
    ("full_at", "kept"),
    [
        ("ready", ["commitment"]),
        ("release", ["commitment", "ready"]),
        ("roots", ["commitment", "ready", "release"]),
        ("reveal", ["commitment", "ready", "release", "roots"]),
        ("openings", ["commitment", "ready", "release", "roots", "reveal"]),
    ],
)
async def test_a_log_that_takes_nothing_in_the_middle_voids_the_attempt_as_soon_as_it_can(
    full_at: str, kept: Sequence[str]
) -> None:
    assert await voided(Log(full_at, refusals=3), lambda _: b"") == [*kept, "outcome"]


async def test_openings_that_cannot_be_read_back_void_the_attempt() -> None:
    def torn(index: int) -> bytes:
        raise CorruptStore(f"entry {index} is not what was written")

    assert (await voided(Log("", refusals=0), torn))[-2:] == ["openings", "outcome"]


async def voided(log: Log, leaf: Callable[[int], bytes]) -> list[str]:
    """What a log holds of a challenge that came to nothing, and held up no other."""
    fixed: Any = log
    challenges = Challenges(fixed, fixed, LOG, never, CLOCKS, leaf, 20, 0)
    key = NodeKey(AGENT.key_id, AGENT.public_key, "n1", "provider", None, 0)
    (shown,) = challenges.start([(Subject("n1", "lease", key, ("GPU-0",)), POLICY)], COMMAND)
    agent = asyncio.create_task(answering(challenges, 3))
    async with asyncio.timeout(20):
        await challenges._tasks.ended()
    agent.cancel()
    await asyncio.gather(agent, return_exceptions=True)
    assert shown.state == "ended"
    assert [outcome.weighing.verdict for outcome in shown.outcomes] == ["void"]
    challenges.require_free(shown.subject)
    await challenges.close()
    return log.kinds


async def test_answers_that_others_left_no_room_for_are_nobodys_failure() -> None:
    """What is timed comes in all the same."""
    log: Any = Log("", refusals=0)
    ring = KeyRing()
    agent = Agent("n1", gpus=1)
    key = LOG.seal(payload_type(EntryKind.KEY), encode(enrolled(agent)))
    ring.fold(entry(0, key))
    challenges = Challenges(log, log, LOG, never, CLOCKS, lambda _: b"", 20, 0)
    api = ChallengeApi(challenges, log, PollAuthenticator(ring, [LOG.public_key]))
    application = web.Application(middlewares=[problems])
    application[GATE] = Gate({}, open_on_loopback=False)
    for route in api.routes():
        application.router.add_route(route.method, route.path, route.handler)
    subject = Subject(
        "n1", "lease", next(iter(ring.speaking("n1", "provider"))), tuple(agent.devices)
    )
    policy = replace(POLICY, samples=3000, deadline_ms=1500)
    others = api._large.held(bytes(ANSWERS_BYTES))
    async with TestClient(TestServer(application)) as client, asyncio.timeout(30):
        with others:
            (shown,) = challenges.start([(subject, policy)], COMMAND)
            statuses = await over_http(client, agent, ("ready", "roots", "openings"))
            await challenges._tasks.ended()
    assert statuses == [200, 200, 503]
    assert [outcome.weighing.verdict for outcome in shown.outcomes] == ["void"]
    await challenges.close()


async def over_http(client: Any, agent: Agent, steps: Sequence[str]) -> list[int]:
    """An honest agent that brings each answer once, and how it was received."""
    prover = Prober(agent.devices)
    statuses, number = [], 0

    def named() -> dict[str, str]:
        nonlocal number
        number += 1
        return {POLL_HEADER: seal_poll(agent.signer, agent.node, LOG.public_key, number)}

    for step in steps:
        heard = await client.get(POLL_PATH, headers=named())
        command = open_envelope(await heard.read()).payload
        answer = agent.signer.seal(PAYLOAD_TYPE, prover.answer(command))
        path = f"/v1/challenges/{decode_message(command).challenge}/{step}"
        taken = await client.post(path, data=io.BytesIO(answer), headers=named())
        statuses.append(taken.status)
    return statuses
