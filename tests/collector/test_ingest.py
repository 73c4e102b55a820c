"""Reports at the door of a real collector: what is accepted, what is refused by which name, and what is recorded."""

import json
import socket
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.log.decoding import Decoder
from collector.log.ingest import Limits
from tests.collector.building import REPORTS, Agent, Answered, Serving, body
from weighbridge.log.checkpoint import open_head
from weighbridge.log.entries import EntryKind, Refused, entry, payload_type
from weighbridge.log.merkle import leaf_hash, verify_inclusion
from weighbridge.wire.problems import Problem
from weighbridge.wire.report import Report, digest, read
from weighbridge.wire.signing import Envelope, encode_envelope, open_envelope

NO_FACTS: dict[str, Any] = {"readings": {}, "unavailable": {}}


def problem(answer: Answered, code: str, status: int) -> Any:
    document = answer.json
    assert (document["code"], answer.status) == (code, status), document
    assert document["type"] == f"urn:weighbridge:problem:{code}"
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    return document


def recorded(server: Serving, agent: Agent) -> list[Refused]:
    """The refusals of an agent's reports that the log holds."""
    found = []
    start = 0
    while rows := server.get(f"/v1/log/entries?start={start}&limit=1000").json:
        for row in rows:
            logged = entry(row["index"], row["envelope"].encode())
            if logged.kind is EntryKind.REFUSAL:
                found.append(read(Refused, logged.envelope.payload))
        start += len(rows)
    return [refusal for refusal in found if refusal.key_id == agent.signer.key_id]


def test_a_receipt_proves_where_the_report_lies(server: Serving, agent: Agent) -> None:
    envelopes = [agent.next() for _ in range(3)]
    answer = server.report(*envelopes)
    assert answer.status == 200, answer.body
    key = bytes.fromhex(server.get("/v1/log/head").json["log_key"])
    head = open_head(answer.json["head"], key)
    receipts = answer.json["receipts"]
    assert len(receipts) == 3
    for envelope, receipt in zip(envelopes, receipts, strict=True):
        assert receipt["leaf_hash"] == leaf_hash(envelope).hex()
        index = receipt["index"]
        proof = server.get(f"/v1/log/proof?index={index}&size={head.size}").json["hashes"]
        hashes = [bytes.fromhex(one) for one in proof]
        assert verify_inclusion(index, head.size, leaf_hash(envelope), hashes, head.root)
        logged = server.get(f"/v1/log/entries?start={index}&limit=1").json
        assert logged == [{"index": index, "envelope": envelope.decode()}]
    assert [one["received_us"] for one in receipts] == sorted(
        one["received_us"] for one in receipts
    )


def test_the_inventory_is_wanted_of_every_chain_that_has_not_shown_it(
    server: Serving, agent: Agent
) -> None:
    shown = {"devices": [], "driver": NO_FACTS, "host": NO_FACTS}
    wanted = [
        server.report(agent.next(inventory=one)).json["want_inventory"] for one in (None, shown)
    ]
    agent.start_chain()
    wanted += [
        server.report(agent.next(inventory=one)).json["want_inventory"] for one in (None, shown)
    ]
    assert wanted == [True, False, True, False]


def test_an_entry_was_received_at_the_tick_before_it(server: Serving, agent: Agent) -> None:
    receipt = server.report(agent.next()).json["receipts"][0]
    rows = server.get(f"/v1/log/entries?start=0&limit={receipt['index']}").json
    ticks = [
        json.loads(one.envelope.payload)["wall_us"]
        for one in (entry(row["index"], row["envelope"].encode()) for row in rows)
        if one.kind is EntryKind.TICK
    ]
    assert ticks[-1] == receipt["received_us"]
    assert ticks == sorted(ticks)


def test_large_reports_follow_each_other_in_one_request(server: Serving, agent: Agent) -> None:
    """Of the second and third no more is held than their places ask for: the log is not there to ask yet."""
    answer = server.report(*(agent.next(4000) for _ in range(4)))
    assert answer.status == 200, answer.body
    assert len(answer.json["receipts"]) == 4


