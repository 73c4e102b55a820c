"""Reports from bytes to receipts.

The order is fixed: size limit, decompression with a hard output limit, then for each report: known key, signature
over the exact bytes, version, spelling, node matches key, clocks, sequence. What is refused with a valid signature is
itself entered in the log; unsigned rubbish is only counted.
"""

import asyncio
import json
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from msgspec import structs, to_builtins
from pydantic import TypeAdapter, ValidationError

from collector.log.bases import Bases
from collector.log.budgets import HOURLY, Budgets, Costs
from collector.log.commits import CommitBatch, Committer
from collector.log.contradictions import Contradictions
from collector.log.decoding import Decoder
from collector.log.keys import KeyRing, NodeKey
from collector.log.parted import OpenedLeaf, PartsReader
from collector.storage.store import Accepted, ChainKey, CorruptStore
from weighbridge.log.checkpoint import Head
from weighbridge.log.entries import EntryKind, Refused, payload_type
from weighbridge.wire.clocks import ToldClocks, before_1970, goes_back
from weighbridge.wire.parts import PARTS_TYPE
from weighbridge.wire.problems import Problem
from weighbridge.wire.receipts import Expected, Receipt
from weighbridge.wire.report import (
    Count,
    Facts,
    FutureVersion,
    Inventory,
    Name,
    NotCanonical,
    Report,
    WireError,
    decode,
    digest,
)
from weighbridge.wire.sequence import covered
from weighbridge.wire.signing import Envelope, SignatureError, open_envelope, verify

REPORT_TYPE = payload_type(EntryKind.REPORT)
EXAMINED_AT_ONCE = 16
OPEN_AT_ONCE = 2
"""Requests whose reports are decompressed and read at one time: such a report may be many times its bytes."""

APART_BYTES = 32 << 10
"""More than that is decompressed, and read, in a thread: some milliseconds."""

KEPT_BYTES = 1 << 20
"""Payloads of one request that are kept as they were read. Those beyond are judged from the log."""
EXAMINED_BYTES_AT_ONCE = 64 << 10
"""Reports, and their bytes, that are examined before anything else gets its turn."""
DETAIL_CHARACTERS = 500
CLOCKS_KEPT = 10_000
NO_DEVICES = Inventory(
    devices=[],
    driver=Facts(readings={}, unavailable={}),
    host=Facts(readings={}, unavailable={}),
)
Found = TypeVar("Found")
NAME: TypeAdapter[str] = TypeAdapter(Name)
COUNT: TypeAdapter[int] = TypeAdapter(Count)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may bring; what may be read at one time, bytes of all bodies and seconds for each; what a key
    may cost in an hour.

    `stranger_seconds` are for those that show no known key.
    """

    body_bytes: int = 8 << 20
    decompressed_bytes: int = 32 << 20
    report_bytes: int = 4 << 20
    reports: int = 512
    reading_bytes: int = 128 << 20
    reading_seconds: int = 60
    hourly: Costs = HOURLY
    stranger_seconds: int = 10


@dataclass(frozen=True, slots=True)
class Examined:
    """A report that only its place in its chain can still refuse. `whole`: with all that is to be judged."""

    leaf: bytes
    envelope: Envelope
    report: Report
    payload_hash: str
    chain: ChainKey
    whole: bool = True

    def without_samples(self) -> "Examined":
        """What its place in the log asks for, and no more: of its samples, when they were taken, and whether an
        inventory was shown."""
        times = [
            structs.replace(block, devices=[], readings={}, unavailable=[])
            for block in self.report.blocks
        ]
        shown = None if self.report.inventory is None else NO_DEVICES
        rest = structs.replace(
            self.report, blocks=times, events=[], processes=None, inventory=shown
        )
        return replace(self, report=rest, whole=False)


@dataclass
class Refusal(Exception):
    """One report is refused. `signed` is its envelope if the signature is good, and then `node` is its key's."""

    code: str
    detail: str
    signed: Envelope | None = None
    node: str = ""
    expected: Expected | None = None


