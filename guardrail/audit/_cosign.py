"""Asking a witness to cosign: the log's side of C2SP tlog-witness.

A witness remembers the last tree of this ledger that it has seen, and cosigns a later one only if it is shown to begin
with exactly that. So a trail that was rewritten, even with its own key, gets no cosignature any more.

Source: c2sp.org/tlog-witness, c2sp.org/tlog-cosignature.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from guardrail.audit._files import write_all
from guardrail.audit._note import Checkpoint
from guardrail.audit._proof import consistency_proof
from guardrail.audit._verify_note import WITNESS_KEY, read_key, read_note
from guardrail.errors import TrailError

TIMEOUT_SECONDS: Final = 5.0
"""Longest wait for a witness, in seconds."""

MAX_ANSWER_BYTES: Final = 16 * 1024
"""Largest answer of a witness that is read, in bytes."""

COSIGNED_FILE: Final = "cosigned"
"""Checkpoints with the cosignatures they got, one after the other."""


class _NoRedirect(HTTPRedirectHandler):
    # A witness answers itself.
    def http_error_302(self, req: object, fp: object, code: int, msg: str, headers: object) -> None:
        """Follow nothing: the caller sees the status."""

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


class WitnessClient:
    """One witness of one trail.

    Args:
        place: the trail: a directory, or the address of a shared one.
        url: address of the witness.
        vkey: its verifier key.
        keep: takes a checkpoint with its cosignature; by default it is put into the directory.

    Raises:
        TrailError: if the key is none.
    """

    def __init__(
        self, place: Path | str, url: str, vkey: str, keep: Callable[[Checkpoint, str], None] | None = None
    ) -> None:
        try:
            self._key = read_key(vkey, WITNESS_KEY)
        except ValueError as error:
            raise TrailError(f"the key `{vkey}` of the witness `{url}` {error}") from None
        self._place = place
        self._keep = keep or self._keep_in_file
        self._url = url.rstrip("/") + "/add-checkpoint"
        self._open = build_opener(_NoRedirect).open
        self._size: int = 0
        """Size of the last tree it is known to have seen."""

    def __call__(self, checkpoint: Checkpoint, note: str) -> None:
        """Have a checkpoint cosigned, and keep it with the cosignature.

        Raises:
            TrailError: if the witness cannot be reached, has seen another trail or a longer one, or answers otherwise
                than it must.
            OSError: if the trail cannot be read, or the cosignature not be kept.
        """
        status, answer = self._ask(checkpoint, note)
        if status == 409:
            before, self._size = self._size, self._told_size(answer, checkpoint)
            status, answer = self._ask(checkpoint, note) if self._size != before else (422, "")
        if status != 200:
            raise TrailError(f"the witness `{self._url}` {_refusal(status)}")
        cosigned = read_note((note + answer).encode(), cosigned=True)
        good = [line for line in cosigned.lines if (line.name, line.key_id) == (self._key.name, self._key.key_id)]
        if not good or not all(self._key.check(line.signature, cosigned.text) for line in good):
            raise TrailError(f"the witness `{self._url}` answers with a cosignature that is not by its key")
        self._size = checkpoint.size
        self._keep(checkpoint, note + answer)

    def _ask(self, checkpoint: Checkpoint, note: str) -> tuple[int, str]:
        if self._size > checkpoint.size:
            raise TrailError(
                f"the witness `{self._url}` has seen {self._size} records, and this trail has {checkpoint.size}: "
                "it was put back to an older state"
            )
        proof = consistency_proof(self._place, self._size, checkpoint.size)
        lines = [f"old {self._size}", *(base64.b64encode(digest).decode() for digest in proof), "", note]
        request = Request(self._url, "\n".join(lines).encode(), {"Content-Type": "text/plain"})  # noqa: S310 - http only, see the configuration
        try:
            with self._open(request, timeout=TIMEOUT_SECONDS) as response:
                return response.status, response.read(MAX_ANSWER_BYTES).decode("utf-8", "replace")
        except HTTPError as error:
            with error:
                return error.code, error.read(MAX_ANSWER_BYTES).decode("utf-8", "replace")
        except (URLError, HTTPException, OSError) as error:
            why = getattr(error, "reason", None) or error
            raise TrailError(f"the witness `{self._url}` cannot be reached: {str(why).lower()}") from None

    def _told_size(self, answer: str, checkpoint: Checkpoint) -> int:
        text = answer.strip()
        if not (text.isascii() and text.isdigit()):
            raise TrailError(f"the witness `{self._url}` answers 409 without the size it has seen")
        if int(text) > checkpoint.size:
            raise TrailError(
                f"the witness `{self._url}` has seen {text} records, and this trail has {checkpoint.size}: "
                "it was put back to an older state"
            )
        return int(text)

    def _keep_in_file(self, _: Checkpoint, note: str) -> None:
        # Not synced: without it, the witness is asked again with the next checkpoint.
        fd = os.open(Path(self._place) / COSIGNED_FILE, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            write_all(fd, note.encode(), os.fstat(fd).st_size)
        finally:
            os.close(fd)


def _refusal(status: int) -> str:
    reasons = {
        400: "says that the request is malformed",
        403: "does not accept the signature: give it the trail's key as it is now",
        404: "does not know this ledger: give it the trail's key",
        409: "has seen another size than it said",
        422: "has seen another trail of this name: its records are not the beginning of these",
    }
    return reasons.get(status, f"answers {status}")
