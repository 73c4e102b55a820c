"""From an empty directory to eight weighed GPUs, by the commands that README and operations.md name."""

from pathlib import Path

import pytest

from tests.e2e.stage import Collector, Node, Stage, lease, wait_for
from weighbridge.catalogue.findings import meanings

PAGES = ("/", "/contracts/lease", "/nodes/n1", "/v1/openapi.json", "/healthz", "/readyz")


@pytest.mark.slow
def test_eight_gpus_are_weighed_by_the_commands_alone(stage: Stage) -> None:
    collector = stage.collector()
    node = stage.node("n1", collector, 8)
    contract = stage.directory / "lease.yaml"
    contract.write_text(lease(gpus=8))
    check_the_contract(collector, contract)
    assert_done(collector.cli("contract", "add", str(contract)), "is entry")
    collector.start()
    enroll_twice(collector, node)
    node.start()
    collector.healthy(8)
    assert collector.counts() == {"contracted": 8, "reporting": 8, "healthy": 8, "in_use": 0}
    shown = wait_for(lambda: met(collector), "the verdict that all is met")
    assert "MET" in shown
    assert "none" in shown
    assert "per_node: '8'" in collector.cli("contract", "show", "lease").stdout
    assert {path: collector.request("GET", path).status for path in PAGES} == dict.fromkeys(
        PAGES, 200
    )
    assert b"n1" in collector.request("GET", "/contracts/lease").body
    node.stop()
    says_what_to_do(collector)
    collector.stop()


def says_what_to_do(collector: Collector) -> None:
    """Of a node whose agent stopped, its finding's meaning and steps."""
    row = meanings()["agent_stopped_by_provider"]

    def told() -> str:
        shown = collector.cli("status", "lease").stdout
        return shown if row.code in shown else ""

    said = wait_for(told, "the finding that the agent stopped")
    assert "what to do, in order" in said
    assert f"1. {row.steps[0].says.en.split()[0]}" in said


def met(collector: Collector) -> str:
    """What `status` says once nothing is unknown or breached now; the minute before the first report still is."""
    done = collector.cli("status", "lease")
    assert done.returncode in (0, 4), done.stdout
    return done.stdout if done.returncode == 0 else ""


def assert_done(done: object, said: str) -> None:
    assert getattr(done, "returncode", None) == 0, getattr(done, "stderr", "")
    assert said in getattr(done, "stdout", "")


def check_the_contract(collector: Collector, contract: Path) -> None:
    """A sound one is said to be; in a wrong one the line of the error is named."""
    assert_done(collector.cli("contract", "check", str(contract)), "is sound")
    wrong = contract.with_name("wrong.yaml")
    lines = contract.read_text().replace('per_node: "8"', 'per_node: "eight"')
    wrong.write_text(lines)
    number = next(n for n, line in enumerate(lines.splitlines(), 1) if "eight" in line)
    refused = collector.cli("contract", "check", str(wrong))
    assert refused.returncode == 2
    assert f"line {number}" in refused.stderr
    assert "per_node" in refused.stderr


def enroll_twice(collector: Collector, node: Node) -> None:
    """The invite comes on standard input; the same one again changes nothing, and on another node it is used."""
    invite = collector.cli("invite", "lease", "--side", "provider", "--node", node.name).stdout
    first = node.cli("enroll", "-", stdin=invite)
    assert_done(first, "n1 reports to")
    size = sum(kind == "key" for _, kind, _ in collector.entries())
    again = node.cli("enroll", invite.strip())
    assert (again.returncode, again.stdout) == (0, first.stdout)
    assert sum(kind == "key" for _, kind, _ in collector.entries()) == size == 1
    thief = node.cli("enroll", "--state-directory", str(node.directory / "other"), invite.strip())
    assert thief.returncode == 2
    assert "invite_used" in thief.stderr


@pytest.mark.parametrize(
    ("scenario", "code", "said"),
    [
        ((), 0, "met: "),
        (("set 1 nvmlDeviceGetEnforcedPowerLimit 350000",), 3, "power_capped"),
        (("code 1 nvmlDeviceGetEccMode 999",), 4, "unknown: ecc_off"),
    ],
)
def test_check_answers_by_its_exit_code_without_a_collector(
    stage: Stage, collector: Collector, scenario: tuple[str, ...], code: int, said: str
) -> None:
    node = stage.node("checked", collector)
    node.play(*scenario)
    contract = stage.directory / "lease.yaml"
    contract.write_text(lease())
    done = node.cli("check", "--contract", str(contract))
    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stdout