def test_compressed_reports_are_the_same_reports(server: Serving, agent: Agent) -> None:
    envelopes = [agent.next(), agent.next()]
    for compressor in (
        zstandard.ZstdCompressor(),
        zstandard.ZstdCompressor(write_content_size=False),
    ):
        content = compressor.compress(body(*envelopes))
        answer = server.request("POST", "/v1/reports", content, Content_Encoding="zstd")
        assert answer.status == 200, answer.body
        assert answer.json["receipts"][1]["leaf_hash"] == leaf_hash(envelopes[1]).hex()


def test_a_replayed_report_gets_the_same_receipt_and_no_second_entry(
    server: Serving, agent: Agent
) -> None:
    envelopes = [agent.next() for _ in range(3)]
    first = server.report(*envelopes).json["receipts"]
    assert server.report(envelopes[1]).json["receipts"] == [first[1]]
    again = server.report(*envelopes, agent.next()).json["receipts"]
    assert again[:3] == first
    assert again[3]["index"] > first[2]["index"]
    twice = agent.next()
    receipts = server.report(twice, twice).json["receipts"]
    assert receipts[0] == receipts[1]


def test_a_report_out_of_order_is_refused_with_what_is_expected(
    server: Serving, agent: Agent
) -> None:
    first, second, third = agent.next(), agent.next(), agent.next()
    answer = server.report(first)
    document = problem(server.report(third), "sequence", 409)
    expected = {
        "chain": agent.chain,
        "seq": 1,
        "prev": digest(open_envelope(first).payload),
    }
    assert document["expected"] == expected
    assert (document["report"], document["receipts"]) == (0, [])
    refusals = recorded(server, agent)
    assert [(one.code, one.seq, one.node) for one in refusals] == [("sequence", 2, agent.node)]
    answer = server.report(second, third)
    assert answer.status == 200


def test_reports_before_a_refused_one_are_accepted_and_durable(
    server: Serving, agent: Agent
) -> None:
    first, _, third = agent.next(), agent.next(), agent.next()
    document = problem(server.report(first, third), "sequence", 409)
    assert document["report"] == 1
    assert document["receipts"] == server.report(first).json["receipts"]
    assert (
        open_head(document["head"], bytes.fromhex(server.get("/v1/log/head").json["log_key"])).size
        > document["receipts"][0]["index"]
    )


def test_a_declared_gap_is_accepted(server: Serving, agent: Agent) -> None:
    assert server.report(agent.next()).status == 200
    gap = agent.lose(5)
    assert server.report(agent.next(gaps=[gap]), agent.next()).status == 200


@pytest.mark.parametrize(
    "change",
    [{"last_hash": "1" * 64}, {"first_seq": 2}, {"last_seq": 4}],
    ids=["another hash", "too late", "too short"],
)
def test_a_gap_that_does_not_join_up_is_refused(
    server: Serving, agent: Agent, change: dict[str, Any]
) -> None:
    assert server.report(agent.next()).status == 200
    gap = agent.lose(5) | change
    problem(server.report(agent.next(gaps=[gap])), "sequence", 409)


def test_several_gaps_may_join_up_and_overlap_what_came(server: Serving, agent: Agent) -> None:
    envelopes = [agent.next(), agent.next()]
    assert server.report(*envelopes).status == 200
    gaps = [agent.lose(2), agent.lose(3)]
    gaps[0]["first_seq"] = 1
    assert server.report(agent.next(gaps=gaps)).status == 200


def test_a_chain_may_begin_with_a_gap_but_not_in_the_middle(server: Serving, agent: Agent) -> None:
    gap = agent.lose(4)
    problem(server.report(agent.seal(agent.payload())), "sequence", 409)
    assert server.report(agent.next(gaps=[gap])).status == 200


def test_a_reimaged_node_starts_a_new_chain(server: Serving, agent: Agent) -> None:
    assert server.report(agent.next(), agent.next()).status == 200
    agent.start_chain()
    assert server.report(agent.next(), agent.next()).status == 200


def test_another_report_under_a_known_seq_is_a_fork(server: Serving, agent: Agent) -> None:
    assert server.report(agent.next()).status == 200
    other = agent.payload(interval_ms=5)
    assert server.report(agent.next()).status == 200
    document = problem(server.report(agent.seal(other)), "fork", 409)
    assert document["expected"]["seq"] == 2


