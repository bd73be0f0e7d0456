"""A witness: it cosigns what it has seen of other ledgers, and never two histories of one.

`POST /add-checkpoint` of C2SP tlog-witness over plain HTTP; put a TLS proxy before it where that matters. Its state is
one small file: for each ledger the last tree that it has cosigned.

INVARIANT: the comparison with the last tree, the write of the new one and the cosignature are one step under one lock,
and the state is durable before the cosignature leaves; or two requests could roll a ledger back.

Source: c2sp.org/tlog-witness, c2sp.org/tlog-cosignature.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import threading
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from guardrail.audit._files import replace
from guardrail.audit._proof import is_consistent
from guardrail.audit._verify_note import Key, Note, read_key, read_note
from guardrail.errors import TrailError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

MAX_REQUEST_BYTES: Final = 64 * 1024
"""Largest request, in bytes: 63 lines of proof, and a note."""

MAX_PROOF_LINES: Final = 63
"""Most hashes of a proof, as tlog-witness says."""

REQUEST_SECONDS: Final = 10.0
"""Longest wait for the bytes of a request, in seconds."""

_TYPE: Final = b"\x04"


class Answer(NamedTuple):
    """What is answered: a status, and a text of that type."""

    status: HTTPStatus
    text: str = ""
    type: str = "text/plain; charset=utf-8"


class Witness:
    """What it has seen, and its key.

    Args:
        name: its name, in its key and under every cosignature.
        key: Ed25519 private key, used for nothing else: a cosignature does not say by whom it is.
        logs: verifier keys of the ledgers that it watches; a ledger may have several.
        state: file in which it keeps what it has seen.
        clock: seconds since the epoch.

    Raises:
        TrailError: if a name or key cannot be used, or the state cannot be read.
    """

    def __init__(
        self,
        name: str,
        key: Ed25519PrivateKey,
        logs: Sequence[str],
        state: Path,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not name or "+" in name or any(map(str.isspace, name)):
            raise TrailError(f"`{name}` cannot name a witness: use no blanks and no `+`")
        self._name, self._key, self._state, self._clock = name, key, state, clock
        public = key.public_key().public_bytes_raw()
        self._key_id = hashlib.sha256(name.encode() + b"\n" + _TYPE + public).digest()[:4]
        self.vkey = f"{name}+{self._key_id.hex()}+{base64.b64encode(_TYPE + public).decode()}"
        self._logs: dict[str, list[Key]] = {}
        for vkey in logs:
            try:
                log = read_key(vkey)
            except ValueError as error:
                raise TrailError(f"the key `{vkey}` of a ledger {error}") from None
            self._logs.setdefault(log.name, []).append(log)
        self._lock = threading.Lock()
        self._seen = _read_state(state)

    def seen(self, origin: str) -> tuple[int, bytes]:
        """Size and root of the last tree that it has cosigned of a ledger; 0 and nothing if none."""
        return self._seen.get(origin, (0, b""))

    def add_checkpoint(self, body: bytes) -> Answer:
        """Answer one request.

        Args:
            body: `old SIZE`, lines of proof, an empty line, a signed note.

        Raises:
            OSError: if what was seen cannot be kept; then nothing was cosigned.
        """
        try:
            old, proof, note = _read_request(body)
        except ValueError as error:
            return Answer(HTTPStatus.BAD_REQUEST, f"the request {error}\n")
        keys = self._logs.get(note.origin)
        if keys is None:
            return Answer(HTTPStatus.NOT_FOUND, f"the ledger `{note.origin}` is not watched here\n")
        if not _is_signed(note, keys):
            return Answer(HTTPStatus.FORBIDDEN, "no signature of the checkpoint is by a known key of its ledger\n")
        if old > note.size:
            return Answer(HTTPStatus.BAD_REQUEST, "the old size is above the new one\n")
        with self._lock:
            size, root = self.seen(note.origin)
            # One size with two roots is the same conflict: there are two histories.
            if old != size or (root and size == note.size and root != note.root):
                return Answer(HTTPStatus.CONFLICT, f"{size}\n", "text/x.tlog.size")
            if not is_consistent(size, note.size, root or _EMPTY, note.root, proof):
                return Answer(HTTPStatus.UNPROCESSABLE_ENTITY, "the proof does not lead from the old tree to the new\n")
            if size != note.size or not root:
                self._keep(note)
        return Answer(HTTPStatus.OK, self._cosign(note))

    def _keep(self, note: Note) -> None:
        seen = {**self._seen, note.origin: (note.size, note.root)}
        value = {origin: {"size": size, "root": root.hex()} for origin, (size, root) in seen.items()}
        replace(self._state, json.dumps(value, sort_keys=True, indent=1).encode() + b"\n")
        self._seen = seen

    def _cosign(self, note: Note) -> str:
        now = int(self._clock())
        signature = self._key.sign(b"cosignature/v1\ntime %d\n%s" % (now, note.text))
        return f"— {self._name} {base64.b64encode(self._key_id + now.to_bytes(8, 'big') + signature).decode()}\n"


_EMPTY: Final = hashlib.sha256(b"").digest()


def _read_request(body: bytes) -> tuple[int, list[bytes], Note]:
    head, _, text = body.partition(b"\n\n")
    first, *lines = head.decode("ascii").split("\n") if head.isascii() else [""]
    word, _, number = first.partition(" ")
    if word != "old" or not number.isdigit() or number != str(int(number)):
        raise ValueError("does not begin with `old` and a size")
    if len(lines) > MAX_PROOF_LINES:
        raise ValueError(f"has more than {MAX_PROOF_LINES} lines of proof")
    try:
        proof = [base64.b64decode(line, validate=True) for line in lines]
    except binascii.Error:
        raise ValueError("has a line of proof that is not base64") from None
    if any(len(digest) != 32 for digest in proof):
        raise ValueError("has a line of proof that is no hash")
    return int(number), proof, read_note(text, cosigned=True)


def _is_signed(note: Note, keys: Sequence[Key]) -> bool:
    """Whether a known key signed it, and none signed it wrongly."""
    known = {key.key_id: key for key in keys}
    found = [(known[line.key_id], line) for line in note.lines if line.name == note.origin and line.key_id in known]
    return bool(found) and all(key.check(line.signature, note.text) for key, line in found)


def _read_state(path: Path) -> dict[str, tuple[int, bytes]]:
    try:
        value: Any = json.loads(path.read_bytes())
        return {origin: (int(seen["size"]), bytes.fromhex(seen["root"])) for origin, seen in value.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # Forgetting what was seen would let every ledger be rewritten.
        raise TrailError(f"the state `{path}` cannot be read: restore it; without it nothing is remembered") from None


class _Handler(BaseHTTPRequestHandler):
    witness: Witness
    timeout = REQUEST_SECONDS
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Take a checkpoint."""
        length = self.headers.get("Content-Length", "")
        if self.path != "/add-checkpoint":
            self._answer(Answer(HTTPStatus.NOT_FOUND, "there is only `/add-checkpoint` here\n"))
        elif not length.isdigit():
            self._answer(Answer(HTTPStatus.LENGTH_REQUIRED, "the request needs a `Content-Length`\n"))
        elif int(length) > MAX_REQUEST_BYTES:
            self._answer(Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {MAX_REQUEST_BYTES} bytes\n"))
        else:
            self._take(self.rfile.read(int(length)))

    def _take(self, body: bytes) -> None:
        try:
            answer = self.witness.add_checkpoint(body)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            answer = Answer(HTTPStatus.SERVICE_UNAVAILABLE, f"what was seen cannot be kept: {why}\n")
        self._answer(answer)

    def _answer(self, answer: Answer) -> None:
        data = answer.text.encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.type)
        self.send_header("Content-Length", str(len(data)))
        if answer.status is not HTTPStatus.OK:
            self.send_header("Connection", "close")  # what is left of a refused request is not read as another
            self.close_connection = True
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server calls it by
        """Say nothing: whoever asks chooses what would be written."""


class WitnessServer(ThreadingHTTPServer):
    """A witness on a port.

    Args:
        witness: what answers.
        host: address to listen on.
        port: port to listen on; 0 takes a free one, which is then in `server_port`.
    """

    daemon_threads = True

    def __init__(self, witness: Witness, host: str, port: int) -> None:
        handler = type("_HandlerOfOne", (_Handler,), {"witness": witness})
        super().__init__((host, port), handler)
