"""Every hash of the challenge: SHA-256 over a domain and length-prefixed fields.

Two different lists of fields never hash the same bytes, so no message can be read as another one.
"""

import hashlib

HASH_BYTES = 32
_SUITE = b"weighbridge challenge v1 "


def fields_hash(domain: str, *fields: bytes) -> bytes:
    """SHA-256 of the domain and then the fields, each behind its length (8 bytes, little-endian)."""
    parts = (_SUITE + domain.encode("ascii"), *fields)
    message = b"".join(part for field in parts for part in (number(len(field)), field))
    return hashlib.sha256(message).digest()


def number(value: int) -> bytes:
    """A non-negative integer as a field: 8 bytes, little-endian."""
    return value.to_bytes(8, "little")


def text(value: str) -> bytes:
    """A string as a field: UTF-8."""
    return value.encode("utf-8")
