"""A party takes the bundle of a period from the collector: the one that `weighbridge bundle` makes."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.api.access import token_hash
from collector.bundling import handing_out
from collector.bundling.handing_out import Asked, BundleNotMadeError, Bundles
from tests.collector.building import Answered, Serving, serving, set_config, weighbridge
from tests.collector.test_bundle import PERIOD, play, written_by

BUNDLE = "/v1/contracts/lease/bundle"
ROLES = {"mine": "lessee:L/lease", "other": "lessee:L/neighbour"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    store = written_by(tmp_path_factory.mktemp("bundled") / "store", play)
    rows = (f'{{sha256 = "{token_hash(name)}", role = "{role}"}}' for name, role in ROLES.items())
    set_config(store, tokens=f"[{', '.join(rows)}]")
    with serving(store) as made:
        yield made


def ask(server: Serving, who: str, query: str = f"period={PERIOD}") -> Answered:
    return server.get(f"{BUNDLE}?{query}", Authorization=f"Bearer {who}")


def test_what_a_party_takes_is_verified_to_the_same_byte(server: Serving, tmp_path: Path) -> None:
    answer = ask(server, "mine")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/x-tar")
    file = tmp_path / "lease.tar"
    file.write_bytes(answer.body)
    done = weighbridge("verify", file, check=False)
    assert done.returncode == 0, done.stdout
    assert "equal to the byte" in done.stdout


def test_nobody_else_gets_it_and_of_no_such_period_there_is_none(server: Serving) -> None:
    assert ask(server, "other").status == 404
    for query, said in (
        ("", "period is missing"),
        ("period=2036-10", "2036-10"),
        (f"period={PERIOD}&as_of=noon", "noon"),
        ("period=--help", "--help"),
    ):
        answer = ask(server, "mine", query)
        assert (answer.status, said in answer.json["detail"]) == (400, True), answer.json


async def test_no_more_than_a_few_wait_for_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundles, go_on = Bundles(tmp_path / "config.toml"), asyncio.Event()

    async def slowly(_: Bundles, __: Asked, file: Path) -> None:
        await go_on.wait()
        await asyncio.to_thread(file.touch)

    monkeypatch.setattr(Bundles, "_make", slowly)

    async def take() -> Path:
        async with bundles.made(Asked("lease", PERIOD, None, "")) as file:
            assert file.exists()
            return file

    waiting = [asyncio.create_task(take()) for _ in range(handing_out.MOST_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(BundleNotMadeError, match="too many"):
        await take()
    go_on.set()
    assert not any(file.parent.exists() for file in await asyncio.gather(*waiting))
    assert not (await take()).exists()


async def test_a_bundle_that_cannot_be_made_is_said_to_be_none(tmp_path: Path) -> None:
    bundles = Bundles(tmp_path / "no config.toml")
    with pytest.raises(BundleNotMadeError, match="messages say why"):
        async with bundles.made(Asked("lease", PERIOD, None, "L")):
            pass
