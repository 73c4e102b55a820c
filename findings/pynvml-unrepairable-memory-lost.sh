#!/usr/bin/env bash
# pynvml says of every card that it has no unrepairable memory, whatever its driver says.
#
# nvmlUnrepairableMemoryStatus_v1_t of nvml.h is one number, bUnrepairableMemory. The class of nvidia-ml-py has a version before
# it, so the driver writes its answer over the version, and what is returned is the zero behind it that nobody wrote. The call
# succeeds: 0 is "none", not "unknown".
# For telemetry: a card that has to be replaced looks healthy by the one call that says so, from driver 590 on. Hand over a
# structure of one's own and take its first number.
#
# Seen with nvidia-ml-py 13.590.48 and 13.615.71 and Python 3.11. The driver is a stand-in, compiled here against nvml.h of
# nvidia-nvml-dev 13.4.92: GPU 0 has unrepairable memory, GPU 1 has none.
set -eu
for tool in python3 gcc; do
  command -v "$tool" >/dev/null || { echo "$tool is missing" >&2; exit 2; }
done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
install() { # folder, package
  python3 -m pip install --quiet --no-deps --target "$1" "$2" ||
    { echo "pip does not give the pinned packages" >&2; exit 2; }
}
install header nvidia-nvml-dev==13.4.92
install 13.590.48 nvidia-ml-py==13.590.48
install 13.615.71 nvidia-ml-py==13.615.71

cat >driver.c <<'C'
#include <nvml.h>
#include <stdint.h>
nvmlReturn_t nvmlInitWithFlags(unsigned int flags) { (void)flags; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device) {
  *device = (nvmlDevice_t)(intptr_t)(index + 1);
  return NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceGetUnrepairableMemoryFlag_v1(nvmlDevice_t device, nvmlUnrepairableMemoryStatus_v1_t *status) {
  status->bUnrepairableMemory = (intptr_t)device == 1;
  return NVML_SUCCESS;
}
C
found=$(find header -name nvml.h)
gcc -shared -fPIC -I "${found%/*}" -o libnvidia-ml.so.1 driver.c

cat >read.py <<'PY'
import pynvml as nvml

nvml.nvmlInit()
for index in (0, 1):
    gpu = nvml.nvmlDeviceGetHandleByIndex(index)
    status = nvml.c_uint(7)
    nvml.nvmlLib.nvmlDeviceGetUnrepairableMemoryFlag_v1(gpu, nvml.byref(status))
    told = nvml.nvmlDeviceGetUnrepairableMemoryFlag_v1(gpu)
    print(f"  GPU {index}: the driver says {status.value}, pynvml {told}")
PY
for release in 13.590.48 13.615.71; do
  echo "nvidia-ml-py $release"
  LD_LIBRARY_PATH=. PYTHONPATH="$release" python3 read.py
done | tee seen
cat >expected <<'TEXT'
nvidia-ml-py 13.590.48
  GPU 0: the driver says 1, pynvml 0
  GPU 1: the driver says 0, pynvml 0
nvidia-ml-py 13.615.71
  GPU 0: the driver says 1, pynvml 0
  GPU 1: the driver says 0, pynvml 0
TEXT
diff expected seen || { echo "it behaves otherwise now" >&2; exit 1; }
