"""A challenge as the evidence log holds it, and the way back from exported entries to the transcript.

The agent's own envelopes (Ready, Decline, Roots, Openings) and the verifier's (Commitment, Release, Reveal, and the
Outcome, which is of kind `proof`) are leaves as they were signed.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from weighbridge.challenge.challenger import AttemptPlan
from weighbridge.challenge.codec import Malformed, decode, encode, later
from weighbridge.challenge.hashing import HASH_BYTES
from weighbridge.challenge.judgement import judge
from weighbridge.challenge.messages import PAYLOAD_TYPE, Message, Release, Reveal, decode_message
from weighbridge.challenge.policy import Policy
from weighbridge.challenge.transcript import PhaseRecord, Transcript
from weighbridge.challenge.verdict import (
    Attempt,
    AttemptResult,
    ChallengeVerdict,
    GpuResult,
    Series,
    VerdictReason,
    series_of,
)
from weighbridge.log.entries import Entry, EntryKind, payload_type
from weighbridge.log.succession import LogKeys
from weighbridge.wire.signing import SignatureError, Signer, encode_envelope, verify

COMMITMENT, OUTCOME, TELEMETRY = "commitment", "outcome", "telemetry"
COMMAND, SCHEDULE = "command", "schedule"
"""The causes of a challenge: somebody asked, or the contract's schedule did."""


class RecordError(ValueError):
    """The entries do not make up a record of this challenge. The message says where."""


@dataclass(frozen=True, slots=True)
class Commitment:
    """In the log before anything is asked of the prover: what one attempt will be, and the hash of what was drawn.

    `cause`: "command" or "schedule". Attempts of one `series` repeat one challenge; those of one `group` start
    together. `began_us` is the collector's clock.
    """

    challenge: str
    series: str
    group: str
    cause: str
    contract: str
    node: str
    agent_key: bytes
    gpus: tuple[str, ...]
    policy: Policy
    precommitment: bytes
    earlier: tuple[Attempt, ...]
    began_us: int
    type: str = COMMITMENT


@dataclass(frozen=True, slots=True)
class Times:
    """One phase on the verifier's clock, CLOCK_BOOTTIME. None: did not happen."""

    released_ns: int | None
    received_ns: int | None


@dataclass(frozen=True, slots=True)
class Weighed:
    """One GPU's result in plain words; a bound is None where it was not measured."""

    gpu: str
    verdict: str
    reason: str | None
    samples: int
    wrong_samples: int
    flops_per_second: int | None
    memory_bytes: int | None
    memory_bytes_per_second: int | None
    peer_bytes_per_second: int | None


@dataclass(frozen=True, slots=True)
class Weighing:
    """A result in plain words: what anybody computes from the transcript. `program`: the prover's, if it was judged."""

    verdict: str
    reason: str | None
    gpus: tuple[Weighed, ...]
    program: bytes = later(b"")


@dataclass(frozen=True, slots=True)
class ChallengeOutcome:
    """The end of one attempt: its result, all that was drawn, the verifier's times, and how its series stands.

    `transcript` is the SHA-256 of the transcript's bytes; it and `nonces` are empty where the verifier ended before the
    exchange did. `failed`: the GPUs that the series found failed, once no further attempt follows (`final`).
    `round_trip_ns` and `stood_still_ns` are the transcript's, `cause`, `policy` and `began_us` the commitment's; 0: a
    record from before that was said.
    `from_us` and `until_us`: from the first release to the last roots, by the collector's clock; 0: not all phases ran.
    """

    challenge: str
    series: str
    contract: str
    node: str
    agent_key: bytes
    weighing: Weighing
    nonces: tuple[bytes, ...]
    secret: bytes
    times: tuple[Times, ...]
    transcript: bytes
    series_verdict: str
    series_reason: str | None
    attempts: int
    failed_attempts: int
    final: bool
    failed: tuple[str, ...]
    ended_us: int
    type: str = OUTCOME
    from_us: int = later(0)
    until_us: int = later(0)
    round_trip_ns: int = later(0)
    stood_still_ns: int = later(0)
    cause: str = later("")
    policy: Policy | None = later(None)
    began_us: int = later(0)


