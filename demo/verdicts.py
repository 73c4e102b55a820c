"""What was planted against what was found. Pure: both sides come in as they were said."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from demo.plan import HONEST, Expected, Fault

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One fault: the findings that it had to lead to, in order, None where one did not come."""

    fault: Fault
    planted: Json | None
    found: tuple[Json | None, ...]

    @property
    def is_found(self) -> bool:
        """Everything that had to be found was, and the fault was really planted."""
        planted = self.planted is not None or not self.fault.scenario
        return planted and all(finding is not None for finding in self.found)


def compare(
    faults: Sequence[Fault], planted: Iterable[Json], findings: Sequence[Json]
) -> list[Outcome]:
    """Each fault with what the fleet said of it, and the findings of the right code, subject and verdict."""
    said = {(event["planted"], event["node"]): event for event in planted}
    outcomes = []
    for fault in faults:
        event = next((event for (kind, _), event in said.items() if kind == fault.name), None)
        device = "" if event is None else event["device"] or ""
        found = tuple(_match(expected, device, findings) for expected in fault.expected)
        outcomes.append(Outcome(fault, event, found))
    return outcomes


def _match(expected: Expected, device: str, findings: Sequence[Json]) -> Json | None:
    wanted = (expected.contract, expected.code, expected.node, device if expected.device else "")
    for finding in findings:
        subject = (finding["contract"], finding["code"], finding["node"], finding["gpu"])
        if subject == wanted and finding["verdict"] == expected.verdict:
            return finding
    return None


def against_the_honest(findings: Iterable[Json]) -> list[Json]:
    """What was found against the honest contract, be it only that something could not be seen. Must be nothing."""
    return [finding for finding in findings if finding["contract"] == HONEST]
