"""Delivery notes and certificates to render: ordinary ones, and ones with everything in them."""

from dataclasses import replace

from tests.collector.statements.examples import FORMULA, LONG, MARKUP
from tests.weighbridge.handover.building import IDLE, Story, always
from tests.weighbridge.scripted import ScriptedNode, contract_text
from weighbridge.codes import Note
from weighbridge.handover.documents import Certificate, DeliveryNote, PartyLine

SAMPLES = list(range(0, 1001, 10))
TERMS = """\
acceptance:
  tests:
    - {probe: sm_clock_megahertz, version: "1", threshold: "1500", quantile: "0.05", duration_s: "600"}
    - {probe: allreduce, version: v2, threshold: "400", min_nodes: "2", parameters: {size: 8GiB}}
"""
BATCHES = (
    "delivery: [{id: first, nodes: 1, due: 2026-10-01, value: '10'},"
    " {id: second, nodes: 2, due: 2026-10-02, value: '10'}]\n    floors:"
)


def story() -> Story:
    """Two of three nodes: one at work, one half idle and capped, with results that parties told."""
    made = Story(contract_text(nodes=3).replace("floors:", BATCHES) + TERMS)
    made.assign("n1", "n2")
    made.tell(ScriptedNode("n1"), SAMPLES)
    capped = always("GPU-n2-1", SAMPLES, {**IDLE, "power_limit_enforced_milliwatts": 350_000})
    made.tell(ScriptedNode("n2"), SAMPLES, capped)
    made.say("delivered", 90000, unit="first")
    made.say("test_result", 500, "n1", probe="allreduce", value="412.25", version="v2")
    made.say("test_result", 510, "n2", probe="allreduce", value="399.5")
    made.say("acceptance_signed", 2000, party="L")
    return made


def note(ugly: bool = False) -> DeliveryNote:
    """`ugly`: names that are markup, formulas and very long; SIMULATED."""
    made = story().note(100_000)
    if not ugly:
        return made
    source = replace(made.source, simulated=True, parties=parties())
    slots = tuple(replace(one, unit=f"{LONG}.{n}") for n, one in enumerate(made.slots))
    differences = tuple(replace(one, observed=MARKUP, expected=FORMULA) for one in made.differences)
    said = tuple(
        replace(one, unit=MARKUP, authority=Note("attested", {"by": FORMULA})) for one in made.said
    )
    flags = ("impossible_identity", "late_birth", "zero_delivery")
    return replace(
        made, source=source, slots=slots, differences=differences, said=said, flags=flags
    )


def certificate(ugly: bool = False) -> Certificate:
    """The same for the window of a thousand seconds."""
    made = story().certificate(0, 1000)
    if not ugly:
        return made
    source = replace(made.source, simulated=True, parties=parties())
    trials = tuple(
        replace(
            trial,
            parameters={"p": MARKUP},
            lines=tuple(
                replace(
                    line, detail=Note("unusable", {"value": FORMULA, "version": ""}), of_limit=False
                )
                for line in trial.lines
            ),
        )
        for trial in made.trials
    )
    gpus = tuple(
        replace(line, uuid=LONG, serial=MARKUP, energy_millijoules=123_456_789)
        for line in made.gpus
    )
    return replace(made, source=source, trials=trials, gpus=gpus)


def parties() -> tuple[PartyLine, ...]:
    return (
        PartyLine("P", MARKUP, FORMULA, "provider"),
        PartyLine("L", "内蒙古自治区和林格尔新区某某算力科技发展有限责任公司", None, "lessee"),
        PartyLine("O", "O", None, "operator"),
        PartyLine("A", "A", None, "auditor"),
    )
