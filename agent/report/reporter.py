"""Sends the spool to the collector: batches in order, receipts verified and kept, refusals answered by stated rules.

`read_answer` decides what an answer means and does nothing; `Reporter` does it.
"""

import asyncio
import json
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from agent.report.log_watch import LogWatch
from agent.report.parting import Parting
from agent.report.receipts import Receipted, ReceiptFile
from agent.report.spool import Held, Reseal, Spool
from agent.report.transport import HttpAnswer, Packed
from weighbridge.log.merkle import leaf_hash
from weighbridge.log.succession import LogKeys
from weighbridge.wire.problems import Problem, read_problem
from weighbridge.wire.receipts import Expected, Receipt
from weighbridge.wire.report import EventKind
from weighbridge.wire.signing import SignatureError

log = logging.getLogger(__name__)

MOST_REPORTS = 64
MOST_BYTES = 2 << 20
BREATH_S = 5
"""The loop shows a sign of life at least this often, whatever the collector does, unless it is told to more often."""
_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 60.0
_KEY_WAIT_S = 300.0
_MENDED_AT_ONCE = 3
"""Mends of a chain in a row that are tried without a wait: a full spool goes on dropping meanwhile."""


class Reaction(StrEnum):
    """What the agent does next after an answer."""

    GO_ON = "go_on"
    RETRY = "retry"
    RETRY_SLOWLY = "retry_slowly"
    SEND_LESS = "send_less"
    REWIND = "rewind"
    RESTART_CHAIN = "restart_chain"
    LEAVE_OUT = "leave_out"


REACTIONS = {
    "sequence": Reaction.REWIND,
    "fork": Reaction.RESTART_CHAIN,
    "clock_unsound": Reaction.RESTART_CHAIN,
    "too_large": Reaction.SEND_LESS,
    "unknown_key": Reaction.RETRY_SLOWLY,
    "revoked_key": Reaction.RETRY_SLOWLY,
    "wrong_node": Reaction.RETRY_SLOWLY,
    "future_version": Reaction.RETRY_SLOWLY,
}
"""Per problem code. Of the others, what is refused for good is left out, and any answer else is tried again."""


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """What an answer means. `accepted` are verified receipts, in order, of the first reports of the batch; `head` is
    under the log's signature."""

    reaction: Reaction
    accepted: Sequence[Receipted] = ()
    head: str | None = None
    expected: Expected | None = None
    want_inventory: bool = False
    why: str = ""
    proofs: Mapping[int, Sequence[bytes]] = field(default_factory=dict)


def read_answer(answer: HttpAnswer, batch: Sequence[Held], keys: LogKeys) -> BatchAnswer:
    """The meaning of an answer to `batch`. Nothing counts as acknowledged without a receipt under the log's own key."""
    try:
        if answer.status != 200:
            return _read_problem(read_problem(answer.status, answer.body), batch, keys)
        document = json.loads(answer.body)
        if not isinstance(document, dict):
            raise TypeError("not an object")
        accepted = _verified(document, batch, keys)
        if len(accepted) != len(batch):
            raise ValueError("not one receipt per report")
        wanted = document.get("want_inventory") is True
        return BatchAnswer(
            Reaction.GO_ON,
            accepted,
            document["head"],
            want_inventory=wanted,
            proofs=_proofs(document),
        )
    except (
        SignatureError,
        msgspec.ValidationError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
    ) as error:
        return BatchAnswer(Reaction.RETRY, why=f"status {answer.status}, {error}")


def _proofs(document: Mapping[str, Any]) -> dict[int, list[bytes]]:
    """Of consistency, by the sizes that were asked from."""
    return {
        int(size): [bytes.fromhex(one) for one in proof]
        for size, proof in document.get("consistency", {}).items()
    }


def bears_unknown_key(answer: HttpAnswer, keys: LogKeys) -> bool:
    """Whether the head of an answer is signed, in the log's name, by a key that is not known."""
    try:
        return keys.lacks(json.loads(answer.body)["head"])
    except (ValueError, TypeError, KeyError, AttributeError):
        return False


def _read_problem(problem: Problem, batch: Sequence[Held], keys: LogKeys) -> BatchAnswer:
    document, head = problem.members, problem.members.get("head")
    accepted = _verified(document, batch, keys) if document.get("receipts") else []
    reaction = REACTIONS.get(problem.code)
    if reaction is None:
        reaction = Reaction.LEAVE_OUT if problem.permanent else Reaction.RETRY
    expected = document.get("expected")
    if reaction is Reaction.REWIND and expected is None:
        reaction = Reaction.RESTART_CHAIN
    if problem.code == "clock_unsound" and expected is None:
        reaction = Reaction.LEAVE_OUT
    if reaction is Reaction.SEND_LESS and len(batch) - len(accepted) == 1:
        reaction = Reaction.LEAVE_OUT
    return BatchAnswer(
        reaction,
        accepted,
        None if head is None else keys.open_head(str(head)).note,
        None if expected is None else msgspec.convert(expected, Expected),
        why=str(problem),
        proofs=_proofs(document),
    )


