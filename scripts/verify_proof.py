"""Check one record of a Guardrail trail from its proof file alone.

    python verify_proof.py PROOF --key VKEY [--witness VKEY]...

Needs Python 3.9 or later and the package `cryptography`; shares no code with Guardrail, so read it and trust that.

PROOF is what `guardrail audit prove SEQ` writes (c2sp.org/tlog-proof@v1): the record itself in the line `extra`, its
number, the hashes from it up to the root, and the signed checkpoint. VKEY is the ledger's verifier key, as text or as
a file; take it from where it was published, not from whoever hands you the proof. Each `--witness` must have cosigned.

Checked are, in this order, the form of the file; the record's hash (RFC 6962 2.1) and its path to the root (RFC 9162
2.1.3.2); the ledger's signature on size and root (C2SP signed-note); those of the witnesses (cosignature/v1); and that
the record calls itself by the number and the ledger it was proven under.
Not shown is that the record is true, or that nobody was shown another history: compare checkpoints, ask witnesses.
Exit codes: 0 proven, and the record is printed; 1 not proven, with the reason; 2 wrong usage.
"""

import argparse
import base64
import hashlib
import json
import pathlib
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ED25519, COSIGNATURE = 1, 4


class NotProven(ValueError):
    """Why a proof does not hold."""


def unbase64(text):
    """Strict base64: what would encode to another text is refused."""
    raw = base64.b64decode(text, validate=True)
    if base64.b64encode(raw).decode() != text:
        raise NotProven("it holds base64 with stray bits")
    return raw


def natural(text):
    """A decimal number as it is written in one way only."""
    if not (text.isascii() and text.isdigit()) or str(int(text)) != text:
        raise NotProven("a number in it is malformed")
    return int(text)


def read_key(vkey, kind):
    """Name, key id and public key of a C2SP verifier key."""
    parts = vkey.split("+", 2)
    material = unbase64(parts[2]) if len(parts) == 3 else b""
    if len(material) != 33 or material[0] != kind or not parts[0]:
        raise NotProven("the key given is not a verifier key of the type needed")
    key_id = hashlib.sha256(parts[0].encode() + b"\n" + material).digest()[:4]
    if key_id.hex() != parts[1]:
        raise NotProven("the key given does not fit its own hash")
    return parts[0], key_id, Ed25519PublicKey.from_public_bytes(material[1:])


def split(proof):
    """The record, its number, the path, and the checkpoint, verbatim."""
    head, blank, checkpoint = proof.partition("\n\n")
    lines = head.split("\n")
    form = ["c2sp.org/tlog-proof@v1", "extra ", "index "]
    if not blank or [lines[0], *(line[:6] for line in lines[1:3])] != form:
        raise NotProven("it is not a tlog-proof with its record")
    return unbase64(lines[1][6:]), natural(lines[2][6:]), [unbase64(line) for line in lines[3:]], checkpoint


def root_of(leaf, index, size, path):
    """The root that a record with this number and path has in a tree of this size."""
    if index >= size:
        raise NotProven("the checkpoint is older than the record")
    node, here, last = hashlib.sha256(b"\0" + leaf).digest(), index, size - 1
    for sibling in path:
        if here & 1 or here == last:
            node = hashlib.sha256(b"\1" + sibling + node).digest()
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            node = hashlib.sha256(b"\1" + node + sibling).digest()
        here, last = here >> 1, last >> 1
    if last:
        raise NotProven("its path is too short")
    return node


def signed(checkpoint, vkey, kind):
    """Whether one of these keys signed the checkpoint; a wrong signature of a known key is not passed over."""
    keys, found = {read_key(line, kind)[:2]: read_key(line, kind)[2] for line in vkey.split("\n") if line}, False
    text, signatures = (checkpoint.partition("\n\n")[0] + "\n").encode(), checkpoint.partition("\n\n")[2]
    for line in signatures.splitlines():
        dash, signer, blob = [*line.split(" "), "", ""][:3]
        raw = unbase64(blob)
        if dash != "—" or (signer, raw[:4]) not in keys:
            continue
        when = b"cosignature/v1\ntime %d\n" % int.from_bytes(raw[4:12], "big") if kind == COSIGNATURE else b""
        try:
            keys[signer, raw[:4]].verify(raw[12:] if when else raw[4:], when + text)
        except InvalidSignature:
            raise NotProven(f"the signature of `{signer}` is wrong") from None
        found = True
    if not found:
        raise NotProven(f"the checkpoint is not signed by `{vkey.partition('+')[0]}`")


def check(proof, vkey, witnesses=()):
    """The record that a proof proves, with its number, the ledger and the size of the signed tree."""
    leaf, index, path, checkpoint = split(proof)
    lines = checkpoint.split("\n")
    if len(lines) < 5 or lines[3]:
        raise NotProven("its checkpoint is malformed")
    origin, size = lines[0], natural(lines[1])
    if root_of(leaf, index, size, path) != unbase64(lines[2]):
        raise NotProven("the record does not lead to the root that was signed")
    signed(checkpoint, vkey, ED25519)
    for witness in witnesses:
        signed(checkpoint, witness, COSIGNATURE)
    record = json.loads(leaf)
    if (record["seq"], record["log"], vkey.partition("+")[0]) != (index, origin, origin):
        raise NotProven("record, checkpoint and key are not of one number and ledger")
    return record, index, origin, size


def main():
    """Exit 0 if the proof holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("proof")
    parser.add_argument("--key", required=True, metavar="VKEY")
    parser.add_argument("--witness", action="append", default=[], metavar="VKEY")
    args = parser.parse_args()
    try:
        keys = [pathlib.Path(k).read_text() if pathlib.Path(k).is_file() else k for k in (args.key, *args.witness)]
        record, index, origin, size = check(pathlib.Path(args.proof).read_bytes().decode(), keys[0], keys[1:])
    except OSError as error:
        print(f"cannot read `{error.filename}`: {error.strerror}", file=sys.stderr)
        return 2
    except (ValueError, KeyError, TypeError) as error:
        print(f"NOT PROVEN: {ascii(str(error))[1:-1]}", file=sys.stderr)
        return 1
    print(ascii(f"proven: record {index} of {origin}, in a tree of {size} that its key signed")[1:-1])
    print(json.dumps(record, ensure_ascii=True, indent=2, sort_keys=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
