"""An answer verified by NVIDIA's own program, in a process of the environment that the operator named for it."""

import asyncio
import contextlib
import json
import logging
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from weighbridge.log.entries import AttestationAnswered, AttestationAsked
from weighbridge.wire.report import Hash, Model, Name, Text

logger = logging.getLogger("weighbridge.attestation")

PROGRAM = Path(__file__).with_name("with_sdk.py")
NO_VERIFIER, FAILED, TOO_LATE = "no_verifier", "verifier_failed", "verifier_timeout"
MOST_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Verifier:
    """`python`: an interpreter that has the SDK. `online`: it may fetch revocation and reference measurements."""

    python: Path
    online: bool = False
    seconds: float = 60.0
    program: Path = PROGRAM


@dataclass(frozen=True, slots=True)
class Conclusion:
    """`verdict` as in `Attested`; `reason` why it is not met."""

    verdict: str
    reason: str
    chip: str | None = None
    online: bool = False
    verifier: str = ""
    claims: dict[str, str] = field(default_factory=dict)


class _Said(Model):
    """What the program answers."""

    verifier: Text = ""
    failed: Text = ""
    reason: Text = ""
    chip: Hash | None = None
    claims: dict[Name, Text] = Field(default_factory=dict, max_length=128)


Verify = Callable[[AttestationAsked, AttestationAnswered], Awaitable[Conclusion]]


async def unverified(_asked: AttestationAsked, _answer: AttestationAnswered) -> Conclusion:
    """Where no verifier is configured."""
    return Conclusion("not_assessed", NO_VERIFIER)


def verifying(verifier: Verifier | None) -> Verify:
    """One process for each answer. What does not end well is not assessed, and accuses nobody."""
    if verifier is None:
        return unverified

    async def verify(asked: AttestationAsked, answer: AttestationAnswered) -> Conclusion:
        told = answer.model_dump(include={"device", "architecture", "report", "chain"})
        said = json.dumps({**told, "nonce": asked.nonce, "online": verifier.online})
        try:
            return concluded(await _run(verifier, said.encode()), online=verifier.online)
        except TimeoutError:
            return Conclusion("not_assessed", TOO_LATE)
        except (OSError, ValidationError) as error:
            logger.warning("the verifier did not answer: %s", error)
            return Conclusion("not_assessed", FAILED)

    return verify


def concluded(said: bytes, *, online: bool) -> Conclusion:
    """Raises ValidationError."""
    found = _Said.model_validate_json(said[:MOST_BYTES])
    if found.failed or not found.verifier:
        return Conclusion("not_assessed", found.failed or FAILED, verifier=found.verifier)
    told: dict[str, Any] = {"online": online, "verifier": found.verifier, "claims": found.claims}
    if found.reason or found.chip is None:
        return Conclusion("refused", found.reason or "no_chip", **told)
    return Conclusion("met", "", found.chip, **told)


async def _run(verifier: Verifier, said: bytes) -> bytes:
    """In a directory of its own, since the SDK writes where it stands; with nothing of our environment.

    Raises TimeoutError, OSError.
    """
    with tempfile.TemporaryDirectory(prefix="weighbridge-attestation-") as directory:
        process = await asyncio.create_subprocess_exec(
            str(verifier.python),
            "-I",
            str(verifier.program),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=directory,
            env={},
        )
        try:
            async with asyncio.timeout(verifier.seconds):
                answer, _ = await process.communicate(said)
            return answer
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
