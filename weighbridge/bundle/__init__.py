"""A bundle: the evidence of one period of one contract as one file, readable from `docs/bundle.md` alone."""
