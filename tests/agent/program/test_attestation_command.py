"""A question to a GPU, as the agent obeys it: for its own key, from its own collector, answered under its signature."""

from pathlib import Path
from typing import Any

import pytest
import zstandard

from agent.challenge_receipts import KeptReceipts
from agent.command_poller import ATTESTATION_TYPE, CommandPoller, Probing
from agent.enrolment import NodeIdentity
from agent.nvml.attesting import Evidence
from agent.probe.consent import DailyBudget
from agent.report.reporter import Backoff
from tests.agent.program.test_probe_consent import KEY, LOG, NOON_US, Desk, StopHere
from weighbridge.log.entries import AttestationAnswered, AttestationAsked
from weighbridge.process.log_trust import LogTrust
from weighbridge.wire.report import encode, read
from weighbridge.wire.signing import Signer, open_envelope, verify

NONCE = "ab" * 32


def question(key_id: str) -> AttestationAsked:
    return AttestationAsked(
        id="a.0",
        contract="K",
        node="n1",
        key_id=key_id,
        device="GPU-0",
        nonce=NONCE,
        until_us=1,
        valid_s=1,
        required=True,
    )


async def answers(command: bytes, tmp_path: Path) -> list[tuple[str, AttestationAnswered]]:
    """What an agent posts after a command."""
    desk, heard = Desk(command), []

    async def attest(uuid: str, nonce: str) -> Evidence:
        heard.append((uuid, nonce))
        return Evidence(9, "cmVwb3J0", "chain")

    identity = NodeIdentity(
        "http://localhost", "n1", "log", LogTrust(LOG.public_key, tmp_path), KEY, b"", True
    )

    def asked(*_: Any) -> Any:
        pytest.fail("no prober is asked for")

    poller = CommandPoller(
        identity,
        desk,
        Probing(asked, DailyBudget(tmp_path / "spent", 0), None),
        lambda: NOON_US,
        KeptReceipts(tmp_path / "challenges.jsonl"),
        Backoff(longest_s=0),
        attest,
    )
    with pytest.raises(StopHere):
        await poller.run()
    assert heard == [("GPU-0", NONCE)] * len(desk.posted)
    return [(path, read(AttestationAnswered, _opened(body))) for path, body in desk.posted]


def _opened(body: bytes) -> bytes:
    envelope = open_envelope(zstandard.decompress(body))
    verify(envelope, KEY.public_key)
    assert envelope.payload_type == ATTESTATION_TYPE
    return envelope.payload


async def test_it_answers_its_own_collector_with_what_the_driver_gave(tmp_path: Path) -> None:
    asked = LOG.seal(ATTESTATION_TYPE, encode(question(KEY.key_id)))
    ((path, told),) = await answers(asked, tmp_path)
    assert path == "/v1/attestations/a.0/evidence"
    assert (told.id, told.device, told.report, told.chain) == ("a.0", "GPU-0", "cmVwb3J0", "chain")


@pytest.mark.parametrize(
    ("signer", "key_id"), [(LOG, "0" * 64), (Signer(bytes(32)), KEY.key_id)], ids=["key", "log"]
)
async def test_it_answers_no_question_to_another_key_or_of_another_log(
    signer: Signer, key_id: str, tmp_path: Path
) -> None:
    asked = signer.seal(ATTESTATION_TYPE, encode(question(key_id)))
    assert await answers(asked, tmp_path) == []