class Unpacker:
    """Splits a request into its reports, within limits of size and count."""

    def __init__(self, limits: Limits, bases: Bases | None = None) -> None:
        """`bases`: of reports in parts."""
        self._limits = limits
        self._decoder = Decoder()
        self._parts = PartsReader(Bases() if bases is None else bases)

    def unpack(self, body: bytes, encoding: str | None) -> Sequence[bytes]:
        """The envelopes in a request. Raises Problem."""
        limits = self._limits
        if len(body) > limits.body_bytes:
            raise Problem("too_large", f"the body is over {limits.body_bytes} bytes")
        if encoding == PARTS_TYPE:
            return self._parts.leaves(body, limits.reports, limits.decompressed_bytes)
        data = self._decoder.decoded(body, encoding, limits.decompressed_bytes)
        if not data.endswith(b"\n"):
            raise Problem("malformed", "no report, or the last one does not end its line")
        if data.count(b"\n") > limits.reports:
            raise Problem("too_large", f"over {limits.reports} reports in one request")
        return data[:-1].split(b"\n")

    def is_large(self, body: bytes, encoding: str | None) -> bool:
        """Whether `unpack` takes a while."""
        if encoding == PARTS_TYPE:
            return self._parts.is_large(body, APART_BYTES)
        return self._decoder.is_large(body, encoding, APART_BYTES)

    def first(self, beginning: bytes, encoding: str | None) -> bytes | None:
        """The first envelope of a request that is still coming, once it is here."""
        if encoding == PARTS_TYPE:
            return self._parts.first(beginning, self._limits.report_bytes)
        return self._decoder.first_line(beginning, encoding, self._limits.report_bytes)


def examine(leaf: bytes, ring: KeyRing, report_bytes: int) -> Examined:
    """Checks signature, key and form of one report. Raises Refusal."""
    return _read(leaf, *_signed(leaf, ring, report_bytes))


def _signed(leaf: bytes, ring: KeyRing, report_bytes: int) -> tuple[Envelope, NodeKey]:
    """A report's envelope and the enrolled key that signed it, revoked or not. Raises Refusal."""
    if len(leaf) > report_bytes:
        raise Refusal("too_large", f"the report is over {report_bytes} bytes")
    try:
        envelope = leaf.envelope if isinstance(leaf, OpenedLeaf) else open_envelope(leaf)
    except SignatureError as error:
        raise Refusal("malformed", str(error)) from error
    if envelope.payload_type != REPORT_TYPE:
        raise Refusal("malformed", f"not a report but {envelope.payload_type}")
    key = ring.key(envelope.key_id)
    if key is None:
        raise Refusal("unknown_key", f"key {envelope.key_id} is not enrolled")
    try:
        verify(envelope, key.public_key)
    except SignatureError as error:
        raise Refusal("bad_signature", str(error)) from error
    return envelope, key


def _read(leaf: bytes, envelope: Envelope, key: NodeKey) -> Examined:
    """The report in a well-signed envelope."""
    refuse_if_revoked(key, envelope)
    try:
        report = decode(envelope.payload)
    except FutureVersion as error:
        raise Refusal("future_version", str(error), envelope, key.node) from error
    except NotCanonical as error:
        raise Refusal("not_canonical", str(error), envelope, key.node) from error
    except WireError as error:
        raise Refusal("malformed", str(error), envelope, key.node) from error
    if report.node != key.node:
        detail = f"the report is of {report.node}, the key of {key.node}"
        raise Refusal("wrong_node", detail, envelope, key.node)
    if before_1970(report):
        detail = "by its own clocks something in it lies before 1970"
        raise Refusal("clock_unsound", detail, envelope, key.node)
    chain = ChainKey(key.key_id, report.chain, report.stream)
    return Examined(leaf, envelope, report, digest(envelope.payload), chain)


def refuse_if_revoked(key: NodeKey, envelope: Envelope) -> None:
    if key.revoked_index is not None:
        detail = f"key {key.key_id} was revoked by entry {key.revoked_index}"
        raise Refusal("revoked_key", detail, envelope, key.node)


def in_sequence(
    examined: Examined, last: Accepted | None, find: Callable[[ChainKey, int], Accepted | None]
) -> Accepted | None:
    """The report as it was accepted before, or null if it is the next one of its chain. Raises Refusal."""
    report = examined.report
    following = 0 if last is None else last.seq + 1
    if report.seq < following:
        return _again(examined, last, find(examined.chain, report.seq))
    if report.seq == following:
        if last is not None and report.prev != last.payload_hash:
            raise _misplaced("fork", "prev is not the hash of the report before", examined, last)
    elif not covered(report.gaps, following, report):
        detail = f"seq {report.seq} follows {following - 1}, and no gap says why"
        raise _misplaced("sequence", detail, examined, last)
    return None


