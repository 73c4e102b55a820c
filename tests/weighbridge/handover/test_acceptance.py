"""The acceptance certificate: load that was seen, load that was not, and what nobody can say."""

from dataclasses import replace
from typing import Any

import pytest
from msgspec import to_builtins

from tests.weighbridge.handover.building import IDLE, Changes, Story, always, at
from tests.weighbridge.scripted import SECOND, SIGNER, START_US, ScriptedNode, contract_text
from weighbridge.challenge.record import ChallengeOutcome, Weighed, Weighing
from weighbridge.challenge.telemetry import BothSides, link, seal_telemetry
from weighbridge.codes import Note, note
from weighbridge.handover.documents import Certificate
from weighbridge.handover.trials import PROVED
from weighbridge.log.entries import entry

SAMPLES = list(range(0, 1001, 10))
HALF_US = 500_000_000


def asking(*rows: str) -> str:
    return contract_text() + f"acceptance: {{tests: [{', '.join(rows)}]}}\n"


def story(text: str | None = None, changes: Changes | None = None) -> Story:
    """One node of two GPUs that reports every ten seconds for a thousand, under load unless it is changed."""
    made = Story(text or contract_text())
    made.assign("n1")
    made.tell(ScriptedNode(), SAMPLES, changes)
    return made


def loads(certificate: Certificate) -> dict[str, tuple[str, int, int, int]]:
    return {
        line.unit: (
            line.verdict,
            line.loaded_us // 1_000_000,
            line.idle_us // 1_000_000,
            line.unknown_us // 1_000_000,
        )
        for line in certificate.gpus
    }


def test_a_gpu_that_ran_under_load_is_shown_to_have_done_so() -> None:
    made = story().certificate(0, 1000)
    assert loads(made) == {"n1.0": ("MET", 1000, 0, 0), "n1.1": ("MET", 1000, 0, 0)}
    assert (made.verdict, made.flags, made.sides) == ("MET", (), ("provider",))
    assert [line.uuid for line in made.gpus] == ["GPU-n1-0", "GPU-n1-1"]
    (quantity,) = made.quantities
    assert (quantity.gpus_loaded, quantity.gpus_idle, quantity.gpus_unknown) == (2, 0, 0)
    assert quantity.nodes_passed == 1


def test_a_gpu_that_was_seen_and_idled_raises_the_flag() -> None:
    made = story(changes=always("GPU-n1-1", SAMPLES, IDLE)).certificate(0, 1000)
    assert loads(made)["n1.1"] == ("BREACHED", 0, 1000, 0)
    assert (made.verdict, made.flags) == ("BREACHED", ("certificate_without_load",))
    assert made.quantities[0].nodes_passed == 0


def test_a_window_in_which_nothing_was_seen_is_unknown_and_no_absence_of_load() -> None:
    made = story().certificate(2000, 3000)
    assert loads(made) == {"n1.0": ("UNKNOWN", 0, 0, 1000), "n1.1": ("UNKNOWN", 0, 0, 1000)}
    assert (made.verdict, made.flags) == ("UNKNOWN", ("certificate_without_evidence",))
    assert made.sides == ()


def test_time_that_nobody_saw_is_neither_load_nor_its_absence() -> None:
    """Silent after 400 s of load: 600 s may have been either. After 400 s of idling: 600 s may still be half."""
    quiet = [second for second in SAMPLES if second <= 400]
    made = Story()
    made.assign("n1")
    made.tell(ScriptedNode(), quiet, always("GPU-n1-1", quiet, IDLE))
    assert loads(made.certificate(0, 1000)) == {
        "n1.0": ("UNKNOWN", 400, 0, 600),
        "n1.1": ("UNKNOWN", 0, 400, 600),
    }
    assert loads(made.certificate(0, 700))["n1.1"] == ("BREACHED", 0, 400, 300)


def test_half_of_the_window_is_needed_where_no_test_names_a_duration() -> None:
    idle = [second for second in SAMPLES if second >= 500]
    made = story(changes=always("GPU-n1-1", idle, IDLE))
    assert loads(made.certificate(0, 1000))["n1.1"] == ("MET", 500, 500, 0)
    assert made.certificate(0, 1000).gpus[0].needed_us == HALF_US
    more = story(changes=always("GPU-n1-1", [490, *idle], IDLE))
    assert loads(more.certificate(0, 1000))["n1.1"] == ("BREACHED", 490, 510, 0)


