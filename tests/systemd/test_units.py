"""What the unit files say, read by systemd's own tools."""

import subprocess
import sys
from pathlib import Path

import pytest

from agent.config import AgentConfig, load_config

SYSTEMD = Path(__file__).parents[2] / "systemd"
OPERATIONS = SYSTEMD.parent / "docs/operations.md"
UNITS = ["weighbridge-agent.service", "weighbridge-collector.service"]
PROBER = "weighbridge-probe@.service"
SOCKET = "weighbridge-probe.socket"
PYTHON = "/opt/weighbridge/bin/python"
EXPOSURE_IN_TENTHS = "20"


def _directives(unit: str) -> list[tuple[str, str]]:
    lines = (SYSTEMD / unit).read_text().splitlines()
    split = [line.partition("=") for line in lines if line and line[0].isalpha()]
    return [(name, value) for name, _, value in split]


@pytest.mark.parametrize("unit", [*UNITS, PROBER])
def test_the_exposure_is_at_most_two(unit: str) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager"]
    threshold = f"--threshold={EXPOSURE_IN_TENTHS}"
    done = subprocess.run([*command, threshold, SYSTEMD / unit], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("unit", [*UNITS, PROBER])
def test_systemd_has_nothing_to_say_against_a_unit(unit: str, tmp_path: Path) -> None:
    copy = tmp_path / unit
    copy.write_text((SYSTEMD / unit).read_text().replace(PYTHON, sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_key_that_is_appended_to_the_agents_configuration_is_read(tmp_path: Path) -> None:
    """The file that is laid down ends its line."""
    rules = tmp_path / "rules.conf"
    lines = (SYSTEMD / "tmpfiles.d/weighbridge.conf").read_text().splitlines()
    rules.write_text("\n".join(line for line in lines if "weighbridge-" not in line) + "\n")
    root = tmp_path / "root"
    root.mkdir()
    command = ["systemd-tmpfiles", f"--root={root}", "--create", str(rules)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with (root / "etc/weighbridge/agent.toml").open("a") as file:
        file.write("interval_ms = 1234\n")
    assert load_config(root / "etc/weighbridge/agent.toml", {}).interval_ms == 1234


@pytest.mark.parametrize("unit", [*UNITS, PROBER, SOCKET])
def test_the_page_that_a_unit_names_is_one_that_operations_lay_down(unit: str) -> None:
    (page,) = [value for name, value in _directives(unit) if name == "Documentation"]
    place, _, name = page.removeprefix("file:").rpartition("/")
    assert (SYSTEMD.parent / "docs" / name).is_file()
    assert f"install -m 644 -D docs/*.md -t {place}" in OPERATIONS.read_text()


def test_the_agents_unit_sets_no_directive_that_blinds_it() -> None:
    readme = (SYSTEMD / "README.md").read_text()
    table = readme.partition("| directive |")[2].partition("\n\n")[0].splitlines()[2:]
    blinding = {row.split("`")[1].partition("=")[0] for row in table}
    assert len(blinding) > 10
    assert blinding & {name for name, _ in _directives("weighbridge-agent.service")} == set()


def test_nvidia_nodes_are_allowed_by_number() -> None:
    """A name matches only while its driver is loaded; a path only while the node exists."""
    allowed = [v for k, v in _directives("weighbridge-agent.service") if k == "DeviceAllow"]
    assert "char-195 rw" in allowed
    assert not any(value.startswith("/dev/") for value in allowed)


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_comes_back_for_ever_and_is_watched(unit: str) -> None:
    said = dict(_directives(unit))
    assert said["Type"] == "notify"
    assert said["Restart"] == "always"
    assert said["StartLimitIntervalSec"] == "0"
    assert int(said["RestartSec"]) <= 5
    assert int(said["WatchdogSec"]) <= 60


@pytest.mark.parametrize("unit", [*UNITS, PROBER])
def test_a_unit_is_bounded_in_memory_processor_and_tasks(unit: str) -> None:
    assert {"MemoryMax", "CPUQuota", "TasksMax"} <= dict(_directives(unit)).keys()


@pytest.mark.parametrize("unit", [*UNITS, PROBER])
def test_the_interpreter_takes_nothing_from_its_surroundings(unit: str) -> None:
    assert dict(_directives(unit))["ExecStart"].startswith(f"{PYTHON} -I -m ")


def test_systemd_has_nothing_to_say_against_the_probers_socket(tmp_path: Path) -> None:
    for unit in (SOCKET, PROBER):
        text = (SYSTEMD / unit).read_text().replace(PYTHON, sys.executable)
        (tmp_path / unit).write_text(text)
    command = ["systemd-analyze", "verify", str(tmp_path / SOCKET)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_only_the_agent_may_ask_the_prober_and_one_at_a_time() -> None:
    said = dict(_directives(SOCKET))
    assert (said["SocketUser"], said["SocketMode"]) == ("weighbridge-agent", "0600")
    assert (said["Accept"], said["MaxConnections"]) == ("yes", "1")


def test_the_prober_has_what_cuda_needs_and_no_network() -> None:
    said = _directives(PROBER)
    names = {name for name, _ in said}
    assert names & {"PrivateDevices", "MemoryDenyWriteExecute", "ProcSubset"} == set()
    allowed = {value for name, value in said if name == "DeviceAllow"}
    assert {"char-195 rw", "char-nvidia-uvm rw"} <= allowed
    assert ("PrivateNetwork", "yes") in said
    assert "RuntimeMaxSec" in names


def test_the_agent_asks_where_the_prober_listens() -> None:
    listens = dict(_directives(SOCKET))["ListenStream"]
    assert str(AgentConfig().probe_socket) == listens