def _again(examined: Examined, last: Accepted | None, known: Accepted | None) -> Accepted:
    if known is None:
        detail = f"seq {examined.report.seq} was declared lost, and the chain went on"
        raise _misplaced("sequence", detail, examined, last)
    if known.payload_hash != examined.payload_hash:
        detail = f"seq {known.seq} is another report already, entry {known.index}"
        raise _misplaced("fork", detail, examined, last)
    return known


def _misplaced(code: str, detail: str, examined: Examined, last: Accepted | None) -> Refusal:
    expected = Expected(
        chain=examined.report.chain,
        seq=0 if last is None else last.seq + 1,
        prev=None if last is None else last.payload_hash,
    )
    return Refusal(code, detail, examined.envelope, examined.report.node, expected)


def refused(refusal: Refusal, envelope: Envelope) -> Refused:
    """The log entry of a well-signed report that was refused."""
    try:
        claimed = json.loads(envelope.payload)
    except (ValueError, RecursionError):
        claimed = None
    claimed = claimed if isinstance(claimed, dict) else {}
    return Refused(
        code=refusal.code,
        key_id=envelope.key_id,
        node=refusal.node,
        chain=_valid(NAME, claimed.get("chain")),
        stream=_valid(NAME, claimed.get("stream")),
        seq=_valid(COUNT, claimed.get("seq")),
        payload_hash=digest(envelope.payload),
        detail=refusal.detail[:DETAIL_CHARACTERS],
    )


def _valid(kind: TypeAdapter[Any], value: object) -> Any:
    try:
        return kind.validate_python(value, strict=True)
    except ValidationError:
        return None


class RefusalBook:
    """Remembers the last refusal of each key, so that an agent that only repeats itself fills no log."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[str, str]] = {}

    def is_new(self, code: str, envelope: Envelope, batch: CommitBatch) -> bool:
        """Whether to enter it in this batch; remembered from when that is durable.

        A revoked key is entered once, whatever it sends.
        """
        said = (code, "" if code == "revoked_key" else digest(envelope.payload))
        key_id = envelope.key_id
        known = batch.refusals.get(key_id) or self._last.get(key_id)
        batch.refusals[key_id] = said
        batch.when_durable(partial(self._last.__setitem__, key_id, said))
        return known != said


class Inventories:
    """Which inventory of each key has come since this process started; a new chain has to show its own."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, str]] = {}

    def take(self, key_id: str, report: Report) -> None:
        if report.inventory is not None:
            self._known[key_id] = (report.chain, report.inventory_digest)

    def lacks(self, key_id: str, report: Report) -> bool:
        return self._known.get(key_id) != (report.chain, report.inventory_digest)


class Clocks:
    """What the newest report of each chain said of time. Of one that spoke long ago, the log is asked."""

    def __init__(self) -> None:
        self._known: OrderedDict[ChainKey, tuple[int, ToldClocks]] = OrderedDict()

    def take(self, chain: ChainKey, index: int, report: Report) -> None:
        self._known[chain] = (index, ToldClocks.of(report))
        self._known.move_to_end(chain)
        if len(self._known) > CLOCKS_KEPT:
            self._known.popitem(last=False)

    def before(self, chain: ChainKey, last: Accepted, batch: CommitBatch) -> ToldClocks:
        """What the report `last`, the newest of its chain, said."""
        told = batch.told(chain)
        if told is not None:
            return told
        index, known = self._known.get(chain, (-1, None))
        return batch.told_before(last) if known is None or index != last.index else known


@dataclass(frozen=True, slots=True)
class DeliveryOutcome:
    """What became of the reports of one request: those placed, in order, and what stopped the rest.

    Those from `first` on were entered; the others lay in the log already.
    """

    placed: Sequence[Accepted]
    refusal: Refusal | None
    first: int


class ReportDelivery:
    """The plan that enters the reports of one request, up to the first that is refused."""

    closes = False

    def __init__(
        self, examined: Sequence[Examined], refusal: Refusal | None, ingest: "Ingest"
    ) -> None:
        self.size_bytes = sum(len(one.leaf) for one in examined)
        self._examined = examined
        self._refusal = refusal
        self._ingest = ingest

    def enter(self, batch: CommitBatch) -> DeliveryOutcome:
        placed: list[Accepted] = []
        refusal = self._refusal
        for examined in self._examined:
            try:
                placed.append(self._ingest.enter(examined, batch))
            except Refusal as misplaced:
                refusal = misplaced
                break
        if refusal is not None:
            self._ingest.enter_refusal(refusal, batch)
        return DeliveryOutcome(placed, refusal, batch.first)


