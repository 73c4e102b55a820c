"""docs/threat-model.md says of each attack what a statement says when it is played."""

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.adversary.field import Field, lost, sound
from tests.adversary.test_alternation import Town, in_turn
from tests.adversary.test_cards_and_drivers import SECTION as OF_CARDS
from tests.adversary.test_coverage import flickers, one_of
from tests.adversary.test_exchange import AWAY, HELD
from tests.adversary.test_exchange import story as exchanged
from tests.adversary.test_identity import DEAD, SOUND, field_with, played
from tests.adversary.test_reachable import ALL_MISS, Watched, blind, reaches, told_late
from tests.adversary.test_shared_key import played as two_agents
from tests.adversary.test_silence import both, lessee_stopped, stopped
from tests.adversary.test_told_afterwards import said_to_be_over
from tests.adversary.test_two_inventories import OTHER, SECOND_GPU
from tests.adversary.test_two_inventories import day as of_two_inventories
from weighbridge.settlement.statement import Statement

HERE = Path(__file__).parent
TESTS = HERE.parent
PAGE = HERE.parents[1] / "docs" / "threat-model.md"


class AttackRow(NamedTuple):
    """A row of a table, as it stands there."""

    number: str
    attack: str
    before: str
    now: str
    level: str
    left: str
    twin: str
    played_in: str

    @property
    def story(self) -> str:
        """The test that plays it first."""
        return next(iter(named(self.played_in)), "")


def named(text: str) -> list[str]:
    """The tests that it names."""
    return re.findall(r"`(test_\w+)`", text)


def rows() -> list[AttackRow]:
    of_parties = PAGE.read_text().partition(OF_CARDS)[0]
    lines = [line for line in of_parties.splitlines() if line.startswith("| ")]
    found = [AttackRow(*(cell.strip() for cell in line[1:-1].split("|"))) for line in lines]
    return [row for row in found if row.number != "#"]


STORIES: dict[str, Callable[[], Field]] = {
    "test_a_provider_who_lies_while_it_happens_is_found_by_another_word_alone": lambda: Field().day(
        provider=sound
    ),
    "test_the_word_of_one_side_moves_no_money_against_that_of_the_other": lambda: Field().day(
        provider=sound, lessee=lost
    ),
    "test_a_provider_who_sells_one_gpu_twice_is_contested_for_both": lambda: played(
        field_with(other="P"), SOUND
    ),
    "test_only_the_good_minutes_sent_leaves_the_others_unknown_and_the_coverage_says_so": (
        lambda: Field().day(provider=sound, sent=stopped)
    ),
    "test_two_of_three_samples_left_out_are_said_and_have_the_consequence_of_the_contract": (
        lambda: Field().day(provider=sound, sent=one_of(3))
    ),
    "test_a_network_that_is_cut_from_inside_is_a_range_and_named": lambda: both(
        sound, sound, cut="provider lessee"
    ),
    "test_two_agents_with_one_key_are_contested_from_the_fork_on": lambda: two_agents(
        "provider", lost, sound
    ),
    "test_a_made_up_device_for_four_hours_is_no_service": lambda: exchanged(Field(HELD), AWAY),
    "test_a_lessee_who_stops_the_only_agent_makes_no_outage_of_it": lambda: Field().day(
        lessee=sound, sent=stopped
    ),
    "test_a_lessee_who_stops_her_agent_takes_nothing_from_what_the_providers_saw": lessee_stopped,
    "test_bad_samples_alone_make_no_outage_of_the_time_between": lambda: Field().day(
        lessee=lost, sent=flickers
    ),
    "test_a_lessee_who_shares_its_key_makes_nothing_owed_by_it": lambda: two_agents(
        "lessee", sound, lost
    ),
    "test_a_strangers_key_that_shows_my_uuid_moves_no_money_and_is_said_to_both": lambda: played(
        field_with(contracted=False), SOUND
    ),
    "test_a_weaker_claim_under_a_contract_of_its_own_contests_its_own_time_alone": lambda: played(
        field_with(), SOUND
    ),
    "test_a_gpu_that_is_dead_here_is_down_here_wherever_else_it_is_shown": lambda: played(
        field_with(other="P"), DEAD
    ),
    "test_one_pair_in_two_contracts_that_comes_and_goes_is_found_for_both": lambda: Town().minutes(
        12, in_turn("a", 0), in_turn("b", 1)
    ),
    "test_sides_that_show_different_gpus_in_one_boot_contradict_each_other": (
        lambda: of_two_inventories(OTHER, SECOND_GPU)
    ),
    "test_one_witness_of_three_that_lies_is_bought_or_is_cut_off_changes_nothing": (
        lambda: Watched().played(ALL_MISS | {"berlin": reaches})
    ),
    "test_without_a_quorum_nobody_knows_and_the_amount_is_a_range_with_a_flag": (
        lambda: Watched().played(ALL_MISS | {"berlin": reaches, "osaka": blind})
    ),
    "test_what_a_witness_tells_late_counts_as_the_contract_says": lambda: told_late("held"),
    "test_no_word_of_the_agent_ends_a_fault": lambda: said_to_be_over("paused", "resumed"),
}


def told(statement: Statement) -> str:
    """The amounts of a statement as the table spells them."""
    lowest, highest = statement.lowest, statement.highest
    return f"{lowest}" if lowest == highest else f"{lowest} to {highest}"


AMOUNT = re.compile(r"[\d.]+( to [\d.]+)?")


def played_rows() -> list[AttackRow]:
    return [row for row in rows() if row.story in STORIES]


@pytest.mark.parametrize("row", played_rows(), ids=lambda row: row.attack)
def test_what_the_table_says_an_attack_makes_of_the_day_is_what_it_makes(row: AttackRow) -> None:
    statement = STORIES[row.story]().statement()
    amount, flag = AMOUNT.match(row.now), re.search(r"flag `(\w+)`", row.now)
    assert amount is None or amount[0] == told(statement)
    assert (flag is None) == ("no flag" in row.now)
    assert statement.flags == () if flag is None else flag[1] in statement.flags


def test_every_test_that_is_named_exists_and_every_amount_is_played() -> None:
    trees = [ast.parse(path.read_text()) for path in TESTS.rglob("test_*.py")]
    tests = {
        one.name
        for tree in trees
        for one in ast.walk(tree)
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert set(named(PAGE.read_text())) <= tests
    assert all(row.story or row.played_in == "none" for row in rows())
    priced = {row.attack for row in rows() if AMOUNT.match(row.now)}
    assert priced <= {row.attack for row in played_rows()}


def test_all_attacks_of_the_two_sides_are_there() -> None:
    assert [row.number for row in rows() if row.number] == [str(one) for one in range(1, 35)]
