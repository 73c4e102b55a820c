"""The fold of challenges into a node's state: which are under way, what each GPU has proven, and who failed.

A wrong answer is found at once and for good. A card that is slow is found when its series has ended in failure, until
a later challenge of the same proof is met, or until the telemetry of both sides bears out that somebody else used it.
What was not assessed, or void, is found when there is much of it in a row. That another program answered than the
requirements were measured with is said by itself, and closes when the right one answers; so is a card that passed while
its telemetry showed no load, which changes no verdict. What somebody asked for by hand counts for none of it: a card
that was slow then is said by itself.
"""

from collections.abc import Iterator
from dataclasses import replace

from weighbridge.catalogue.findings import answerable
from weighbridge.challenge.record import (
    ChallengeOutcome,
    Commitment,
    Weighed,
    encode_record,
    read_commitment,
    read_outcome,
)
from weighbridge.challenge.telemetry import (
    BothSides,
    CardLoad,
    LoadShown,
    Telemetry,
    may_be_rebooted,
    may_be_unmade,
)
from weighbridge.challenge.verdict import PROOFS, ChallengeVerdict, VerdictReason
from weighbridge.judge.asked_by import IN_A_ROW, AskedBy
from weighbridge.judge.checks import Severity
from weighbridge.judge.findings import held, hold, let_go
from weighbridge.judge.ledger import Finding
from weighbridge.judge.node_state import (
    AwaitedTelemetry,
    NodeState,
    OpenSeries,
    Proof,
    SeriesStart,
)
from weighbridge.judge.snapshot import Key
from weighbridge.verdict import Verdict

CODE = "challenge_failed"
LEVEL = "E2"
PROGRAM_CODE = "challenge_other_program"
WRONG_CODE = "challenge_wrong_answer"
CEILING_CODE = "challenge_above_ceiling"
UNASSESSED_CODE = "challenge_unassessed"
PATH_CODE = "challenge_path"
BY_HAND_CODE = "challenge_failed_by_hand"
IN_A_ROW_SAID = {
    UNASSESSED_CODE: (
        "challenges that are met or failed",
        "were not assessed; a GPU in use is left alone too",
    ),
    PATH_CODE: (
        "times of both sides that agree",
        "were void; the way between the sides, the verifier's clock or the prover's",
    ),
}
UNMADE = {
    VerdictReason.BUSY: (ChallengeVerdict.FAILED, ChallengeVerdict.NOT_ASSESSED),
    VerdictReason.REBOOTED: (ChallengeVerdict.NOT_ASSESSED, ChallengeVerdict.VOID),
}
"""What telemetry shows afterwards: of which verdict it makes which."""
IDLE_CODE = "challenge_idle"
IDLE_LEVEL = "E1"
MOST_LINKED = 256
MOST_LINKED_BYTES = 8 << 20
"""Reports of one exchange that are remembered, and their bytes: more than come in its time."""


def begin_exchange(state: NodeState, lessee: NodeState | None, begun: Commitment) -> None:
    """Folds the beginning of an attempt; `lessee` is what the lessee's agent shows of the node."""
    state.exchanges[begun.challenge] = encode_record(begun).decode("ascii")
    for other in state.unlinked.values():
        other.free_until_us = other.free_until_us or begun.began_us
    known = state.unended.get(begun.series)
    start = _start(state, lessee, begun) if known is None else known.start
    newest = [n for n in (state.newest_report,) if n >= 0]
    state.unlinked[begun.challenge] = AwaitedTelemetry(newest, start=start)
    if lessee is not None:
        lessee.unlinked[begun.challenge] = AwaitedTelemetry([])


def _start(state: NodeState, lessee: NodeState | None, begun: Commitment) -> SeriesStart:
    before = [state.newest_report, -1 if lessee is None else lessee.newest_report]
    return SeriesStart(begun.began_us, state.challenged_us, before)


