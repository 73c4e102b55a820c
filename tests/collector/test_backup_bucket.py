"""`weighbridge backup s3://…` and `restore` from it, beside a server of S3 in a process of its own (moto's)."""

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.request import Request, urlopen

import pytest

pytest.importorskip("boto3", reason="the extra s3 is not installed")
pytest.importorskip("moto", reason="moto is not installed")

import boto3

from collector.storage import backup as backups
from collector.storage.bucket import Bucket, opened_bucket
from collector.storage.store import StorageError
from tests.collector.backing_up import backed_up, last_of, make_written, restored
from tests.collector.building import leaves_of, log_signer, make_store, rewritten, weighbridge
from tests.collector.killing import killed_at

KILLS, STRIDE = 15, 2
SECRET = "a-secret-that-nobody-may-read"
SERVER = """
import logging
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

logging.getLogger("werkzeug").setLevel("ERROR")
server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
print(server.server_port, flush=True)
server.serve_forever()
"""
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIDWEIGHBRIDGE",
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    "NO_PROXY": "127.0.0.1",
}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a server."""
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.kill()


@pytest.fixture
def client(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of the server, with an empty bucket; the environment is that of an operator."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    urlopen(Request(f"{server}/moto-api/reset", method="POST")).close()
    client = boto3.session.Session().client("s3")
    client.create_bucket(Bucket="backups")
    yield client
    client.close()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_written(tmp_path_factory.mktemp("written"))


@pytest.fixture
def store(written: tuple[Path, Path], tmp_path: Path) -> Path:
    return shutil.copytree(written[0], tmp_path / "store")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects of a few rows, so that there are many."""
    monkeypatch.setattr(backups, "BATCH_BYTES", 4_000)


URL = "s3://backups/a/log"


def object_in(client: Any, key: str) -> bytes:
    data: bytes = client.get_object(Bucket="backups", Key=key)["Body"].read()
    return data


def objects(client: Any, prefix: str = "a/log/") -> dict[str, bytes]:
    found = client.list_objects_v2(Bucket="backups", Prefix=prefix).get("Contents", ())
    keys = [one["Key"] for one in found]
    return {key.removeprefix(prefix): object_in(client, key) for key in keys}


def put(client: Any, directory: Path, prefix: str) -> None:
    """A backup in a directory, copied into the bucket."""
    for path in directory.rglob("*"):
        if path.is_file():
            key = f"{prefix}/{path.relative_to(directory)}"
            client.put_object(Bucket="backups", Key=key, Body=path.read_bytes())


def held(client: Any, prefix: str = "a/log/") -> int:
    size: int = json.loads(object_in(client, f"{prefix}manifest.json"))["size"]
    return size


def test_what_was_backed_up_to_a_bucket_is_restored_from_it(
    client: Any, store: Path, tmp_path: Path
) -> None:
    leaves = leaves_of(store)
    done = backed_up(store, URL)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{URL}: {len(leaves)} entries, {len(leaves)} of them new\n")
    assert len([name for name in objects(client) if name.endswith(".seg")]) > KILLS / 2
    restored(URL, tmp_path / "new")
    assert leaves_of(tmp_path / "new")[:-2] == leaves
    assert last_of(tmp_path / "new").size == len(leaves)
    weighbridge("scrub", "--config", tmp_path / "new" / "config.toml")


def test_the_next_backup_writes_what_is_new_and_no_segment_again(
    client: Any, written: tuple[Path, Path]
) -> None:
    """Also where the first one was made in a directory and copied into the bucket."""
    store, directory = written
    put(client, directory, "a/log")
    before, size, leaves = objects(client), held(client), leaves_of(store)
    done = backed_up(store, URL)
    assert done.stdout.startswith(f"{URL}: {len(leaves)} entries, {len(leaves) - size} of them new")
    after = objects(client)
    assert {name for name in before if after[name] != before[name]} == {"manifest.json"}
    assert "0 of them new" in backed_up(store, URL).stdout
    assert objects(client) == after


def test_a_copy_of_the_objects_is_a_backup_in_a_directory(
    client: Any, store: Path, tmp_path: Path
) -> None:
    backed_up(store, URL)
    for name, data in objects(client).items():
        (tmp_path / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "copy" / name).write_bytes(data)
    restored(tmp_path / "copy", tmp_path / "new")
    assert leaves_of(tmp_path / "new")[:-2] == leaves_of(store)
    assert "0 of them new" in backed_up(store, tmp_path / "copy").stdout


