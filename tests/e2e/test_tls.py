"""The collector speaks TLS under its own CA, which the agent pins by the invite and trusts alone."""

import base64
import json
import shutil

import pytest

from tests.e2e.stage import Collector, Stage, assert_unbroken, lease, wait_for
from weighbridge.wire.report import canonical

PREFIX = "weighbridge-invite:1:"


@pytest.mark.slow
def test_reports_go_to_the_pinned_ca_and_to_no_other(stage: Stage) -> None:
    collector = stage.serving(lease(), settings=["tls = true"], scheme="https")
    invite = collector.invite("n1")
    told = opened(invite)
    assert told["url"] == f"https://127.0.0.1:{collector.port}"
    node = stage.node("n1", collector)
    forged = node.cli("enroll", "-", stdin=sealed({**told, "ca": "0" * 64}))
    assert forged.returncode == 2
    assert "CA is not the one in the invite" in forged.stderr
    node.enroll(invite)
    node.start()
    collector.healthy(2)
    assert_unbroken(collector.reports())
    count = len(collector.reports())
    collector.stop()
    replace_authority(stage, collector)
    collector.start()
    wait_for(lambda: "certificate verify failed" in node.log(), "the refusal")
    wait_for(lambda: node.pending() > 5, "reports that are kept back")
    assert len(collector.reports()) == count


def test_an_agent_follows_another_ca_without_being_invited_again(stage: Stage) -> None:
    collector = stage.serving(lease(), settings=["tls = true"], scheme="https")
    node = stage.reporting(collector)
    former = node.state.joinpath("ca.pem").read_text()
    assert collector.cli("ca", "finish").returncode == 2
    node.stop()
    assert collector.cli("ca", "rotate").returncode == 0
    assert collector.cli("ca", "rotate").returncode == 2
    node.start()
    wait_for(lambda: "next CA is trusted too" in node.log(), "both CAs to be trusted")
    done = collector.cli("ca", "finish")
    assert done.returncode == 0, done.stderr
    collector.stop()
    collector.start()
    count = len(collector.reports())
    wait_for(lambda: len(collector.reports()) > count + 3, "reports to the new CA's server")
    node.stop()
    node.start()
    wait_for(lambda: "former CA is trusted no more" in node.log(), "the former CA to go")
    present = node.state.joinpath("ca.pem").read_text()
    assert former not in present
    assert present == (collector.directory / "keys" / "ca.pem").read_text()


def replace_authority(stage: Stage, collector: Collector) -> None:
    """Somebody else's CA and certificate, on the same address."""
    other = stage.collector("other")
    (collector.directory / "keys" / "server.pem").unlink()
    for name in ("ca.key", "ca.pem"):
        shutil.copy(other.directory / "keys" / name, collector.directory / "keys" / name)


def opened(invite: str) -> dict[str, str]:
    encoded = invite.strip().removeprefix(PREFIX)
    said: dict[str, str] = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    return said


def sealed(told: dict[str, str]) -> str:
    return PREFIX + base64.urlsafe_b64encode(canonical(told)).rstrip(b"=").decode()
