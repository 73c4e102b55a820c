"""Proofs that an entry is in a log, as files of c2sp.org/tlog-proof: they say offline whatever the log would say."""

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from weighbridge.log.checkpoint import Head, read_head
from weighbridge.log.merkle import verify_inclusion
from weighbridge.log.policy import Policy
from weighbridge.wire.signing import SignatureError, from_base64

FIRST_LINE = "c2sp.org/tlog-proof@v1"
MOST_HASHES = 63
HASH_BYTES = 32
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")


class ProofError(ValueError):
    """The file is no such proof, or proves nothing. The message says why."""


@dataclass(frozen=True, slots=True)
class LogProof:
    """`hashes` lead from the leaf's sibling up. `checkpoint` is a note. Nobody signed `extra`."""

    index: int
    hashes: Sequence[bytes]
    checkpoint: str
    extra: bytes | None = None


def write_proof(proof: LogProof) -> str:
    """The file's text."""
    said = [FIRST_LINE]
    if proof.extra is not None:
        said.append(f"extra {b64encode(proof.extra).decode()}")
    said.append(f"index {proof.index}")
    said += [b64encode(one).decode() for one in proof.hashes]
    return "\n".join([*said, "", proof.checkpoint])


def read_proof(text: str) -> LogProof:
    """Verifies nothing. Raises ProofError."""
    said, _, checkpoint = text.partition("\n\n")
    first, *lines = said.split("\n")
    if first != FIRST_LINE:
        raise ProofError(f"the first line is not {FIRST_LINE}")
    try:
        extra = None
        if lines and lines[0].startswith("extra "):
            extra = from_base64(lines.pop(0).removeprefix("extra ").encode())
        index = _INDEX.fullmatch(lines[0]) if lines else None
        hashes = tuple(from_base64(line.encode()) for line in lines[1:])
    except SignatureError as error:
        raise ProofError(str(error)) from error
    if index is None or len(hashes) > MOST_HASHES:
        raise ProofError("no index, or too many hashes")
    if any(len(one) != HASH_BYTES for one in hashes):
        raise ProofError(f"a hash has {HASH_BYTES} bytes")
    return LogProof(int(index[1]), hashes, checkpoint, extra)


def check_proof(proof: LogProof, hashed: bytes, policy: Policy) -> Head:
    """The head under which the log holds the entry of this leaf hash. Raises ProofError unless the policy accepts it
    and it does."""
    try:
        head = read_head(proof.checkpoint)
        if not policy.accepts(proof.checkpoint):
            raise ProofError("the signatures on the checkpoint are not those that the policy asks")
    except SignatureError as error:
        raise ProofError(str(error)) from error
    if not verify_inclusion(proof.index, head.size, hashed, proof.hashes, head.root):
        raise ProofError("the hashes do not lead from this entry to the root")
    return head
