"""A node that is challenged: an agent that asks for commands and answers over real HTTP, honestly or not."""

import json
import socket
import time
from typing import Any
from urllib.parse import urlsplit

from agent.command_poller import seal_poll
from agent.probe.cpu import CpuEngine
from collector import control
from collector.client import CollectorError
from tests.collector.building import Agent, Answered, Serving, wait_for
from weighbridge.challenge.messages import PAYLOAD_TYPE, decode_message
from weighbridge.challenge.prover import InProcessGpuProver, Prover
from weighbridge.wire.polling import POLL_HEADER, POLL_PATH
from weighbridge.wire.signing import open_envelope

POLICY: dict[str, Any] = {"profile": "f16", "size": 128, "rounds": 2, "samples": 8}


def ask(server: Serving, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """As whoever may administer."""
    return control.request(server.directory, method, path, body)


class Challenged:
    """The node of an agent. Its prober computes on the CPU, one back end for each GPU."""

    def __init__(self, server: Serving, agent: Agent) -> None:
        self.server, self.agent = server, agent
        self.number = 0
        self.log_key = bytes.fromhex(ask(server, "GET", "/v1/log/head")["log_key"])
        assert server.report(agent.next(inventory=agent.inventory())).status == 200
        self.prober = Prober(agent.devices)

    def begin(self, **changes: Any) -> str:
        """A challenge of this node begins; its id."""
        wanted = {"nodes": [self.agent.node], "contract": None, "policy": POLICY | changes}
        return str(self.begun("/v1/challenges", wanted)["challenges"][0]["id"])

    def begun(self, path: str, wanted: dict[str, Any]) -> Any:
        """What was asked for, once the node is known."""
        return wait_for(lambda: self._taken(path, wanted), "the node to be known")

    def _taken(self, path: str, wanted: dict[str, Any]) -> Any:
        try:
            return ask(self.server, "POST", path, wanted)
        except CollectorError as error:
            if "has spoken" in str(error) or "no GPU" in str(error):
                return None
            raise

    def shown(self, series: str) -> Any:
        return ask(self.server, "GET", f"/v1/challenges/{series}")

    def ended(self, series: str) -> Any:
        def end() -> Any:
            shown = self.shown(series)
            return shown if shown["state"] == "ended" else None

        return wait_for(end, "the end of the challenge", 60)

    def named(self) -> dict[str, str]:
        """The header that says who asks."""
        self.number += 1
        agent = self.agent
        return {POLL_HEADER: seal_poll(agent.signer, agent.node, self.log_key, self.number)}

    def heard(self) -> bytes:
        """The payload of the next command."""
        answer = self.server.request("GET", POLL_PATH, None, **self.named())
        assert answer.status == 200, answer.body
        return open_envelope(answer.body).payload

    def sealed(self, payload: bytes) -> bytes:
        return self.agent.signer.seal(PAYLOAD_TYPE, payload)

    def post(self, challenge: str, step: str, body: bytes, **headers: str) -> Answered:
        """An answer."""
        path = f"/v1/challenges/{challenge}/{step}"
        return self.server.request("POST", path, body, **(self.named() | headers))

    def answered(self, step: str) -> str:
        """The next command, and an honest answer to it; the attempt's name."""
        command = self.heard()
        challenge = decode_message(command).challenge
        answer = self.post(challenge, step, self.sealed(self.prober.answer(command)))
        assert answer.status == 200, answer.body
        return challenge

    def to_the_openings(self) -> tuple[str, bytes]:
        """Everything up to the honest openings, which are not sent: the attempt's name, and their envelope."""
        for step in ("ready", "roots"):
            self.answered(step)
        command = self.heard()
        return decode_message(command).challenge, self.sealed(self.prober.answer(command))

    def pouring(self, path: str, length: int, sent: int, **headers: str) -> socket.socket:
        """A request that says how long its body is, and stops after `sent` bytes."""
        parts = urlsplit(self.server.url)
        connection = socket.create_connection((str(parts.hostname), parts.port or 0), timeout=20)
        lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {length}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + b"x" * sent)
        return connection


class Prober:
    """A prover for each challenge: an attempt begins with Prepare."""

    def __init__(self, gpus: list[str]) -> None:
        self._gpus = gpus
        self._prover: Prover | None = None

    def answer(self, command: bytes) -> bytes:
        if json.loads(command)["type"] == "prepare":
            back_ends = [InProcessGpuProver(gpu, CpuEngine(), lambda: None) for gpu in self._gpus]
            self._prover = Prover(back_ends, time.monotonic_ns)
        assert self._prover is not None
        return self._prover.answer(command)
