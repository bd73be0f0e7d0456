"""Digests of a model version in an MLflow registry, over its REST interface; no package of MLflow is needed.

Not concerned with who registered the version: its bytes are read, and what they are is claimed of the asset.
Sources: MLflow REST API 2.0 (`model-versions/get`, `model-versions/get-download-uri`, `registered-models/alias`,
`runs/get`, `logged-models`) and its artifact proxy (`mlflow-artifacts/artifacts`), mlflow/protos/service.proto and
mlflow_artifacts.proto; environment variables by mlflow/environment_variables.py, read in 3.17.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import http.client
import os
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO, Final

import msgspec

from guardrail.assets._places import walk_files
from guardrail.assets._provenance import is_beside_weights
from guardrail.assets.identity._claims import Claim, Unfit

REQUEST_SECONDS: Final = 30.0
"""Longest wait for a server to say anything, in seconds."""

IMPORT_SECONDS: Final = 6 * 3600.0
"""Longest import, in seconds."""

MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024
"""Largest answer of the registry that is no artifact, in bytes."""

MAX_ARTIFACTS: Final = 10_000
"""Most files of one model version."""

MAX_ARTIFACT_BYTES: Final = 4 * 1024**4
"""Most bytes of one model version."""

MAX_FOLDERS: Final = 1_000
"""Most directories of one model version."""

MAX_HOPS: Final = 4
"""Most addresses that one model version is led through: a copy of a version of a run."""

MIN_CLAIMED_BYTES: Final = 4096
"""Smallest file whose digest says which model it is of, in bytes: small ones stand in many."""

CHUNK_BYTES: Final = 4 * 1024 * 1024
"""What is read at once, in bytes."""

_REFERENCE: Final = re.compile(r"(?:mlflow:|models:/)([^/@:]+)(?:/([0-9]+)|@([^/@:]+))")
_LOGGED: Final = re.compile(r"models:/(m-[0-9a-zA-Z]+)/?(.*)")
_RUN: Final = re.compile(r"runs:/+([^/]+)/?(.*)")

_BOOKKEEPING: Final = frozenset(
    "MLmodel conda.yaml python_env.yaml requirements.txt input_example.json serving_input_example.json "
    "registered_model_meta metadata.yaml".split()
)
"""Files that MLflow puts beside every model."""

Progress = Callable[[int], None]


def is_reference(text: str) -> bool:
    """Whether a text is meant to name a model version: `mlflow:NAME/VERSION`, `mlflow:NAME@ALIAS`."""
    return text.startswith(("mlflow:", "models:/"))


def claims_of_version(
    reference: str,
    tracking_uri: str,
    progress: Progress | None = None,
    environment: Mapping[str, str] = os.environ,
) -> tuple[str, tuple[Claim, ...]]:
    """Read all files of a model version, and say what their digests are.

    Args:
        reference: `mlflow:NAME/VERSION`, `mlflow:NAME@ALIAS`, or the same with `models:/`.
        tracking_uri: of the server, `http://…` or `https://…`; empty means `MLFLOW_TRACKING_URI`.
        progress: told how many more bytes were read.
        environment: where `MLFLOW_TRACKING_TOKEN`, `MLFLOW_TRACKING_USERNAME` and `_PASSWORD`, and
            `MLFLOW_TRACKING_SERVER_CERT_PATH` are looked up.

    Returns:
        `mlflow:NAME/VERSION`, with the version that an alias stands for, and the claims.

    Raises:
        Unfit: if the version is not to be had, with the reason and what to do.
        OSError: if a local file of it cannot be read.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise Unfit("a model version is named `mlflow:NAME/VERSION` or `mlflow:NAME@ALIAS`")
    server = _Server(tracking_uri or environment.get("MLFLOW_TRACKING_URI", ""), environment)
    name, number = match[1], match[2]
    if match[3]:
        number = _text(server.ask("registered-models/alias", name=name, alias=match[3]), "model_version", "version")
    place = server.place_of(name, number)
    reader = _Reader(progress)
    claims = tuple(reader.claims(server.artifacts(place)))
    if not claims:
        raise Unfit(f"version {number} of `{name}` has no file of {MIN_CLAIMED_BYTES} bytes or more at `{place}`")
    return f"mlflow:{name}/{number}", claims


