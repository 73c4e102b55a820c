"""Heads on which an authority puts a time: asked for, entered, shown, and verified by whoever trusts it."""

import time
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path

import pytest

from collector.log import timestamps
from collector.log.timestamps import NoOpensslError, TimestampError, ask, when
from tests.collector.building import Agent, opened, serving, set_config, wait_for
from tests.collector.timestamping import TimestampAuthority
from weighbridge.log.checkpoint import read_head
from weighbridge.log.entries import EntryKind

NOTE = (
    "example.org/log\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— example.org/log AAAA\n"
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> TimestampAuthority:
    return TimestampAuthority(tmp_path_factory.mktemp("timestamps") / "authority")


def test_an_answer_says_when_the_head_was_there(authority: TimestampAuthority) -> None:
    before_s = int(time.time())
    asking = ask(NOTE)
    answer = authority.answer(asking.request)
    at_s = asking.check(answer, authority.certificates)
    assert before_s <= at_s <= time.time()
    assert when(NOTE, answer, authority.certificates) == at_s


def test_an_answer_proves_nothing_of_another_head_request_or_authority(
    authority: TimestampAuthority, tmp_path: Path
) -> None:
    asking = ask(NOTE)
    answer = authority.answer(asking.request)
    stranger = TimestampAuthority(tmp_path / "stranger")
    with pytest.raises(TimestampError):
        when(NOTE.replace("\n1\n", "\n2\n"), answer, authority.certificates)
    with pytest.raises(TimestampError):
        when(NOTE, answer, stranger.certificates)
    with pytest.raises(TimestampError):
        ask(NOTE).check(answer, authority.certificates)
    changed = bytearray(answer)
    changed[-1] ^= 1
    with pytest.raises(TimestampError):
        when(NOTE, bytes(changed), authority.certificates)
    with pytest.raises(TimestampError):
        when(NOTE, b"", authority.certificates)


def test_without_the_program_nothing_is_known(
    authority: TimestampAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = authority.answer(ask(NOTE).request)
    monkeypatch.setattr(timestamps, "OPENSSL", "openssl-that-nobody-has")
    with pytest.raises(NoOpensslError):
        when(NOTE, answer, authority.certificates)


def test_a_collector_has_its_heads_stamped_and_shows_them(
    authority: TimestampAuthority, store_of: Callable[..., Path]
) -> None:
    directory = store_of(Agent("n1"))
    with authority.serving() as url:
        table = f'{{url = "{url}", authority = "{authority.certificates}", seconds = 1}}'
        set_config(directory, timestamps=table)
        with serving(directory) as server:
            told = wait_for(lambda: server.get("/v1/log/timestamps").json["items"], "a timestamp")
            assert server.stop() == 0
    newest = told[0]
    head = read_head(newest["head"])
    assert head.size == newest["size"] <= newest["index"]
    assert when(head.note, b64decode(newest["answer"]), authority.certificates) <= time.time()
    with opened(directory) as store:
        assert newest["index"] in store.index.of_kinds({EntryKind.TIMESTAMP})


def test_an_authority_that_is_trusted_by_nobody_here_stamps_nothing(
    authority: TimestampAuthority, store_of: Callable[..., Path], tmp_path: Path
) -> None:
    stranger, before = TimestampAuthority(tmp_path / "stranger"), authority.asked + 1
    directory = store_of(Agent("n1"))
    with authority.serving() as url:
        table = f'{{url = "{url}", authority = "{stranger.certificates}", seconds = 1}}'
        set_config(directory, timestamps=table)
        with serving(directory) as server:
            wait_for(lambda: authority.asked > before, "another question")
            assert server.get("/v1/log/timestamps").json["items"] == []
