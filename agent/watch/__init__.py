"""A witness: whether nodes are reached from here, read and reported as GPUs are."""