class NotThere(Unfit):
    """The registry says that it has no such model version."""


def has_version(reference: str, tracking_uri: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a registry has a model version.

    Args:
        reference: `mlflow:NAME/VERSION`.
        tracking_uri: of the server.
        environment: where credentials are looked up, as for `claims_of_version`.

    Raises:
        Unfit: if that cannot be told, with the reason.
    """
    name, version = _version_of(reference)
    try:
        told = _Server(tracking_uri, environment).ask("model-versions/get", name=name, version=version)
    except NotThere:
        return False
    return bool(_text(told, "model_version", "version"))


def _version_of(reference: str) -> tuple[str, str]:
    """Name and version of a reference that is no alias.

    Raises:
        Unfit: if it is another reference, or none.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None or match[2] is None:
        raise Unfit("a model version is named `mlflow:NAME/VERSION`")
    return match[1], match[2]


def delete_version(reference: str, tracking_uri: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Delete a model version from a registry; what it was made from, such as a run, stays.

    Args:
        reference: `mlflow:NAME/VERSION`.
        tracking_uri: of the server.
        environment: where credentials are looked up, as for `claims_of_version`.

    Returns:
        Whether there was one.

    Raises:
        Unfit: if it cannot be deleted, with the reason.
    """
    name, version = _version_of(reference)
    try:
        _Server(tracking_uri, environment).tell("model-versions/delete", name=name, version=version)
    except NotThere:
        return False
    return True


class _Artifact(msgspec.Struct, frozen=True):
    """A file of a model version: its name in it, its size in bytes, and how to open it."""

    name: str
    size: int
    open: Callable[[], Any]


class _Reader:
    """Hashes files as they come, within one budget."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._ends = time.monotonic() + IMPORT_SECONDS
        self._left = MAX_ARTIFACT_BYTES

    def claims(self, artifacts: Iterator[_Artifact]) -> Iterator[Claim]:
        for count, artifact in enumerate(artifacts, 1):
            if count > MAX_ARTIFACTS:
                raise Unfit(f"it has more than {MAX_ARTIFACTS} files")
            base = artifact.name.rpartition("/")[2]
            if artifact.size < MIN_CLAIMED_BYTES or base in _BOOKKEEPING or is_beside_weights(f"/{artifact.name}"):
                continue
            with artifact.open() as stream:
                digest, size = self._hashed(stream)
            if size != artifact.size:
                raise Unfit(f"`{artifact.name}` came with {size} bytes instead of {artifact.size}: try again")
            yield Claim(name=artifact.name, algorithm="sha256", digest=digest)

    def _hashed(self, stream: BinaryIO) -> tuple[bytes, int]:
        digest = hashlib.sha256()
        size = 0
        try:
            while data := stream.read(CHUNK_BYTES):
                size += len(data)
                self._left -= len(data)
                if self._left < 0:
                    raise Unfit(f"it is larger than {MAX_ARTIFACT_BYTES} bytes")
                if time.monotonic() > self._ends:
                    raise Unfit(f"reading it took longer than {IMPORT_SECONDS:.0f} seconds")
                digest.update(data)
                if self._progress is not None:
                    self._progress(len(data))
        except (TimeoutError, http.client.HTTPException) as error:
            raise Unfit(f"the server stopped sending: {type(error).__name__}") from None
        return digest.digest(), size


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirection would take the token to another host."""

    def redirect_request(self, *_args: Any, **_more: Any) -> None:
        return None


class _Server:
    """One MLflow tracking server.

    Args:
        uri: its address.
        environment: MLflow's variables.

    Raises:
        Unfit: if that is no address of a server, or the credentials make no sense.
    """

    def __init__(self, uri: str, environment: Mapping[str, str]) -> None:
        parts = urllib.parse.urlsplit(uri)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Unfit(
                "the tracking server is unknown: give its address with `--tracking-uri http://…`, or set "
                "MLFLOW_TRACKING_URI; registries without a server are not read"
            )
        host = parts.netloc.rpartition("@")[2]
        self._base = f"{parts.scheme}://{host}{parts.path.rstrip('/')}"
        self._headers = {"Accept": "application/json, */*", "User-Agent": "guardrail"}
        authorization = _authorization(parts, environment)
        if authorization:
            self._headers["Authorization"] = authorization
        certificates = environment.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or None
        try:
            context = ssl.create_default_context(cafile=certificates)
        except OSError as error:
            raise Unfit(f"MLFLOW_TRACKING_SERVER_CERT_PATH cannot be used: {error.strerror or error}") from None
        self._opener = urllib.request.build_opener(_NoRedirects, urllib.request.HTTPSHandler(context=context))

    # -- what the registry says

    def ask(self, method: str, **query: str) -> Any:
        """An answer of the registry, as plain values."""
        return self._json(f"/api/2.0/mlflow/{method}", query)

    def tell(self, method: str, **body: str) -> None:
        """Have the registry delete something."""
        data = msgspec.json.encode(body)
        with self._get(f"/api/2.0/mlflow/{method}", {}, verb="DELETE", body=data) as answer:
            answer.read(MAX_ANSWER_BYTES)

    def place_of(self, name: str, number: str, hops: int = MAX_HOPS) -> str:
        """The address of the artifacts of a version."""
        told = self.ask("model-versions/get", name=name, version=number)
        status = _text(told, "model_version", "status")
        if status != "READY":
            raise Unfit(f"version {number} of `{name}` is `{status}`: wait until it is ready")
        place = _text(self.ask("model-versions/get-download-uri", name=name, version=number), "artifact_uri")
        return self._led(place, hops)

    def _led(self, place: str, hops: int) -> str:
        """Go on from an address that only names another."""
        if hops <= 0:
            raise Unfit(f"it leads through more than {MAX_HOPS} addresses, the last of them `{place}`")
        if match := _LOGGED.fullmatch(place):
            told = self.ask(f"logged-models/{urllib.parse.quote(match[1], safe='')}")
            return self._led(_joined(_text(told, "model", "info", "artifact_uri"), match[2]), hops - 1)
        if match := _REFERENCE.fullmatch(place):
            return self.place_of(match[1], match[2], hops - 1)
        if match := _RUN.fullmatch(place):
            told = self.ask("runs/get", run_id=match[1])
            return self._led(_joined(_text(told, "run", "info", "artifact_uri"), match[2]), hops - 1)
        return place

    # -- the files

    def artifacts(self, place: str) -> Iterator[_Artifact]:
        """The files at an address."""
        parts = urllib.parse.urlsplit(place)
        if parts.scheme == "mlflow-artifacts":
            if parts.netloc and f"//{parts.netloc}" not in self._base:
                raise Unfit(f"its artifacts lie on another server, `{parts.netloc}`: give that as `--tracking-uri`")
            yield from self._proxied(urllib.parse.unquote(parts.path).strip("/"))
        elif parts.scheme in ("", "file") and parts.netloc in ("", "localhost"):
            yield from _local(urllib.parse.unquote(parts.path) if parts.scheme else place)
        else:
            raise Unfit(
                f"its artifacts lie at `{place}`, which is not read here: download them, declare the files as the "
                "asset's paths and run `guardrail assets register`, or let the server pass them on "
                "(`mlflow server --serve-artifacts`)"
            )

    def _proxied(self, root: str) -> Iterator[_Artifact]:
        folders, seen = [root], 0
        while folders:
            folder = folders.pop()
            seen += 1
            if seen > MAX_FOLDERS:
                raise Unfit(f"it has more than {MAX_FOLDERS} directories")
            told = self._json("/api/2.0/mlflow-artifacts/artifacts", {"path": folder})
            for entry in _list(told, "files"):
                name = _text(entry, "path")
                path = f"{folder}/{name}" if folder else name
                if ".." in path.split("/") or name.startswith("/"):
                    raise Unfit(f"the server lists `{name}`, which lies outside of the model")
                if entry.get("is_dir"):
                    folders.append(path)
                    continue
                size = int(entry.get("file_size") or 0)
                yield _Artifact(path[len(root) :].lstrip("/"), size, functools.partial(self._download, path))

    def _download(self, path: str) -> Any:
        return self._get(f"/api/2.0/mlflow-artifacts/artifacts/{urllib.parse.quote(path)}", {})

    # -- requests

    def _json(self, path: str, query: Mapping[str, str]) -> Any:
        with self._get(path, query) as answer:
            try:
                data = answer.read(MAX_ANSWER_BYTES + 1)
            except (OSError, http.client.HTTPException) as error:
                raise Unfit(f"`{self._base}` stopped in the middle of its answer: {type(error).__name__}") from None
        if getattr(answer, "length", None) and len(data) <= MAX_ANSWER_BYTES:
            raise Unfit(f"`{self._base}` stopped in the middle of its answer")
        if len(data) > MAX_ANSWER_BYTES:
            raise Unfit(f"`{self._base}` answered with more than {MAX_ANSWER_BYTES} bytes")
        try:
            return msgspec.json.decode(data)
        except msgspec.DecodeError:
            raise Unfit(f"`{self._base}` answered something that is not JSON: is it an MLflow server?") from None

    def _get(self, path: str, query: Mapping[str, str], *, verb: str = "GET", body: bytes | None = None) -> Any:
        url = f"{self._base}{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        headers = self._headers if body is None else {**self._headers, "Content-Type": "application/json"}
        request = urllib.request.Request(url, data=body, headers=headers, method=verb)  # noqa: S310 - the scheme was looked at
        try:
            return self._opener.open(request, timeout=REQUEST_SECONDS)
        except urllib.error.HTTPError as error:
            with error:
                raise self._refused(error) from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise Unfit(f"`{self._base}` cannot be asked: {str(reason).lower() or type(error).__name__}") from None

    def _refused(self, error: urllib.error.HTTPError) -> Unfit:
        if error.code in (401, 403):
            return Unfit(
                f"`{self._base}` does not let us in ({error.code}): set MLFLOW_TRACKING_TOKEN, or "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
            )
        if 300 <= error.code < 400:
            return Unfit(
                f"`{self._base}` sends us to another address, which is not followed: give that as `--tracking-uri`"
            )
        told: Any = None
        try:
            told = msgspec.json.decode(error.read(MAX_ANSWER_BYTES))
            message = str(told["message"])
        except (OSError, http.client.HTTPException, msgspec.DecodeError, LookupError, TypeError):
            message = error.reason
        said = f"`{self._base}` answered {error.code}: {message[:300]}"
        # Only the registry's own word counts: any server answers 404 to a path that it does not know.
        code = told.get("error_code") if isinstance(told, dict) else None  # pyright: ignore[reportUnknownMemberType,reportUnknownVariableType]
        return NotThere(said) if (error.code, code) == (404, "RESOURCE_DOES_NOT_EXIST") else Unfit(said)


def _authorization(parts: urllib.parse.SplitResult, environment: Mapping[str, str]) -> str:
    token = environment.get("MLFLOW_TRACKING_TOKEN", "")
    user = environment.get("MLFLOW_TRACKING_USERNAME") or urllib.parse.unquote(parts.username or "")
    password = environment.get("MLFLOW_TRACKING_PASSWORD") or urllib.parse.unquote(parts.password or "")
    if user:
        return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    if any(char in token for char in "\r\n"):
        raise Unfit("MLFLOW_TRACKING_TOKEN has a line end in it: take it out")
    return f"Bearer {token}" if token else ""


def _local(path: str) -> Iterator[_Artifact]:
    """The regular files below a directory of this host; links are not followed."""
    if not path.startswith("/"):
        raise Unfit(f"its artifacts lie at `{path}`, which is relative to the server's own directory")
    if not os.path.exists(path):
        raise Unfit(f"its artifacts lie at `{path}`, where there is nothing here: run this on the server's own host")
    for file, status in walk_files(path, MAX_ARTIFACTS + 1):
        name = os.path.relpath(file, path) if file != path else os.path.basename(file)
        yield _Artifact(name, status.st_size, functools.partial(_opened, file))


def _opened(file: str) -> BinaryIO:
    return open(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")


def _joined(place: str, more: str) -> str:
    return f"{place.rstrip('/')}/{more}" if more else place


def _text(told: Any, *keys: str) -> str:
    for key in keys:
        told = told.get(key) if isinstance(told, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    if not isinstance(told, str) or not told:
        raise Unfit(f"the server's answer has no `{'.'.join(keys)}`: is it an MLflow server?")
    return told


def _list(told: Any, key: str) -> list[dict[str, Any]]:
    found: Any = told.get(key, []) if isinstance(told, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):  # pyright: ignore[reportUnknownVariableType]
        raise Unfit(f"the server's answer has no list `{key}`: is it an MLflow server?")
    return found  # pyright: ignore[reportUnknownVariableType]
