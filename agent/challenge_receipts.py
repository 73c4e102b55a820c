"""What the collector signed in challenges of this node, as it came: with it the node proves what it was told, and when.

One line of JSON for each envelope of the collector, in a file of the state directory. It begins anew at its largest
size, and the one before is kept beside it.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weighbridge.challenge.messages import Receipt
from weighbridge.challenge.receipts import (
    KeptChallenge,
    KeptStep,
    NotKept,
    kept_challenges,
    kept_envelopes,
    kept_line,
    kept_word,
)

log = logging.getLogger(__name__)

NAME = "challenges.jsonl"
LARGEST_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class KeptReceipts:
    """The file, and the one before it."""

    path: Path

    def keep(self, envelope: bytes) -> None:
        """Adds one. A disk that takes nothing costs evidence of this node, and no challenge."""
        try:
            self._make_room()
            with self.path.open("ab") as file:
                file.write(b"\n" + kept_line(envelope))  # a line that a crash cut ends here
        except (OSError, UnicodeDecodeError) as error:
            log.error("what the collector said in a challenge is not kept: %s", error)

    def envelopes(self) -> Iterator[bytes]:
        """All that are kept, the oldest first."""
        for path in (self._older, self.path):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                continue
            yield from kept_envelopes(data)

    @property
    def _older(self) -> Path:
        return self.path.with_suffix(".old.jsonl")

    def _make_room(self) -> None:
        if self.path.exists() and self.path.stat().st_size > LARGEST_BYTES:
            self.path.replace(self._older)


def listed(receipts: KeptReceipts, keys: Iterable[bytes]) -> list[dict[str, Any]]:
    """Every challenge of which something is kept, the oldest first, for people and programs."""
    known, words = list(keys), []
    for envelope in receipts.envelopes():
        try:
            words.append(kept_word(envelope, known))
        except NotKept as error:
            log.warning("a line that is kept is passed over: %s", error)
    return [_challenge(one) for one in kept_challenges(words)]


def _challenge(one: KeptChallenge) -> dict[str, Any]:
    request = one.request
    return {
        "challenge": one.name,
        "contract": None if request is None else request.contract,
        "gpus": [] if request is None else list(request.gpus),
        "committed_at": None
        if request is None or request.committed_at < 0
        else request.committed_at,
        "steps": [_step(step) for step in one.steps],
    }


def _step(step: KeptStep) -> dict[str, Any]:
    said: Receipt | None = step.receipt
    return {
        "step": step.name,
        "receipt": said is not None,
        "answer": None if said is None else said.answer.hex(),
        "elapsed_ns": None if said is None else said.received_ns - said.said_ns,
        "received_us": None if said is None else said.at_us,
        "entered_at": None if said is None else said.entered_at,
    }


def described(challenge: dict[str, Any]) -> str:
    """For people: the challenge, and under it each step."""
    # With all that contracts are made of, which would be 6 MiB of the daemon's memory.
    from weighbridge.contract.scalars import instant_text

    gpus = ", ".join(challenge["gpus"]) or "GPUs unknown"
    lines = [f"{challenge['challenge']}  {challenge['contract'] or 'contract unknown'}  {gpus}"]
    for step in challenge["steps"]:
        if not step["receipt"]:
            lines.append(f"  {step['step']}  no receipt")
            continue
        seconds = f"{step['elapsed_ns'] / 1e9:.3f} s"
        when = instant_text(step["received_us"])
        lines.append(f"  {step['step']}  {seconds}  received {when}, entry {step['entered_at']}")
    return "\n".join(lines)
