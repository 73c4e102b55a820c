"""What a red flag is, and what its row in the table says: words, level, weight and limits. Who raises it is code."""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from weighbridge.audit.portfolio import Portfolio
from weighbridge.catalogue.findings import Said

TABLE = "audit.toml"


@dataclass(frozen=True, slots=True)
class FlagRow:
    """Of one code. `level`: of the evidence it rests on, E0 to E4, or `terms` and `words` of the parties.

    `innocent`: how it comes about though nobody did wrong. `limits`: the numbers of its rule.
    """

    code: str
    level: str
    means: Said
    innocent: tuple[Said, ...]
    limits: Mapping[str, Fraction]


@dataclass(frozen=True, slots=True)
class Flag:
    """A prompt to look at one or several contracts. `figures`: by name, exact texts; `entries`: of the log."""

    code: str
    contracts: tuple[str, ...]
    subject: str
    since_us: int
    figures: Mapping[str, str]
    entries: tuple[int, ...] = ()
    level: str = ""


Finder = Callable[[Portfolio], Iterator[Flag]]
"""Raises the flags of one family. Pure."""


@cache
def flag_rows() -> Mapping[str, FlagRow]:
    """Every code, in the order of the table."""
    text = files("weighbridge").joinpath("data", TABLE).read_text("utf-8")
    return MappingProxyType({row["code"]: _row(row) for row in tomllib.loads(text)["flag"]})


def limit(code: str, name: str) -> Fraction:
    """A number of a flag's rule, as the table has it."""
    return flag_rows()[code].limits[name]


def figures(**found: object) -> Mapping[str, str]:
    """By name, as text; what there is not is left out."""
    return {name: str(value) for name, value in found.items() if value is not None}


def percent(share: Fraction) -> str:
    """A share in per cent to two places, rounded down: no flag looks worse than it is by rounding."""
    hundredths = int(share * 10_000)
    return f"{hundredths // 100}.{hundredths % 100:02}"


def _row(row: Mapping[str, Any]) -> FlagRow:
    return FlagRow(
        code=row["code"],
        level=row["level"],
        means=Said(**row["means"]),
        innocent=tuple(Said(**one) for one in row["innocent"]),
        limits={name: Fraction(value) for name, value in row.get("limits", {}).items()},
    )