def weighing_of(result: AttemptResult) -> Weighing:
    """A result as it is logged."""
    reason = None if result.reason is None else str(result.reason.value)
    gpus = tuple(_weighed(gpu) for gpu in result.gpus)
    return Weighing(result.verdict.value, reason, gpus, result.program)


def _weighed(gpu: GpuResult) -> Weighed:
    measure = gpu.measure
    return Weighed(
        gpu.gpu,
        gpu.verdict.value,
        None if gpu.reason is None else gpu.reason.value,
        gpu.samples,
        gpu.wrong_samples,
        None if measure is None else measure.flops_per_second,
        None if measure is None else measure.memory_bytes,
        None if measure is None else measure.memory_bytes_per_second,
        None if measure is None else measure.peer_bytes_per_second,
    )


def bare_result(challenge: str, weighing: Weighing) -> AttemptResult:
    """What `series_of` needs of a result that was computed elsewhere."""
    return _bare(challenge, weighing.verdict, weighing.reason)


def _bare(challenge: str, verdict: str, reason: str | None) -> AttemptResult:
    said = None if reason is None else VerdictReason(reason)
    return AttemptResult(challenge, ChallengeVerdict(verdict), said)


def transcript_hash(transcript: Transcript) -> bytes:
    """How the log and later attempts name a transcript."""
    return hashlib.sha256(transcript.encode()).digest()


def abandoned(begun: Commitment, ended_us: int) -> ChallengeOutcome:
    """The outcome of an attempt whose verifier ended before the exchange did: void, and nothing is opened.

    It ends its series, which stands as the attempts before it left it.
    """
    verdict, reason = ChallengeVerdict.VOID.value, VerdictReason.ABANDONED.value
    gpus = tuple(Weighed(gpu, verdict, reason, 0, 0, None, None, None, None) for gpu in begun.gpus)
    weighing = Weighing(verdict, reason, gpus)
    earlier = [_bare(one.challenge, one.verdict, one.reason) for one in begun.earlier]
    series = series_of([*earlier, bare_result(begun.challenge, weighing)], begun.policy)
    return ChallengeOutcome(
        begun.challenge,
        begun.series,
        begun.contract,
        begun.node,
        begun.agent_key,
        weighing,
        (),
        b"",
        (),
        b"",
        series.verdict.value,
        None if series.reason is None else series.reason.value,
        series.attempts,
        series.failed_attempts,
        True,
        (),
        ended_us,
        cause=begun.cause,
        policy=begun.policy,
        began_us=begun.began_us,
    )


def unmade(ended: ChallengeOutcome, begun: Commitment, now_us: int) -> Commitment:
    """The attempt that follows in a series whose verifier ended between two: nothing is drawn for it, so it is void.

    It is there to end the series.
    """
    earlier = (*begun.earlier, _attempt(ended))
    name = f"{begun.series}.{len(earlier) + 1}"
    return replace(
        begun, challenge=name, earlier=earlier, precommitment=bytes(HASH_BYTES), began_us=now_us
    )


def commitment_of(
    plan: AttemptPlan, node: str, series: str, group: str, cause: str, began_us: int
) -> Commitment:
    """What must be durable before the plan's first message leaves."""
    return Commitment(
        plan.challenge,
        series,
        group,
        cause,
        plan.contract,
        node,
        plan.agent_key,
        plan.gpus,
        plan.policy,
        plan.precommitment,
        plan.earlier,
        began_us,
    )


def times_of(transcript: Transcript) -> tuple[Times, ...]:
    """When each phase was released and answered, by the verifier's clock."""
    return tuple(Times(phase.released_ns, phase.received_ns) for phase in transcript.phases)


def payload_kind(payload: bytes) -> str:
    """The `type` of a challenge entry's payload; empty where there is none."""
    try:
        plain = json.loads(payload)
    except (ValueError, RecursionError):
        return ""
    kind = plain.get("type") if isinstance(plain, dict) else None
    return kind if isinstance(kind, str) else ""


