"""That a certificate is in the signed trail: the proof that travels in its file, and the check of it.

DSSE lets an envelope have further members; this one is a C2SP `.tlog-proof` of the record that holds the envelope.
Not concerned with whether the certificate is signed (`_certificate`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from guardrail.audit.reading import prove, proven
from guardrail.errors import ConfigError

MEMBER: Final = "transparency"
"""Where in an envelope the proof stands."""


def with_proof(envelope: dict[str, Any], place: Path | str, seq: int) -> dict[str, Any]:
    """A certificate with the proof that it is in the trail.

    Args:
        envelope: the certificate.
        place: the trail.
        seq: number of the record that holds it.

    Raises:
        TrailError: if that is not signed yet, or cannot be read.
        OSError: if the trail cannot be read.
    """
    return {**envelope, MEMBER: prove(place, seq).text}


def check_proof(data: bytes, vkey: str) -> tuple[int, int]:
    """Number of the record that holds a certificate, and size of the signed tree that it is in.

    Args:
        data: content of the certificate's file; that it is a signed one was checked.
        vkey: verifier keys of the trail, one a line.

    Raises:
        ConfigError: if it has no proof, or one of something else.
    """
    envelope: dict[str, Any] = json.loads(data)
    text = envelope.pop(MEMBER, None)
    if not isinstance(text, str):
        raise ConfigError("it has no proof of that: print it again with `guardrail obligations certificate`")
    try:
        record, proof = proven(text, vkey)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    what = record.get("what")
    if not isinstance(what, dict) or what.get("envelope") != envelope:  # pyright: ignore[reportUnknownMemberType]
        raise ConfigError("its proof is that of another record")
    return proof.seq, proof.size
