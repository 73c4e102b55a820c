"""What findings mean and what to do next: data, one row a code. What is the case, the judge decides."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, NamedTuple

from weighbridge.verdict import Verdict

FINDINGS = "findings.toml"
COUNT_BECAUSE = re.compile(r"\d+ GPUs \((\w+)\)", re.ASCII)
"""What is observed where a driver counted no GPUs, and the bus shows too few."""


class Answerable(StrEnum):
    """Who answers for a finding, unless evidence says otherwise. COLLECTOR: who runs it."""

    PROVIDER = "provider"
    LESSEE = "lessee"
    COLLECTOR = "collector"
    NOBODY = "nobody"
    OPEN = "open"


class Said(NamedTuple):
    """One thing said, in each language."""

    en: str
    zh: str


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do, by a stable code."""

    code: str
    says: Said


@dataclass(frozen=True, slots=True)
class Meaning:
    """Of one code. `steps` are in order, the first that helps ends them; `unseen`, if any, stand in their place where a
    check could not see. `innocent`: how a signal comes about though nobody did wrong."""

    code: str
    answerable: Answerable
    means: Said
    cannot_see: Said
    innocent: Said | None
    steps: tuple[Step, ...]
    unseen: tuple[Step, ...]

    def says(self, verdict: Verdict) -> Said:
        """What a finding, or a check's answer, of this verdict means."""
        if verdict is Verdict.UNKNOWN and self.unseen:
            return Said(f"nobody could see whether {self.means.en}", f"无法确认是否{self.means.zh}")
        return self.means

    def next_steps(self, verdict: Verdict) -> tuple[Step, ...]:
        """What to do about a finding, or a check's answer, of this verdict; nothing where all is met."""
        if verdict is Verdict.MET:
            return ()
        return self.unseen if verdict is Verdict.UNKNOWN and self.unseen else self.steps


def meaning(code: str) -> Meaning | None:
    """What a code means; None for one that this version does not know."""
    return meanings().get(code)


@cache
def meanings() -> Mapping[str, Meaning]:
    """Every code, in the order of the table."""
    rows, known = _table()["finding"], steps()
    return MappingProxyType({row["code"]: _meaning(row, known) for row in rows})


@cache
def steps() -> Mapping[str, Step]:
    """Every step by its code."""
    return MappingProxyType(
        {row["code"]: Step(row["code"], Said(row["en"], row["zh"])) for row in _table()["step"]}
    )


def answerable(code: str) -> str:
    """Who answers for findings of a code; open for one that this version does not know."""
    row = meaning(code)
    return (Answerable.OPEN if row is None else row.answerable).value


def reason_said(observed: str) -> Said | None:
    """In words why there is no value, or none but a count that nobody made; None for what is no reason."""
    counted = COUNT_BECAUSE.fullmatch(observed)
    return _reasons().get(counted[1] if counted else observed)


@cache
def _reasons() -> Mapping[str, Said]:
    return {row["code"]: Said(row["en"], row["zh"]) for row in _table()["reason"]}


@cache
def _table() -> Mapping[str, Any]:
    return tomllib.loads(files("weighbridge").joinpath("data", FINDINGS).read_text("utf-8"))


def _meaning(row: Mapping[str, Any], known: Mapping[str, Step]) -> Meaning:
    return Meaning(
        code=row["code"],
        answerable=Answerable(row["answerable"]),
        means=Said(**row["means"]),
        cannot_see=Said(**row["cannot_see"]),
        innocent=Said(**row["innocent"]) if "innocent" in row else None,
        steps=tuple(known[code] for code in row["steps"]),
        unseen=tuple(known[code] for code in row.get("unseen", ())),
    )
