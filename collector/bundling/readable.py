"""What the entries of a bundle say, as files that people read: contracts, notices, keys, versions, how to verify it.

Whoever verifies makes them again from the entries, and compares.
"""

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.resources import files
from string import Template
from typing import Any

from pydantic import TypeAdapter

from collector.log.keys import KeyRing
from weighbridge import __version__
from weighbridge.bundle.description import Description
from weighbridge.bundle.zone import offsets
from weighbridge.catalogue import tables
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.contract.zone_data import ZONE_DATA
from weighbridge.judge.ledger import BY_DEVICE, OVERLAY, Row, State
from weighbridge.judge.node import JUDGE
from weighbridge.notices.book import FOREVER_US, NoticeBook
from weighbridge.settlement.draft import ENGINE
from weighbridge.wire.report import canonical

LANGUAGES = ("en", "zh")
VERSIONS = "versions.json"
LAID = frozenset({State.CONTESTED, State.UP})
"""What is laid over a node's own rows: UP changes none, and is flagged."""

PROGRAM = f"weighbridge {__version__}"
MAKERS = {"program": PROGRAM, "engine": ENGINE, "judge": JUDGE}
"""What makes a bundle here, by version."""


def told_by(contract: str, book: NoticeBook, ring: KeyRing) -> dict[str, bytes]:
    """Contract versions, notices and keys, by the name of the file."""
    said = {
        f"contracts/{version.contract.version:04d}.yaml": version.text.encode()
        for version in book.versions(contract, FOREVER_US)
    }
    record = book.record(contract, FOREVER_US)
    heard = () if record is None else record.heard
    notices = [
        {
            "entry": one.index,
            "received_us": one.received_us,
            "key_id": one.key_id,
            "notice": one.notice.model_dump(mode="json"),
        }
        for one in heard
    ]
    parties = [one.model_dump(mode="json") for one in book.party_keys(contract)]
    keys = {"agents": list(_agents(ring)), "parties": parties}
    return said | {"notices.json": _json(notices), "keys.json": _json(keys)}


def contested_rows(rows: Sequence[Row]) -> bytes:
    """Contested time as the collector tells it."""
    return _json([asdict(row) for row in rows])


def read_contested(data: bytes, contract: str) -> list[Row]:
    """Raises ValueError for anything but rows of contested time of this contract."""
    rows = TypeAdapter(list[Row]).validate_json(data)
    laid = (contract, OVERLAY, BY_DEVICE)
    if any((row.contract, row.chain, row.slot) != laid or row.state not in LAID for row in rows):
        raise ValueError("other rows than of contested time")
    return rows


def _agents(ring: KeyRing) -> Iterator[Mapping[str, Any]]:
    for key in ring:
        yield {
            "key_id": key.key_id,
            "public_key": key.public_key.hex(),
            "node": key.node,
            "side": key.side,
            "enrolled_entry": key.enrolled_index,
            "revoked_entry": key.revoked_index,
            "reason": key.reason,
        }


def _json(value: object) -> bytes:
    return canonical(value) + b"\n"


def made_by(told: Description, zone: str) -> bytes:
    """What made the statement here: programs, tables, and the zone data that was used."""
    return _json(
        {
            **MAKERS,
            "tables": tables.digest(),
            "python": platform.python_version(),
            "zone": zone,
            "zone_data": ZONE_DATA,
            "zone_offsets": zone_used(told, zone),
        }
    )


def zone_used(told: Description, zone: str) -> list[list[str | int]]:
    """The offsets of a zone from the first time that matters to the last."""
    start_s, end_s = told.since_us // MICROSECONDS, max(told.instants) // MICROSECONDS
    return [list(one) for one in offsets(zone, start_s, end_s)]


def instructions(told: Description) -> dict[str, bytes]:
    """How to verify the bundle, for whoever never saw one, by the name of the file."""
    values = told.model_dump() | MAKERS | {"digest": told.statement.digest}
    folder = files("weighbridge").joinpath("data", "bundle")
    return {
        f"VERIFY.{language}.md": Template(
            folder.joinpath(f"verify.{language}.md").read_text("utf-8")
        )
        .substitute(values)
        .encode()
        for language in LANGUAGES
    }
