"""Verification apart from the event loop: `python -I -m collector.challenges.verification`, one process a transcript.

It reads a transcript on standard input and writes its weighing to standard output. A process, because arithmetic over
megabytes holds an interpreter, and because its memory goes back to the machine with it.
"""

import asyncio
import contextlib
import logging
import os
import sys

from weighbridge.challenge.codec import Malformed, decode, encode
from weighbridge.challenge.judgement import verify_transcript
from weighbridge.challenge.record import Weighed, Weighing, weighing_of
from weighbridge.challenge.transcript import Transcript
from weighbridge.challenge.verdict import ChallengeVerdict, VerdictReason

logger = logging.getLogger("weighbridge.verification")

LONGEST_SECONDS = 600.0
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
"""Threads of numpy's BLAS wait by spinning: two took twice the CPU of one for the same products."""
COMMAND = (sys.executable, "-I", "-m", "collector.challenges.verification")


async def verify_apart(transcript: Transcript, seconds: float = LONGEST_SECONDS) -> Weighing:
    """The weighing of a transcript. A verification that does not end well says UNKNOWN, never anything of the GPUs."""
    try:
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**ONE_THREAD, **os.environ},
        )
    except OSError as error:
        logger.warning("no process verifies %s: %s", transcript.challenge, error)
        return undecided(transcript.gpus)
    try:
        async with asyncio.timeout(seconds):
            said, _ = await process.communicate(await asyncio.to_thread(transcript.encode))
        return decode(Weighing, said)
    except (TimeoutError, Malformed) as error:
        logger.warning("the verification of %s did not end: %s", transcript.challenge, error)
        return undecided(transcript.gpus)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def undecided(gpus: tuple[str, ...]) -> Weighing:
    """The result where verification did not end: UNKNOWN for every GPU."""
    verdict, reason = ChallengeVerdict.UNKNOWN.value, VerdictReason.NO_VERDICT.value
    nothing = (0, 0, None, None, None, None)
    return Weighing(verdict, reason, tuple(Weighed(g, verdict, reason, *nothing) for g in gpus))


def main() -> int:
    """One transcript in, one weighing out."""
    result = verify_transcript(sys.stdin.buffer.read())
    sys.stdout.buffer.write(encode(weighing_of(result)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
