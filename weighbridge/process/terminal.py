"""What commands show to whoever sits before them: how far they have come, and a picture that is drawn anew.

Nothing of it goes where nobody looks: progress into no file, and no control sequence into a pipe.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

FIRST_S = 0.5
"""What takes less shows nothing."""

EVERY_S = 0.2
CLEARED = "\r\x1b[K"
HOME, REST_OF_LINE, REST_OF_SCREEN, ALL = "\x1b[H", "\x1b[K", "\x1b[J", "\x1b[2J"


class Progress:
    """One line: what is done, how much of it, and for how long."""

    def __init__(self, what: str, whole: int | None, come: Callable[[], int]) -> None:
        self._what, self._whole, self._come = what, whole, come
        self._begun_s = time.monotonic()
        self._ended = threading.Event()

    def __str__(self) -> str:
        seconds = f"{time.monotonic() - self._begun_s:.0f} s"
        come = self._come()
        if not self._whole:
            return f"{self._what} … {f'{come:,}, ' if come else ''}{seconds}"
        share = min(100 * come // self._whole, 100)
        return f"{self._what} … {share} %, {come:,} of {self._whole:,}, {seconds}"

    def draw(self) -> None:
        """Until `end`, in a thread of its own: work that counts nothing shows that it goes on too."""
        pause_s = FIRST_S
        while not self._ended.wait(pause_s):
            width = os.get_terminal_size(sys.stderr.fileno()).columns or 80
            sys.stderr.write(f"{CLEARED}{str(self)[: width - 1]}")
            sys.stderr.flush()
            pause_s = EVERY_S
        if pause_s == EVERY_S:
            sys.stderr.write(CLEARED)
            sys.stderr.flush()

    def end(self) -> None:
        self._ended.set()


@contextmanager
def progress(
    what: str, whole: int | None = None, come: Callable[[], int] | None = None
) -> Iterator[Callable[[int], None]]:
    """Show on standard error how it goes, if that is a terminal.

    How much has come of `whole` says `come`, or whoever calls what this gives.
    """
    counted = 0

    def count(number: int) -> None:
        nonlocal counted
        counted = number

    if not sys.stderr.isatty():
        yield count
        return
    line = Progress(what, whole, come or (lambda: counted))
    drawing = threading.Thread(target=line.draw, daemon=True)
    drawing.start()
    try:
        yield count
    finally:
        line.end()
        drawing.join()


def clear_progress() -> None:
    """Before a line is written to the terminal on which progress is shown."""
    if sys.stderr.isatty():
        sys.stderr.write(CLEARED)
        sys.stderr.flush()


def watch(picture: Callable[[], str], every_s: float) -> None:
    """Draw a picture again and again, until ^C; where nobody reads on, BrokenPipeError is raised.

    On a terminal each is written in one piece over the last, cut at the lower edge; elsewhere they follow each other.
    """
    screen = sys.stdout.isatty()
    try:
        sys.stdout.write(ALL if screen else "")
        while True:
            text = picture().rstrip("\n")
            sys.stdout.write(_over(text) if screen else f"{text}\n\n")
            sys.stdout.flush()
            time.sleep(every_s)
    except KeyboardInterrupt:
        sys.stdout.write("\n")
        sys.stdout.flush()


def _over(text: str) -> str:
    lines = text.split("\n")
    room = os.get_terminal_size(sys.stdout.fileno()).lines or 24
    if len(lines) > room:
        lines[room - 1 :] = [f"… {len(lines) - room + 1} more lines"]
    drawn = "".join(f"{line}{REST_OF_LINE}\n" for line in lines[:-1])
    return f"{HOME}{drawn}{lines[-1]}{REST_OF_LINE}{REST_OF_SCREEN}"
