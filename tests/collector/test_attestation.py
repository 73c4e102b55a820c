"""Questions to GPUs and their answers over a real collector, and what a verifier makes of them.

The verifier is a stand-in, but for the recorded evidence of a real chip: its own SDK verifies that where
ATTESTATION_SDK_PYTHON names a Python that has it.
"""

import base64
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.command_poller import ATTESTATION_TYPE
from collector.attestation.verification import PROGRAM, Conclusion, Verifier, verifying
from tests.collector.answering import Challenged, ask
from tests.collector.building import (
    CONTRACT,
    Agent,
    Answered,
    Serving,
    make_store,
    serving,
    wait_for,
)
from weighbridge.log.entries import AttestationAnswered, AttestationAsked, EntryKind, entry
from weighbridge.wire.polling import POLL_PATH
from weighbridge.wire.report import encode, read

STANDIN = Path(__file__).with_name("standin.py")
SAMPLES = Path(__file__).with_name("attestation_samples")
SDK = os.environ.get("ATTESTATION_SDK_PYTHON")


@pytest.fixture(scope="module")
def agents() -> list[Agent]:
    return [Agent(f"n{number}", gpus=2) for number in range(8)]


@pytest.fixture
def agent(agents: list[Agent]) -> Agent:
    """One that nobody has used yet."""
    return agents.pop()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, agents: list[Agent]) -> Iterator[Serving]:
    """A collector whose verifier is the stand-in, whatever program it is told to run."""
    directory = tmp_path_factory.mktemp("attestation")
    python = directory / "python"
    python.write_text(f"#!/bin/sh\nexec {sys.executable} -I {STANDIN}\n")
    python.chmod(0o755)
    store = make_store(directory / "store", agents, CONTRACT)
    with (store / "config.toml").open("a") as file:
        file.write(f"\n[attestation]\npython = {json.dumps(str(python))}\n")
    with serving(store) as running:
        yield running


def kinds(server: Serving, agent: Agent) -> list[EntryKind]:
    """Of the entries about attestation of a node."""
    rows = ask(server, "GET", "/v1/log/entries?start=0&limit=1000")
    found = [entry(row["index"], row["envelope"].encode()) for row in rows]
    about = (EntryKind.ATTESTATION, EntryKind.ATTESTED)
    mine = f'"node":"{agent.node}"'.encode()
    return [one.kind for one in found if one.kind in about and mine in one.envelope.payload]


def standin(program: Path = STANDIN, seconds: float = 30) -> Verifier:
    return Verifier(Path(sys.executable), seconds=seconds, program=program)


def report_of(nonce: str, signer: str) -> str:
    head = b"\x11\xe0\x01\xff" + bytes.fromhex(nonce) + b"\0"
    return base64.b64encode(head + b"signed by " + signer.encode()).decode()


class Asked(Challenged):
    """A node whose GPUs are asked, and answer as the test says."""

    def begin_attestation(self, gpu: int = 0) -> str:
        wanted = {"node": self.agent.node, "contract": None, "gpus": [self.agent.devices[gpu]]}
        return str(self.begun("/v1/attestations", wanted)["id"])

    def question(self) -> AttestationAsked:
        return read(AttestationAsked, self.heard())

    def answer(self, asked: AttestationAsked, **changes: Any) -> Answered:
        """Honestly by a chip that is called as its node, but for the changes."""
        told = {
            "id": asked.id,
            "contract": asked.contract,
            "node": asked.node,
            "device": asked.device,
            "architecture": 9,
            "report": report_of(asked.nonce, asked.node),
            "chain": f"the chain of {asked.node}",
            "reason": "",
        }
        answer = AttestationAnswered.model_validate(told | changes)
        return self.send(asked.id, self.agent.signer.seal(ATTESTATION_TYPE, encode(answer)))

    def send(self, name: str, body: bytes) -> Answered:
        path = f"/v1/attestations/{name}/evidence"
        return self.server.request("POST", path, body, **self.named())

    def concluded(self, name: str) -> dict[str, Any]:
        """Of the only GPU that was asked."""

        def end() -> Any:
            shown = ask(self.server, "GET", f"/v1/attestations/{name}")
            return shown["gpus"][0] if shown["state"] == "ended" else None

        found: dict[str, Any] = wait_for(end, "the end of the attestation", 60)
        return found

    def attested(self, gpu: int = 0, **changes: Any) -> dict[str, Any]:
        """The whole exchange."""
        name = self.begin_attestation(gpu)
        assert self.answer(self.question(), **changes).status == 200
        return self.concluded(name)

    def judged(self, gpu: int = 0) -> Any:
        """What the API shows of a GPU by now."""
        node = ask(self.server, "GET", f"/v1/nodes/{self.agent.node}")
        (found,) = [one for one in node["gpus"] if one["gpu"] == self.agent.devices[gpu]]
        return found["attestation"]


def test_a_chip_that_signs_the_nonce_is_attested_and_the_log_holds_all_of_it(
    server: Serving, agent: Agent
) -> None:
    node = Asked(server, agent)
    assert node.judged() is None
    concluded = node.attested()
    assert (concluded["verdict"], concluded["verifier"]) == ("met", "stand-in 1")
    assert concluded["claims"] == {"chip_model": agent.node}
    shown = wait_for(node.judged, "the judgement")
    assert (shown["level"], shown["verdict"], shown["chip"]) == ("E3", "met", concluded["chip"])
    assert kinds(server, agent) == [
        EntryKind.ATTESTATION,
        EntryKind.ATTESTATION,
        EntryKind.ATTESTED,
    ]


