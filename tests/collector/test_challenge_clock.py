"""The verifier's clock counts the time for which its machine was suspended."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.collector.answering import Challenged
from tests.collector.building import CONTRACT, Agent, make_store, serving
from weighbridge.challenge.messages import (
    NO_CONSENT,
    Decline,
    Receipt,
    decode_message,
    encode_message,
)
from weighbridge.wire.signing import open_envelope

ASLEEP_S = 100_000
SUSPENDED = ("unshare", "--time", "--boottime", str(ASLEEP_S))
"""What runs under this finds that its machine was suspended for so long since it was started."""


def test_a_verifier_that_was_suspended_measures_by_a_clock_that_went_on(tmp_path: Path) -> None:
    if shutil.which("unshare") is None or subprocess.run([*SUSPENDED, "true"]).returncode:
        pytest.skip("no namespace of time can be made here")
    agent = Agent("n1", gpus=1)
    directory = make_store(tmp_path / "store", [agent], CONTRACT)
    with serving(directory, before=SUSPENDED) as server:
        node = Challenged(server, agent)
        node.begin()
        challenge = decode_message(node.heard()).challenge
        declined = node.sealed(encode_message(Decline(challenge, NO_CONSENT)))
        told = node.post(challenge, "ready", declined).json
    receipt = decode_message(open_envelope(told["receipt"].encode()).payload)
    assert isinstance(receipt, Receipt)
    assert receipt.received_ns > time.monotonic_ns() + ASLEEP_S * 500_000_000
