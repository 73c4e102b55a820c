#!/usr/bin/env bash
# pynvml up to 13.610.43 reads "fabric not supported" from every driver that says "fabric complete" by the call without a version.
#
# nvmlGpuFabricInfo_t has a UUID of 16 bytes before status, clique and state: 28 bytes. The class of that name in nvidia-ml-py
# has 80 bytes of UUID, the length of a UUID as text: the driver fills the first 28 bytes of 92, and status, clique and state are
# read behind them, where the zeros of a new structure are. Zero is a valid state (NVML_GPU_FABRIC_STATE_NOT_SUPPORTED) and a
# valid status (NVML_SUCCESS). 13.615.71 has it right. nvmlDeviceGetGpuFabricInfoV, which newer drivers have, is right in both.
# For telemetry: on an older driver a node of eight linked GPUs looks like one without NVSwitch, in good health: a missing fabric
# that was leased is not found, and a present one is denied. Take 16 bytes of UUID by a structure of one's own there.
#
# Seen with nvidia-ml-py 13.610.43 and 13.615.71 and Python 3.11. The driver is a stand-in, compiled here against nvml.h of
# nvidia-nvml-dev 13.4.92: the state is COMPLETED (3), the clique 4, the UUID's bytes are 1 to 16.
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
install 13.610.43 nvidia-ml-py==13.610.43
install 13.615.71 nvidia-ml-py==13.615.71

cat >driver.c <<'C'
#include <nvml.h>
#include <stdint.h>
nvmlReturn_t nvmlInitWithFlags(unsigned int flags) { (void)flags; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device) {
  *device = (nvmlDevice_t)(intptr_t)(index + 1);
  return NVML_SUCCESS;
}
static void uuid(unsigned char *bytes) {
  for (int i = 0; i < NVML_GPU_FABRIC_UUID_LEN; i++)
    bytes[i] = i + 1;
}
nvmlReturn_t nvmlDeviceGetGpuFabricInfo(nvmlDevice_t device, nvmlGpuFabricInfo_t *info) {
  (void)device;
  uuid(info->clusterUuid);
  info->status = NVML_SUCCESS;
  info->cliqueId = 4;
  info->state = NVML_GPU_FABRIC_STATE_COMPLETED;
  return NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceGetGpuFabricInfoV(nvmlDevice_t device, nvmlGpuFabricInfoV_t *info) {
  (void)device;
  if (info->version != nvmlGpuFabricInfo_v2)
    return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
  uuid(info->clusterUuid);
  info->status = NVML_SUCCESS;
  info->cliqueId = 4;
  info->state = NVML_GPU_FABRIC_STATE_COMPLETED;
  return NVML_SUCCESS;
}
C
found=$(find header -name nvml.h)
gcc -shared -fPIC -I "${found%/*}" -o libnvidia-ml.so.1 driver.c

cat >read.py <<'PY'
import pynvml as nvml

nvml.nvmlInit()
gpu = nvml.nvmlDeviceGetHandleByIndex(0)
for call, kind in (("", nvml.c_nvmlGpuFabricInfo_t), ("V", nvml.c_nvmlGpuFabricInfo_v2_t)):
    info = kind()
    getattr(nvml, f"nvmlDeviceGetGpuFabricInfo{call}")(gpu, nvml.byref(info))
    size = nvml.sizeof(info)
    print(f"  nvmlDeviceGetGpuFabricInfo{call}: {size} bytes, state {info.state}, clique {info.cliqueId}")
PY
for release in 13.610.43 13.615.71; do
  echo "nvidia-ml-py $release"
  LD_LIBRARY_PATH=. PYTHONPATH="$release" python3 read.py
done | tee seen
cat >expected <<'TEXT'
nvidia-ml-py 13.610.43
  nvmlDeviceGetGpuFabricInfo: 92 bytes, state 0, clique 0
  nvmlDeviceGetGpuFabricInfoV: 36 bytes, state 3, clique 4
nvidia-ml-py 13.615.71
  nvmlDeviceGetGpuFabricInfo: 28 bytes, state 3, clique 4
  nvmlDeviceGetGpuFabricInfoV: 36 bytes, state 3, clique 4
TEXT
diff expected seen || { echo "it behaves otherwise now" >&2; exit 1; }
