"""How an agent asks for commands: a signed request, each with a higher number than the one before.

The collector's answers are envelopes under the log's key, so an agent obeys its own collector and nobody else.
"""

from weighbridge.wire.report import Count, Hash, Model, Name

POLL_TYPE = "application/vnd.weighbridge.poll+json"
POLL_HEADER = "Weighbridge-Poll"
POLL_PATH = "/v1/agent/commands"


def answer_path(challenge: str, step: str) -> str:
    """Where an answer to a challenge goes; a step is ready, roots or openings."""
    return f"/v1/challenges/{challenge}/{step}"


def evidence_path(attestation: str) -> str:
    """Where the answer to a request for attestation goes."""
    return f"/v1/attestations/{attestation}/evidence"


class Poll(Model):
    """`number` rises from request to request of one key; `log_key` names the collector that is asked."""

    log_key: Hash
    node: Name
    number: Count
