"""The back ends that tests run on, and the cards of this machine."""

from pathlib import Path
from typing import Final

import pytest

HAS_GPU: Final = Path("/dev/nvidiactl").exists()
NO_GPU: Final = pytest.mark.skipif(not HAS_GPU, reason="not run here: no GPU")
BACKENDS: Final = ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, NO_GPU])]


def gpus(backend: str) -> list[str]:
    """What a prober of this back end is asked for: two names for the CPU, all cards for CUDA."""
    if backend == "cpu":
        return ["GPU-a", "GPU-b"]
    from cuda.core import Device

    return [device.uuid for device in Device.get_all_devices()]