def _verified(document: dict[str, object], batch: Sequence[Held], keys: LogKeys) -> list[Receipted]:
    """Raises ValueError (SignatureError is one) unless every receipt is for the report in its place."""
    receipts = document["receipts"]
    if not isinstance(receipts, list) or len(receipts) > len(batch):
        raise ValueError("more receipts than reports")
    head = keys.open_head(str(document["head"]))
    rows = []
    for held, row in zip(batch, receipts, strict=False):
        receipt = msgspec.convert(row, Receipt)
        if receipt.leaf_hash != leaf_hash(held.envelope).hex():
            raise ValueError(f"the receipt of report {held.seq} is for other bytes")
        if receipt.index >= head.size:
            raise ValueError(f"the head does not cover report {held.seq}")
        rows.append(Receipted(held.seq, receipt.index, receipt.leaf_hash, receipt.received_us))
    return rows


def _now_s() -> float:
    return asyncio.get_running_loop().time()


class Backoff:
    """Exponential, with full jitter over the upper half; the collector's own wish is kept at least."""

    def __init__(
        self, chance: Callable[[], float] = random.random, longest_s: float = _LONGEST_WAIT_S
    ) -> None:
        self._chance, self._longest_s, self._failures = chance, longest_s, 0

    def succeeded(self) -> None:
        self._failures = 0

    def wait_s(self, least_s: float = 0.0) -> float:
        """How long to wait after one more failure."""
        wait = min(self._longest_s, _FIRST_WAIT_S * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return max(wait, least_s) * (0.5 + self._chance() / 2) + least_s / 2


Post = Callable[[Packed, Sequence[int]], Awaitable[HttpAnswer]]
"""A batch, and the sizes from which proofs of consistency are asked."""

Note = Callable[[EventKind, str], Awaitable[None]]
"""Reports an event of the agent itself."""


@dataclass(frozen=True, slots=True)
class Sending:
    """The way to the collector. `post` raises OSError where nothing answers; `alive` is called at least every
    `breath_s`, whether or not anything answers."""

    post: Post
    backoff: Backoff = field(default_factory=Backoff)
    alive: Callable[[], None] = lambda: None
    breath_s: float = BREATH_S


class Reporter:
    """Empties one spool. `doubt` is called when a head bears a key of the log that is not known."""

    def __init__(
        self,
        spool: Spool,
        receipts: ReceiptFile,
        watch: LogWatch,
        sending: Sending,
        reseal: Reseal,
        want_inventory: Callable[[], None],
        note: Note,
        doubt: Callable[[], None] = lambda: None,
    ) -> None:
        self._spool, self._receipts, self._watch = spool, receipts, watch
        self._sending, self._reseal, self._note = sending, reseal, note
        self._want_inventory, self._doubt = want_inventory, doubt
        self._parting = Parting()
        self._most = MOST_REPORTS
        self._wake = asyncio.Event()
        self._complaint = ""
        self._mended = 0
        self._heard_s: float | None = None
        self.status = "not yet connected"
        """How the last exchange went, as one line for people."""

    @property
    def heard_s_ago(self) -> float | None:
        """How long ago the collector last took reports; None: it has not yet."""
        return None if self._heard_s is None else time.monotonic() - self._heard_s

    def wake(self) -> None:
        """Tells the reporter that the spool has a new report."""
        self._wake.set()

    async def run(self) -> None:
        """Send for ever."""
        while True:
            self._sending.alive()
            wait_s = await self.send_batch_wait_s()
            await self._rest(wait_s)

    async def drain(self, within_s: float) -> None:
        """Send what there is until it is sent, refused, or the time is up."""
        try:
            async with asyncio.timeout(within_s):
                while await self.send_batch_wait_s() == 0.0:
                    pass
        except TimeoutError:
            log.info("stopping with %d reports unsent in the spool", self._spool.pending_count)

    async def send_batch_wait_s(self) -> float | None:
        """One exchange. Seconds to wait before the next; None when there is nothing more to send."""
        self._wake.clear()
        await self._tell()
        chain, batch, packed = await asyncio.to_thread(self._pack)
        if not batch:
            return None
        try:
            answer = await self._living(self._sending.post(packed, self._watch.asks(_now_s())))
        except OSError as error:
            self._complain(str(error))
            return self._sending.backoff.wait_s()
        if not self._parting.believed(packed, answer):
            return 0.0
        meaning = await asyncio.to_thread(self._acknowledge, answer, chain, batch, _now_s())
        await self._tell()
        if await asyncio.to_thread(bears_unknown_key, answer, self._watch.trust.keys):
            self._doubt()
        wait_s = await self._react_wait_s(meaning, answer, chain, batch)
        return None if wait_s == 0.0 and self._spool.pending_count == 0 else wait_s

    async def _tell(self) -> None:
        """How the log was caught is an event of the next report."""
        for kind, detail in self._watch.take():
            await self._note(kind, detail)

    async def _living(self, posting: Awaitable[HttpAnswer]) -> HttpAnswer:
        """A collector that is slow to answer withholds no sign of life either."""
        task = asyncio.ensure_future(posting)
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=self._sending.breath_s)
                self._sending.alive()
            return task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _pack(self) -> tuple[str, Sequence[Held], Packed]:
        with self._spool.turn():
            chain = self._spool.current_chain
            batch = self._spool.pending(self._most, MOST_BYTES)
        return chain, batch, self._parting.packed([held.envelope for held in batch])

    def _acknowledge(
        self, answer: HttpAnswer, chain: str, batch: Sequence[Held], now_s: float
    ) -> BatchAnswer:
        """Verify, keep and acknowledge: what may wait for the disk."""
        meaning = read_answer(answer, batch, self._watch.trust.keys)
        if meaning.accepted and meaning.head is not None:
            self._receipts.keep(chain, meaning.accepted, meaning.head)
            self._spool.acknowledge(chain, meaning.accepted[-1].seq)
        if meaning.head is not None:
            self._watch.see(meaning.head, meaning.proofs, now_s)
        return meaning

    async def _react_wait_s(
        self, meaning: BatchAnswer, answer: HttpAnswer, chain: str, batch: Sequence[Held]
    ) -> float:
        if meaning.reaction is Reaction.GO_ON:
            self._succeeded()
            if meaning.want_inventory:
                self._want_inventory()
            return 0.0
        self._complain(meaning.why)
        refused = batch[min(len(meaning.accepted), len(batch) - 1)].seq
        match meaning.reaction:
            case Reaction.SEND_LESS:
                self._most = max(1, (len(batch) - len(meaning.accepted)) // 2)
            case Reaction.LEAVE_OUT:
                log.error("report %d is left out: %s", refused, meaning.why)
                await asyncio.to_thread(self._spool.leave_out, chain, refused)
            case Reaction.REWIND | Reaction.RESTART_CHAIN:
                await asyncio.to_thread(self._mend_chain, meaning.expected, meaning.reaction)
                self._mended += 1
                if self._mended <= _MENDED_AT_ONCE:
                    return 0.0
            case Reaction.RETRY_SLOWLY:
                return _KEY_WAIT_S * random.uniform(0.8, 1.2)  # noqa: S311
            case Reaction.RETRY:
                pass
        return self._sending.backoff.wait_s(answer.retry_after_s or 0)

    def _mend_chain(self, expected: Expected | None, reaction: Reaction) -> None:
        rewinds = reaction is Reaction.REWIND
        if rewinds and expected is not None and expected.chain == self._spool.current_chain:
            if self._spool.rewind(expected.seq, expected.prev):
                log.warning("the collector asks again for all reports from %d on", expected.seq)
                return
            self._spool.restart_chain(self._reseal, lost_from=expected.seq)
        else:
            self._spool.restart_chain(self._reseal)
        log.warning("a new chain begins: %s", self._spool.current_chain)

    def _succeeded(self) -> None:
        if self._complaint:
            log.info("the collector accepts reports again")
        self._complaint, self._most, self.status = "", MOST_REPORTS, "reporting"
        self._heard_s = time.monotonic()
        self._mended = 0
        self._sending.backoff.succeeded()

    def _complain(self, why: str) -> None:
        """Once per kind of trouble, not once per attempt."""
        if why != self._complaint:
            log.warning("reports stay in the spool: %s", why)
        self._complaint, self.status = why, f"not reporting: {why}"

    async def _rest(self, wait_s: float | None) -> None:
        """Until there is something to send (None), or for so long; alive all the while."""
        loop = asyncio.get_running_loop()
        end = None if wait_s is None else loop.time() + wait_s
        while end is None or loop.time() < end:
            self._sending.alive()
            slice_s = (
                self._sending.breath_s
                if end is None
                else min(self._sending.breath_s, end - loop.time())
            )
            if end is None and await self._woken(slice_s):
                return
            if end is not None:
                await asyncio.sleep(max(0.0, slice_s))

    async def _woken(self, within_s: float) -> bool:
        try:
            async with asyncio.timeout(within_s):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True
