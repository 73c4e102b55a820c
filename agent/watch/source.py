"""Targets under the one protocol of `agent.report.source`: each is a device that is read by trying to reach it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import astuple

from agent.report.source import IdentityTier, RawProcess, Sweep
from agent.watch.reaching import Attempt, attempt
from agent.watch.targets import Target
from weighbridge.catalogue.readings import Tier
from weighbridge.wire.report import Device, DeviceState, Event, Facts, Reason

WITHIN_S = 3.0
AT_ONCE = 64
SAID = ("reached_code", "connect_microseconds", "handshake_microseconds")
"""The readings, in the order of an attempt's fields."""

NOTHING = Facts(readings={}, unavailable={})


class TargetSource:
    """What a sampler reads of targets."""

    def __init__(
        self, targets: Sequence[Target], clock_us: Callable[[], int], within_s: float = WITHIN_S
    ) -> None:
        self._targets, self._clock_us, self._within_s = targets, clock_us, within_s
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._paused = False

    async def identify(self) -> IdentityTier:
        """Every target. There is no driver."""
        return IdentityTier([_device(target) for target in self._targets], NOTHING)

    async def sweep(self, tier: Tier) -> Sweep:
        """FAST: one attempt at each. The slow tier has nothing of them."""
        now_us = self._clock_us()
        if tier is not Tier.FAST:
            return Sweep(now_us, (), {})
        tried = map(astuple, await asyncio.gather(*map(self._try, self._targets)))
        columns = zip(SAID, zip(*tried, strict=True), strict=True)
        return Sweep(now_us, [target.name for target in self._targets], dict(columns))

    async def _try(self, target: Target) -> Attempt:
        if self._paused:
            return Attempt(Reason.PAUSED, Reason.PAUSED, Reason.PAUSED)
        async with self._turn:
            return await attempt(target, self._clock_us, self._within_s)

    async def processes(self) -> Sequence[RawProcess] | Reason:
        """There are none."""
        return []

    def events(self) -> Sequence[Event]:
        """Nothing happens between two samples."""
        return []

    async def pause(self) -> None:
        """Until `resume`, every reading is PAUSED."""
        self._paused = True

    async def resume(self) -> None:
        """Ends a pause."""
        self._paused = False

    async def close(self) -> None:
        """No connection outlives its attempt."""


def _device(target: Target) -> Device:
    said: dict[str, int | str] = {
        "target_node_name": target.node,
        "target_address": target.address,
    }
    identity = Facts(readings=said, unavailable={})
    return Device(uuid=target.name, parent=None, state=DeviceState.OK, identity=identity)
