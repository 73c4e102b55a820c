"""`docs/checks.md`, made of the table of findings and the checks.

python -m weighbridge.judge.reference > docs/checks.md
"""

import sys
from collections.abc import Iterator, Sequence

from weighbridge.catalogue.findings import Meaning, Said, Step, meanings, steps
from weighbridge.judge.checks import CHECKS, Check
from weighbridge.judge.checks.check import HOUR

HEAD = """\
# Findings: what they mean, and what to do

Made from `weighbridge/data/findings.toml` and the checks by `python -m weighbridge.judge.reference`: edit those, not
this page.

A check compares what a node shows with what its contract promises, and answers for each GPU or for the node: met,
breached, or unknown where nobody could see. What is breached or unknown is a finding until the answer changes. Other
findings are what the collector itself noticed, of a node or of the log. The page of a contract, `weighbridge status`,
`/v1/contracts/{contract}/findings`, the alerts and `weighbridge-agent check` say the same of each as this page.

**Answerable** is who answers for it unless evidence says otherwise: `provider`, `lessee`, `collector` (who runs it),
`nobody`, or `open`, which cannot be told. Of what a check could not see it is open. **Effect** is what a breach does
to the availability of its GPU: `down`, `degraded` or `none`. **Level** is that of the evidence
([Evidence](evidence.md)).

A **signal** is never breached, only unknown: it says that something does not fit, and an innocent reason beside it. The
steps are in order, and the first that helps ends them. How `weighbridge-agent check` is used before a job, and what its
exit codes mean: [Operations](operations.md#before-a-job-starts). NVIDIA's 62 checks beside these:
[NVIDIA Health Validation](health-validation.md).
"""

CHECKED = "What is checked"
NOTICED = "What is noticed"


def reference() -> str:
    """The page's text."""
    checks = {check.code: check for check in CHECKS}
    rows = meanings()
    lines = [HEAD, "## Steps\n", *_steps(list(steps().values())), f"\n## {CHECKED}\n"]
    for code in checks:
        lines += _finding(rows[code], checks[code])
    lines.append(f"## {NOTICED}\n")
    for row in rows.values():
        if row.code not in checks:
            lines += _finding(row, None)
    return "\n".join(lines).rstrip() + "\n"


def _steps(known: Sequence[Step]) -> Iterator[str]:
    yield "| step | what | 中文 |\n|---|---|---|"
    for step in known:
        yield f"| `{step.code}` | {step.says.en} | {step.says.zh} |"


def _finding(row: Meaning, check: Check | None) -> Iterator[str]:
    yield f"### `{row.code}`\n"
    yield f"{_sentence(row.means)}\n"
    yield f"- answerable: {row.answerable}{'' if check is None else _weighed(check)}"
    yield f"- cannot tell: {_both(row.cannot_see)}"
    if row.innocent is not None:
        yield f"- or: {_both(row.innocent)}"
    yield f"- next: {_codes(row.steps)}"
    if row.unseen:
        yield f"- where it could not see: {_codes(row.unseen)}"
    yield ""


def _weighed(check: Check) -> str:
    parts = [f"severity {check.severity}, effect {check.effect}, level {check.level}"]
    if check.blind != "info":
        parts.append(f"where it is unknown, severity {check.blind}")
    if HOUR in check.watches:
        parts.append("of each full UTC hour")
    return "; " + "; ".join(parts)


def _sentence(said: Said) -> str:
    return f"{said.en[0].upper()}{said.en[1:]}. {said.zh}。"


def _both(said: Said) -> str:
    return f"{said.en} ({said.zh})"


def _codes(known: Sequence[Step]) -> str:
    return ", ".join(f"`{step.code}`" for step in known)


if __name__ == "__main__":
    sys.stdout.write(reference())