def as_card(**told: int | str) -> Story:
    """A story in which both GPUs say that they are this card; the second one idles."""
    made = Story()
    made.assign("n1")
    identity = {device: dict(told) for device in ("GPU-n1-0", "GPU-n1-1")}
    made.tell(ScriptedNode(identity=identity), SAMPLES, always("GPU-n1-1", SAMPLES, IDLE))
    return made


def test_a_card_whose_power_nobody_knows_cannot_be_said_to_work_and_may_be_seen_to_idle() -> None:
    assert loads(as_card(pci_device_id="10de:ffff").certificate(0, 1000)) == {
        "n1.0": ("UNKNOWN", 0, 0, 1000),
        "n1.1": ("BREACHED", 0, 1000, 0),
    }


def test_a_card_is_judged_by_the_power_that_it_is_made_for_and_not_by_the_contracted_one() -> None:
    """300 W is more than half of 400 W, and less than half of 700 W."""
    a100 = as_card(pci_device_id="10de:20b2", pci_subsystem_id="10de:1463").certificate(0, 1000)
    assert loads(a100)["n1.0"] == ("MET", 1000, 0, 0)
    assert [line.load_power_milliwatts for line in a100.gpus] == [200_000, 200_000]
    big = as_card(pci_device_id="10de:ffff", power_limit_default_milliwatts=700_000)
    assert loads(big.certificate(0, 1000))["n1.0"] == ("UNKNOWN", 0, 0, 1000)


def test_a_sample_that_lies_after_its_own_report_was_seen_by_nobody() -> None:
    made, node = Story(), ScriptedNode()
    made.assign("n1")
    clock = to_builtins(node.report([500]).clock)
    made.tell(ScriptedNode(), SAMPLES, clock=clock)
    assert loads(made.certificate(0, 1000))["n1.0"] == ("MET", 500, 0, 500)


def test_readings_are_shown_over_the_window_alone() -> None:
    hot = always("GPU-n1-0", [200], {"temperature_gpu_celsius": 90})
    hot = {**hot, 800: {"GPU-n1-0": {"temperature_gpu_celsius": 20}}}
    line = story(changes=hot).certificate(100, 300).gpus[0]
    heat = {one.reading: one for one in line.readings}["temperature_gpu_celsius"]
    assert (heat.least, heat.most, heat.mean, heat.mean_fraction) == (50, 90, "52.000", "52")
    assert heat.seen_us == 200_000_000
    assert line.first_seen == at(100)


def test_a_window_is_cut_to_the_microsecond_and_samples_reach_into_it() -> None:
    assert loads(story().certificate(95, 105))["n1.0"] == ("MET", 10, 0, 0)


def test_samples_that_a_spool_brought_late_count_as_if_they_had_come_in_time() -> None:
    made = Story()
    made.assign("n1")
    node = ScriptedNode()
    made.tell(node, [0])
    made.tell(node, SAMPLES[1:], received=5000)
    late = made.certificate(0, 1000)
    assert loads(late)["n1.0"] == ("MET", 1000, 0, 0)


def test_two_chains_of_one_side_count_the_same_time_once() -> None:
    made = story()
    made.tell(ScriptedNode(chain="chain-2"), SAMPLES, received=5000)
    once, twice = story().certificate(0, 1000), made.certificate(0, 1000)
    assert loads(once) == loads(twice)
    assert [line.readings for line in once.gpus] == [line.readings for line in twice.gpus]


def test_both_sides_stand_side_by_side_and_where_they_differ_it_is_not_passed() -> None:
    made = story()
    made.tell(
        ScriptedNode(chain="chain-2"), SAMPLES, always("GPU-n1-0", SAMPLES, IDLE), side="lessee"
    )
    shown = made.certificate(0, 1000)
    assert [(line.unit, line.side, line.verdict) for line in shown.gpus] == [
        ("n1.0", "lessee", "BREACHED"),
        ("n1.0", "provider", "MET"),
        ("n1.1", "lessee", "MET"),
        ("n1.1", "provider", "MET"),
    ]
    assert shown.sides == ("lessee", "provider")
    assert shown.flags == ("certificate_without_load",)


def test_slots_are_those_that_the_ledger_knows_and_a_replaced_device_stands_beside_its_successor() -> (
    None
):
    filled = {"n1": (("GPU-n1-1",), ("GPU-gone", "GPU-n1-0"))}
    made = story().certificate(0, 1000, filled=filled)
    assert [(line.unit, line.uuid, line.verdict) for line in made.gpus] == [
        ("n1.0", "GPU-n1-1", "MET"),
        ("n1.1", "GPU-gone", "UNKNOWN"),
        ("n1.1", "GPU-n1-0", "MET"),
    ]
    assert made.verdict == "UNKNOWN"


