"""An example of Alertmanager's configuration: who is told how soon, and what is not said because something worse is."""

from collections.abc import Iterable, Sequence
from typing import Any

from dashboards.alerts import ALERTS

RECEIVERS = ("wake-somebody", "in-the-morning")
NODE = ("node",)
CONTRACT = ("contract",)
CLAIM = ("contract",)
CLOCK = ("contract", "objective", "unit")

QUIETS: Sequence[tuple[Sequence[str], Sequence[str], Sequence[str]]] = (
    # While nothing is judged, what was found last stays as it was: nobody is told of it anew.
    (["WeighbridgeCollectorAbsent", "WeighbridgeCollectorStalled"], [], ()),
    # A silent node: nobody sees its GPUs, its driver or its clock.
    (
        ["WeighbridgeNodeSilent"],
        [
            "WeighbridgeGpuFault",
            "WeighbridgeGpuAttention",
            "WeighbridgeBreach",
            "WeighbridgeErrorInDoubt",
            "WeighbridgeDriverMissing",
            "WeighbridgeAgentDegraded",
            "WeighbridgeEvidenceWeak",
            "WeighbridgeEvidenceLost",
            "WeighbridgeClockSkew",
            "WeighbridgeChallengePath",
        ],
        NODE,
    ),
    (
        ["WeighbridgeNodeSilent", "WeighbridgeNeverReported"],
        ["WeighbridgeCapacityNotReporting", "WeighbridgeCoverageLow"],
        CONTRACT,
    ),
    # Without a driver that counts them, all GPUs of the node are missing or in doubt.
    (["WeighbridgeDriverMissing"], ["WeighbridgeGpuFault", "WeighbridgeErrorInDoubt"], NODE),
    (["WeighbridgeNodeNotJudged"], ["WeighbridgeQuarantined"], ()),
    (["WeighbridgeObjectiveMissed"], ["WeighbridgeObjectiveInDoubt"], ("contract", "objective")),
    (["WeighbridgeRepairLate"], ["WeighbridgeRepairNearlyLate", "WeighbridgeRepairHalf"], CLOCK),
    (["WeighbridgeRepairNearlyLate"], ["WeighbridgeRepairHalf"], CLOCK),
    (
        ["WeighbridgeClaimDueTomorrow"],
        ["WeighbridgeClaimDueInThreeDays", "WeighbridgeClaimDueInAWeek"],
        CLAIM,
    ),
    (["WeighbridgeClaimDueInThreeDays"], ["WeighbridgeClaimDueInAWeek"], CLAIM),
    (["WeighbridgeDiskNearlyFull"], ["WeighbridgeDiskFilling"], ()),
)
"""While one of the first fires none of the second is said, if these labels are equal; no second: all others."""


def configuration() -> dict[str, Any]:
    """One route for what wakes somebody, one for the rest; a node's eight GPUs are one message."""
    wake, morning = RECEIVERS
    return {
        "route": {
            "receiver": morning,
            "group_by": ["alertname", "contract", "node"],
            "group_wait": "5s",
            "group_interval": "10s",
            "repeat_interval": "12h",
            "routes": [
                {"matchers": ['severity="critical"'], "receiver": wake, "repeat_interval": "1h"}
            ],
        },
        "inhibit_rules": [_inhibition(*row) for row in QUIETS],
        "receivers": [
            {"name": name, "webhook_configs": [{"url": f"http://127.0.0.1:9099/{name}"}]}
            for name in RECEIVERS
        ],
    }


def _inhibition(
    louder: Sequence[str], quieter: Sequence[str], equal: Sequence[str]
) -> dict[str, Any]:
    others = quieter or [alert.name for alert in ALERTS if alert.name not in louder]
    return {
        "source_matchers": [_one_of(louder)],
        "target_matchers": [_one_of(others)],
        "equal": list(equal),
    }


def _one_of(names: Iterable[str]) -> str:
    return f'alertname=~"{"|".join(names)}"'
