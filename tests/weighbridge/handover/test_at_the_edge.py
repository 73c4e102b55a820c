"""Exactly at the edge, and one beside it on both sides: windows, durations, shares and due days of a handover."""

import pytest

from tests.weighbridge.handover.building import Story
from tests.weighbridge.scripted import SECOND, START_US, ScriptedNode, contract_text
from weighbridge.handover.meter import LoadMeter
from weighbridge.handover.trials import load_verdict

DAY = 86400
MAX_GAP = 30
CLOCK = '{probe: sm_clock_megahertz, version: "1", threshold: "1500"'
BUS = '{probe: allreduce, version: v2, threshold: "400"}'


def asking(row: str) -> str:
    return contract_text(per_node=1) + f"acceptance: {{tests: [{row}]}}\n"


def story(text: str, *seconds: int) -> Story:
    """One GPU under load at these seconds, told of in one report."""
    made = Story(text)
    made.assign("n1")
    made.tell(ScriptedNode(gpus=1), list(seconds))
    return made


@pytest.mark.parametrize(
    ("loaded", "idle", "verdict"),
    [
        (499, 500, "UNKNOWN"),
        (499, 501, "BREACHED"),
        (499, 499, "UNKNOWN"),
        (500, 500, "MET"),
        (501, 499, "MET"),
    ],
)
def test_load_is_shown_from_the_needed_time_on_and_denied_where_it_could_not_be_reached(
    loaded: int, idle: int, verdict: str
) -> None:
    assert load_verdict(LoadMeter(loaded_us=loaded, idle_us=idle), 500, 1000).name == verdict


@pytest.mark.parametrize(("gap", "loaded"), [(29, 29), (30, 30), (31, 0)])
def test_a_sample_counts_up_to_the_next_one_within_the_largest_gap(gap: int, loaded: int) -> None:
    (line,) = story(contract_text(per_node=1), 0, gap).certificate(0, 100).gpus
    assert line.loaded_us == loaded * SECOND


@pytest.mark.parametrize(("end", "allowed"), [(9, False), (10, False), (11, True)])
def test_a_window_has_a_length(end: int, *, allowed: bool) -> None:
    made = story(contract_text(per_node=1), 0, 10, 20)
    if allowed:
        assert made.certificate(10, end).window_us == (end - 10) * SECOND
        return
    with pytest.raises(ValueError, match="window"):
        made.certificate(10, end)


@pytest.mark.parametrize(("duration", "verdict"), [(99, "MET"), (100, "MET"), (101, "UNKNOWN")])
def test_a_test_may_last_exactly_as_long_as_the_window(duration: int, verdict: str) -> None:
    made = story(asking(CLOCK + f', duration_s: "{duration}"}}'), *range(0, 101, 10))
    (trial,) = made.certificate(0, 100).trials
    assert trial.verdict == verdict


@pytest.mark.parametrize(("end", "verdict"), [(99, "MET"), (100, "UNKNOWN"), (101, "UNKNOWN")])
def test_time_that_nobody_saw_must_be_less_than_the_quantile(end: int, verdict: str) -> None:
    """Seen for ninety seconds; a tenth may fail."""
    made = story(asking(CLOCK + ', quantile: "0.1"}'), *range(0, 91, 10))
    (trial,) = made.certificate(0, end).trials
    assert trial.lines[0].verdict == verdict


@pytest.mark.parametrize(
    ("second", "lines"), [(9, 0), (10, 1), (11, 1), (99, 1), (100, 0), (101, 0)]
)
def test_a_result_is_of_the_window_in_which_the_test_was_made(second: int, lines: int) -> None:
    made = story(asking(BUS), *range(0, 101, 10))
    made.say("test_result", second, "n1", probe="allreduce", value="400")
    (trial,) = made.certificate(10, 100).trials
    assert len(trial.lines) == lines


@pytest.mark.parametrize(
    ("since", "until", "seen"),
    [(9, 100, True), (10, 100, True), (11, 100, False), (0, 10, False), (0, 11, True)],
)
def test_what_a_node_showed_is_the_contracts_from_the_instant_at_which_it_begins(
    since: int, until: int, *, seen: bool
) -> None:
    """Its only sample is of 10."""
    edges = ((START_US + since * SECOND, START_US + until * SECOND),)
    note = story(contract_text(per_node=1), 10).note(seen={"n1": edges})
    assert bool(note.slots) is seen


@pytest.mark.parametrize(
    ("second", "standing"), [(DAY - 1, "in_time"), (DAY, "late"), (DAY + 1, "late")]
)
def test_a_batch_is_in_time_to_the_end_of_its_due_day(second: int, standing: str) -> None:
    batch = "delivery: [{id: A, nodes: 1, due: 2026-10-01, value: '10'}]\n    floors:"
    made = story(contract_text(per_node=1).replace("floors:", batch), second)
    assert [one.standing for one in made.note(2 * DAY).batches] == [standing]
