"""Bundles made and verified: the evidence of a period for whoever has no collector."""
