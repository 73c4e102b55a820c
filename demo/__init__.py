"""The demonstration: both programs as processes on loopback, a simulated fleet with planted faults, and what was found.

The faults are planted in the devices, by a scenario file that only the fleet's process is given. What is found comes
from the collector's API alone; the plan is used once, at the end, to compare.
"""
