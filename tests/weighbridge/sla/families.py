"""How the terms of a case are settled, by the family that they name."""

from collections.abc import Callable

from tests.weighbridge.sla.judged import judged
from tests.weighbridge.sla.measured import billed, evidenced, probed, rolled, short_of_capacity
from tests.weighbridge.sla.reading import Given, Json
from tests.weighbridge.sla.remedies import (
    chained,
    compensated,
    delivered_late,
    maintained,
    repaired,
    rounded_lines,
    stacked,
)

FAMILIES: dict[str, Callable[[Given, Given, Json], Json]] = {
    "availability": judged,
    "increment": judged,
    "colo_power": judged,
    "clock_hour": judged,
    "hourly_multiple": judged,
    "beyond_allowance_multiple": judged,
    "slice_average": probed,
    "probe_share": probed,
    "repair_steps": repaired,
    "maintenance_count": maintained,
    "voucher": compensated,
    "capacity": short_of_capacity,
    "late_delivery": delivered_late,
    "chain": chained,
    "rolling": rolled,
    "metered_service": billed,
    "evidence_ratio": evidenced,
    "stacking": stacked,
    "rounding": rounded_lines,
}
