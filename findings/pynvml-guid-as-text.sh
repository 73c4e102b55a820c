#!/usr/bin/env bash
# pynvml reads the InfiniBand GUID of a GPU's tray as text: cut at the first zero byte, or not readable at all.
#
# nvml.h has ibGuid of nvmlPlatformInfo_t as 16 unsigned bytes (8 of GUID on Blackwell), and slot, tray and module as numbers
# of one byte. nvidia-ml-py declares them as characters and decodes them as UTF-8: a GUID that holds a zero byte loses all that
# follows it, one with a byte above 127 that is no UTF-8 raises UnicodeDecodeError, and so does a number from 128 on; tray 0 is
# '\x00', which is true.
# For telemetry: two GPUs with different GUIDs have one identity, and a GUID that no handler of NVML errors expects ends the
# loop. ctypes.string_at gives the bytes; cuda.bindings.nvml, NVIDIA's other binding, gives numbers (and needs numpy, which its
# package does not ask for).
#
# Seen with nvidia-ml-py 13.615.71, cuda-bindings 13.5.0 and Python 3.11. The driver is a stand-in, compiled here against
# nvml.h of nvidia-nvml-dev 13.4.92, for three GPUs; two of the GUIDs begin alike.
set -eu
for tool in python3 gcc; do
  command -v "$tool" >/dev/null || { echo "$tool is missing" >&2; exit 2; }
done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m pip install --quiet --target packages nvidia-ml-py==13.615.71 nvidia-nvml-dev==13.4.92 \
  cuda-bindings==13.5.0 cuda-pathfinder==1.9.1 numpy==2.4.6 ||
  { echo "pip does not give the pinned packages" >&2; exit 2; }

cat >driver.c <<'C'
#include <nvml.h>
#include <stdint.h>
#include <string.h>
static const unsigned char guid[3][8] = {
  {0x04, 0x3f, 0x72, 0x03, 0x00, 0xc4, 0x11, 0x22},
  {0x04, 0x3f, 0x72, 0x03, 0x00, 0xd8, 0x55, 0x66},
  {0x94, 0x6d, 0xae, 0x03, 0x00, 0xc4, 0x11, 0x22},
};
nvmlReturn_t nvmlInit_v2(void) { return NVML_SUCCESS; }
nvmlReturn_t nvmlInitWithFlags(unsigned int flags) { (void)flags; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device) {
  *device = (nvmlDevice_t)(intptr_t)(index + 1);
  return NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceGetPlatformInfo(nvmlDevice_t device, nvmlPlatformInfo_t *info) {
  int index = (int)(intptr_t)device - 1;
  if (info->version != nvmlPlatformInfo_v2)
    return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
  memcpy(info->ibGuid, guid[index], sizeof guid[index]);
  info->slotNumber = 18;
  info->trayIndex = index;
  info->moduleId = 200;
  return NVML_SUCCESS;
}
C
header=$(find packages -name nvml.h)
gcc -shared -fPIC -I "${header%/*}" -o libnvidia-ml.so.1 driver.c

cat >read.py <<'PY'
import pynvml
from cuda.bindings import nvml


def told(information, name):
    try:
        return ascii(getattr(information, name))
    except UnicodeDecodeError as error:
        return type(error).__name__


pynvml.nvmlInit()
nvml.init_v2()
for index in range(3):
    one = pynvml.c_nvmlPlatformInfo_v2_t()
    pynvml.nvmlDeviceGetPlatformInfo(pynvml.nvmlDeviceGetHandleByIndex(index), pynvml.byref(one))
    other = nvml.device_get_platform_info(nvml.device_get_handle_by_index_v2(index))
    print("GPU", index)
    print("  driver       ", pynvml.string_at(pynvml.addressof(one) + 4, 8).hex())
    print("  pynvml       ", *(told(one, name) for name in ("ibGuid", "slotNumber", "trayIndex", "moduleId")))
    print("  cuda.bindings", bytes(other.ib_guid[:8]).hex(), other.slot_number, other.tray_index, other.module_id)
PY
cat >expected <<'TEXT'
GPU 0
  driver        043f720300c41122
  pynvml        '\x04?r\x03' '\x12' '\x00' UnicodeDecodeError
  cuda.bindings 043f720300c41122 18 0 200
GPU 1
  driver        043f720300d85566
  pynvml        '\x04?r\x03' '\x12' '\x01' UnicodeDecodeError
  cuda.bindings 043f720300d85566 18 1 200
GPU 2
  driver        946dae0300c41122
  pynvml        UnicodeDecodeError '\x12' '\x02' UnicodeDecodeError
  cuda.bindings 946dae0300c41122 18 2 200
TEXT
LD_LIBRARY_PATH=. PYTHONPATH=packages python3 read.py | tee seen
diff expected seen || { echo "it behaves otherwise now" >&2; exit 1; }
