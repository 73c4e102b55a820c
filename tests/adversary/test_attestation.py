"""GPUs that answer for their chips: who lies about one is found, and who cannot attest is neither fine nor failed.

What a verifier makes of a chip's signature is given here; `tests/collector/test_attestation.py` has the verifiers.
"""

import base64
from hashlib import sha256
from typing import Any

import pytest

from collector.judging.held_rows import HeldRows
from collector.judging.resettling import Resettling
from collector.storage.store import StoreInfo
from tests.adversary.field import HOUR_S, Field, lost, sound
from tests.weighbridge.scripted import SECOND
from weighbridge.judge.attestation_findings import MISSING_CODE, REFUSED_CODE, UNFOUNDED_CODE
from weighbridge.judge.fleet import FleetFold
from weighbridge.judge.ledger import Finding
from weighbridge.log.entries import (
    AttestationAnswered,
    AttestationAsked,
    Attested,
    EntryKind,
)
from weighbridge.wire.signing import Signer

DEMANDED = "attestation: {valid_s: '86400'}, nodes:"
GPUS = ("GPU-n1-0", "GPU-n1-1")
SECONDS = 30
BEGUN_S = 60


def report_of(nonce: str) -> str:
    """The head of an SPDM request, the nonce in it, and something behind."""
    return base64.b64encode(b"\x11\xe0\x01\xff" + bytes.fromhex(nonce) + bytes(100)).decode()


def chip(name: str) -> str:
    return sha256(name.encode()).hexdigest()


class Attesting(Field):
    """A field whose contract demands attestation."""

    def __init__(self, demanded: str = DEMANDED) -> None:
        super().__init__(swap={"nodes:": demanded})
        self.count = 0
        self.signers["keeper"] = Signer(bytes([77]) * 32)
        self.tick(BEGUN_S)

    def ask(self, device: str = GPUS[0], *, agent: str = "provider", node: str = "n1") -> str:
        """A question of the collector. Returns its nonce."""
        self.count += 1
        nonce = sha256(str(self.count).encode()).hexdigest()
        now_us = self.fold.watch.now_us
        asked = AttestationAsked(
            id=f"a{self.count}",
            contract="K1",
            node=node,
            key_id=self.signers[agent].key_id,
            device=device,
            nonce=nonce,
            until_us=now_us + SECONDS * SECOND,
            valid_s=86_400,
            required=True,
        )
        self.add_as_keeper(EntryKind.ATTESTATION, asked)
        return nonce

    def answer(
        self,
        nonce: str,
        device: str = GPUS[0],
        *,
        agent: str = "provider",
        node: str = "n1",
        reason: str = "",
    ) -> None:
        told = AttestationAnswered(
            id=f"a{self.count}",
            contract="K1",
            node=node,
            device=device,
            architecture=9,
            report="" if reason else report_of(nonce),
            chain="",
            reason=reason,
        )
        self.add(EntryKind.ATTESTATION, told, agent)

    def conclude(
        self,
        device: str = GPUS[0],
        *,
        of: str | None = None,
        agent: str = "provider",
        node: str = "n1",
        **said: Any,
    ) -> None:
        """`of`: the chip that the verifier found, where it found the evidence sound."""
        ended = {"verdict": "met", "reason": "", "online": False, "verifier": "SDK 1", "claims": {}}
        self.add_as_keeper(
            EntryKind.ATTESTED,
            Attested.model_validate(
                {
                    "id": f"a{self.count}",
                    "contract": "K1",
                    "node": node,
                    "key_id": self.signers[agent].key_id,
                    "device": device,
                    "chip": None if of is None else chip(of),
                    **ended,
                    **said,
                }
            ),
        )

    def attest(self, device: str = GPUS[0], of: str = "chip-0", **who: str) -> None:
        """The whole exchange."""
        self.answer(self.ask(device, **who), device, **who)
        self.conclude(device, of=of, **who)

    def add_as_keeper(self, kind: EntryKind, payload: Any) -> None:
        """Under the log's own key, which speaks for no node."""
        self.add(kind, payload, "keeper")

    def levels(self) -> dict[str, str]:
        """What is known of each GPU now."""
        now_us, found = self.fold.watch.now_us, {}
        for state in self.fold.observers("n1"):
            for device, one in state.attested.items():
                found[device] = (
                    "E3" if now_us < one.valid_until_us else f"{one.verdict}: {one.reason}"
                )
        return found

    def open_now(self, code: str) -> list[Finding]:
        return [one for one in self.open().values() if one.code == code]

    def flags(self) -> set[str]:
        self.day(provider=sound, lessee=sound)
        return {flag for flag in self.statement().flags if flag.startswith("attestation")}


def test_a_chip_that_answers_for_its_gpu_is_attested_for_the_time_of_the_contract() -> None:
    field = Attesting()
    field.attest()
    assert field.levels() == {GPUS[0]: "E3"}
    field.tick(BEGUN_S + 86_400 - 1)
    assert field.levels() == {GPUS[0]: "E3"}
    field.tick(BEGUN_S + 86_400)
    assert field.levels() == {GPUS[0]: "met: "}
    assert Attesting().flags() == set()


def test_evidence_of_an_earlier_nonce_is_a_lie() -> None:
    field = Attesting()
    old = field.ask()
    field.answer(old)
    field.conclude(of="chip-0")
    field.ask()
    field.answer(old)
    field.conclude(of="chip-0")
    assert field.levels() == {GPUS[0]: "refused: another_nonce"}
    (found,) = field.open_now(REFUSED_CODE)
    assert (found.severity.value, found.answerable, found.device) == ("error", "provider", GPUS[0])
    assert field.flags() == {"attestation_refused"}


