"""The programs themselves under their units: started, watched, brought back."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.agent.fake_nvml.fixture import FakeDriver, build
from tests.systemd.sandbox import UNITS, Sandbox

pytestmark = pytest.mark.slow

SANDBOX_TARGET = "[Unit]\nRequires=script.service\n"
SCRIPT_UNIT = """[Unit]
DefaultDependencies=no
Wants=systemd-journald.service
After=systemd-journald.service
SuccessAction=exit
FailureAction=exit
[Service]
Type=oneshot
ExecStart=/bin/bash -eux /opt/script
ExecStopPost=/bin/sh -c 'journalctl --quiet --no-pager --output=short-precise --unit="weighbridge-*" >/result/journal'
StandardOutput=append:/result/output
StandardError=append:/result/output
TimeoutStartSec=80
"""
COMMANDS = """
cd /
python=/opt/weighbridge/bin/python
collector() {
  runuser -u weighbridge-collector -- env \\
    WEIGHBRIDGE_CONFIG=/var/lib/weighbridge-collector/config.toml $python -I -m collector "$@"
}
agent() { runuser -u weighbridge-agent -- $python -I -m agent "$@"; }
until_true() { for _ in $(seq 600); do "$@" && return; sleep 0.1; done; false; }
"""


Run = Callable[..., Sandbox]


@pytest.fixture
def run(sandbox: Sandbox, make_environment: Callable[..., Path]) -> Run:
    """`run(script)`: boots, with both programs and units installed, and runs the script as root."""
    if sys.base_prefix.startswith(("/root", "/home")):
        pytest.skip("the interpreter lies in a home, which the units cannot see")

    def boot(script: str) -> Sandbox:
        installed = make_environment("agent", "collector").parent
        shutil.copytree(installed, sandbox.files / "opt/weighbridge", symlinks=False)
        (sandbox.files / "opt/weighbridge").chmod(0o755)
        python = sandbox.files / "opt/weighbridge/bin/python"
        python.unlink()
        python.symlink_to(Path(sys.executable).resolve())
        for unit in UNITS.glob("*.service"):
            sandbox.write(f"etc/systemd/system/{unit.name}", unit.read_text())
        sandbox.write("opt/script", COMMANDS + script)
        sandbox.write("etc/systemd/system/script.service", SCRIPT_UNIT)
        sandbox.write("etc/systemd/system/sandbox.target", SANDBOX_TARGET)
        printed = sandbox.boot()
        told = "\n".join([printed, sandbox.read("journal"), sandbox.read("output")])
        assert sandbox.read("done") == "done\n", told
        return sandbox

    return boot


INIT = "collector init /var/lib/weighbridge-collector --open-on-loopback\nsystemctl start weighbridge-collector\n"


def test_the_collector_is_ready_when_its_unit_says_so_and_stops_cleanly(run: Run) -> None:
    ended = run(
        INIT
        + "$python -I -c 'import urllib.request as r;"
        + ' print(r.urlopen("http://127.0.0.1:8470/readyz").status)\' >/result/ready\n'
        + "systemctl stop weighbridge-collector\n"
        + "systemctl show --property=Result,ExecMainStatus weighbridge-collector >/result/end\n"
        + "echo done >/result/done\n"
    )
    assert ended.read("ready") == "200\n"
    assert set(ended.read("end").split()) == {"Result=success", "ExecMainStatus=0"}


CONTRACT = """\
contract_id: K-1
effective: 2026-01-01T00:00:00Z
time_zone: UTC
currency: EUR
parties: [{id: L, role: provider}, {id: E, role: lessee}]
term: {from: 2026-01-01T00:00:00Z, to: 2036-01-01T00:00:00Z}
resources:
  - {id: h100, accelerator: {sku: H100-SXM-80GB, form_factor: SXM}, per_node: 8, nodes: 1}
availability:
  - {id: node, unit: node, target: "0.99"}
