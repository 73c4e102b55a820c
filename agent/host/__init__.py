"""What the node says without NVML."""
