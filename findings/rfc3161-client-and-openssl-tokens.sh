#!/usr/bin/env bash
# rfc3161-client takes a time stamp of OpenSSL, or does not, by the order in which the authority's certificates lie in its file,
# and tells its time without the fraction of a second that was signed.
#
# `openssl ts -reply -chain FILE` puts the certificates into the token as the file has them. DER wants the members of a SET in
# the order of their bytes. rfc3161-client is strict: ValueError before anything is verified. `openssl ts -verify` accepts both.
# An authority that runs OpenSSL gives answers of the one or the other kind for good, with nothing wrong in its key or its clock.
# Of an answer that it takes, gen_time has whole seconds, where the token says microseconds.
# For settlement: an anchor of the evidence that one party's tool verifies is "not a time stamp" for the other's; and two stamps
# of one second are equal, or in the wrong order, against times of the log that have microseconds.
#
# Seen with rfc3161-client 1.0.9, cryptography 50.0.2, Python 3.11 and OpenSSL 3.0 (Debian 12). The authority, its issuer and the
# root are made here; only the order of the two issuers in the file differs.
set -eu
for tool in python3 openssl; do
  command -v "$tool" >/dev/null || { echo "$tool is missing" >&2; exit 2; }
done
case $(openssl version) in
  "OpenSSL 3.0."*) ;;
  *) echo "this was seen with OpenSSL 3.0, and here is $(openssl version)" >&2; exit 2 ;;
esac
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m pip install --quiet --target packages rfc3161-client==1.0.9 cryptography==50.0.2 ||
  { echo "pip does not give the pinned packages" >&2; exit 2; }

# The longer its names, the later a certificate comes in the order of DER: stamper, issuer, root.
cat >tsa.cnf <<'CNF'
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
[stamper]
extendedKeyUsage = critical,timeStamping
[tsa]
default_tsa = here
[here]
serial = serial
crypto_device = builtin
signer_cert = stamper.pem
signer_key = stamper.key
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
clock_precision_digits = 6
ess_cert_id_alg = sha256
CNF
root="/CN=the root of a time stamping authority, with a long name"
openssl req -x509 -newkey rsa:2048 -nodes -keyout root.key -out root.pem -subj "$root" -config tsa.cnf -extensions authority 2>log
issue() { # name, subject, issuer, extensions
  openssl req -newkey rsa:2048 -nodes -keyout "$1.key" -out "$1.csr" -subj "$2" -config tsa.cnf 2>log
  openssl x509 -req -in "$1.csr" -CA "$3.pem" -CAkey "$3.key" -CAcreateserial -out "$1.pem" -extfile tsa.cnf -extensions "$4" 2>log
}
issue issuer "/CN=issuer" root authority
issue stamper "/CN=t" issuer stamper
cat issuer.pem root.pem >issuer-first.pem
cat root.pem issuer.pem >root-first.pem
echo 01 >serial
printf 'head of the log' >head.txt
openssl ts -query -data head.txt -sha256 -cert -out query -config tsa.cnf 2>log

cat >read.py <<'PY'
import sys
from pathlib import Path

from cryptography.x509 import load_pem_x509_certificate
from rfc3161_client import VerifierBuilder, decode_timestamp_response

order, told = sys.argv[1:]
try:
    answer = decode_timestamp_response(Path(order).read_bytes())
except ValueError as error:
    print("  rfc3161-client: ValueError,", "InvalidSetOrdering" if "InvalidSetOrdering" in str(error) else error)
    sys.exit()
root, issuer = (load_pem_x509_certificate(Path(f"{name}.pem").read_bytes()) for name in ("root", "issuer"))
verifier = VerifierBuilder().add_root_certificate(root).add_intermediate_certificate(issuer).build()
print("  rfc3161-client: verified", verifier.verify_message(answer, Path("head.txt").read_bytes()))
time = answer.tst_info.gen_time
print("  the same second:", time.strftime("%H:%M:%S") == told.split(".")[0], "- microseconds:", time.microsecond)
PY
for order in issuer-first root-first; do
  openssl ts -reply -queryfile query -config tsa.cnf -chain "$order.pem" -out "$order" 2>log
  told=$(openssl ts -reply -in "$order" -text 2>log | sed -n 's/^Time stamp: .* \([0-9:.]*\) [0-9]* GMT$/\1/p')
  echo "$order"
  echo "  openssl: $(openssl ts -verify -in "$order" -queryfile query -CAfile root.pem 2>&1 | tail -n 1)"
  echo "  openssl tells a fraction: $([ "${told%.*}" != "$told" ] && echo yes || echo no)"
  PYTHONPATH=packages python3 read.py "$order" "$told"
done | tee seen
cat >expected <<'TEXT'
issuer-first
  openssl: Verification: OK
  openssl tells a fraction: yes
  rfc3161-client: verified True
  the same second: True - microseconds: 0
root-first
  openssl: Verification: OK
  openssl tells a fraction: yes
  rfc3161-client: ValueError, InvalidSetOrdering
TEXT
diff expected seen || { echo "it behaves otherwise now" >&2; exit 1; }
