"""A backup in an S3 bucket: the files of one in a directory, as objects of the same names under a prefix.

Objects are whole or not there at all. A segment is an object of a few MiB that is written once, under the index of its
first entry, and only where there is none; so the log is read from one to the next, without a list. Whoever copies the
objects into a directory has a backup in a directory.
"""

import ipaddress
import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
    SSLError,
)

from collector.storage.segments import HEADER, MAGIC, leaves_in, rows_of
from collector.storage.store import CorruptStore, StorageError
from collector.storage.tree import frontier_at
from weighbridge.log.checkpoint import Head
from weighbridge.log.entries import stored_hash
from weighbridge.log.merkle import Frontier
from weighbridge.wire.visible import visible

URL = re.compile(r"s3://([A-Za-z0-9][A-Za-z0-9._-]{1,254})(?:/(.*))?")
LARGEST = 128 << 20
"""Beyond what any object of a backup has, also one that was a segment of a directory, in bytes."""

NOT_THERE = frozenset({"NoSuchKey", "404"})
CONFLICT = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412"})
NO_PERMISSION = (
    "no permission: it takes s3:ListBucket of the bucket (without it a missing object looks the same), s3:GetObject"
    " and, for a backup, s3:PutObject"
)
CODES = {
    "NoSuchBucket": "there is no such bucket",
    "AccessDenied": NO_PERMISSION,
    "403": NO_PERMISSION,
    "InvalidAccessKeyId": "this access key is not known there",
    "SignatureDoesNotMatch": "the secret key is not that of the access key",
    "ExpiredToken": "the credentials have expired",
    "RequestTimeTooSkewed": "this machine's clock is wrong",
    "AuthorizationHeaderMalformed": "the bucket is in another region: set AWS_DEFAULT_REGION",
    "PermanentRedirect": "the bucket is in another region: set AWS_DEFAULT_REGION",
    "InvalidObjectState": "the object is archived: have the storage bring it back first",
}
FAILURES: dict[type[BotoCoreError], str] = {
    NoCredentialsError: "no credentials in the environment or the AWS configuration",
    PartialCredentialsError: "half of the credentials is missing",
    ProfileNotFound: "AWS_PROFILE names a profile that is not in the AWS configuration",
    SSLError: "the server's certificate is not vouched for; AWS_CA_BUNDLE names other authorities",
    EndpointConnectionError: "the server is not reached",
    ConnectTimeoutError: "the server is not reached",
    ReadTimeoutError: "the server stopped answering",
}


