"""Check a deletion certificate with no code of Guardrail: `python check_certificate.py CERTIFICATE VKEY`.

CERTIFICATE is the file that `guardrail obligations certificate` printed, VKEY the verifier key of the trail (the text
of `trail.vkey`, kept elsewhere). Needs Python 3.9 and `cryptography`, nothing else.

1. The verifier key is `name+hash+base64(0x01 || 32 bytes)`; its hash is the first 4 bytes of SHA-256 over the name, a
   newline, 0x01 and the key.
2. The certificate is a DSSE envelope; what is signed is `DSSEv1 len(type) type len(payload) payload`.
3. The payload is an in-toto Statement v1; its predicate says what was looked for, how far, and what no look could see.

Exit code: 0 genuine, 1 not, 2 usage.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print(__doc__)
        return 2
    with open(arguments[0], "rb") as stream:
        envelope = json.load(stream)
    name, key_hash, encoded = arguments[1].strip().split("+", 2)
    raw = base64.b64decode(encoded, validate=True)
    if raw[0] != 1 or hashlib.sha256(name.encode() + b"\n" + raw).hexdigest()[:8] != key_hash:
        print("the verifier key is not whole")
        return 1
    payload = base64.b64decode(envelope["payload"], validate=True)
    kind = envelope["payloadType"].encode()
    message = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    signatures = [one["sig"] for one in envelope["signatures"] if one["keyid"] == f"{name}+{key_hash}"]
    try:
        Ed25519PublicKey.from_public_bytes(raw[1:]).verify(base64.b64decode(signatures[0]), message)
    except (IndexError, InvalidSignature):
        print("NOT genuine: it was changed, or is not signed by this key")
        return 1
    statement = json.loads(payload)
    if envelope["payloadType"] != "application/vnd.in-toto+json" or not str(statement["predicateType"]).endswith(
        "/deletion/v1"
    ):
        print("NOT genuine: it is no statement about a deletion")
        return 1
    print(json.dumps(statement, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
