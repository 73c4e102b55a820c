"""Another key signs the collector's log, and agents that pinned the first one follow without being invited again."""

import json

from tests.e2e.stage import Collector, Stage, assert_unbroken, lease, wait_for


def rotate(collector: Collector, times: int = 1) -> None:
    collector.stop()
    for _ in range(times):
        done = collector.cli("log", "rotate", "--overlap-days", "0")
        assert done.returncode == 0, done.stderr
    collector.start()


def test_agents_follow_the_logs_key_however_long_they_were_away(stage: Stage) -> None:
    collector = stage.serving(lease(nodes=2))
    former = collector.invite("n2")
    node = stage.reporting(collector)
    pinned = (node.state / "enrolment.json").read_bytes()
    rotate(collector)
    wait_for(lambda: "signed by its next key" in node.log(), "the agent to follow as it runs")
    count = len(collector.reports())
    wait_for(lambda: len(collector.reports()) > count + 3, "reports under the second key")
    node.stop()
    rotate(collector, times=2)
    node.start()
    wait_for(lambda: node.log().count("signed by its next key") == 2, "the agent to follow at once")
    count = len(collector.reports())
    wait_for(lambda: len(collector.reports()) > count + 3, "reports under the fourth key")
    assert_unbroken(collector.reports("n1"))
    status = node.cli("status").stdout
    assert "log_forked" not in status
    assert "log_shrank" not in status
    assert (node.state / "enrolment.json").read_bytes() == pinned
    late = stage.node("n2", collector)
    late.enroll(former)
    enrolled = {file.name: file.read_bytes() for file in late.state.iterdir() if file.is_file()}
    assert json.loads(enrolled["enrolment.json"])["log_key"] == json.loads(pinned)["log_key"]
    late.enroll(former)
    assert {name: (late.state / name).read_bytes() for name in enrolled} == enrolled
    late.start()
    wait_for(lambda: collector.reports("n2"), "reports of who was invited by the first key")
