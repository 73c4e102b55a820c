"""A party's own witness: it keeps the newest head that it stands by, and cosigns the next one that is proven to follow.

Heads come in two ways: it asks the log for the one to be cosigned, or the log brings one (c2sp.org/tlog-witness). A log
that forked or shrank gets no cosignature again until somebody has taken the evidence away.
"""

import asyncio
import fcntl
import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from collector.witnessing.asking import read_text
from weighbridge.log.checkpoint import Head
from weighbridge.log.cosignature import Cosigner
from weighbridge.log.note import Note, NoteKey, SignatureLine, read_note
from weighbridge.log.succession import KEYS_PATH, MOST_ANSWER_BYTES
from weighbridge.log.witnessing import (
    ADD_CHECKPOINT,
    MOST_BYTES,
    SIZE_TYPE,
    LogFault,
    SubmissionRefused,
    judge_head,
    judge_submission,
    proof_wanted,
    read_submission,
)
from weighbridge.process.heads import HeadMemory
from weighbridge.process.log_trust import LogTrust
from weighbridge.wire.signing import SignatureError

logger = logging.getLogger("weighbridge.witness")

TIMEOUT_SECONDS = 30
COSIGNING_PATH = "/v1/log/cosigning"
COSIGNATURES_PATH = "/v1/log/cosignatures"
PROOF_PATH = "/v1/log/proof"


class LogCaughtError(Exception):
    """The log contradicts what it signed before. The message names the evidence."""

    def __init__(self, fault: LogFault, evidence: Path) -> None:
        super().__init__(f"{fault}: both heads are kept, {evidence} and {evidence.stem}.kept")
        self.fault = fault


class LogSilentError(Exception):
    """The log did not say what was asked of it: nothing is known. The message says why."""


@dataclass(frozen=True, slots=True)
class LogAddress:
    """Where a log answers, and the token that it wants, if any."""

    url: str
    token: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.token is None else {"Authorization": f"Bearer {self.token}"}