def test_a_place_that_nobody_enrolled_leaves_the_whole_unknown() -> None:
    made = story(contract_text(nodes=2)).certificate(0, 1000)
    assert (made.verdict, made.flags) == ("UNKNOWN", ("certificate_without_evidence",))
    (quantity,) = made.quantities
    assert (quantity.gpus, quantity.gpus_loaded, quantity.gpus_unknown) == (4, 2, 2)
    assert (quantity.nodes, quantity.nodes_passed) == (2, 1)


CLOCK = '{probe: sm_clock_megahertz, version: "1", threshold: "1500"'


def verdicts(text: str, changes: Changes | None = None, end: int = 1000) -> tuple[str, list[str]]:
    (trial,) = story(text, changes).certificate(0, end).trials
    return trial.verdict, [line.verdict for line in trial.lines]


def test_a_reading_must_reach_its_threshold_all_the_time_or_for_all_but_its_quantile() -> None:
    slow = always("GPU-n1-1", [100, 110], {"sm_clock_megahertz": 1499})
    assert verdicts(asking(CLOCK + "}")) == ("MET", ["MET", "MET"])
    assert verdicts(asking(CLOCK + "}"), slow) == ("BREACHED", ["MET", "BREACHED"])
    assert verdicts(asking(CLOCK + ', quantile: "0.02"}'), slow) == (
        "BREACHED",
        ["MET", "BREACHED"],
    )
    assert verdicts(asking(CLOCK + ', quantile: "0.021"}'), slow) == ("MET", ["MET", "MET"])


def test_a_reading_that_was_not_seen_all_the_time_is_unknown_and_an_exact_threshold_counts() -> (
    None
):
    assert verdicts(asking(CLOCK + "}"), end=2000) == ("UNKNOWN", ["UNKNOWN", "UNKNOWN"])
    exact = always("GPU-n1-1", [100], {"sm_clock_megahertz": 1500})
    assert verdicts(asking(CLOCK + "}"), exact)[0] == "MET"
    assert verdicts(asking(CLOCK + ', op: ">"}'), exact)[0] == "BREACHED"


def test_a_test_of_a_duration_needs_load_for_that_long_and_a_shorter_window_says_nothing() -> None:
    text = asking(CLOCK + ', duration_s: "800"}')
    assert verdicts(text)[0] == "MET"
    idle = always("GPU-n1-1", [second for second in SAMPLES if second >= 700], IDLE)
    made = story(text, idle).certificate(0, 1000)
    assert (made.trials[0].nodes, made.load_rule) == ({"n1": "BREACHED"}, "duration")
    assert made.gpus[1].needed_us == 800_000_000
    assert story(text).certificate(0, 700).trials[0].verdict == "UNKNOWN"
    assert story(text).certificate(0, 700).flags == ()


BUS = '{probe: allreduce, version: v2, threshold: "400"'


def told(*results: tuple[int, str, dict[str, str]], text: str = asking(BUS + "}")) -> Any:
    made = story(text)
    for second, unit, details in results:
        made.say("test_result", second, unit, probe="allreduce", **details)
    (trial,) = made.certificate(0, 1000).trials
    return trial


def test_a_test_that_nobody_told_a_result_of_is_unknown() -> None:
    assert (told().verdict, told().lines, told().nodes) == ("UNKNOWN", (), {"n1": "UNKNOWN"})


def test_a_result_is_judged_by_its_value_and_says_who_told_it() -> None:
    trial = told((10, "n1", {"value": "400"}))
    assert (trial.verdict, trial.nodes) == ("MET", {"n1": "MET"})
    (line,) = trial.lines
    said = note("said_by", party="P", authority=note("signed", key="0123"))
    assert (line.value, line.level, line.entry) == ("400", said, 1000)
    assert told((10, "n1", {"value": "399.99"})).verdict == "BREACHED"


@pytest.mark.parametrize(
    "details", [{"value": "fast"}, {}, {"value": "500", "version": "v1"}, {"value": "1e9"}]
)
def test_a_result_that_is_no_number_or_of_another_version_says_nothing(
    details: dict[str, str],
) -> None:
    trial = told((10, "n1", details))
    assert trial.verdict == "UNKNOWN"
    assert isinstance(trial.lines[0].detail, Note)


