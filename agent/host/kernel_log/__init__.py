"""XIDs and SXids from the kernel log: it still speaks when NVML is dead, and knows codes that NVML leaves out."""

from agent.host.kernel_log.following import KernelLog
from agent.host.kernel_log.lines import parse_line, placed
from agent.host.kernel_log.merging import XidMerger

__all__ = ["KernelLog", "XidMerger", "parse_line", "placed"]
