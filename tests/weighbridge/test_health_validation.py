"""The page that sets NVIDIA's 62 checks beside ours: each has a row, and what stands in a row is there."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from weighbridge.catalogue.findings import meanings
from weighbridge.catalogue.readings import READING
from weighbridge.catalogue.tables import UNUSABLE, Fault, Xid, XidAction, xids

PAGE = (Path(__file__).parents[2] / "docs" / "health-validation.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n?)*)", PAGE, re.MULTILINE))
COUNTED = {"GPU": 5, "NVLink": 6, "CPU": 2, "InfiniBand": 1, "Node": 1, "XIDs": 47}
WORDS = {"unknown", "busy", "cpu_count"}


def rows(section: str) -> list[list[str]]:
    """The cells of its last table, without its head."""
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    start = max(place for place, line in enumerate(lines) if line.startswith("| check |"))
    return [line.strip("| ").split(" | ") for line in lines[start + 1 :]]


def kinds() -> list[tuple[str, str]]:
    return [(name, SECTIONS[f"{name}: {count}"]) for name, count in COUNTED.items()]


def test_all_sixty_two_are_counted() -> None:
    assert sum(COUNTED.values()) == 62
    for name, section in kinds():
        found = rows(section)
        more = sum(int(told) for row in found for told in re.findall(r"and (\d+) more", row[0]))
        assert len(found) + more == COUNTED[name], name


@pytest.mark.parametrize(("name", "section"), kinds())
def test_each_has_its_counterpart_or_a_reason(name: str, section: str) -> None:
    for row in rows(section):
        ours = set(re.findall(r"`(\w+)`", row[-1]))
        assert ours & meanings().keys() or row[-1].startswith("none"), (name, row)
        assert ours <= meanings().keys() | READING.keys() | WORDS, (name, row)


def test_every_xid_of_the_table_is_in_the_row_of_what_is_done_about_it() -> None:
    told = dict(
        re.findall(r"^\| [^|]+ \| ([\d, to]+?)(?:, and .*?)? \| (.+) \|$", PAGE, re.MULTILINE)
    )
    named = {code: ours for codes, ours in told.items() for code in numbers(codes)}
    assert named.keys() == xids().keys()
    for row in xids().values():
        assert f"`{code_of(row)}`" in named[row.code] or named[row.code].startswith(code_of(row))


def numbers(text: str) -> Iterator[int]:
    for part in text.split(", "):
        first, _, last = part.partition(" to ")
        yield from range(int(first), int(last or first) + 1)


def code_of(row: Xid) -> str:
    if row.severity in UNUSABLE:
        return "xid_fatal" if row.fault is Fault.PROVIDER else "xid_open"
    return "xid_degraded" if row.severity is XidAction.DEGRADED else "none"
