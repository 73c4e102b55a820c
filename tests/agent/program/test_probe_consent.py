"""What a prober is allowed, and whose commands an agent obeys."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zstandard

from agent.challenge_receipts import KeptReceipts
from agent.command_poller import CommandPoller, Probing, unseen
from agent.enrolment import NodeIdentity
from agent.probe.client import Prober
from agent.probe.consent import (
    DailyBudget,
    NewestSweep,
    ProbeConsent,
    grant_of,
    others_on,
    windows_of,
)
from agent.probe.grant import Grant, refusal
from agent.report.reporter import Backoff
from agent.report.source import RawProcess, Sweep
from agent.report.transport import HttpAnswer
from weighbridge.challenge.messages import (
    PAYLOAD_TYPE,
    Decline,
    Prepare,
    Ready,
    Receipt,
    Release,
    Roots,
    decode_message,
    encode_message,
)
from weighbridge.challenge.policy import Policy
from weighbridge.process.log_trust import LogTrust
from weighbridge.wire.polling import POLL_HEADER, Poll
from weighbridge.wire.report import Device, DeviceState, Facts, Reason, read
from weighbridge.wire.signing import Signer, open_envelope

GPU = "GPU-a"
POLICY = Policy(profile="f16", size=128, rounds=2, samples=8, deadline_ms=1000)
CONSENT = ProbeConsent("cpu", "idle_window", (), 0)
NOON_US = 12 * 3600 * 1_000_000
LOG, KEY = Signer(bytes(range(32))), Signer(bytes(range(1, 33)))


def seen(**changes: int | Reason) -> NewestSweep:
    """An idle GPU with 10 MB free, except for what is changed."""
    identity = Facts(readings={"memory_total_bytes": 11_000_000}, unavailable={})
    values: dict[str, int | Reason] = {
        "utilization_gpu_percent": 0,
        "memory_used_bytes": 1_000_000,
    }
    readings = {name: [value] for name, value in (values | changes).items()}
    device = Device(uuid=GPU, parent=None, state=DeviceState.OK, identity=identity)
    return NewestSweep([device], Sweep(1, [GPU], readings), [], True)


def decision(now: NewestSweep, consent: ProbeConsent = CONSENT, left_ms: int = 600_000) -> str:
    """Why a challenge is declined; empty where it may go ahead."""
    grant = grant_of(consent, now, [GPU], POLICY, left_ms, NOON_US)
    declined = refusal(grant, Prepare("c", "lease", bytes(32), (GPU,), POLICY))
    return "" if declined is None else declined.reason


def test_an_idle_gpu_may_be_used() -> None:
    assert decision(seen()) == ""


@pytest.mark.parametrize(
    "now",
    [
        seen(utilization_gpu_percent=6),
        seen(utilization_gpu_percent=Reason.TIMEOUT),
        replace(seen(), processes=[RawProcess(GPU, 1, 0)]),
        replace(seen(), processes=Reason.NO_PERMISSION),
        replace(seen(), fresh=False),
    ],
    ids=["at work", "unseen", "a process", "processes unseen", "seen too long ago"],
)
def test_a_gpu_that_may_be_in_use_is_busy_unless_the_lessee_agreed(now: NewestSweep) -> None:
    assert decision(now) == "busy"
    assert decision(now, replace(CONSENT, consent="lessee")) == ""


def test_memory_that_is_used_reserved_or_unseen_is_not_taken() -> None:
    assert decision(seen(memory_used_bytes=10_900_000)) == "no_memory"
    assert decision(seen(memory_used_bytes=Reason.ERROR)) == "no_memory"
    assert decision(seen(), replace(CONSENT, reserve_bytes=10_000_000)) == "no_memory"


@pytest.mark.parametrize(
    ("windows", "declined"),
    [
        ("11:00-13:00", ""),
        ("00:00-12:00", "no_consent"),
        ("22:00-12:01", ""),
        ("22:00-06:00", "no_consent"),
        ("01:00-02:00,12:00-12:30", ""),
    ],
)
def test_outside_its_windows_nobody_has_agreed(windows: str, declined: str) -> None:
    assert decision(seen(), replace(CONSENT, windows=windows_of(windows))) == declined


def test_the_days_budget_is_kept_over_a_restart_and_renewed_with_the_day(tmp_path: Path) -> None:
    DailyBudget(tmp_path / "spent", 5000).spend(NOON_US, 4500)
    budget = DailyBudget(tmp_path / "spent", 5000)
    assert budget.left_ms(NOON_US) == 500
    assert decision(seen(), left_ms=500) == "no_budget"
    assert budget.left_ms(NOON_US + 86_400_000_000) == 5000


@pytest.mark.parametrize("kept", ["", "[]", '{"20607": "much"}'])
def test_a_disk_that_keeps_nothing_gives_no_probers_time_back(tmp_path: Path, kept: str) -> None:
    """Its owner has said how long probers may take in a day, full disk or not."""
    (tmp_path / "spent.new").mkdir()
    (tmp_path / "spent").write_text(kept)
    budget = DailyBudget(tmp_path / "spent", 5000)
    for left in (2000, 0):
        with pytest.raises(OSError, match=r"spent\.new"):
            budget.spend(NOON_US, 3000)
        assert budget.left_ms(NOON_US) == left


class Desk:
    """The collector's side: one command, then silence."""

    def __init__(self, command: bytes) -> None:
        self.command: bytes | None = command
        self.posted: list[tuple[str, bytes]] = []
        self.numbers: list[int] = []

    async def __call__(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout_s: float = 0,
    ) -> HttpAnswer:
        del timeout_s
        self.numbers.append(number_of(headers or {}))
        if method == "POST":
            self.posted.append((path, body or b""))
            return HttpAnswer(200, b"{}", None)
        command, self.command = self.command, None
        if command is None:
            raise StopHere
        return HttpAnswer(200, command, None)


