"""The fold of challenges into a node's state: which are under way, what each GPU has proven, and who failed.

A finding opens only when a series has ended in failure, and closes when a later challenge is met. A GPU that was not
assessed, a void attempt and a verification that could not be done change no finding. That another program answered than
the requirements were measured with is said by itself, and closes when the right one answers.
"""

from collections.abc import Iterator

from weighbridge.challenge.record import (
    Commitment,
    Outcome,
    Weighed,
    encode_record,
    read_commitment,
)
from weighbridge.challenge.verdict import Verdict
from weighbridge.checks import Severity
from weighbridge.checks import Verdict as Judgement
from weighbridge.findings import open_finding, settle
from weighbridge.ledger import Finding
from weighbridge.node import NodeState, Proof

CODE = "challenge_failed"
LEVEL = "E2"
PROGRAM_CODE = "challenge_other_program"


def begin_exchange(state: NodeState, begun: Commitment) -> None:
    """An attempt is under way."""
    state.exchanges[begun.challenge] = encode_record(begun).decode("ascii")


def end_exchange(state: NodeState, ended: Outcome, now_us: int) -> Iterator[Finding]:
    """An attempt has ended."""
    begun = state.exchanges.pop(ended.challenge, None)
    weighing = ended.weighing
    counted = f"{ended.contract}|{weighing.verdict}|{weighing.reason or ''}"
    state.attempts[counted] = state.attempts.get(counted, 0) + 1
    state.exchange_ns = [
        times.received_ns - times.released_ns
        for times in ended.times
        if times.received_ns is not None and times.released_ns is not None
    ]
    for gpu in weighing.gpus:
        state.proofs[gpu.gpu] = _proof(state.proofs.get(gpu.gpu), gpu, ended.contract, now_us)
        if gpu.verdict == Verdict.MET:
            yield from settle(state, ended.contract, CODE, gpu.gpu, now_us)
    for device in ended.failed:
        yield from _failed(state, ended, device, now_us)
    if begun is not None:
        yield from _program(state, read_commitment(begun.encode()), ended, now_us)


def _program(state: NodeState, begun: Commitment, ended: Outcome, now_us: int) -> Iterator[Finding]:
    """Which program computed is the host's word, level E0: what it answered is judged all the same."""
    asked, answered = begun.policy.program, ended.weighing.program.hex()
    if not asked or not answered:
        return
    yield from settle(state, ended.contract, PROGRAM_CODE, "", now_us)
    if answered != asked:
        finding = Finding(
            ended.contract,
            state.node,
            "",
            PROGRAM_CODE,
            Severity.INFO,
            Judgement.UNKNOWN,
            "E0",
            f"program {asked}, which the requirements were measured with",
            f"program {answered}, challenge {ended.series}; an update of the agent makes one too",
            "open",
            now_us,
            None,
        )
        yield open_finding(state, finding)


def _proof(known: Proof | None, gpu: Weighed, contract: str, now_us: int) -> Proof:
    reason = gpu.reason or ""
    if gpu.verdict == Verdict.MET:
        return Proof(
            contract,
            gpu.verdict,
            reason,
            now_us,
            gpu.flops_per_second,
            gpu.memory_bytes,
            gpu.memory_bytes_per_second,
            gpu.peer_bytes_per_second,
            now_us,
        )
    if known is None:
        return Proof(contract, gpu.verdict, reason, now_us)
    return Proof(
        contract,
        gpu.verdict,
        reason,
        now_us,
        known.flops_per_second,
        known.memory_bytes,
        known.memory_bytes_per_second,
        known.peer_bytes_per_second,
        known.proven_us,
    )


def _failed(state: NodeState, ended: Outcome, device: str, now_us: int) -> Iterator[Finding]:
    yield from settle(state, ended.contract, CODE, device, now_us)
    observed = ended.series_reason or ended.series_verdict
    yield open_finding(
        state,
        Finding(
            ended.contract,
            state.node,
            device,
            CODE,
            Severity.ERROR,
            Judgement.BREACHED,
            LEVEL,
            "every sample right and in time, every bound at its requirement",
            f"{observed}; {ended.failed_attempts} of {ended.attempts} attempts failed,"
            f" challenge {ended.series}",
            "provider",
            now_us,
            None,
        ),
    )
