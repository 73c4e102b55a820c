"""Whatever writes to a store is killed: what was acknowledged is there, and the command is done again."""

from itertools import islice
from pathlib import Path
from random import Random

import pytest

from tests.collector.killed_commands import COMMANDS, House, kills, make_house

KILLS = 7
ELSEWHERE = {"backup", "restore", "retain", "log rotate"}
"""Killed in each of their writes beside what else is said of them."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return make_house(tmp_path_factory.mktemp("killed") / "house")


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - ELSEWHERE))
def test_a_command_that_is_killed_loses_nothing_and_is_done_again(
    name: str, house: House, tmp_path: Path
) -> None:
    for _ in islice(kills(name, house, tmp_path, Random(1)), KILLS):
        pass