def read_commitment(payload: bytes) -> Commitment:
    """Raises Malformed."""
    return decode(Commitment, payload)


def read_outcome(payload: bytes) -> ChallengeOutcome:
    """Raises Malformed."""
    return decode(ChallengeOutcome, payload)


@dataclass(slots=True)
class _Gathered:
    """The entries of one challenge, in the log's order."""

    commitment: Commitment | None = None
    releases: list[Release] = field(default_factory=list)
    reveal: Reveal | None = None
    outcome: ChallengeOutcome | None = None
    answers: dict[str, str] = field(default_factory=dict)
    roots: list[str] = field(default_factory=list)
    order: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ChallengeRecord:
    """What the log holds of one attempt. `transcript` is None where the verifier ended before the exchange did."""

    commitment: Commitment
    outcome: ChallengeOutcome
    transcript: Transcript | None


_SAID_BY_VERIFIER = frozenset({COMMITMENT, "release", "reveal", OUTCOME})


def challenges_in(entries: Iterable[Entry]) -> list[str]:
    """The names of the attempts that have ended, in the order of their ends."""
    payloads = (entry.envelope.payload for entry in entries if entry.kind is EntryKind.PROOF)
    return [read_outcome(one).challenge for one in payloads]


def record_of(entries: Iterable[Entry], challenge: str, log_keys: LogKeys) -> ChallengeRecord:
    """The record of one attempt, from exported entries in log order alone. Raises RecordError.

    The verifier's entries must bear the log's signature, the commitment must stand before the first release, each
    release before its roots, all roots before the secret, and what is opened at the end must be what was committed to.
    """
    gathered = _Gathered()
    for entry in entries:
        if entry.kind in (EntryKind.CHALLENGE, EntryKind.PROOF):
            _gather(gathered, entry, challenge, log_keys)
    begun, ended = gathered.commitment, gathered.outcome
    if begun is None or ended is None:
        raise RecordError(f"{challenge}: the entries hold no beginning, or no end")
    _require_order(gathered.order)
    if _who(begun) != _who(ended) or ended.began_us not in (0, begun.began_us):
        raise RecordError(f"{challenge}: it began and ended as different ones")
    return ChallengeRecord(
        begun, ended, None if not ended.nonces else _transcript(gathered, begun, ended)
    )


def _who(said: Commitment | ChallengeOutcome) -> tuple[object, ...]:
    """What beginning and end have in common."""
    named = (said.node, said.contract, said.agent_key, said.series)
    return (*named, said.cause, said.policy)


def _gather(gathered: _Gathered, entry: Entry, challenge: str, log_keys: LogKeys) -> None:
    payload = entry.envelope.payload
    kind = payload_kind(payload)
    if kind == TELEMETRY or json.loads(payload).get("challenge") != challenge:
        return
    if (kind == OUTCOME) != (entry.kind is EntryKind.PROOF):
        raise RecordError(f"entry {entry.index}: {kind} under another type")
    try:
        if kind in _SAID_BY_VERIFIER:
            verify(entry.envelope, log_keys.at(entry.index))
        _take(gathered, kind, payload, encode_envelope(entry.envelope).decode())
    except (Malformed, SignatureError) as error:
        raise RecordError(f"entry {entry.index}: {error}") from error
    gathered.order.append(kind)


def _take(gathered: _Gathered, kind: str, payload: bytes, envelope: str) -> None:
    if kind == COMMITMENT:
        gathered.commitment = decode(Commitment, payload)
    elif kind == OUTCOME:
        gathered.outcome = decode(ChallengeOutcome, payload)
    elif kind == "roots":
        gathered.roots.append(envelope)
    else:
        match decode_message(payload):
            case Release() as release:
                gathered.releases.append(release)
            case Reveal() as reveal:
                gathered.reveal = reveal
            case _:
                gathered.answers[kind] = envelope


