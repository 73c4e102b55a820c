"""docs/threat-model.md says of each attack what a statement says when it is played."""

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.adversary.field import Field, lost, sound
from tests.adversary.test_alternation import Town, in_turn
from tests.adversary.test_identity import DEAD, SOUND, field_with, played
from tests.adversary.test_shared_key import played as two_agents
from weighbridge.settlement.statement import Statement

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "threat-model.md"


class AttackRow(NamedTuple):
    """A row of the table, as it stands there."""

    attack: str
    before: str
    now: str
    level: str
    left: str
    played_in: str


def rows() -> dict[str, AttackRow]:
    """By the test that plays it."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")][1:]
    found = [AttackRow(*(cell.strip() for cell in line.strip("|").split("|"))) for line in lines]
    return {row.played_in.strip("`"): row for row in found}


STORIES: dict[str, Callable[[], Field]] = {
    "test_a_strangers_key_that_shows_my_uuid_moves_no_money_and_is_said_to_both": lambda: played(
        field_with(contracted=False), SOUND
    ),
    "test_a_weaker_claim_under_a_contract_of_its_own_contests_its_own_time_alone": lambda: played(
        field_with(), SOUND
    ),
    "test_a_provider_who_sells_one_gpu_twice_is_contested_for_both": lambda: played(
        field_with(other="P"), SOUND
    ),
    "test_a_gpu_that_is_dead_here_is_down_here_wherever_else_it_is_shown": lambda: played(
        field_with(other="P"), DEAD
    ),
    "test_two_agents_with_one_key_are_contested_from_the_fork_on": lambda: two_agents(
        "provider", lost, sound
    ),
    "test_a_lessee_who_shares_its_key_makes_nothing_owed_by_it": lambda: two_agents(
        "lessee", sound, lost
    ),
    "test_one_pair_in_two_contracts_that_comes_and_goes_is_found_for_both": lambda: Town().minutes(
        12, in_turn("a", 0), in_turn("b", 1)
    ),
}


def told(statement: Statement) -> str:
    """The amounts of a statement as the table spells them."""
    lowest, highest = statement.lowest, statement.highest
    return f"{lowest}" if lowest == highest else f"{lowest} to {highest}"


@pytest.mark.parametrize("story", STORIES)
def test_what_the_table_says_an_attack_makes_of_the_day_is_what_it_makes(story: str) -> None:
    now, statement = rows()[story].now, STORIES[story]().statement()
    amount, flag = re.search(r"[\d.]+( to [\d.]+)?", now), re.search(r"flag `(\w+)`", now)
    assert amount is None or amount[0] == told(statement)
    assert flag is not None
    assert flag[1] in statement.flags


def test_each_row_names_a_test_and_every_amount_is_played() -> None:
    trees = [ast.parse(path.read_text()) for path in HERE.glob("test_*.py")]
    tests = {
        one.name for tree in trees for one in ast.walk(tree) if isinstance(one, ast.FunctionDef)
    }
    assert set(rows()) <= tests
    with_amounts = {name for name, row in rows().items() if re.match(r"\d", row.now)}
    assert with_amounts <= set(STORIES)
