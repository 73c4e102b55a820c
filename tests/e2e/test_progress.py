"""Commands that take their time show it to whoever sits before them, and to nobody else."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.e2e.stage import AGENT, COLLECTOR, DEADLINE_S, environment
from tests.terminal import on_terminal

ANSWER = b'{"detail": "lease: no such contract", "code": "not_found"}'
WORK = """
from weighbridge.process.terminal import progress
with progress("counting", 2_000) as count:
    count(900)
    input()
"""


def test_how_far_it_is_stands_on_the_terminal_until_it_is_done() -> None:
    with on_terminal([sys.executable, "-c", WORK], environment()) as (terminal, process):
        terminal.reads("\r\x1b[Kcounting … 45 %, 900 of 2,000, ")
        terminal.write("\n")
        assert process.wait(DEADLINE_S) == 0
        terminal.read(0)
    assert terminal.written.endswith("\r\x1b[K"), "nothing of it is left"


@contextmanager
def slow_collector() -> Iterator[tuple[str, threading.Event]]:
    """It answers no sooner than it is told to."""
    told = threading.Event()

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.wait(DEADLINE_S)
            self.send_response(404)
            self.send_header("Content-Length", str(len(ANSWER)))
            self.end_headers()
            self.wfile.write(ANSWER)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", told
        finally:
            told.set()
            server.shutdown()
            serving.join()


def test_a_statement_that_is_long_in_the_making_shows_that_it_goes_on() -> None:
    with slow_collector() as (url, told):
        words = [COLLECTOR, "statement", "lease", "--period", "2026-06", "--url", url]
        with on_terminal(words, environment()) as (terminal, process):
            terminal.reads("settling lease, 2026-06 … ")
            told.set()
            assert process.wait(DEADLINE_S) == 2
            terminal.reads("no such contract")
        assert "\r\x1b[Kweighbridge: " in terminal.written, "the line is gone before another comes"


def test_whoever_is_to_paste_an_invite_is_told_so(tmp_path: Path) -> None:
    words = [AGENT, "enroll", "-", "--state-directory", str(tmp_path)]
    with on_terminal(words, environment()) as (terminal, process):
        terminal.reads("the line that `weighbridge invite` printed:")
        terminal.write("\n")
        assert process.wait(DEADLINE_S) == 2


def test_nothing_of_it_goes_into_a_pipe() -> None:
    with slow_collector() as (url, told):
        words = [COLLECTOR, "statement", "lease", "--period", "2026-06", "--url", url]
        threading.Timer(1, told.set).start()
        done = subprocess.run(words, capture_output=True, text=True, env=environment())
    assert done.stderr == f"weighbridge: {url}: lease: no such contract\n"