def test_one_chip_answers_for_one_gpu_and_two_names_of_it_are_both_in_doubt() -> None:
    field = Attesting()
    field.attest(GPUS[0], of="chip-0")
    field.attest(GPUS[1], of="chip-0")
    assert set(field.levels().values()) == {"refused: chip_of_another_gpu"}
    assert {one.device for one in field.open_now(REFUSED_CODE)} == set(GPUS)


def test_another_chip_under_the_name_of_an_attested_gpu_is_refused() -> None:
    field = Attesting()
    field.attest(of="chip-0")
    field.attest(of="chip-9")
    assert field.levels() == {GPUS[0]: "refused: another_chip"}


def test_whoever_shows_my_name_elsewhere_with_a_chip_of_his_takes_nothing_from_me() -> None:
    field = Attesting()
    field.enrol("n2", "n2")
    field.attest(of="chip-9", agent="n2", node="n2")
    field.attest(of="chip-0")
    field.attest(of="chip-9", agent="n2", node="n2")
    assert field.levels() == {GPUS[0]: "E3"}
    assert field.open_now(REFUSED_CODE) == []


def test_a_card_that_moves_to_another_node_takes_its_name_and_its_chip_along() -> None:
    field = Attesting()
    field.attest(of="chip-0")
    field.enrol("n2", "n2")
    field.attest(of="chip-0", agent="n2", node="n2")
    assert field.open_now(REFUSED_CODE) == []
    assert field.fold.nodes["n2"].attested[GPUS[0]].verdict == "met"


@pytest.mark.parametrize(("late_s", "known"), [(0, "E3"), (1, None)])
def test_an_answer_counts_up_to_its_time_and_not_after(late_s: int, known: str | None) -> None:
    field = Attesting()
    nonce = field.ask()
    field.tick(BEGUN_S + SECONDS + late_s)
    field.answer(nonce)
    field.conclude(of="chip-0")
    assert field.levels().get(GPUS[0]) == known


def test_a_keeper_who_says_attested_without_an_answer_is_found_and_gains_nothing() -> None:
    field = Attesting()
    field.ask()
    field.conclude(of="chip-0")
    assert field.levels() == {}
    (found,) = field.open_now(UNFOUNDED_CODE)
    assert found.answerable == "collector"


def test_whoever_settles_the_entries_anew_finds_what_the_keeper_made_up() -> None:
    field = Attesting()
    field.attest(of="chip-0")
    settling = Resettling(StoreInfo("log"), HeldRows("K1", 0, ()))
    for one in field.entries:
        settling.fold(one)
    assert settling.unfounded == []
    field.ask()
    field.conclude(of="chip-0")
    for one in field.entries[-2:]:
        settling.fold(one)
    assert [one.observed for one in settling.unfounded] == ["attestation a2 has none"]


def test_an_answer_by_another_key_is_none() -> None:
    field = Attesting()
    nonce = field.ask()
    field.enrol("stranger", "n9")
    field.answer(nonce, agent="stranger")
    field.conclude(of="chip-0")
    assert field.levels() == {}


def test_a_keeper_cannot_call_a_lie_not_assessed() -> None:
    field = Attesting()
    field.ask()
    field.answer("ab" * 32)
    field.conclude(verdict="not_assessed", reason="no_verifier")
    assert field.levels() == {GPUS[0]: "refused: another_nonce"}


def test_a_chip_that_cannot_attest_is_neither_failed_nor_fine_and_is_told_where_it_was_demanded() -> (
    None
):
    field = Attesting()
    nonce = field.ask()
    field.answer(nonce, reason="not_supported")
    field.conclude(verdict="not_assessed", reason="not_supported")
    assert field.levels() == {GPUS[0]: "not_assessed: not_supported"}
    assert field.open_now(REFUSED_CODE) == []
    (found,) = field.open_now(MISSING_CODE)
    assert (found.severity.value, found.verdict.value, found.answerable) == (
        "warning",
        "unknown",
        "open",
    )
    assert field.flags() == {"attestation_missing"}
    field.tick(25 * HOUR_S)
    field.attest()
    assert field.open_now(MISSING_CODE) == []


def test_an_attestation_outlasts_a_question_that_nobody_answered() -> None:
    field = Attesting()
    field.attest()
    field.ask()
    field.conclude(verdict="not_assessed", reason="no_answer")
    assert field.levels() == {GPUS[0]: "E3"}
    assert field.open_now(MISSING_CODE) == []


def test_an_attestation_moves_no_money() -> None:
    plain, attested = Field(), Attesting()
    attested.attest()
    amounts = [one.day(provider=lost, lessee=sound).statement() for one in (plain, attested)]
    assert amounts[0].lowest == amounts[1].lowest
    assert amounts[0].highest == amounts[1].highest


def test_a_fold_goes_on_with_what_it_knew_of_chips() -> None:
    field = Attesting()
    field.attest(of="chip-0")
    nonce = field.ask(GPUS[1])
    remembered = [
        one
        for one in field.entries
        if one.kind in (EntryKind.TICK, EntryKind.CONTRACT, EntryKind.ASSIGNMENT, EntryKind.KEY)
    ]
    again = FleetFold()
    again.restore(field.fold.snapshots(), remembered)
    field.fold = again
    field.answer(nonce, GPUS[1])
    field.conclude(GPUS[1], of="chip-0")
    assert set(field.levels().values()) == {"refused: chip_of_another_gpu"}
