"""The fold of attestations: which chip answered for which GPU, until when that counts, and which answers were lies.

An attestation counts where the log itself holds the question, an answer in time by the key that was asked, with a
report of the question's nonce, and the collector's verification of it. A chip answers for one GPU: whoever shows
another chip under a name, or a chip under another name, is not believed. That no attestation could be had changes no
level before its time is over; it is found where the contract demands one.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.judge.checks import Severity
from weighbridge.judge.findings import close_finding, noted, open_finding
from weighbridge.judge.ledger import Finding, Row, mark
from weighbridge.judge.node_state import Attestation, NodeState, Question
from weighbridge.judge.snapshot import Key
from weighbridge.log.entries import AttestationAnswered, AttestationAsked, Attested
from weighbridge.verdict import Verdict

REFUSED_CODE = "attestation_refused"
MISSING_CODE = "attestation_missing"
UNFOUNDED_CODE = "attestation_unfounded"
LEVEL = "E3"
MET, REFUSED = "met", "refused"
ANOTHER_NONCE = "another_nonce"
ANOTHER_CHIP, ANOTHER_GPU = "another_chip", "chip_of_another_gpu"
NO_ANSWER, LATE = "no_answer", "late"
FOUND = ""
"""The answer of a question that holds a report of its nonce."""

NONCE = slice(4, 36)
"""Where the nonce stands in a report: behind the head of the SPDM request that it begins with (DMTF DSP0274,
GET_MEASUREMENTS), which the chip signs with the rest."""

CHIPS_KEPT = 1 << 17

Change = Row | Finding


@dataclass(slots=True)
class Bearer:
    """The GPU that a chip answered for, and where."""

    observer: str
    contract: str
    device: str


@dataclass(slots=True)
class Chips:
    """By chip who it answered for last, the oldest first; and by observer and GPU its chip.

    A chip does not sign the name of its GPU: who shows another's name elsewhere takes nothing from it.
    """

    bearers: dict[str, Bearer] = field(default_factory=dict)
    of_device: dict[Key, str] = field(default_factory=dict)

    def other(self, chip: str, observer: str, device: str) -> tuple[str, Bearer | None]:
        """Why this chip may not answer for this GPU, and who it answered for; empty: it may."""
        bearer = self.bearers.get(chip)
        if bearer is not None and bearer.device != device:
            return ANOTHER_GPU, bearer
        return (
            ANOTHER_CHIP if self.of_device.get(Key((observer, device)), chip) != chip else ""
        ), None

    def keep(self, chip: str, bearer: Bearer) -> None:
        self._forget(chip)
        self.bearers[chip] = bearer
        self.of_device[Key((bearer.observer, bearer.device))] = chip
        while len(self.bearers) > CHIPS_KEPT:
            self._forget(next(iter(self.bearers)))

    def _forget(self, chip: str) -> None:
        before = self.bearers.pop(chip, None)
        if before is not None:
            self.of_device.pop(Key((before.observer, before.device)), None)


def nonce_of(report: str) -> str:
    """The nonce of a report in base64, in hexadecimal; empty where it holds none."""
    try:
        return base64.b64decode(report, validate=True)[NONCE].hex()
    except binascii.Error:
        return ""


def worth(answer: AttestationAnswered, nonce: str) -> str:
    """FOUND, or why the answer is no evidence."""
    if answer.reason:
        return answer.reason
    return FOUND if nonce_of(answer.report) == nonce else ANOTHER_NONCE


def ask(state: NodeState, asked: AttestationAsked) -> None:
    """A newer question of a GPU takes the place of the older one."""
    state.questions[asked.device] = Question(
        asked.id,
        asked.contract,
        asked.key_id,
        asked.nonce,
        asked.until_us,
        asked.valid_s,
        asked.required,
        NO_ANSWER,
    )


def answer(state: NodeState, told: AttestationAnswered, key: str, now_us: int) -> None:
    """The first answer to a question by the key that was asked; others change nothing."""
    question = state.questions.get(told.device)
    if question is None or (question.id, question.key_id) != (told.id, key):
        return
    if question.answer == NO_ANSWER:
        question.answer = LATE if now_us > question.until_us else worth(told, question.nonce)


def conclude(
    states: Mapping[str, NodeState], observer: str, chips: Chips, ended: Attested, now_us: int
) -> Iterator[Change]:
    """What the collector concluded of a GPU, as far as the log bears it out."""
    state = states[observer]
    question = state.questions.get(ended.device)
    if question is not None and question.id == ended.id:
        del state.questions[ended.device]
    else:
        question = None
    verdict, reason, rival = _judged(question, chips, observer, ended)
    if verdict == MET and (question is None or question.answer != FOUND):
        yield open_finding(state, _unfounded(state, ended, now_us))
        return
    if rival is not None:
        yield from _spread(states, rival, now_us)
    known = state.attested.get(ended.device, Attestation(ended.contract, "", "", 0))
    told = replace(known, contract=ended.contract, verdict=verdict, reason=reason, judged_us=now_us)
    told.online, told.verifier = ended.online, ended.verifier
    if verdict == MET and question is not None and ended.chip is not None:
        chips.keep(ended.chip, Bearer(observer, ended.contract, ended.device))
        told.chip, told.since_us = ended.chip, now_us
        told.valid_until_us = now_us + question.valid_s * MICROSECONDS
    elif verdict == REFUSED:
        told.valid_until_us = 0
    state.attested[ended.device] = told
    yield from _found(state, told, ended.device, question is not None and question.required)


def _judged(
    question: Question | None, chips: Chips, observer: str, ended: Attested
) -> tuple[str, str, Bearer | None]:
    """A report of another nonce is a lie, whatever the collector makes of it."""
    if question is not None and question.answer == ANOTHER_NONCE:
        return REFUSED, ANOTHER_NONCE, None
    if ended.verdict == MET and ended.chip is not None:
        reason, rival = chips.other(ended.chip, observer, ended.device)
        if reason:
            return REFUSED, reason, rival
    return ended.verdict, ended.reason, None


def _spread(states: Mapping[str, NodeState], rival: Bearer, now_us: int) -> Iterator[Change]:
    """One of two GPUs for which a chip answered is none: nobody can say which, so neither is attested."""
    state = states.get(rival.observer)
    known = None if state is None else state.attested.get(rival.device)
    if state is None or known is None:
        return
    known.verdict, known.reason, known.judged_us = REFUSED, ANOTHER_GPU, now_us
    known.valid_until_us = 0
    yield from _found(state, known, rival.device, required=False)


def _found(state: NodeState, told: Attestation, device: str, required: bool) -> Iterator[Change]:
    now_us, contract = told.judged_us, told.contract
    if told.verdict == MET:
        yield from close_finding(state, contract, REFUSED_CODE, device, now_us)
    if told.verdict in (MET, REFUSED):
        yield from close_finding(state, contract, MISSING_CODE, device, now_us)
    if told.verdict == REFUSED:
        yield from _tell(state, _refused(state, told, device))
    elif required and told.valid_until_us <= now_us:
        yield from _tell(state, _missing(state, told, device))


def _tell(state: NodeState, finding: Finding) -> Iterator[Change]:
    """Open it, unless it is; and mark a second of the time, so that each period's statement says it."""
    contract, code, device = finding.contract, finding.code, finding.device
    known = state.open.get(Key((contract, code, device)))
    if known is None or known.observed != finding.observed:
        yield from close_finding(state, contract, code, device, finding.since_us)
        yield open_finding(state, finding)
    yield mark(contract, state.node, device, code, finding.since_us)


def _refused(state: NodeState, told: Attestation, device: str) -> Finding:
    return noted(
        state,
        told.contract,
        REFUSED_CODE,
        told.judged_us,
        expected="an attestation of this GPU's own chip for the nonce that it was asked with",
        observed=f"{told.reason}; verified by {told.verifier or 'nobody'}",
        severity=Severity.ERROR,
        device=device,
    )


def _missing(state: NodeState, told: Attestation, device: str) -> Finding:
    return noted(
        state,
        told.contract,
        MISSING_CODE,
        told.judged_us,
        expected="a GPU that is attested (E3), as the contract demands",
        observed=f"not assessed: {told.reason}",
        severity=Severity.WARNING,
        verdict=Verdict.UNKNOWN,
        device=device,
    )


def _unfounded(state: NodeState, ended: Attested, now_us: int) -> Finding:
    return noted(
        state,
        ended.contract,
        UNFOUNDED_CODE,
        now_us,
        expected="a question, and an answer to it in time by the key that was asked, for each attestation in the log",
        observed=f"attestation {ended.id} has none",
        severity=Severity.ERROR,
        device=ended.device,
    )