class PartyWitness:
    """Of one log, one of whose keys is `log`: it follows from there.

    `directory` is its alone while this object lives.
    """

    def __init__(
        self, log: NoteKey, cosigner: Cosigner, directory: Path, now_s: Callable[[], int]
    ) -> None:
        """Raises OSError where the directory cannot be used, or another witness uses it; SignatureError where it keeps
        what is no head of this log."""
        self._lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.memory = HeadMemory(directory)
        if self.memory.newest is not None and self.memory.newest.origin != log.name:
            raise SignatureError(f"{directory} keeps a head of {self.memory.newest.origin}")
        self._origin, self._cosigner, self._now_s = log.name, cosigner, now_s
        self._trust = LogTrust(log.public_key, directory)
        self._turn = asyncio.Lock()

    def close(self) -> None:
        os.close(self._lock)

    async def watch(self, session: aiohttp.ClientSession, address: LogAddress) -> Head:
        """The head that the log wants cosigned, once it is cosigned and handed back.

        Raises LogCaughtError, LogSilentError.
        """
        async with self._turn:
            text = await _get(session, address, COSIGNING_PATH)
            await self._follow_keys(session, address, text)
            head = self._signed(text)
            await self._follow(session, address, head)
            line = self._cosigner.line(head, self._now_s())
            said = read_note(head.note)
            own = [line for key in self._trust.keys.named(self._origin) for line in said.of(key)]
            note = Note(said.text, (*own, line))
        await _hand_in(session, address, str(note))
        return head

    def _signed(self, note: str) -> Head:
        try:
            head = self._trust.keys.open_head(note)
            if head.origin != self._origin:
                raise SignatureError("it is of another log")
        except SignatureError as error:
            raise LogSilentError(f"the head: {error}") from error
        return head

    async def _follow_keys(
        self, session: aiohttp.ClientSession, address: LogAddress, note: str
    ) -> None:
        """Where the head bears a key of the log that is not known: whether the log's key announced it."""
        try:
            if self._trust.keys.lacks(note):
                answer = await _get(session, address, KEYS_PATH, MOST_ANSWER_BYTES)
                await asyncio.to_thread(self._trust.follow, answer.encode())
        except (SignatureError, OSError) as error:
            raise LogSilentError(f"{KEYS_PATH}: {error}") from error

    async def _follow(
        self, session: aiohttp.ClientSession, address: LogAddress, head: Head
    ) -> None:
        """Stand by the head, if what was kept leads to it."""
        if self.memory.fault is not None:
            raise LogCaughtError(self.memory.fault, self.memory.evidence(self.memory.fault))
        known = self.memory.newest
        wanted = proof_wanted(known, head)
        proof = [] if wanted is None else await _proof(session, address, *wanted)
        fault = judge_head(known, head, proof)
        if fault is not None:
            raise LogCaughtError(fault, await asyncio.to_thread(self.memory.accuse, fault, head))
        await asyncio.to_thread(self.memory.keep, head)

    async def add_checkpoint(self, body: bytes) -> SignatureLine:
        """The answer to a submission. Raises SubmissionRefused."""
        async with self._turn:
            known = {} if self.memory.newest is None else {self._origin: self.memory.newest}
            if self.memory.fault is not None:
                raise SubmissionRefused(403, f"this log is caught: {self.memory.fault}")
            submission = read_submission(body)
            try:
                head = judge_submission(submission, {self._origin: self._trust.keys}, known)
            except SubmissionRefused:
                await self._remember_fork(submission.note)
                raise
            await asyncio.to_thread(self.memory.keep, head)
            return self._cosigner.line(head, self._now_s())

    async def _remember_fork(self, note: str) -> None:
        """Two heads of one size under the log's key are evidence, whoever brings the second."""
        try:
            head = self._signed(note)
        except LogSilentError:
            return
        known = self.memory.newest
        if known is not None and known.size == head.size and known.root != head.root:
            evidence = await asyncio.to_thread(self.memory.accuse, LogFault.FORKED, head)
            logger.error("%s", LogCaughtError(LogFault.FORKED, evidence))

    def application(self) -> web.Application:
        """What listens for submissions."""
        application = web.Application(client_max_size=MOST_BYTES)
        application.router.add_post(ADD_CHECKPOINT, self._answer)
        return application

    async def _answer(self, request: web.Request) -> web.Response:
        try:
            line = await self.add_checkpoint(await request.read())
        except SubmissionRefused as refused:
            if refused.newest is not None:
                text, kind = f"{refused.newest}\n", SIZE_TYPE
            else:
                text, kind = f"{refused.detail}\n", "text/plain"
            return web.Response(status=refused.status, body=text.encode(), content_type=kind)
        return web.Response(body=str(line).encode(), content_type="text/plain")


async def _get(
    session: aiohttp.ClientSession, address: LogAddress, path: str, most_bytes: int = MOST_BYTES
) -> str:
    try:
        async with session.get(
            address.url + path, headers=address.headers, allow_redirects=False
        ) as response:
            text = await read_text(response, most_bytes)
            status = response.status
    except (aiohttp.ClientError, OSError, SignatureError) as error:
        raise LogSilentError(f"{path}: {str(error) or type(error).__name__}") from error
    if status != 200:
        raise LogSilentError(f"{path}: status {status}, {_detail(text)}")
    return text


async def _proof(
    session: aiohttp.ClientSession, address: LogAddress, old_size: int, size: int
) -> list[bytes]:
    text = await _get(session, address, f"{PROOF_PATH}?from={old_size}&to={size}")
    try:
        return [bytes.fromhex(one) for one in json.loads(text)["hashes"]]
    except (ValueError, TypeError, KeyError) as error:
        raise LogSilentError(f"{PROOF_PATH}: no proof: {error}") from error


async def _hand_in(session: aiohttp.ClientSession, address: LogAddress, note: str) -> None:
    try:
        async with session.post(
            address.url + COSIGNATURES_PATH, data=note.encode(), headers=address.headers
        ) as response:
            text, status = await read_text(response, MOST_BYTES), response.status
    except (aiohttp.ClientError, OSError, SignatureError) as error:
        raise LogSilentError(
            f"{COSIGNATURES_PATH}: {str(error) or type(error).__name__}"
        ) from error
    if status != 200:
        raise LogSilentError(f"the cosignature is not taken: {_detail(text)}")


def _detail(text: str) -> Any:
    try:
        return json.loads(text)["detail"]
    except (ValueError, TypeError, KeyError):
        return text[:200]