def test_another_prev_is_a_fork(server: Serving, agent: Agent) -> None:
    assert server.report(agent.next()).status == 200
    problem(server.report(agent.seal(agent.payload(prev="a" * 64))), "fork", 409)
    assert [one.code for one in recorded(server, agent)] == ["fork"]


def test_a_refusal_that_only_repeats_itself_is_recorded_once(server: Serving, agent: Agent) -> None:
    agent.next()
    late = agent.next()
    for _ in range(3):
        problem(server.report(late), "sequence", 409)
    assert len(recorded(server, agent)) == 1


def test_a_forged_report_is_refused_and_only_counted(server: Serving, agent: Agent) -> None:
    envelope = open_envelope(agent.next())
    tampered = envelope.payload.replace(b'"interval_ms":10000', b'"interval_ms":10001')
    for forged in (
        Envelope(envelope.payload_type, tampered, envelope.key_id, envelope.signature),
        Envelope(envelope.payload_type, envelope.payload, envelope.key_id, bytes(64)),
    ):
        problem(server.report(encode_envelope(forged)), "bad_signature", 400)
    assert recorded(server, agent) == []


def test_an_unknown_key_is_refused(server: Serving) -> None:
    problem(server.report(Agent("stranger").next()), "unknown_key", 401)


def test_a_report_about_another_node_is_refused(server: Serving, agent: Agent) -> None:
    problem(server.report(agent.seal(agent.payload(node="node-0"))), "wrong_node", 403)
    assert recorded(server, agent)[0].node == agent.node


def test_a_respelled_report_is_refused_and_recorded(server: Serving, agent: Agent) -> None:
    value = json.loads(agent.payload())
    for spelling in (
        json.dumps(value).encode(),
        agent.payload().replace(b'"version":1', b'"version":1,"version":1'),
        agent.payload() + b" ",
    ):
        problem(server.report(agent.seal(spelling)), "not_canonical", 400)
    codes = [(one.code, one.chain) for one in recorded(server, agent)]
    assert codes == [("not_canonical", agent.chain)] * 2 + [("not_canonical", agent.chain)]


def test_a_version_from_the_future_is_refused_and_recorded(server: Serving, agent: Agent) -> None:
    problem(server.report(agent.seal(agent.payload(version=2, more=[]))), "future_version", 422)
    assert recorded(server, agent)[0].seq == 0


def test_signed_rubbish_is_refused_and_recorded(server: Serving, agent: Agent) -> None:
    for payload in (b"", b"[]", b"\xff\xfe", b'{"version":1}', b"[" * 5000, b"NaN"):
        problem(server.report(agent.seal(payload)), "malformed", 400)
    assert {one.chain for one in recorded(server, agent)} == {None}


def test_an_envelope_of_another_type_is_no_report(server: Serving, agent: Agent) -> None:
    tick = agent.signer.seal(payload_type(EntryKind.TICK), b'{"wall_us":1}')
    problem(server.report(tick), "malformed", 400)


@pytest.mark.parametrize("content", [b"", b"\n", b"x", b"{}\n", b"\n\n", b"\xff\xfe\n"])
def test_what_is_no_list_of_envelopes_is_malformed(server: Serving, content: bytes) -> None:
    problem(server.request("POST", "/v1/reports", content), "malformed", 400)


def test_what_is_too_large_is_refused(server: Serving, agent: Agent) -> None:
    limits = Limits()
    envelope = agent.next()
    problem(server.request("POST", "/v1/reports", bytes(limits.body_bytes + 1)), "too_large", 413)
    problem(server.report(*[envelope] * (limits.reports + 1)), "too_large", 413)
    problem(server.report(b"x" * (limits.report_bytes + 1)), "too_large", 413)


@pytest.mark.parametrize("declared", [True, False])
def test_a_compressed_bomb_is_refused(server: Serving, declared: bool) -> None:
    compressor = zstandard.ZstdCompressor(level=19, write_content_size=declared)
    bomb = compressor.compress(bytes(1 << 28))
    assert len(bomb) < 100_000
    answer = server.request("POST", "/v1/reports", bomb, Content_Encoding="zstd")
    problem(answer, "too_large", 413)


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd, zstd", "é"])
def test_another_encoding_is_malformed(server: Serving, agent: Agent, encoding: str) -> None:
    answer = server.report(agent.next(), Content_Encoding=encoding)
    problem(answer, "malformed", 400)


