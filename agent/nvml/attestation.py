"""A GPU's evidence of its own chip, in a process of its own: `python -I -m agent.nvml.attestation UUID NONCE`.

The chip signs its report for the nonce, which takes seconds; the process that reads the samples never waits for it.
Writes one line of JSON: the NVML code, and where it is 0 what NVML gave. Reads only, and no tenant notices.
"""

import base64
import ctypes
import json
import signal
import sys
from ctypes import byref, c_uint
from typing import Any

from agent.nvml.binding import AttestationReport, Certificate, Device, Library, NvmlError

PR_SET_PDEATHSIG = 1


def evidence(library: Library, uuid: str, nonce: bytes) -> dict[str, Any]:
    """The chip's architecture, its signed report for the nonce, and its certificate chain. Raises NvmlError."""
    code = library.start()
    if code:
        raise NvmlError(code)
    device, architecture = Device(), c_uint()
    certificate, report = Certificate(), AttestationReport()
    report.nonce[:] = nonce
    library.require("nvmlDeviceGetHandleByUUID", uuid.encode(), byref(device))
    library.require("nvmlDeviceGetArchitecture", device, byref(architecture))
    library.require("nvmlDeviceGetConfComputeGpuCertificate", device, byref(certificate))
    library.require("nvmlDeviceGetConfComputeGpuAttestationReport", device, byref(report))
    signed = bytes(report.attestationReport[: report.attestationReportSize])
    chain = bytes(certificate.attestationCertChain[: certificate.attestationCertChainSize])
    return {
        "code": 0,
        "architecture": architecture.value,
        "report": base64.b64encode(signed).decode(),
        "chain": chain.decode("ascii", "replace"),
    }


def main() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    uuid, nonce = sys.argv[1:3]
    try:
        told = evidence(Library(), uuid, bytes.fromhex(nonce))
    except NvmlError as error:
        told = {"code": error.code}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