unknown: {policy: hold, by_cause: {lessee: up, provider: down}}
"""
ENROL = f"""
printf 'spool_bytes = 1048576\\nreceipts_bytes = 1048576\\ninterval_ms = 500\\n' >/etc/weighbridge/agent.toml
cat >/etc/weighbridge/lease.yaml <<'end'
{CONTRACT}end
collector contract add /etc/weighbridge/lease.yaml
collector invite K-1 --side provider --node node-1 | grep -o 'weighbridge-invite:.*' | agent enroll -
systemctl start weighbridge-agent
"""
BROUGHT_BACK = """
brought_back() {
  [ "$(systemctl show --property=NRestarts --value $1)" -ge 1 ] && systemctl is-active --quiet $1
}
"""
WATCH = """
mkdir -p /run/systemd/system/$unit.service.d
printf '[Service]\\nWatchdogSec=8\\n' >/run/systemd/system/$unit.service.d/watch.conf
systemctl daemon-reload
systemctl restart $unit
systemctl kill --kill-whom=main --signal=STOP $unit
until_true brought_back $unit
journalctl --quiet --no-pager --output=cat --unit=$unit | grep -q 'Watchdog timeout'
echo done >/result/done
"""
NODES = "http://127.0.0.1:8470/v1/nodes"


LOOK = """
mkdir -p /run/systemd/system/weighbridge-agent.service.d
cat >/run/systemd/system/weighbridge-agent.service.d/look.conf <<'end'
[Service]
Type=oneshot
Restart=no
Environment=LD_LIBRARY_PATH=/opt/driver FAKE_NVML_SCENARIO=/opt/driver/scenario
ExecStart=
ExecStart=/opt/weighbridge/bin/python -I -m agent snapshot --json
StandardOutput=truncate:/result/inside
end
systemctl daemon-reload
systemctl start weighbridge-agent
LD_LIBRARY_PATH=/opt/driver FAKE_NVML_SCENARIO=/opt/driver/scenario \\
  $python -I -m agent snapshot --json >/result/outside
echo done >/result/done
"""


HUNG = """
mkdir -p /run/systemd/system/weighbridge-agent.service.d
cat >/run/systemd/system/weighbridge-agent.service.d/hung.conf <<'end'
[Service]
WatchdogSec=8
Environment=LD_LIBRARY_PATH=/opt/driver FAKE_NVML_SCENARIO=/opt/driver/scenario
end
"""
ACCEPTED = """
accepted() {
  $python -I -c 'import urllib.request as r; print(r.urlopen("http://127.0.0.1:8470/metrics").read().decode())' |
    sed -n 's/^weighbridge_reports_total{result="accepted"} //p' | cut -d. -f1
}
many() { [ "$(accepted)" -ge 40 ]; }
until_true many
systemctl show --property=NRestarts weighbridge-agent >/result/restarts
echo done >/result/done
"""


def _sight(snapshot: str) -> dict[tuple[str, str], str | None]:
    """(device, reading) -> why it is unavailable, None where there is a value."""
    rows = json.loads(snapshot)
    return {(row["device"], row["reading"]): row["reason"] for row in rows}


def test_the_agent_reads_a_driver_in_its_unit_as_root_does_without(
    run: Run, sandbox: Sandbox
) -> None:
    directory = sandbox.files / "opt/driver"
    directory.mkdir(parents=True)
    FakeDriver(build(directory), directory / "scenario").play_node(8)
    ended = run(LOOK)
    inside = _sight(ended.read("inside"))
    assert inside == _sight(ended.read("outside"))
    assert len({device for device, _ in inside}) == 9
    assert sum(reason is None for reason in inside.values()) > 8 * 20


def test_an_enrolled_agent_without_a_driver_is_ready_and_its_reports_arrive(run: Run) -> None:
    ended = run(
        INIT
        + ENROL
        + "seen() { $python -I -c 'import urllib.request as r;"
        + f' print(r.urlopen("{NODES}").read().decode())\' >/result/nodes\n'
        + "  grep -q node-1 /result/nodes; }\n"
        + "until_true seen\n"
        + "systemctl stop weighbridge-agent\n"
        + "systemctl show --property=Result,ExecMainStatus weighbridge-agent >/result/end\n"
        + "echo done >/result/done\n"
    )
    assert json.loads(ended.read("nodes"))
    assert set(ended.read("end").split()) == {"Result=success", "ExecMainStatus=0"}


def test_a_driver_that_never_answers_does_not_keep_the_agent_from_being_alive(
    run: Run, sandbox: Sandbox
) -> None:
    """Forty reports at two a second take more than twice what the watchdog waits."""
    directory = sandbox.files / "opt/driver"
    directory.mkdir(parents=True)
    driver = FakeDriver(build(directory), directory / "scenario")
    driver.play_node(2, "hang 0 nvmlDeviceGetPowerUsage", "hang 1 nvmlDeviceGetTemperature")
    assert run(INIT + HUNG + ENROL + ACCEPTED).read("restarts") == "NRestarts=0\n"


@pytest.mark.parametrize("unit", ["weighbridge-collector", "weighbridge-agent"])
def test_a_program_that_hangs_is_ended_and_started_again(run: Run, unit: str) -> None:
    run(INIT + (ENROL if "agent" in unit else "") + f"unit={unit}\n" + BROUGHT_BACK + WATCH)


@pytest.mark.parametrize("unit", ["weighbridge-collector", "weighbridge-agent"])
def test_a_program_that_is_killed_is_started_again(run: Run, unit: str) -> None:
    run(
        INIT
        + (ENROL if "agent" in unit else "")
        + BROUGHT_BACK
        + f"systemctl kill --kill-whom=main --signal=KILL {unit}\n"
        + f"until_true brought_back {unit}\n"
        + "echo done >/result/done\n"
    )
