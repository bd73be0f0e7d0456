"""Check a deletion certificate with no code of Guardrail: `python check_certificate.py CERTIFICATE VKEY`.

CERTIFICATE is the file that `guardrail obligations certificate` printed, VKEY the verifier key of the trail (the text
of `trail.vkey`, kept elsewhere, or a file with it; of several lines each is a key). Needs Python 3.9, `cryptography`,
and `verify_proof.py`, which lies beside it; nothing else, and no network.

1. The certificate is a DSSE envelope; what is signed is `DSSEv1 len(type) type len(payload) payload`, by a key that
   the envelope names as `name+hash`, as VKEY does.
2. The payload is an in-toto Statement v1; its predicate says what was looked for, how far, and what no look could see.
3. Its member `transparency` is a C2SP .tlog-proof: the record of the trail that holds this very envelope, its path to
   the root, and the checkpoint with that root, which the trail's key has signed.

Exit code: 0 genuine and in the trail, 1 not, 2 usage.
"""

from __future__ import annotations

import base64
import json
import pathlib
import sys

from cryptography.exceptions import InvalidSignature
from verify_proof import ED25519, NotProven, check, read_key

KIND = "application/vnd.in-toto+json"


def statement_of(envelope, vkey):
    """What a certificate says, once its signature was found to be by one of the keys."""
    payload, kind = base64.b64decode(envelope["payload"], validate=True), envelope["payloadType"].encode()
    message = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    keys = {"+".join(line.split("+")[:2]): read_key(line, ED25519)[2] for line in vkey.split()}
    signatures = [(keys[one["keyid"]], one["sig"]) for one in envelope["signatures"] if one["keyid"] in keys]
    if not signatures:
        raise NotProven("it is not signed by this key")
    for key, signature in signatures:
        try:
            key.verify(base64.b64decode(signature, validate=True), message)
        except InvalidSignature:
            raise NotProven("its signature is wrong: it was changed, or signed by somebody else") from None
    statement = json.loads(payload)
    if envelope["payloadType"] != KIND or not str(statement["predicateType"]).endswith("/deletion/v1"):
        raise NotProven("it is no statement about a deletion")
    return statement


def main(arguments):
    """Print what a genuine certificate says."""
    if len(arguments) != 2:
        print(__doc__)
        return 2
    vkey = pathlib.Path(arguments[1]).read_text() if pathlib.Path(arguments[1]).is_file() else arguments[1]
    try:
        envelope = json.loads(pathlib.Path(arguments[0]).read_bytes())
        statement = statement_of(envelope, vkey.strip())
        record, index, origin, size = check(envelope.pop("transparency"), vkey.strip())
        if record["what"]["envelope"] != envelope:
            raise NotProven("the record that it proves is another one")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        print(f"NOT genuine: {ascii(str(error))[1:-1]}", file=sys.stderr)
        return 1
    print(ascii(f"genuine: record {index} of {origin}, in a tree of {size} that its key signed")[1:-1], file=sys.stderr)
    print(json.dumps(statement, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
