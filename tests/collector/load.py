"""Agents that report to a collector without pause, for tests that kill it meanwhile."""

import itertools
import threading
from http.client import HTTPException

from tests.collector.building import Agent, Serving
from weighbridge.log.merkle import leaf_hash


class Load(threading.Thread):
    """Agents that report without pause; remembers what was acknowledged."""

    def __init__(self, server: Serving, agents: list[Agent]) -> None:
        super().__init__(daemon=True)
        self.server = server
        self.agents = agents
        self.acknowledged: dict[int, str] = {}
        self.newest_head = ""

    def run(self) -> None:
        for agent in itertools.cycle(self.agents):
            payload = agent.payload()
            envelope = agent.seal(payload)
            try:
                answer = self.server.report(envelope)
            except (OSError, ValueError, HTTPException):
                return
            assert answer.status == 200, answer.body
            receipt = answer.json["receipts"][0]
            assert receipt["leaf_hash"] == leaf_hash(envelope).hex()
            self.acknowledged[receipt["index"]] = receipt["leaf_hash"]
            self.newest_head = answer.json["head"]
            agent.moved_past(payload)
