"""A node that was rebooted while it was to answer was not silent: void, which is bad luck, and counted."""

from dataclasses import replace
from typing import Any

import pytest

from tests.adversary.test_busy import BEGUN, BOTH, ENDED, GPU, OTHER, Challenged
from tests.weighbridge.scripted import SECOND, ScriptedNode
from weighbridge.challenge.record import RecordError
from weighbridge.challenge.telemetry import recheck_telemetry, seal_telemetry
from weighbridge.log.entries import EntryKind
from weighbridge.log.succession import LogKeys

SILENT = ("not assessed", "no answer")
UNASSESSED, PATH = ("challenge_unassessed", ""), ("challenge_path", "")
MARGIN = 1
"""Seconds by which clocks that are synchronized may differ."""


class Rebooted(Challenged):
    """Each side's agent may speak from a later boot, of which it was second `shift` of the story at its second 0."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = dict.fromkeys(BOTH, 0)

    def boot(self, side: str, at: int, *, synchronized: bool = True) -> None:
        """The machine of this side's agent starts anew at this second."""
        name = f"{side}-{at}"
        self.shift[side] = at + 1000
        offset_us = self.shift[side] * SECOND
        self.nodes[side] = ScriptedNode(chain=name, boot=name, wall_offset_us=offset_us)
        self.add(EntryKind.REPORT, self.introduction("n1", name, side), side)
        self.nodes[side].synchronized = synchronized

    def show(self, second: int, using: Any, *_gpus: str) -> None:
        self.tick(second + 1)
        for side, node in self.nodes.items():
            if side in using:
                report = self.continued(node.report([second - self.shift[side]]), side)
                self.add(EntryKind.REPORT, report, side)

    def silent(
        self,
        *,
        at: int = BEGUN + 10,
        sides: tuple[str, ...] = BOTH,
        heard: tuple[str, ...] = BOTH,
        lived: int = BEGUN + 5,
        lessee_at: int | None = None,
        synchronized: bool = True,
    ) -> "Rebooted":
        """A series to which nobody answers; the machine of `sides` starts anew at second `at` of it. The boot before is
        heard of last at second `lived`. `lessee_at`: when the lessee's agent speaks for the last time."""
        self.count += 1
        start, name = 1000 * self.count, f"s{self.count}"
        if lessee_at is not None:
            self.show(start + lessee_at, ("lessee",))
        self.show(start + BEGUN - 5, heard)
        self.begin(start, name)
        self.show(start + lived, heard)
        self.end(start, name, *SILENT, ())
        for side in sides:
            self.boot(side, start + at, synchronized=synchronized)
        self.show(start + 400, heard)
        self.link(name)
        return self


def test_a_reboot_that_both_sides_show_makes_a_silent_series_void() -> None:
    found = Rebooted()
    for number in range(1, 6):
        assert found.codes() == set(), number
        found.silent()
    assert found.codes() == {PATH}, "it counts among those that are void, and in no row of refusals"
    told = found.open()[PATH].observed
    assert told.endswith("the last: a reboot in the run")
    assert found.values() == [None] * 10
    proofs = found.fold.states["n1"].proofs
    assert {(proofs[gpu].verdict, proofs[gpu].reason) for gpu in (GPU, OTHER)} == {
        ("void", "a reboot in the run")
    }
    shown = {one.verdict for one in found.book.record("K1", 2**60).proven}  # type: ignore[union-attr]
    assert shown == {"void"}


def rows(found: Rebooted) -> tuple[int, int]:
    """How many were not assessed, and how many were void."""
    state = found.fold.states["n1"]
    return sum(state.unassessed.values()), sum(state.voided.values())


@pytest.mark.parametrize(
    ("told", "void"),
    [
        ({}, True),
        ({"sides": ()}, False),
        ({"sides": ("provider",)}, False),
        ({"sides": ("lessee",)}, False),
        ({"sides": ("provider",), "heard": ("provider",)}, True),
        ({"at": BEGUN - MARGIN}, True),
        ({"at": BEGUN - MARGIN - 1}, False),
        ({"lived": ENDED + MARGIN}, True),
        ({"lived": ENDED + MARGIN + 1}, False),
        ({"at": 390}, True),
        ({"synchronized": False}, False),
        ({"sides": ("provider",), "heard": ("provider",), "lessee_at": BEGUN - 120}, False),
        ({"sides": ("provider",), "heard": ("provider",), "lessee_at": BEGUN - 121}, True),
    ],
)
def test_only_a_reboot_in_the_run_of_which_no_side_says_otherwise_is_one(
    told: dict[str, Any], void: bool
) -> None:
    """The boot before it lived no longer than the run, and the next one began no sooner; a large server starts for
    minutes. A prover that is silent, and says afterwards that it was rebooted, needs the lessee's agent to say so."""
    found = Rebooted().silent(**told)
    assert rows(found) == ((0, 1) if void else (1, 0))


def test_anybody_recomputes_a_reboot_from_the_reports() -> None:
    found = Rebooted().silent()
    keys = LogKeys(found.log.public_key)
    assert recheck_telemetry(found.entries, found.ended, keys) is not None
    assert found.newest is not None
    found.entries.pop()
    bent = replace(found.newest, rebooted=False)
    found.take(seal_telemetry(found.log, bent)[1])
    with pytest.raises(RecordError, match="otherwise of a reboot"):
        recheck_telemetry(found.entries, found.ended, keys)


def test_a_link_that_leaves_the_lessees_boot_out_is_found_out() -> None:
    found = Rebooted().silent(sides=("provider",))
    assert found.newest is not None
    found.entries.pop()
    bent = replace(found.newest, both=None, rebooted=True)
    found.take(seal_telemetry(found.log, bent)[1])
    with pytest.raises(RecordError, match="is left out"):
        recheck_telemetry(found.entries, found.ended, LogKeys(found.log.public_key))
