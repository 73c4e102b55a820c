"""The collector's side: rounds in which one head is cosigned by all witnesses that the configuration names.

At the beginning of a round the newest head is put up. Witnesses with an address are asked for their cosignature, others
fetch the head and hand theirs in. The round is closed when all have signed, or when the next one begins: what the head
has then is published, and once an hour entered in the log. Nothing else waits for a witness.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from collector.background import beside
from collector.log.commits import Committer
from collector.storage.store import CorruptStore, EvidenceLog
from collector.witnessing.asking import Prove, ask_witness, prover
from weighbridge.log.checkpoint import Head, read_head
from weighbridge.log.cosignature import Signed, signatures
from weighbridge.log.entries import CosignedHead, EntryKind
from weighbridge.log.merkle import root_at
from weighbridge.log.note import Note, NoteKey, read_note
from weighbridge.log.witnessing import SubmissionRefused
from weighbridge.process.files import write_file
from weighbridge.wire.problems import Problem
from weighbridge.wire.signing import SignatureError

logger = logging.getLogger("weighbridge.witnesses")

ENTERED_SECONDS = 3600.0
"""What is cosigned is entered in the log at most so often."""

ASKED_SECONDS = 30.0
"""How long a witness has for its answer."""


@dataclass(frozen=True, slots=True)
class Witness:
    """Whose cosignature counts. Without a `url` it comes by itself."""

    key: NoteKey
    url: str | None


@dataclass(frozen=True, slots=True)
class WitnessTold:
    """What is known of a witness: when it cosigned the head that is published (None: it did not, or states no time),
    the newest size that it cosigned since the start, and why it does not cosign now."""

    name: str
    url: str | None
    cosigned: bool
    time_s: int | None
    size: int
    trouble: str


class Rounds:
    """`published` is the head that everybody is shown, with the cosignatures that it has."""

    def __init__(
        self, committer: Committer, file: Path, witnesses: Sequence[Witness], seconds: float
    ) -> None:
        """`file` keeps what was published over a restart: nobody is shown an older head later."""
        self._committer, self._file = committer, file
        self._witnesses = {str(witness.key): witness for witness in witnesses}
        self._seconds = seconds
        self._pending: Head | None = None
        self._published = kept_head(file, committer.log) if witnesses else None
        self._entered_s = -ENTERED_SECONDS
        self._complete = asyncio.Event()
        self._sizes: dict[str, int] = {}
        self._troubles: dict[str, str] = {}

    @property
    def pending(self) -> Head:
        """The head to cosign now; between two rounds the one that was."""
        return self.published if self._pending is None else self._pending

    @property
    def published(self) -> Head:
        """Of the newest round that was closed. Where there are no witnesses, the newest of all."""
        return self._committer.head if self._published is None else self._published

    def reached(self) -> Iterator[tuple[str, int]]:
        """The name of each witness, and the size of the newest head that it cosigned since the start."""
        for text, witness in sorted(self._witnesses.items()):
            yield witness.key.name, self._sizes.get(text, 0)

    def witnesses(self) -> Iterator[WitnessTold]:
        """Each that the configuration names, by its name."""
        times = {one.key: one.time_s for one in signatures(self.published.note, self._keys())}
        for text, witness in sorted(self._witnesses.items()):
            key, trouble = witness.key, self._troubles.get(text, "")
            told = (key.name, witness.url, key in times, times.get(key))
            yield WitnessTold(*told, self._sizes.get(text, 0), trouble)

    def take(self, note: str) -> int:
        """Cosignatures of the pending head, as a note that has them; how many known witnesses' it lacked until now.

        Raises Problem.
        """
        try:
            head = read_head(note)
            signed = signatures(note, self._keys())
        except SignatureError as error:
            raise Problem("bad_signature", str(error)) from error
        if not signed:
            raise Problem("forbidden", "no cosignature of a witness that is configured here")
        if head.text != self.pending.text:
            raise Problem("conflict", "another head is to be cosigned by now")
        return 0 if self._pending is None else self._add(read_note(note), signed)

    def _add(self, said: Note, signed: Sequence[Signed]) -> int:
        """Of each key the latest cosignature stands: an older one may come from whoever read it."""
        head = self.pending
        times = {one.key: one.time_s or 0 for one in signatures(head.note, self._keys())}
        new = [one.key for one in signed if (one.time_s or 0) > times.get(one.key, -1)]
        lines = [line for key in new for line in said.of(key)]
        note = str(read_note(head.note).signed_by(lines))
        self._pending = Head(head.origin, head.size, head.root, note)
        self._sizes.update({str(key): head.size for key in new})
        if times.keys() | set(new) == set(self._keys()):
            self._complete.set()
        return len(new)

    def _keys(self) -> list[NoteKey]:
        return [witness.key for witness in self._witnesses.values()]

    async def run(self, session: aiohttp.ClientSession, prove: Prove) -> None:
        """Round after round, for ever; where there are no witnesses, never."""
        while self._witnesses:
            self._pending = self._committer.head
            self._complete.clear()
            due = asyncio.get_running_loop().time() + self._seconds
            asked = [
                asyncio.create_task(self._ask(session, witness, prove))
                for witness in self._witnesses.values()
                if witness.url is not None
            ]
            try:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(due):
                        await self._complete.wait()
            finally:
                for task in asked:
                    task.cancel()
                await asyncio.gather(*asked, return_exceptions=True)
            await self._close()
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))

    async def _ask(self, session: aiohttp.ClientSession, witness: Witness, prove: Prove) -> None:
        head, known = self.pending, self._sizes.get(str(witness.key), 0)
        try:
            async with asyncio.timeout(ASKED_SECONDS):
                lines = await ask_witness(session, witness.url or "", head, known, prove)
            self.take(str(read_note(head.note).signed_by(lines)))
            self._say(witness, "")
        except SubmissionRefused as refused:
            larger = refused.newest is not None and refused.newest > head.size
            told = f"it has cosigned {refused.newest} entries, and this log has {head.size}"
            self._say(witness, told if larger else str(refused))
        except (Problem, SignatureError, CorruptStore, aiohttp.ClientError, OSError) as error:
            self._say(witness, str(error) or type(error).__name__)

    def _say(self, witness: Witness, trouble: str) -> None:
        """Once for each trouble, not once for each round."""
        if trouble != self._troubles.get(str(witness.key), ""):
            if trouble:
                logger.warning("witness %s does not cosign: %s", witness.key.name, trouble)
            else:
                logger.info("witness %s cosigns again", witness.key.name)
        self._troubles[str(witness.key)] = trouble

    async def _close(self) -> None:
        head, self._pending = self.pending, None
        try:
            await asyncio.to_thread(write_file, self._file, head.note.encode())
        except OSError as error:
            logger.warning("%s: %s", self._file, error.strerror)
        self._published = head
        now_s = asyncio.get_running_loop().time()
        if now_s - self._entered_s >= ENTERED_SECONDS and signatures(head.note, self._keys()):
            await self._enter(head, now_s)

    async def _enter(self, head: Head, now_s: float) -> None:
        try:
            await self._committer.enter(EntryKind.COSIGNED, CosignedHead(note=head.note))
            self._entered_s = now_s
        except Problem as problem:
            logger.warning("a cosigned head is not entered: %s", problem.detail)


@contextlib.asynccontextmanager
async def cosigning(rounds: Rounds, log: EvidenceLog) -> AsyncIterator[None]:
    """Rounds go on while this is open."""
    timeout = aiohttp.ClientTimeout(total=ASKED_SECONDS)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        beside(rounds.run(session, prover(log.proven)), "heads are cosigned no more"),
    ):
        yield


def kept_head(file: Path, log: EvidenceLog) -> Head | None:
    """The head that was published last, if this log stands by it."""
    try:
        head = read_head(file.read_text("utf-8"))
        agrees = head.size <= log.size and root_at(head.size, log.proven()) == head.root
    except (OSError, ValueError, CorruptStore):
        return None
    return head if agrees else None
