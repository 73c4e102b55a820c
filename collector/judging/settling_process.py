"""Settles beside the collector: `python -I -m collector.judging.settling_process`.

Standard input brings the store's URL, which may hold a password, and then jobs. What they made goes to standard output,
one after the other.
"""

import os
import pickle
import select
import signal
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path

from collector.judging.settler import Done, Job, Made, SettlingError
from collector.storage.store import JudgedStore
from collector.storage.stores import judged_store
from weighbridge.process.logs import log_to_standard_error

LARGE_KIB = 192 << 10
"""A process that has held more than this ends after its job."""

NICE = 10
"""What agents send is taken in first."""


def main() -> int:
    """Does jobs until its input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICE)
    log_to_standard_error("info")
    threading.Thread(target=_end_with_the_collector, daemon=True).start()
    jobs, answers = sys.stdin.buffer, sys.stdout.buffer
    with suppress(EOFError), judged_store(pickle.load(jobs)) as store:  # noqa: S301 (the collector's own)
        while True:
            done = _done(pickle.load(jobs), store)  # noqa: S301 (the collector's own)
            pickle.dump(done, answers, pickle.HIGHEST_PROTOCOL)
            answers.flush()
            if done.last:
                break
    return 0


def _done(job: Job[Made], store: JudgedStore) -> Done[Made]:
    made, error = None, None
    try:
        made = job(store)
    except Exception as raised:  # noqa: BLE001 (it is raised where the job came from)
        error = _carried(raised)
    return Done(made, error, last=_held_kib() > LARGE_KIB)


def _held_kib() -> int:
    """The most that this process ever held. `getrusage` says what its parent held, where that was more."""
    told = Path("/proc/self/status").read_text(encoding="ascii")
    return int(told.partition("VmHWM:")[2].split()[0])


def _carried(error: Exception) -> Exception:
    """The error, where it comes out of pickle as it went in, with where it was raised."""
    error.add_note("".join(traceback.format_tb(error.__traceback__)))
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 (it is from here)
    except Exception:  # noqa: BLE001 (whatever its class does)
        return SettlingError("".join(traceback.format_exception(error)))
    return error


def _end_with_the_collector() -> None:
    """At once, whatever is being settled: nobody is left who asked."""
    hung_up = select.poll()
    hung_up.register(sys.stdin, 0)
    hung_up.poll()
    os._exit(1)


if __name__ == "__main__":
    raise SystemExit(main())
