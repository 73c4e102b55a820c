"""The record of how a bundle was taken from a log: who, when, by which command, and the digest of what came out."""

from weighbridge.wire.report import Count, Hash, Model, Text, encode, read
from weighbridge.wire.signing import SignatureError, Signer, open_envelope, verify

PAYLOAD_TYPE = "application/vnd.weighbridge.extraction+json"


class Extraction(Model):
    """`manifest`: the SHA-256 of the list of members, and so of every byte of them. `by`: whoever ran the command."""

    at_us: Count
    by: Text
    machine: Text
    command: Text
    program: Text
    log_size: Count
    statement: Hash
    manifest: Hash


def seal(record: Extraction, signer: Signer) -> bytes:
    """Signed by the log's key."""
    return signer.seal(PAYLOAD_TYPE, encode(record)) + b"\n"


def open_extraction(data: bytes, public_key: bytes) -> Extraction:
    """Raises SignatureError or WireError."""
    envelope = open_envelope(data.removesuffix(b"\n"))
    if envelope.payload_type != PAYLOAD_TYPE:
        raise SignatureError(f"{envelope.payload_type} is no record of an extraction")
    verify(envelope, public_key)
    return read(Extraction, envelope.payload)