@pytest.mark.parametrize("sized", [True, False])
def test_damaged_compression_is_malformed(server: Serving, agent: Agent, sized: bool) -> None:
    """Also where what is left of it is whole reports, so that the rest would be lost without a word."""
    compressor = zstandard.ZstdCompressor(write_content_size=sized)
    whole = body(agent.next(), agent.next())
    content = compressor.compress(whole)
    stream = compressor.compressobj(size=len(whole) + 1 if sized else -1)
    cut = stream.compress(whole) + stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    second, skippable = compressor.compress(whole), b"\x50\x2a\x4d\x18\x00\x00\x00\x00"
    behind = [content + more for more in (second, skippable, b"rubbish", b"\n")]
    for damaged in (content[:-5], cut, *behind, b"rubbish", b""):
        answer = server.request("POST", "/v1/reports", damaged, Content_Encoding="zstd")
        problem(answer, "malformed", 400)
    answer = server.request("POST", "/v1/reports", content, Content_Encoding="zstd")
    assert answer.status == 200


def test_rubbish_behind_an_empty_frame_is_malformed() -> None:
    empty = zstandard.ZstdCompressor().compress(b"")
    assert Decoder().decoded(empty, "zstd", 10) == b""
    with pytest.raises(Problem, match="there is more behind the zstd frame"):
        Decoder().decoded(empty + b"rubbish", "zstd", 10)


DOORS = [
    ("POST", "/v1/reports"),
    ("POST", "/v1/enroll"),
    ("POST", "/v1/invites"),
    ("POST", "/v1/contracts"),
    ("GET", "/v1/log/entries"),
    ("GET", "/v1/log/proof"),
]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    door=st.sampled_from(DOORS),
    content=st.binary(max_size=300) | st.text(max_size=100).map(str.encode),
    encoding=st.sampled_from([None, "zstd", "identity", "deflate"]),
)
def test_any_bytes_at_any_door_get_a_stated_answer(
    server: Serving, door: tuple[str, str], content: bytes, encoding: str | None
) -> None:
    headers = {} if encoding is None else {"Content_Encoding": encoding}
    answer = server.request(*door, content, Content_Type=REPORTS, **headers)
    assert 400 <= answer.status < 500 or door[0] == "GET", answer.body
    assert answer.status < 500, answer.body
    if answer.status >= 400:
        assert answer.json["code"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(changes=st.dictionaries(st.sampled_from(Report.__struct_fields__), JSON, max_size=3))
def test_any_signed_json_gets_a_stated_answer(
    server: Serving, fleet: list[Agent], changes: dict[str, Any]
) -> None:
    agent = fleet[0]
    answer = server.report(agent.seal(agent.payload(**changes)))
    assert answer.status in (200, 400, 403, 409, 422), answer.body


@settings(max_examples=60, deadline=None)
@given(
    query=st.dictionaries(
        st.sampled_from(["index", "size", "from", "to", "start", "limit"]), st.text(max_size=6)
    )
)
def test_any_query_gets_a_stated_answer(server: Serving, query: dict[str, str]) -> None:
    for path in ("/v1/log/proof", "/v1/log/entries"):
        answer = server.get(f"{path}?{urlencode(query)}")
        assert answer.status in (200, 400), answer.body


def raw(server: Serving, data: bytes) -> bytes:
    """What comes back to bytes that need be no HTTP."""
    parts = urlsplit(server.url)
    with socket.create_connection((str(parts.hostname), parts.port or 0), timeout=20) as connection:
        connection.sendall(data)
        return connection.recv(100)


def test_what_is_no_http_leaves_a_line_and_no_traceback(server: Serving) -> None:
    head = b"POST /v1/reports HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    for data in (b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"\x16\x03\x01\r\n\r\n"):
        assert b" 400 Bad Request" in raw(server, data)
    assert b" 400 Bad Request" in raw(server, head + b"no length\r\n")
    said = (server.directory / "serve.stderr").read_text()
    assert "no HTTP from 127.0.0.1; 1 such requests so far" in said
    assert "Traceback" not in said
    assert (
        b'weighbridge_connections_closed_total{reason="malformed"}' in server.get("/metrics").body
    )
