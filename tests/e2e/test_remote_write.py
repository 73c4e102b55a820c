"""A collector that is told of a receiver writes to it, and keeps what it takes not."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import cramjam

from tests.e2e.stage import Stage, wait_for


def test_a_collector_writes_again_what_a_receiver_did_not_take(stage: Stage) -> None:
    taken: list[bytes] = []
    answers = iter([503])

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = next(answers, 204)
            if status == 204:
                taken.append(bytes(cramjam.snappy.decompress_raw(body)))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}/api/v1/write"
        collector = stage.serving(settings=["[remote_write]", f'url = "{url}"', "seconds = 1"])
        wait_for(lambda: len(taken) > 1, "two requests")
        server.shutdown()
        thread.join()
    assert b"weighbridge_contract_gpus" in taken[0]
    assert b"job" in taken[0]
    waiting = wait_for(
        lambda: [
            value
            for name, _, value in collector.metrics()
            if name == "remote_write_waiting_bytes" and value
        ],
        "what is kept on the disk",
    )
    assert waiting
    assert "the receiver takes nothing: 503" in collector.log()
