"""Enrolment: from an invite to a key that speaks for this node. Doing it again changes nothing.

The state directory then holds `key` (the raw private key in hexadecimal, mode 0600), `enrolment.json`, `salt`, and
`ca.pem` where the invite pins a certificate authority.
"""

import hashlib
import json
import secrets
import ssl
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from agent.report.transport import HttpAnswer, Transport, check_url, pinned, unverified
from weighbridge.log.succession import KEYS_PATH
from weighbridge.process.files import write_file
from weighbridge.process.log_trust import LogTrust
from weighbridge.wire.enrolment import (
    AUTHORITY_PATH,
    ENROL_PATH,
    Enrolled,
    Invite,
    enrol_request,
    parse_invite,
)
from weighbridge.wire.problems import read_problem
from weighbridge.wire.report import WireError, canonical
from weighbridge.wire.signing import SignatureError, Signer, generate_private_key

OTHER_LOG = "the collector's log has another key than the invite says"


class EnrolmentError(Exception):
    """This node is not enrolled, or could not be. The message says why and what to do."""


class KeyRevokedError(EnrolmentError):
    """The collector knows this node's key, as one that was revoked."""


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """Who this node is to its collector."""

    url: str
    node: str
    origin: str
    log: LogTrust
    signer: Signer
    salt: bytes
    trust: ssl.SSLContext | bool


def read_invite(line: str) -> Invite:
    """Raises EnrolmentError for anything but an invite of version 1 to a place that may be written to."""
    try:
        invite = parse_invite(line)
    except WireError as error:
        raise EnrolmentError(str(error)) from error
    check_url(invite.url)
    return invite


async def enrol(line: str, directory: Path, url: str | None = None) -> NodeIdentity:
    """Use an invite; `url` is another way to the same collector, where the invite's own does not lead there.

    Raises EnrolmentError, TransportError, or OSError where the collector does not answer.
    """
    invite = read_invite(line)
    if url is not None:
        check_url(url)
        invite = invite.model_copy(update={"url": url})
    ca = await _fetch_ca(invite)
    _make(directory)
    trust: ssl.SSLContext | bool = True
    if ca is not None:
        write_file(directory / "ca.pem", ca.encode())
        trust = pinned(directory / "ca.pem")
    signer = Signer(_own_key(directory / "key"))
    log = LogTrust(bytes.fromhex(invite.log_key), directory)
    try:
        enrolled = await _register(invite, signer, trust, log)
    except KeyRevokedError:
        signer = Signer(_new_key(directory / "key"))
        enrolled = await _register(invite, signer, trust, log)
    told = enrolled.model_dump() | {"log_key": invite.log_key}
    record = {"url": invite.url, "ca": invite.ca} | told
    write_file(directory / "enrolment.json", canonical(record))
    return load(directory)


def load(directory: Path) -> NodeIdentity:
    """What `enrol` left. Raises EnrolmentError where there is nothing."""
    try:
        record = json.loads((directory / "enrolment.json").read_bytes())
        signer = Signer(bytes.fromhex((directory / "key").read_text().strip()))
        return NodeIdentity(
            url=record["url"],
            node=record["node"],
            origin=record["origin"],
            log=LogTrust(bytes.fromhex(record["log_key"]), directory),
            signer=signer,
            salt=_own_secret(directory / "salt"),
            trust=pinned(directory / "ca.pem") if record["ca"] is not None else True,
        )
    except FileNotFoundError as error:
        raise EnrolmentError(
            f"{directory}: not enrolled; run `weighbridge-agent enroll` with an invite first"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise EnrolmentError(f"{directory}: damaged enrolment, enroll again: {error}") from error


async def _fetch_ca(invite: Invite) -> str | None:
    """The collector's CA, fetched without trust and believed for its hash. None where none is pinned."""
    if invite.ca is None:
        return None
    transport = Transport(invite.url, unverified())
    try:
        answer = await transport.request("GET", AUTHORITY_PATH)
    finally:
        await transport.close()
    try:
        pem = answer.body.decode("ascii")
        found = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    except ValueError as error:
        raise EnrolmentError(f"{invite.url}{AUTHORITY_PATH} is no certificate") from error
    if found != invite.ca:
        raise EnrolmentError("the collector's CA is not the one in the invite: somebody between?")
    return pem


async def _register(
    invite: Invite, signer: Signer, trust: ssl.SSLContext | bool, log: LogTrust
) -> Enrolled:
    transport = Transport(invite.url, trust)
    try:
        answer = await transport.request(
            "POST",
            ENROL_PATH,
            enrol_request(invite, signer),
            {"Content-Type": "application/json"},
        )
        enrolled = _enrolled(answer, invite, signer)
        if enrolled.log_key != log.keys.newest.hex():
            await _require_leads(transport, log, enrolled.log_key)
    finally:
        await transport.close()
    return enrolled


def _enrolled(answer: HttpAnswer, invite: Invite, signer: Signer) -> Enrolled:
    if answer.status != 200:
        problem = read_problem(answer.status, answer.body)
        kind = KeyRevokedError if problem.code == "revoked_key" else EnrolmentError
        raise kind(f"the collector refused: {problem}")
    try:
        enrolled = Enrolled.model_validate_json(answer.body)
    except ValidationError as error:
        raise EnrolmentError("the collector's answer is not understood") from error
    if (enrolled.node, enrolled.key_id) != (invite.node, signer.key_id):
        raise EnrolmentError("the collector enrolled another node or key")
    return enrolled


async def _require_leads(transport: Transport, log: LogTrust, shown: str) -> None:
    """The log has another key than the invite says: that one announced it, or it is another log."""
    answer = await transport.request("GET", KEYS_PATH)
    try:
        log.follow(answer.body)
    except SignatureError as error:
        raise EnrolmentError(f"{OTHER_LOG}: {error}") from error
    if log.keys.newest.hex() != shown:
        raise EnrolmentError(OTHER_LOG)


def _make(directory: Path) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)


def _own_key(path: Path) -> bytes:
    """The node's private key, made on first use."""
    return bytes.fromhex(path.read_text().strip()) if path.exists() else _new_key(path)


def _new_key(path: Path) -> bytes:
    """A fresh key in place of whatever was there."""
    key = generate_private_key()
    write_file(path, key.hex().encode())
    return key


def _own_secret(path: Path) -> bytes:
    if not path.exists():
        write_file(path, secrets.token_hex(32).encode())
    return bytes.fromhex(path.read_text().strip())
