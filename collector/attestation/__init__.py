"""Attestation of GPUs: questions to nodes, and what NVIDIA's own verifier makes of their answers."""
