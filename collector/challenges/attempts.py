"""Challenges: who is asked, and attempt after attempt from the commitment in the log to the outcome in it."""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from collector.background import UnderWay, beside
from collector.challenges.command_queue import CommandQueue
from collector.challenges.exchange import PRESENCE_SECONDS, Exchange, GroupStart, VerifierClocks
from collector.judging.live import LiveFleet
from collector.log.commits import Committer, Leaf
from collector.log.keys import NodeKey
from collector.storage.store import StorageError
from weighbridge.challenge.challenger import AttemptPlan, draw_nonces
from weighbridge.challenge.judgement import judge
from weighbridge.challenge.policy import Policy, PolicyError
from weighbridge.challenge.record import (
    ChallengeOutcome,
    Commitment,
    Weighing,
    abandoned,
    bare_result,
    commitment_of,
    read_commitment,
    read_outcome,
    seal_record,
    times_of,
    transcript_hash,
    unmade,
    weighing_of,
)
from weighbridge.challenge.sizes import require_deliverable
from weighbridge.challenge.transcript import Transcript
from weighbridge.challenge.verdict import Attempt, ChallengeVerdict, Series, series_of
from weighbridge.challenge.work import require_work
from weighbridge.judge.node_state import NodeState
from weighbridge.log.entries import EntryKind
from weighbridge.wire.problems import Problem
from weighbridge.wire.signing import Signer

logger = logging.getLogger("weighbridge.challenges")

KEPT_SERIES = 1000
AGAIN_SECONDS = 5.0
"""How long to wait before another try where the log took no entry."""
Verify = Callable[[Transcript], Awaitable[Weighing]]


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is challenged: a node, by its provider's key, and its GPUs in order, under one contract."""

    node: str
    contract: str
    key: NodeKey
    gpus: tuple[str, ...]


@dataclass(slots=True)
class ShownSeries:
    """One series as it is shown. `state`: exchange, verification or ended."""

    series: str
    group: str
    subject: Subject
    policy: Policy
    cause: str
    state: str = "exchange"
    outcomes: list[ChallengeOutcome] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """The series as the API shows it."""
        return {
            "id": self.series,
            "group": self.group,
            "node": self.subject.node,
            "contract": self.subject.contract,
            "cause": self.cause,
            "state": self.state,
            "program_asked": self.policy.program or None,
            "attempts": [_attempt_document(outcome) for outcome in self.outcomes],
        }


def _contracted(
    state: NodeState, contract: str, assigned: frozenset[str] | None
) -> tuple[str, ...]:
    """The GPUs that fill slots of the contract. What a node shows beside them is not asked: nobody is owed that, and
    it could be more than any policy takes.
    """
    track = None if state.newest is None else state.newest.tracks.get(contract)
    return tuple(
        device.uuid
        for device in state.view.wholes()
        if (assigned is None or device.uuid in assigned)
        and (track is None or device.uuid in track.slots)
    )


def _attempt_document(outcome: ChallengeOutcome) -> dict[str, Any]:
    weighing = outcome.weighing
    return {
        "challenge": outcome.challenge,
        "verdict": weighing.verdict,
        "reason": weighing.reason,
        "program": weighing.program.hex() or None,
        "series_verdict": outcome.series_verdict,
        "final": outcome.final,
        "elapsed_ns": [
            times.received_ns - times.released_ns
            for times in outcome.times
            if times.received_ns is not None and times.released_ns is not None
        ],
        "gpus": [
            {
                "gpu": gpu.gpu,
                "verdict": gpu.verdict,
                "reason": gpu.reason,
                "samples": gpu.samples,
                "wrong_samples": gpu.wrong_samples,
                "flops_per_second": gpu.flops_per_second,
                "memory_bytes": gpu.memory_bytes,
                "memory_bytes_per_second": gpu.memory_bytes_per_second,
                "peer_bytes_per_second": gpu.peer_bytes_per_second,
            }
            for gpu in weighing.gpus
        ],
    }


