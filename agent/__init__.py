"""The agent: reads one node, signs what it found, keeps it until the collector has it."""
