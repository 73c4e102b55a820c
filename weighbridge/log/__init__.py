"""The evidence log: entries, Merkle tree, checkpoints, receipts, and the signatures on all of them."""
