"""How evidence enters the log, and who may let it in."""
