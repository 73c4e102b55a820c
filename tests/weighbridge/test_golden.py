"""The bytes of what is signed, and the versions that say who made them: neither changes without the other.

`golden/versions.json` says under which version each file was made. See "Golden files" in CONTRIBUTING.md.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

import pytest

from tests.weighbridge import everything
from weighbridge import codes
from weighbridge.contract import money as terms
from weighbridge.contract.pricing import Price
from weighbridge.handover.documents import ENGINE as HANDOVER
from weighbridge.judge.ledger import State
from weighbridge.judge.node import JUDGE
from weighbridge.settlement.claims import Standing
from weighbridge.settlement.draft import ENGINE, SWAPS
from weighbridge.settlement.maintenance import Ruling
from weighbridge.settlement.statement import TO_COME
from weighbridge.verdict import Verdict

GOLDEN = Path(__file__).parent / "golden"
PINS = GOLDEN / "versions.json"
REWRITE = "WEIGHBRIDGE_WRITE_GOLDEN" in os.environ
CHANGELOG = Path(__file__).parents[2] / "CHANGELOG.md"


def replay() -> str:
    """Rows and findings of the small log."""
    log = everything.replayed()
    told = {"rows": list(map(asdict, log.rows())), "findings": list(map(asdict, log.findings()))}
    return json.dumps(told, indent=1, sort_keys=True) + "\n"


def made_by(make: Callable[[], Any]) -> Callable[[], str]:
    return lambda: str(make().json())


ENGINES = {
    "weighbridge.settlement.draft.ENGINE": ENGINE,
    "weighbridge.handover.documents.ENGINE": HANDOVER,
    "weighbridge.judge.node.JUDGE": JUDGE,
}
MAKERS: Mapping[str, tuple[str, Callable[[], str]]] = {
    **{
        name: ("weighbridge.settlement.draft.ENGINE", made_by(make))
        for name, make in everything.STATEMENTS.items()
    },
    **{
        name: ("weighbridge.handover.documents.ENGINE", made_by(make))
        for name, make in everything.DOCUMENTS.items()
    },
    "replay": ("weighbridge.judge.node.JUDGE", replay),
}
"""Each golden file: the constant that must rise when its bytes change, and what makes it."""


def complaint(name: str, made: Mapping[str, str], pinned: Mapping[str, str]) -> str:
    """What is to be done about bytes or a version that are not those on file; empty: nothing."""
    if made == pinned:
        return ""
    if made["version"] == pinned.get("version"):
        return (
            f"{name}: other bytes, and {MAKERS[name][0]} is still {made['version']}: raise it."
            " Until the first release it may stay: WEIGHBRIDGE_WRITE_GOLDEN=1 pins the new bytes."
        )
    return (
        f"{name}: {MAKERS[name][0]} is {made['version']} now: WEIGHBRIDGE_WRITE_GOLDEN=1 pins it."
    )


def released() -> bool:
    return re.search(r"^## \[[0-9]", CHANGELOG.read_text("utf-8"), re.MULTILINE) is not None


def may_pin(made: Mapping[str, str], pinned: Mapping[str, str], after_release: bool) -> bool:
    """Bytes that went out under a version are never made again under the same."""
    return not after_release or made["version"] != pinned.get("version")


@pytest.mark.parametrize("name", MAKERS)
def test_no_byte_changes_unless_the_version_does(name: str) -> None:
    constant, make = MAKERS[name]
    file, text = GOLDEN / f"{name}.json", make()
    pins = json.loads(PINS.read_text()) if PINS.exists() else {}
    made = {"version": ENGINES[constant], "sha256": sha256(text.encode()).hexdigest()}
    if REWRITE and made != pins.get(name) and may_pin(made, pins.get(name, {}), released()):
        file.write_text(text, encoding="utf-8")
        pins[name] = made
        PINS.write_text(json.dumps(pins, indent=1, sort_keys=True) + "\n")
    assert complaint(name, made, pins.get(name, {})) == ""
    assert file.read_text("utf-8") == text


def test_the_complaint_says_which_version_must_rise() -> None:
    pinned = {"version": "settlement/1", "sha256": "a"}
    assert complaint("kinds", pinned, pinned) == ""
    told = complaint("kinds", pinned | {"sha256": "b"}, pinned)
    assert "weighbridge.settlement.draft.ENGINE is still settlement/1: raise it" in told
    told = complaint("kinds", {"version": "settlement/2", "sha256": "b"}, pinned)
    assert "weighbridge.settlement.draft.ENGINE is settlement/2 now" in told
    assert "raise it" not in told
    assert "JUDGE" in complaint("replay", pinned | {"sha256": "b"}, pinned)
    assert may_pin(pinned | {"sha256": "b"}, pinned, after_release=False)
    assert not may_pin(pinned | {"sha256": "b"}, pinned, after_release=True)
    assert may_pin({"version": "settlement/2", "sha256": "b"}, pinned, after_release=True)


def told(tree: Any) -> Iterator[tuple[str, Any]]:
    """Every value with the name that it stands under; of a list, that of the list; a code also as `code.CODE`."""
    for name, value in tree.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                yield from told(one)
            elif isinstance(one, list):
                yield from ((name, inner) for inner in one)
            else:
                yield name, one
        if isinstance(value, dict):
            yield from ((f"{name}.", inner) for inner in value)


@cache
def shown() -> tuple[str, frozenset[tuple[str, Any]]]:
    """The golden files, and every value in them with its name."""
    texts = [(GOLDEN / f"{name}.json").read_text("utf-8") for name in MAKERS]
    return "".join(texts), frozenset(pair for text in texts for pair in told(json.loads(text)))


CREDITS = [get_args(one)[0] for one in get_args(get_args(terms.Credit)[0])]
KINDS = {one.model_fields["kind"].default for one in CREDITS} | {*get_args(codes.DamageKind)}
OF_AGENTS = {"clock_skew_corrected", "clock_skew_beyond_bound", "late_report"}
"""Flags of spans that carry an agent's own clock, or a report of the lessee: no row of the ledger does."""


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("verdict", {one.name for one in Verdict}),
        ("standing", {*get_args(Standing), "met", "not_met", "open", "complete", "incomplete"}),
        ("ruling", set(get_args(Ruling))),
        ("form", set(get_args(terms.CreditTerms.model_fields["form"].annotation))),
        ("unit", {*get_args(Price.model_fields["unit"].annotation), "P", "GPU"}),
        ("resource", {"minimum"}),
        ("not_up", {*map(str, State)} - {"up"}),
        ("code", KINDS | {*get_args(codes.NoteCode)}),
        ("arguments.", {*get_args(codes.FactName), "pct", "exact"}),
        ("trigger", {"duration", "event_count"}),
        ("flags", {*get_args(codes.Flag), *get_args(codes.HandoverFlag)} - OF_AGENTS),
        ("event", set(SWAPS)),
        ("seen_by", {"telemetry"}),
        ("cause", {"xid", "ecc_off", "pcie_width", "up_against_down", ""}),
    ],
)
def test_the_golden_files_show_every_kind_of_line_there_is(name: str, wanted: set[str]) -> None:
    assert wanted - {value for key, value in shown()[1] if key == name} == set()


@pytest.mark.parametrize("name", [*State, TO_COME])
def test_the_seconds_of_every_state_are_in_one_of_them(name: str) -> None:
    assert any(key == name and value > 0 for key, value in shown()[1])


@pytest.mark.parametrize(
    "name", ["outages", "times", "breaches", "window", "probes", "others", "by_lessee", "maintenance",
             "delivery", "cadence", "evidence",
             "fees", "dues", "clocks", "floors", "exits", "swaps", "notes", "findings", "rows",
             "differences", "missing", "said", "trials", "readings", "quantities", "batches", "slots"]
)  # fmt: skip
def test_no_list_is_empty_in_all_of_them(name: str) -> None:
    """So that a change of its shape is seen."""
    assert re.search(rf'"{name}": \[\n', shown()[0])
