"""What `check` found, for people: the verdict first, then what is wrong and what to do, in 80 columns."""

import textwrap
from collections.abc import Iterator

import click

from agent.check_report import Answered, CheckReport, CheckResult
from weighbridge.wire.visible import visible

WIDTH = 80
INDENT = " " * 10
COLOURS = {"met": "green", "unknown": "yellow", "breached": "red"}
DEVICES_SHOWN = 4
"""Of GPUs that say the same; the others are counted."""


def lines(found: CheckReport) -> Iterator[str]:
    """Line by line, the verdict in colour."""
    yield _coloured(found.verdict, found.summary)
    yield from _wrapped(f"contract {found.contract} version {found.version}, item {found.resource}")
    if found.driver is not None:
        yield from _wrapped(f"NVML: {found.driver.says} ({found.driver.code})")
    for result in found.checks:
        yield from _check(result, [one for one in found.answers if one.check == result.check])
    for bound in found.bounds:
        told = f"{bound.within} of {bound.read} GPUs within it" if bound.read else "no GPU tells"
        yield from _item("bound", f"{bound.bound}: {told} now; judged by full hours")
    if found.silent:
        why = "not promised, or judged over time (--json names them)"
        yield from _item("silent", f"{len(found.silent)} checks: {why}")


def _check(result: CheckResult, answers: list[Answered]) -> Iterator[str]:
    yield _coloured(
        result.verdict, f"{result.verdict:10}{result.check:26}{_counted(result, answers)}"
    )
    if result.verdict == "met":
        return
    yield from _wrapped(f"{result.means}. It cannot tell {result.cannot_see}.", INDENT)
    if result.innocent is not None:
        yield from _wrapped(f"Or: {result.innocent}.", INDENT)
    for told in _alike(answers):
        yield from _told(told)
    for number, step in enumerate(result.steps, start=1):
        yield from _wrapped(f"{number}. {step.says}", INDENT, "   ")


def _counted(result: CheckResult, answers: list[Answered]) -> str:
    """How many of the GPUs; a check that speaks of the node speaks once."""
    if not answers[0].device:
        return "the node"
    wrong = {"breached": result.breached, "unknown": result.unknown}
    told = {word: count for word, count in wrong.items() if count} or {"met": result.met}
    return ", ".join(f"{count} of {len(answers)} {word}" for word, count in told.items())


def _alike(answers: list[Answered]) -> list[list[Answered]]:
    """Those that are not met, by what they say."""
    groups: dict[tuple[str, str, str], list[Answered]] = {}
    for one in answers:
        if one.verdict != "met":
            groups.setdefault((one.verdict, one.expected, one.observed), []).append(one)
    return list(groups.values())


def _told(alike: list[Answered]) -> Iterator[str]:
    one = alike[0]
    reason = "" if one.reason is None else f": {one.reason}"
    yield from _wrapped(f"expected {one.expected}", INDENT, "  ")
    yield from _wrapped(f"observed {one.observed}{reason}", INDENT, "  ")
    named = [answer.device for answer in alike if answer.device]
    for device in named[:DEVICES_SHOWN]:
        yield from _wrapped(f"on {device}", INDENT, "  ")
    if len(named) > DEVICES_SHOWN:
        yield f"{INDENT}and {len(named) - DEVICES_SHOWN} more"


def _item(name: str, text: str) -> Iterator[str]:
    yield from _wrapped(f"{name:10}{text}", "", INDENT)


def _wrapped(text: str, indent: str = "", hanging: str = "") -> list[str]:
    return textwrap.wrap(
        visible(text),
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + hanging,
        break_on_hyphens=False,
    )


def _coloured(verdict: str, text: str) -> str:
    return click.style(text, fg=COLOURS[verdict])
