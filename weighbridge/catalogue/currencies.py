"""What ISO 4217 says of currencies, by a kept table: which there are, which have ended, and their decimals."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

DECIMALS = 2
"""Of a currency for which the table has none."""


@dataclass(frozen=True, slots=True)
class Currencies:
    """`published`: the day of the list. `decimals` by code: of current currencies, None where the standard has none."""

    published: str
    decimals: dict[str, int | None]
    ended: frozenset[str]

    def decimals_of(self, code: str) -> int:
        """Two for a code without decimals, one that has ended, and one that the table does not have."""
        found = self.decimals.get(code)
        return DECIMALS if found is None else found

    def __contains__(self, code: str) -> bool:
        return code in self.decimals or code in self.ended


@cache
def currencies() -> Currencies:
    """The table, read once."""
    text = files("weighbridge").joinpath("data", "currencies.toml").read_text("utf-8")
    table = tomllib.loads(text)
    decimals = {
        code: None if digits == "none" else int(digits)
        for digits, held in table["decimals"].items()
        for code in held["codes"]
    }
    return Currencies(table["published"], decimals, frozenset(table["ended"]["codes"]))