def test_a_result_outside_the_window_is_not_one_of_it() -> None:
    assert told((1000, "n1", {"value": "500"})).lines == ()


def test_the_newest_retest_counts_as_long_as_the_contract_allows_it() -> None:
    low, high = {"value": "1"}, {"value": "500"}
    assert told((10, "n1", low), (20, "n1", low), (30, "n1", high)).verdict == "MET"
    fourth = told((10, "n1", low), (20, "n1", low), (30, "n1", low), (40, "n1", high))
    assert fourth.verdict == "BREACHED"
    assert [line.of_limit for line in fourth.lines] == [True, True, True, False]


def test_a_test_on_too_few_nodes_is_not_passed() -> None:
    both = asking(BUS + ', min_nodes: "2"}')
    assert told((10, "n1", {"value": "500"}), text=both).verdict == "UNKNOWN"


def test_with_a_quantile_results_are_taken_together() -> None:
    half = asking(BUS + ', quantile: "0.51"}')
    mixed = ((10, "n1.0", {"value": "500"}), (20, "n1.1", {"value": "1"}))
    assert told(*mixed, text=half).verdict == "MET"
    assert told(*mixed, text=asking(BUS + ', quantile: "0.5"}')).verdict == "BREACHED"


def outcome(*gpus: Weighed) -> ChallengeOutcome:
    weighing = Weighing(gpus[0].verdict, None, gpus)
    return ChallengeOutcome(
        "c.1", "c", "K1", "n1", SIGNER.public_key, weighing, (), b"", (), b"", gpus[0].verdict,
        None, 1, 0, True, (), 0,
    )  # fmt: skip


def weighed(gpu: str, verdict: str, rate: int | None) -> Weighed:
    return Weighed(gpu, verdict, None, 8, 0, rate, None, None, None)


TOO_SLOW = "compute below the requirement"
PROOF = asking('{probe: challenge, version: f16, threshold: "600"}')


def proof(*gpus: Weighed, received: int = 500, **changes: Any) -> Any:
    made = story(PROOF)
    made.prove(replace(outcome(*gpus), **changes), received)
    (trial,) = made.certificate(0, 1000).trials
    return trial


def test_a_challenge_proves_a_rate_of_each_gpu_at_level_e2() -> None:
    fast, slow = (
        weighed("GPU-n1-0", "met", 612 * 10**12),
        weighed("GPU-n1-1", "met", 599 * 10**12),
    )
    trial = proof(fast, slow)
    assert [(line.unit, line.value, line.verdict, line.level) for line in trial.lines] == [
        ("n1.0", "612", "MET", PROVED),
        ("n1.1", "599", "BREACHED", PROVED),
    ]
    assert trial.verdict == "BREACHED"
    assert proof(fast, replace(slow, flops_per_second=600 * 10**12)).verdict == "MET"


def test_a_challenge_that_assessed_nothing_or_came_at_another_time_says_nothing() -> None:
    fast = [weighed(f"GPU-n1-{slot}", "met", 612 * 10**12) for slot in (0, 1)]
    unseen = weighed("GPU-n1-1", "not_assessed", None)
    assert proof(fast[0], unseen).verdict == "UNKNOWN"
    assert proof(*fast, received=1000).lines == ()
    assert proof(*fast, contract="K2").lines == ()
    assert proof(*fast, final=False).lines == ()
    assert proof(fast[0], weighed("GPU-n1-1", "failed", None)).verdict == "BREACHED"


@pytest.mark.parametrize("other", ["GPU-n1-7", "GPU-elsewhere"])
def test_a_challenge_of_some_gpus_accepts_no_node(other: str) -> None:
    """Nor does one of a card beside those that the contract is owed."""
    fast = weighed("GPU-n1-0", "met", 612 * 10**12)
    assert proof(fast).verdict == "UNKNOWN"
    strange = proof(replace(fast, gpu=other))
    assert (strange.verdict, strange.lines) == ("UNKNOWN", ())


def test_a_series_that_failed_is_failed_though_its_last_attempt_was_declined() -> None:
    declined = [weighed(f"GPU-n1-{slot}", "not assessed", None) for slot in (0, 1)]
    trial = proof(*declined, series_verdict="failed", failed=("GPU-n1-1",))
    assert [line.verdict for line in trial.lines] == ["UNKNOWN", "BREACHED"]
    assert trial.verdict == "BREACHED"


