"""How a head is brought to a witness that speaks c2sp.org/tlog-witness."""

import re
from collections.abc import Callable, Sequence

import aiohttp

from weighbridge.log.checkpoint import Head
from weighbridge.log.merkle import Node, consistency_proof
from weighbridge.log.note import SignatureLine, read_lines
from weighbridge.log.witnessing import (
    ADD_CHECKPOINT,
    MOST_BYTES,
    SIZE_TYPE,
    Submission,
    SubmissionRefused,
    write_submission,
)
from weighbridge.wire.signing import SignatureError

SIZE = re.compile(r"[0-9]{1,19}\n")
TRIES = 3
"""A witness that others bring heads to may know another size each time."""

Prove = Callable[[int, int], Sequence[bytes]]
"""The consistency proof from one size of the log to another."""


def prover(proven: Callable[[], Node]) -> Prove:
    """Of a log whose subtrees it proves. From nothing to any size the proof is empty."""

    def prove(old_size: int, size: int) -> Sequence[bytes]:
        return consistency_proof(old_size, size, proven()) if old_size else ()

    return prove


async def ask_witness(
    session: aiohttp.ClientSession, prefix: str, head: Head, known_size: int, prove: Prove
) -> Sequence[SignatureLine]:
    """What the witness at `prefix` signs of a head; `known_size` is what it signed last, as far as is known.

    Raises SubmissionRefused, SignatureError for what is no answer, aiohttp.ClientError and TimeoutError.
    """
    for _ in range(TRIES - 1):
        try:
            return await _post(session, prefix, head, known_size, prove)
        except SubmissionRefused as refused:
            if refused.newest is None or not refused.newest <= head.size:
                raise
            known_size = refused.newest
    return await _post(session, prefix, head, known_size, prove)


async def _post(
    session: aiohttp.ClientSession, prefix: str, head: Head, known_size: int, prove: Prove
) -> Sequence[SignatureLine]:
    body = write_submission(Submission(known_size, prove(known_size, head.size), head.note))
    url = prefix.rstrip("/") + ADD_CHECKPOINT
    async with session.post(url, data=body.encode(), allow_redirects=False) as response:
        answer = await read_text(response, MOST_BYTES)
        if response.status != 200:
            sized = response.status == 409 and response.content_type == SIZE_TYPE
            newest = int(answer) if sized and SIZE.fullmatch(answer) else None
            raise SubmissionRefused(response.status, answer.strip()[:200], newest)
        return read_lines(answer)


async def read_text(response: aiohttp.ClientResponse, most_bytes: int) -> str:
    """The body, if it is text of no more than so many bytes. Raises SignatureError."""
    body = await response.content.read(most_bytes + 1)
    while len(body) <= most_bytes and (more := await response.content.readany()):
        body += more
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise SignatureError("the answer is no text") from error
    if len(body) > most_bytes:
        raise SignatureError(f"the answer is over {most_bytes} bytes")
    return text
