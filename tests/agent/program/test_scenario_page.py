"""The page of the scenario file says what the file may hold."""

import re
from pathlib import Path
from typing import get_args

from pydantic.fields import FieldInfo

from agent.simulation.scenario import Fault, Planted, Scenario, load_scenario

PAGE = (Path(__file__).parents[3] / "docs/scenario.md").read_text(encoding="utf-8")
KINDS = get_args(get_args(Fault)[0])
DEFAULT_WORDS = {"gpus": "all of the node", "until_seconds": "for ever", "faults": "none"}


def rows(heading: str) -> dict[str, list[str]]:
    """The cells of a table's rows by the first of them."""
    table = PAGE.partition(f"| {heading} |")[2].partition("\n\n")[0].splitlines()[2:]
    cells = [row.strip("| ").split(" | ") for row in table]
    return {first.strip("`"): rest for first, *rest in cells}


def default(name: str, field: FieldInfo) -> str:
    return DEFAULT_WORDS.get(name) or ("needed" if field.is_required() else f"`{field.default}`")


def test_every_key_stands_there_with_its_default() -> None:
    file, fault = rows("key of the file"), rows("key of a fault")
    assert {name: cells[0] for name, cells in file.items()} == {
        name: default(name, field) for name, field in Scenario.model_fields.items()
    }
    assert {name: cells[0] for name, cells in fault.items()} == {"kind": "needed"} | {
        name: default(name, field) for name, field in Planted.model_fields.items()
    }


def test_every_kind_stands_there_with_its_own_keys() -> None:
    kinds = rows("kind")
    expected = {}
    for kind in KINDS:
        (name,) = get_args(kind.model_fields["kind"].annotation)
        own = kind.model_fields.keys() - Planted.model_fields.keys() - {"kind"}
        expected[name] = {f"`{key}` {default(key, kind.model_fields[key])}" for key in own}
    assert kinds.keys() == expected.keys()
    for name, said in expected.items():
        assert said == set(re.findall(r"`\w+` (?:`[^`]*`|needed)", kinds[name][0])), name


def test_the_example_of_the_page_loads_and_has_every_kind(tmp_path: Path) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(PAGE.partition("```yaml\n")[2].partition("```")[0])
    assert {type(fault) for fault in load_scenario(file).faults} == set(KINDS)