@pytest.mark.parametrize(
    ("reason", "verdict"),
    [("wrong answer", "BREACHED"), ("compute below the requirement", "MET")],
)
def test_no_retest_undoes_a_wrong_answer(reason: str, verdict: str) -> None:
    made = story(PROOF.replace("acceptance: {", 'acceptance: {retest_limit: "3", '))
    right = [weighed(f"GPU-n1-{slot}", "met", 612 * 10**12) for slot in (0, 1)]
    wrong = replace(right[0], verdict="failed", reason=reason, flops_per_second=None)
    made.prove(outcome(wrong, right[1]), 500)
    made.prove(outcome(*right), 600)
    (trial,) = made.certificate(0, 1000).trials
    assert trial.verdict == verdict


@pytest.mark.parametrize(("busy", "verdict"), [((), "BREACHED"), (("GPU-n1-1",), "UNKNOWN")])
def test_a_failure_that_both_sides_show_to_be_somebody_elses_work_says_nothing(
    busy: tuple[str, ...], verdict: str
) -> None:
    made = story(PROOF)
    slow = replace(weighed("GPU-n1-1", "failed", 400 * 10**12), reason=TOO_SLOW)
    ended = outcome(weighed("GPU-n1-0", "met", 612 * 10**12), slow)
    failed = {"series_verdict": "failed", "series_reason": TOO_SLOW, "failed": ("GPU-n1-1",)}
    ended = replace(ended, **failed)  # type: ignore[arg-type]
    made.prove(ended, 500)
    both = BothSides("c", b"", (-1, -1), (), b"", 1, 0, 0, busy, ())
    linked = link(ended, [], {}, None, 0, both)
    made.entries.append(entry(len(made.entries), seal_telemetry(SIGNER, linked)[1]))
    (trial,) = made.certificate(0, 1000).trials
    assert trial.verdict == verdict


def test_a_rate_above_the_ceiling_says_nothing() -> None:
    fast = [weighed(f"GPU-n1-{slot}", "met", 612 * 10**12) for slot in (0, 1)]
    beyond = replace(fast[1], verdict="unknown", flops_per_second=10**15)
    assert proof(fast[0], beyond).verdict == "UNKNOWN"


def test_service_that_started_in_the_window_before_a_gpu_was_seen_is_flagged() -> None:
    made = story()
    made.say("acceptance_signed", 0, party="L")
    assert made.certificate(0, 1000).flags == ()
    late = Story()
    late.assign("n1")
    late.tell(ScriptedNode(), SAMPLES[1:])
    late.say("acceptance_signed", 0, party="L")
    assert late.certificate(0, 1000).flags == ("late_birth",)


def test_who_a_gpu_is_was_told_long_before_the_window_and_nothing_else_is_read_of_that_time() -> (
    None
):
    made, node = Story(), ScriptedNode(identity={"GPU-n1-0": {"serial": "4711"}})
    made.assign("n1")
    made.tell(node, [0, 10])
    made.tell(node, [20, 30])
    made.tell(node, list(range(900, 1001, 10)))
    shown = made.certificate(900, 1000)
    assert [line.serial for line in shown.gpus] == ["4711", None]
    assert shown.source.reports == 2
    assert loads(shown)["n1.0"] == ("MET", 100, 0, 0)


def test_the_same_evidence_gives_the_same_bytes_and_the_sources_are_named() -> None:
    one, other = story().certificate(0, 1000), story().certificate(0, 1000)
    assert one.json() == other.json()
    assert (one.source.entries, one.source.reports) == ((0, 1), 1)
    changed = story(changes=always("GPU-n1-0", [10], {"sm_clock_megahertz": 1})).certificate(
        0, 1000
    )
    assert changed.source.inputs_digest != one.source.inputs_digest


@pytest.mark.parametrize(
    ("seen", "loaded"),
    [(((0, 400),), 400), (((600, 1000),), 400), (((0, 105), (203, 300)), 202), ((), 0)],
)
def test_what_a_node_did_for_somebody_else_is_not_told(
    seen: tuple[tuple[int, int], ...], loaded: int
) -> None:
    """A window that reaches past the contract's own time shows nothing of who had the node before or after."""
    times = tuple((START_US + a * SECOND, START_US + b * SECOND) for a, b in seen)
    made = story().certificate(0, 1000, seen={"n1": times})
    found = loads(made).values()
    assert {(one[1], one[2]) for one in found} == {(loaded, 0)}
    assert {one[3] for one in found} == {1000 - loaded}
