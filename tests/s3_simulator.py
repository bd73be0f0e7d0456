"""A small object store with the semantics of S3 that matter for what is left of a key. A real server on a real port."""

from __future__ import annotations

import http.server
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from xml.sax.saxutils import escape

from guardrail.obligations.world._s3 import authorization

PAGE = 2
"""Entries on one page of a listing, so that paging is met."""


class Bucket:
    """Objects with versions, delete markers, unfinished uploads, locks and replication."""

    def __init__(self, *, versioned: bool = True, key: str = "", secret: str = "") -> None:
        self.versioned = versioned
        self.key, self.secret = key, secret
        self.versions: list[tuple[str, str, bool]] = []  # key, version, is a delete marker; the newest last
        self.uploads: list[tuple[str, str]] = []
        self.headers: dict[str, dict[str, str]] = {}
        self.answers: dict[str, tuple[int, bytes]] = {}  # what a request answers instead, by `HEAD`, `versions`, …
        self.seen: list[str] = []
        self._count = 0

    def put(self, key: str, **headers: str) -> None:
        """An object; the one before stays as a version if the bucket keeps them."""
        if not self.versioned:
            self.versions = [one for one in self.versions if one[0] != key]
        self._count += 1
        self.versions.append((key, f"v{self._count}", False))
        self.headers[key] = {name.replace("_", "-"): value for name, value in headers.items()}

    def delete(self, key: str, version: str = "") -> None:
        """As DeleteObject: without a version it only hides what is there, if versions are kept."""
        if version:
            self.versions = [one for one in self.versions if one[1] != version]
        elif self.versioned:
            self._count += 1
            self.versions.append((key, f"v{self._count}", True))
        else:
            self.versions = [one for one in self.versions if one[0] != key]

    def head(self, key: str) -> bool:
        """Whether the key is there to a reader."""
        last = next((one for one in reversed(self.versions) if one[0] == key), None)
        return last is not None and not last[2]


@contextmanager
def serving(bucket: Bucket) -> Iterator[str]:
    """The address of a store with one bucket, `models`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(*self._head())

        def do_GET(self) -> None:
            self._answer(*self._list())

        def do_DELETE(self) -> None:
            self._answer(*self._delete())

        def _delete(self) -> tuple[int, dict[str, str], bytes]:
            _, key, query = self._parts()
            bucket.seen.append("DELETE")
            if code := self._refused():
                return code, {}, b""
            if "uploadId" in query:
                bucket.uploads = [one for one in bucket.uploads if one != (key, query["uploadId"])]
            elif bucket.headers.get(key, {}).get("x-amz-object-lock-legal-hold") == "ON":
                return 403, {}, b""
            else:
                bucket.delete(key, query.get("versionId", ""))
            return 204, {}, b""

        def _parts(self) -> tuple[str, str, dict[str, str]]:
            path, _, query = self.path.partition("?")
            name, _, key = path.lstrip("/").partition("/")
            return name, urllib.parse.unquote(key), dict(urllib.parse.parse_qsl(query, keep_blank_values=True))

        def _refused(self) -> int:
            path, _, query = self.path.partition("?")
            if bucket.key:
                names = ("host", "x-amz-content-sha256", "x-amz-date")
                signed = {name: self.headers.get(name) or "" for name in names}
                want = authorization(self.command, path, query, signed, bucket.key, bucket.secret, "eu-test-1")
                if self.headers.get("authorization") != want:
                    return 403
            return 0 if self._parts()[0] == "models" else 404

        def _head(self) -> tuple[int, dict[str, str], bytes]:
            _, key, _ = self._parts()
            bucket.seen.append("HEAD")
            if "HEAD" in bucket.answers:
                return bucket.answers["HEAD"][0], {}, b""
            if code := self._refused():
                return code, {}, b""
            return (200, bucket.headers.get(key, {}), b"") if bucket.head(key) else (404, {}, b"")

        def _list(self) -> tuple[int, dict[str, str], bytes]:
            _, _, query = self._parts()
            what = "versions" if "versions" in query else "uploads"
            bucket.seen.append(what)
            if what in bucket.answers:
                return bucket.answers[what][0], {}, bucket.answers[what][1]
            if code := self._refused():
                return code, {}, b""
            prefix = query.get("prefix", "")
            if what == "versions":
                found = [one for one in sorted(bucket.versions) if one[0].startswith(prefix)]
                rows = [(key, number, "DeleteMarker" if gone else "Version") for key, number, gone in found]
                number_tag, marker, following = "VersionId", "version-id-marker", "NextVersionIdMarker"
            else:
                rows = [(key, number, "Upload") for key, number in sorted(bucket.uploads) if key.startswith(prefix)]
                number_tag, marker, following = "UploadId", "upload-id-marker", "NextUploadIdMarker"
            after = (query.get("key-marker", ""), query.get(marker, ""))
            left = [row for row in rows if (row[0], row[1]) > after]
            page, more = left[:PAGE], len(left) > PAGE
            body = "".join(
                f"<{tag}><Key>{escape(key)}</Key><{number_tag}>{number}</{number_tag}></{tag}>"
                for key, number, tag in page
            )
            tail = f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>"
            if more:
                tail += f"<NextKeyMarker>{escape(page[-1][0])}</NextKeyMarker><{following}>{page[-1][1]}</{following}>"
            text = f'<List xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{tail}{body}</List>'
            return 200, {}, text.encode()

        def _answer(self, code: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(code)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Nothing on the terminal."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
