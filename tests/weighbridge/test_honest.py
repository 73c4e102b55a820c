"""An honest fleet, and one in which a single thing is not as promised."""

from typing import Any

import pytest

from tests.weighbridge.honest import HonestNode, accusations, fed

DAYS = 2


class Lesser(HonestNode):
    """Another value for one reading of its first GPU, from the beginning."""

    changed: tuple[str, int] = ("", 0)

    def _block(self, tier: str, boot_us: list[int], readings: Any) -> dict[str, Any]:
        name, value = self.changed
        if name in readings:
            for sample in readings[name]:
                sample[0] = value
        return super()._block(tier, boot_us, readings)


def test_nothing_is_found_against_the_provider_of_an_honest_fleet() -> None:
    nodes = [HonestNode(number, DAYS, seed=7) for number in range(3)]
    told = fed(nodes)
    assert accusations(told) == []
    assert {one.what for node in nodes for one in node.happened} >= {"reboot", "driver", "network"}
    assert {finding.code for finding in told.findings} >= {"chain_started", "evidence_late"}


@pytest.mark.parametrize(
    ("reading", "value", "code"),
    [
        ("power_limit_enforced_milliwatts", 500_000, "power_capped"),
        ("nvlink_active_links", 17, "nvlink_down"),
        ("recovery_action_code", 2, "recovery_needed"),
        ("remap_failure_code", 1, "remap_failed"),
    ],
)
def test_the_same_fleet_with_one_thing_less_is_told_of_it(
    reading: str, value: int, code: str
) -> None:
    node = Lesser(0, DAYS, seed=7)
    node.changed = (reading, value)
    assert {(one.code, one.device) for one in accusations(fed([node]))} == {(code, "GPU-n0-0")}
