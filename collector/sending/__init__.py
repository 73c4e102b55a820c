"""Metrics that are sent to where somebody wants them, rather than fetched."""
