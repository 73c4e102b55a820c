"""Reports in parts at the door of a real collector: as strict as envelopes, and the same bytes in the log."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from agent.daemon import reseal
from agent.report import parting as parting_module
from agent.report.log_watch import LogWatch
from agent.report.parting import Parting
from agent.report.receipts import ReceiptFile
from agent.report.reporter import Reporter, Sending
from agent.report.spool import SMALLEST, Spool
from agent.report.transport import HttpAnswer, Packed, Transport
from collector.log.bases import IDLE_SECONDS, MOST_BYTES, ROOM_BYTES, Bases
from collector.log.ingest import Limits, Unpacker
from tests.collector.building import (
    Agent,
    Answered,
    Serving,
    body,
    leaves_of,
    log_signer,
    make_store,
    serving,
)
from tests.collector.test_ingest import problem
from weighbridge.process.log_trust import LogTrust
from weighbridge.wire.parts import (
    HEAD,
    PARTS_HEADER,
    PARTS_TYPE,
    ROW,
    Parts,
    apart,
    name_of,
    offer,
    payloads_in,
    shared_dictionary,
    texts_of,
    with_hash,
    without_hash,
)
from weighbridge.wire.problems import Problem
from weighbridge.wire.report import EventKind, digest
from weighbridge.wire.signing import open_envelope

LIMITS = Limits()


def frame(text: bytes, base: bytes = b"", *, write_content_size: bool = True) -> bytes:
    content = zstandard.ZstdCompressionDict(
        shared_dictionary() + base, dict_type=zstandard.DICT_TYPE_RAWCONTENT
    )
    return zstandard.ZstdCompressor(
        dict_data=content, write_content_size=write_content_size
    ).compress(text)


def wide(text: bytes) -> bytes:
    """A frame that asks its reader to keep more than the collector does."""
    parameters = zstandard.ZstdCompressionParameters(window_log=24, write_content_size=0)
    made = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return made.compress(text) + made.flush()


def parted(*envelopes: bytes, base: bytes = b"", made: bytes | None = None) -> bytes:
    """A body; `made` in place of its frame."""
    opened = [open_envelope(one) for one in envelopes]
    made = frame(texts_of(opened, base), base) if made is None else made
    name = name_of(base) if base else b""
    return Parts(opened[0].key_id, name, [one.signature for one in opened], made).joined()


def sent(server: Serving, content: bytes, **headers: str) -> Answered:
    return server.request("POST", "/v1/reports", content, Content_Type=PARTS_TYPE, **headers)


def logged(server: Serving, answer: Answered) -> list[bytes]:
    indexes = [receipt["index"] for receipt in answer.json["receipts"]]
    paths = (f"/v1/log/entries?start={index}&limit=1" for index in indexes)
    return [server.get(path).json[0]["envelope"].encode() for path in paths]


def test_what_comes_in_parts_rests_as_the_envelopes_that_were_signed(
    server: Serving, agent: Agent
) -> None:
    reports = [agent.next(inventory=agent.inventory()), *(agent.next() for _ in range(3))]
    answer = sent(server, parted(*reports))
    assert answer.status == 200, answer.body
    assert logged(server, answer) == reports


def test_the_next_report_may_be_compressed_against_what_the_answer_names(
    server: Serving, agent: Agent
) -> None:
    base = agent.next()
    answer = server.report(base)
    payload = open_envelope(base).payload
    assert answer.headers[PARTS_HEADER] == offer(name_of(payload))
    report = agent.next()
    content = parted(report, base=payload)
    assert len(content) < len(parted(report)) < len(report) / 3
    answer = sent(server, content)
    assert (answer.status, logged(server, answer)) == (200, [report])


def test_a_base_that_is_not_kept_is_said_to_be_unknown(server: Serving, agent: Agent) -> None:
    first, second = agent.next(), agent.next()
    content = parted(second, base=open_envelope(first).payload)
    problem(sent(server, content), "unknown_base", 409)
    assert server.report(first).status == 200
    problem(sent(server, parted(second, base=b"another")), "unknown_base", 409)
    assert sent(server, content).status == 200
    problem(sent(server, content), "unknown_base", 409)


def test_of_another_key_nobody_uses_the_base(server: Serving, agent: Agent) -> None:
    base = agent.next()
    assert server.report(base).status == 200
    stranger = Agent("stranger")
    content = parted(stranger.next(), base=open_envelope(base).payload)
    problem(sent(server, content), "unknown_base", 409)
    problem(sent(server, parted(stranger.next())), "unknown_key", 401)


def damages(content: bytes, reports: Sequence[bytes]) -> list[bytes]:
    opened = [open_envelope(one) for one in reports]
    text = texts_of(opened, b"")
    lengthened = ROW.pack(len(text), 0) + text
    longer = ROW.pack(len(opened[0].payload), len(opened[0].payload) + 2) + opened[0].payload
    signed = HEAD.size + 64 * len(reports)
    return [
        b"",
        content[: HEAD.size - 1],
        content[: HEAD.size],
        content[:signed],
        content[:-5],
        content + b"\n",
        content + content[signed:],
        content + b"\x50\x2a\x4d\x18\x00\x00\x00\x00",
        bytes(8) + content[8:],
        content[:48] + bytes(2) + content[50:],
        content[:48] + bytes(2) + frame(b""),
        content[: signed - 64] + content[signed:],
        content[:signed] + bytes(64) + content[signed:],
        parted(*reports, made=wide(text)),
        parted(*reports, made=frame(text[:-1])),
        parted(*reports, made=frame(text + b"\0")),
        parted(*reports, made=frame(lengthened)),
        parted(*reports[:1], made=frame(longer)),
        parted(*reports, made=frame(b"")),
        parted(*reports[:1], made=frame(text)),
        parted(*reports, made=zstandard.compress(body(*reports))),
        parted(*reports, made=frame(text, write_content_size=False)[:-3]),
        parted(*reports, made=frame(text, write_content_size=False) + b"\n"),
    ]


def test_damaged_parts_are_malformed(server: Serving, agent: Agent) -> None:
    reports = [agent.next(), agent.next()]
    content = parted(*reports)
    for number, damaged in enumerate(damages(content, reports)):
        answer = sent(server, damaged)
        assert (answer.status, answer.json["code"]) == (400, "malformed"), number
    problem(sent(server, content, Content_Encoding="zstd"), "malformed", 400)
    problem(sent(server, content[:60] + bytes(4) + content[64:]), "bad_signature", 400)
    assert sent(server, content).status == 200


@pytest.mark.parametrize("declared", [True, False])
def test_a_bomb_and_too_many_reports_are_too_large(
    server: Serving, agent: Agent, declared: bool
) -> None:
    report = agent.next()
    bomb = frame(bytes(1 << 28), write_content_size=declared)
    problem(sent(server, parted(report, made=bomb)), "too_large", 413)
    small = frame(ROW.pack(0, 0) * 600, write_content_size=declared)
    problem(sent(server, parted(*[report] * 600, made=small)), "too_large", 413)
    large = frame(ROW.pack(30 << 20, 0) + bytes(30 << 20), write_content_size=declared)
    problem(sent(server, parted(report, made=large)), "too_large", 413)


def test_limits_are_those_of_envelopes_to_the_byte() -> None:
    agent = Agent("n")
    reports = [agent.next() for _ in range(3)]
    whole = body(*reports)
    for reports_bound, bytes_bound, said in (
        (3, len(whole), "leaves"),
        (2, len(whole), "too_large"),
        (3, len(whole) - 1, "too_large"),
    ):
        limits = replace(LIMITS, reports=reports_bound, decompressed_bytes=bytes_bound)
        assert said_of(Unpacker(limits), zstandard.compress(whole), "zstd") == said
        assert said_of(Unpacker(limits), parted(*reports)) == said


@given(st.binary(max_size=64), st.binary(max_size=64), st.binary(min_size=1, max_size=64))
def test_a_hash_is_put_back_wherever_it_stood(begins: bytes, ends: bytes, before: bytes) -> None:
    payload = begins + sha256(before).hexdigest().encode() + ends
    text, cut = without_hash(payload, before)
    assert (text, cut) == (begins + ends, len(begins) + 1)
    assert with_hash(text, cut, before) == payload
    row = ROW.pack(len(text), cut) + text
    assert list(payloads_in(row, before)) == [payload]
    with pytest.raises(ValueError, match="cut off"):
        list(payloads_in(ROW.pack(len(text), len(text) + 2) + text, before))


@given(st.binary(max_size=300), st.integers(0, 300))
def test_any_bytes_are_parts_or_malformed(rubbish: bytes, at: int) -> None:
    agent = Agent("n")
    content = parted(agent.next())
    unpacker = Unpacker(LIMITS)
    for damaged in (rubbish, content[:at] + rubbish, content[:at] + rubbish + content[at:]):
        unpacker.is_large(damaged, PARTS_TYPE)
        unpacker.first(damaged, PARTS_TYPE)
        assert said_of(unpacker, damaged) in ("leaves", "malformed", "unknown_base", "too_large")


def said_of(unpacker: Unpacker, content: bytes, encoding: str = PARTS_TYPE) -> str:
    try:
        return "leaves" if unpacker.unpack(content, encoding) else "nothing"
    except Problem as refused:
        return refused.code


def test_whose_it_is_shows_once_the_first_report_is_here() -> None:
    agent = Agent("n")
    reports = [agent.next() for _ in range(120)]
    content = parted(*reports)
    unpacker, signed = Unpacker(LIMITS), HEAD.size + 64 * len(reports)
    here = content[: (signed + len(content)) // 2]
    assert unpacker.first(here, PARTS_TYPE) == reports[0]
    for short in (content[: HEAD.size + 70], content[:signed], content[: signed + 9]):
        assert unpacker.first(short, PARTS_TYPE) is None


def test_a_base_gives_way_when_its_key_is_silent_and_newcomers_wait_until_then() -> None:
    now = [0.0]
    bases = Bases(lambda: now[0])
    keys = [f"key-{number}" for number in range(ROOM_BYTES // MOST_BYTES + 1)]
    payloads = {key: key.encode().ljust(MOST_BYTES) for key in keys}
    names = [bases.keep(key, payloads[key]) for key in keys]
    assert names == [*(name_of(payloads[key]) for key in keys[:-1]), b""]
    now[0] = IDLE_SECONDS - 1
    assert bases.keep(keys[-1], payloads[keys[-1]]) == b""
    now[0] = IDLE_SECONDS
    assert bases.keep(keys[-1], payloads[keys[-1]]) == name_of(payloads[keys[-1]])
    assert bases.find(keys[0], names[0]) is None
    assert bases.find(keys[1], names[1]) == payloads[keys[1]]
    assert bases.find(keys[1], names[2]) is None
    assert bases.keep("large", bytes(MOST_BYTES + 1)) == b""


def test_a_report_with_more_in_it_than_the_next_leaves_the_base_as_it_is() -> None:
    bases, small, twice = Bases(), b"small", b"smallsmall"
    assert bases.keep("k", small) == name_of(small)
    assert bases.keep("k", twice + b"r") == name_of(small)
    assert bases.keep("k", twice) == name_of(twice)
    assert bases.keep("k", small) == name_of(small)


def answer(agent_report: bytes = b"", status: int = 200, parts: str | None = None) -> HttpAnswer:
    return HttpAnswer(status, agent_report, None, parts)


def test_an_agent_sends_parts_where_they_are_offered_and_envelopes_to_an_older_collector() -> None:
    agent, parting = Agent("n"), Parting()
    one = agent.next()
    packed = parting.packed([one])
    assert not packed.in_parts
    assert parting.believed(packed, answer())
    assert not parting.packed([one]).in_parts
    assert parting.believed(packed, answer(parts="00 11"))
    assert not parting.packed([one]).in_parts
    assert parting.believed(packed, answer(parts=offer(b"")))
    assert parting.packed([one]).in_parts


def test_what_is_refused_in_parts_goes_as_envelopes_before_it_is_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parting_module, "MOST_WITHOUT", 12)
    agent, parting = Agent("n"), Parting()
    one, good = agent.next(), answer(parts=offer(b""))
    parting.believed(parting.packed([one]), good)
    whole = []
    for _ in range(5):
        assert not parting.believed(parting.packed([one]), answer(status=400))
        batches = 0
        while not (packed := parting.packed([one])).in_parts:
            assert parting.believed(packed, good)
            batches += 1
        whole.append(batches)
    assert whole == [1, 3, 7, 12, 12]
    for status in (200, 399, 429, 500, 503):
        packed = parting.packed([one])
        assert packed.in_parts
        assert parting.believed(packed, good if status == 200 else answer(status=status))
    assert not parting.believed(parting.packed([one]), answer(status=499))
    packed = parting.packed([one])
    assert not packed.in_parts
    assert parting.believed(packed, answer(status=400))
    assert parting.believed(packed, good)
    assert parting.packed([one]).in_parts, "parts were taken meanwhile: one batch is enough"


def test_a_base_that_is_named_no_more_is_used_no_more() -> None:
    agent, parting = Agent("n"), Parting()
    payloads = []
    for named in (0, 0, None):
        one = agent.next()
        payloads.append(open_envelope(one).payload)
        offered = offer(b"" if named is None else name_of(payloads[named]))
        assert parting.believed(parting.packed([one]), answer(parts=offered))
        used = apart(parting.packed([agent.next()]).body).base
        assert used == (b"" if named is None else name_of(payloads[0]))


def test_reports_of_two_keys_go_as_envelopes() -> None:
    parting, one, other = Parting(), Agent("n").next(), Agent("m").next()
    assert parting.believed(parting.packed([one]), answer(parts=offer(b"")))
    assert parting.packed([one, one]).in_parts
    assert not parting.packed([one, other]).in_parts


class Post:
    """Hands batches to a collector that may be another process each time, and notes in which form they went."""

    def __init__(self) -> None:
        self.url = ""
        self.seen: list[tuple[bool, int]] = []

    async def __call__(self, packed: Packed, kept: Sequence[int]) -> HttpAnswer:
        transport = Transport(self.url)
        try:
            got = await transport.post_reports(packed, kept)
        finally:
            await transport.close()
        self.seen.append((packed.in_parts, got.status))
        return got


async def noted(_: EventKind, __: str) -> None:
    raise AssertionError("the log was found to be another one")


async def test_an_agents_reporter_goes_on_where_its_collector_has_forgotten_the_base(
    tmp_path: Path,
) -> None:
    agent, post, reports = Agent("n1"), Post(), list[bytes]()
    directory = make_store(tmp_path / "store", [agent])
    spool = Spool(tmp_path / "spool", 8 * SMALLEST)
    watch = LogWatch(tmp_path, LogTrust(log_signer(directory).public_key, tmp_path))
    reporter = Reporter(
        spool,
        ReceiptFile(tmp_path / "receipts", 1 << 20),
        watch,
        Sending(post),
        partial(reseal, agent.signer),
        lambda: None,
        noted,
    )
    for _ in range(2):
        with serving(directory) as server:
            post.url = server.url
            for _ in range(3):
                slot = spool.next_slot()
                agent.chain = slot.chain
                reports.append(agent.next())
                spool.append(slot, reports[-1], digest(open_envelope(reports[-1]).payload))
                while await reporter.send_batch_wait_s() is not None:
                    pass
            assert server.stop() == 0
    spool.close()
    parts = [(True, 200), (True, 200)]
    assert post.seen == [(False, 200), *parts, (True, 409), (False, 200), *parts]
    assert [leaf for leaf in leaves_of(directory) if leaf in reports] == reports


def test_both_programs_agree_on_what_a_report_is_compressed_against(
    server: Serving, agent: Agent
) -> None:
    parting, sizes = Parting(), []
    for number in range(5):
        report = agent.next(inventory=agent.inventory() if number == 2 else None)
        packed = parting.packed([report])
        headers = {"Content_Type": PARTS_TYPE} if packed.in_parts else {"Content_Encoding": "zstd"}
        got = server.request("POST", "/v1/reports", packed.body, **headers)
        assert (got.status, logged(server, got)) == (200, [report])
        said = got.headers[PARTS_HEADER]
        assert parting.believed(packed, HttpAnswer(200, got.body, None, said))
        sizes.append((packed.in_parts, len(packed.body)))
    assert [in_parts for in_parts, _ in sizes] == [False, True, True, True, True]
    assert all(size < 800 for _, size in sizes[3:])
