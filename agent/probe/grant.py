"""What the agent lets a prober do, and whether a challenge stays inside it.

The agent knows from NVML who uses a device. A device in use is never touched without the lessee's leave, and nothing
beyond the granted memory is taken: the answer is then "not assessed", which is no failure.
"""

from dataclasses import dataclass

from weighbridge.challenge.messages import (
    BUSY,
    NO_BUDGET,
    NO_CONSENT,
    NO_MEMORY,
    UNSUPPORTED,
    Decline,
    Prepare,
)

LESSEE = "lessee"
IDLE_WINDOW = "idle_window"
NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class GrantedGpu:
    """One device. `busy`: somebody computes on it or holds memory. `memory_limit_bytes`: free, less a reserve."""

    uuid: str
    busy: bool
    memory_limit_bytes: int


@dataclass(frozen=True, slots=True)
class Grant:
    """First message from the agent. `consent`: by whose leave; `budget_ms`: how long the workers may live."""

    backend: str
    consent: str
    budget_ms: int
    gpus: tuple[GrantedGpu, ...]


def refusal(grant: Grant, request: Prepare) -> Decline | None:
    """Why a challenge is declined; None where it may go ahead."""

    def decline(reason: str, detail: str) -> Decline:
        return Decline(request.challenge, reason, detail)

    if tuple(gpu.uuid for gpu in grant.gpus) != request.gpus:
        return decline(UNSUPPORTED, "not the GPUs of this grant")
    if grant.consent not in (LESSEE, IDLE_WINDOW):
        return decline(NO_CONSENT, "")
    busy = [gpu.uuid for gpu in grant.gpus if gpu.busy]
    if busy and grant.consent != LESSEE:
        return decline(BUSY, ", ".join(busy))
    needed_ms = request.policy.longest_ms(len(grant.gpus))
    if grant.budget_ms < needed_ms:
        return decline(NO_BUDGET, f"{needed_ms} ms are needed, {grant.budget_ms} ms are left")
    needed = request.policy.working_bytes()
    short = [gpu.uuid for gpu in grant.gpus if gpu.memory_limit_bytes < needed]
    if short:
        return decline(NO_MEMORY, f"{needed} bytes are needed on {', '.join(short)}")
    return None
