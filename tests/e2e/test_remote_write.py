"""A collector that is told of a receiver writes to it, and keeps what it takes not."""

import gzip
import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import cramjam
import pytest

from tests.e2e.stage import Stage, wait_for


def unpacked(body: bytes) -> bytes:
    return bytes(cramjam.snappy.decompress_raw(body))


@pytest.mark.parametrize("key", ["remote_write", "otlp"])
def test_a_collector_writes_again_what_a_receiver_did_not_take(stage: Stage, key: str) -> None:
    taken: list[bytes] = []
    opened = {"remote_write": unpacked, "otlp": gzip.decompress}[key]
    answers = iter([503])

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = next(answers, 204)
            if status == 204:
                taken.append(opened(body))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}/api/v1/write"
        collector = stage.serving(settings=[f"[{key}]", f'url = "{url}"', "seconds = 1"])
        wait_for(lambda: len(taken) > 1, "two requests")
        server.shutdown()
        thread.join()
    assert re.search(b"weighbridge[._]contract[._]gpus", taken[0])
    assert key == "otlp" or b"job" in taken[0]
    waiting = wait_for(
        lambda: [
            value
            for name, _, value in collector.metrics()
            if name == f"{key}_waiting_bytes" and value
        ],
        "what is kept on the disk",
    )
    assert waiting
    assert "the receiver takes nothing: 503" in collector.log()
