"""The collision-resistant commitment to a row, for the mode in which rows themselves are opened.

The row's int32 entries (little-endian) are hashed in chunks of 128, the chunk hashes once more; the first word of each
message says which of the two it is. A 64-bit mixed sum would not do here: a prover may look for *another* row with the
same sum and the right product with the vector, and finds one by a generalised birthday search.
"""

import hashlib

CHUNK_BYTES = 4 * 128
CHUNK_TAG = b"WBc\x01"
ROW_TAG = b"WBr\x01"


def row_hash(row: bytes) -> bytes:
    """32 bytes over the little-endian int32 entries of one row."""
    chunks = b"".join(
        hashlib.sha256(CHUNK_TAG + row[start : start + CHUNK_BYTES]).digest()
        for start in range(0, len(row), CHUNK_BYTES)
    )
    return hashlib.sha256(ROW_TAG + chunks).digest()
