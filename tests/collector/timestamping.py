"""An RFC 3161 authority of OpenSSL's own making: its certificates, and a server on loopback that answers for it."""

import contextlib
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

CONFIGURATION = """\
[req]
distinguished_name = name
[name]
[root]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
[stamp]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
[tsa]
default_tsa = own
[own]
serial = {directory}/serial
signer_cert = {directory}/stamp.pem
signer_key = {directory}/stamp.key
certs = {directory}/root.pem
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
clock_precision_digits = 3
ess_cert_id_alg = sha256
"""
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class TimestampAuthority:
    """`certificates` are what is trusted."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.asked = 0
        self._directory, self._configuration = directory, directory / "tsa.cnf"
        self._configuration.write_text(CONFIGURATION.format(directory=directory))
        (directory / "serial").write_text("01\n")
        self._certify("root", "-x509", "-days", "30")
        issuer = ("-CA", self.certificates, "-CAkey", directory / "root.key")
        self._certify("stamp", "-x509", "-days", "30", *issuer)

    @property
    def certificates(self) -> Path:
        return self._directory / "root.pem"

    def _certify(self, name: str, *options: str | Path) -> None:
        files = (
            "-keyout",
            self._directory / f"{name}.key",
            "-out",
            self._directory / f"{name}.pem",
        )
        told = ("-config", self._configuration, "-extensions", name, "-subj", f"/CN={name}")
        self._openssl("req", *KEY, *told, *files, *options)

    def _openssl(self, *arguments: str | Path) -> bytes:
        return subprocess.run(["openssl", *arguments], capture_output=True, check=True).stdout

    def answer(self, request: bytes) -> bytes:
        self.asked += 1
        query = self._directory / "query"
        query.write_bytes(request)
        told = ("-config", self._configuration, "-queryfile", query)
        return self._openssl("ts", "-reply", *told)

    @contextlib.contextmanager
    def serving(self) -> Iterator[str]:
        """Its address."""
        answer = self.answer

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = answer(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing."""

        with HTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_port}/"
            finally:
                server.shutdown()
                thread.join()
