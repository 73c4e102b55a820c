"""The second fold: which device was present where, over all nodes and contracts.

A UUID that two nodes, or two exclusive contracts, show at the same time is contested for both: picking the second could
be farmed. Contested time is laid over the settlement and never written into a node's own intervals. The registry also
knows the contracts whose nodes never reported.
"""

from weighbridge.evidence import Entry
from weighbridge.judge import Finding


class Registry:
    """Presence of devices. Serialises to JSON and back without loss."""

    def fold(self, entry: Entry) -> list[Finding]:
        """Conflicts and absences that this entry opens or closes."""
        ...
