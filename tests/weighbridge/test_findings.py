"""What findings mean and what to do next: every code that the judge can open has its row, and every row its code."""

import ast
import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import weighbridge.judge
from tests.test_docs import wrong
from weighbridge.catalogue.findings import Meaning, Said, meaning, meanings, steps
from weighbridge.judge.challenge_findings import IN_A_ROW_SAID
from weighbridge.judge.checks import CHECKS
from weighbridge.judge.findings import answers_for
from weighbridge.judge.ledger import COLLECTOR_UNREACHED, UNREACHABLE
from weighbridge.judge.node import NOTED, QUIET
from weighbridge.judge.reference import reference
from weighbridge.log.witnessing import LogFault
from weighbridge.verdict import Verdict

GOLDEN = Path(__file__).parent / "golden" / "replay.json"
CODE_AT = {"noted": 2, "_note": 0, "_while": 1, "unheard": 2, "Finding": 3}
"""Where the calls that make a finding name its code."""


def judge_modules() -> Iterator[tuple[ModuleType, ast.Module]]:
    folder = Path(weighbridge.judge.__path__[0])
    for file in sorted(folder.rglob("*.py")):
        parts = file.relative_to(folder).with_suffix("").parts
        name = ".".join(("weighbridge.judge", *parts)).removesuffix(".__init__")
        yield importlib.import_module(name), ast.parse(file.read_text())


def named_codes() -> Iterator[str]:
    """What modules of the judge call a code."""
    for module, _ in judge_modules():
        for name, value in vars(module).items():
            if name.endswith("CODE") and isinstance(value, str):
                yield value


def named_in_calls() -> Iterator[str]:
    """Codes that are written where a finding is made; those that come by a variable are listed below."""
    for module, tree in judge_modules():
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            given = _code_of(call)
            for named in ast.walk(given) if given is not None else ():
                value = named.value if isinstance(named, ast.Constant) else None
                if isinstance(named, ast.Name):
                    value = vars(module).get(named.id)
                if isinstance(value, str):
                    yield value


def _code_of(call: ast.Call) -> ast.expr | None:
    """The argument that is the code; None where the call makes no finding, or passes all as they came."""
    place = CODE_AT.get(getattr(call.func, "attr", getattr(call.func, "id", "")))
    if place is None or len(call.args) <= place:
        return None
    spread = any(isinstance(given, ast.Starred) for given in call.args[: place + 1])
    return None if spread else call.args[place]


def every_code() -> set[str]:
    """All codes of findings that the judge can open."""
    faults = [str(fault) for fault in LogFault]
    return {
        *named_codes(),
        *named_in_calls(),
        *(check.code for check in CHECKS),
        *map(str, NOTED),
        *QUIET,
        *IN_A_ROW_SAID,
        *faults,
        *(f"{fault}_said" for fault in faults),
        *(COLLECTOR_UNREACHED, UNREACHABLE),
        *("log_restored", "never_reported", "under_reported", "batch_overdue"),
        *("duplicate_device", "device_claimed", "device_alternates", "readings_copied_elsewhere"),
    }


def test_every_code_that_the_judge_can_open_has_a_row_and_every_row_its_code() -> None:
    assert every_code() == meanings().keys()


def test_the_codes_that_are_found_are_those_that_folds_were_seen_to_open() -> None:
    told = {finding["code"] for finding in json.loads(GOLDEN.read_text())["findings"]}
    assert told
    assert told <= every_code()


@pytest.mark.parametrize("row", meanings().values(), ids=lambda row: row.code)
def test_a_row_says_in_each_language_what_it_means_and_what_to_do(row: Meaning) -> None:
    for said in filter(None, (row.means, row.cannot_see, row.innocent)):
        assert is_said(said)
    assert row.steps
    assert len(set(row.steps)) == len(row.steps)


def test_a_step_has_words_in_each_language() -> None:
    assert all(is_said(step.says) for step in steps().values())


def is_said(said: Said) -> bool:
    chinese = re.search(r"[\u4e00-\u9fff]", said.zh)
    return bool(said.en.strip()) and chinese is not None and "\u2014" not in said.en


