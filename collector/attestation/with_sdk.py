"""NVIDIA's verifier asked about one answer, by the Python that has it: JSON on standard input, a line of JSON out.

Started by its path, in the environment that the operator names: nothing of the project is imported here. Needs
`nv-local-gpu-verifier` (2.x). What it verifies with `online` false needs no network: the chain of certificates up to
NVIDIA's root, which the package brings, the firmware's identity in it, the nonce, and the signature of the chip. With
`online` true the certificates' revocation and NVIDIA's reference measurements of driver and VBIOS are fetched too.
"""

import base64
import hashlib
import json
import os
import sys
from importlib import metadata
from typing import Any

PACKAGE = "nv-local-gpu-verifier"
MOST_TEXT = 512
MOST_CLAIMS = 64


class Unsound(Exception):
    """The evidence does not hold; the message says what."""


class Unanswered(Exception):
    """The package cannot say; the message says why."""


class Evidence:
    """What the verifier asks of a GPU, from the answer of one that is elsewhere. The names are the package's."""

    def __init__(self, told: dict[str, Any], report: bytes, certificates: Any) -> None:
        self.told, self.report, self.certificates = told, report, certificates
        self.driver = self.vbios = ""

    def get_gpu_architecture(self) -> int:
        return int(self.told["architecture"])

    def get_uuid(self) -> str:
        return str(self.told["device"])

    def get_driver_version(self) -> str:
        return self.driver

    def get_vbios_version(self) -> str:
        return self.vbios

    def get_attestation_report(self) -> bytes:
        return self.report

    def get_attestation_cert_chain(self) -> Any:
        return list(self.certificates)


def verify(told: dict[str, Any]) -> dict[str, Any]:
    """Raises Unsound or the package's own errors where the evidence does not hold, and anything else where it fails."""
    from verifier.attestation import AttestationReport
    from verifier.cc_admin_utils import CcAdminUtils
    from verifier.config import GPU_ARCHITECTURE_MAP
    from verifier.nvml.gpu_cert_chains import GpuCertificateChains
    from verifier.nvml.test_handle import TestHandle
    from verifier.utils import format_vbios_version

    settings = GPU_ARCHITECTURE_MAP[told["architecture"]]
    if settings is None:
        raise Unanswered("architecture_unknown")
    report = base64.b64decode(told["report"])
    handle = TestHandle(told["chain"].encode())
    # The package puts its own copy of NVIDIA's root in the place of the last certificate.
    certificates = GpuCertificateChains(handle).GpuAttestationCertificateChain
    read = AttestationReport(report, settings)
    shown = read.get_response_message().get_opaque_data()
    firmware = shown.get_data("OPAQUE_FIELD_ID_FWID").hex()
    chained = CcAdminUtils.verify_gpu_certificate_chain(certificates, settings, firmware)
    if not (chained[0] if isinstance(chained, tuple) else chained):
        raise Unsound("certificate_chain")
    evidence = Evidence(told, report, certificates)
    evidence.driver = shown.get_data("OPAQUE_FIELD_ID_DRIVER_VERSION").decode().rstrip("\0")
    evidence.vbios = format_vbios_version(shown.get_data("OPAQUE_FIELD_ID_VBIOS_VERSION"))
    versions = (evidence.driver, evidence.vbios)
    nonce = bytes.fromhex(told["nonce"])
    if not CcAdminUtils.verify_attestation_report(
        read, certificates[0], nonce, *versions, settings
    ):
        raise Unsound("signature")
    claims = {"driver_version": evidence.driver, "vbios_version": evidence.vbios}
    claims |= named(certificates[1])
    if told["online"]:
        claims |= looked_up(evidence, told["nonce"])
    return {"reason": "", "chip": chip(certificates[1]), "claims": claims}


def named(certificate: Any) -> dict[str, str]:
    """The model and serial number in the chip's identity certificate."""
    subject = certificate.get_subject()
    return {"chip_model": subject.CN or "", "chip_serial": subject.serialNumber or ""}


def chip(certificate: Any) -> str:
    """The SHA-256 of the public key that the chip was made with. The one below it changes with its firmware."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = certificate.to_cryptography().public_key()
    return hashlib.sha256(
        key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ).hexdigest()


def failure(settings: Any) -> Exception:
    """Whether NVIDIA said that the evidence does not hold, or did not say anything that could be used."""
    if settings.check_gpu_attestation_report_cert_revocation_reason() is not None:
        return Unsound("revoked")
    if settings.check_if_measurements_are_matching() == "fail":
        return Unsound("measurements")
    return Unanswered("online_check_failed")


def looked_up(evidence: Evidence, nonce: str) -> dict[str, str]:
    """Revocation and reference measurements too, as the package judges them. Raises Unsound, Unanswered."""
    import jwt
    from verifier import cc_admin
    from verifier.config import GPU_ARCHITECTURE_MAP

    # After a failure the package asks the driver of this machine whether it is in development mode.
    cc_admin.NvmlHandler.is_cc_dev_mode = staticmethod(lambda: False)
    asked = dict.fromkeys(
        ("driver_rim", "vbios_rim", "rim_root_cert", "rim_service_url", "ocsp_url", "service_key")
    )
    asked |= {"verbose": False, "test_no_gpu": False, "user_mode": True, "allow_hold_cert": False}
    asked |= {"ocsp_nonce_disabled": False, "claims_version": "2.0", "nonce": nonce}
    sound, token = cc_admin.attest(asked, nonce, [evidence])
    if not sound:
        raise failure(GPU_ARCHITECTURE_MAP[evidence.get_gpu_architecture()])
    found: dict[str, str] = {}
    for part in json.loads(token)[1].values():
        claims = jwt.decode(part, options={"verify_signature": False})
        found |= {name: json.dumps(value)[:MOST_TEXT] for name, value in claims.items()}
    return dict(sorted(found.items())[:MOST_CLAIMS])


def concluded(told: dict[str, Any]) -> dict[str, Any]:
    """`reason` empty: it is sound; `failed`: nothing is known, for this reason."""
    try:
        version = metadata.version(PACKAGE)
        from verifier.exceptions import Error
    except (metadata.PackageNotFoundError, ImportError) as error:
        return {"failed": f"no_verifier: {error}"[:MOST_TEXT]}
    try:
        found = verify(told)
    except (Unsound, Error) as error:
        found = {"reason": f"{type(error).__name__}: {error}".strip()[:MOST_TEXT]}
    except Unanswered as error:
        found = {"failed": str(error)}
    except (Exception, SystemExit) as error:  # noqa: BLE001 (whatever the package raises)
        found = {"failed": f"verifier_failed: {type(error).__name__}: {error}"[:MOST_TEXT]}
    return {"verifier": f"{PACKAGE} {version}", **found}


def main() -> None:
    """The package writes to standard output as it pleases: what is answered goes to the real one."""
    answers = os.dup(1)
    os.dup2(2, 1)
    said = concluded(json.load(sys.stdin))
    with os.fdopen(answers, "w") as out:
        json.dump(said, out)


if __name__ == "__main__":
    main()
