"""When a GPU is asked for its chip's evidence: at once, then in the second quarter of the time for which it counts."""

import pytest

from collector.attestation.schedule import LOOK_SECONDS, due
from weighbridge.contract.attestation import AttestationTerms
from weighbridge.judge.node_state import Attestation, NodeState

SECOND_US = 1_000_000
TERMS = AttestationTerms(valid_s=4000)
ASKED_US = 7 * SECOND_US


def after(seconds: float) -> float:
    """How likely a GPU is asked, so long after it was asked last."""
    state = NodeState("n1", attested={"GPU-0": Attestation("K1", "not_assessed", "", ASKED_US)})
    return due(state, "GPU-0", TERMS, ASKED_US + int(seconds * SECOND_US))


def test_a_gpu_that_was_never_asked_is_asked_at_once() -> None:
    assert due(NodeState("n1"), "GPU-0", TERMS, ASKED_US) == 1


@pytest.mark.parametrize(
    ("seconds", "likely"),
    [
        (0, 0),
        (999.999999, 0),
        (1000, LOOK_SECONDS / 1000),
        (1900, LOOK_SECONDS / 100),
        (2000, 1),
        (9000, 1),
    ],
)
def test_it_is_asked_again_well_before_the_time_is_over_and_nobody_knows_when(
    seconds: float, likely: float
) -> None:
    assert after(seconds) == pytest.approx(likely)
