"""The collector's own certificate authority, which agents pin, and the server certificate that it issues."""

import asyncio
import contextlib
import ipaddress
import logging
import ssl
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from weighbridge.process.files import sync_directory, write_file

logger = logging.getLogger("weighbridge.tls")

AUTHORITY_LIFE = timedelta(days=3650)
SERVER_LIFE = timedelta(days=825)
RENEW_BEFORE = timedelta(days=60)
BACKDATED = timedelta(hours=1)
LOOKED_AT_EVERY_SECONDS = 60.0
SERVER = "server.pem"
NEXT = "ca-next"
"""The CA that agents are told of before it issues anything."""

PEM = serialization.Encoding.PEM


def create_authority(keys: Path, origin: str, now: datetime, name: str = "ca") -> None:
    """`ca.key` and `ca.pem` in a directory, or others' by `name`. `now` is aware.

    The certificate is written last: a key without one is what a call left that broke off, and is replaced.
    Raises FileExistsError where there is one.
    """
    if (keys / f"{name}.pem").exists():
        raise FileExistsError(f"{keys / name}.pem")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"weighbridge {origin}"[:64])])
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
    builder = _builder(subject, subject, key.public_key(), now, AUTHORITY_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(usage, critical=True)
    write_file(keys / f"{name}.key", _secret(key))
    write_file(keys / f"{name}.pem", builder.sign(key, hashes.SHA256()).public_bytes(PEM))


def replace_authority(keys: Path) -> None:
    """The next CA is the CA from now on, and issues the server's certificate. A call that broke off is made again.

    Raises FileNotFoundError where there is none, or where only its key was made, and touches nothing then.
    """
    (keys / f"{NEXT}.pem").stat()
    with contextlib.suppress(FileNotFoundError):
        (keys / f"{NEXT}.key").replace(keys / "ca.key")
    (keys / f"{NEXT}.pem").replace(keys / "ca.pem")
    (keys / SERVER).unlink(missing_ok=True)
    sync_directory(keys)


def ensure_server_certificate(keys: Path, names: Iterable[str], now: datetime) -> None:
    """`server.pem` for these host names and addresses, made anew before it expires.

    It holds the key before the certificate: one file, so that no crash leaves one without the other.
    """
    wanted = sorted(set(names) | {"localhost", "127.0.0.1", "::1"})
    if not _serves(keys / SERVER, wanted, now):
        _issue(keys, wanted, now)
    (keys / "server.key").unlink(missing_ok=True)


def _serves(path: Path, wanted: list[str], now: datetime) -> bool:
    pair = path.read_bytes() if path.exists() else b""
    if b"PRIVATE KEY" not in pair:
        return False
    present = x509.load_pem_x509_certificate(pair)
    return present.not_valid_after_utc - now > RENEW_BEFORE and _names(present) == set(wanted)


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
    certificate = builder.sign(signer, hashes.SHA256())
    write_file(keys / SERVER, _secret(key) + certificate.public_bytes(PEM))


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


def _secret(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(PEM, form, serialization.NoEncryption())


def authority_hash(keys: Path) -> str:
    """What an invite pins: the hexadecimal SHA-256 of the authority's DER."""
    certificate = x509.load_pem_x509_certificate((keys / "ca.pem").read_bytes())
    return certificate.fingerprint(hashes.SHA256()).hex()


class ServerCertificate:
    """TLS 1.2 or newer with the server's certificate, which is renewed, or taken anew from its file, while it serves.

    `names` are the host names and addresses that it is for. Connections that stand keep the old one.
    """

    def __init__(self, keys: Path, names: Sequence[str], clock: Callable[[], datetime]) -> None:
        self._keys = keys
        self._names = names
        self._clock = clock
        ensure_server_certificate(keys, names, clock())
        self._loaded = self._pair()
        self.context = _context(keys / SERVER)

    def refresh(self) -> None:
        """Serves what is to be served now. Raises OSError and ValueError, and goes on with the old one."""
        ensure_server_certificate(self._keys, self._names, self._clock())
        pair = self._pair()
        if pair != self._loaded:
            _context(
                self._keys / SERVER
            )  # one that cannot be loaded must not reach the context in use
            self.context.load_cert_chain(self._keys / SERVER)
            self._loaded = pair
            logger.info("%s is served from now on", SERVER)

    async def watch(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(LOOKED_AT_EVERY_SECONDS)
            try:
                self.refresh()
            except (OSError, ValueError) as error:
                logger.error("%s: %s; the certificate in use stays", SERVER, error)

    def _pair(self) -> bytes:
        return (self._keys / SERVER).read_bytes()


def _context(pair: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(pair)
    return context
