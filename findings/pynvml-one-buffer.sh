#!/usr/bin/env bash
# pynvml gives the utilisation and the thermal sensors of every GPU in one and the same object.
#
# nvmlDeviceGetDynamicPstatesInfo(handle) and nvmlDeviceGetThermalSettings(handle, sensor) of nvidia-ml-py take the structure
# that is filled as an optional argument, made once when the module is loaded. Called with the handle alone they return that
# structure, or views into it. Two GPUs read one after the other are afterwards two names for the second one's figures, and no
# error says so. nvmlDeviceGetUtilizationRates makes a structure for each call.
# For telemetry: an idle or hot GPU vanishes behind its neighbour as soon as a node is read into a list.
#
# Seen with nvidia-ml-py 13.615.71 and Python 3.11. The driver is a stand-in, compiled here against nvml.h of
# nvidia-nvml-dev 13.4.92: GPU 0 works at 97 % and 81 degrees, GPU 1 at 3 % and 34 degrees.
set -eu
for tool in python3 gcc; do
  command -v "$tool" >/dev/null || { echo "$tool is missing" >&2; exit 2; }
done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m pip install --quiet --no-deps --target packages nvidia-ml-py==13.615.71 nvidia-nvml-dev==13.4.92 ||
  { echo "pip does not give the pinned packages" >&2; exit 2; }

cat >driver.c <<'C'
#include <nvml.h>
#include <stdint.h>
#include <string.h>
static int index_of(nvmlDevice_t device) { return (int)(intptr_t)device - 1; }
nvmlReturn_t nvmlInitWithFlags(unsigned int flags) { (void)flags; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device) {
  *device = (nvmlDevice_t)(intptr_t)(index + 1);
  return NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *rates) {
  rates->gpu = index_of(device) ? 3 : 97;
  rates->memory = 0;
  return NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceGetDynamicPstatesInfo(nvmlDevice_t device, nvmlGpuDynamicPstatesInfo_t *info) {
  memset(info, 0, sizeof *info);
  info->utilization[0].bIsPresent = 1;
  info->utilization[0].percentage = index_of(device) ? 3 : 97;
  return NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceGetThermalSettings(nvmlDevice_t device, unsigned int sensor, nvmlGpuThermalSettings_t *settings) {
  (void)sensor;
  memset(settings, 0, sizeof *settings);
  settings->count = 1;
  settings->sensor[0].currentTemp = index_of(device) ? 34 : 81;
  return NVML_SUCCESS;
}
C
header=$(find packages -name nvml.h)
gcc -shared -fPIC -I "${header%/*}" -o libnvidia-ml.so.1 driver.c

cat >read.py <<'PY'
import pynvml as nvml

nvml.nvmlInit()
gpus = [nvml.nvmlDeviceGetHandleByIndex(index) for index in (0, 1)]

rates = [nvml.nvmlDeviceGetUtilizationRates(gpu) for gpu in gpus]
states = [nvml.nvmlDeviceGetDynamicPstatesInfo(gpu) for gpu in gpus]
sensors = [nvml.nvmlDeviceGetThermalSettings(gpu, 0) for gpu in gpus]
print("utilisation, by rates:", [one.gpu for one in rates])
print("utilisation, by dynamic P-states:", [one.utilization[0].percentage for one in states])
print("degrees, by thermal settings:", [one[0].currentTemp for one in sensors])
print("one object for both GPUs:", states[0] is states[1])

own = [nvml.c_nvmlGpuDynamicPstatesInfo_t() for _ in gpus]
for gpu, one in zip(gpus, own):
    nvml.nvmlDeviceGetDynamicPstatesInfo(gpu, nvml.byref(one))
print("utilisation, with a structure of one's own by reference:", [one.utilization[0].percentage for one in own])
PY
cat >expected <<'TEXT'
utilisation, by rates: [97, 3]
utilisation, by dynamic P-states: [3, 3]
degrees, by thermal settings: [34, 34]
one object for both GPUs: True
utilisation, with a structure of one's own by reference: [97, 3]
TEXT
LD_LIBRARY_PATH=. PYTHONPATH=packages python3 read.py | tee seen
diff expected seen || { echo "it behaves otherwise now" >&2; exit 1; }
