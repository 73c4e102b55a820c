"""Simulated nodes, with faults on a schedule."""
