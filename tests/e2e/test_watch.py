"""A witness as a process: whether a node whose agent was killed is reached, and what the collector makes of it."""

import socket

import pytest

from tests.e2e.stage import AGENT, Program, Stage, command, environment, lease, wait_for

WITNESSED = "evidence: {witnesses: [berlin]}\n"


@pytest.mark.slow
def test_a_witness_tells_a_cut_line_from_a_node_that_is_gone(stage: Stage) -> None:
    collector = stage.serving(lease() + WITNESSED)
    node, state = stage.reporting(collector), str(stage.directory / "berlin")
    invite = collector.invite("berlin", side="witness")
    done = command([AGENT, "enroll", "--state-directory", state, invite], environment())
    assert done.returncode == 0, done.stderr
    paths = ["--state-directory", state, "--runtime-directory", state, "--interval-ms", "500"]
    witness = Program(stage.directory / "witness.log")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        target = f"{node.name}=tcp://127.0.0.1:{listening.getsockname()[1]}"
        witness.launch([AGENT, "watch", *paths, target], environment())
        try:
            wait_for(lambda: collector.reports("berlin"), "a report of the witness")
            node.kill()
            wait_for(lambda: "collector_unreached" in collector.codes(), "what the witness sees")
            listening.close()
            wait_for(lambda: "unreachable" in collector.codes(), "that the node is gone")
        finally:
            witness.kill()
