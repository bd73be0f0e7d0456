"""An object store that speaks S3: what is left of a key in versions, unfinished uploads and replicas.

A deleted object of a versioned bucket is all there behind its delete marker, and an upload that was never finished
holds what was sent; both are found by asking again, not by what the deletion answered.
Sources: Amazon S3 API Reference (HeadObject, ListObjectVersions, ListMultipartUploads), AWS Signature Version 4.
Blind spots: other buckets, replicas that this bucket does not tell of, and what a lifecycle rule has moved out of it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import http.client
import os
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from typing import Any, Final

from guardrail.obligations.world._stores import Cleared, Holding

REQUEST_SECONDS: Final = 30.0
"""Longest wait for the store to say anything, in seconds."""

MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024
"""Largest answer, in bytes."""

MAX_PAGES: Final = 1_000
"""Most pages of one listing."""

MAX_NAMED: Final = 8
"""Most versions or uploads that are named; the rest are counted."""

_EMPTY: Final = hashlib.sha256(b"").hexdigest()


class Unknown(Exception):
    """What is there cannot be told; the message says why."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirection would take the signature to another host."""

    def redirect_request(self, *_args: Any, **_more: Any) -> None:
        return None


class S3Store:
    """Objects in buckets.

    Args:
        url: address of the store; buckets are the first part of its paths.
        region: as it is signed.
        environment: where `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN` are looked up;
            without them requests are not signed.
    """

    def __init__(self, url: str, region: str, environment: Mapping[str, str] = os.environ) -> None:
        parts = urllib.parse.urlsplit(url)
        self._base = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        self._host = parts.netloc
        self._path = parts.path.rstrip("/")
        self._region = region
        self._environment = environment
        self._opener = urllib.request.build_opener(_NoRedirects)

    def owns(self, address: str) -> bool:
        """Whether it is an object."""
        return address.startswith("s3://")

    def holds(self, address: str) -> Holding:
        """What is left of an object, and of all below it if it is a prefix."""
        bucket, _, key = address.removeprefix("s3://").partition("/")
        if not bucket or not key:
            says = f"`{address}` cannot be looked at: it must be `s3://bucket/key`"
            return Holding(result="unknown", says=(says,))
        try:
            left = tuple(self._left(bucket, key))
        except Unknown as error:
            return Holding(result="unknown", says=(f"`{address}` cannot be looked at: {error}",))
        if left:
            return Holding(result="present", says=tuple(f"`{address}`: {line}" for line in left))
        return Holding(result="absent", says=(f"`{address}` has no object, no version and no unfinished upload",))

    def erase(self, address: str) -> Cleared:
        """Delete an object, its versions and its unfinished uploads, and all below it if it is a prefix."""
        bucket, _, key = address.removeprefix("s3://").partition("/")
        if not bucket or not key:
            return Cleared(gone=0, left=(f"`{address}` was left: it must be `s3://bucket/key`",))
        gone, left = 0, list[str]()
        try:
            # The list is taken first: what is deleted while it is read would move its pages.
            for name, query, what in list(self._deletions(bucket, key)):
                code, _, _ = self._ask("DELETE", bucket, name, query)
                if code in (200, 204):
                    gone += 1
                elif code != 404 and len(left) < MAX_NAMED:
                    left.append(f"{what} of `s3://{bucket}/{name}` was left: DELETE answered {code}")
        except Unknown as error:
            left.append(f"`{address}` cannot be deleted as a whole: {error}")
        return Cleared(gone=gone, left=tuple(left))

    def _deletions(self, bucket: str, key: str) -> Iterator[tuple[str, dict[str, str], str]]:
        """Everything there is to delete: key, what the request says of it, and what it is called."""
        # A delete marker is a version too, and so is an object of a bucket that keeps none: it is called `null`.
        for tag in ("Version", "DeleteMarker"):
            for name, number in self._listed(bucket, key, "versions", tag, "VersionId"):
                yield name, {"versionId": number}, f"version `{number}`"
        for name, number in self._listed(bucket, key, "uploads", "Upload", "UploadId"):
            yield name, {"uploadId": number}, f"the unfinished upload `{number}`"

    def _left(self, bucket: str, key: str) -> Iterator[str]:
        # 1. The object, and what keeps it from being deleted or has made it elsewhere.
        code, headers, _ = self._ask("HEAD", bucket, key)
        if code == 200:
            yield "the object is still there"
            if headers.get("x-amz-object-lock-legal-hold", "").upper() == "ON":
                yield "a legal hold keeps it from being deleted"
            if until := headers.get("x-amz-object-lock-retain-until-date"):
                yield f"it is locked until {until}"
            if headers.get("x-amz-replication-status"):
                yield "it was replicated to another bucket"
        elif code != 404:
            raise Unknown(f"HEAD answered {code}")
        # 2. Its versions: a delete marker hides them and frees nothing.
        versions = [name for name, _ in self._listed(bucket, key, "versions", "Version", "VersionId")]
        if versions:
            yield f"{len(versions)} versions are kept{_named(versions)}"
        # 3. Uploads that were begun.
        uploads = [name for name, _ in self._listed(bucket, key, "uploads", "Upload", "UploadId")]
        if uploads:
            yield f"{len(uploads)} unfinished uploads hold parts of it{_named(uploads)}"

    def _listed(self, bucket: str, key: str, what: str, tag: str, number: str) -> Iterator[tuple[str, str]]:
        """Key and id of everything of one kind at a key or below it."""
        markers = {"key-marker": "", _MARKER[what]: ""}
        for _ in range(MAX_PAGES):
            query = {what: "", "prefix": key, **{name: value for name, value in markers.items() if value}}
            code, _headers, body = self._ask("GET", bucket, "", query)
            if code != 200:
                raise Unknown(f"listing its {what} answered {code}")
            answer = _parsed(body)
            for one in answer:
                if _plain(one.tag) != tag:
                    continue
                name = _text(one, "Key")
                if name == key or name.startswith(f"{key.rstrip('/')}/"):
                    yield name, _text(one, number)
            if _text(answer, "IsTruncated").lower() != "true":
                return
            following = {
                "key-marker": _text(answer, "NextKeyMarker"),
                _MARKER[what]: _text(answer, _NEXT[what]),
            }
            if following == markers:
                raise Unknown(f"the list of its {what} has no end")
            markers = following
        raise Unknown(f"the list of its {what} has more than {MAX_PAGES} pages")

    def _ask(
        self, verb: str, bucket: str, key: str, query: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        path = f"{self._path}/{_quoted(bucket)}" + (f"/{_quoted(key, '/')}" if key else "")
        text = "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in sorted((query or {}).items()))
        headers = self._signed(verb, path, text, dt.datetime.now(dt.UTC))
        where = f"{self._base[: len(self._base) - len(self._path)]}{path}{f'?{text}' if text else ''}"
        request = urllib.request.Request(where, headers=headers, method=verb)  # noqa: S310 - config checks the scheme
        try:
            with self._opener.open(request, timeout=REQUEST_SECONDS) as answer:
                data = answer.read(MAX_ANSWER_BYTES + 1)
                told = {name.lower(): value for name, value in answer.headers.items()}
                code: int = answer.status
        except urllib.error.HTTPError as error:
            with error:
                return error.code, {name.lower(): value for name, value in error.headers.items()}, b""
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise Unknown(f"`{self._base}` cannot be asked: {str(reason).lower() or type(error).__name__}") from None
        if len(data) > MAX_ANSWER_BYTES:
            raise Unknown(f"`{self._base}` answered with more than {MAX_ANSWER_BYTES} bytes")
        return code, told, data

    def _signed(self, verb: str, path: str, query: str, now: dt.datetime) -> dict[str, str]:
        """The headers of a request, with AWS Signature Version 4 where there are credentials."""
        key, secret = (self._environment.get(f"AWS_{name}", "") for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"))
        headers = {"host": self._host, "x-amz-content-sha256": _EMPTY, "x-amz-date": f"{now:%Y%m%dT%H%M%SZ}"}
        if not key or not secret:
            return {"x-amz-content-sha256": _EMPTY}
        if token := self._environment.get("AWS_SESSION_TOKEN", ""):
            headers["x-amz-security-token"] = token
        return {
            **{name: value for name, value in headers.items() if name != "host"},
            "authorization": authorization(verb, path, query, headers, key, secret, self._region),
        }


def authorization(
    verb: str, path: str, query: str, headers: Mapping[str, str], key: str, secret: str, region: str
) -> str:
    """The value of the `Authorization` header by AWS Signature Version 4, for a request without a body.

    Args:
        verb: of the request.
        path: encoded.
        query: encoded and sorted.
        headers: those that are signed, by names in lower case; `x-amz-date` and `x-amz-content-sha256` among them.
        key: id of the access key.
        secret: the access key.
        region: such as `us-east-1`.
    """
    names = sorted(headers)
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in names)
    signed = ";".join(names)
    request = "\n".join((verb, path, query, lines, signed, headers["x-amz-content-sha256"]))
    date = headers["x-amz-date"]
    scope = f"{date[:8]}/{region}/s3/aws4_request"
    text = "\n".join(("AWS4-HMAC-SHA256", date, scope, hashlib.sha256(request.encode()).hexdigest()))
    signing = f"AWS4{secret}".encode()
    for part in (date[:8], region, "s3", "aws4_request"):
        signing = hmac.new(signing, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(signing, text.encode(), hashlib.sha256).hexdigest()
    return f"AWS4-HMAC-SHA256 Credential={key}/{scope},SignedHeaders={signed},Signature={signature}"


_MARKER: Final = {"versions": "version-id-marker", "uploads": "upload-id-marker"}
_NEXT: Final = {"versions": "NextVersionIdMarker", "uploads": "NextUploadIdMarker"}


def _parsed(body: bytes) -> ET.Element:
    if b"<!" in body:
        # Neither a document type nor an entity belongs into an answer; with them it could grow without bound.
        raise Unknown("its answer is not XML as an object store writes it")
    try:
        return ET.fromstring(body)  # noqa: S314 - no entities, see above, and bounded in size
    except ET.ParseError:
        raise Unknown("its answer is not XML: is it an object store?") from None


def _plain(tag: str) -> str:
    return tag.rpartition("}")[2]


def _text(element: ET.Element, name: str) -> str:
    return next((child.text or "" for child in element if _plain(child.tag) == name), "")


def _quoted(text: str, safe: str = "") -> str:
    return urllib.parse.quote(text, safe=f"-_.~{safe}")


def _named(names: list[str]) -> str:
    distinct = list(dict.fromkeys(names))
    more = f" and {len(distinct) - MAX_NAMED} more" if len(distinct) > MAX_NAMED else ""
    return f": {', '.join(f'`{name}`' for name in distinct[:MAX_NAMED])}{more}"