@pytest.mark.parametrize("code", [check.code for check in CHECKS])
def test_a_check_that_could_not_see_says_how_to_see_and_a_signal_how_it_comes_about(
    code: str,
) -> None:
    assert meanings()[code].unseen or meanings()[code].innocent


def test_the_page_of_findings_is_made_of_the_table_and_the_checks() -> None:
    page = Path(__file__).parents[2] / "docs" / "checks.md"
    assert page.read_text(encoding="utf-8") == reference()


def test_the_page_of_findings_has_each_code_once_with_its_steps() -> None:
    page = reference()
    assert re.findall(r"^### `(\w+)`$", page, re.MULTILINE) != []
    assert sorted(re.findall(r"^### `(\w+)`$", page, re.MULTILINE)) == sorted(meanings())
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == steps().keys()


def test_a_command_that_a_step_names_is_one_of_the_programs() -> None:
    told = [words for step in steps().values() for said in step.says for words in _commands(said)]
    assert {words: wrong(words.split()) for words in told} == dict.fromkeys(told, "")


def _commands(said: str) -> list[str]:
    return re.findall(r"[(（](weighbridge[^,)）]*)", said)


ENDS_WORK = {
    "disable_mig",
    "enable_ecc",
    "power_cycle",
    "reboot",
    "reload_driver",
    "reseat",
    "reset_gpu",
    "run_diagnostics",
}
ENDS_THE_LOG = {"power_cycle", "reboot"}
OF_A_CARD = {"reseat", "replace", "reset_gpu", "check_slot"}
NOT_OF_A_CARD = ("fabric_port", "cpu", "host", "nvme")


@pytest.mark.parametrize("row", meanings().values(), ids=lambda row: row.code)
def test_what_would_end_somebodys_work_comes_after_the_drain(row: Meaning) -> None:
    order = [step.code for step in row.steps]
    ending = [at for at, code in enumerate(order) if code in ENDS_WORK]
    assert not ending or "drain" in order[: ending[0]]


@pytest.mark.parametrize("row", meanings().values(), ids=lambda row: row.code)
def test_the_kernels_log_is_read_before_a_boot_ends_it(row: Meaning) -> None:
    order = [step.code for step in row.steps]
    if "read_kernel_log" in order:
        assert not ENDS_THE_LOG & set(order[: order.index("read_kernel_log")])


@pytest.mark.parametrize("row", meanings().values(), ids=lambda row: row.code)
def test_nobody_is_sent_to_a_card_for_what_is_none(row: Meaning) -> None:
    if row.code.startswith(NOT_OF_A_CARD):
        assert not OF_A_CARD & {step.code for step in row.steps}


def test_a_page_that_a_step_names_is_there() -> None:
    told = (said for step in steps().values() for said in step.says)
    pages = {page for said in told for page in re.findall(r"docs/[\w.-]+", said)}
    assert pages
    assert [page for page in pages if not (Path(__file__).parents[2] / page).exists()] == []


def test_what_is_met_asks_for_nothing_and_what_nobody_saw_for_sight() -> None:
    lost = meanings()["gpu_lost"]
    assert lost.next_steps(Verdict.MET) == ()
    assert lost.next_steps(Verdict.BREACHED)[0].code == "drain"
    assert lost.next_steps(Verdict.UNKNOWN)[0].code == "check_driver_access"


def test_nobody_is_named_for_what_nobody_saw() -> None:
    told = {one: answers_for("gpu_lost", one) for one in (Verdict.BREACHED, Verdict.UNKNOWN)}
    assert told == {Verdict.BREACHED: "provider", Verdict.UNKNOWN: "open"}


def test_a_signal_is_followed_up_though_it_is_never_more_than_unknown() -> None:
    signal = meanings()["card_inconsistent"]
    assert signal.next_steps(Verdict.UNKNOWN) == signal.steps


def test_a_code_of_another_version_means_nothing_here() -> None:
    assert meaning("never_heard_of") is None