def _require_order(order: Sequence[str]) -> None:
    """Commitment, ready, release and roots by turns, reveal, openings, outcome; a decline or the end at any point."""
    steps = "".join(_LETTERS.get(kind, "?") for kind in order)
    if not _in_order(steps):
        raise RecordError(f"out of order: {', '.join(order)}")


_LETTERS = {
    COMMITMENT: "c",
    "ready": "r",
    "release": "n",
    "roots": "m",
    "reveal": "s",
    "openings": "o",
    "decline": "d",
    OUTCOME: "e",
}


def _in_order(steps: str) -> bool:
    allowed = {"": "c", "c": "rde", "r": "nde", "n": "mde", "m": "nsde", "s": "oe", "o": "e"}
    allowed |= {"d": "e", "e": ""}
    before = ""
    for step in steps:
        if step not in allowed[before]:
            return False
        before = step
    return before == "e"


def _transcript(gathered: _Gathered, begun: Commitment, ended: ChallengeOutcome) -> Transcript:
    _require_draws(gathered, ended)
    roots = [*gathered.roots, *([None] * (len(ended.times) - len(gathered.roots)))]
    try:
        transcript = Transcript(
            challenge=begun.challenge,
            contract=begun.contract,
            agent_key=begun.agent_key,
            gpus=begun.gpus,
            policy=begun.policy,
            precommitment=begun.precommitment,
            nonces=ended.nonces,
            secret=ended.secret,
            ready=gathered.answers.get("ready"),
            decline=gathered.answers.get("decline"),
            phases=tuple(
                PhaseRecord(times.released_ns, times.received_ns, envelope)
                for times, envelope in zip(ended.times, roots, strict=True)
            ),
            openings=gathered.answers.get("openings"),
            earlier=begun.earlier,
            round_trip_ns=ended.round_trip_ns,
            stood_still_ns=ended.stood_still_ns,
        )
    except ValueError as error:
        raise RecordError(f"{begun.challenge}: {error}") from error
    if transcript_hash(transcript) != ended.transcript:
        raise RecordError(f"{begun.challenge}: the transcript is not the one that was judged")
    return transcript


def _require_draws(gathered: _Gathered, ended: ChallengeOutcome) -> None:
    """What was released is what was drawn, phase after phase, and the secret is the one that was revealed."""
    released = [times for times in ended.times if times.released_ns is not None]
    nonces = tuple(release.nonce for release in gathered.releases)
    if len(nonces) != len(released) or nonces != ended.nonces[: len(nonces)]:
        raise RecordError(f"{ended.challenge}: other nonces were released than are opened now")
    if gathered.reveal is not None and gathered.reveal.secret != ended.secret:
        raise RecordError(f"{ended.challenge}: another secret was revealed than is opened now")


def recheck(
    entries: Iterable[Entry], challenge: str, log_keys: LogKeys
) -> tuple[ChallengeRecord, Weighing]:
    """The record and its result, computed anew. Raises RecordError where the log says another result.

    Where numpy is missing the result is UNKNOWN, and nothing is compared.
    """
    entries = list(entries)
    record = record_of(entries, challenge, log_keys)
    _require_fresh(entries, record)
    logged = record.outcome.weighing
    if record.transcript is None:
        weighing = abandoned(record.commitment, 0).weighing
        if weighing != logged:
            raise RecordError(f"{challenge}: nothing of it is opened, and yet it is judged")
    else:
        weighing = weighing_of(judge(record.transcript))
    if weighing != logged and not _undone(weighing) and not _undone(logged):
        raise RecordError(f"{challenge}: logged as {logged.verdict}, but {weighing.verdict}")
    _require_series(entries, record)
    return record, weighing


