"""Feeds the judgement from the log, live and on replay."""
