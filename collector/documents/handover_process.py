"""A delivery note or a certificate made apart from the event loop: `python -I -m collector.documents.handover_process`.

It reads a task on standard input and the log beside the collector, as far as it was durable when the task was
made, and writes the document as JSON to standard output. A process, because a window of a fleet takes an
interpreter to itself for a while, and because its memory goes back to the machine with it.
"""

import asyncio
import contextlib
import sys
from dataclasses import dataclass

from pydantic import TypeAdapter

from collector.storage.stores import read_log
from weighbridge.handover.acceptance import certificate
from weighbridge.handover.delivery import delivery_note
from weighbridge.handover.inputs import HandoverInputs

LONGEST_SECONDS = 1800.0
COMMAND = (sys.executable, "-I", "-m", "collector.documents.handover_process")


class HandoverError(Exception):
    """The document was not made, through no fault of who asked."""


@dataclass(frozen=True, slots=True)
class Task:
    """What the process is given. `store`: whose log it reads, as `open_store` takes it."""

    store: str
    inputs: HandoverInputs


_TASK = TypeAdapter(Task)


async def made_apart(task: Task) -> bytes:
    """The document of a task as JSON. Raises HandoverError."""
    given = _TASK.dump_json(task)
    process = await asyncio.create_subprocess_exec(
        *COMMAND, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            made, _ = await process.communicate(given)
    except TimeoutError as error:
        raise HandoverError(f"the document was not made in {LONGEST_SECONDS:.0f} s") from error
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    if process.returncode != 0:
        raise HandoverError("the document was not made; the collector's messages say why")
    return made


def main() -> int:
    """One task in, one document out."""
    task = _TASK.validate_json(sys.stdin.buffer.read())
    given = task.inputs
    log = read_log(task.store)
    entries = log.read(given.start, given.end - given.start)
    made = delivery_note if given.from_us is None else certificate
    sys.stdout.buffer.write(made(given, entries).json().encode())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