def _require_series(entries: Iterable[Entry], record: ChallengeRecord) -> None:
    """The series stands as its attempts leave it: those before are the ones that the entries hold, as they were logged,
    and all GPUs that failed in one of them are named where these are all there.
    """
    begun, ended = record.commitment, record.outcome
    before = list(_earlier(entries, record))
    known = {one.challenge: one for one in begun.earlier}
    if any(_attempt(one) != known.get(one.challenge) for one in before):
        raise RecordError(f"{begun.challenge}: an earlier attempt is left out, or ended otherwise")
    series = _series(begun, ended)
    reason = None if series.reason is None else series.reason.value
    stands = (series.verdict.value, reason, series.attempts, series.failed_attempts)
    told = (ended.series_verdict, ended.series_reason, ended.attempts, ended.failed_attempts)
    ends = not series.repeat or record.transcript is None
    if (*told, ended.final) != (*stands, ends):
        raise RecordError(f"{begun.challenge}: its attempts leave the series {series.verdict}")
    whole = len(before) == len(begun.earlier) and record.transcript is not None and ends
    if whole and set(ended.failed) != _failed_in([*before, ended], series.verdict):
        raise RecordError(f"{begun.challenge}: other GPUs failed than are named")


def _series(begun: Commitment, ended: ChallengeOutcome) -> Series:
    try:
        results = [_bare(one.challenge, one.verdict, one.reason) for one in begun.earlier]
        return series_of([*results, bare_result(begun.challenge, ended.weighing)], begun.policy)
    except ValueError as error:
        raise RecordError(f"{begun.challenge}: {error}") from error


def _earlier(entries: Iterable[Entry], record: ChallengeRecord) -> Iterator[ChallengeOutcome]:
    """The outcomes of the series before this one."""
    for entry in entries:
        if entry.kind is EntryKind.PROOF:
            other = read_outcome(entry.envelope.payload)
            if other.challenge == record.outcome.challenge:
                return
            if other.series == record.outcome.series and other.node == record.outcome.node:
                yield other


def _attempt(ended: ChallengeOutcome) -> Attempt:
    weighing = ended.weighing
    return Attempt(ended.challenge, ended.transcript, weighing.verdict, weighing.reason)


def _failed_in(ended: Iterable[ChallengeOutcome], verdict: ChallengeVerdict) -> set[str]:
    failed = ChallengeVerdict.FAILED
    every = {gpu.gpu for one in ended for gpu in one.weighing.gpus if gpu.verdict == failed}
    return every if verdict is failed else set()


def _require_fresh(entries: Iterable[Entry], record: ChallengeRecord) -> None:
    """Nothing that was drawn had been let out before: whoever knew it could have computed or chosen in advance.

    Those of one group may share their nonces, but never the secret.
    """
    begun, ended = record.commitment, record.outcome
    groups = {begun.challenge: begun.group}
    for entry in entries:
        if entry.kind is not EntryKind.CHALLENGE:
            continue
        payload = entry.envelope.payload
        match payload_kind(payload):
            case "commitment":
                other = read_commitment(payload)
                groups[other.challenge] = other.group
            case "release" | "reveal":
                said = decode_message(payload)
                shared = groups.get(said.challenge) == begun.group
                if said.challenge != begun.challenge and _lets_out(said, ended, shared):
                    raise RecordError(
                        f"{begun.challenge}: what was drawn had served {said.challenge} too"
                    )
            case _:
                pass


def _lets_out(said: Message, ended: ChallengeOutcome, shared: bool) -> bool:
    if isinstance(said, Reveal):
        return said.secret in (ended.secret, *ended.nonces)
    if isinstance(said, Release):
        return said.nonce == ended.secret or (said.nonce in ended.nonces and not shared)
    return False


def _undone(weighing: Weighing) -> bool:
    """Whether an attempt ended before anything was computed, so that there is nothing to compare."""
    return weighing.reason in (VerdictReason.NO_NUMPY.value, VerdictReason.NO_VERDICT.value)


def encode_record(value: Commitment | ChallengeOutcome) -> bytes:
    """Canonical JSON."""
    return encode(value)


def seal_record(signer: Signer, value: Commitment | ChallengeOutcome) -> tuple[EntryKind, bytes]:
    """The verifier's entry: its kind, and the leaf."""
    if isinstance(value, ChallengeOutcome):
        return EntryKind.PROOF, signer.seal(payload_type(EntryKind.PROOF), encode(value))
    return EntryKind.CHALLENGE, signer.seal(PAYLOAD_TYPE, encode(value))
