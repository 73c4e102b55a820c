#!/usr/bin/env bash
# pynvml raises TypeError for a process whose memory the driver does not know, and tells 4294967295 % for its utilisation.
#
# nvml.h: gpuUtilization and maxMemoryUsage of nvmlAccountingStats_t are NVML_VALUE_NOT_AVAILABLE where they are not supported.
# nvidia-ml-py means to turn the memory's value into None, as it does in the list of running processes, but assigns None to a
# field of a C structure: TypeError, which no handler of NVMLError catches, and the rest of the record is lost with it.
# The utilisation is handed on as the largest unsigned number. nvmlDeviceGetAccountingStats_v2 hands on both.
# For settlement: accounting is what a process used over its whole life; one record without memory hides all of it, and a mean
# over processes is off by ten digits. Compare with 2**32 - 1 and 2**64 - 1 before anything is stored.
#
# Seen with nvidia-ml-py 13.615.71 and Python 3.11. The driver is a stand-in, compiled here against nvml.h of
# nvidia-nvml-dev 13.4.92, that answers as nvml.h documents it.
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
nvmlReturn_t nvmlInitWithFlags(unsigned int flags) { (void)flags; return NVML_SUCCESS; }
nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device) {
  *device = (nvmlDevice_t)(intptr_t)(index + 1);
  return NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceGetAccountingStats(nvmlDevice_t device, unsigned int pid, nvmlAccountingStats_t *stats) {
  (void)device;
  memset(stats, 0, sizeof *stats);
  stats->gpuUtilization = pid == 1 ? 88 : (unsigned int)NVML_VALUE_NOT_AVAILABLE;
  stats->maxMemoryUsage = pid == 3 ? (unsigned long long)NVML_VALUE_NOT_AVAILABLE : 1ull << 30;
  stats->time = 3600000;
  return NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceGetAccountingStats_v2(nvmlDevice_t device, nvmlAccountingStats_v2_t *stats) {
  (void)device;
  stats->gpuUtilization = (unsigned int)NVML_VALUE_NOT_AVAILABLE;
  stats->maxMemoryUsage = (unsigned long long)NVML_VALUE_NOT_AVAILABLE;
  return NVML_SUCCESS;
}
nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t device, unsigned int *count, nvmlProcessInfo_t *infos) {
  (void)device;
  if (!infos || !*count) {
    *count = 1;
    return NVML_ERROR_INSUFFICIENT_SIZE;
  }
  *count = 1;
  memset(infos, 0, sizeof *infos);
  infos->pid = 3;
  infos->usedGpuMemory = (unsigned long long)NVML_VALUE_NOT_AVAILABLE;
  return NVML_SUCCESS;
}
C
header=$(find packages -name nvml.h)
gcc -shared -fPIC -I "${header%/*}" -o libnvidia-ml.so.1 driver.c

cat >read.py <<'PY'
import pynvml as nvml

nvml.nvmlInit()
gpu = nvml.nvmlDeviceGetHandleByIndex(0)
known = {1: "all known", 2: "no utilisation", 3: "neither"}
for pid, words in known.items():
    try:
        stats = nvml.nvmlDeviceGetAccountingStats(gpu, pid)
        print(f"{words}: {stats.gpuUtilization} %, {stats.maxMemoryUsage} bytes, {stats.time} ms")
    except TypeError as error:
        print(f"{words}: {type(error).__name__}, which is an NVMLError: {isinstance(error, nvml.NVMLError)}")
stats = nvml.nvmlDeviceGetAccountingStats_v2(gpu, 3)
print(f"neither, by v2: {stats.gpuUtilization} %, {stats.maxMemoryUsage} bytes")
print("list of running processes:", nvml.nvmlDeviceGetComputeRunningProcesses(gpu)[0].usedGpuMemory, "bytes")
PY
cat >expected <<'TEXT'
all known: 88 %, 1073741824 bytes, 3600000 ms
no utilisation: 4294967295 %, 1073741824 bytes, 3600000 ms
neither: TypeError, which is an NVMLError: False
neither, by v2: 4294967295 %, 18446744073709551615 bytes
list of running processes: None bytes
TEXT
LD_LIBRARY_PATH=. PYTHONPATH=packages python3 read.py | tee seen
diff expected seen || { echo "it behaves otherwise now" >&2; exit 1; }
