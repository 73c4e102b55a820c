"""The commands as processes, over a driver library that answers as two H100 do."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

DEADLINE_S = 60
CONTRACT = """\
contract_id: lease
effective: 2026-01-01T00:00:00Z
time_zone: UTC
currency: EUR
parties: [{id: P, role: provider}, {id: L, role: lessee}]
term: {from: 2026-01-01T00:00:00Z, to: 2036-01-01T00:00:00Z}
resources:
  - {id: h100, accelerator: {sku: H100-SXM-80GB}, per_node: 2, nodes: 1}
  - {id: more, accelerator: {sku: H100-SXM-80GB}, per_node: 8, nodes: 1}
availability:
  - {id: node, unit: node, target: "0.99"}
unknown: {policy: hold}
"""


def agent(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agent", *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        env=environment,
    )


@pytest.fixture
def contract(tmp_path: Path) -> Path:
    path = tmp_path / "contract.yaml"
    path.write_text(CONTRACT)
    return path


def check(
    contract: Path, environment: dict[str, str], *more: str
) -> tuple[int, dict[str, set[str]]]:
    """The exit code, and the verdicts by check."""
    done = agent("check", "--contract", str(contract), "--json", *more, environment=environment)
    assert done.stdout, done.stderr
    verdicts: dict[str, set[str]] = {}
    for row in json.loads(done.stdout)["answers"]:
        verdicts.setdefault(row["check"], set()).add(row["verdict"])
    return done.returncode, verdicts


def test_a_node_that_is_as_promised_is_met(contract: Path, driver: Any) -> None:
    code, verdicts = check(contract, driver.environment())
    assert (code, verdicts["gpu_missing"], verdicts["sku_mismatch"]) == (0, {"met"}, {"met"})


def test_missing_gpus_are_a_breach(contract: Path, driver: Any) -> None:
    code, verdicts = check(contract, driver.environment(), "--resource", "more")
    assert (code, verdicts["gpu_missing"]) == (3, {"breached"})


def test_what_cannot_be_seen_is_unknown(contract: Path, driver: Any) -> None:
    driver.play_node(2, *(f"code * {call} 4" for call in PROCESS_CALLS))
    code, verdicts = check(contract, driver.environment())
    assert (code, verdicts["foreign_process"]) == (4, {"unknown"})


PROCESS_CALLS = (
    "nvmlDeviceGetComputeRunningProcesses",
    "nvmlDeviceGetComputeRunningProcesses_v2",
    "nvmlDeviceGetComputeRunningProcesses_v3",
    "nvmlDeviceGetGraphicsRunningProcesses_v3",
)


@pytest.mark.parametrize(
    "how", ["hang 1 nvmlDeviceGetFanSpeed_v2", "crash 1 nvmlDeviceGetEncoderUtilization abort"]
)
def test_a_call_that_does_not_answer_is_unknown_though_no_check_looks_at_it(
    contract: Path, driver: Any, how: str
) -> None:
    driver.play_node(2, how)
    code, verdicts = check(contract, driver.environment())
    assert (code, verdicts["call_quarantined"]) == (4, {"unknown"})
    assert verdicts["gpu_lost"] == {"met"}


def test_a_gpu_that_may_not_be_opened_is_unknown(contract: Path, driver: Any) -> None:
    driver.play_node(2, "code 1 nvmlDeviceGetHandleByIndex_v2 4")
    code, verdicts = check(contract, driver.environment())
    assert (code, verdicts["gpu_missing"]) == (4, {"unknown"})


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="there is a driver here")
def test_gpus_that_no_driver_counts_are_missing_only_if_the_bus_does_not_show_them(
    contract: Path,
) -> None:
    code, verdicts = check(contract, dict(os.environ))
    on_the_bus = sum(
        (function / "vendor").read_text() == "0x10de\n"
        and (function / "class").read_text().startswith("0x03")
        for function in Path("/sys/bus/pci/devices").glob("*")
    )
    expected = (4, "unknown") if on_the_bus >= 2 else (3, "breached")
    assert (code, verdicts["gpu_missing"]) == (expected[0], {expected[1]})


def test_the_table_names_what_was_expected_and_seen(contract: Path, driver: Any) -> None:
    done = agent(
        "check", "--contract", str(contract), "--resource", "more", environment=driver.environment()
    )
    assert done.stdout.startswith("breached: gpu_missing\n")
    assert "breached  gpu_missing               the node" in done.stdout
    assert "expected 8 GPUs" in done.stdout
    assert "observed 2 GPUs" in done.stdout


@pytest.mark.parametrize("text", ["", "contract_id: [", CONTRACT.replace("EUR", "euro")])
def test_a_contract_with_errors_is_a_usage_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "contract.yaml"
    path.write_text(text)
    done = agent("check", "--contract", str(path), environment=dict(os.environ))
    assert done.returncode == 2
    assert str(path) in done.stderr


def test_a_contract_that_nobody_left_here_is_to_be_named(tmp_path: Path) -> None:
    done = agent("check", "--state-directory", str(tmp_path), environment=dict(os.environ))
    assert (
        done.returncode,
        "contract.yaml: no such file; name it with --contract" in done.stderr,
    ) == (2, True)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
        (lambda path: path.write_bytes(b"\xff"), "not UTF-8 text"),
    ],
)
def test_a_contract_that_cannot_be_read_is_said_to_be_unreadable(
    tmp_path: Path, make: Callable[[Path], object], why: str
) -> None:
    path = tmp_path / "lease.yaml"
    make(path)
    done = agent("check", "--contract", str(path), environment=dict(os.environ))
    assert (done.returncode, done.stderr) == (2, f"Error: {path}: cannot be read: {why}\n")


def test_what_is_neither_an_invite_nor_a_file_is_said_to_be_neither(tmp_path: Path) -> None:
    state = ("--state-directory", str(tmp_path))
    done = agent("enroll", *state, "nofile.txt", environment=dict(os.environ))
    assert done.returncode == 2
    assert "nofile.txt: neither an invite nor a file" in done.stderr


def test_an_unknown_line_item_is_a_usage_error(contract: Path) -> None:
    done = agent(
        "check", "--contract", str(contract), "--resource", "b200", environment=dict(os.environ)
    )
    assert done.returncode == 2
    assert "h100, more" in done.stderr


def test_a_snapshot_has_a_value_or_a_reason_for_everything_and_times(driver: Any) -> None:
    done = agent("snapshot", "--json", environment=driver.environment())
    rows = json.loads(done.stdout)
    assert all((row["value"] is None) != (row["reason"] is None) for row in rows)
    power = [row for row in rows if row["reading"] == "power_draw_milliwatts"]
    assert len(power) == 2
    assert all(row["nanoseconds"] > 0 for row in power)
    assert "power_draw_milliwatts" in agent("snapshot", environment=driver.environment()).stdout


def test_what_a_library_calls_a_card_steers_no_terminal(driver: Any) -> None:
    driver.play_node(2, "set * nvmlDeviceGetName H100\x07 of mine")
    shown = agent("snapshot", environment=driver.environment()).stdout
    assert "H100\\u0007 of mine" in shown
    assert "\x07" not in shown


def test_a_snapshot_waits_for_what_is_measured_between_two_looks(driver: Any) -> None:
    done = agent("snapshot", "--json", environment=driver.environment())
    active = [row for row in json.loads(done.stdout) if row["reading"] == "sm_active_permyriad"]
    assert [(row["value"], row["reason"]) for row in active] == [(9801, None)] * 2


def test_a_snapshot_tells_the_time_of_the_call_that_answered(driver: Any) -> None:
    driver.play_node(1, "slow 0 nvmlDeviceGetMemoryInfo_v2 20000")
    done = agent("snapshot", "--json", environment=driver.environment())
    (total,) = (row for row in json.loads(done.stdout) if row["reading"] == "memory_total_bytes")
    assert total["nanoseconds"] >= 20_000_000


def test_a_record_keeps_return_codes_and_hides_the_hardware_when_asked(
    tmp_path: Path, driver: Any
) -> None:
    for name, flags in (("open", []), ("redacted", ["--redact"])):
        done = agent("record", str(tmp_path / name), *flags, environment=driver.environment())
        assert done.returncode == 0, done.stderr
    opened, redacted = (tmp_path / "open").read_text(), (tmp_path / "redacted").read_text()
    assert "1650000000000" in opened
    assert "GPU-00000000-0000-4000" in opened
    assert "1650000000000" not in redacted
    assert "GPU-00000000-0000-4000" not in redacted
    assert str(driver.directory) in opened
    assert str(driver.directory) not in redacted
    codes = {answer["code"] for answer in json.loads(redacted)["answers"]}
    assert {0, 3} <= codes


def test_a_place_that_cannot_be_written_is_a_usage_error(tmp_path: Path, driver: Any) -> None:
    done = agent("record", str(tmp_path / "a" / "b"), environment=driver.environment())
    assert done.returncode == 2


def test_help_names_every_command() -> None:
    done = agent("--help", environment=dict(os.environ))
    for command in ("run", "enroll", "check", "snapshot", "record", "pause", "resume", "simulate"):
        assert f"  {command}" in done.stdout
