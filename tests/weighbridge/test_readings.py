"""The catalogue keeps its own rules."""

import re
from collections import Counter

import pytest

from weighbridge.catalogue.readings import READING, READINGS, UNITS, Kind, Reading, Scope, Tier

each_row = pytest.mark.parametrize("row", READINGS, ids=lambda row: row.name)


def test_no_name_is_given_twice() -> None:
    assert [
        name for name, count in Counter(row.name for row in READINGS).items() if count > 1
    ] == []


@each_row
def test_a_number_says_its_unit_at_the_end_of_its_name(row: Reading) -> None:
    if row.kind is Kind.TEXT:
        assert row.unit == ""
    else:
        assert row.unit in UNITS
        assert row.name.endswith(f"_{row.unit}")


@each_row
def test_a_row_is_found_by_its_name_and_says_where_it_comes_from(row: Reading) -> None:
    assert READING[row.name] is row
    assert re.fullmatch(r"[a-z][a-z0-9_]*", row.name)
    assert row.source
    assert row.help


@each_row
def test_text_belongs_to_identity_alone(row: Reading) -> None:
    assert row.kind is not Kind.TEXT or row.tier is Tier.IDENTITY


@each_row
def test_flags_and_codes_are_named_so(row: Reading) -> None:
    assert (row.kind is Kind.FLAGS) == row.name.endswith("_flags")
    assert (row.kind is Kind.CODE) == row.name.endswith("_code")


def test_every_unit_is_used_and_converts_exactly() -> None:
    assert set(UNITS) == {row.unit for row in READINGS}
    assert all(unit.multiplier > 0 and unit.divisor > 0 for unit in UNITS.values())


def test_facts_of_the_node_are_identity() -> None:
    assert {row.tier for row in READINGS if row.scope is Scope.NODE} == {Tier.IDENTITY}
