"""What whoever keeps a log's newest head makes of the next one, and how heads are handed to a witness.

The request of c2sp.org/tlog-witness, its answers by status, and the two ways in which a log is caught: it says of a
size that was signed before something else (`log_forked`), or it has become shorter than what it signed (`log_shrank`).
"""

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from weighbridge.log.checkpoint import Head, read_head
from weighbridge.log.cosignature import signatures
from weighbridge.log.merkle import EMPTY_ROOT, verify_consistency
from weighbridge.log.note import SignatureLine, read_note
from weighbridge.log.succession import LogKeys
from weighbridge.wire.signing import SignatureError, from_base64

ADD_CHECKPOINT = "/add-checkpoint"
SIZE_TYPE = "text/x.tlog.size"
MOST_HASHES = 63
MOST_BYTES = 600 << 10
HASH_BYTES = 32
_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")


class LogFault(StrEnum):
    """How a log is caught."""

    FORKED = "log_forked"
    SHRANK = "log_shrank"


def proof_wanted(known: Head | None, head: Head) -> tuple[int, int] | None:
    """From and to which size a consistency proof is needed before `judge_head`; None: none."""
    if known is None or not 0 < known.size < head.size:
        return None
    return known.size, head.size


def judge_head(known: Head | None, head: Head, proof: Sequence[bytes] = ()) -> LogFault | None:
    """How a head that the log signed later than `known` catches it, given the proof of the step; None: it does not.

    Both heads are signed by the log: together they are the evidence. One key signs for one log, under one name.
    """
    if known is None:
        return None
    if head.origin != known.origin:
        return LogFault.FORKED
    if known.size == 0:
        return None
    if head.size < known.size:
        return LogFault.SHRANK
    agrees = verify_consistency(known.size, head.size, known.root, head.root, proof)
    return None if agrees else LogFault.FORKED


def spell_evidence(heads: Sequence[Head], keys: LogKeys) -> str:
    """Heads of one log in few characters: of each its size, root and the log's plain signature."""
    return "; ".join(
        f"{head.size} {b64encode(head.root).decode()} {b64encode(lines[0].signature).decode()}"
        for head in heads
        if (lines := _own_lines(head, keys))
    )


def _own_lines(head: Head, keys: LogKeys) -> list[SignatureLine]:
    """Of the keys that count first: one that an announcement below the head ends signed what whoever shows it kept."""
    note, named = read_note(head.note), keys.named(head.origin, head.size)
    former = [key for key in keys.named(head.origin) if key not in named]
    return [line for key in (*named, *former) for line in note.of(key)]


def read_evidence(text: str, origin: str, keys: LogKeys) -> list[Head]:
    """The heads in such a text that the log did sign; none of what is no such text."""
    return [head for said in text.split("; ") for head in _signed(said, origin, keys)]


def _signed(said: str, origin: str, keys: LogKeys) -> Iterator[Head]:
    """The head in one part of the text, under the first of the log's keys that signed it; it does not name one."""
    for key in keys.named(origin):
        with suppress(SignatureError, ValueError):
            size, root, signature = said.split(" ")
            line = SignatureLine(key.name, key.key_id, from_base64(signature.encode()))
            yield keys.open_head(f"{key.name}\n{size}\n{root}\n\n{line}")
            return


@dataclass(frozen=True, slots=True)
class Submission:
    """A head for a witness, and the proof from the size that the witness knows."""

    old_size: int
    proof: Sequence[bytes]
    note: str


@dataclass
class SubmissionRefused(Exception):
    """By an HTTP status. `newest` is the size that the witness has cosigned, where that is the answer."""

    status: int
    detail: str
    newest: int | None = None

    def __str__(self) -> str:
        return f"{self.status}: {self.detail}"


def write_submission(submission: Submission) -> str:
    """The body of a request."""
    hashes = [b64encode(one).decode() for one in submission.proof]
    return "\n".join([f"old {submission.old_size}", *hashes, "", submission.note])


def read_submission(body: bytes) -> Submission:
    """Verifies nothing. Raises SubmissionRefused: 400."""
    try:
        said, _, note = body.decode().partition("\n\n")
        first, *lines = said.split("\n")
        old = _OLD.fullmatch(first)
        proof = tuple(from_base64(line.encode()) for line in lines)
    except (UnicodeDecodeError, SignatureError) as error:
        raise SubmissionRefused(400, str(error)) from error
    if old is None or len(proof) > MOST_HASHES or any(len(one) != HASH_BYTES for one in proof):
        raise SubmissionRefused(400, "not an old size, up to 63 hashes, and a checkpoint")
    return Submission(int(old[1]), proof, note)


def judge_submission(
    submission: Submission, logs: Mapping[str, LogKeys], known: Mapping[str, Head]
) -> Head:
    """The head that a witness cosigns now: `logs` are the keys it trusts, `known` what it cosigned last, by origin.

    Raises SubmissionRefused, by the statuses and in the order that the specification gives.
    """
    try:
        head = read_head(submission.note)
    except SignatureError as error:
        raise SubmissionRefused(400, str(error)) from error
    if head.origin not in logs:
        raise SubmissionRefused(404, "the log is not known here")
    _require_signed(head, logs[head.origin])
    newest = known.get(head.origin)
    _require_consistent(submission, head, newest)
    return head


def _require_signed(head: Head, keys: LogKeys) -> None:
    try:
        signed = signatures(head.note, keys.named(head.origin, head.size))
    except SignatureError as error:
        raise SubmissionRefused(403, str(error)) from error
    if not signed:
        raise SubmissionRefused(403, "no signature of a key that is trusted here")


def _require_consistent(submission: Submission, head: Head, newest: Head | None) -> None:
    old_size, known_size = submission.old_size, 0 if newest is None else newest.size
    if old_size > head.size:
        raise SubmissionRefused(400, "the old size is above the checkpoint's")
    if old_size != known_size:
        raise SubmissionRefused(409, "not the size that was cosigned last", known_size)
    if head.size == 0 and head.root != EMPTY_ROOT:
        raise SubmissionRefused(422, "the root of an empty log is the hash of nothing")
    if newest is not None and head.size == newest.size and head.root != newest.root:
        raise SubmissionRefused(409, "another root of this size was cosigned", known_size)
    if newest is None or old_size in (0, head.size):
        proven = not submission.proof
    else:
        sizes, roots = (old_size, head.size), (newest.root, head.root)
        proven = verify_consistency(*sizes, *roots, submission.proof)
    if not proven:
        raise SubmissionRefused(422, "the proof does not lead from the old size to the new one")