def heard(state: NodeState, index: int, size_bytes: int) -> None:
    """Remembers the log index of a report of the node, also for each exchange whose telemetry is awaited."""
    state.newest_report = index
    for unlinked in state.unlinked.values():
        if len(unlinked.reports) < MOST_LINKED and unlinked.heard_bytes < MOST_LINKED_BYTES:
            unlinked.reports.append(index)
            unlinked.heard_bytes += size_bytes


def _await_telemetry(state: NodeState, lessee: NodeState | None, ended: ChallengeOutcome) -> None:
    """Remembers that telemetry is awaited, if all phases of the exchange ran, or what both sides show may excuse it."""
    unlinked = state.unlinked.get(ended.challenge)
    both = may_be_unmade(ended) or may_be_rebooted(ended)
    if unlinked is not None and (ended.until_us > 0 or both):
        unlinked.outcome = encode_record(ended).decode("ascii")
    else:
        state.unlinked.pop(ended.challenge, None)
    if lessee is not None and not both:
        lessee.unlinked.pop(ended.challenge, None)


def forget_telemetry(state: NodeState, lessee: NodeState | None, challenge: str) -> None:
    """Telemetry of an exchange is awaited no more."""
    state.unlinked.pop(challenge, None)
    if lessee is not None:
        lessee.unlinked.pop(challenge, None)


def see_telemetry(
    state: NodeState, linked: Telemetry, now_us: int, asked: AskedBy
) -> Iterator[Finding]:
    """Telemetry of an exchange is linked: each card that passed was at work, idle, or cannot be said to be either.

    A failure of time of a card that both sides show in somebody else's use is none, and a series in which the node was
    rebooted is void.
    """
    unlinked = state.unlinked[linked.challenge]
    ended = read_outcome(unlinked.outcome.encode())
    if linked.both is not None and may_be_unmade(ended):
        yield from _excuse(state, unlinked, ended, linked.both, now_us, asked)
    if linked.rebooted and may_be_rebooted(ended):
        yield from _voided(state, unlinked, ended, now_us, asked)
    weighed = ended.weighing.gpus
    passed = {gpu.gpu for gpu in weighed if gpu.verdict == ChallengeVerdict.MET}
    for card in linked.gpus:
        if card.gpu not in passed:
            continue
        named = (linked.contract, IDLE_CODE, card.gpu)
        yield from let_go(state, named, asked.closes, now_us)
        if card.shown != LoadShown.LOAD:
            yield from hold(state, _idle(state, linked, card, now_us), asked.proof)


def _excuse(
    state: NodeState,
    unlinked: AwaitedTelemetry,
    ended: ChallengeOutcome,
    both: BothSides,
    now_us: int,
    asked: AskedBy,
) -> Iterator[Finding]:
    """What both sides bear out was no failure, and a decline for it was none to be counted."""
    for finding in unlinked.opened:
        if finding.device in both.busy:
            yield from _withdraw(state, unlinked, finding, now_us, asked.proof)
    failed = {*ended.failed, *(finding.device for finding in unlinked.opened)}
    for gpu in failed & both.busy:
        _called(state, ended, gpu, VerdictReason.BUSY)
    if failed <= both.busy and (failed or both.busy) and unlinked.row >= 0:
        yield from _not_counted(state, unlinked, ended, _busy_before(failed, both), now_us, asked)


def _withdraw(
    state: NodeState, unlinked: AwaitedTelemetry, finding: Finding, now_us: int, proof: str
) -> Iterator[Finding]:
    """The finding closes, if it is still the proof's newest; what it displaced holds again."""
    key = (finding.contract, finding.code, finding.device)
    if held(state, key, proof) != [finding]:
        return
    yield from let_go(state, key, proof.__eq__, now_us)
    for before in unlinked.displaced:
        if before.device == finding.device:
            yield from hold(state, replace(before, since_us=now_us, until_us=None), proof)


def _called(state: NodeState, ended: ChallengeOutcome, gpu: str, reason: VerdictReason) -> None:
    """What the newest challenge of a GPU came to after all: use unmakes a failure, and a reboot a silence."""
    known, newest = state.proofs.get(gpu), state.challenged_us == ended.ended_us
    said, after_all = UNMADE[reason]
    if known is not None and newest and known.verdict == said:
        known.verdict, known.reason = after_all.value, reason.value


