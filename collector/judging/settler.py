"""Settling apart from the event loop, in one process beside the collector: `settling_process`.

A process, because settling takes an interpreter to itself for a while, and because its memory goes back to the machine
with it: once it has held much it ends, and the next job begins a new one.
"""

import asyncio
import logging
import pickle
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from collector.storage.store import JudgedStore
from weighbridge.settlement.invariants import BrokenInvariantError

logger = logging.getLogger("weighbridge.settling")

Made = TypeVar("Made")
Job = Callable[[JudgedStore], Made]
"""Reads the store and makes something. A job and what it makes go through pickle, between two processes of one user."""

LONGEST_SECONDS = 900.0
STOPS = "it was not settled: the collector stops"
COMMAND = (sys.executable, "-I", "-m", "collector.judging.settling_process")


@dataclass(frozen=True, slots=True)
class Done(Generic[Made]):
    """What a job made, or raised. `last`: the process that did it ends."""

    made: Made | None
    error: Exception | None
    last: bool


class SettlingError(Exception):
    """Nothing was made, through no fault of who asked. The message says what became of the process."""


class Settler(Protocol):
    """Does jobs one after the other: the rows of one large contract fill much memory."""

    async def made(self, job: Job[Made]) -> Made:
        """What a job makes. Raises what the job raises, and SettlingError."""
        ...


class SettlingProcess:
    """Over a store, as `open_store` takes it. The first job starts the process, and each has `seconds` at most.

    `broken`: statements that contradicted themselves, by contract.
    """

    def __init__(self, store: str, seconds: float = LONGEST_SECONDS) -> None:
        self.broken: Counter[str] = Counter()
        self._store = store
        self._seconds = seconds
        self._one_at_a_time = ThreadPoolExecutor(1, thread_name_prefix="settling")
        self._starting = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    async def made(self, job: Job[Made]) -> Made:
        loop = asyncio.get_running_loop()
        if self._closed:
            raise SettlingError(STOPS)
        try:
            return await loop.run_in_executor(self._one_at_a_time, self._made, job)
        except BrokenInvariantError as error:
            self.broken[error.contract] += 1
            logger.critical("a statement contradicts itself, and is not handed out: %s", error)
            raise

    def close(self) -> None:
        """Ends the process with what it is doing; what waits is not done any more."""
        with self._starting:
            self._closed = True
            if self._process is not None:
                self._process.kill()
        self._one_at_a_time.shutdown(cancel_futures=True)
        self._ended()

    def _made(self, job: Job[Made]) -> Made:
        process = self._running()
        overdue = threading.Timer(self._seconds, process.kill)
        overdue.daemon = True
        overdue.start()
        try:
            done: Done[Made] = _asked(process, job)
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            process.kill()
            raise SettlingError(f"it was not settled: the process ended {self._ended()}") from error
        except Exception:
            # The process has half of a job that could not be carried: it would take the next one for the rest of it.
            process.kill()
            self._ended()
            raise
        finally:
            overdue.cancel()
        if done.last:
            self._ended()
        if done.error is not None:
            raise done.error
        return done.made  # type: ignore[return-value] # None is what it made

    def _running(self) -> "subprocess.Popen[bytes]":
        """The process, begun anew where there is none. Raises SettlingError."""
        with self._starting:
            if self._closed:
                raise SettlingError(STOPS)
            if self._process is None or self._process.poll() is not None:
                self._process = _begun(self._store)
            return self._process

    def _ended(self) -> str:
        """Waits for the process, which ends; how it did."""
        with self._starting:
            process, self._process = self._process, None
        if process is None:
            return "before"
        process.communicate()
        code = process.returncode
        return f"by {signal.Signals(-code).name}" if code < 0 else f"with status {code}"


def _begun(store: str) -> "subprocess.Popen[bytes]":
    """Where the process ends at once, whoever asks it says so."""
    process = subprocess.Popen(  # noqa: S603 (the command is the program's own)
        COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    if process.stdin is not None:
        pickle.dump(store, process.stdin)
    return process


def _asked(process: "subprocess.Popen[bytes]", job: Job[Made]) -> Done[Made]:
    """Raises EOFError, OSError, UnpicklingError where the process ends."""
    if process.stdin is None or process.stdout is None:
        raise EOFError
    pickle.dump(job, process.stdin, pickle.HIGHEST_PROTOCOL)
    process.stdin.flush()
    done: Done[Made] = pickle.load(process.stdout)  # noqa: S301 (the process is our own)
    return done
