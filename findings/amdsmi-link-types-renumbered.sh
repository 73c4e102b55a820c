#!/usr/bin/env bash
# The same number is an XGMI link in one release of amdsmi and a PCIe link in the next, and in 6.2.4 in two of its own calls.
#
# amdsmi 6.2.4 has two enumerations of a link's type, one for amdsmi_get_link_metrics (PCIE 0, XGMI 1) and one for
# amdsmi_topo_get_link_type (PCIEXPRESS 1, XGMI 2). 7.0.2 has one, with INTERNAL put before both: PCIE 1, XGMI 2. Compute
# partitions were renumbered too: SPX, the whole card, has the number that CPX, the card cut into its smallest parts, had.
# Both calls return the bare number, and neither library nor binding looks at the other's release.
# For telemetry of a second vendor's cards: a binding that is newer than the node's ROCm tells eight XGMI links as PCIe, and asks
# for another partition than it names. Store names, with the release of the package beside them.
# Nor can an agent for both vendors just try the import: without the library it writes two lines to standard output, where an
# exporter's metrics may go, and raises KeyError, not ImportError.
#
# Seen with amdsmi 6.2.4 and 7.0.2 and Python 3.11. The library is a stand-in, compiled here with the names that the
# binding asks for: it knows one link, whose type has the number 1.
set -eu
for tool in python3 gcc; do
  command -v "$tool" >/dev/null || { echo "$tool is missing" >&2; exit 2; }
done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
unset ROCM_HOME ROCM_PATH
if [ -e /opt/rocm ]; then
  echo "ROCm is installed: this would be asked instead of the stand-in" >&2
  exit 2
fi
for release in 6.2.4 7.0.2; do
  python3 -m pip install --quiet --no-deps --target "$release" "amdsmi==$release" ||
    { echo "pip does not give the pinned packages" >&2; exit 2; }
done

cat >absent.py <<'PY'
import contextlib
import io

told = io.StringIO()
try:
    with contextlib.redirect_stdout(told):
        import amdsmi
except Exception as error:
    print(f"without the library: {error!r}, lines on standard output: {len(told.getvalue().splitlines())}")
PY
cat >library.py <<'PY'
"""The stand-in's source: every name that the binding looks up, and the metrics of one link."""
import re
import sys
from pathlib import Path

names = set(re.findall(r"_libraries\['libamd_smi.so'\]\.(\w+)", Path(sys.argv[1]).read_text()))
names -= {"amdsmi_get_link_metrics", "amdsmi_topo_get_link_type"}
print("\n".join(f"int {name}(void) {{ return 0; }}" for name in sorted(names)))
print("""
struct link { unsigned long long bdf; unsigned int bit_rate, max_bandwidth, link_type, padding;
              unsigned long long read, write, reserved[2]; };
struct metrics { unsigned int num_links, padding; struct link links[64]; unsigned long long reserved[7]; };
int amdsmi_get_link_metrics(void *gpu, struct metrics *told) {
  (void)gpu; told->num_links = 1; told->links[0].link_type = 1; return 0; }
int amdsmi_topo_get_link_type(void *one, void *other, unsigned long long *hops, unsigned int *type) {
  (void)one; (void)other; *hops = 1; *type = 1; return 0; }
""")
PY
cat >read.py <<'PY'
import ctypes

from amdsmi import amdsmi_interface as interface
from amdsmi import amdsmi_wrapper as wrapper


def name(enumeration, number):
    return getattr(wrapper, f"{enumeration}__enumvalues")[number]


gpu, told = wrapper.amdsmi_processor_handle(), wrapper.amdsmi_link_metrics_t()
wrapper.amdsmi_get_link_metrics(gpu, ctypes.byref(told))
print("link 1 by metrics: ", name("amdsmi_link_type_t", told.links[0].link_type))
number = interface.amdsmi_topo_get_link_type(gpu, gpu)["type"]
old = hasattr(wrapper, "amdsmi_io_link_type_t__enumvalues")
print("link 1 by topology:", name("amdsmi_io_link_type_t" if old else "amdsmi_link_type_t", number))
print("compute partition 1:", interface.AmdSmiComputePartitionType(1).name)
PY
for release in 6.2.4 7.0.2; do
  echo "amdsmi $release"
  PYTHONPATH="$release" python3 absent.py
  python3 library.py "$release/amdsmi/amdsmi_wrapper.py" >library.c
  gcc -shared -fPIC -w -o "$release/amdsmi/libamd_smi.so" library.c
  PYTHONPATH="$release" python3 read.py
done | tee seen
cat >expected <<'TEXT'
amdsmi 6.2.4
without the library: KeyError('libamd_smi.so'), lines on standard output: 2
link 1 by metrics:  AMDSMI_LINK_TYPE_XGMI
link 1 by topology: AMDSMI_IOLINK_TYPE_PCIEXPRESS
compute partition 1: CPX
amdsmi 7.0.2
without the library: KeyError('libamd_smi.so'), lines on standard output: 2
link 1 by metrics:  AMDSMI_LINK_TYPE_PCIE
link 1 by topology: AMDSMI_LINK_TYPE_PCIE
compute partition 1: SPX
TEXT
diff expected seen || { echo "it behaves otherwise now" >&2; exit 1; }
