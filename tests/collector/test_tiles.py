"""The log as tiles, held against a second reading of the specification."""

import gzip
import hashlib
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.collector.building import (
    Agent,
    Serving,
    log_signer,
    make_store,
    opened,
    serving,
    set_config,
)
from tests.weighbridge.rfc_9162 import recursive_root
from weighbridge.log import tiles
from weighbridge.log.entries import EntryKind, Tick, payload_type
from weighbridge.wire.report import encode

ENTRIES = 70_000
"""That of the example in the specification: 273 full tiles, and partial ones on three levels."""

READER = "lessee:L/lease"


@pytest.fixture(scope="module")
def leaves() -> list[bytes]:
    return []


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, leaves: list[bytes]) -> Iterator[Serving]:
    directory = make_store(tmp_path_factory.mktemp("tiles") / "store", [Agent("n1")])
    signer = log_signer(directory)
    tick = signer.seal(payload_type(EntryKind.TICK), encode(Tick(wall_us=1_700_000_000_000_001)))
    with opened(directory) as store:
        leaves += store.log.leaves(0, store.log.size)
        more = [tick] * (ENTRIES - len(leaves))
        store.log.append(more)
        leaves += more
    token = hashlib.sha256(b"token").hexdigest()
    set_config(directory, tokens=f'[{{sha256 = "{token}", role = "{READER}"}}]')
    with serving(directory) as running:
        yield running


def test_tiles_are_the_hashes_that_the_specification_names(
    server: Serving, leaves: list[bytes]
) -> None:
    level_0 = server.get("/tile/0/000").body
    assert level_0 == b"".join(hashlib.sha256(b"\x00" + leaf).digest() for leaf in leaves[:256])
    partial = server.get("/tile/0/273.p/112")
    assert partial.body == b"".join(recursive_root([leaf]) for leaf in leaves[273 * 256 : 70_000])
    assert partial.headers["Content-Type"] == "application/octet-stream"
    assert "immutable" in partial.headers["Cache-Control"]
    of_tile_7 = server.get("/tile/1/000").body[7 * 32 : 8 * 32]
    assert of_tile_7 == recursive_root(leaves[7 * 256 : 8 * 256])
    assert len(server.get("/tile/1/001.p/17").body) == 17 * 32
    assert server.get("/tile/2/000.p/1").body == recursive_root(leaves[:65536])


@pytest.mark.parametrize(
    "path",
    [
        "/tile/0/274",
        "/tile/0/000.p/256",
        "/tile/0/000.p/0",
        "/tile/0/000.p/01",
        "/tile/00/000",
        "/tile/64/000",
        "/tile/63/000",
        "/tile/2/000",
        "/tile/0/0",
        "/tile/0/x000/000",
        "/tile/0/x001/x002/x003/x004/x005/x006/x007/008",
        "/tile/-1/000",
        "/tile/entries/274",
        "/tile/entries/x999/999",
    ],
)
def test_what_is_no_tile_yet_or_is_spelled_otherwise_is_not_there(
    server: Serving, path: str
) -> None:
    assert server.get(path).status == 404


def bundled(body: bytes) -> Iterator[bytes]:
    while body:
        (size,) = struct.unpack(">H", body[:2])
        yield body[2 : 2 + size]
        body = body[2 + size :]


def test_bundles_hold_the_entries_and_their_hashes_are_those_of_the_tile(
    server: Serving, leaves: list[bytes]
) -> None:
    whole = server.get("/tile/entries/000")
    assert list(bundled(whole.body)) == leaves[:256]
    zipped = server.get("/tile/entries/273.p/112", Accept_Encoding="gzip")
    assert zipped.headers["Content-Encoding"] == "gzip"
    assert list(bundled(gzip.decompress(zipped.body))) == leaves[273 * 256 : 70_000]
    hashed = b"".join(recursive_root([leaf]) for leaf in bundled(whole.body))
    assert hashed == server.get("/tile/0/000").body


def test_hashes_are_for_every_party_and_entries_for_nobody_who_may_not_read_them_all(
    server: Serving,
) -> None:
    party = {"Authorization": "Bearer token"}
    for path in ("/checkpoint", "/tile/0/000"):
        assert server.get(path, **party).status == 200
        assert server.get(path, Authorization="Bearer other").status == 401
    assert server.get("/tile/entries/000", **party).status == 403


def test_an_entry_that_is_too_long_for_a_bundle_is_said_to_be() -> None:
    assert len(tiles.bundle([b"x" * 65535])) == 65537
    with pytest.raises(ValueError, match="65536 bytes does not fit"):
        tiles.bundle([b"x" * 65536])


@given(st.integers(0, 10**18), st.none() | st.integers(1, 255))
def test_a_tile_has_one_spelling(index: int, width: int | None) -> None:
    text = str(index)
    text = "0" * (-len(text) % 3) + text
    groups = [text[at : at + 3] for at in range(0, len(text), 3)]
    path = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    path += "" if width is None else f".p/{width}"
    assert tiles.read_tile(path) == tiles.Tile(index, 256 if width is None else width)