class Behind(Desk):
    """Says once that it has heard a higher number."""

    async def __call__(self, method: str, path: str, *rest: Any, **named: Any) -> HttpAnswer:
        answer = await super().__call__(method, path, *rest, **named)
        return HttpAnswer(409, b'{"code":"sequence","expected":' + answer.body + b"}", None)


def number_of(headers: dict[str, str]) -> int:
    """Of a poll; 0 for another request."""
    if POLL_HEADER not in headers:
        return 0
    return read(Poll, open_envelope(headers[POLL_HEADER].encode()).payload).number


class StopHere(Exception):
    """The test has seen enough."""


async def obey(command: bytes, tmp_path: Path) -> list[tuple[str, bytes]]:
    """What an agent, whose GPU is idle, posts after a command; no prober can be had."""
    desk = Desk(command)
    opened = await heard_by(desk, tmp_path)
    return [*desk.posted, *(("opened", b"") for _ in opened)]


async def heard_by(desk: Desk, tmp_path: Path) -> list[Grant]:
    """Runs an agent against a desk; returns the grants with which it asked for a prober."""
    opened: list[Grant] = []

    async def opening(grant: Grant) -> Prober:
        opened.append(grant)
        raise StopHere

    command_poller = poller_of(desk, tmp_path, opening)
    with pytest.raises(StopHere):
        await command_poller.run()
    return opened


def poller_of(desk: Desk, tmp_path: Path, opening: Any, look: Any = unseen) -> CommandPoller:
    """An agent whose GPU is idle."""
    identity = NodeIdentity(
        "http://localhost", "n1", "log", LogTrust(LOG.public_key, tmp_path), KEY, b"", True
    )
    at_once = Backoff(longest_s=0)
    return CommandPoller(
        identity,
        desk,
        Probing(
            lambda request, left: grant_of(CONSENT, seen(), request.gpus, POLICY, left, NOON_US),
            DailyBudget(tmp_path / "spent", 600_000),
            opening,
            look,
        ),
        lambda: NOON_US,
        KeptReceipts(tmp_path / "challenges.jsonl"),
        at_once,
    )