@contextmanager
def opened_bucket(url: str, endpoint: str | None, *, plain_http: bool) -> Iterator["Bucket"]:
    """The place that `s3://BUCKET/PREFIX` names. Credentials, region and, where `endpoint` is None, the server's
    address come from the environment or the AWS configuration. Raises StorageError."""
    name, prefix = _parse(url)
    settings = Config(
        connect_timeout=10,
        read_timeout=60,
        retries={"mode": "standard", "total_max_attempts": 5},
        # Servers other than AWS's may know no trailing checksums; the body's SHA-256 is signed without them.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    with _stated(url):
        try:
            client = boto3.session.Session().client("s3", endpoint_url=endpoint, config=settings)
        except ValueError as error:
            raise StorageError(f"{url}: the server's address is no URL") from error
    with closing(client):
        if not plain_http:
            _require_tls(url, client.meta.endpoint_url)
        yield Bucket(client, name, prefix)


def _parse(url: str) -> tuple[str, str]:
    """The bucket, and what names in it begin with."""
    found = URL.fullmatch(url)
    parts = [part for part in (found[2] or "").split("/") if part] if found else [".."]
    if found is None or {".", ".."} & set(parts):
        raise StorageError("a bucket is named s3://BUCKET/PREFIX, without credentials or options")
    return found[1], "".join(f"{part}/" for part in parts)


def _require_tls(url: str, endpoint: str) -> None:
    address = urlsplit(endpoint)
    if address.scheme != "https" and not _loopback(address.hostname or ""):
        raise StorageError(
            f"{url}: plain HTTP to {address.hostname} is refused: the log's private key would be read on the way"
            " (--plain-http allows it)"
        )


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextmanager
def _stated(location: str) -> Iterator[None]:
    """Errors of the library as StorageErrors that name it, in words of our own: theirs may hold credentials."""
    try:
        yield
    except ClientError as error:
        raise StorageError(f"{location}: {CODES.get(_code(error), _answered(error))}") from error
    except BotoCoreError as error:
        said = next((said for kind, said in FAILURES.items() if isinstance(error, kind)), None)
        raise StorageError(f"{location}: {said or type(error).__name__}") from error


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _answered(error: ClientError) -> str:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return f"the server answered {status} {visible(_code(error)[:64])}"


class Bucket:
    """A `Location`. A file that was read is replaced only while it is what was read, if the server can see to that."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix
        self._read: dict[str, str | None] = {}

    def __str__(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def at(self, name: str) -> str:
        return f"s3://{self._bucket}/{self._prefix}{name}"

    def _object(self, name: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + name}

    def read(self, name: str) -> bytes | None:
        with _stated(self.at(name)):
            try:
                answer = self._client.get_object(**self._object(name))
            except ClientError as error:
                if _code(error) not in NOT_THERE:
                    raise
                self._read[name] = None
                return None
            with closing(answer["Body"]) as body:
                data: bytes = body.read(LARGEST + 1)
        if len(data) != answer.get("ContentLength"):
            raise StorageError(f"{self.at(name)}: is too large, or was cut on the way")
        self._read[name] = answer["ETag"]
        return data

    def write(self, name: str, data: bytes) -> None:
        if name not in self._read:
            self._put(name, data)
        elif (tag := self._read[name]) is None:
            self.create(name, data)
        else:
            self._put(name, data, IfMatch=tag)

    def create(self, name: str, data: bytes) -> None:
        """Where there is none, as far as the server can see to it."""
        self._put(name, data, IfNoneMatch="*")

    def _put(self, name: str, data: bytes, **condition: str) -> None:
        """Raises StorageError where the condition does not hold, unless it is because this was written already."""
        with _stated(self.at(name)):
            try:
                answer = self._client.put_object(**self._object(name), Body=data, **condition)
            except ClientError as error:
                if condition and _code(error) == "NotImplemented":
                    return self._put(name, data)
                if _code(error) not in CONFLICT:
                    raise
                if self.read(name) != data:  # an answer that was lost made the library ask again
                    raise StorageError(
                        f"{self.at(name)}: was written by somebody else meanwhile: is another backup under way?"
                        " Run this one again"
                    ) from error
                return None
        self._read[name] = answer["ETag"]
        return None

    def names(self, folder: str) -> list[str]:
        where = {"Bucket": self._bucket, "Prefix": f"{self._prefix}{folder}/", "Delimiter": "/"}
        with _stated(self.at(folder)):
            pages = self._client.get_paginator("list_objects_v2").paginate(**where)
            keys = [found["Key"] for page in pages for found in page.get("Contents", ())]
        names = sorted(key.removeprefix(where["Prefix"]) for key in keys)
        return [self._checked(folder, name) for name in names if name]

    def _checked(self, folder: str, name: str) -> str:
        """It becomes a name in a directory."""
        if name in (".", "..") or PurePosixPath(name).name != name or "\0" in name:
            raise CorruptStore(f"{visible(self.at(f'{folder}/{name}'))}: not a file of a backup")
        return name

    def segment(self, first: int) -> list[bytes] | None:
        """The leaves of the one that begins there, at least one; None where none does. Raises CorruptStore."""
        name = _segment_name(first)
        data = self.read(name)
        if data is None:
            return None
        leaves = list(leaves_in(data, first, self.at(name)))
        if not leaves:
            raise CorruptStore(f"{self.at(name)}: holds no row")
        return leaves

    def leaves(self, start: int, limit: int) -> Iterator[bytes]:
        first, stop = 0, start + limit
        while first < stop:
            leaves = self.segment(first)
            if leaves is None:
                name = self.at(_segment_name(first))
                raise CorruptStore(f"{name}: missing: what begins with entry {first} is not there")
            yield from leaves[max(0, start - first) : stop - first]
            first += len(leaves)

    @contextmanager
    def opened(self, held: Head | None, tree: Path) -> Iterator["BucketCopy"]:
        yield BucketCopy(self, self._proven(held, tree))

    def _proven(self, held: Head | None, tree: Path) -> Frontier:
        """Of what was backed up last: from the store's own tree, whose root must be that of `held`."""
        if held is None:
            return Frontier()
        proven = frontier_at(tree, held.size)
        if proven.root() != held.root:
            raise StorageError(
                f"{self}: {tree} is not that of the {held.size} entries that are there: the store is older, or of a"
                " log that forked, or that file is damaged (`weighbridge scrub`). Nothing was copied"
            )
        return proven


def _segment_name(first: int) -> str:
    return f"evidence/segments/{first:016d}.seg"


class BucketCopy:
    """A `Copy`: what `proven` covers, and behind it the segments that a backup left that was broken off."""

    def __init__(self, bucket: Bucket, proven: Frontier) -> None:
        self._bucket = bucket
        self._there = proven
        while (leaves := bucket.segment(self.size)) is not None:
            self._take(leaves)

    def _take(self, leaves: Sequence[bytes]) -> None:
        for leaf in leaves:
            self._there.append(stored_hash(leaf))

    @property
    def size(self) -> int:
        return self._there.size

    def node(self, level: int, index: int) -> bytes:
        return self._there.peaks()[level, index]

    def root(self) -> bytes:
        return self._there.root()

    def append(self, leaves: Sequence[bytes]) -> int:
        first = self.size
        self._bucket.create(_segment_name(first), HEADER.pack(MAGIC, first) + rows_of(leaves))
        self._take(leaves)
        return first

    def hand_out(self, head: Head) -> None:
        """The manifest names it."""
