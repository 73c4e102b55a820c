"""Challenges: whom, when, and every word of them in the log."""