async def test_an_agent_whose_clock_went_back_goes_on_from_the_number_that_is_expected(
    tmp_path: Path,
) -> None:
    ahead = 1 << 52
    desk = Behind(str(ahead).encode())
    await heard_by(desk, tmp_path)
    first, second = desk.numbers
    assert first < ahead < second


def prepare(agent_key: bytes = KEY.public_key, gpu: str = GPU) -> bytes:
    return encode_message(Prepare("c", "lease", agent_key, (gpu,), POLICY))


async def test_the_log_keys_command_opens_a_prober(tmp_path: Path) -> None:
    assert await obey(LOG.seal(PAYLOAD_TYPE, prepare()), tmp_path) == [("opened", b"")]


@pytest.mark.parametrize(
    "command",
    [
        KEY.seal(PAYLOAD_TYPE, prepare()),
        LOG.seal(PAYLOAD_TYPE, prepare(agent_key=bytes(32))),
        LOG.seal("application/vnd.weighbridge.tick+json", prepare()),
        LOG.seal(PAYLOAD_TYPE, b"{}"),
        b"rubbish",
    ],
    ids=["another's key", "for another agent", "of another type", "no message", "rubbish"],
)
async def test_nothing_else_is_obeyed(command: bytes, tmp_path: Path) -> None:
    assert await obey(command, tmp_path) == []


async def test_gpus_that_are_not_here_are_declined_under_the_agents_own_key(tmp_path: Path) -> None:
    command = LOG.seal(PAYLOAD_TYPE, prepare(gpu="GPU-elsewhere"))
    ((path, envelope),) = await obey(command, tmp_path)
    assert path == "/v1/challenges/c/ready"
    opened = open_envelope(zstandard.decompress(envelope))
    declined = decode_message(opened.payload)
    assert isinstance(declined, Decline)
    assert (opened.key_id, declined.reason) == (KEY.key_id, "unsupported")


@pytest.mark.parametrize(
    ("processes", "fresh", "named"),
    [
        ([RawProcess(GPU, 1, 0), RawProcess(GPU, 2, 0)], True, (GPU,)),
        ([RawProcess(GPU, 1, 0)], True, ()),
        ([RawProcess(GPU, 1, 0), RawProcess(GPU, 1, 0)], True, ()),
        ([RawProcess(GPU, 1, 0), RawProcess("GPU-b", 2, 0), RawProcess("GPU-b", 3, 0)], True, ()),
        ([RawProcess(GPU, 1, 0), RawProcess(GPU, 2, 0)], False, ()),
        (Reason.NO_PERMISSION, True, ()),
    ],
    ids=["a tenant", "the prober", "it, listed twice", "another GPU", "long ago", "unseen"],
)
def test_who_else_is_on_a_gpu_of_the_challenge_is_seen_by_its_processes(
    processes: Any, fresh: bool, named: tuple[str, ...]
) -> None:
    assert others_on(replace(seen(), processes=processes, fresh=fresh), [GPU]) == named


class Answers:
    """A prober that has the answers ready."""

    async def ask(self, message: bytes, seconds: float) -> bytes:
        del seconds
        asked = decode_message(message)
        if isinstance(asked, Prepare):
            return encode_message(Ready(asked.challenge, bytes(32), 1))
        assert isinstance(asked, Release)
        return encode_message(Roots(asked.challenge, asked.phase, 1, 2, (bytes(64),)))

    async def end(self) -> None:
        """Nothing is left of it."""


class Commands(Desk):
    """Hands out several, one at a time."""

    def __init__(self, *commands: bytes) -> None:
        super().__init__(commands[0])
        self.rest = list(commands[1:])

    async def __call__(self, method: str, *rest: Any, **named: Any) -> HttpAnswer:
        answer = await super().__call__(method, *rest, **named)
        if method == "GET" and self.rest:
            self.command = self.rest.pop(0)
        return answer


