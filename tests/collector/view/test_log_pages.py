"""The pages of the log: what they show is what the log holds, with proofs that others' programs take."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from collector.api.access import GATE, Gate, granted, token_hash
from collector.log.keys import load_keys
from collector.serving import problems
from collector.storage.store import Store
from collector.web.log_pages import LogPages, LogSource
from collector.web.shell import Shell
from collector.witnessing.rounds import WitnessTold
from tests.collector.building import CONTRACT, Agent, log_signer, make_store, opened
from weighbridge.log.checkpoint import Head, log_key, read_head, sign_head
from weighbridge.log.entries import EntryKind, stored_hash
from weighbridge.log.merkle import root_at
from weighbridge.log.policy import signed_by
from weighbridge.log.tlog_proof import check_proof, read_proof

Client = TestClient[web.Request, web.Application]
TOKENS = {
    "mine": granted(["lessee:L/lease"]),
    "others": granted(["lessee:L/next"]),
    "root": granted(["admin"]),
}


@dataclass
class Witnessed:
    """`collector.witnessing.rounds.Rounds`, as the test says."""

    published: Head
    told: list[WitnessTold] = field(default_factory=list)

    def witnesses(self) -> Iterator[WitnessTold]:
        return iter(self.told)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    directory = make_store(tmp_path / "store", [Agent("n1", gpus=2)], CONTRACT, heard=True)
    with opened(directory) as made:
        yield made


@pytest.fixture
def rounds(store: Store) -> Witnessed:
    head = store.log.handed_out
    assert head is not None
    return Witnessed(head)


@pytest.fixture
async def client(store: Store, rounds: Witnessed, tmp_path: Path) -> AsyncIterator[Client]:
    shell = Shell(store.info, lambda: 1_790_000_000_000_000)
    key = log_signer(tmp_path / "store").public_key
    ring = load_keys(store.log, store.index)
    head = rounds.published
    pages = LogPages(
        shell, LogSource(store.log, store.index, ring, lambda: head, lambda: key, rounds)
    )
    gate = Gate({token_hash(token): bearer for token, bearer in TOKENS.items()}, True)
    application = web.Application(middlewares=[shell.refusals, problems])
    application[GATE] = gate
    for route in pages.routes():
        application.router.add_route(route.method, route.path, gate.guard(route))
    async with TestClient(TestServer(application)) as made:
        yield made


async def read(client: Client, path: str, token: str = "root") -> tuple[int, str]:
    bearer = {"Authorization": f"Bearer {token}"}
    async with client.get(path, headers=bearer, allow_redirects=False) as response:
        return response.status, await response.text()


def index_of(store: Store, kind: EntryKind) -> int:
    return next(one.index for one in store.log.read(0, store.log.size) if one.kind is kind)


async def test_the_log_shows_its_head_and_how_to_verify_it(
    client: Client, rounds: Witnessed
) -> None:
    _, text = await read(client, "/log")
    for said in (
        rounds.published.root.hex(),
        rounds.published.origin,
        "no witness",
        "GET /checkpoint",
    ):
        assert said in text
    assert rounds.published.note in text.replace("&#43;", "+")
    _, text = await read(client, "/log?lang=zh")
    assert "证据日志" in text


async def test_witnesses_are_shown_with_what_they_signed_and_what_is_in_the_way(
    client: Client, rounds: Witnessed
) -> None:
    rounds.told = [
        WitnessTold("w1", "http://127.0.0.1:1", True, 1_790_000_000, 7, ""),
        WitnessTold("w2", None, False, None, 5, "it has cosigned 9 entries"),
    ]
    _, text = await read(client, "/log")
    assert "2026-09-21 14:13:20" in text
    assert "? not this head" in text
    assert "it has cosigned 9 entries" in text
    assert "comes by itself" in text


async def test_every_entry_has_a_page_and_a_proof_that_holds(
    client: Client, store: Store, rounds: Witnessed, tmp_path: Path
) -> None:
    key = log_signer(tmp_path / "store").public_key
    policy = signed_by(log_key(rounds.published.origin, key))
    for index, leaf in enumerate(store.log.leaves(0, store.log.size)):
        status, text = await read(client, f"/log/entries/{index}")
        assert status == 200
        assert stored_hash(leaf).hex() in text
        _, file = await read(client, f"/log/entries/{index}/proof")
        proof = read_proof(file)
        assert check_proof(proof, stored_hash(leaf), policy).size == rounds.published.size
        assert proof.index == index
    report = index_of(store, EntryKind.REPORT)
    _, text = await read(client, f"/log/entries/{report}")
    assert "report of an agent" in text
    assert "which speaks for the provider" in text
    assert '<a href="/nodes/n1">n1</a>' in text


async def test_what_the_published_head_does_not_cover_yet_is_proven_by_the_newest(
    client: Client, store: Store, rounds: Witnessed, tmp_path: Path
) -> None:
    newest, signer = rounds.published, log_signer(tmp_path / "store")
    size = newest.size - 1
    rounds.published = sign_head(newest.origin, size, root_at(size, store.log.node), signer)
    for index, covered in ((size - 1, size), (size, newest.size)):
        assert f"over {covered} entries" in (await read(client, f"/log/entries/{index}"))[1]
        proof = read_proof((await read(client, f"/log/entries/{index}/proof"))[1])
        assert read_head(proof.checkpoint).size == covered


async def test_a_party_sees_what_a_bundle_of_its_contract_would_hold(
    client: Client, store: Store
) -> None:
    for kind in (EntryKind.REPORT, EntryKind.CONTRACT, EntryKind.ASSIGNMENT, EntryKind.KEY):
        path = f"/log/entries/{index_of(store, kind)}"
        assert (await read(client, path, "mine"))[0] == 200, kind
        assert (await read(client, path, "others"))[0] == 403, kind
    tick = f"/log/entries/{index_of(store, EntryKind.TICK)}"
    assert (await read(client, tick, "others"))[0] == 200
    assert "newest entries" not in (await read(client, "/log", "mine"))[1]
    assert "newest entries" in (await read(client, "/log"))[1]


async def test_an_entry_that_is_not_there_is_refused_and_one_is_found_by_its_number(
    client: Client, store: Store
) -> None:
    last = store.log.size - 1
    assert (await read(client, f"/log/entries/{last}"))[0] == 200
    for path in (f"/log/entries/{last + 1}", "/log/entries/x", "/log/entries/" + "9" * 30):
        assert (await read(client, path))[0] == 404, path
    async with client.get("/log?entry=3", allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (303, "/log/entries/3")


async def test_a_number_that_is_no_entry_is_no_fault_however_long(client: Client) -> None:
    for index in (f"{0:017}999999", 5000 * "9", "²", "-1"):
        for path in (f"/log/entries/{index}", f"/log/entries/{index}/proof"):
            status, _ = await read(client, path)
            assert status == 404, path


async def test_what_fails_is_a_page_that_tells_strangers_nothing(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("of nobody's concern")

    monkeypatch.setattr(LogPages, "_shown", fails)
    headers = {"Authorization": "Bearer root", "Accept": "text/html"}
    async with client.get("/log/entries/1?lang=zh", headers=headers) as answer:
        text = await answer.text()
    assert answer.status == 500
    assert "<p>处理失败；原因见采集端进程的日志</p>" in text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "nobody's concern" not in text
    assert "nobody's concern" in caplog.text
