"""A challenge that ran on a real GPU, kept as it was recorded: what the verifier finds in it must never change.

`python -m benchmarks.probe --transcript FILE` on an NVIDIA H200, driver 580.159.04: f16, n = 16384, 64 products, 32
rows sampled; 8 products kept, 16 passes, 8 blocks sampled.
"""

import base64
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from weighbridge.challenge.judgement import verify_transcript
from weighbridge.challenge.messages import Ready
from weighbridge.challenge.transcript import decode_transcript, recorded
from weighbridge.challenge.verdict import AttemptResult, ChallengeVerdict, GpuMeasure, VerdictReason

VECTOR = Path(__file__).with_name("vectors") / "h200-driver-580.159.04.json"
LOGGED = VECTOR.read_bytes()
PROGRAM = "24e5042ed3b0761f97d387a255668f8dc8cab1a8f95d1a6155e0e976f207bedf"
"""SHA-256 of the kernels of that day, which knew no links: a later program has another."""


@cache
def result() -> AttemptResult:
    return verify_transcript(LOGGED)


def test_the_recorded_exchange_is_met_with_the_bounds_that_it_had() -> None:
    assert result().verdict is ChallengeVerdict.MET
    (gpu,) = result().gpus
    assert (gpu.samples, gpu.wrong_samples) == (40, 0)
    assert gpu.measure == GpuMeasure(
        cells=1 << 20,
        wrong_cells_bound=203_589,
        flops_per_second=560_811_763_748_204,
        memory_bytes=1_651_507_200,
        memory_bytes_per_second=1_263_893_298_061,
    )


def test_the_record_names_the_card_the_driver_and_the_program_that_ran() -> None:
    transcript = decode_transcript(LOGGED)
    ready = recorded(transcript, transcript.ready, Ready)
    assert ready is not None
    facts = {fact.name: fact.value for fact in ready.facts}
    assert (facts["backend"], facts["device"]) == ("cuda", "NVIDIA H200")
    assert facts["driver"] == "580.159.04"
    assert ready.program.hex() == PROGRAM


def altered(name: str) -> bytes:
    """The record with one bit of a signed answer changed."""
    document: Any = json.loads(LOGGED)
    holder = document["phases"][0] if name == "roots" else document
    envelope = json.loads(holder[name])
    payload = bytearray(base64.b64decode(envelope["payload"]))
    payload[-40] ^= 1
    holder[name] = json.dumps(envelope | {"payload": base64.b64encode(payload).decode()})
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


@pytest.mark.parametrize("name", ["ready", "roots", "openings"])
def test_one_changed_bit_of_what_the_gpu_said_makes_the_record_void(name: str) -> None:
    assert verify_transcript(altered(name)).reason is VerdictReason.UNSIGNED


def test_another_secret_than_the_logged_one_is_not_believed() -> None:
    document: Any = json.loads(LOGGED)
    document["secret"] = base64.b64encode(bytes(32)).decode()
    data = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    assert verify_transcript(data).reason is VerdictReason.PRECOMMITMENT
