"""What several dashboards show alike: states and verdicts as numbers with words, and marked stretches of time."""

from dashboards.panels import Look, Query

NOT_DELIVERED = "not delivered"
NOTHING = "nothing found"
UNJUDGED = "not worked out yet"

STATES = {
    1: ("up", "green"),
    2: ("degraded", "yellow"),
    3: ("down", "red"),
    4: ("unknown", "orange"),
    5: ("contested", "purple"),
    6: ("excluded", "#8e8e8e"),
}
OF_STATE = {
    "ok": 1,
    "degraded": 2,
    "unknown": 4,
    "unjudged": 4,
    "contested": 5,
    "contradicted": 5,
    "excluded": 6,
}
"""Of `weighbridge_gpu_state`; every other state is down."""
VERDICTS = {1: ("met", "green"), 2: ("unknown", "orange"), 3: ("breached", "red")}
SILENCE = "node_silent|collector_unreached|unreachable|(paused|agent_stopped)_by_(provider|lessee)"


def state(where: str = "") -> str:
    """The states of GPUs as the numbers of STATES; `where` are matchers of node and uuid."""
    inner = f",{where}" if where else ""
    known = [
        f'{number} * (weighbridge_gpu_state{{state="{name}"{inner}}} > bool 0)'
        for name, number in OF_STATE.items()
    ]
    rest = f'3 * (weighbridge_gpu_state{{state!~"{"|".join(OF_STATE)}"{inner}}} > bool 0)'
    return " or ".join([*known, rest])


def verdict(where: str) -> str:
    """The verdicts on objectives as the numbers of VERDICTS."""
    name = "weighbridge_contract_objective_verdict"
    parts = (
        f'{number} * {name}{{verdict="{word}"{where}}}' for number, (word, _) in VERDICTS.items()
    )
    return f"max by (contract, objective) ({' or '.join(parts)})"


def marks(where: str) -> dict[str, tuple[str, str]]:
    """Outages, silence and maintenance over every graph; `where` are matchers of the series, after a comma."""
    finding = "weighbridge_finding_active"
    return {
        "Outages (an error is breached)": (
            f'max(max_over_time({finding}{{severity="error",verdict="breached"{where}}}[$__interval])) == 1',
            "red",
        ),
        "Silence (nobody sees)": (f'max({finding}{{check=~"{SILENCE}"{where}}}) == 1', "orange"),
    }


def maintenance(where: str) -> dict[str, tuple[str, str]]:
    """Announced windows."""
    return {"Maintenance": (f"max(weighbridge_contract_maintenance{{{where}}}) == 1", "blue")}


def per_gpu(title: str, expr: str, unit: str, text: str) -> tuple[str, list[Query], str, Look]:
    """Lines of GPUs; one ends where its node fell silent."""
    said = f"{text} A line ends where the node fell silent."
    return title, [Query(expr, "{{node}} {{uuid}}")], said, Look(NOT_DELIVERED, unit)
