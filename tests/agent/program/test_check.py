"""What `check` prints: the verdict first, what is wrong, what to do; for people in 80 columns, for programs as JSON."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from agent.check import judge
from agent.check_report import CheckReport, report, schema
from agent.check_text import lines
from tests.agent.program.test_commands import CONTRACT, PROCESS_CALLS, agent
from tests.json_schema import mistakes
from tests.weighbridge.judged import DEVICE, view
from weighbridge.catalogue.findings import meanings
from weighbridge.contract import load
from weighbridge.judge.checks import CHECKS, Answer, Promise
from weighbridge.judge.latest_readings import LatestReadings, see_event
from weighbridge.verdict import Verdict
from weighbridge.wire.driver_words import COUNTED
from weighbridge.wire.report import Event, EventKind, Facts, Reason

KEPT = Path(__file__).parents[3] / "docs" / "check.schema.json"
BY_CODE = {check.code: check for check in CHECKS}
BOUND = '{reading: power_draw_milliwatts, at_most: "600000", for_share: "0.9"}'
BOUNDED = CONTRACT.replace(
    "per_node: 2, nodes: 1}", "per_node: 2, nodes: 1, bounds: [" + BOUND + "]}"
)


@pytest.fixture
def contract(tmp_path: Path) -> Path:
    path = tmp_path / "contract.yaml"
    path.write_text(BOUNDED)
    return path


def promise(text: str = CONTRACT) -> Promise:
    loaded = load(text)
    return Promise(loaded.contract_id, 1, loaded.resources[0], None, 0, 1, 1, 1, 1, 1)


def gpu(number: int) -> str:
    return f"GPU-{number:08x}-0000-4000-8000-000000000000"


def of(*told: tuple[str, str, Verdict, str], view: LatestReadings | None = None) -> CheckReport:
    """A report of these answers: check, device, verdict, observed."""
    answers = [
        (BY_CODE[code], Answer(device, verdict, "as promised", observed))
        for code, device, verdict, observed in told
    ]
    return report(promise(), LatestReadings() if view is None else view, answers)


def text(found: CheckReport) -> str:
    return "\n".join(lines(found))


def everything_wrong(gpus: int) -> CheckReport:
    return of(
        *(
            (
                check.code,
                gpu(number),
                Verdict.UNKNOWN if number % 3 else Verdict.BREACHED,
                "x" * 200,
            )
            for check in CHECKS
            for number in range(gpus)
        )
    )


def test_the_verdict_stands_first_with_what_is_wrong() -> None:
    found = of(
        ("sku_mismatch", gpu(0), Verdict.MET, "as promised"),
        ("foreign_process", "", Verdict.UNKNOWN, Reason.NO_PERMISSION),
        ("gpu_missing", "", Verdict.BREACHED, "1 GPUs"),
    )
    assert found.verdict == "breached"
    assert found.summary == "breached: gpu_missing; unknown: foreign_process"
    assert "\x1b[31mbreached: gpu_missing; unknown: foreign_process" in text(found).splitlines()[0]


def test_a_node_that_is_as_promised_says_so_in_its_first_line() -> None:
    found = of(*(("sku_mismatch", gpu(number), Verdict.MET, "it") for number in range(8)))
    assert found.summary == "met: 1 checks, 8 answers"


def test_a_verdict_names_as_many_checks_as_its_line_holds_and_counts_the_others() -> None:
    found = everything_wrong(1)
    named = found.summary.removeprefix("breached: ").split(", ")
    named[-1], _, left = named[-1].partition(" and ")
    assert named == [check.code for check in CHECKS][: len(named)]
    assert left == f"{len(CHECKS) - len(named)} more"
    assert len(found.summary) <= 80 < len(found.summary) + len(", ") + len(CHECKS[len(named)].code)


def test_a_check_without_an_answer_is_no_verdict() -> None:
    assert (of().verdict, of().summary) == ("unknown", "unknown: no check had anything to say")


@pytest.mark.parametrize("gpus", [1, 2, 16])
def test_every_line_fits_eighty_columns_whatever_was_observed(gpus: int) -> None:
    shown = text(everything_wrong(gpus)).replace("\x1b[0m", "").replace("\x1b[31m", "")
    assert max(map(len, shown.splitlines())) <= 80


def test_names_of_a_contract_fit_too() -> None:
    long = CONTRACT.replace("contract_id: lease", f"contract_id: {'k' * 100}")
    found = report(promise(long), LatestReadings(), [])
    assert max(map(len, text(found).splitlines()[1:])) <= 80
    assert text(found).replace("\n", "").count("k" * 100) == 1


def test_what_all_gpus_meet_is_one_line() -> None:
    found = of(*(("sku_mismatch", gpu(number), Verdict.MET, "it") for number in range(8)))
    assert text(found).count("sku_mismatch") == 1
    assert "8 of 8 met" in text(found)


def test_gpus_that_say_the_same_are_named_once_and_of_many_some() -> None:
    found = of(*(("power_capped", gpu(number), Verdict.BREACHED, "low") for number in range(16)))
    shown = text(found)
    assert "16 of 16 breached" in shown
    assert shown.count("observed low") == 1
    assert gpu(3) in shown
    assert gpu(4) not in shown
    assert "and 12 more" in shown


def test_what_is_breached_has_its_next_steps_in_order_and_what_is_met_none() -> None:
    found = of(("gpu_lost", gpu(0), Verdict.BREACHED, "lost"), ("ecc_off", gpu(0), Verdict.MET, ""))
    lost, off = found.checks
    assert [one.code for one in lost.steps] == [one.code for one in meanings()["gpu_lost"].steps]
    assert off.steps == []
    shown = text(found)
    assert shown.index("1. give the GPU no new work") < shown.index("2. read the kernel's log")


def test_what_could_not_be_seen_names_nobody_and_says_how_to_see() -> None:
    found = of(("gpu_lost", gpu(0), Verdict.UNKNOWN, Reason.NO_PERMISSION))
    (lost,) = found.checks
    assert lost.answerable == "open"
    assert lost.steps[0].code == "check_driver_access"
    assert found.answers[0].severity == "info"
    assert lost.means.startswith("nobody could see whether a GPU is in the inventory")
    assert "the agent may not ask for it" in text(found).replace("\n            ", " ")


def test_both_a_breach_and_what_was_not_seen_are_followed_up_each_step_once() -> None:
    found = of(
        ("gpu_lost", gpu(0), Verdict.BREACHED, "lost"),
        ("gpu_lost", gpu(1), Verdict.UNKNOWN, Reason.TIMEOUT),
    )
    codes = [step.code for step in found.checks[0].steps]
    assert codes[0] == "drain"
    assert "check_driver_access" in codes
    assert len(codes) == len(set(codes))


def test_a_signal_says_how_it_comes_about_without_a_fault() -> None:
    found = of(("card_inconsistent", gpu(0), Verdict.UNKNOWN, "name H100"))
    assert "Or: a board of a maker" in text(found)


def test_why_the_driver_counted_nothing_is_said_in_words() -> None:
    view = LatestReadings(
        driver=Facts(readings={}, unavailable={COUNTED: Reason.DRIVER_NOT_LOADED})
    )
    shown = text(of(("gpu_missing", "", Verdict.UNKNOWN, Reason.DRIVER_NOT_LOADED), view=view))
    assert "NVML: the driver is not loaded" in shown.splitlines()[2]


def test_what_a_driver_calls_a_card_steers_no_terminal() -> None:
    found = of(("sku_mismatch", gpu(0), Verdict.BREACHED, "H100\x1b[2J\u202e"))
    assert "H100\\u001b[2J\\u202e" in text(found)


def test_every_reason_has_words() -> None:
    for reason in (*Reason, "not_reported"):
        found = of(("gpu_lost", gpu(0), Verdict.UNKNOWN, str(reason)))
        assert found.answers[0].reason, reason


def test_a_driver_that_does_as_promised_is_told_in_few_lines_with_the_bounds(
    contract: Path, driver: Any
) -> None:
    done = agent("check", "--contract", str(contract), environment=driver.environment())
    shown = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout
    assert shown[0].startswith("met: ")
    assert "bound     power_draw_milliwatts at most 600000 while always" in done.stdout
    assert "2 of 2 GPUs within it now" in done.stdout.replace("\n          ", " ")
    assert max(map(len, shown)) <= 80
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("resource", "played", "code"),
    [("h100", (), 0), ("more", (), 3), ("h100", [f"code * {one} 4" for one in PROCESS_CALLS], 4)],
)
def test_the_json_is_as_its_kept_schema_says_and_the_exit_code_as_its_verdict(
    contract: Path, driver: Any, resource: str, played: list[str], code: int
) -> None:
    driver.play_node(2, *played)
    asked = ("check", "--contract", str(contract), "--resource", resource, "--json")
    done = agent(*asked, environment=driver.environment())
    found = json.loads(done.stdout)
    assert list(mistakes(json.loads(KEPT.read_text()), found)) == []
    assert (done.returncode, found["verdict"]) == (
        code,
        {0: "met", 3: "breached", 4: "unknown"}[code],
    )


def test_the_kept_schema_is_the_one_that_is_printed_and_asks_for_no_contract(
    tmp_path: Path,
) -> None:
    state = ("--state-directory", str(tmp_path))
    done = agent("check", *state, "--schema", environment=dict(os.environ))
    assert (done.returncode, done.stdout) == (0, KEPT.read_text())
    assert schema() == done.stdout


def test_a_schema_finds_what_is_wrong() -> None:
    kept, found = json.loads(KEPT.read_text()), of().model_dump()
    assert list(mistakes(kept, found)) == []
    assert list(mistakes(kept, found | {"more": 1})) == ["more too"]
    assert list(mistakes(kept, found | {"version": "1"})) == ["version: '1' is no integer"]
    assert list(mistakes(kept, found | {"verdict": "fine"})) != []
    assert list(mistakes(kept, {key: found[key] for key in found if key != "bounds"})) != []


def test_a_name_that_somebody_copies_is_not_broken_at_its_hyphens() -> None:
    found = of(
        ("gpu_missing", "", Verdict.BREACHED, "0 GPUs (library_not_found)"),
        ("gpu_lost", gpu(0), Verdict.BREACHED, "lost"),
        ("ecc_off", gpu(0), Verdict.BREACHED, "off"),
        view=LatestReadings(driver=Facts({}, {COUNTED: Reason.LIBRARY_NOT_FOUND})),
    )
    said = text(found)
    assert not [line for line in said.splitlines() if line.endswith("-")]
    assert "libnvidia-ml.so.1" in said
    assert "nvidia-smi --gpu-reset" in " ".join(said.split())


def test_one_look_does_not_say_that_nothing_happened_before_it() -> None:
    seen = view()
    told = {check.code for check, _ in judge(promise(), seen)}
    assert "gpu_lost" in told
    assert told.isdisjoint({"xid_fatal", "xid_open", "xid_degraded", "device_exchanged"})
    fault = Event(
        boottime_us=1, code=79, detail="", device=DEVICE, kind=EventKind.XID, source="nvml"
    )
    see_event(seen, fault)
    fatal = [answer for check, answer in judge(promise(), seen) if check.code == "xid_fatal"]
    assert [answer.verdict for answer in fatal] == [Verdict.BREACHED]