def _voided(
    state: NodeState,
    unlinked: AwaitedTelemetry,
    ended: ChallengeOutcome,
    now_us: int,
    asked: AskedBy,
) -> Iterator[Finding]:
    """The node was rebooted in the run: it was not silent, and the series counts among those that are void."""
    for gpu in ended.weighing.gpus:
        _called(state, ended, gpu.gpu, VerdictReason.REBOOTED)
    if unlinked.row < 0:
        return
    key = Key((ended.contract, asked.proof))
    void = replace(ended, series_reason=VerdictReason.REBOOTED.value)
    unassessed, voided = state.unassessed.get(key, 0) - 1, state.voided.get(key, 0) + 1
    yield from _counted(state, ended, UNASSESSED_CODE, unassessed, now_us, asked)
    yield from _counted(state, void, PATH_CODE, voided, now_us, asked)


def _not_counted(
    state: NodeState,
    unlinked: AwaitedTelemetry,
    ended: ChallengeOutcome,
    foreseen: bool,
    now_us: int,
    asked: AskedBy,
) -> Iterator[Finding]:
    """The series was not assessed. In a row it counts where the use began after anybody could know of the challenge:
    not `foreseen`.
    """
    key, counts = Key((ended.contract, asked.proof)), state.unassessed
    was_counted = ended.series_verdict != ChallengeVerdict.FAILED
    row = counts.get(key, 0) - was_counted + (not foreseen)
    row += 0 if was_counted else unlinked.row
    yield from _counted(state, ended, UNASSESSED_CODE, row, now_us, asked)


def _counted(
    state: NodeState, ended: ChallengeOutcome, code: str, row: int, now_us: int, asked: AskedBy
) -> Iterator[Finding]:
    """So many series of a proof are in a row: a finding from as many on as are too many."""
    unassessed = code == UNASSESSED_CODE
    counts = state.unassessed if unassessed else state.voided
    counts[Key((ended.contract, asked.proof))] = row
    named = (ended.contract, code, "")
    if row < (asked.in_a_row if unassessed else IN_A_ROW):
        yield from let_go(state, named, asked.proof.__eq__, now_us)
    elif not held(state, named, asked.proof):
        yield from hold(state, _in_a_row(state, ended, code, row, now_us, asked), asked.proof)


def _busy_before(failed: set[str], both: BothSides) -> bool:
    """Whether nobody could have made the use for the challenge's sake: of all that failed, or of any for a decline."""
    before = set(both.busy_before)
    return failed <= before if failed else bool(before)


def _idle(state: NodeState, linked: Telemetry, card: CardLoad, now_us: int) -> Finding:
    idle = card.shown == LoadShown.IDLE
    observed = (
        f"idle: {card.reason}; a relay, or invented readings; or a clock that is off, a reading that stands still,"
        " a prober that computes elsewhere"
    )
    return Finding(
        linked.contract,
        state.node,
        card.gpu,
        IDLE_CODE,
        Severity.WARNING if idle else Severity.INFO,
        Verdict.BREACHED if idle else Verdict.UNKNOWN,
        IDLE_LEVEL,
        "telemetry that shows the load of the challenge that was met",
        f"{observed if idle else card.reason}, challenge {linked.challenge}",
        answerable(IDLE_CODE),
        now_us,
        None,
    )


