#!/usr/bin/env bash
# Within four releases of nvml.h one name of an NVML field has two numbers and one number two meanings, there and back again.
#
# nvmlDeviceGetFieldValues is asked by number, and a number carries no version. The header and the binding of the 575 branch
# inserted five fields (time slowed down by heat, the power brake, and power balancing) before those of power smoothing, which
# moved them; a release of the 580 branch put them back and gave the five new numbers. The call and its structure stayed as they were.
# For telemetry: binding and driver from two sides of the change talk past each other without an error. Whoever asks for the
# nanoseconds of thermal slowdown (251 there) asks for "power smoothing is on" (251 here): 0 or 1, a plausible count for a card
# that was never slowed down. What 251 to 273 mean depends on the driver's release: ask for them where it is known, or not.
#
# Seen with nvml.h of nvidia-nvml-dev(-cu12) and with nvidia-ml-py, each in the releases named below.
set -eu
command -v python3 >/dev/null || { echo "python3 is missing" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for package in nvidia-nvml-dev-cu12==12.8.90 nvidia-nvml-dev-cu12==12.9.79 nvidia-nvml-dev==13.0.39 nvidia-nvml-dev==13.0.87 \
  nvidia-ml-py==12.570.172 nvidia-ml-py==12.575.51 nvidia-ml-py==13.580.65 nvidia-ml-py==13.580.82 nvidia-ml-py==13.615.71; do
  python3 -m pip download --quiet --no-deps --dest wheels "$package" ||
    { echo "pip does not give the pinned packages" >&2; exit 2; }
done

cat >read.py <<'PY'
import re
import zipfile
from pathlib import Path

NAMES = {
    "enabled": "NVML_FI_PWR_SMOOTHING_ENABLED",
    "sw heat": "NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN",
    "brake": "NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN",
    "tmp floor": "NVML_FI_PWR_SMOOTHING_PROFILE_PERCENT_TMP_FLOOR",
}


def text(wheel):
    with zipfile.ZipFile(wheel) as files:
        name = next(one for one in files.namelist() if one.endswith(("/nvml.h", "pynvml.py")))
        return files.read(name).decode()


def number(source, name):
    found = re.search(rf"^(?:#define\s+)?{name}\s*=?\s*(\d+)", source, re.MULTILINE)
    return found[1] if found else "-"


print(f"{'':36}", *(f"{short:>9}" for short in NAMES))
for wheel in sorted(Path("wheels").iterdir(), key=lambda one: ("ml_py" in one.name, one.name.split("-")[1])):
    source = text(wheel)
    package = " ".join(wheel.name.split("-")[:2]).replace("_", "-")
    print(f"{package:36}", *(f"{number(source, name):>9}" for name in NAMES.values()))
PY
cat >expected <<'TEXT'
                                       enabled   sw heat     brake tmp floor
nvidia-nvml-dev-cu12 12.8.90               251         -         -       260
nvidia-nvml-dev-cu12 12.9.79               256       251       253       265
nvidia-nvml-dev 13.0.39                    256       251       253       265
nvidia-nvml-dev 13.0.87                    251       269       271       260
nvidia-ml-py 12.570.172                    251         -         -       260
nvidia-ml-py 12.575.51                     256       251       253       265
nvidia-ml-py 13.580.65                     256       251       253       265
nvidia-ml-py 13.580.82                     251       269       271       260
nvidia-ml-py 13.615.71                     251       269       271       260
TEXT
python3 read.py | tee seen
diff expected seen || { echo "it behaves otherwise now" >&2; exit 1; }
