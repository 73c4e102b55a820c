"""A page for each alert: what it means, what to do, when it stops. `python -m dashboards.runbooks DIR` writes them."""

import sys
from pathlib import Path

from dashboards.alerts import ALERTS, Alert
from weighbridge.catalogue.findings import meanings

URGENT = {
    "critical": "It wakes somebody: what is done now changes what comes.",
    "warning": "It waits for the morning.",
}


def pages() -> dict[str, str]:
    """Markdown by the alert's name."""
    return {alert.name: _page(alert) for alert in ALERTS}


def build(target: Path) -> None:
    """Write the pages, one file each, and no others."""
    target.mkdir(parents=True, exist_ok=True)
    wanted = {f"{name}.md": text for name, text in pages().items()}
    for path in target.glob("*.md"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (target / name).write_text(text, encoding="utf-8")


def _page(alert: Alert) -> str:
    hold = "" if alert.hold == "0s" else f", for {alert.hold}"
    return (
        f"# {alert.name}\n\nMade from `dashboards/alerts.toml` by `python -m dashboards.runbooks`.\n\n"
        f"{alert.text}\n\n"
        f"- **Severity:** {alert.severity}. {URGENT[alert.severity]}\n"
        f"- **It fires when** {alert.when}.\n"
        f"- **It stops by itself:** {alert.ends}\n\n"
        f"## What to do\n\n{_steps(alert)}\n"
        f"## What it asks Prometheus{hold}\n\n```promql\n{alert.expr}\n```\n"
    )


def _steps(alert: Alert) -> str:
    if not alert.codes:
        return "".join(f"{number}. {step}\n" for number, step in enumerate(alert.first, start=1))
    told = alert.steps()
    head = (
        "The label `check` says which finding it is. The first step that helps ends the list.\n\n"
    )
    return head + "".join(_finding(code, said) for code, said in told.items())


def _finding(code: str, said: str) -> str:
    """One item; of a signal also how it comes about though nobody did wrong."""
    innocent = meanings()[code].innocent
    means = said.removeprefix(f"{code}: ")
    reasons = f" Innocent reasons: {innocent.en}." if innocent else ""
    return f"- **`{code}`**: {means}.{reasons}\n"


if __name__ == "__main__":
    build(Path(sys.argv[1]))
