"""The back ends by name. `cuda` is imported only where it is asked for."""

from weighbridge.challenge.prover import Engine

BACKENDS = ("cpu", "cuda")


class NoBackend(Exception):
    """The back end cannot be had here. The text says what is missing."""


def open_engine(backend: str, gpu: str) -> Engine:
    """The engine of one GPU. Raises NoBackend."""
    if backend == "cpu":
        from agent.probe.cpu import CpuEngine

        return CpuEngine()
    if backend == "cuda":
        from agent.probe.cuda import CudaEngine

        return CudaEngine(gpu)
    raise NoBackend(f"{backend!r} is none of {', '.join(BACKENDS)}")