@pytest.mark.parametrize(
    ("changes", "verdict", "reason"),
    [
        ({"report": report_of("00" * 32, "A")}, "refused", "another_nonce"),
        ({"report": ""}, "refused", "another_nonce"),
        ({"chain": "the chain of B"}, "refused", "certificate_chain"),
        ({"report": "", "reason": "not_supported"}, "not_assessed", "not_supported"),
    ],
    ids=["a replayed report", "nothing", "another chip's chain", "no such driver"],
)
def test_what_is_no_evidence_gives_no_level(
    server: Serving, agent: Agent, changes: dict[str, Any], verdict: str, reason: str
) -> None:
    node = Asked(server, agent)
    concluded = node.attested(**changes)
    assert (concluded["verdict"], concluded["reason"]) == (verdict, reason)
    shown = wait_for(node.judged, "the judgement")
    assert (shown["level"], shown["verdict"], shown["reason"]) == (None, verdict, reason)


def test_answers_to_no_open_question_are_refused(server: Serving, agent: Agent) -> None:
    node = Asked(server, agent)
    name = node.begin_attestation()
    asked = node.question()
    other = asked.model_copy(update={"id": "nobody.0"})
    assert node.answer(other).status == 404
    assert node.answer(asked, device=agent.devices[1]).status == 400
    assert node.send(asked.id, b"{" + b" " * (128 << 10)).status == 413
    with pytest.raises(ValueError, match="at most 16384"):
        node.answer(asked, report="A" * 16_388)
    assert node.answer(asked).status == 200
    assert node.answer(asked).status == 404
    assert node.concluded(name)["verdict"] == "met"
    assert node.answer(asked).status == 404


def test_a_header_that_answered_a_question_fetches_no_command(
    server: Serving, agent: Agent
) -> None:
    node = Asked(server, agent)
    path, seen = "/v1/attestations/nobody.0/evidence", node.named()
    assert server.request("POST", path, b"", **seen).status == 404
    again = server.request("GET", POLL_PATH, None, **seen)
    assert (again.status, again.json["code"]) == (409, "sequence")


async def conclude(
    verifier: Verifier | None, nonce: str = "ab" * 32, signer: str = "A"
) -> Conclusion:
    about = {"id": "a.0", "contract": "K", "node": "n1", "device": "GPU-0"}
    asked = AttestationAsked.model_validate(
        {
            **about,
            "key_id": "0" * 64,
            "nonce": nonce,
            "until_us": 0,
            "valid_s": 1,
            "required": False,
        }
    )
    answer = AttestationAnswered.model_validate(
        {
            **about,
            "architecture": 9,
            "report": report_of(nonce, signer),
            "chain": "the chain of A",
            "reason": "",
        }
    )
    return await verifying(verifier)(asked, answer)


async def test_without_a_verifier_nothing_is_assessed() -> None:
    assert await conclude(None) == Conclusion("not_assessed", "no_verifier")


async def test_a_python_without_the_sdk_says_so() -> None:
    concluded = await conclude(standin(PROGRAM))
    assert concluded.verdict == "not_assessed"
    assert concluded.reason.startswith("no_verifier: ")


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import sys; sys.exit(1)", "verifier_failed"),
        ("print('sound')", "verifier_failed"),
        (
            """print('{"verifier":"SDK","failed":"online_check_failed"}')""",
            "online_check_failed",
        ),
        ("import time; time.sleep(60)", "verifier_timeout"),
    ],
)
async def test_a_verifier_that_does_not_end_well_accuses_nobody(
    tmp_path: Path, program: str, reason: str
) -> None:
    (tmp_path / "verifier.py").write_text(program)
    verifier = standin(tmp_path / "verifier.py", seconds=1)
    concluded = await conclude(verifier)
    assert (concluded.verdict, concluded.reason, concluded.chip) == ("not_assessed", reason, None)


@pytest.mark.skipif(SDK is None, reason="ATTESTATION_SDK_PYTHON names no Python with the SDK")
@pytest.mark.parametrize(
    ("bend", "verdict"), [("", "met"), ("report", "refused"), ("chain", "refused")]
)
async def test_the_sdk_verifies_what_a_real_chip_signed_and_nothing_else(
    bend: str, verdict: str
) -> None:
    report = bytearray.fromhex((SAMPLES / "gh100_report.txt").read_text().strip())
    chain = (SAMPLES / "gh100_chain.pem").read_text()
    nonce = report[4:36].hex()
    report[-1] ^= bend == "report"
    if bend == "chain":
        chain = chain.split("-----END CERTIFICATE-----\n", 1)[1] * 2
    about = {"id": "a.0", "contract": "K", "node": "n1", "device": "GPU-0"}
    asked = AttestationAsked.model_validate(
        {
            **about,
            "key_id": "0" * 64,
            "nonce": nonce,
            "until_us": 0,
            "valid_s": 1,
            "required": False,
        }
    )
    told = base64.b64encode(report).decode()
    answer = AttestationAnswered.model_validate(
        {**about, "architecture": 9, "report": told, "chain": chain, "reason": ""}
    )
    concluded = await verifying(Verifier(Path(str(SDK))))(asked, answer)
    assert concluded.verdict == verdict, json.dumps(concluded.reason)
    if verdict == "met":
        assert concluded.verifier.startswith("nv-local-gpu-verifier 2.")
        assert concluded.claims["chip_model"] == "GH100 A01 GSP BROM"
        assert concluded.claims["driver_version"] == "550.90.07"
