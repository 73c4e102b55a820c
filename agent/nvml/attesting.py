"""The agent's side of an attestation: it has the driver asked, within a deadline, and says what came of it."""

import asyncio
import contextlib
import json
import logging
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from agent.nvml.device_inventory import reason
from agent.surroundings import for_child
from weighbridge.wire.report import Reason

log = logging.getLogger(__name__)

COMMAND = (sys.executable, "-I", "-m", "agent.nvml.attestation")
LONGEST_S = 20.0
DEATH_S = 2.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What NVML gave for a nonce; or, with `reason`, why it gave nothing."""

    architecture: int = 0
    report: str = ""
    chain: str = ""
    reason: str = ""


Attest = Callable[[str, str], Awaitable[Evidence]]
"""The evidence of a GPU, by its UUID, for a nonce in hexadecimal."""


async def nothing(_uuid: str, _nonce: str) -> Evidence:
    """Of devices that have no chip, or where the configuration gives no evidence."""
    return Evidence(reason=Reason.NOT_SUPPORTED.value)


class _Attester:
    """Starts a process for each question, killed at the deadline; while one cannot be killed there is no other."""

    def __init__(
        self, environment: Mapping[str, str], command: Sequence[str], longest_s: float
    ) -> None:
        self._environment, self._command, self._longest_s = environment, command, longest_s
        self._last: asyncio.subprocess.Process | None = None

    async def __call__(self, uuid: str, nonce: str) -> Evidence:
        if self._last is not None and self._last.returncode is None:
            return Evidence(reason=Reason.TIMEOUT.value)
        process = self._last = await asyncio.create_subprocess_exec(
            *self._command,
            uuid,
            nonce,
            env=for_child(self._environment),
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(self._longest_s):
                said, _ = await process.communicate()
            return _read(said)
        except TimeoutError:
            return Evidence(reason=Reason.TIMEOUT.value)
        except (ValueError, KeyError, TypeError) as error:
            log.warning("the driver gave no evidence of %s: %s", uuid, error)
            return Evidence(reason=Reason.ERROR.value)
        finally:
            await _end(process)


def over_nvml(
    environment: Mapping[str, str], command: Sequence[str] = COMMAND, longest_s: float = LONGEST_S
) -> Attest:
    """Asks the driver, each time in a process of its own."""
    return _Attester(environment, command, longest_s)


async def _end(process: asyncio.subprocess.Process) -> None:
    """One that hangs in the kernel, where no signal reaches it, is left behind."""
    with contextlib.suppress(ProcessLookupError, TimeoutError):
        process.kill()
        async with asyncio.timeout(DEATH_S):
            await process.wait()


def _read(said: bytes) -> Evidence:
    told = json.loads(said)
    if told["code"]:
        return Evidence(reason=reason(told["code"]).value)
    return Evidence(told["architecture"], told["report"], told["chain"])