@dataclass(frozen=True, slots=True)
class Receipts:
    """The answer to a request whose reports were all accepted. `base`: the name of what their key's next ones may be
    compressed against, empty where nothing is kept."""

    placed: Sequence[Receipt]
    head: Head
    want_inventory: bool
    base: bytes


class Turns:
    """A lock by name, kept while somebody holds it or waits for it."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())


class Ingest:
    """The door for reports. `counts` says how many came to what: accepted, duplicate, or a problem's code."""

    def __init__(
        self,
        committer: Committer,
        ring: KeyRing,
        limits: Limits,
        budgets: Budgets | None = None,
    ) -> None:
        self.limits = limits
        self._budgets = Budgets(limits.hourly, time.monotonic) if budgets is None else budgets
        self.counts: Counter[str] = Counter()
        self._committer = committer
        self._ring = ring
        self._bases = Bases()
        self._unpacker = Unpacker(limits, self._bases)
        self._book = RefusalBook()
        self._inventories = Inventories()
        self._contradictions = Contradictions(
            committer.log, committer.own.keys, committer.head.origin
        )
        self._opening = asyncio.Semaphore(OPEN_AT_ONCE)
        self._turns = Turns()
        self._apart = ThreadPoolExecutor(OPEN_AT_ONCE, thread_name_prefix="ingest")
        self._clocks = Clocks()

    async def accept(self, body: bytes, encoding: str | None, sender: str = "") -> Receipts:
        """Durable when it returns. Raises Problem; what was accepted before it is durable too, and named in it.

        `sender`: where the request comes from, which pays for what the log has already: anybody who was given a report
        can send it again.
        """
        try:
            self._committer.refuse_if_congested()
            if self._unpacker.is_large(body, encoding):
                examined, refusal = await self._in_turn(body, encoding, sender)
            else:
                examined, refusal = await self._examine(self._unpacker.unpack(body, encoding))
            self._budgets.charge(self._costs(examined, refusal, sender))
            return await self._deliver(examined, refusal)
        except Problem as problem:
            self.counts[problem.code] += 1
            raise

    def speaker(self, beginning: bytes, encoding: str | None) -> str | None:
        """The key of the first report of a request that is still coming, if that is here, and the key may speak."""
        leaf = self._unpacker.first(beginning, encoding)
        if leaf is None:
            return None
        try:
            envelope, key = _signed(leaf, self._ring, self.limits.report_bytes)
            refuse_if_revoked(key, envelope)
        except Refusal:
            return None
        return key.key_id

    async def _in_turn(
        self, body: bytes, encoding: str | None, sender: str
    ) -> tuple[list[Examined], Refusal | None]:
        """A large request, as `_examine` has it. Of those for which the same key or sender pays one is read at a time,
        and none once that is spent: what somebody sends at once waits for itself."""
        # A decompressor is not for two threads.
        unpacker = Unpacker(self.limits, self._bases)
        async with self._turns.of(sender):
            leaf = await self._in_thread(unpacker.first, body, encoding)
            payer = await self._payer_of(leaf, sender)
        async with self._turns.of(payer):
            self._budgets.refuse_if_spent(payer)
            async with self._opening:
                leaves = await self._in_thread(unpacker.unpack, body, encoding)
                return await self._examine(leaves)

    async def _payer_of(self, leaf: bytes | None, sender: str) -> str:
        try:
            if leaf is not None:
                return self._payer(await self._examine_one(leaf), sender)
        except Refusal:
            pass  # It is refused where it is read.
        return _at(sender)

    def _payer(self, examined: Examined, sender: str) -> str:
        """The key, for what it sends first."""
        last = self._committer.last(examined.chain)
        again = last is not None and examined.report.seq <= last.seq
        return _at(sender) if again else examined.envelope.key_id

    async def _in_thread(self, call: Callable[..., Found], *arguments: object) -> Found:
        """Apart from the threads in which pages and documents are made: reports wait for no reader."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._apart, call, *arguments)

    async def _examine_one(self, leaf: bytes) -> Examined:
        wanted = (leaf, self._ring, self.limits.report_bytes)
        if len(leaf) > APART_BYTES:
            return await self._in_thread(examine, *wanted)
        return examine(*wanted)

    async def _examine(self, leaves: Sequence[bytes]) -> tuple[list[Examined], Refusal | None]:
        examined: list[Examined] = []
        size_bytes = kept_bytes = 0
        for leaf in leaves:
            try:
                one = await self._examine_one(leaf)
            except Refusal as refusal:
                return examined, refusal
            kept_bytes += len(one.envelope.payload)
            examined.append(one if kept_bytes <= KEPT_BYTES else one.without_samples())
            size_bytes += len(leaf)
            if len(examined) % EXAMINED_AT_ONCE == 0 or size_bytes >= EXAMINED_BYTES_AT_ONCE:
                size_bytes = 0
                await asyncio.sleep(0)
        return examined, None

    async def _deliver(self, examined: Sequence[Examined], refusal: Refusal | None) -> Receipts:
        if not examined and refusal is not None and refusal.signed is None:
            raise _problem(refusal, [], None)
        answer = await self._committer.submit(ReportDelivery(examined, refusal, self))
        delivered = answer.outcome
        placed = [self._receipt(one, delivered.first) for one in delivered.placed]
        if delivered.refusal is not None:
            raise _problem(delivered.refusal, placed, answer.head)
        newest = examined[-1]
        wanted = self._inventories.lacks(newest.envelope.key_id, newest.report)
        base = self._bases.keep(newest.envelope.key_id, newest.envelope.payload)
        return Receipts(placed, answer.head, wanted, base)

    def _receipt(self, accepted: Accepted, first: int) -> Receipt:
        """Of a report that is durable: the tree has hashed it. Raises Problem where it cannot be proven any more."""
        log = self._committer.log
        try:
            hashed = (log.node if accepted.index >= first else log.proven())(0, accepted.index)
        except CorruptStore as error:
            raise Problem("internal", str(error)) from error
        return Receipt(
            index=accepted.index, leaf_hash=hashed.hex(), received_us=accepted.received_us
        )

    def enter(self, examined: Examined, batch: CommitBatch) -> Accepted:
        """Enters one report into a batch, or finds it in the log. Raises Refusal."""
        key = self._ring.key(examined.envelope.key_id)
        if key is not None:
            refuse_if_revoked(key, examined.envelope)
        last = batch.last(examined.chain)
        known = in_sequence(examined, last, batch.find)
        if known is not None:
            batch.when_durable(partial(self._took, examined, "duplicate"))
            return known
        if last is not None:
            told = goes_back(examined.report, self._clocks.before(examined.chain, last, batch))
            if told:
                raise _misplaced("clock_unsound", told, examined, last)
        accepted = batch.add_report(
            examined.chain,
            examined.leaf,
            examined.envelope,
            examined.report,
            examined.payload_hash,
            whole=examined.whole,
        )
        for found in self._contradictions.found(examined.envelope.key_id, examined.report):
            batch.add_record(EntryKind.CONTRADICTION, found)
        batch.when_durable(partial(self._took, examined, "accepted"))
        batch.when_durable(
            partial(self._clocks.take, examined.chain, accepted.index, examined.report)
        )
        return accepted

    def _costs(
        self, examined: Sequence[Examined], refusal: Refusal | None, sender: str
    ) -> dict[str, Costs]:
        """What a request costs each key that signed something new in it, and its sender the rest."""
        found: dict[str, Costs] = {}
        for one in examined:
            begun = one.report.seq == 0 or any(gap.first_seq == 0 for gap in one.report.gaps)
            payer = self._payer(one, sender)
            _add_cost(found, payer, Costs(len(one.leaf), 1, int(begun)))
        if refusal is not None and refusal.signed is not None:
            signed = refusal.signed
            _add_cost(found, signed.key_id, Costs(len(signed.payload), 1, findings=1))
        return found

    def _took(self, examined: Examined, outcome: str) -> None:
        self.counts[outcome] += 1
        self._inventories.take(examined.envelope.key_id, examined.report)

    def enter_refusal(self, refusal: Refusal, batch: CommitBatch) -> None:
        """Into a batch, if it was signed and is not merely repeated."""
        if refusal.signed is not None and self._book.is_new(refusal.code, refusal.signed, batch):
            batch.add_record(EntryKind.REFUSAL, refused(refusal, refusal.signed))


def _at(sender: str) -> str:
    """What a sender pays from; no key has such a name."""
    return f"sent from {sender}"


def _add_cost(found: dict[str, Costs], key: str, cost: Costs) -> None:
    found[key] = found[key].and_also(cost) if key in found else cost


def _problem(refusal: Refusal, placed: Sequence[Receipt], head: Head | None) -> Problem:
    members: dict[str, Any] = {
        "report": len(placed),
        "receipts": to_builtins(placed),
        "head": None if head is None else head.note,
    }
    if refusal.expected is not None:
        members["expected"] = to_builtins(refusal.expected)
    return Problem(refusal.code, refusal.detail, members)
