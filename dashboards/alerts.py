"""The alerts as data (`alerts.toml`), and what somebody does about each."""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files

from weighbridge.catalogue.findings import Meaning, meanings
from weighbridge.verdict import Verdict

GIVEN = re.compile(r"\{(\w+)(?:\|(\w+))?\}")
"""A label, or the value, in a summary; and how it is written."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One row of `alerts.toml`, which says what each field is. `codes` and `expr` are filled in."""

    name: str
    when: str
    expr: str
    severity: str
    summary: str
    text: str
    ends: str
    hold: str = "0s"
    codes: Sequence[str] = ()
    first: Sequence[str] = ()
    left_out: Sequence[str] = ()
    apart: bool = False
    unseen: bool = False

    @property
    def title(self) -> str:
        """The summary as Prometheus' template."""
        return GIVEN.sub(_given, self.summary)

    def steps(self) -> Mapping[str, str]:
        """What to do by the code of the finding; by "" where it is about none."""
        if not self.codes:
            return {"": _numbered(self.first)}
        verdict = Verdict.UNKNOWN if self.unseen else Verdict.BREACHED
        return {code: _told(meanings()[code], verdict) for code in self.codes}


def _given(found: re.Match[str]) -> str:
    name = "$value" if found[1] == "value" else f"$labels.{found[1]}"
    return f"{{{{ {name} | {found[2]} }}}}" if found[2] else f"{{{{ {name} }}}}"


def _numbered(steps: Iterable[str]) -> str:
    return "; ".join(f"{number}. {step}" for number, step in enumerate(steps, start=1))


def _told(row: Meaning, verdict: Verdict) -> str:
    said = _numbered(step.says.en for step in row.next_steps(verdict))
    return f"{row.code}: {row.says(verdict).en}. {said}"


def _load() -> tuple[Alert, ...]:
    table = tomllib.loads(files("dashboards").joinpath("alerts.toml").read_text("utf-8"))["alert"]
    rows = [Alert(**row) for row in table]
    named = {row.name: list(row.codes) for row in rows}
    named["apart"] = [code for row in rows if row.apart for code in row.codes]
    return tuple(_filled(row, named) for row in rows)


def _filled(row: Alert, named: Mapping[str, Sequence[str]]) -> Alert:
    left_out = [code for name in row.left_out for code in named[name]]
    codes = [code for code in meanings() if code not in left_out] if left_out else row.codes
    expr = row.expr.replace("{codes}", "|".join(codes)).replace("{left_out}", "|".join(left_out))
    return replace(row, codes=codes, expr=expr)


ALERTS = _load()