def end_exchange(
    state: NodeState,
    lessee: NodeState | None,
    ended: ChallengeOutcome,
    now_us: int,
    asked: AskedBy,
) -> Iterator[Finding]:
    """Folds the end of an attempt of a series that was `asked` so."""
    begun = state.exchanges.pop(ended.challenge, None)
    awaited = state.unlinked.get(ended.challenge, AwaitedTelemetry([]))
    state.challenged_us = max(state.challenged_us, ended.ended_us)
    _await_telemetry(state, lessee, ended)
    weighing = ended.weighing
    counted = Key((ended.contract, weighing.verdict, weighing.reason or ""))
    state.attempts[counted] = state.attempts.get(counted, 0) + 1
    state.exchange_ns = [
        times.received_ns - times.released_ns
        for times in ended.times
        if times.received_ns is not None and times.released_ns is not None
    ]
    failed = _failed_so_far(state, ended, begun, awaited.start)
    for gpu in weighing.gpus:
        state.proofs[gpu.gpu] = _proof(state.proofs.get(gpu.gpu), gpu, ended, now_us)
        yield from _weighed(state, ended, gpu, now_us, asked)
    if ended.final and ended.series_verdict == ChallengeVerdict.FAILED:
        for device in failed:
            finding = _failed(state, ended, device, now_us, asked)
            key = (ended.contract, finding.code, device)
            awaited.displaced += held(state, key, asked.proof)
            awaited.opened.append(finding)
            yield from hold(state, finding, asked.proof)
    if ended.final and asked.counts:
        yield from _judged(state, ended, awaited, now_us, asked)
    if begun is not None:
        yield from _program(state, read_commitment(begun.encode()), ended, now_us, asked)


def _failed_so_far(
    state: NodeState, ended: ChallengeOutcome, begun: str | None, start: SeriesStart
) -> list[str]:
    """The GPUs that have failed in some attempt of the series, which is remembered while another is due."""
    known = state.unended.pop(ended.series, OpenSeries("", "", []))
    now = [gpu.gpu for gpu in ended.weighing.gpus if gpu.verdict == ChallengeVerdict.FAILED]
    failed = list(dict.fromkeys([*known.failed, *now]))
    if not ended.final and begun is not None:
        text = encode_record(ended).decode("ascii")
        state.unended[ended.series] = OpenSeries(begun, text, failed, start)
    return failed


def _weighed(
    state: NodeState, ended: ChallengeOutcome, gpu: Weighed, now_us: int, asked: AskedBy
) -> Iterator[Finding]:
    """What one attempt says of one GPU at once, whatever becomes of its series."""
    if gpu.verdict == ChallengeVerdict.MET:
        for code in (CODE, BY_HAND_CODE, CEILING_CODE):
            yield from let_go(state, (ended.contract, code, gpu.gpu), asked.closes, now_us)
    elif gpu.reason == VerdictReason.ABOVE_CEILING:
        yield from hold(state, _above(state, ended, gpu, now_us), asked.proof)
    elif gpu.reason in PROOFS:
        yield from hold(state, _wrong(state, ended, gpu, now_us), asked.proof)


def _wrong(state: NodeState, ended: ChallengeOutcome, gpu: Weighed, now_us: int) -> Finding:
    """Exact proof, which no later success closes: whoever left something out need only be lucky once."""
    return Finding(
        ended.contract,
        state.node,
        gpu.gpu,
        WRONG_CODE,
        Severity.ERROR,
        Verdict.BREACHED,
        LEVEL,
        "every sampled row as the verifier computes it",
        f"{gpu.reason}: {gpu.wrong_samples} of {gpu.samples} samples, challenge {ended.challenge};"
        " a cheat, or broken silicon",
        answerable(WRONG_CODE),
        now_us,
        None,
    )


def _above(state: NodeState, ended: ChallengeOutcome, gpu: Weighed, now_us: int) -> Finding:
    return Finding(
        ended.contract,
        state.node,
        gpu.gpu,
        CEILING_CODE,
        Severity.WARNING,
        Verdict.UNKNOWN,
        LEVEL,
        "a rate that one card of the class can reach",
        f"{gpu.flops_per_second} exact FLOP/s, challenge {ended.challenge}: several cards answered, or another one",
        answerable(CEILING_CODE),
        now_us,
        None,
    )


