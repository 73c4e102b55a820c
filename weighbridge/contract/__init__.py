"""The contract: a strict, immutable, versioned document, and how it is loaded from YAML.

Every scalar in the file is a string (YAML would read `12.50` as a float and `NO` as false); the model gives it its
type. Duplicate keys, aliases, unknown keys and failed conditions are errors that name line and reason; all are
reported at once. After loading every switch has a value.
"""

from weighbridge.contract.loading import expanded, explain, load, loaded
from weighbridge.contract.model import Contract
from weighbridge.contract.objectives import (
    Availability,
    Counting,
    MinOutage,
    Policy,
    Sampling,
    Unknown,
)
from weighbridge.contract.parties import Links, Party, Tax, Term
from weighbridge.contract.problems import ContractError, ContractProblem
from weighbridge.contract.resources import (
    Accelerator,
    Bound,
    Capacity,
    Exclusivity,
    Floors,
    Interconnect,
    Resource,
)

__all__ = [
    "Accelerator",
    "Availability",
    "Bound",
    "Capacity",
    "Contract",
    "ContractError",
    "ContractProblem",
    "Counting",
    "Exclusivity",
    "Floors",
    "Interconnect",
    "Links",
    "MinOutage",
    "Party",
    "Policy",
    "Resource",
    "Sampling",
    "Tax",
    "Term",
    "Unknown",
    "expanded",
    "explain",
    "load",
    "loaded",
]
