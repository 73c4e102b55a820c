"""The driver, read in a process of its own."""
