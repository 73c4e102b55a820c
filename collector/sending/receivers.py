"""Where metrics are sent, as the configuration says it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where it is, how often it is written to, and how it knows us: a file with a token, labels that say who sends.

    `authority`: a file with the certificates that it is trusted by, in place of the system's.
    """

    url: str
    seconds: float
    token: Path | None = None
    authority: Path | None = None
    labels: tuple[tuple[str, str], ...] = ()
    queue_bytes: int = 1 << 30
