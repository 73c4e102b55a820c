"""What goes over the wire and what the agent makes of the answers, against a collector over real HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agent.daemon import reseal, write_report
from agent.enrolment import NodeIdentity
from agent.report.log_watch import LogWatch
from agent.report.receipts import ReceiptFile
from agent.report.reporter import Backoff, Reaction, Reporter, Sending, read_answer
from agent.report.sampler import Draft
from agent.report.spool import SMALLEST, Held, Spool
from agent.report.transport import HttpAnswer, Packed, Transport
from tests.agent.program.conftest import ORIGIN
from weighbridge.log.checkpoint import sign_head
from weighbridge.log.merkle import Frontier, leaf_hash
from weighbridge.log.succession import LogKeys
from weighbridge.log.witnessing import read_evidence
from weighbridge.wire.report import Event, EventKind, ReportClocks, digest
from weighbridge.wire.signing import Signer, generate_private_key

BOOT = "00000000-0000-4000-8000-000000000000"


def draft(number: int, filling: int = 0) -> Draft:
    events = [
        Event(
            boottime_us=number,
            kind=EventKind.XID,
            device=None,
            code=31,
            source="kernel",
            detail=digest(b"%d %d" % (number, place)) * 8,
        )
        for place in range(filling)
    ]
    return Draft(
        clock=ReportClocks(wall_us=number, boottime_us=number, synchronized=True),
        interval_ms=1000,
        inventory_digest=digest(b"nothing"),
        inventory=None,
        blocks=[],
        processes=None,
        host=None,
        events=events,
    )


def sorted_files(directory: Path, pattern: str) -> list[Path]:
    return sorted(directory.glob(pattern))


class Bench:
    """A spool, a reporter and the collector between which reports go."""

    def __init__(self, identity: NodeIdentity, directory: Path, collector: Any) -> None:
        self.identity, self.collector = identity, collector
        self.transport = Transport(identity.url)
        self.spool = Spool(directory / "spool", 4 * SMALLEST)
        self.receipts = ReceiptFile(directory / "receipts", 1 << 20)
        self.asked = 0
        self.noted: list[tuple[EventKind, str]] = []
        self.reporter = Reporter(
            self.spool,
            self.receipts,
            LogWatch(directory, identity.log),
            Sending(self.transport.post_reports),
            partial(reseal, identity.signer),
            self._asked,
            self.note,
        )

    def _asked(self) -> None:
        self.asked += 1

    async def note(self, kind: EventKind, detail: str) -> None:
        self.noted.append((kind, detail))

    def put(self, *numbers: int, filling: int = 0) -> None:
        for number in numbers:
            slot = self.spool.next_slot()
            sealed = write_report(
                draft(number, filling),
                slot,
                self.identity.node,
                BOOT,
                self.receipts.seen,
                self.identity.signer,
            )
            self.spool.append(slot, *sealed)

    async def send_all(self, most: int = 12) -> None:
        for _ in range(most):
            if await self.reporter.send_batch_wait_s() is None:
                return
        raise AssertionError(f"still sending: {self.reporter.status}")

    def times(self) -> list[int]:
        return [report.clock.wall_us for report in self.collector.reports]


@pytest.fixture
async def bench(enrolled: NodeIdentity, tmp_path: Path, collector: Any) -> AsyncIterator[Bench]:
    made = Bench(enrolled, tmp_path, collector)
    yield made
    await made.transport.close()
    made.spool.close()


async def test_a_collector_that_does_not_answer_withholds_no_sign_of_life(
    bench: Bench, tmp_path: Path
) -> None:
    signs, asked = asyncio.Semaphore(0), asyncio.Event()

    async def silent(_: Packed, __: Sequence[int]) -> HttpAnswer:
        await asked.wait()
        raise OSError("nobody answers")

    reporter = Reporter(
        bench.spool,
        bench.receipts,
        LogWatch(tmp_path, bench.identity.log),
        Sending(silent, alive=signs.release, breath_s=0.001),
        partial(reseal, bench.identity.signer),
        lambda: None,
        bench.note,
    )
    bench.put(0)
    sending = asyncio.create_task(reporter.send_batch_wait_s())
    async with asyncio.timeout(20):
        for _ in range(5):
            await signs.acquire()
        assert not sending.done()
        asked.set()
        assert await sending is not None
    assert reporter.status == "not reporting: nobody answers"


async def test_reports_go_in_order_in_batches_and_are_forgotten_when_receipted(
    bench: Bench, collector: Any
) -> None:
    bench.put(*range(100))
    await bench.send_all()
    assert bench.times() == list(range(100))
    assert collector.batches == [64, 36]
    assert bench.spool.pending_count == 0


async def test_receipts_and_the_newest_head_are_kept_over_a_restart(
    bench: Bench, tmp_path: Path
) -> None:
    bench.put(1, 2)
    await bench.send_all()
    lines = (tmp_path / "receipts").read_text().splitlines()
    kept = json.loads(lines[0])
    assert [row[:2] for row in kept["receipts"]] == [[0, 0], [1, 1]]
    seen = ReceiptFile(tmp_path / "receipts", 1 << 20).seen
    assert seen == bench.receipts.seen is not None
    bench.put(3)
    await bench.send_all()
    assert bench.collector.reports[-1].seen == seen


async def test_a_log_that_begins_anew_is_told_of_and_reporting_goes_on(
    bench: Bench, collector: Any
) -> None:
    bench.put(0)
    await bench.send_all()
    collector.begin_anew(0)
    bench.put(1)
    await bench.send_all()
    ((kind, detail),) = bench.noted
    assert kind is EventKind.LOG_FORKED
    keys = LogKeys(collector.signer.public_key)
    assert [head.size for head in read_evidence(detail, ORIGIN, keys)] == [1, 1]
    assert bench.times() == [0, 1]


async def test_receipts_stay_within_their_bound(tmp_path: Path, bench: Bench) -> None:
    bench.put(1)
    await bench.send_all()
    head = json.loads((tmp_path / "receipts").read_text())["head"]
    small = ReceiptFile(tmp_path / "small", 4096)
    for _ in range(100):
        small.keep("c" * 32, [], head)
    assert sum(len(path.read_bytes()) for path in sorted_files(tmp_path, "small*")) < 5000


async def test_a_collector_that_is_away_loses_nothing(bench: Bench, collector: Any) -> None:
    bench.put(1)
    collector.sick = [(503, {"Retry-After": "7"}, {}), (500, {}, {}), (200, {}, {"receipts": []})]
    first = await bench.reporter.send_batch_wait_s()
    assert first is not None
    assert first >= 7
    await bench.send_all()
    assert bench.times() == [1]


async def test_the_wait_grows_and_is_scattered() -> None:
    low, high = Backoff(lambda: 0.0), Backoff(lambda: 1.0)
    waits = [(low.wait_s(), high.wait_s()) for _ in range(8)]
    assert waits[:3] == [(0.5, 1.0), (1.0, 2.0), (2.0, 4.0)]
    assert waits[-1] == (30.0, 60.0)
    high.succeeded()
    assert high.wait_s() == 1.0


async def test_a_restored_collector_gets_everything_again(bench: Bench, collector: Any) -> None:
    bench.put(1, 2, 3)
    await bench.send_all()
    collector.chains.clear()
    collector.reports.clear()
    bench.put(4)
    await bench.send_all()
    assert bench.times() == [1, 2, 3, 4]


async def test_a_restored_collector_gets_what_is_still_held_though_the_spool_no_longer_reaches_back(
    bench: Bench, collector: Any
) -> None:
    bench.put(1, 2)
    await bench.send_all()
    backup = only(collector.chains).hashes.copy()
    for number in range(3, 60):
        bench.put(number, filling=100)
        await bench.send_all()
    held = bench.spool.held_count
    assert bench.times() == list(range(1, 60))
    only(collector.chains).hashes = backup
    del collector.reports[2:]
    bench.put(60)
    await bench.send_all()
    sent = bench.times()[2:]
    assert sent == list(range(61 - len(sent), 61))
    assert held - 8 < len(sent) < 57
    (gap,) = collector.reports[2].gaps
    assert gap.last_seq == 59 - len(sent)


async def test_what_had_to_be_dropped_is_declared_and_the_rest_arrives(
    bench: Bench, collector: Any
) -> None:
    bench.put(1)
    await bench.send_all()
    bench.put(*range(2, 100), filling=100)
    lost = bench.spool.dropped
    assert lost > 0
    await bench.send_all()
    first = collector.reports[1]
    assert bench.times()[1:] == list(range(first.clock.wall_us, 100))
    assert first.clock.wall_us - 2 <= bench.spool.dropped <= lost + 2
    (gap,) = first.gaps
    assert (gap.first_seq, gap.last_seq) == (0, first.seq - 1)
    assert collector.refusals == ["sequence"]


def only(chains: dict[str, Any]) -> Any:
    (chain,) = chains.values()
    return chain


async def test_a_fork_begins_a_new_chain_and_keeps_nothing_back(
    bench: Bench, collector: Any
) -> None:
    bench.put(1, 2)
    await bench.send_all()
    chain = bench.spool.current_chain
    only(collector.chains).hashes[2] = "0" * 64
    bench.put(3, 4)
    await bench.send_all()
    assert bench.times() == [1, 2, 3, 4]
    assert bench.spool.current_chain != chain
    assert collector.refusals == ["fork"]


async def test_a_clock_that_went_back_begins_a_new_chain_and_an_impossible_one_is_left_out(
    bench: Bench, collector: Any
) -> None:
    """Neither is sent for ever: a new chain has no report before it, and what is refused for itself stays behind."""
    bench.put(1)
    await bench.send_all()
    bench.put(2, 3, 4)
    unsound = {"type": "urn:weighbridge:problem:clock_unsound", "detail": "x", "report": 0}
    expected = {"chain": bench.spool.current_chain, "seq": 1, "prev": None}
    chain = bench.spool.current_chain
    collector.sick = [(422, {}, unsound | {"expected": expected}), (422, {}, unsound)]
    await bench.send_all()
    assert bench.times() == [1, 3, 4]
    assert bench.spool.current_chain != chain


async def test_an_unknown_key_keeps_spooling_and_asks_seldom(bench: Bench, collector: Any) -> None:
    bench.put(1)
    keys, collector.keys = collector.keys, {}
    wait = await bench.reporter.send_batch_wait_s()
    assert wait is not None
    assert wait > 60
    assert bench.spool.pending_count == 1
    collector.keys = keys
    await bench.send_all()
    assert bench.times() == [1]


async def test_a_batch_that_is_too_large_is_halved(bench: Bench, collector: Any) -> None:
    collector.largest_batch = 3
    bench.put(*range(10))
    await bench.send_all(20)
    assert bench.times() == list(range(10))


async def test_a_report_that_nobody_takes_does_not_hold_up_the_rest(
    bench: Bench, collector: Any
) -> None:
    bench.put(1, 2, 3)
    broken = {"type": "urn:weighbridge:problem:malformed", "detail": "x", "report": 0}
    collector.sick = [(400, {}, broken)]
    await bench.send_all()
    assert bench.times() == [2, 3]
    assert [gap.last_seq for gap in collector.reports[0].gaps] == [0]


async def test_a_proxys_error_page_leaves_nothing_out(bench: Bench, collector: Any) -> None:
    bench.put(1)
    collector.sick = [(400, {}, {"error": "proxy"}), (409, {}, {}), (413, {}, {})]
    await bench.send_all()
    assert bench.times() == [1]


async def test_the_collector_may_ask_for_the_inventory(bench: Bench, collector: Any) -> None:
    collector.want_inventory = True
    bench.put(1)
    await bench.send_all()
    assert bench.asked == 1


LOG = Signer(generate_private_key())
HELD = [Held(0, b"report 0"), Held(1, b"report 1")]


def answer_with(change: Callable[[dict[str, Any]], object], signer: Signer = LOG) -> HttpAnswer:
    frontier = Frontier()
    receipts = []
    for held in HELD:
        leaf = leaf_hash(held.envelope)
        receipts.append({"index": frontier.size, "leaf_hash": leaf.hex(), "received_us": 1})
        frontier.append(leaf)
    note = sign_head("log", frontier.size, frontier.root(), signer).note
    document = {"receipts": receipts, "head": note, "want_inventory": False}
    change(document)
    return HttpAnswer(200, json.dumps(document).encode(), None)


def test_an_honest_answer_acknowledges_the_batch() -> None:
    verdict = read_answer(answer_with(lambda _: None), HELD, LogKeys(LOG.public_key))
    assert verdict.reaction is Reaction.GO_ON
    assert [row.seq for row in verdict.accepted] == [0, 1]


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document["receipts"].pop(),
        lambda document: document["receipts"].reverse(),
        lambda document: document["receipts"].append(document["receipts"][0]),
        lambda document: document["receipts"][0].update(leaf_hash="0" * 64),
        lambda document: document["receipts"][1].update(index=99),
        lambda document: document["receipts"][1].update(index="1"),
        lambda document: document.update(head="log\n2\nAAAA\n"),
        lambda document: document.update(head=None),
        lambda document: document.update(receipts=7),
        lambda document: document.pop("receipts"),
    ],
)
def test_an_answer_that_proves_nothing_acknowledges_nothing(
    change: Callable[[dict[str, Any]], object],
) -> None:
    verdict = read_answer(answer_with(change), HELD, LogKeys(LOG.public_key))
    assert (verdict.reaction, verdict.accepted) == (Reaction.RETRY, ())


def test_a_head_under_another_key_acknowledges_nothing() -> None:
    stranger = Signer(generate_private_key())
    verdict = read_answer(answer_with(lambda _: None, stranger), HELD, LogKeys(LOG.public_key))
    assert (verdict.reaction, verdict.accepted) == (Reaction.RETRY, ())


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b"\xff", b"null"])
def test_any_bytes_are_an_answer(body: bytes) -> None:
    for status in (200, 302, 400, 409, 502):
        verdict = read_answer(HttpAnswer(status, body, None), HELD, LogKeys(LOG.public_key))
        assert verdict.reaction is Reaction.RETRY