def _judged(
    state: NodeState,
    ended: ChallengeOutcome,
    awaited: AwaitedTelemetry,
    now_us: int,
    asked: AskedBy,
) -> Iterator[Finding]:
    """To decline is free, and the provider chooses when; what is void may be anybody's doing: both are counted.

    What is unknown, as without numpy, is neither.
    """
    verdict, key = ended.series_verdict, Key((ended.contract, asked.proof))
    ends = verdict in (ChallengeVerdict.FAILED, ChallengeVerdict.MET)
    if ends:
        for other in state.unlinked.values():
            if (other.contract, other.proof) == key:
                other.row = -1
    awaited.contract, awaited.proof = key
    awaited.row = state.unassessed.get(key, 0)
    for counts, code, counted in (
        (state.unassessed, UNASSESSED_CODE, verdict == ChallengeVerdict.NOT_ASSESSED),
        (state.voided, PATH_CODE, verdict == ChallengeVerdict.VOID),
    ):
        if ends:
            counts[key] = 0
            yield from let_go(state, (ended.contract, code, ""), asked.closes, now_us)
        elif counted:
            yield from _counted(state, ended, code, counts.get(key, 0) + 1, now_us, asked)


def _in_a_row(
    state: NodeState, ended: ChallengeOutcome, code: str, count: int, now_us: int, asked: AskedBy
) -> Finding:
    expected, whose = IN_A_ROW_SAID[code]
    return Finding(
        ended.contract,
        state.node,
        "",
        code,
        Severity.WARNING,
        Verdict.UNKNOWN,
        "E1",
        expected,
        asked.said(f"{count} in a row {whose}, the last: {ended.series_reason}"),
        answerable(code),
        now_us,
        None,
    )


def _program(
    state: NodeState, begun: Commitment, ended: ChallengeOutcome, now_us: int, asked_by: AskedBy
) -> Iterator[Finding]:
    """Which program computed is the host's word, level E0: what it answered is judged all the same."""
    asked, answered = begun.policy.program, ended.weighing.program.hex()
    if not asked or not answered:
        return
    named = (ended.contract, PROGRAM_CODE, "")
    yield from let_go(state, named, asked_by.closes, now_us)
    if answered != asked:
        finding = Finding(
            ended.contract,
            state.node,
            "",
            PROGRAM_CODE,
            Severity.INFO,
            Verdict.UNKNOWN,
            "E0",
            f"program {asked}, which the requirements were measured with",
            f"program {answered}, challenge {ended.series}; an update of the agent makes one too",
            answerable(PROGRAM_CODE),
            now_us,
            None,
        )
        yield from hold(state, finding, asked_by.proof)


def _proof(known: Proof | None, gpu: Weighed, ended: ChallengeOutcome, now_us: int) -> Proof:
    told = (ended.contract, gpu.verdict, gpu.reason or "", now_us)
    if gpu.verdict == ChallengeVerdict.MET:
        return Proof(
            *told,
            gpu.flops_per_second,
            gpu.memory_bytes,
            gpu.memory_bytes_per_second,
            gpu.peer_bytes_per_second,
            now_us,
            ended.cause,
        )
    if known is None:
        return Proof(*told, cause=ended.cause)
    return Proof(
        *told,
        known.flops_per_second,
        known.memory_bytes,
        known.memory_bytes_per_second,
        known.peer_bytes_per_second,
        known.proven_us,
        ended.cause,
    )


def _failed(
    state: NodeState, ended: ChallengeOutcome, device: str, now_us: int, asked: AskedBy
) -> Finding:
    """By hand, and by numbers that the contract does not have, nothing was promised: it is said, and no failure."""
    observed = ended.series_reason or ended.series_verdict
    counts = asked.counts
    code = CODE if counts else BY_HAND_CODE
    return Finding(
        ended.contract,
        state.node,
        device,
        code,
        Severity.ERROR if counts else Severity.WARNING,
        Verdict.BREACHED if counts else Verdict.UNKNOWN,
        LEVEL,
        "every sample right and in time, every bound at its requirement",
        asked.said(
            f"{observed}; {ended.failed_attempts} of {ended.attempts} attempts failed,"
            f" challenge {ended.series}"
        ),
        answerable(code),
        now_us,
        None,
    )
