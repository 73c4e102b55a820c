#!/usr/bin/env bash
# pynvml says that a power cap was set, and that a card runs without a clock offset, where the driver refused both.
#
# Most functions of nvidia-ml-py raise when NVML returns an error. nvmlDeviceSetPowerManagementLimit_v2,
# nvmlDeviceSetClockOffsets and nvmlDeviceGetClockOffsets drop the driver's answer and return NVML_SUCCESS;
# nvmlDeviceGetPowerMizerMode_v1 and nvmlDeviceGetCapabilities hand it over as a return value instead of raising.
# For telemetry: a limit that was refused is recorded as agreed, and an offset that nobody could read is 0 MHz: a card that was
# slowed down looks as it was leased. The older nvmlDeviceSetPowerManagementLimit raises.
#
# Seen with nvidia-ml-py 13.615.71 and Python 3.11. The driver is a stand-in, compiled here against nvml.h of
# nvidia-nvml-dev 13.4.92, that answers each of these calls as it does to a caller without rights.
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
#define REFUSES(NAME, ...) nvmlReturn_t NAME(__VA_ARGS__) { return NVML_ERROR_NO_PERMISSION; }
nvmlReturn_t nvmlInitWithFlags(unsigned int flags) { (void)flags; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device) {
  *device = (nvmlDevice_t)(intptr_t)(index + 1);
  return NVML_SUCCESS;
}
const char *nvmlErrorString(nvmlReturn_t result) { (void)result; return "Insufficient Permissions"; }
#pragma GCC diagnostic ignored "-Wunused-parameter"
REFUSES(nvmlDeviceSetPowerManagementLimit, nvmlDevice_t device, unsigned int limit)
REFUSES(nvmlDeviceSetPowerManagementLimit_v2, nvmlDevice_t device, nvmlPowerValue_v2_t *value)
REFUSES(nvmlDeviceSetClockOffsets, nvmlDevice_t device, nvmlClockOffset_t *info)
REFUSES(nvmlDeviceGetClockOffsets, nvmlDevice_t device, nvmlClockOffset_t *info)
REFUSES(nvmlDeviceGetCapabilities, nvmlDevice_t device, nvmlDeviceCapabilities_t *capabilities)
REFUSES(nvmlDeviceGetPowerMizerMode_v1, nvmlDevice_t device, nvmlDevicePowerMizerModes_v1_t *modes)
C
header=$(find packages -name nvml.h)
gcc -shared -fPIC -I "${header%/*}" -o libnvidia-ml.so.1 driver.c

cat >ask.py <<'PY'
import pynvml as nvml


def say(name, *arguments):
    try:
        print(name, "returned", getattr(nvml, name)(gpu, *arguments))
    except nvml.NVMLError as error:
        print(name, "raised", type(error).__name__)


nvml.nvmlInit()
gpu = nvml.nvmlDeviceGetHandleByIndex(0)
offset = nvml.c_nvmlClockOffset_t(version=nvml.nvmlClockOffset_v1, type=nvml.NVML_CLOCK_SM)
modes = nvml.c_nvmlDevicePowerMizerModes_v1_t()
say("nvmlDeviceSetPowerManagementLimit", 300_000)
say("nvmlDeviceSetPowerManagementLimit_v2", nvml.NVML_POWER_SCOPE_GPU, 300_000)
say("nvmlDeviceSetClockOffsets", nvml.byref(offset))
say("nvmlDeviceGetClockOffsets", nvml.byref(offset))
print("the offset that it read:", offset.clockOffsetMHz, "MHz")
say("nvmlDeviceGetCapabilities", nvml.byref(nvml.c_nvmlDeviceCapabilities_v1_t()))
say("nvmlDeviceGetPowerMizerMode_v1", nvml.byref(modes))
PY
cat >expected <<'TEXT'
nvmlDeviceSetPowerManagementLimit raised NVMLError_NoPermission
nvmlDeviceSetPowerManagementLimit_v2 returned 0
nvmlDeviceSetClockOffsets returned 0
nvmlDeviceGetClockOffsets returned 0
the offset that it read: 0 MHz
nvmlDeviceGetCapabilities returned 4
nvmlDeviceGetPowerMizerMode_v1 returned 4
TEXT
LD_LIBRARY_PATH=. PYTHONPATH=packages python3 ask.py | tee seen
diff expected seen || { echo "it behaves otherwise now" >&2; exit 1; }