@pytest.mark.parametrize("others", [(GPU,), ()])
async def test_the_agent_looks_again_before_it_signs_roots(
    tmp_path: Path, others: tuple[str, ...]
) -> None:
    """A tenant that starts after the release is on record, under the agent's own key."""
    asked: list[Any] = []

    async def opening(grant: Grant) -> Any:
        del grant
        return Answers()

    def look(gpus: Any) -> tuple[str, ...]:
        asked.append(tuple(gpus))
        return others

    release = encode_message(Release("c", "chain", bytes(32)))
    desk = Commands(LOG.seal(PAYLOAD_TYPE, prepare()), LOG.seal(PAYLOAD_TYPE, release))
    poller = poller_of(desk, tmp_path, opening, look)
    with pytest.raises(StopHere):
        await poller.run()
    path, envelope = desk.posted[-1]
    signed = open_envelope(zstandard.decompress(envelope))
    roots = decode_message(signed.payload)
    assert isinstance(roots, Roots)
    assert (path, signed.key_id) == ("/v1/challenges/c/roots", KEY.key_id)
    assert (roots.in_use, asked) == (others, [(GPU,)])


class Busy(Desk):
    """Takes an answer only at the last try, and refuses those before it as it is told."""

    def __init__(self, command: bytes, *refusals: HttpAnswer | OSError) -> None:
        super().__init__(command)
        self.refusals = list(refusals)

    async def __call__(self, method: str, path: str, *rest: Any, **named: Any) -> HttpAnswer:
        answer = await super().__call__(method, path, *rest, **named)
        if method != "POST" or not self.refusals:
            return answer
        refusal = self.refusals.pop(0)
        if isinstance(refusal, OSError):
            raise refusal
        return refusal


async def test_an_answer_that_cannot_be_taken_now_is_brought_again_under_a_new_number(
    tmp_path: Path,
) -> None:
    ahead = 1 << 52
    sequence = HttpAnswer(409, b'{"code":"sequence","expected":%d}' % ahead, None)
    command = LOG.seal(PAYLOAD_TYPE, prepare(gpu="GPU-elsewhere"))
    desk = Busy(command, HttpAnswer(503, b"{}", None), OSError("gone"), sequence)
    await heard_by(desk, tmp_path)
    assert len({body for _, body in desk.posted}) == 1
    assert len(desk.posted) == 4
    numbers = desk.numbers[1:5]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] > ahead


async def test_an_answer_that_is_refused_for_good_is_not_brought_again(tmp_path: Path) -> None:
    command = LOG.seal(PAYLOAD_TYPE, prepare(gpu="GPU-elsewhere"))
    desk = Busy(command, HttpAnswer(404, b"{}", None))
    await heard_by(desk, tmp_path)
    assert len(desk.posted) == 1


@pytest.mark.parametrize("command", ['"é"', '"\\ud800"', "[" * 100_000, "1"])
async def test_no_reply_to_an_answer_ends_the_agent(tmp_path: Path, command: str) -> None:
    """It goes on to ask for commands."""
    desk = Replies(LOG.seal(PAYLOAD_TYPE, prepare(gpu="GPU-elsewhere")), command)
    assert await heard_by(desk, tmp_path) == []
    assert (len(desk.posted), len(desk.numbers)) == (1, 3)


class Replies(Desk):
    """Its reply to an answer has a receipt, and this as the command."""

    def __init__(self, command: bytes, following: str) -> None:
        super().__init__(command)
        self.following = following

    async def __call__(self, method: str, *rest: Any, **named: Any) -> HttpAnswer:
        answer = await super().__call__(method, *rest, **named)
        if method != "POST":
            return answer
        sealed = zstandard.decompress(self.posted[-1][1])
        word = Receipt("c", "ready", hashlib.sha256(sealed).digest(), 1, 2, 3, 4)
        receipt = json.dumps(LOG.seal(PAYLOAD_TYPE, encode_message(word)).decode())
        said = f'{{"receipt":{receipt},"command":{self.following}}}'
        return HttpAnswer(200, said.encode(), None)
