"""The shared language and the pure judgement of Weighbridge.

Everything here but loading a file does no I/O: no clock, network, logging or asyncio. The programs (`agent`,
`collector`) import this package and meet nowhere else.
"""

__version__ = "0.1.0"
