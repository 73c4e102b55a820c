"""From samples to acknowledged reports."""