class Challenges:
    """Every challenge of a collector. `leaf` reads an entry of the log back."""

    def __init__(
        self,
        committer: Committer,
        fleet: LiveFleet,
        signer: Signer,
        verify: Verify,
        clocks: VerifierClocks,
        leaf: Callable[[int], bytes],
        presence_seconds: float = PRESENCE_SECONDS,
        again_seconds: float = AGAIN_SECONDS,
    ) -> None:
        self._committer = committer
        self._fleet = fleet
        self._signer = signer
        self._verify = verify
        self.clocks = clocks
        self._leaf = leaf
        self._presence_seconds = presence_seconds
        self._again_seconds = again_seconds
        self._series: dict[str, ShownSeries] = {}
        self._exchanges: dict[str, Exchange] = {}
        self._busy: set[str] = set()
        self._tasks = UnderWay("a challenge ended without an outcome")
        self._verifying = asyncio.Semaphore(1)
        self._large = asyncio.Lock()
        self.commands = CommandQueue()

    async def void_unfinished(self, judged: Callable[[], Awaitable[None]]) -> None:
        """What an earlier run of the collector began and did not end is void: nobody holds its secrets any more.

        A series that it left between two attempts ends too, and stands as those left it.
        Which that is can be told once the log is `judged`; by then this run may have begun others.
        """
        await judged()
        begun = [read_commitment(text.encode()) for text in self._fleet.exchanges()]
        for commitment, outcome in self._fleet.unended():
            last, ended = read_commitment(commitment.encode()), read_outcome(outcome.encode())
            if last.series in self._series or last.series in {one.series for one in begun}:
                continue
            begun.append(unmade(ended, last, self.clocks.wall_us()))
            await self._say(begun[-1])
        for one in begun:
            if one.series not in self._series:
                await self._say(abandoned(one, self.clocks.wall_us()))

    def subject(self, node: str, contract: str | None) -> Subject:
        """The node as it can be challenged now. Raises Problem."""
        contracts = [
            name
            for name in sorted(self._fleet.contracts)
            if contract in (None, name) and node in self._fleet.assignments(name)
        ]
        if len(contracts) != 1:
            said = (
                "no contract holds it" if not contracts else "several contracts hold it: name one"
            )
            raise Problem("not_found" if not contracts else "conflict", f"{node}: {said}")
        keys = list(self._committer.ring.speaking(node, "provider"))
        state = self._fleet.nodes.get(node)
        if not keys or state is None or state.side != "provider":
            raise Problem("not_found", f"{node}: no agent of its provider has spoken")
        gpus = _contracted(state, contracts[0], self._fleet.assignments(contracts[0])[node])
        if not gpus:
            raise Problem("conflict", f"{node}: it has shown no GPU of {contracts[0]}")
        return Subject(node, contracts[0], keys[-1], gpus)

    def start(self, asked: Sequence[tuple[Subject, Policy]], cause: str) -> list[ShownSeries]:
        """Begin a series at each node, all released at the same moment. Raises Problem, and then none has begun."""
        for subject, policy in asked:
            self.require_fit(subject, policy)
        if len({subject.node for subject, _ in asked}) != len(asked):
            raise Problem("malformed", "a node is named twice")
        group = os.urandom(8).hex()
        together = GroupStart(len(asked))
        begun = []
        for subject, policy in asked:
            shown = ShownSeries(os.urandom(8).hex(), group, subject, policy, cause)
            self._keep(shown)
            self.occupy(subject)
            self._tasks.begin(self._run(shown, cause, together))
            begun.append(shown)
        return begun

    def require_free(self, subject: Subject) -> None:
        """Raises Problem while the node is being challenged, or asked otherwise."""
        if subject.node in self._busy:
            raise Problem("conflict", f"{subject.node}: a challenge or an attestation is under way")

    def occupy(self, subject: Subject) -> None:
        """It is asked nothing else until it is released. Raises Problem as `require_free` does."""
        self.require_free(subject)
        self._busy.add(subject.node)

    def release(self, subject: Subject) -> None:
        """It may be asked again."""
        self._busy.discard(subject.node)

    def require_fit(self, subject: Subject, policy: Policy) -> None:
        """Raises Problem where the node is being challenged, or cannot be by this policy with those GPUs."""
        try:
            policy.require_fit(len(subject.gpus))
            require_deliverable(policy, len(subject.gpus))
            if policy.demands:
                require_work(policy)
        except PolicyError as error:
            raise Problem("malformed", f"{subject.node}: {error}") from error
        self.require_free(subject)

    def _keep(self, shown: ShownSeries) -> None:
        self._series[shown.series] = shown
        while len(self._series) > KEPT_SERIES:
            del self._series[next(iter(self._series))]

    def find(self, series: str) -> ShownSeries:
        """A series by its name. Raises Problem: not_found."""
        if series not in self._series:
            raise Problem("not_found", f"no challenge {series} since this collector started")
        return self._series[series]

    def exchange(self, challenge: str, key_id: str) -> Exchange:
        """The attempt under way that this key is to answer. Raises Problem."""
        exchange = self._exchanges.get(challenge)
        if exchange is None or exchange.key_id != key_id:
            raise Problem("not_found", f"no challenge {challenge} is under way with this key")
        return exchange

    def polled(self, key_id: str) -> None:
        """This key asks for a command."""
        for exchange in self._exchanges.values():
            if exchange.key_id == key_id:
                exchange.asked_again(self.clocks.clock_ns())

    async def close(self) -> None:
        """End whatever is under way; the next start of the collector voids it."""
        self.commands.close()
        await self._tasks.aclose()

    async def _run(self, shown: ShownSeries, cause: str, together: GroupStart) -> None:
        try:
            while not shown.outcomes or not shown.outcomes[-1].final:
                await self._attempt(shown, cause, together)
                together = GroupStart(1)
        except Problem as problem:
            logger.warning("challenge %s cannot go on: %s", shown.series, problem.detail)
        finally:
            self.release(shown.subject)
            shown.state = "ended"

    async def _attempt(self, shown: ShownSeries, cause: str, together: GroupStart) -> None:
        plan = self._plan(shown)
        subject = shown.subject
        begun = commitment_of(
            plan, subject.node, shown.series, shown.group, cause, self.clocks.wall_us()
        )
        shown.state = "exchange"
        try:
            committed_at = await self._say(begun)
        except BaseException:
            together.drop()
            raise
        try:
            outcome = await self._judged(shown, begun, plan, committed_at, together)
        except (Problem, StorageError) as error:
            why = error.detail if isinstance(error, Problem) else error
            logger.warning("challenge %s is void: %s", begun.challenge, why)
            outcome = await self._voided(begun)
        shown.outcomes.append(outcome)

    async def _judged(
        self,
        shown: ShownSeries,
        begun: Commitment,
        plan: AttemptPlan,
        committed_at: int,
        together: GroupStart,
    ) -> ChallengeOutcome:
        transcript, opened = await self._converse(plan, shown.subject, committed_at, together)
        shown.state = "verification"
        transcript_id, weighing = await self._weigh(transcript, opened)
        outcome = self._outcome(shown, begun, transcript, transcript_id, weighing)
        await self._say(outcome)
        return outcome

    async def _voided(self, begun: Commitment) -> ChallengeOutcome:
        """What could not be entered is no evidence: void, and said as soon as the log takes entries again."""
        while True:
            outcome = abandoned(begun, self.clocks.wall_us())
            try:
                await self._say(outcome)
            except Problem:
                await asyncio.sleep(self._again_seconds)
            else:
                return outcome

    def _plan(self, shown: ShownSeries) -> AttemptPlan:
        subject, policy = shown.subject, shown.policy
        earlier = tuple(
            Attempt(one.challenge, one.transcript, one.weighing.verdict, one.weighing.reason)
            for one in shown.outcomes
        )
        return AttemptPlan(
            f"{shown.series}.{len(earlier) + 1}",
            subject.contract,
            subject.key.public_key,
            subject.gpus,
            policy,
            draw_nonces(policy, len(subject.gpus), os.urandom),
            os.urandom(32),
            earlier,
        )

    async def _converse(
        self, plan: AttemptPlan, subject: Subject, committed_at: int, together: GroupStart
    ) -> tuple[Transcript, int | None]:
        """The transcript without its openings, and where these stand in the log: it may wait long for its weighing."""
        key_id = subject.key.key_id
        exchange = Exchange(
            plan,
            key_id,
            self.commands,
            self._signer,
            self._enter,
            self.clocks,
            self._large,
            committed_at,
            self._presence_seconds,
        )
        self._exchanges[plan.challenge] = exchange
        try:
            transcript = await exchange.run(together)
            opened = None if transcript.openings is None else exchange.entered
            return replace(transcript, openings=None), opened
        finally:
            del self._exchanges[plan.challenge]

    async def _weigh(self, transcript: Transcript, opened: int | None) -> tuple[bytes, Weighing]:
        """The whole transcript's hash and weighing. Without openings there is nothing to compute."""
        if opened is None:
            return transcript_hash(transcript), weighing_of(judge(transcript))
        async with self._verifying:
            openings = (await asyncio.to_thread(self._leaf, opened)).decode("ascii")
            whole = replace(transcript, openings=openings)
            return await asyncio.to_thread(transcript_hash, whole), await self._verify(whole)

    def _outcome(
        self,
        shown: ShownSeries,
        begun: Commitment,
        transcript: Transcript,
        transcript_id: bytes,
        weighing: Weighing,
    ) -> ChallengeOutcome:
        ran = _ran_us(transcript, self.clocks.clock_ns(), self.clocks.wall_us())
        weighings = [*(one.weighing for one in shown.outcomes), weighing]
        results = [bare_result(begun.challenge, one) for one in weighings]
        series = series_of(results, shown.policy)
        return ChallengeOutcome(
            begun.challenge,
            begun.series,
            begun.contract,
            begun.node,
            begun.agent_key,
            weighing,
            transcript.nonces,
            transcript.secret,
            times_of(transcript),
            transcript_id,
            series.verdict.value,
            None if series.reason is None else series.reason.value,
            series.attempts,
            series.failed_attempts,
            not series.repeat,
            _failed(series, weighings),
            self.clocks.wall_us(),
            from_us=ran[0],
            until_us=ran[1],
            round_trip_ns=transcript.round_trip_ns,
            stood_still_ns=transcript.stood_still_ns,
            cause=begun.cause,
            policy=begun.policy,
            began_us=begun.began_us,
        )

    async def _say(self, record: Commitment | ChallengeOutcome) -> int:
        """Durable when it returns the entry's index. Raises Problem."""
        return (await self._committer.submit(Leaf(*seal_record(self._signer, record)))).outcome

    async def _enter(self, leaf: bytes) -> int:
        """Durable when it returns the entry's index. Raises Problem."""
        return (await self._committer.submit(Leaf(EntryKind.CHALLENGE, leaf))).outcome


def _ran_us(transcript: Transcript, now_ns: int, wall_us: int) -> tuple[int, int]:
    """From the first release to the last roots on the wall clock; zeros where the phases did not all run."""
    first, last = transcript.phases[0].released_ns, transcript.phases[-1].received_ns
    if first is None or last is None:
        return 0, 0
    return wall_us - (now_ns - first) // 1000, wall_us - (now_ns - last) // 1000


def _failed(series: Series, weighings: Sequence[Weighing]) -> tuple[str, ...]:
    """The GPUs of a series that has ended in failure that failed in any of its attempts."""
    if series.repeat or series.verdict is not ChallengeVerdict.FAILED:
        return ()
    named = [
        gpu.gpu for one in weighings for gpu in one.gpus if gpu.verdict == ChallengeVerdict.FAILED
    ]
    return tuple(dict.fromkeys(named))


@contextlib.asynccontextmanager
async def challenging(
    challenges: Challenges, judged: Callable[[], Awaitable[None]]
) -> AsyncIterator[Challenges]:
    """Voids what was left, once the log is `judged`, and ends what is under way."""
    async with beside(challenges.void_unfinished(judged), "unfinished challenges are not voided"):
        try:
            yield challenges
        finally:
            await challenges.close()