def test_after_a_kill_anywhere_a_whole_backup_is_there_and_the_next_one_goes_on(
    client: Any, written: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the functions behind the commands: to make a client costs more than all that it does here."""
    monkeypatch.setattr(backups, "BATCH_BYTES", 1)
    store, directory = written
    leaves, key, kills = leaves_of(store), log_signer(store).public_key, 0

    def copy(client: Any) -> None:
        place = Bucket(client, "backups", f"{kills}/")
        backups.back_up(store, store / "config.toml", place, [key])

    with closing(boto3.session.Session().client("s3")) as unused:  # it has no connection to inherit
        while True:
            put(client, directory, str(kills))
            before = held(client, f"{kills}/")
            if not killed_at(STRIDE * kills + 1, partial(copy, unused), sending=True):
                break
            whole = held(client, f"{kills}/")
            assert whole in {before, len(leaves)}
            new = tmp_path / str(kills)
            with backups.restored(Bucket(client, "backups", f"{kills}/"), new, [key]):
                pass
            assert leaves_of(new) == leaves[:whole]
            copy(client)
            assert held(client, f"{kills}/") == len(leaves)
            kills += 1
    assert kills >= KILLS


def test_a_first_backup_that_was_killed_is_not_restored(
    client: Any, store: Path, tmp_path: Path
) -> None:
    assert killed_at(20, partial(backed_up, store, URL), sending=True)
    assert any(name.endswith(".seg") for name in objects(client))
    done = restored(URL, tmp_path / "new", check=False)
    assert done.returncode == 2
    assert f"{URL} holds no whole backup: none was ever finished there" in done.stderr
    assert backed_up(store, URL).returncode == 0
    restored(URL, tmp_path / "new")


def test_a_restore_that_was_killed_is_gone_on_with(
    client: Any, store: Path, tmp_path: Path
) -> None:
    del client
    backed_up(store, URL)
    assert killed_at(12, partial(restored, URL, tmp_path / "new"))
    assert not (tmp_path / "new" / "store.json").exists()
    restored(URL, tmp_path / "new")
    assert leaves_of(tmp_path / "new")[:-2] == leaves_of(store)


def missing(client: Any, key: str) -> None:
    client.delete_object(Bucket="backups", Key=key)


def damaged(client: Any, key: str) -> None:
    data = bytearray(object_in(client, key))
    data[-3] ^= 1
    client.put_object(Bucket="backups", Key=key, Body=bytes(data))


@pytest.mark.parametrize(
    ("spoil", "number", "said"),
    [(missing, 4, "missing"), (missing, -1, "missing"), (damaged, 4, "does not match its CRC")],
)
def test_an_object_that_is_missing_or_damaged_is_named_and_no_store_is_made(
    client: Any,
    store: Path,
    tmp_path: Path,
    spoil: Callable[[Any, str], None],
    number: int,
    said: str,
) -> None:
    backed_up(store, URL)
    key = sorted(name for name in objects(client) if name.endswith(".seg"))[number]
    spoil(client, f"a/log/{key}")
    done = restored(URL, tmp_path / "new", check=False)
    assert done.returncode == 2
    assert f"{URL}/{key}: " in done.stderr
    assert said in done.stderr
    assert not (tmp_path / "new" / "store.json").exists()


@pytest.mark.parametrize("name", ["manifest.json", "keys/log.key", "config.toml"])
def test_a_file_that_is_missing_is_named(
    client: Any, store: Path, tmp_path: Path, name: str
) -> None:
    backed_up(store, URL)
    missing(client, f"a/log/{name}")
    done = restored(URL, tmp_path / "new", check=False)
    assert done.returncode == 2
    assert f"{URL}/{name}: missing" in done.stderr
    assert not (tmp_path / "new" / "store.json").exists()


def test_a_name_that_would_leave_the_directory_is_not_restored(
    client: Any, store: Path, tmp_path: Path
) -> None:
    backed_up(store, URL)
    client.put_object(Bucket="backups", Key="a/log/keys/..", Body=b"x")
    done = restored(URL, tmp_path / "new", check=False)
    assert done.returncode == 2
    assert "keys/..: not a file of a backup" in done.stderr
    assert not (tmp_path / "new" / "store.json").exists()


def older(store: Path) -> str:
    rewritten(store, leaves_of(store)[:-3])
    return "the store is older"


def forked(store: Path) -> str:
    leaves = leaves_of(store)
    rewritten(store, [*leaves[:-4], *leaves[:8]])
    return "of a log that forked"


def of_another(store: Path) -> str:
    shutil.rmtree(store)
    make_store(store)
    return f"{URL} is a backup of another log"


@pytest.mark.parametrize("wrong", [older, forked, of_another])
def test_a_backup_in_a_bucket_is_written_over_by_no_other_log(
    client: Any, store: Path, wrong: Callable[[Path], str]
) -> None:
    backed_up(store, URL)
    before, said = objects(client), wrong(store)
    done = backed_up(store, URL)
    assert done.returncode == 2
    assert said in done.stderr
    assert objects(client) == before


def test_of_two_backups_at_once_one_says_that_it_lost(client: Any) -> None:
    del client
    with (
        opened_bucket(URL, None, plain_http=False) as one,
        opened_bucket(URL, None, plain_http=False) as other,
    ):
        for place in (one, other):
            assert place.read("manifest.json") is None
        one.write("manifest.json", b"one")
        one.write("manifest.json", b"one again")
        with pytest.raises(StorageError, match="is another backup under way"):
            other.write("manifest.json", b"other")
        with pytest.raises(StorageError, match="is another backup under way"):
            other.create("manifest.json", b"other")
        other.create("manifest.json", b"one again")
        assert one.read("manifest.json") == b"one again"


def refused(store: Path, url: str = URL, *more: str) -> str:
    done = backed_up(store, url, *more)
    assert done.returncode == 2, done.stdout
    assert done.stderr.startswith(f"weighbridge: {url}")
    assert SECRET not in done.stdout + done.stderr
    return done.stderr


def authenticate(server: str, after: str) -> None:
    """The server looks at keys and permissions from so many requests on."""
    plain = {"Content-Type": "text/plain"}
    urlopen(Request(f"{server}/moto-api/reset-auth", after.encode(), plain)).close()


def without_bucket(store: Path, *_: Any) -> None:
    assert "there is no such bucket" in refused(store, "s3://other/log")


def without_key(store: Path, server: str, _: pytest.MonkeyPatch) -> None:
    authenticate(server, "0")
    try:
        assert "this access key is not known there" in refused(store)
    finally:
        authenticate(server, "inf")


def without_permission(store: Path, server: str, environment: pytest.MonkeyPatch) -> None:
    iam = boto3.session.Session().client("iam")
    iam.create_user(UserName="nobody")
    key = iam.create_access_key(UserName="nobody")["AccessKey"]
    iam.close()
    environment.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    environment.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    authenticate(server, "0")
    try:
        assert "no permission: it takes s3:ListBucket" in refused(store)
    finally:
        authenticate(server, "inf")


def without_credentials(store: Path, _: str, environment: pytest.MonkeyPatch) -> None:
    environment.delenv("AWS_ACCESS_KEY_ID")
    environment.delenv("AWS_SECRET_ACCESS_KEY")
    assert "no credentials in the environment" in refused(store)


def without_server(store: Path, *_: Any) -> None:
    assert "the server is not reached" in refused(store, URL, "--endpoint", "http://127.0.0.1:1")


def without_tls(store: Path, _: str, environment: pytest.MonkeyPatch) -> None:
    """By the option as by the environment; where it is allowed, the name alone is not found."""
    assert "plain HTTP to s3.invalid is refused" in refused(
        store, URL, "--endpoint", "http://s3.invalid"
    )
    environment.setenv("AWS_ENDPOINT_URL", "http://s3.invalid")
    assert "plain HTTP to s3.invalid is refused" in refused(store)
    assert "the server is not reached" in refused(store, URL, "--plain-http")


def without_extra(store: Path, _: str, environment: pytest.MonkeyPatch) -> None:
    environment.delitem(sys.modules, "collector.storage.bucket")
    environment.setitem(sys.modules, "boto3", None)
    assert "install the extra s3 (requirements/s3.txt)" in refused(store)


@pytest.mark.parametrize(
    "attempt",
    [
        without_bucket,
        without_key,
        without_permission,
        without_credentials,
        without_server,
        without_tls,
        without_extra,
    ],
)
def test_what_is_wrong_is_said_with_the_place_and_without_a_secret(
    client: Any,
    server: str,
    store: Path,
    monkeypatch: pytest.MonkeyPatch,
    attempt: Callable[[Path, str, pytest.MonkeyPatch], None],
) -> None:
    attempt(store, server, monkeypatch)
    assert objects(client) == {}


@pytest.mark.parametrize(
    "url", ["s3:", "s3://", "s3:///log", f"s3://key:{SECRET}@backups/log", "s3://backups/a/../b"]
)
def test_what_names_no_bucket_is_refused(store: Path, url: str) -> None:
    done = backed_up(store, url)
    assert done.returncode == 2
    assert "a bucket is named s3://BUCKET/PREFIX" in done.stderr
    assert SECRET not in done.stderr


class Plain(BaseHTTPRequestHandler):
    """A server of S3 that knows no conditional writes."""

    kept: ClassVar[dict[str, bytes]] = {}

    def do_GET(self) -> None:
        if (data := self.kept.get(self.path)) is None:
            self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        else:
            self.answer(200, data)

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["If-None-Match"] or self.headers["If-Match"]:
            self.answer(501, b"<Error><Code>NotImplemented</Code></Error>")
        else:
            self.kept[self.path] = body
            self.answer(200, b"")

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"1"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def plain(client: Any) -> Iterator[str]:
    del client
    with HTTPServer(("127.0.0.1", 0), Plain) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_server_without_conditional_writes_will_do(plain: str) -> None:
    with opened_bucket(URL, plain, plain_http=False) as place:
        assert place.read("manifest.json") is None
        place.write("manifest.json", b"one")
        place.write("manifest.json", b"two")
        place.create("evidence/one", b"three")
        assert place.read("manifest.json") == b"two"
