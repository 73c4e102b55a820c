"""What the agent of a node kept of its challenges, each line an envelope of the log's keys, against what the log holds.

A receipt says which answer came, when by the verifier's clock, and where it was entered. A log that says otherwise is
contradicted by its own key.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from weighbridge.challenge.codec import Malformed
from weighbridge.challenge.messages import (
    PAYLOAD_TYPE,
    Message,
    Prepare,
    Receipt,
    Release,
    Reveal,
    Roots,
    decode_message,
)
from weighbridge.challenge.record import (
    COMMITMENT,
    ChallengeOutcome,
    Commitment,
    payload_kind,
    read_commitment,
    read_outcome,
)
from weighbridge.log.entries import Entry, EntryKind
from weighbridge.wire.signing import SignatureError, encode_envelope, open_envelope, verify


class NotKept(ValueError):
    """A line that no key of the log signed as a word in a challenge."""


def kept_line(envelope: bytes) -> bytes:
    """One envelope as a line of the file. Raises UnicodeDecodeError."""
    return json.dumps({"said": envelope.decode("ascii")}).encode() + b"\n"


def kept_envelopes(data: bytes) -> Iterator[bytes]:
    """The envelopes of a file, the oldest first. A line that was cut by a crash is left out."""
    for line in data.splitlines():
        try:
            yield str(json.loads(line)["said"]).encode("ascii")
        except (ValueError, KeyError, TypeError, RecursionError):
            continue


def kept_word(envelope: bytes, keys: Iterable[bytes]) -> Prepare | Release | Reveal | Receipt:
    """What an envelope says, signed by one of these keys. Raises NotKept."""
    try:
        opened = open_envelope(envelope)
        if opened.payload_type != PAYLOAD_TYPE or not _signed(envelope, keys):
            raise NotKept("no key of the log signed it")
        said = decode_message(opened.payload)
    except (SignatureError, Malformed) as error:
        raise NotKept(str(error)) from error
    if not isinstance(said, (Prepare, Release, Reveal, Receipt)):
        raise NotKept("no word of a verifier")
    return said


def _signed(envelope: bytes, keys: Iterable[bytes]) -> bool:
    for key in keys:
        try:
            verify(open_envelope(envelope), key)
        except SignatureError:
            continue
        return True
    return False


@dataclass(frozen=True, slots=True)
class KeptStep:
    """A word of the verifier, and its receipt for the answer to it; None: none is kept.

    `name`: prepare, the phase, or reveal.
    """

    name: str
    word: Prepare | Release | Reveal | None
    receipt: Receipt | None


@dataclass(slots=True)
class KeptChallenge:
    """What is kept of one attempt, in its order. `request`: None where the file begins later."""

    name: str
    request: Prepare | None = None
    steps: list[KeptStep] = field(default_factory=list)

    def take(self, said: Prepare | Release | Reveal | Receipt) -> None:
        """The next word. One that was handed out again changes nothing."""
        last = self.steps[-1] if self.steps else None
        if isinstance(said, Receipt):
            if last is not None and last.receipt is None:
                self.steps[-1] = KeptStep(last.name, last.word, said)
            else:
                self.steps.append(KeptStep(said.step, None, said))
        elif last is None or last.word != said:
            self.request = said if isinstance(said, Prepare) else self.request
            self.steps.append(KeptStep(_name(said), said, None))


def _name(word: Prepare | Release | Reveal) -> str:
    return word.phase if isinstance(word, Release) else word.type


def kept_challenges(words: Iterable[Prepare | Release | Reveal | Receipt]) -> list[KeptChallenge]:
    """The words by attempt, in the order in which these began."""
    found: dict[str, KeptChallenge] = {}
    for said in words:
        found.setdefault(said.challenge, KeptChallenge(said.challenge)).take(said)
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Exported:
    """Exported entries by their indexes, and what they say of challenges, by name."""

    entries: Mapping[int, Entry]
    begun: Mapping[str, Commitment]
    ended: Mapping[str, ChallengeOutcome]


def exported(entries: Sequence[Entry]) -> Exported:
    """Raises Malformed."""
    begun = [
        read_commitment(one.envelope.payload)
        for one in entries
        if one.kind is EntryKind.CHALLENGE and payload_kind(one.envelope.payload) == COMMITMENT
    ]
    ended = [read_outcome(one.envelope.payload) for one in entries if one.kind is EntryKind.PROOF]
    return Exported(
        {one.index: one for one in entries},
        {one.challenge: one for one in begun},
        {one.challenge: one for one in ended},
    )


def differences(kept: KeptChallenge, log: Exported) -> Iterator[str]:
    """Where the log says of an attempt what its own key told the agent otherwise.

    What the entries hold neither of the attempt nor at the places that its words name is not compared.
    """
    for step in kept.steps:
        yield from _of_word(kept, step.word, log)
        if step.receipt is not None:
            yield from _of_receipt(kept, step.name, step.receipt, log)


def _of_word(kept: KeptChallenge, word: Message | None, log: Exported) -> Iterator[str]:
    ended = log.ended.get(kept.name)
    match word:
        case Prepare():
            yield from _of_prepare(word, log)
        case Release() if ended is not None and ended.nonces and kept.request is not None:
            phases = kept.request.policy.phases(len(kept.request.gpus))
            drawn = dict(zip(phases, ended.nonces, strict=False))
            if drawn.get(word.phase) != word.nonce:
                yield f"{word.phase}: another nonce was released than is opened"
        case Reveal() if ended is not None and ended.secret:
            if ended.secret != word.secret:
                yield "another secret was revealed than is opened"
        case _:
            pass


def _of_prepare(word: Prepare, log: Exported) -> Iterator[str]:
    begun = log.begun.get(word.challenge)
    if begun is not None:
        asked = (word.contract, word.agent_key, word.gpus, word.policy)
        if asked != (begun.contract, begun.agent_key, begun.gpus, begun.policy):
            yield "prepare: something else was asked for than the commitment says"
        if word.precommitment not in (b"", begun.precommitment):
            yield "prepare: another pre-commitment than the log's"
    if word.committed_at < 0:
        return
    there = log.entries.get(word.committed_at)
    if there is None and begun is None:
        return
    if there is None or not _commits(there, word.challenge):
        yield f"prepare: entry {word.committed_at} is not its commitment"


def _commits(one: Entry, challenge: str) -> bool:
    payload = one.envelope.payload
    if one.kind is not EntryKind.CHALLENGE or payload_kind(payload) != COMMITMENT:
        return False
    return read_commitment(payload).challenge == challenge


def _of_receipt(kept: KeptChallenge, name: str, receipt: Receipt, log: Exported) -> Iterator[str]:
    there, ended = log.entries.get(receipt.entered_at), log.ended.get(kept.name)
    if there is None and ended is not None:
        yield f"{name}: the log leaves out the answer that was entered at {receipt.entered_at}"
    if there is None:
        return
    if _hash(there) != receipt.answer:
        yield f"{name}: entry {receipt.entered_at} is not the answer that has the receipt"
    elif ended is not None and ended.times and kept.request is not None:
        yield from _of_times(kept.request, _phase(there), receipt, ended)


def _phase(answer: Entry) -> str:
    """Of which phase an answer is, by its own words: lines of the agent's file may be left out. Empty: of none."""
    try:
        said = decode_message(answer.envelope.payload)
    except Malformed:
        return ""
    return said.phase if isinstance(said, Roots) else ""


def _hash(one: Entry) -> bytes:
    return hashlib.sha256(encode_envelope(one.envelope)).digest()


def _of_times(
    request: Prepare, name: str, receipt: Receipt, ended: ChallengeOutcome
) -> Iterator[str]:
    phases = request.policy.phases(len(request.gpus))
    if name not in phases:
        return
    place = phases.index(name)
    times = ended.times[place] if place < len(ended.times) else None
    logged = (None, None) if times is None else (times.released_ns, times.received_ns)
    for told, of, said_ns, logged_ns in (
        ("released", "release", receipt.said_ns, logged[0]),
        ("received", "answer", receipt.received_ns, logged[1]),
    ):
        if said_ns != logged_ns:
            apart = "without a time" if logged_ns is None else f"{logged_ns - said_ns:+d} ns off"
            yield f"{name}: {told} at {said_ns} ns by the receipt, and the log has the {of} {apart}"
