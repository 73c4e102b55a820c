"""The collector's own certificate authority, which agents pin, and the server certificate that it issues."""

import ipaddress
import ssl
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from weighbridge.process.files import write_file, write_new_file

AUTHORITY_LIFE = timedelta(days=3650)
SERVER_LIFE = timedelta(days=825)
RENEW_BEFORE = timedelta(days=60)
BACKDATED = timedelta(hours=1)


def create_authority(keys: Path, origin: str, now: datetime) -> None:
    """`ca.key` and `ca.pem` in a directory. `now` is aware."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"weighbridge {origin}"[:64])])
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    builder = _builder(name, name, key.public_key(), now, AUTHORITY_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(usage, critical=True)
    _write_pair(keys, "ca", key, builder.sign(key, hashes.SHA256()))


def ensure_server_certificate(keys: Path, names: Iterable[str], now: datetime) -> None:
    """`server.key` and `server.pem` for these host names and addresses, made anew before they expire."""
    wanted = sorted(set(names) | {"localhost", "127.0.0.1", "::1"})
    path = keys / "server.pem"
    if path.exists():
        present = x509.load_pem_x509_certificate(path.read_bytes())
        if present.not_valid_after_utc - now > RENEW_BEFORE and _names(present) == set(wanted):
            return
        path.unlink()
        (keys / "server.key").unlink(missing_ok=True)
    _issue(keys, wanted, now)


def _issue(keys: Path, names: list[str], now: datetime) -> None:
    authority = x509.load_pem_x509_certificate((keys / "ca.pem").read_bytes())
    signer = serialization.load_pem_private_key((keys / "ca.key").read_bytes(), password=None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{keys / 'ca.key'} is no elliptic-curve key")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "weighbridge collector")])
    builder = _builder(subject, authority.subject, key.public_key(), now, SERVER_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
    builder = builder.add_extension(
        x509.SubjectAlternativeName([_general_name(name) for name in names]), False
    )
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False
    )
    _write_pair(keys, "server", key, builder.sign(signer, hashes.SHA256()))


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    now: datetime,
    life: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _names(certificate: x509.Certificate) -> set[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in names}


def _write_pair(
    keys: Path, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate
) -> None:
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    write_new_file(keys / f"{name}.key", secret)
    write_file(keys / f"{name}.pem", certificate.public_bytes(serialization.Encoding.PEM))


def authority_hash(keys: Path) -> str:
    """What an invite pins: the hexadecimal SHA-256 of the authority's DER."""
    certificate = x509.load_pem_x509_certificate((keys / "ca.pem").read_bytes())
    return certificate.fingerprint(hashes.SHA256()).hex()


def server_context(keys: Path) -> ssl.SSLContext:
    """TLS 1.2 or newer with the server's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(keys / "server.pem", keys / "server.key")
    return context
