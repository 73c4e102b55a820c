"""Where the evidence rests, and what was derived from it."""
