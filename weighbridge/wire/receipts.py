"""What the collector answers to a batch of reports: receipts, or where it wants the chain to go on."""

from weighbridge.wire.report import Count, Hash, Name, WirePart

REPORTS_PATH = "/v1/reports"
KEPT_HEADER = "Weighbridge-Kept"
"""Sizes of heads that the agent was shown, by commas: it asks for proofs that the answer's head follows from them."""

MOST_KEPT = 2

REPORTS_TYPE = "application/vnd.weighbridge.reports"


class Receipt(WirePart, frozen=True):
    """Where a report lies in the log. The head that covers it is beside it, once for all."""

    index: Count
    leaf_hash: Hash
    received_us: Count


class Expected(WirePart, frozen=True):
    """Where the collector wants a chain to go on."""

    chain: Name
    seq: Count
    prev: Hash | None
